//! Figures of a run: percentiles, CPU time, the table and the JSON lines.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use serde_json::{Map, Value, json};

/// One scenario of one system: its figures, with units in their names.
#[derive(Debug)]
pub(crate) struct Row(Map<String, Value>);

impl Row {
    pub(crate) fn new(scenario: &str, system: &str, figures: Value) -> Self {
        let mut row = Map::new();
        row.insert("scenario".to_owned(), json!(scenario));
        row.insert("system".to_owned(), json!(system));
        if let Value::Object(figures) = figures {
            row.extend(figures);
        }
        Self(row)
    }
}

/// All rows of a run.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Row>);

impl Report {
    pub(crate) fn add(&mut self, row: Row) {
        self.0.push(row);
    }

    /// Prints the table.
    #[expect(clippy::print_stdout, reason = "the table is what this program is for")]
    pub(crate) fn print(&self) {
        for Row(row) in &self.0 {
            let cells = row.iter().map(|(name, value)| match value {
                Value::String(text) => format!("{text:<10}"),
                Value::Number(number) if number.is_f64() => {
                    format!("{name} {:>9.3}", number.as_f64().unwrap_or_default())
                }
                other => format!("{name} {other:>8}"),
            });
            println!("{}", cells.collect::<Vec<_>>().join("  "));
        }
    }

    /// Writes one JSON object per line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let lines: String =
            self.0.iter().map(|Row(row)| format!("{}\n", Value::Object(row.clone()))).collect();
        fs::create_dir_all(path.parent().context("a folder")?)?;
        Ok(fs::write(path, lines)?)
    }
}

/// p50, p90, p99 and max of round trips, in milliseconds.
pub(crate) fn percentiles(mut samples: Vec<Duration>) -> Value {
    samples.sort_unstable();
    let at = |share: f64| {
        let index = ((samples.len() as f64 * share).ceil() as usize).clamp(1, samples.len()) - 1;
        samples[index].as_secs_f64() * 1000.0
    };
    json!({ "p50_ms": at(0.50), "p90_ms": at(0.90), "p99_ms": at(0.99), "max_ms": at(1.0), "samples": samples.len() })
}

/// CPU time that these processes have used so far, in seconds.
///
/// # Errors
/// When one of them is gone.
pub(crate) fn cpu_seconds(pids: &[u32]) -> anyhow::Result<f64> {
    let mut ticks = 0;
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields = stat.rsplit(')').next().context("fields after the name")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // Fields 14 and 15 of proc_pid_stat(5), counted from the state.
        for field in [11, 12] {
            ticks += fields.get(field).context("a time")?.parse::<u64>()?;
        }
    }
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}
