//! `echo`: one byte to `cat` and back, the next one 5 ms later. `echo_flood`: the
//! same beside a second session of the same machine that runs `yes` to a client that
//! reads all it can.

use std::{
    io::{Read, Write},
    path::Path,
    time::{Duration, Instant},
};

use chatcode_harness::{Page, Terminal};

use crate::{
    figures::{Row, percentiles},
    flood::Flood,
    plain::{Plain, enter, read, sees},
    relay::Chain,
    ssh::Ssh,
};

/// Makes the shell's terminal give each byte to `cat` at once and once.
pub(crate) const RAW_CAT: &str = "stty -icanon -echo; echo rea''dy; cat\n";
/// What it says when the next key goes to `cat`.
pub(crate) const READY: &str = "ready\r\n";
/// Samples that only warm up.
const WARM_UP: usize = 30;
/// From one echo to the next key.
const PAUSE: Duration = Duration::from_millis(5);

/// On a plain PTY.
pub(crate) fn plain(samples: usize) -> anyhow::Result<Row> {
    let shell = Plain::start()?;
    Ok(Row::new("echo", "plain-pty", percentiles(blocking(&shell.pty, samples)?)))
}

/// On a plain PTY beside another one that floods.
pub(crate) fn plain_flood(samples: usize) -> anyhow::Result<Row> {
    let shell = Plain::start()?;
    let flood = Flood::of(Plain::start()?, |shell| &shell.pty)?;
    let took = blocking(&shell.pty, samples)?;
    Ok(flood.end()?.row("plain-pty", percentiles(took)))
}

/// Through processes that only copy.
pub(crate) fn relays(folder: &Path, samples: usize) -> anyhow::Result<Row> {
    let chain = Chain::start(folder)?;
    Ok(Row::new("echo", "bare-relays", percentiles(blocking(chain.client(), samples)?)))
}

/// Through `ssh` and `sshd`, where they are installed.
pub(crate) fn ssh(folder: &Path, samples: usize) -> anyhow::Result<Option<Row>> {
    let Some(ssh) = Ssh::start(folder)? else { return Ok(None) };
    Ok(Some(Row::new("echo", "ssh", percentiles(blocking(&ssh.client, samples)?))))
}

/// The same beside another connection that floods.
pub(crate) fn ssh_flood(folder: &Path, samples: usize) -> anyhow::Result<Option<Row>> {
    let beside = folder.join("flood");
    std::fs::create_dir_all(&beside)?;
    let (Some(ssh), Some(other)) = (Ssh::start(folder)?, Ssh::start(&beside)?) else { return Ok(None) };
    let flood = Flood::of(other, |ssh| &ssh.client)?;
    let took = blocking(&ssh.client, samples)?;
    Ok(Some(flood.end()?.row("ssh", percentiles(took))))
}

/// Through edge, core, gateway and holder.
pub(crate) async fn chain(page: &Page, gateway: &str, samples: usize) -> anyhow::Result<Row> {
    Ok(Row::new("echo", "chatcode", percentiles(keys(page, gateway, samples).await?)))
}

/// Through edge, core, gateway and holder, beside another session that floods.
pub(crate) async fn chain_flood(page: &Page, gateway: &str, samples: usize) -> anyhow::Result<Row> {
    let flood = Flood::chain(page, gateway)?;
    let took = keys(page, gateway, samples).await?;
    Ok(flood.end()?.row("chatcode", percentiles(took)))
}

fn blocking<T>(shell: &T, samples: usize) -> anyhow::Result<Vec<Duration>>
where
    for<'a> &'a T: Read + Write,
{
    enter(shell, RAW_CAT)?;
    sees(shell, READY)?;
    typed(shell, WARM_UP)?;
    typed(shell, samples)
}

/// The round trips of single keys.
pub(crate) async fn keys(page: &Page, gateway: &str, samples: usize) -> anyhow::Result<Vec<Duration>> {
    let mut terminal = Terminal::start(page, gateway, &[]).await?;
    terminal.enter(RAW_CAT)?;
    terminal.sees(READY).await?;
    typed_into(&mut terminal, WARM_UP).await?;
    typed_into(&mut terminal, samples).await
}

/// So many keys to [`RAW_CAT`], and how long each took to come back.
///
/// # Errors
/// When one does not come back.
pub(crate) fn typed<T>(shell: &T, keys: usize) -> anyhow::Result<Vec<Duration>>
where
    for<'a> &'a T: Read + Write,
{
    let mut buffer = [0; 16];
    let mut key = || {
        std::thread::sleep(PAUSE);
        let sent = Instant::now();
        enter(shell, "x")?;
        read(shell, &mut buffer)?;
        Ok(sent.elapsed())
    };
    (0..keys).map(|_| key()).collect()
}

/// The same through chatcode.
///
/// # Errors
/// As [`typed`].
pub(crate) async fn typed_into(terminal: &mut Terminal, keys: usize) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::with_capacity(keys);
    for _ in 0..keys {
        terminal.rest(PAUSE).await?;
        let before = terminal.output.len();
        let sent = Instant::now();
        terminal.enter("x")?;
        terminal.until("the echo", |terminal| terminal.output.len() > before).await?;
        took.push(sent.elapsed());
    }
    Ok(took)
}
