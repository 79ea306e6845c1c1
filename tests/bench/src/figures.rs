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

/// Of several rounds of the same the middle one by this figure, with what all of them came to.
///
/// # Errors
/// When a round has no such figure.
pub(crate) fn middle(mut rounds: Vec<Row>, figure: &str) -> anyhow::Result<Row> {
    let of = |row: &Row| row.0.get(figure).and_then(Value::as_f64).context("a round without its figure");
    let mut all = rounds.iter().map(of).collect::<anyhow::Result<Vec<f64>>>()?;
    all.sort_by(f64::total_cmp);
    let middle = all[all.len() / 2];
    let at = rounds.iter().position(|row| of(row).is_ok_and(|one| one == middle)).context("no round")?;
    let mut row = rounds.swap_remove(at);
    row.0.insert(format!("{figure}_of_rounds"), json!(all));
    Ok(row)
}

/// All rows of a run; the first row of each scenario is what the others are
/// compared with.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Row>);

/// The figures of a scenario whose ratio is told.
const COMPARED: &[&str] = &["p50_ms", "p99_ms", "mb_per_s"];

impl Report {
    pub(crate) fn add(&mut self, mut row: Row) {
        let first = self.0.iter().find(|one| one.0["scenario"] == row.0["scenario"]);
        for &figure in COMPARED {
            let figure_of = |row: &Row| row.0.get(figure).and_then(Value::as_f64);
            if let (Some(ours), Some(plain)) = (figure_of(&row), first.and_then(figure_of)) {
                row.0.insert(format!("{figure}_of_plain"), json!(ours / plain));
            }
        }
        self.0.push(row);
    }

    pub(crate) fn extend(&mut self, rows: impl IntoIterator<Item = Row>) {
        rows.into_iter().for_each(|row| self.add(row));
    }

    /// Prints one table for each scenario.
    #[expect(clippy::print_stdout, reason = "the table is what this program is for")]
    pub(crate) fn print(&self) {
        let mut scenario = &Value::Null;
        for Row(row) in &self.0 {
            let figures = row.iter().filter(|(name, _)| !matches!(name.as_str(), "scenario" | "system"));
            let figures: Vec<_> = figures.map(|(name, value)| format!("{name} {}", short(value))).collect();
            if scenario != &row["scenario"] {
                scenario = &row["scenario"];
                println!("{}", scenario.as_str().unwrap_or_default());
            }
            println!("  {:<12} {}", row["system"].as_str().unwrap_or_default(), figures.join("  "));
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

/// Three digits behind the point.
fn short(value: &Value) -> String {
    match value {
        Value::Array(all) => all.iter().map(short).collect::<Vec<_>>().join(", "),
        Value::Number(number) if number.is_f64() => format!("{:.3}", number.as_f64().unwrap_or_default()),
        _ => value.to_string(),
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
