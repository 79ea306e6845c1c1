//! `kill -9` of everything but the holder: the shell goes on, every number is
//! seen once, every key arrives once.

use std::process::Stdio;

use chatcode_harness::{Mesh, Terminal, proc, soon, terminal::numbers};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

/// Prints the numbers from 1 to the last in a little more than the time that
/// the kills take, then a mark.
const COUNTER: &str = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; [ $((i % 20)) = 0 ] && sleep 0.02; done; echo fin''ished\n";
const LAST: u64 = 3000;

/// Which part dies.
#[derive(Clone, Copy, Debug)]
enum Part {
    Core,
    Edge,
    Gateway,
}

async fn every_number_is_seen_once_over_the_death_of(part: Part) -> anyhow::Result<()> {
    let mut mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &[]).await?;
    terminal.enter("stty -echo; PS1=\n")?;
    terminal.enter(COUNTER)?;
    for reached in [300, 900, 1500] {
        terminal.sees(&format!("\n{reached}\r\n")).await?;
        match part {
            Part::Core => mesh.replace_core().await?,
            Part::Edge => mesh.replace_edge().await?,
            Part::Gateway => mesh.replace_gateway().await?,
        }
    }
    terminal.sees("finished").await?;
    assert_eq!(numbers(&terminal.text()), (1..=LAST).collect::<Vec<_>>(), "over {part:?}");
    assert_eq!(terminal.skips, [], "over {part:?}");
    assert!(terminal.attachments >= 2, "the death of {part:?} was felt: {terminal:?}");
    Ok(())
}

#[tokio::test]
async fn every_number_is_seen_once_over_the_death_of_the_core() -> anyhow::Result<()> {
    every_number_is_seen_once_over_the_death_of(Part::Core).await
}

#[tokio::test]
async fn every_number_is_seen_once_over_the_death_of_the_edge() -> anyhow::Result<()> {
    every_number_is_seen_once_over_the_death_of(Part::Edge).await
}

#[tokio::test]
async fn every_number_is_seen_once_over_the_death_of_the_gateway() -> anyhow::Result<()> {
    every_number_is_seen_once_over_the_death_of(Part::Gateway).await
}

#[tokio::test]
async fn every_typed_line_arrives_once_over_the_death_of_each_part_in_turn() -> anyhow::Result<()> {
    let mut mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &[]).await?;
    terminal.enter("stty -echo; PS1=; echo rea''dy; cat\n")?;
    terminal.sees("ready\r\n").await?;
    let mut line = 0;
    for part in [Part::Gateway, Part::Core, Part::Edge, Part::Core, Part::Gateway] {
        for _ in 0..40 {
            line += 1;
            terminal.enter(&format!("{line}\n"))?;
        }
        // Some of it is on its way when the part dies.
        terminal.sees(&format!("\n{}\r\n", line - 20)).await?;
        match part {
            Part::Core => mesh.replace_core().await?,
            Part::Edge => mesh.replace_edge().await?,
            Part::Gateway => mesh.replace_gateway().await?,
        }
    }
    terminal.sees(&format!("\n{line}\r\n")).await?;
    assert_eq!(numbers(&terminal.text()), (1..=line).collect::<Vec<_>>());
    assert_eq!((terminal.refused, terminal.unknown), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_new_daemon_finds_the_sessions_of_the_old_one() -> anyhow::Result<()> {
    let mut mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &["cat"]).await?;
    terminal.enter("before\n")?;
    terminal.sees("before\r\nbefore\r\n").await?;
    assert_eq!(mesh.gateway.terminate().await?, Some(0), "the daemon stops politely");
    mesh.replace_gateway().await?;
    terminal.enter("after\n")?;
    terminal.sees("after\r\nafter\r\n").await?;
    assert!(terminal.text().starts_with("before\r\nbefore\r\n"));
    Ok(())
}

/// Roles once outlived the `up` that had started them: their log had no reader
/// any more, the complaint about that panicked, and nobody told them to stop.
#[tokio::test]
async fn a_role_ends_with_the_one_that_started_it_though_nobody_reads_its_log() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("core");
    let mut role = Command::new(proc::program("chatcode-core")?)
        .args(["run", "--exit-with-stdin", "--data-dir"])
        .arg(&data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = role.stdout.take().map(BufReader::new);
    let mut lines = stdout.ok_or_else(|| anyhow::anyhow!("stdout is piped"))?.lines();
    soon("the ready line", lines.next_line()).await??;
    drop(role.stderr.take());
    drop(role.stdin.take());
    let status = soon("the end of the core", role.wait()).await??;
    assert!(status.success(), "{status}");
    Ok(())
}
