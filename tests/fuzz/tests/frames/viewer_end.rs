//! The viewer that a script plays with, as a shell drives it, and what has to
//! hold after every step.

use bytes::Bytes;
use chatcode_proto::{
    limits,
    pb::{self, client_frame},
    session::Time,
    viewer::{Event, Viewer},
};
use prost::Message as _;

use crate::{Step, frame_of, kind, session_end::judged};

/// Frames that are sent at a time at most; more never ends.
const FRAMES: usize = 4096;

#[derive(Debug)]
pub(crate) struct ViewerEnd {
    viewer: Viewer,
}

impl ViewerEnd {
    pub(crate) fn new() -> Self {
        Self { viewer: Viewer::new([1; 16], pb::Role::Writer, None) }
    }

    /// Gives a number for what came of it.
    pub(crate) fn step(&mut self, now: Time, step: Step<'_>) -> u8 {
        let argument = usize::from(step.argument);
        let outcome = match step.kind {
            kind::SERVER_FRAME => self.frame(now, step.body),
            kind::CONNECT => self.connect(),
            kind::TYPE => {
                let bytes = step.body.repeat(1 + argument * argument / 16);
                let taken = self.viewer.push_input(&bytes);
                assert!(taken <= bytes.len(), "more was taken than typed: {taken}");
                u8::from(taken > 0)
            }
            kind::SEND => self.send(now),
            kind::RENDERED => {
                self.viewer.handle_rendered(now, (step.body.len() + 1) * argument);
                0
            }
            kind::LOST => {
                self.viewer.handle_disconnect();
                0
            }
            _ => self.wish(step),
        };
        let waits = self.viewer.unconfirmed();
        assert!(waits <= limits::INPUT_UNCONFIRMED_BYTES, "much input waits: {waits}");
        outcome
    }

    pub(crate) fn time(&mut self, now: Time) {
        self.viewer.handle_timeout(now);
        self.send(now);
        let next = self.viewer.next_timeout();
        assert!(next.is_none_or(|next| next > now), "due at {next:?} and not done at {now:?}");
    }

    fn frame(&mut self, now: Time, body: &[u8]) -> u8 {
        let Ok(frame) = pb::ServerFrame::decode(Bytes::from(frame_of(body))) else { return 255 };
        let outcome = self.viewer.handle_frame(now, frame);
        let Ok(events) = outcome else {
            // The connection has to be closed and a new one begun.
            self.viewer.handle_disconnect();
            return judged(outcome);
        };
        events.iter().fold(100, |sum, event| sum ^ seen(event))
    }

    fn connect(&mut self) -> u8 {
        let frame = self.viewer.attach();
        let length = frame.encoded_len();
        assert!(length <= limits::CLIENT_FRAME_BYTES, "a frame of {length} bytes");
        match frame.kind {
            Some(client_frame::Kind::Attach(attach)) => 1 + u8::from(attach.resume.is_some()),
            other => panic!("the first frame is another: {other:?}"),
        }
    }

    fn send(&mut self, now: Time) -> u8 {
        for count in 0..FRAMES {
            let Some(frame) = self.viewer.poll_frame(now) else { return count.min(8) as u8 };
            let length = frame.encoded_len();
            assert!(length <= limits::CLIENT_FRAME_BYTES, "a frame of {length} bytes");
            if let Some(client_frame::Kind::Input(input)) = frame.kind {
                let length = input.data.len();
                assert!((1..=limits::INPUT_BYTES).contains(&length), "an input of {length} bytes");
            }
        }
        panic!("frames without end");
    }

    fn wish(&mut self, step: Step<'_>) -> u8 {
        let number = u32::from(step.argument);
        match step.body.len() % 6 {
            0 => self.viewer.take_lease(),
            1 => self.viewer.hand_over(number),
            2 => self.viewer.resize(pb::Winsize { rows: number, cols: number }),
            3 => self.viewer.request_snapshot(),
            4 => self.viewer.set_theme(pb::Theme { foreground: number, ..Default::default() }),
            _ => self.viewer.detach(),
        }
        0
    }
}

/// A bit for each kind of event.
fn seen(event: &Event) -> u8 {
    match event {
        Event::Attached(_) => 1,
        Event::Output(_) | Event::Snapshot(_) => 2,
        Event::Reset => 4,
        Event::InputRefused(_) => 8,
        Event::InputUnknown { .. } => 16,
        Event::Rtt(_) => 32,
        _ => 64,
    }
}
