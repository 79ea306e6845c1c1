//! `hops`: where the time of a key goes. Round trips to the edge, to the holder and to
//! the shell, in turn, each on an attachment that does nothing else; and beside
//! them what edge and core measured meanwhile by their own probes and heartbeats.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use chatcode_harness::{Mesh, PATIENCE, Page, page::Socket};
use chatcode_proto::{
    metadata, pb,
    pb::{client_frame, server_frame},
    viewer::Viewer,
};
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    echo,
    figures::{Row, percentiles},
};

/// Samples that only warm up.
const WARM_UP: usize = 30;
/// From one answer to the next question.
const PAUSE: Duration = Duration::from_millis(5);

/// One row for each stretch of the way, from near to far.
pub(crate) async fn chain(mesh: &Mesh, page: &Page, samples: usize) -> anyhow::Result<Vec<Row>> {
    let gateway = mesh.gateway_id()?;
    let target = page.create_session(&gateway, &pb::SessionsCreateRequest::default()).await?;
    let mut socket = page.open(metadata::ATTACH, &target).await?;
    let mut viewer = Viewer::new([7; 16], pb::Role::Viewer, None);
    socket.send(Message::Binary(viewer.attach().encode_to_vec().into())).await?;
    let (to_edge, pong) = rounds(&mut socket, samples, edge_ping, edge_pong).await?;
    let (to_holder, _) = rounds(&mut socket, samples, holder_ping, holder_pong).await?;
    drop(socket);
    let to_shell = echo::keys(page, &gateway, samples).await?;

    let pong: serde_json::Value = serde_json::from_str(pong.to_text()?)?;
    let core = pong["core"]["rtt_us"].as_u64().context("the edge has probed the core")?;
    let list = mesh.fleet()?.list(pb::FleetListRequest::default()).await?.into_inner();
    let machine = list.gateways.into_iter().find(|one| one.id == gateway).context("the machine is there")?;
    let probed = json!({
        "edge_to_core_ms": millis(core),
        "core_to_gateway_ms": millis(machine.link_rtt_us),
        "gateway_to_holder_ms": millis(machine.holder_rtt_us),
    });
    Ok(vec![
        Row::new("hops", "page to edge and back", percentiles(to_edge)),
        Row::new("hops", "page to holder and back", percentiles(to_holder)),
        Row::new("hops", "page to shell and back (echo)", percentiles(to_shell)),
        Row::new("hops", "probes and heartbeats, one each", probed),
    ])
}

/// Asks and waits, again and again; what else comes is passed over. Gives the last
/// answer too.
async fn rounds(
    socket: &mut Socket,
    samples: usize,
    ask: fn(u32) -> Message,
    answers: fn(&Message, u32) -> bool,
) -> anyhow::Result<(Vec<Duration>, Message)> {
    let mut last = Message::Text(String::new().into());
    let mut took = Vec::with_capacity(samples);
    for sample in 0..WARM_UP + samples {
        sleep(PAUSE).await;
        let stamp = u32::try_from(sample)? + 1;
        let sent = Instant::now();
        socket.send(ask(stamp)).await?;
        loop {
            let message = timeout(PATIENCE, socket.next()).await?.context("the socket ended")??;
            ensure!(!message.is_close(), "the socket was closed: {message}");
            if answers(&message, stamp) {
                last = message;
                break;
            }
        }
        if sample >= WARM_UP {
            took.push(sent.elapsed());
        }
    }
    Ok((took, last))
}

fn edge_ping(stamp: u32) -> Message {
    Message::Text(json!({ "stamp": stamp }).to_string().into())
}

fn edge_pong(message: &Message, stamp: u32) -> bool {
    matches!(message, Message::Text(text) if text.contains(&format!("\"stamp\":{stamp},")))
}

fn holder_ping(stamp: u32) -> Message {
    let kind = client_frame::Kind::Ping(pb::Ping { stamp: stamp.into() });
    Message::Binary(pb::ClientFrame { kind: Some(kind) }.encode_to_vec().into())
}

fn holder_pong(message: &Message, stamp: u32) -> bool {
    let Message::Binary(bytes) = message else { return false };
    let Ok(frame) = pb::ServerFrame::decode(bytes.clone()) else { return false };
    matches!(frame.kind, Some(server_frame::Kind::Pong(pong)) if pong.stamp == u64::from(stamp))
}

fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}
