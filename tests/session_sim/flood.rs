//! A program that prints without end, and a viewer at some distance: a link
//! with a delay and a rate, in steps of a part of a millisecond.

use std::collections::VecDeque;

use chatcode_proto::{
    code::Refusal,
    limits, pb,
    session::{Config, ConnId, Session, Who},
    viewer::{Event, Viewer},
};

use crate::{
    reference::{Time, printed},
    screen::Tape,
};

const STEP: Time = Time::from_micros(250);
/// What a program prints at most, bytes in a second.
const PRINTED_PER_SECOND: u64 = 80_000_000;
/// No flood takes longer if the rules are right.
const LONGEST: Time = Time::from_secs(100);
/// What is drawn before the rules are told of it, as the page does.
const PIECE: usize = 16 * 1024;
const CONN: ConnId = ConnId(1);

/// A way from the holder to a screen and back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// What the screen and the link carry, bytes in a second.
    pub(crate) rate: u64,
    pub(crate) one_way: Time,
    /// The viewer is not scheduled for this long, every 300 ms.
    pub(crate) hiccup: Time,
    /// The viewer stalls for good after this many bytes.
    pub(crate) stalls_after: u64,
}

/// What came of a flood.
#[derive(Debug, Default)]
pub(crate) struct Flood {
    pub(crate) shown: u64,
    pub(crate) skipped: u64,
    /// How long the program had to wait.
    pub(crate) held: Time,
}

/// Prints `bytes` as quickly as the rules let it, until all is shown or named
/// as skipped; for a viewer that has stalled, until all is printed.
///
/// # Errors
/// When one end does not follow the rules.
pub(crate) fn flood(bytes: u64, way: Way) -> Result<Flood, Refusal> {
    let winsize = pb::Winsize { rows: 24, cols: 80 };
    let config = Config { epoch: 1, log_bytes: limits::LOG_BYTES, winsize, name: "flood".to_owned() };
    let mut session = Session::new(config, Tape::default());
    let mut viewer = Viewer::new([1; 16], pb::Role::Writer, None);
    let (mut up, mut down) = (VecDeque::from([(Time::ZERO, viewer.attach())]), VecDeque::new());
    let mut result = Flood::default();
    let (mut now, mut end) = (Time::ZERO, 0);
    // Bytes that came and are not on the screen.
    let mut waiting = 0;
    // What the link and the screen may still take in this step.
    let mut budget = 0.0;
    let per_step = way.rate as f64 * STEP.as_secs_f64();
    while end < bytes || result.shown + result.skipped < end {
        now += STEP;
        if (end == bytes && result.shown >= way.stalls_after) || now > LONGEST {
            break;
        }
        while let Some((_, frame)) = up.pop_front_if(|(at, _): &mut (Time, pb::ClientFrame)| *at <= now) {
            handle(&mut session, now, frame)?;
        }
        if session.next_timeout().is_some_and(|due| due <= now) {
            session.handle_timeout(now);
        }
        // The shell reads, sends, reads again: several turns in a step.
        let mut left = (PRINTED_PER_SECOND as f64 * STEP.as_secs_f64()) as u64;
        while left > 0 && end < bytes && session.wants_output(now) {
            let len = left.min(4096).min(bytes - end);
            printed(1, end, len as usize).for_each(|piece| session.handle_output(now, piece));
            (end, left) = (end + len, left - len);
            while let Some(frame) = session.poll_frame(now, CONN) {
                down.push_back((now + way.one_way, frame));
            }
        }
        while let Some(frame) = session.poll_frame(now, CONN) {
            down.push_back((now + way.one_way, frame));
        }
        if end < bytes && !session.wants_output(now) {
            result.held += STEP;
        }
        let is_away = now.as_millis() % 300 < way.hiccup.as_millis() || result.shown >= way.stalls_after;
        budget = if is_away { 0.0 } else { (budget + per_step).min(per_step * 4.0) };
        while budget > 0.0 {
            if waiting > 0 {
                let piece = waiting.min(PIECE);
                waiting -= piece;
                budget -= piece as f64;
                viewer.handle_rendered(now, piece);
                continue;
            }
            let arrived = |(at, _): &mut (Time, pb::ServerFrame)| *at <= now;
            let Some((_, frame)) = down.pop_front_if(arrived) else { break };
            for event in viewer.handle_frame(now, frame)? {
                match event {
                    Event::Output(data) => {
                        waiting += data.len();
                        result.shown += data.len() as u64;
                    }
                    Event::Snapshot(part) => {
                        waiting += part.data.len();
                        result.skipped = part.offset - result.shown;
                    }
                    _ => {}
                }
            }
        }
        while let Some(frame) = viewer.poll_frame(now) {
            up.push_back((now + way.one_way, frame));
        }
        while session.poll_action(now).is_some() {}
    }
    Ok(result)
}

fn handle(session: &mut Session<Tape>, now: Time, frame: pb::ClientFrame) -> Result<(), Refusal> {
    if let Some(pb::client_frame::Kind::Attach(attach)) = frame.kind {
        let who = Who { principal: "p".to_owned(), display_name: "P".to_owned(), role: pb::Role::Writer };
        session.handle_attach(now, CONN, who, pb::Session::default(), attach)
    } else {
        session.handle_frame(now, CONN, frame)
    }
}
