//! The link between a gateway and the core: changes of address, loss,
//! revocation.

use std::sync::atomic::Ordering;

use anyhow::Context as _;
use chatcode_harness::{Mesh, Terminal, eventually, forward::Forwarder, soon};
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
    terminal.enter("stty -echo; PS1=; echo; seq 1 20000; echo fin''ished\n")?;
    terminal.sees("finished").await?;
    let shown = counted(&terminal, 20_000)?;
    assert!(shown > 0, "something was shown: {:?}", terminal.gaps);
    Ok(())
}

/// Checks every byte that was shown of the lines `1` to `last` at its offset:
/// whatever is not there lies in a gap that was named. Gives how many were
/// shown.
fn counted(terminal: &Terminal, last: u64) -> anyhow::Result<usize> {
    let lines: Vec<u8> = (1..=last).flat_map(|number| format!("{number}\r\n").into_bytes()).collect();
    let begin = terminal.text().find("\r\n1\r\n2\r\n").context("the count begins")? + 2;
    let (mut offset, mut shown, mut rest) = (0, 0, terminal.output.as_slice());
    let end = terminal.output.len() as u64 + terminal.gaps.iter().map(|(from, to)| to - from).sum::<u64>();
    for (from, to) in terminal.gaps.iter().copied().chain([(end, end)]) {
        let (piece, after) = rest.split_at(usize::try_from(from - offset)?);
        for (byte, at) in piece.iter().zip(usize::try_from(offset)?..) {
            let counts = at.checked_sub(begin).and_then(|at| lines.get(at));
            anyhow::ensure!(counts.is_none_or(|right| right == byte), "byte {at} is another one");
            shown += usize::from(counts.is_some());
        }
        (offset, rest) = (to, after);
    }
    let lost: u64 = terminal.gaps.iter().map(|(from, to)| to - from).sum();
    anyhow::ensure!(
        shown as u64 + lost >= lines.len() as u64,
        "{shown} of {} bytes, {lost} lost",
        lines.len()
    );
    Ok(shown)
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
