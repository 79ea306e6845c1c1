//! `echo`: one byte to `cat` and back, the next one 5 ms later.

use std::{
    io::{Read, Write},
    path::Path,
    time::{Duration, Instant},
};

use chatcode_harness::{Page, Terminal};

use crate::{
    figures::{Row, percentiles},
    plain::{Plain, enter, read, sees},
    relay::Chain,
};

/// Makes the shell's terminal give each byte to `cat` at once and once.
const RAW_CAT: &str = "stty -icanon -echo; echo rea''dy; cat\n";
/// Samples that only warm up.
const WARM_UP: usize = 30;
/// From one echo to the next key.
const PAUSE: Duration = Duration::from_millis(5);

/// On a plain PTY.
pub(crate) fn plain(samples: usize) -> anyhow::Result<Row> {
    let shell = Plain::start()?;
    blocking("plain-pty", &shell.pty, samples)
}

/// Through processes that only copy.
pub(crate) fn relays(folder: &Path, samples: usize) -> anyhow::Result<Row> {
    let chain = Chain::start(folder)?;
    blocking("bare-relays", chain.client(), samples)
}

fn blocking<T>(system: &str, shell: &T, samples: usize) -> anyhow::Result<Row>
where
    for<'a> &'a T: Read + Write,
{
    enter(shell, RAW_CAT)?;
    sees(shell, "ready\r\n")?;
    let mut took = Vec::with_capacity(samples);
    let mut buffer = [0; 16];
    for sample in 0..WARM_UP + samples {
        std::thread::sleep(PAUSE);
        let sent = Instant::now();
        enter(shell, "x")?;
        read(shell, &mut buffer)?;
        if sample >= WARM_UP {
            took.push(sent.elapsed());
        }
    }
    Ok(Row::new("echo", system, percentiles(took)))
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
