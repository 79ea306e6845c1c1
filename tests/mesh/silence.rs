//! A machine that hangs: it says nothing, and nothing breaks.

use std::time::Duration;

use chatcode_harness::{Mesh, Terminal, soon, terminal::numbers};
use chatcode_proto::{
    limits,
    pb::{self, fleet_watch_response::Event},
};
use tokio::time::Instant;

/// What the core needs beside the silence itself to say so: a heartbeat, and a
/// machine that does much else.
const SLACK: Duration = Duration::from_secs(10);

/// Counts for longer than the silence lasts.
const COUNTER: &str = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i; sleep 0.1; done; echo fin''ished\n";

#[tokio::test]
async fn a_machine_that_hangs_is_offline_for_all_and_loses_nothing() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut events = mesh.fleet()?.watch(pb::FleetWatchRequest {}).await?.into_inner();
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &[]).await?;
    terminal.enter("stty -echo; PS1=\n")?;
    terminal.enter(COUNTER)?;
    terminal.sees("\n10\r\n").await?;

    let hung = Instant::now();
    mesh.gateway.hang()?;
    // The core says so to whoever watches ...
    soon("the fleet's word", until(&mut events, pb::LinkState::Offline)).await??;
    let noticed = hung.elapsed();
    assert!(noticed <= limits::LINK_SILENCE + SLACK, "the core noticed after {noticed:?}");
    // ... and the terminal is told, and cannot come back now.
    terminal.until("the word of the core", |terminal| terminal.last_error.contains("link")).await?;

    mesh.gateway.go_on()?;
    soon("the fleet's word", until(&mut events, pb::LinkState::Online)).await??;
    terminal.sees("finished").await?;
    assert_eq!(numbers(&terminal.text()), (1..=300).collect::<Vec<_>>());
    assert_eq!((terminal.skips.len(), terminal.attachments >= 2), (0, true), "{terminal:?}");
    Ok(())
}

/// Waits until the watch tells this state of the gateway.
async fn until(
    events: &mut tonic::Streaming<pb::FleetWatchResponse>,
    state: pb::LinkState,
) -> anyhow::Result<()> {
    while let Some(event) = events.message().await? {
        if matches!(event.event, Some(Event::GatewayChanged(gateway)) if gateway.link_state() == state) {
            return Ok(());
        }
    }
    anyhow::bail!("the watch ended")
}
