//! `bulk`: `cat` of a long text, from Enter to the last byte at the client.

use std::{
    cell::RefCell,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::bail;
use chatcode_harness::{Mesh, Page, Terminal};
use serde_json::json;

use crate::{
    figures::{Row, cpu_seconds},
    memory,
    plain::{Plain, enter, read, sees},
};

/// The plain PTY and ours by turns; the middle one of each counts, since a plain PTY alone differs by half from one
/// run to the next, by where the kernel's worker happens to run.
pub(crate) const ROUNDS: usize = 5;
/// What a shell begins with beside its prompt has ended by then.
const SETTLE: Duration = Duration::from_secs(2);
/// Characters of a line, without its end.
const LINE: usize = 79;

/// The text: every line is its own number, so that any loss shows.
pub(crate) struct Text {
    path: PathBuf,
    lines: usize,
}

impl Text {
    pub(crate) fn write(folder: &Path, mib: usize) -> anyhow::Result<Self> {
        let (path, lines) = (folder.join("bulk.txt"), mib * 1024 * 1024 / (LINE + 1));
        let mut file = std::io::BufWriter::new(fs::File::create(&path)?);
        for line in 0..lines {
            writeln!(file, "{line:0LINE$}")?;
        }
        file.flush()?;
        Ok(Self { path, lines })
    }

    fn command(&self) -> String {
        format!("cat {}\n", self.path.display())
    }

    fn check(&self) -> Check {
        Check { lines: self.lines, line: 0, column: 0, missing: 0, bytes: 0, expected: line(0) }
    }
}

/// A line as the PTY gives it.
fn line(number: usize) -> Vec<u8> {
    format!("{number:0LINE$}\r\n").into_bytes()
}

/// The next number in the same digits; cheap, because the client shares the machine with what is measured.
fn count_up(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}

/// Follows the output byte by byte: what comes before the first line is the
/// shell's own.
struct Check {
    lines: usize,
    line: usize,
    column: usize,
    missing: usize,
    bytes: usize,
    expected: Vec<u8>,
}

impl Check {
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.done() {
            let rest = &self.expected[self.column..];
            let length = rest.len().min(bytes.len());
            if rest[..length] != bytes[..length] {
                self.stray(bytes[0]);
                bytes = &bytes[1..];
                continue;
            }
            self.column += length;
            self.bytes += length;
            bytes = &bytes[length..];
            if self.column == self.expected.len() {
                self.line += 1;
                self.column = 0;
                count_up(&mut self.expected[..LINE]);
            }
        }
    }

    fn stray(&mut self, byte: u8) {
        if self.line > 0 {
            self.missing += 1;
        }
        self.column = usize::from(self.line == 0 && byte == self.expected[0]);
    }

    const fn done(&self) -> bool {
        self.line >= self.lines
    }
}

/// On a plain PTY.
pub(crate) fn plain(text: &Text) -> anyhow::Result<Row> {
    let shell = Plain::start()?;
    let pty = &shell.pty;
    enter(pty, "echo rea''dy\n")?;
    sees(pty, "ready\r\n")?;
    let (mut check, mut buffer) = (text.check(), vec![0; 64 * 1024]);
    std::thread::sleep(SETTLE);
    let began = Instant::now();
    enter(pty, &text.command())?;
    while !check.done() {
        let length = read(pty, &mut buffer)?;
        check.take(&buffer[..length]);
    }
    row("plain-pty", &check, began, 0.0)
}

/// Through edge, core, gateway and holder.
pub(crate) async fn chain(mesh: &Mesh, page: &Page, text: &Text) -> anyhow::Result<Row> {
    let mut terminal = Terminal::start(page, &mesh.gateway_id()?, &[]).await?;
    terminal.enter("echo rea''dy\n")?;
    terminal.sees("ready\r\n").await?;
    let pids = processes(mesh, &terminal)?;
    terminal.rest(SETTLE).await?;
    let check = Rc::new(RefCell::new(text.check()));
    let sink = check.clone();
    terminal.pour_into(move |bytes| sink.borrow_mut().take(bytes));
    let (cpu, began) = (cpu_seconds(&pids)?, Instant::now());
    terminal.enter(&text.command())?;
    let seen = check.clone();
    terminal.until("the last byte", |terminal| seen.borrow().done() || !terminal.skips.is_empty()).await?;
    let cpu = cpu_seconds(&pids)? - cpu;
    if !terminal.skips.is_empty() {
        bail!("bytes are missing: {:?} after line {}", terminal.skips, check.borrow().line);
    }
    let check = check.borrow();
    row("chatcode", &check, began, cpu)
}

fn row(system: &str, check: &Check, began: Instant, cpu: f64) -> anyhow::Result<Row> {
    let seconds = began.elapsed().as_secs_f64();
    if check.missing > 0 {
        bail!("{system}: {} bytes are not what was printed", check.missing);
    }
    let figures = json!({
        "mb_per_s": check.bytes as f64 / 1e6 / seconds,
        "bytes_missing": check.missing,
        "cpu_s": cpu,
        "bytes": check.bytes,
    });
    Ok(Row::new("bulk", system, figures))
}

/// The processes between the client and the shell.
fn processes(mesh: &Mesh, terminal: &Terminal) -> anyhow::Result<Vec<u32>> {
    let holder = memory::holder(mesh, terminal.target())?;
    Ok(vec![mesh.core.pid(), mesh.edge.pid(), mesh.gateway.pid(), holder])
}
