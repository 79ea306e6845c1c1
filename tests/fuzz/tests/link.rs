//! Any bytes on a link: the messages of a stream, whole and in pieces, and the first
//! words of both ends. What is passed on is passed on as it came, nothing beyond its
//! limit is waited for, and nobody agrees on what both do not have.
#![expect(clippy::expect_used, reason = "what a target needs and does not get fails it")]

use bytes::Bytes;
use chatcode_fuzz::{Target, sight, size};
use chatcode_link::{codec::OpaqueDecoder, enroll, renew};
use chatcode_proto::{
    code::Refusal,
    limits, negotiate,
    pb::{self, Code, core_control, gateway_control},
};
use futures_util::{FutureExt as _, stream};
use http_body_util::StreamBody;
use prost::Message as _;
use tonic::codec::Streaming;

const TARGET: Target = Target { name: "link", words: WORDS, usual: 10_000, case };
/// What this end of a negotiation has.
const FEATURES: &[&str] = &["a", "b"];
const WORDS: &[&[u8]] = &[
    &[0, 0, 0, 0, 0],
    &[0, 0, 0, 0, 2],
    &[0, 0, 0, 0x40, 0],
    &[0, 0xff, 0xff, 0xff, 0xff],
    &[1, 0, 0, 0, 1],
    &[0x80, 0, 0, 0, 0],
    &[0x0a, 0x02, 0x08, 0x01],
    &[0x12, 0x00],
    &[0x1a, 0x00],
    &[0x22, 0x00],
    &[0x2a, 0x00],
    &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    b"\x1b[2J",
    b"\xe2\x80\xae",
];

#[test]
fn any_bytes_on_a_link_are_messages_as_they_came_or_refused() {
    chatcode_fuzz::run(&TARGET, seeds());
}

/// What a gateway and a core say to each other.
fn seeds() -> Vec<Vec<u8>> {
    use core_control::Kind as FromCore;
    use gateway_control::Kind as FromGateway;
    let hello = pb::Hello {
        versions: limits::LINK_VERSIONS.to_vec(),
        features: vec!["a".into(), "c".into()],
        instance: vec![7; 16].into(),
        host: Some(pb::HostFacts { hostname: "attic".into(), os: "linux".into(), ..Default::default() }),
        epoch: 3,
        ..Default::default()
    };
    let echo = pb::HeartbeatEcho { number: 1, core_sent_us: u64::MAX, ..Default::default() };
    let from_gateway = [
        FromGateway::Hello(hello),
        FromGateway::HeartbeatEcho(echo),
        FromGateway::RenewRequest(pb::RenewRequest { csr: vec![0x30, 0x80].into() }),
        FromGateway::Trusts(pb::Trusts { pins: vec![vec![1; 32].into()] }),
        FromGateway::Goodbye(pb::Goodbye { code: Code::Draining.into() }),
    ];
    let trust = pb::Trust { roots: vec![vec![0x30].into()], bridges: vec![vec![0x30].into()] };
    let welcome = pb::Welcome { version: 1, epoch: 4, trust: Some(trust.clone()), ..Default::default() };
    let from_core = [
        FromCore::Welcome(welcome),
        FromCore::Heartbeat(pb::Heartbeat { number: 1, core_sent_us: 2, last_rtt_us: 3 }),
        FromCore::Drain(pb::Drain { retry_after_ms: u32::MAX }),
        FromCore::Revoked(pb::Revoked { message: "out".into() }),
        FromCore::Trust(trust),
        FromCore::RenewRefused(pb::RenewRefused { code: Code::Invalid.into(), message: "no".into() }),
    ];
    let gateway = from_gateway.map(|kind| framed(&pb::GatewayControl { kind: Some(kind) }.encode_to_vec()));
    let core = from_core.map(|kind| framed(&pb::CoreControl { kind: Some(kind) }.encode_to_vec()));
    let mut seeds = vec![gateway.concat(), core.concat()];
    seeds.extend(gateway.into_iter().chain(core));
    seeds
}

/// A message as gRPC writes it.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("is short");
    [&[0], &length.to_be_bytes()[..], message].concat()
}

fn case(input: &[u8]) -> Vec<u64> {
    let whole = received([input].into_iter());
    let width = usize::from(input.first().copied().unwrap_or_default()) % 16 + 1;
    assert_eq!(received(input.chunks(width)), whole, "a stream gives other messages in pieces: see");
    let (messages, refused) = whole;
    let read: usize = messages.iter().map(|message| message.len() + framed(&[]).len()).sum();
    assert!(read <= input.len(), "more was received than was sent");
    let again: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
    assert!(input.starts_with(&again), "a message is passed on as another: see");
    let mut sights = vec![sight((size(messages.len()), refused))];
    sights.extend(messages.iter().map(|message| control(message)));
    sights
}

/// The messages of a stream, and how it ended before its end.
fn received<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Bytes>, Option<i32>) {
    let frames: Vec<_> = pieces
        .map(|piece| Ok::<_, tonic::Status>(http_body::Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    let body = StreamBody::new(stream::iter(frames));
    let mut stream = Streaming::new_request(OpaqueDecoder, body, None, Some(limits::CONTROL_BYTES));
    let mut messages = Vec::new();
    loop {
        match stream.message().now_or_never().expect("all of it is there") {
            Ok(Some(message)) => {
                assert!(message.len() <= limits::CONTROL_BYTES, "a message beyond its limit");
                messages.push(message);
            }
            Ok(None) => return (messages, None),
            Err(status) => return (messages, Some(i32::from(status.code()))),
        }
    }
}

/// One message as either end reads it.
fn control(message: &[u8]) -> u64 {
    let gateway = pb::GatewayControl::decode(message).ok();
    let core = pb::CoreControl::decode(message).ok();
    if let Some(decoded) = &gateway {
        let again = pb::GatewayControl::decode(decoded.encode_to_vec().as_slice());
        assert_eq!(again.as_ref(), Ok(decoded), "a message is another when it is written again: see");
    }
    if let Some(decoded) = &core {
        let again = pb::CoreControl::decode(decoded.encode_to_vec().as_slice());
        assert_eq!(again.as_ref(), Ok(decoded), "a message is another when it is written again: see");
    }
    let from_gateway = match gateway.and_then(|message| message.kind) {
        Some(gateway_control::Kind::Hello(hello)) => greeted(&hello),
        Some(gateway_control::Kind::Goodbye(goodbye)) => number(goodbye.code()),
        Some(_) => 1,
        None => 0,
    };
    let from_core = match core.and_then(|message| message.kind) {
        Some(core_control::Kind::Welcome(welcome)) => believed(welcome.trust.as_ref()),
        Some(core_control::Kind::Trust(trust)) => believed(Some(&trust)),
        Some(core_control::Kind::Renewed(renewed)) => {
            let chain = enroll::certificates(&renewed.chain);
            assert_eq!(chain.len(), renewed.chain.len(), "a chain of another length: see");
            3
        }
        Some(_) => 1,
        None => 0,
    };
    sight(("control", from_gateway, from_core))
}

/// What a core makes of the first message.
fn greeted(hello: &pb::Hello) -> u32 {
    let version = negotiate::version("link", limits::LINK_VERSIONS, &hello.versions);
    let features = negotiate::features(FEATURES, &hello.features);
    if let Ok(version) = version {
        assert!(limits::LINK_VERSIONS.contains(&version), "a version that we do not have: {version}");
        assert!(hello.versions.contains(&version), "a version that they do not have: {version}");
    }
    if let Ok(features) = &features {
        let both = |one: &String| FEATURES.contains(&one.as_str()) && hello.features.contains(one);
        assert!(features.iter().all(both), "a feature that not both have: {features:?}");
    }
    let outcome = |refused: Result<(), Refusal>| refused.map_or_else(|refusal| number(refusal.code), |()| 0);
    outcome(version.map(|_| ())) << 8 | outcome(features.map(|_| ()))
}

/// What a gateway that trusts nobody yet makes of what it is told of trust: nothing.
fn believed(told: Option<&pb::Trust>) -> u32 {
    let trust = renew::trust(told);
    let judged = trust.judge(&[]);
    assert!(judged.is_err() || trust.roots.is_empty(), "a root is believed that nobody has signed");
    2 + u32::from(judged.is_ok())
}

/// The number of a code.
fn number(code: Code) -> u32 {
    u32::try_from(i32::from(code)).unwrap_or_default()
}
