//! `interrupt`: a flood for two seconds towards a page that digests 2 MB/s, then
//! Ctrl-C, until the prompt has been digested. `yes` as all systems are measured
//! with; and numbered lines, since equal ones do not show which are missing.

use std::{
    io::Read as _,
    time::{Duration, Instant},
};

use anyhow::ensure;
use chatcode_harness::{Page, page::Target};
use chatcode_proto::limits;
use serde_json::json;

use crate::{
    figures::Row,
    plain::{Plain, enter, sees},
    view::{Digestion, View},
};

const PROMPT: &str = "prompt> ";
const SET_PROMPT: &str = "PROMPT_COMMAND=; PS1='pro''mpt> '\n";
const LASTS: Duration = Duration::from_secs(2);
const BYTES_PER_SECOND: u64 = 2_000_000;
/// Lines of the history that the end of the flood itself takes.
const OTHER_LINES: usize = 100;

/// What floods, and whose socket it comes through.
#[derive(Clone, Copy)]
pub(crate) struct Flood {
    system: &'static str,
    command: &'static str,
    reads_eagerly: bool,
    whole: fn(&[u8]) -> anyhow::Result<usize>,
}

/// Each way that it is measured.
pub(crate) const FLOODS: [Flood; 3] = [
    Flood { system: "chatcode, lazy", command: "yes\n", reads_eagerly: false, whole: equal_lines },
    Flood { system: "chatcode, eager", command: "yes\n", reads_eagerly: true, whole: equal_lines },
    Flood { system: "chatcode, numbered", command: "seq 1000000000\n", reads_eagerly: true, whole: numbers },
];

/// Counts the lines of `yes`.
fn equal_lines(history: &[u8]) -> anyhow::Result<usize> {
    Ok(lines_of(history).filter(|line| *line == b"y").count())
}

/// Counts the numbers, which must go up by one from the first to the last.
fn numbers(history: &[u8]) -> anyhow::Result<usize> {
    let number = |line: &[u8]| str::from_utf8(line).ok().and_then(|line| line.parse::<u64>().ok());
    let numbers: Vec<u64> = lines_of(history).filter_map(number).collect();
    for pair in numbers.windows(2) {
        ensure!(pair[1] == pair[0] + 1, "after line {} comes line {} in the history", pair[0], pair[1]);
    }
    Ok(numbers.len())
}

fn lines_of(history: &[u8]) -> impl Iterator<Item = &[u8]> {
    history.split(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\r"))
}

/// On a plain PTY that is read as slowly.
pub(crate) fn plain() -> anyhow::Result<Row> {
    let shell = Plain::start()?;
    let pty = &shell.pty;
    enter(pty, SET_PROMPT)?;
    sees(pty, PROMPT)?;
    enter(pty, "yes\n")?;
    let (began, mut read) = (Instant::now(), 0);
    let mut slowly = |until: &mut dyn FnMut(&[u8]) -> bool| -> anyhow::Result<u64> {
        let mut buffer = [0; 4096];
        loop {
            let due = began + Duration::from_secs_f64(read as f64 / BYTES_PER_SECOND as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let length = (&*pty).read(&mut buffer)?;
            read += length as u64;
            if until(&buffer[..length]) {
                return Ok(read);
            }
        }
    };
    let before = slowly(&mut |_| began.elapsed() >= LASTS)?;
    enter(pty, "\u{3}")?;
    let (pressed, mut tail) = (Instant::now(), Vec::new());
    let after = slowly(&mut |bytes| {
        tail.extend_from_slice(bytes);
        tail.windows(PROMPT.len()).any(|window| window == PROMPT.as_bytes())
    })?;
    Ok(row("plain-pty", pressed, after - before, 0))
}

/// Through the whole chain.
pub(crate) async fn chain(page: &Page, gateway: &str, flood: Flood) -> anyhow::Result<Row> {
    let target: Target =
        page.create_session(gateway, &chatcode_proto::pb::SessionsCreateRequest::default()).await?;
    let mut view = View::attach(page, &target).await?;
    view.enter(SET_PROMPT);
    view.sees(PROMPT).await?;
    view.digest(Digestion::Slow { bytes_per_second: BYTES_PER_SECOND, reads_eagerly: flood.reads_eagerly });
    view.enter(flood.command);
    view.rest(LASTS).await?;
    let before = view.arrived;
    view.digested.clear();
    view.enter("\u{3}");
    let pressed = Instant::now();
    view.sees(PROMPT).await?;
    let row = row(flood.system, pressed, view.arrived - before, view.skipped);

    // Whatever was skipped is in the history, as far as that goes.
    let snapshots = view.snapshots;
    view.digest(Digestion::Quick);
    view.digested.clear();
    view.ask_for_history();
    view.until("the history", |view| view.snapshots > snapshots).await?;
    view.sees(PROMPT).await?;
    let lines = (flood.whole)(&view.digested)?;
    let wanted = limits::DEFAULT_HISTORY_LINES as usize - OTHER_LINES;
    ensure!(lines >= wanted, "only {lines} lines of the flood are in the history, not {wanted}");
    Ok(row)
}

fn row(system: &str, pressed: Instant, arrived: u64, skipped: u64) -> Row {
    let figures = json!({
        "prompt_ms": pressed.elapsed().as_secs_f64() * 1000.0,
        "bytes_after": arrived,
        "bytes_skipped": skipped,
    });
    Row::new("interrupt", system, figures)
}
