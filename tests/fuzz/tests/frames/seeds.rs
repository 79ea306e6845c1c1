//! Scripts that follow the rules, to be led astray from there, and the words
//! that they are led astray with.

use chatcode_proto::{
    framing, limits,
    pb::{self, client_frame, server_frame},
};
use prost::Message as _;

use crate::{END, kind};

/// Steps without a body, numbers at the edge as they are encoded, and the tags
/// of frames.
pub(crate) const WORDS: &[&[u8]] = &[
    &[0xfe, 0xed, kind::DRAIN, 0, 0xfe, 0xed],
    &[0xfe, 0xed, kind::DRAIN, 1, 0xfe, 0xed],
    &[0xfe, 0xed, kind::TIME, 8, 0xfe, 0xed],
    &[0xfe, 0xed, kind::TIME, 40, 0xfe, 0xed],
    &[0xfe, 0xed, kind::TIME, 255, 0xfe, 0xed],
    &[0xfe, 0xed, kind::WRITTEN, 1, 0xfe, 0xed],
    &[0xfe, 0xed, kind::WRITTEN, 255, 0xfe, 0xed],
    &[0xfe, 0xed, kind::GONE, 0, 0xfe, 0xed],
    &[0xfe, 0xed, kind::GONE, 1, 0xfe, 0xed],
    &[0xfe, 0xed, kind::EXIT, 0, 0xfe, 0xed],
    &[0xfe, 0xed, kind::CONNECT, 0, 0xfe, 0xed],
    &[0xfe, 0xed, kind::SEND, 0, 0xfe, 0xed],
    &[0xfe, 0xed, kind::LOST, 0, 0xfe, 0xed],
    &[0xfe, 0xed, kind::RENDERED, 255, 0xfe, 0xed],
    &[0xfe, 0xed, kind::TYPE, 0, b'a', b'b', 0xfe, 0xed],
    &[0xfe, 0xed, kind::TYPE, 255, b'a', b'b', b'c', 0xfe, 0xed],
    &[0xfe, 0xed, kind::OUTPUT, 0, b'x', b'?', 0xfe, 0xed],
    &[0xfe, 0xed, kind::OUTPUT, 255, b'x', b'T', 0xfe, 0xed],
    &[0xfe, 0xed, kind::WISH, 3, 0, 0, 0xfe, 0xed],
    &[0xfe, 0xed],
    &[0xfe, 0xed, kind::SERVER_FRAME, 0],
    &[0xfe, 0xed, kind::CLIENT_FRAME, 1],
    &[0xfe, 0xed, kind::ATTACH, 1],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x80, 0x80, 0x40],
    &[0x80, 0x80, 0x02],
    &[0x08, 0x00],
    &[0x08, 0x01],
    &[0x0a, 0x02, 0x08, 0x01],
    &[0x12, 0x02, 0x08, 0x01],
    &[0x12, 0x00],
    &[0x1a, 0x00],
    &[0x3a, 0x00],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x00, 0x01, 0x00, 0x00],
];

pub(crate) fn scripts() -> Vec<Vec<u8>> {
    vec![
        typing(),
        watching(),
        handing_over(),
        viewing(),
        reconnecting(),
        strange_numbers(),
        requests(),
        crowd(),
        last_numbers(),
        last_input(),
    ]
}

fn step(kind: u8, argument: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, argument], body, END].concat()
}

/// The body of a frame's step: its tag and its message, without the length.
fn body(frame: &impl prost::Message) -> Vec<u8> {
    let mut frame = frame.encode_to_vec();
    let length = frame[1..].iter().position(|byte| *byte < 0x80).map_or(0, |last| last + 1);
    frame.drain(1..=length);
    frame
}

fn bare(kind: u8, argument: u8) -> Vec<u8> {
    step(kind, argument, b"")
}

fn attach(conn: u8, viewer: u8, resume: Option<pb::Resume>) -> Vec<u8> {
    let attach = pb::Attach {
        versions: limits::FRAME_VERSIONS.to_vec(),
        viewer_id: vec![viewer; 16].into(),
        role: pb::Role::Writer.into(),
        winsize: Some(pb::Winsize { rows: 30, cols: 90 + u32::from(viewer) }),
        window_bytes: limits::WINDOW_MIN_BYTES,
        history_lines: 100,
        resume,
        ..Default::default()
    };
    step(kind::ATTACH, conn, &attach.encode_to_vec())
}

fn client(conn: u8, kind: client_frame::Kind) -> Vec<u8> {
    step(kind::CLIENT_FRAME, conn, &body(&pb::ClientFrame { kind: Some(kind) }))
}

fn input(conn: u8, offset: u64, data: &'static [u8]) -> Vec<u8> {
    client(conn, client_frame::Kind::Input(pb::Input { offset, data: data.into() }))
}

fn server(kind: server_frame::Kind) -> Vec<u8> {
    step(kind::SERVER_FRAME, 0, &body(&pb::ServerFrame { kind: Some(kind) }))
}

fn attached(epoch: u64, offset: u64, input_offset: u64) -> Vec<u8> {
    server(server_frame::Kind::Attached(pb::Attached {
        version: 1,
        epoch,
        offset,
        live_offset: offset,
        input_offset,
        role: pb::Role::Writer.into(),
        viewer: 1,
        refused: vec![refused(0, 1)],
        ..Default::default()
    }))
}

fn output(offset: u64, data: &'static [u8]) -> Vec<u8> {
    server(server_frame::Kind::Output(pb::Output { offset, data: data.into() }))
}

fn snapshot(offset: u64, part: u32, parts: u32) -> Vec<u8> {
    let data = b"drawn".as_slice().into();
    server(server_frame::Kind::Snapshot(pb::Snapshot { offset, part, parts, data, ..Default::default() }))
}

fn presence(writer: u32) -> Vec<u8> {
    server(server_frame::Kind::Presence(pb::Presence { viewers: Vec::new(), writer }))
}

const fn refused(from: u64, to: u64) -> pb::InputRefused {
    pb::InputRefused { from, to, code: pb::Code::NotWriter as i32 }
}

fn typing() -> Vec<u8> {
    [
        attach(1, 1, None),
        bare(kind::DRAIN, 1),
        input(1, 0, b"abc"),
        input(1, 2, b"cde"),
        bare(kind::WRITTEN, 2),
        step(kind::OUTPUT, 3, b"abc?"),
        bare(kind::DRAIN, 1),
        client(1, client_frame::Kind::Credit(pb::Credit { rendered_bytes: 20, window_bytes: 65_536 })),
        client(
            1,
            client_frame::Kind::Resize(pb::Resize { winsize: Some(pb::Winsize { rows: 1, cols: 5000 }) }),
        ),
        client(1, client_frame::Kind::Ping(pb::Ping { stamp: 7 })),
        bare(kind::TIME, 8),
        client(1, client_frame::Kind::Detach(pb::Detach {})),
    ]
    .concat()
}

fn watching() -> Vec<u8> {
    [
        attach(1, 1, None),
        attach(5, 2, None),
        step(kind::OUTPUT, 255, &[b'T'; 250]),
        bare(kind::DRAIN, 1),
        bare(kind::DRAIN, 5),
        step(kind::OUTPUT, 255, &[b'x'; 250]),
        client(5, client_frame::Kind::SnapshotRequest(pb::SnapshotRequest { history_lines: 2000 })),
        client(5, client_frame::Kind::Credit(pb::Credit { rendered_bytes: 32_768, window_bytes: 0 })),
        bare(kind::DRAIN, 5),
        step(kind::OUTPUT, 255, &[b'x'; 250]),
        bare(kind::TIME, 10),
        bare(kind::EXIT, 0),
        bare(kind::DRAIN, 1),
        attach(2, 1, Some(pb::Resume { epoch: 7, offset: 40_000, redraw: false })),
        bare(kind::TIME, 10),
    ]
    .concat()
}

fn handing_over() -> Vec<u8> {
    let take = |conn| client(conn, client_frame::Kind::TakeLease(pb::TakeLease {}));
    [
        attach(1, 1, None),
        attach(2, 2, None),
        input(1, 0, b"one"),
        input(2, 0, b"refused"),
        take(2),
        input(2, 7, b"two"),
        client(2, client_frame::Kind::HandOverLease(pb::HandOverLease { viewer: 1 })),
        input(1, 3, b"again"),
        bare(kind::GONE, 1),
        bare(kind::TIME, 110),
        take(2),
        attach(3, 2, Some(pb::Resume { epoch: 7, offset: 0, redraw: true })),
        client(3, client_frame::Kind::Theme(pb::Theme { foreground: 1, background: 2, cursor: 3 })),
        step(kind::RENAME, 0, "name".as_bytes()),
        bare(kind::EXIT, 0),
        bare(kind::TIME, 10),
    ]
    .concat()
}

fn viewing() -> Vec<u8> {
    [
        bare(kind::CONNECT, 0),
        attached(7, 0, 0),
        presence(1),
        step(kind::TYPE, 40, b"typed"),
        bare(kind::SEND, 0),
        output(0, b"hello"),
        step(kind::RENDERED, 5, b""),
        server(server_frame::Kind::InputConfirmed(pb::InputConfirmed { offset: 3 })),
        server(server_frame::Kind::InputRefused(refused(3, 5))),
        server(server_frame::Kind::InputRefused(refused(2, 9))),
        server(server_frame::Kind::Pong(pb::Pong { stamp: 1 })),
        snapshot(500, 0, 2),
        snapshot(500, 1, 2),
        output(500, b"x"),
        presence(2),
        server(server_frame::Kind::Exited(pb::Exited { offset: 501, exit: None })),
        bare(kind::TIME, 80),
    ]
    .concat()
}

fn reconnecting() -> Vec<u8> {
    [
        step(kind::TYPE, 0, b"before"),
        bare(kind::CONNECT, 0),
        attached(7, 0, 0),
        presence(0),
        bare(kind::SEND, 0),
        snapshot(9, 0, 3),
        bare(kind::LOST, 0),
        bare(kind::CONNECT, 0),
        attached(7, 0, 3),
        presence(1),
        bare(kind::SEND, 0),
        bare(kind::CONNECT, 0),
        attached(7, 0, 1 << 30),
        bare(kind::CONNECT, 0),
        attached(8, 5, 0),
        step(kind::WISH, 200, b"12"),
        bare(kind::SEND, 0),
    ]
    .concat()
}

/// Numbers that no session comes to.
fn strange_numbers() -> Vec<u8> {
    [
        attach(1, 1, Some(pb::Resume { epoch: 7, offset: u64::MAX, redraw: false })),
        attach(1, 1, Some(pb::Resume { epoch: u64::MAX, offset: u64::MAX, redraw: true })),
        input(1, u64::MAX, b"x"),
        attach(1, 1, None),
        client(
            1,
            client_frame::Kind::Credit(pb::Credit { rendered_bytes: u64::MAX, window_bytes: u32::MAX }),
        ),
        attach(1, 1, None),
        client(1, client_frame::Kind::HandOverLease(pb::HandOverLease { viewer: u32::MAX })),
        client(1, client_frame::Kind::SnapshotRequest(pb::SnapshotRequest { history_lines: u32::MAX })),
        bare(kind::TIME, 255),
        bare(kind::CONNECT, 0),
        attached(u64::MAX, 1 << 62, 1 << 62),
        presence(u32::MAX),
        server(server_frame::Kind::InputConfirmed(pb::InputConfirmed { offset: u64::MAX })),
        server(server_frame::Kind::InputRefused(refused(u64::MAX, 0))),
        snapshot(u64::MAX, u32::MAX, u32::MAX),
    ]
    .concat()
}

fn requests() -> Vec<u8> {
    let attach = pb::HolderAttach { principal: "person/1".to_owned(), ..Default::default() };
    let verbs = [
        pb::holder_request::Verb::Attach(attach),
        pb::holder_request::Verb::Watch(pb::HolderWatch {}),
        pb::holder_request::Verb::Rename(pb::HolderRename { name: "new".to_owned() }),
        pb::holder_request::Verb::End(pb::HolderEnd { force: true }),
    ];
    let mut stream = bytes::BytesMut::new();
    let mut script = Vec::new();
    for verb in verbs {
        let request = pb::HolderRequest { versions: vec![1], verb: Some(verb) };
        framing::put(&mut stream, &request);
        script.extend(step(kind::HOLDER_REQUEST, 0, &request.encode_to_vec()));
    }
    [
        script,
        step(kind::STREAM, 3, &stream),
        step(kind::STREAM, 1, &[0xff; 9]),
        step(kind::STREAM, 1, &[0, 1, 0, 0]),
    ]
    .concat()
}

/// More viewers than a session takes.
fn crowd() -> Vec<u8> {
    (0..40).flat_map(|viewer| [attach(viewer, viewer, None), input(viewer, 0, b"x")].concat()).collect()
}

/// Output up to the last number there is.
fn last_numbers() -> Vec<u8> {
    [
        bare(kind::CONNECT, 0),
        attached(7, u64::MAX - 2, 0),
        output(u64::MAX - 2, b"hello"),
        snapshot(u64::MAX, 0, 1),
    ]
    .concat()
}

/// Input up to the last number there is.
fn last_input() -> Vec<u8> {
    [
        bare(kind::CONNECT, 0),
        attached(7, 0, u64::MAX - 2),
        presence(1),
        step(kind::TYPE, 0, b"typed"),
        bare(kind::SEND, 0),
        presence(2),
    ]
    .concat()
}
