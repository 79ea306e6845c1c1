//! `echo`: one byte to `cat` and back, the next one 5 ms later.

use std::time::{Duration, Instant};

use chatcode_harness::{Page, Terminal};

use crate::{
    figures::{Row, percentiles},
    plain::Plain,
};

/// Makes the shell's terminal give each byte to `cat` at once and once.
const RAW_CAT: &str = "stty -icanon -echo; echo rea''dy; cat\n";
/// Samples that only warm up.
const WARM_UP: usize = 30;
/// From one echo to the next key.
const PAUSE: Duration = Duration::from_millis(5);

/// On a plain PTY.
pub(crate) fn plain(samples: usize) -> anyhow::Result<Row> {
    let mut shell = Plain::start()?;
    shell.enter(RAW_CAT)?;
    shell.sees("ready\r\n")?;
    let mut took = Vec::with_capacity(samples);
    let mut buffer = [0; 16];
    for sample in 0..WARM_UP + samples {
        std::thread::sleep(PAUSE);
        let sent = Instant::now();
        shell.enter("x")?;
        shell.read(&mut buffer)?;
        if sample >= WARM_UP {
            took.push(sent.elapsed());
        }
    }
    Ok(Row::new("echo", "plain-pty", percentiles(took)))
}

/// Through edge, core, gateway and holder.
pub(crate) async fn chain(page: &Page, gateway: &str, samples: usize) -> anyhow::Result<Row> {
    let mut terminal = Terminal::start(page, gateway, &[]).await?;
    terminal.enter(RAW_CAT)?;
    terminal.sees("ready\r\n").await?;
    let mut took = Vec::with_capacity(samples);
    for sample in 0..WARM_UP + samples {
        terminal.rest(PAUSE).await?;
        let before = terminal.output.len();
        let sent = Instant::now();
        terminal.enter("x")?;
        terminal.until("the echo", |terminal| terminal.output.len() > before).await?;
        if sample >= WARM_UP {
            took.push(sent.elapsed());
        }
    }
    Ok(Row::new("echo", "chatcode", percentiles(took)))
}
