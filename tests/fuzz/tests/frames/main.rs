//! Any bytes as frames: of a viewer to a session, of a session to a viewer, of
//! a daemon to a holder. All is refused with a cause or taken, and nothing
//! grows.
//!
//! An input is a script: steps of a kind, an argument and a body, with [`END`]
//! between them. The body of a frame is the tag of its kind and the message, so
//! that a change of the message leaves it a frame.

mod seeds;
mod session_end;
mod viewer_end;

use bytes::BytesMut;
use chatcode_fuzz::Target;
use chatcode_proto::{framing, limits, pb, session::Time};
use prost::Message as _;

use session_end::SessionEnd;
use viewer_end::ViewerEnd;

const TARGET: Target = Target { name: "frames", words: seeds::WORDS, usual: 20_000, case };
/// Steps of one script that are played.
const STEPS: usize = 512;
/// Ends a step.
pub(crate) const END: &[u8] = &[0xfe, 0xed];

#[test]
fn any_frames_are_taken_or_refused_with_a_cause_and_nothing_grows() {
    chatcode_fuzz::run(&TARGET, seeds::scripts());
}

/// One step of a script.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    pub(crate) kind: u8,
    pub(crate) argument: u8,
    pub(crate) body: &'a [u8],
}

/// What a step does.
pub(crate) mod kind {
    pub(crate) const ATTACH: u8 = 0;
    pub(crate) const CLIENT_FRAME: u8 = 1;
    pub(crate) const OUTPUT: u8 = 2;
    pub(crate) const WRITTEN: u8 = 3;
    pub(crate) const TIME: u8 = 4;
    pub(crate) const DRAIN: u8 = 5;
    pub(crate) const GONE: u8 = 6;
    pub(crate) const EXIT: u8 = 7;
    pub(crate) const RENAME: u8 = 8;
    pub(crate) const SERVER_FRAME: u8 = 9;
    pub(crate) const CONNECT: u8 = 10;
    pub(crate) const TYPE: u8 = 11;
    pub(crate) const SEND: u8 = 12;
    pub(crate) const RENDERED: u8 = 13;
    pub(crate) const LOST: u8 = 14;
    pub(crate) const WISH: u8 = 15;
    pub(crate) const HOLDER_REQUEST: u8 = 16;
    pub(crate) const STREAM: u8 = 17;
    pub(crate) const COUNT: u8 = 18;
}

fn steps(script: &[u8]) -> Vec<Step<'_>> {
    let (mut steps, mut rest) = (Vec::new(), script);
    while let [kind, argument, body @ ..] = rest
        && steps.len() < STEPS
    {
        let end = body.windows(END.len()).position(|window| window == END).unwrap_or(body.len());
        steps.push(Step { kind: kind % kind::COUNT, argument: *argument, body: &body[..end] });
        rest = body.get(end + END.len()..).unwrap_or_default();
    }
    steps
}

/// The encoded frame of a body.
pub(crate) fn frame_of(body: &[u8]) -> Vec<u8> {
    let Some((tag, message)) = body.split_first() else { return Vec::new() };
    let mut frame = vec![*tag];
    prost::encoding::encode_varint(message.len() as u64, &mut frame);
    frame.extend_from_slice(message);
    frame
}

fn case(input: &[u8]) -> Vec<u64> {
    let (mut session, mut viewer) = (SessionEnd::new(), ViewerEnd::new());
    let (mut now, mut last) = (Time::ZERO, 0);
    let mut sights = Vec::new();
    for step in steps(input) {
        let outcome = match step.kind {
            kind::TIME => {
                let number = u64::from(step.argument);
                now += Time::from_millis(number * number);
                session.time(now);
                viewer.time(now);
                0
            }
            kind::HOLDER_REQUEST => request(step.body),
            kind::STREAM => stream(step.argument, step.body),
            kind if kind < kind::SERVER_FRAME => session.step(now, step),
            _ => viewer.step(now, step),
        };
        // What follows on what, which frame it was, and what came of it.
        let frame = step.body.first().map_or(0, |tag| tag >> 3);
        let this = u64::from(step.kind) << 16 | u64::from(frame) << 8 | u64::from(outcome);
        sights.push(last << 32 | this);
        last = this;
    }
    sights
}

/// A holder's first message: refused, or the same when it is written again.
fn request(body: &[u8]) -> u8 {
    let Ok(request) = pb::HolderRequest::decode(body) else { return 0 };
    let again = pb::HolderRequest::decode(request.encode_to_vec().as_slice());
    assert_eq!(Ok(&request), again.as_ref(), "a request is another when it is written again: see");
    1
}

/// A byte stream of messages, whole and in pieces.
fn stream(argument: u8, body: &[u8]) -> u8 {
    let whole = messages([body].into_iter());
    let cut = messages(body.chunks(usize::from(argument).max(1)));
    assert_eq!(whole, cut, "a stream gives other messages in pieces: see");
    let (messages, is_refused) = whole;
    for message in &messages {
        let kinds =
            (pb::ClientFrame::decode(message.as_slice()), pb::ServerFrame::decode(message.as_slice()));
        if let Ok(frame) = kinds.0 {
            assert_eq!(pb::ClientFrame::decode(frame.encode_to_vec().as_slice()), Ok(frame), "again: see");
        }
        if let Ok(frame) = kinds.1 {
            assert_eq!(pb::ServerFrame::decode(frame.encode_to_vec().as_slice()), Ok(frame), "again: see");
        }
    }
    messages.len().min(100) as u8 * 2 + u8::from(is_refused)
}

/// The messages of a stream, and whether it ended with a refusal.
fn messages<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
    let (mut buffer, mut messages) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match framing::take(&mut buffer, limits::CLIENT_FRAME_BYTES) {
                Ok(Some(message)) => messages.push(message.to_vec()),
                Ok(None) => break,
                Err(refusal) => {
                    assert!(refusal.announced > limits::CLIENT_FRAME_BYTES, "refused without a cause");
                    return (messages, true);
                }
            }
        }
        let most = 4 * (limits::CLIENT_FRAME_BYTES + framing::HEAD);
        assert!(buffer.capacity() <= most, "a buffer of {} bytes", buffer.capacity());
    }
    (messages, false)
}
