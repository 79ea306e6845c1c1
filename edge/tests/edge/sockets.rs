//! One WebSocket, one call, unopened.

use std::time::Instant;

use bytes::Bytes;
use chatcode_proto::{
    limits,
    metadata::{ATTACH, FLEET_WATCH},
    pb::{self, Code, FleetWatchRequest, FleetWatchResponse, Open},
};
use prost::Message as _;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    house::{House, soon},
    http::get,
    ws::{Ws, attach},
};

/// Opens with this first message and says how the edge closes.
async fn refused(house: &House, first: impl Into<Bytes>) -> u16 {
    let mut ws = Ws::new(&house.edge).await;
    ws.send(first).await;
    let (code, reason) = ws.closed().await;
    let name = reason.split(':').next().unwrap_or_default().to_owned();
    assert_eq!(Code::from_name(&name).map(Code::websocket), Some(code), "{reason}");
    code
}

#[tokio::test]
async fn each_fault_of_the_first_message_closes_with_its_code() {
    let house = House::new().await;
    let with = |change: fn(&mut Open)| {
        let mut open = attach();
        change(&mut open);
        open.encode_to_vec()
    };
    for (first, code) in [
        (b"\xff\xff\xff garbage".to_vec(), Code::Invalid),
        (Vec::new(), Code::Invalid),
        (with(|open| open.versions = vec![2, 99]), Code::UnsupportedVersion),
        (with(|open| open.method = "/chatcode.v1.Link/Control".to_owned()), Code::UnknownMethod),
        (with(|open| open.method = "/chatcode.v1.Fleet/List".to_owned()), Code::UnknownMethod),
        (with(|open| open.gateway = "x\r\nchatcode-grant-bin: AAAA".to_owned()), Code::UnknownGateway),
        (with(|open| open.session.clear()), Code::UnknownSession),
        (with(|open| open.ticket.clear()), Code::BadToken),
    ] {
        assert_eq!(refused(&house, first.clone()).await, code.websocket(), "{code:?}");
    }
    let mut ws = Ws::new(&house.edge).await;
    ws.say("{\"stamp\":1}").await;
    assert_eq!(ws.closed().await.0, Code::Protocol.websocket(), "a ping is not a first message");
    assert_eq!(house.core.seen.count(), 0);
}

#[tokio::test]
async fn frames_pass_unopened_in_both_directions() {
    let house = House::new().await;
    let mut ws = Ws::attached(&house.edge).await;
    // A frame of a later version: an unknown field around a known one.
    let mut later =
        pb::ClientFrame { kind: Some(pb::client_frame::Kind::Ping(pb::Ping { stamp: 7 })) }.encode_to_vec();
    later.extend_from_slice(&[0xfa, 0x7f, 3, 1, 2, 3]);
    for frame in [
        Bytes::from(later),
        Bytes::new(),
        Bytes::from(vec![0xff; 1000]),
        Bytes::from(vec![7; limits::INPUT_BYTES]),
    ] {
        ws.send(frame.clone()).await;
        assert_eq!(ws.binary().await, frame);
    }
    ws.send(vec![9; limits::WEBSOCKET_MESSAGE_BYTES]).await;
    assert_eq!(ws.binary().await.len(), limits::WEBSOCKET_MESSAGE_BYTES, "the largest message passes");

    let open = attach();
    let seen = house.core.seen.calls(ATTACH).remove(0);
    for header in [
        format!("authorization: Ticket {}", open.ticket),
        format!("origin: {}", house.edge.origin),
        format!("chatcode-gateway: {}", open.gateway),
        format!("chatcode-session: {}", open.session),
    ] {
        assert!(seen.contains(&header), "{header} in {seen:?}");
    }
}

#[tokio::test]
async fn many_messages_keep_their_order() {
    let house = House::new().await;
    let mut ws = Ws::attached(&house.edge).await;
    for number in 0..500_u32 {
        ws.send(number.to_be_bytes().to_vec()).await;
    }
    for number in 0..500_u32 {
        assert_eq!(ws.binary().await, number.to_be_bytes().as_slice());
    }
}

#[tokio::test]
async fn the_end_of_a_call_closes_with_its_code() {
    let house = House::new().await;
    for code in [Code::SessionEnded, Code::Fenced, Code::GatewayOffline, Code::BadToken, Code::NotWriter] {
        let mut ws = Ws::attached(&house.edge).await;
        ws.send(format!("end {}", code.name())).await;
        let (number, reason) = ws.closed().await;
        assert_eq!((number, reason), (code.websocket(), format!("{}: as was asked", code.name())));
    }
    let mut ws = Ws::attached(&house.edge).await;
    ws.send("done").await;
    assert_eq!(ws.closed().await.0, 1000);
}

#[tokio::test]
async fn pings_are_answered_by_the_edge_and_not_passed_on() {
    let house = House::new().await;
    let mut ws = Ws::attached(&house.edge).await;
    ws.send("before").await;
    assert_eq!(ws.binary().await, "before");
    for stamp in [0, 1, u32::MAX] {
        ws.say(&format!("{{\"stamp\":{stamp}}}")).await;
        let Message::Text(text) = ws.next().await else { panic!("not a text message") };
        let pong: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
        let core = get(&house.edge, "/api/health").await.json()["core"].clone();
        assert_eq!(pong["stamp"], stamp);
        for field in ["up", "since_unix_ms"] {
            assert_eq!(pong["core"][field], core[field], "{field} in {text}");
        }
        assert!(pong["core"]["rtt_us"].is_u64(), "{text}");
    }
    for bad in ["", "ping", "{\"stamp\":\"x\"}", "{\"stamp\":1,\"more\":2}", &"[".repeat(5000)] {
        let mut ws = Ws::attached(&house.edge).await;
        ws.say(bad).await;
        assert_eq!(ws.closed().await.0, Code::Protocol.websocket(), "{:.20}", bad);
    }
    assert_eq!(ws.0.get_ref().peer_addr().expect("is open"), house.edge.address);
}

#[tokio::test]
async fn a_message_that_is_too_large_closes_its_socket_only() {
    let house = House::new().await;
    let mut bystander = Ws::attached(&house.edge).await;
    for first in [true, false] {
        let mut ws = if first { Ws::new(&house.edge).await } else { Ws::attached(&house.edge).await };
        ws.send(vec![0; limits::WEBSOCKET_MESSAGE_BYTES + 1]).await;
        assert_eq!(ws.closed().await.0, Code::TooLarge.websocket(), "first: {first}");
    }
    bystander.send("still here").await;
    assert_eq!(bystander.binary().await, "still here");
}

#[tokio::test]
async fn a_watch_is_one_message_and_then_news() {
    let house = House::new().await;
    let mut ws = Ws::new(&house.edge).await;
    let open =
        Open { method: FLEET_WATCH.to_owned(), gateway: String::new(), session: String::new(), ..attach() };
    ws.send(open.encode_to_vec()).await;
    ws.send(FleetWatchRequest {}.encode_to_vec()).await;
    let news = FleetWatchResponse::decode(ws.binary().await).expect("is one");
    assert_eq!(news.event, Some(pb::fleet_watch_response::Event::Synced(true)));
    ws.say("{\"stamp\":5}").await;
    assert!(matches!(ws.next().await, Message::Text(_)), "the socket is still read");
}

#[tokio::test]
async fn a_browser_that_leaves_ends_its_call() {
    let house = House::new().await;
    let mut attached = house.core.seen.attached.subscribe();
    let mut polite = Ws::attached(&house.edge).await;
    let rude = Ws::attached(&house.edge).await;
    soon(attached.wait_for(|count| *count == 2)).await.expect("the core is there");
    polite.0.close(None).await.expect("is closed");
    soon(attached.wait_for(|count| *count == 1)).await.expect("the core is there");
    drop(rude);
    soon(attached.wait_for(|count| *count == 0)).await.expect("the core is there");
}

#[tokio::test]
async fn a_call_that_goes_on_after_its_browser_left_is_cut_after_the_limit() {
    let house = House::new().await;
    let mut attached = house.core.seen.attached.subscribe();
    let mut ws = Ws::attached(&house.edge).await;
    ws.send("flood").await;
    assert_eq!(ws.binary().await, "flood");
    let begun = Instant::now();
    drop(ws);
    soon(attached.wait_for(|count| *count == 0)).await.expect("the core is there");
    let took = begun.elapsed();
    assert!(took >= limits::WEBSOCKET_CLOSE, "{took:?}");
}

#[tokio::test]
async fn an_edge_that_stops_tells_its_sockets_to_come_back() {
    let house = House::new().await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut ws = Ws::attached(&house.edge).await;
        ws.send("x").await;
        assert_eq!(ws.binary().await, "x");
        sockets.push(ws);
    }
    house.edge.stop.cancel();
    for ws in &mut sockets {
        let (code, reason) = ws.closed().await;
        assert_eq!(code, Code::Draining.websocket(), "{reason}");
    }
    soon(house.edge.serving).await.expect("ends well");
}
