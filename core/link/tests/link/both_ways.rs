//! Calls in both directions over one link.

use std::pin::pin;

use bytes::Bytes;
use chatcode_certs::Peer;
use chatcode_link::codec::OpaqueCodec;
use chatcode_proto::{
    limits, metadata,
    pb::{ClientFrame, Code, Ping, Pong, ServerFrame, client_frame, server_frame},
};
use futures_util::stream;
use prost::Message as _;
use tokio::{task::JoinSet, time::timeout};
use tonic::Request;

use crate::world::{Over, Pings, SOON, World, flood, who};

/// Each of these holds whatever the link runs over.
macro_rules! over_each {
    ($($test:ident),* $(,)?) => {
        mod quic {
            $(#[tokio::test] async fn $test() { super::$test(super::Over::Quic).await })*
        }
        mod tcp {
            $(#[tokio::test] async fn $test() { super::$test(super::Over::Tcp).await })*
        }
    };
}

over_each!(
    both_ends_call_and_serve_at_once,
    each_end_sees_the_other_by_its_certificate,
    a_stream_that_nobody_reads_holds_up_no_other,
    answers_that_nobody_reads_hold_up_no_other_on_the_shared_stream,
    an_answer_that_is_dropped_ends_its_call_and_harms_nothing,
    calls_on_the_shared_stream_outlive_each_other,
    messages_pass_unopened_as_bytes,
    streams_are_given_back,
    many_terminals_are_open_at_once,
    a_close_says_its_cause_at_both_ends_and_ends_what_runs,
);

async fn both_ends_call_and_serve_at_once(over: Over) {
    let world = World::new();
    let link = world.link_over(over).await;
    let (mut to_gateway, mut to_core) =
        (Pings::open(link.core.channel()).await.unwrap(), Pings::open(link.gateway.channel()).await.unwrap());
    for stamp in 1..200 {
        let (one, other) = tokio::join!(to_gateway.ping(stamp), to_core.ping(stamp));
        one.unwrap();
        other.unwrap();
    }
}

async fn each_end_sees_the_other_by_its_certificate(over: Over) {
    let world = World::new();
    let link = world.link_over(over).await;
    let (core, gateway) = (world.core.name().to_string(), link.who.name().to_string());
    assert_eq!(who(link.core.unary()).await.unwrap(), ("gateway".to_owned(), core.clone()));
    assert_eq!(who(link.gateway.unary()).await.unwrap(), ("core".to_owned(), gateway.clone()));
    assert_eq!(Peer::from_chain(&link.core.peer_chain()).unwrap().name.to_string(), gateway);
    assert_eq!(Peer::from_chain(&link.gateway.peer_chain()).unwrap().name.to_string(), core);
}

async fn a_stream_that_nobody_reads_holds_up_no_other(over: Over) {
    let world = World::new();
    let link = world.link_over(over).await;
    // Never read: they fill their windows, together more than the link's own.
    let mut unread = vec![];
    for _ in 0..=limits::LINK_CONNECTION_WINDOW / limits::HTTP2_STREAM_WINDOW {
        unread.push(flood(link.core.channel()).await);
    }
    let mut pings = Pings::open(link.core.channel()).await.unwrap();
    timeout(SOON, async {
        for stamp in 1..500 {
            pings.ping(stamp).await.unwrap();
        }
        who(link.core.unary()).await.unwrap();
    })
    .await
    .unwrap();
    drop(unread);
}

/// Two answers that nobody read once took the window of all unary calls.
async fn answers_that_nobody_reads_hold_up_no_other_on_the_shared_stream(over: Over) {
    let world = World::new();
    let link = world.link_over(over).await;
    let mut unread = vec![];
    for _ in 0..8 {
        unread.push(flood(link.core.unary()).await);
    }
    timeout(SOON, who(link.core.unary())).await.unwrap().unwrap();
    drop(unread);
}

async fn an_answer_that_is_dropped_ends_its_call_and_harms_nothing(over: Over) {
    let world = World::new();
    let link = world.link_over(over).await;
    let mut ended = link.at_gateway.floods_ended.subscribe();
    let mut pings = Pings::open(link.core.channel()).await.unwrap();
    for round in 1..20 {
        let mut flood = flood(link.core.channel()).await;
        flood.answers.message().await.unwrap().unwrap();
        drop(flood);
        timeout(SOON, ended.wait_for(|count| *count == round)).await.unwrap().unwrap();
        pings.ping(u64::from(round)).await.unwrap();
    }
}

async fn calls_on_the_shared_stream_outlive_each_other(over: Over) {
    let world = World::new();
    let link = world.link_over(over).await;
    // A call on it that is given up while it floods.
    drop(flood(link.core.unary()).await);
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        calls.spawn(who(link.core.unary()));
    }
    for answer in calls.join_all().await {
        assert_eq!(answer.unwrap().0, "gateway");
    }
}

async fn messages_pass_unopened_as_bytes(over: Over) {
    let world = World::new();
    let link = world.link_over(over).await;
    let mut grpc = tonic::client::Grpc::new(link.core.channel());
    grpc.ready().await.unwrap();
    let kind = client_frame::Kind::Ping(Ping { stamp: 7 });
    let mut message = ClientFrame { kind: Some(kind) }.encode_to_vec();
    // A field of a later version: number 100, a varint.
    message.extend_from_slice(&[0xa0, 0x06, 0x01]);
    let asked = Request::new(stream::once(async { Bytes::from(message) }));
    let path = http::uri::PathAndQuery::from_static(metadata::ATTACH);
    let mut answers = grpc.streaming(asked, path, OpaqueCodec).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    let pong = ServerFrame { kind: Some(server_frame::Kind::Pong(Pong { stamp: 7 })) };
    assert_eq!(answer, pong.encode_to_vec());
    assert_eq!(answers.message().await.unwrap(), None);
}

async fn streams_are_given_back(over: Over) {
    let world = World::new();
    let link = world.link_over(over).await;
    timeout(SOON, async {
        for _ in 0..limits::LINK_STREAMS + 50 {
            who(link.core.channel()).await.unwrap();
        }
    })
    .await
    .unwrap();
}

async fn many_terminals_are_open_at_once(over: Over) {
    let world = World::new();
    let link = world.link_over(over).await;
    let mut open = vec![];
    for _ in 0..300 {
        open.push(timeout(SOON, Pings::open(link.core.channel())).await.unwrap().unwrap());
    }
    for pings in &mut open {
        pings.ping(1).await.unwrap();
    }
}

async fn a_close_says_its_cause_at_both_ends_and_ends_what_runs(over: Over) {
    let world = World::new();
    let mut link = world.link_over(over).await;
    let mut pings = Pings::open(link.gateway.channel()).await.unwrap();
    link.core.close(Code::Revoked, &"not wanted any more, ".repeat(100));
    link.core.close(Code::Done, "too late");

    let end = timeout(SOON, link.gateway.closed()).await.unwrap();
    assert_eq!((end.code, end.by_peer), (Some(Code::Revoked), true));
    assert!(end.reason.starts_with("not wanted") && end.reason.len() <= limits::MESSAGE_BYTES);
    let mine = link.core.closed().await;
    assert_eq!((mine.code, mine.by_peer), (Some(Code::Revoked), false));
    assert_eq!(link.core.close_reason(), Some(mine));

    timeout(SOON, pings.ping(1)).await.unwrap().unwrap_err();
    timeout(SOON, who(link.gateway.channel())).await.unwrap().unwrap_err();
    timeout(SOON, who(link.gateway.unary())).await.unwrap().unwrap_err();
    // What was served on the link ends with it.
    timeout(SOON, async { while link.servers.join_next().await.is_some() {} }).await.unwrap();
}

#[tokio::test]
async fn a_listener_that_stops_says_so_and_takes_no_more() {
    let world = World::new();
    let link = world.link().await;
    link.listener.close();
    let end = timeout(SOON, link.gateway.closed()).await.unwrap();
    assert_eq!((end.code, end.by_peer), (Some(Code::Draining), true));
    assert!(link.listener.accept().await.is_none());
    timeout(SOON, link.listener.wait_idle()).await.unwrap();
}

#[tokio::test]
async fn a_gateway_s_streams_beyond_the_limit_wait_until_others_end() {
    let world = World::new();
    let link = world.link().await;
    let mut open = vec![];
    for _ in 0..limits::LINK_STREAMS_TO_CORE {
        open.push(timeout(SOON, Pings::open(link.gateway.channel())).await.unwrap().unwrap());
    }
    let mut beyond = pin!(Pings::open(link.gateway.channel()));
    let others = async {
        for stamp in 1..=20 {
            for pings in &mut open {
                pings.ping(stamp).await.unwrap();
            }
        }
    };
    tokio::select! {
        _ = &mut beyond => panic!("one more than the limit"),
        () = others => {}
    }
    // QUIC tells of room when an eighth of the limit is free again, and more.
    open.truncate(open.len() / 2);
    timeout(SOON, beyond).await.unwrap().unwrap();
}
