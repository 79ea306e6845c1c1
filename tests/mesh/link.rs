//! The link between a gateway and the core: changes of address, loss,
//! revocation.

use std::{
    cell::Cell,
    rc::Rc,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use chatcode_harness::{
    Mesh, Terminal, eventually, forward::Forwarder, proc, soon, terminal::numbers, within,
};
use chatcode_proto::pb;

#[tokio::test]
async fn a_change_of_the_gateways_address_is_not_noticed_by_a_viewer() -> anyhow::Result<()> {
    let mut mesh = Mesh::start().await?;
    let mut way = Forwarder::start(mesh.link_address().parse()?, 1).await?;
    mesh.gateway_through(&way.address().to_string()).await?;
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &["cat"]).await?;
    for turn in 0..5 {
        way.change_port().await?;
        terminal.enter(&format!("turn {turn}\n"))?;
        terminal.sees(&format!("turn {turn}\r\nturn {turn}\r\n")).await?;
    }
    assert_eq!(terminal.attachments, 1, "the same attachment all the time");
    Ok(())
}

#[tokio::test]
async fn loss_and_delay_slow_a_session_and_harm_nothing() -> anyhow::Result<()> {
    let mut mesh = Mesh::start().await?;
    let way = Forwarder::start(mesh.link_address().parse()?, 2).await?;
    mesh.gateway_through(&way.address().to_string()).await?;
    way.way.loss_permille.store(30, Ordering::Relaxed);
    way.way.delay_us.store(10_000, Ordering::Relaxed);
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &[]).await?;
    terminal.enter("stty -echo; PS1=; echo; seq 1 9000; echo fin''ished\n")?;
    terminal.sees("finished").await?;
    if !terminal.skips.is_empty() {
        // It was moved to the present; the lines between are in the history.
        let before = terminal.snapshots;
        terminal.viewer().request_snapshot();
        terminal.until("the lines that were skipped", |terminal| terminal.snapshots > before).await?;
        terminal.sees("finished").await?;
    }
    assert_eq!(numbers(&terminal.text()), (1..=9000).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn a_revoked_gateway_is_cut_off_and_stops() -> anyhow::Result<()> {
    let mut mesh = Mesh::start().await?;
    let id = mesh.gateway_id()?;
    mesh.fleet()?.revoke(pb::FleetRevokeRequest { gateway: id.clone() }).await?;
    let code = mesh.gateway.wait().await?;
    assert_eq!(code, Some(77), "EX_NOPERM: {}", mesh.gateway.log());
    let mut fleet = mesh.fleet()?;
    eventually("the gateway is shown as revoked", async || {
        let gateways = fleet.list(pb::FleetListRequest::default()).await?.into_inner().gateways;
        Ok(gateways.iter().find(|one| one.id == id && one.link_state() == pb::LinkState::Revoked).map(|_| ()))
    })
    .await
}

#[tokio::test]
async fn a_revoked_machine_shows_nothing_more_of_a_shell_that_goes_on_printing() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &[]).await?;
    terminal.enter("while :; do echo line; sleep 0.01; done\n")?;
    terminal.sees("line\r\nline\r\n").await?;
    let last = Rc::new(Cell::new(None));
    let ear = Rc::clone(&last);
    terminal.pour_into(move |_| ear.set(Some(Instant::now())));
    terminal.until("a line more", |_| last.get().is_some()).await?;
    let begun = Instant::now();
    let gateway = mesh.gateway_id()?;
    let mut fleet = mesh.fleet()?;
    let revoked = fleet.revoke(pb::FleetRevokeRequest { gateway });
    tokio::pin!(revoked);
    loop {
        tokio::select! {
            revoked = &mut revoked => break drop(revoked?),
            rest = terminal.rest(Duration::from_millis(10)) => rest?,
        }
    }
    // The attachment breaks, and no other comes about.
    terminal.until("the refusal", |terminal| !terminal.last_error.is_empty()).await?;
    let at = last.get().map_or(Duration::ZERO, |last| last.saturating_duration_since(begun));
    println!(
        "revocation to last byte: {} ms; the page knows after {} ms",
        at.as_millis(),
        begun.elapsed().as_millis()
    );
    within("a revocation, to its last byte,", at, Duration::from_secs(1))?;
    let heard = last.get();
    terminal.rest(Duration::from_secs(1)).await?;
    assert_eq!((last.get(), terminal.attachments), (heard, 1));
    Ok(())
}

/// The way back that the documentation names. Each session was once there
/// twice, and none of the two could be named.
#[tokio::test]
async fn a_revoked_machine_that_enrolls_anew_brings_its_sessions_back_once() -> anyhow::Result<()> {
    let mut mesh = Mesh::start().await?;
    let data = mesh.folder().join("operator").to_string_lossy().into_owned();
    let chatcode = async |arguments: &[&str], input: &str| {
        proc::run("chatcode", &[&["--data-dir", &data], arguments].concat(), input).await
    };
    let request = pb::FleetCreateTokenRequest { kind: pb::MemberKind::Admin.into(), ..Default::default() };
    let token = mesh.fleet()?.create_token(request).await?.into_inner().token;
    chatcode(&["admin", "enroll", "--core", mesh.grpc_address()], &token).await?;
    let session = chatcode(&["new", "--", "cat"], "").await?.trim().to_owned();

    chatcode(&["gateway", "revoke", &mesh.gateway_id()?], "").await?;
    assert_eq!(mesh.gateway.wait().await?, Some(77));
    let token = chatcode(&["gateway", "token"], "").await?;
    let folder = mesh.data_dir("gateway").to_string_lossy().into_owned();
    let enroll = ["enroll", "--force", "--data-dir", &folder, "--core", mesh.grpc_address()];
    proc::run("chatcode-gateway", &enroll, &token).await?;
    mesh.replace_gateway().await?;

    let id = mesh.gateway_id()?;
    let listed = eventually("the session is back", async || {
        let listing: serde_json::Value = serde_json::from_str(&chatcode(&["ls", "--json"], "").await?)?;
        let sessions = listing["sessions"].as_array().cloned().unwrap_or_default();
        Ok((!sessions.is_empty()).then_some(sessions))
    })
    .await?;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((&listed[0]["id"], &listed[0]["gateway"]), (&session.as_str().into(), &id.as_str().into()));
    chatcode(&["rename", "--gateway", &id, &session, "renamed"], "").await?;
    chatcode(&["end", "--force", &session], "").await?;
    Ok(())
}

#[tokio::test]
async fn a_drained_gateway_comes_back_when_it_was_told_to() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &["cat"]).await?;
    let mut admin = pb::admin_client::AdminClient::new(mesh.channel()?);
    let told = admin.drain(pb::AdminDrainRequest { retry_after_ms: 100 }).await?.into_inner().links;
    assert_eq!(told, 1);
    terminal.enter("still here\n")?;
    terminal.sees("still here\r\nstill here\r\n").await?;
    soon("the link", mesh.gateway_online()).await?
}
