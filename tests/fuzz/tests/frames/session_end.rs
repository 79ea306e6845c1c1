//! The session that a script plays with, as a holder drives it, and what has to
//! hold after every step.

use bytes::Bytes;
use chatcode_proto::{
    code::Refusal,
    limits,
    pb::{self, server_frame},
    session::{Action, Config, ConnId, Screen, Session, Time, Who},
};
use prost::Message as _;

use crate::{Step, frame_of, kind};

/// Connections of a script.
const CONNS: u8 = 40;
const LOG_BYTES: usize = 64 * 1024;
/// Frames that one connection is sent at a time at most; more never ends.
const FRAMES: usize = 4096;

/// A screen that knows how many bytes it was fed; "?" asks it.
#[derive(Debug, Default)]
struct Counting {
    bytes: usize,
    answers: Vec<u8>,
    title: String,
}

impl Screen for Counting {
    fn feed(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.answers.extend(bytes.iter().filter(|byte| **byte == b'?').map(|_| b'!').take(4096));
        if bytes.contains(&b'T') {
            self.title = format!("{} bytes", self.bytes);
        }
    }

    fn resize(&mut self, winsize: pb::Winsize) {
        assert!(
            limits::ROWS.contains(&winsize.rows) && limits::COLS.contains(&winsize.cols),
            "a size beyond the limits: {winsize:?}"
        );
    }

    /// Long enough for several parts.
    fn snapshot(&self, history_lines: u32) -> Vec<u8> {
        assert!(history_lines <= limits::HISTORY_LINES, "more history than is kept: {history_lines}");
        vec![b's'; 10 + history_lines.min(2000) as usize * 80]
    }

    fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    fn set_theme(&mut self, _theme: Option<pb::Theme>) {}

    fn title(&self) -> &str {
        &self.title
    }
}

#[derive(Debug)]
pub(crate) struct SessionEnd {
    session: Session<Counting>,
}

impl SessionEnd {
    pub(crate) fn new() -> Self {
        let winsize = pb::Winsize { rows: 24, cols: 80 };
        let config = Config { epoch: 7, log_bytes: LOG_BYTES, winsize, name: "n".to_owned() };
        Self { session: Session::new(config, Counting::default()) }
    }

    /// Gives a number for what came of it.
    pub(crate) fn step(&mut self, now: Time, step: Step<'_>) -> u8 {
        let conn = ConnId(u32::from(step.argument % CONNS));
        let outcome = match step.kind {
            kind::ATTACH => self.attach(now, conn, step),
            kind::CLIENT_FRAME => self.frame(now, conn, step.body),
            kind::OUTPUT => {
                // As much as a turn of the holder takes, more than there is of it.
                let bytes = step.body.repeat(1 + usize::from(step.argument));
                if self.session.wants_output(now) && !self.session.is_exited() {
                    self.session.handle_output(now, &bytes[..bytes.len().min(limits::HOLDER_TURN_BYTES)]);
                }
                0
            }
            kind::WRITTEN => {
                let written = (step.body.len() + 1) * usize::from(step.argument);
                let written = written.min(self.session.poll_input().len());
                self.session.handle_input_written(now, written);
                0
            }
            kind::DRAIN => self.drain(now, conn),
            kind::GONE => {
                self.session.handle_disconnect(now, conn);
                0
            }
            kind::EXIT => {
                if !self.session.is_exited() {
                    self.session.handle_exit(now, pb::Exit::default());
                }
                0
            }
            _ => {
                self.session
                    .handle_rename(now, String::from_utf8_lossy(step.body).chars().take(128).collect());
                0
            }
        };
        self.act(now);
        self.check();
        outcome
    }

    /// Time has passed: after all that is due was done, nothing is due any more.
    pub(crate) fn time(&mut self, now: Time) {
        self.session.handle_timeout(now);
        self.act(now);
        for conn in 0..CONNS {
            self.drain(now, ConnId(conn.into()));
        }
        self.act(now);
        let next = self.session.next_timeout();
        assert!(next.is_none_or(|next| next > now), "due at {next:?} and not done at {now:?}");
        self.check();
    }

    fn attach(&mut self, now: Time, conn: ConnId, step: Step<'_>) -> u8 {
        let Ok(attach) = pb::Attach::decode(step.body) else { return 1 };
        // The shell has an attachment once on a connection.
        self.session.handle_disconnect(now, conn);
        let role = if step.argument.is_multiple_of(5) { pb::Role::Viewer } else { pb::Role::Writer };
        let principal = format!("person/{}", step.argument / 128);
        let who = Who { principal, display_name: "P".to_owned(), role };
        let outcome = self.session.handle_attach(now, conn, who, pb::Session::default(), attach);
        judged(outcome)
    }

    fn frame(&mut self, now: Time, conn: ConnId, body: &[u8]) -> u8 {
        if !self.session.wants_frames_of(conn) {
            return 2;
        }
        let Ok(frame) = pb::ClientFrame::decode(Bytes::from(frame_of(body))) else { return 1 };
        let outcome = self.session.handle_frame(now, conn, frame);
        if outcome.is_err() {
            self.session.handle_disconnect(now, conn);
        }
        judged(outcome)
    }

    /// Sends a connection all that it is to be sent.
    fn drain(&mut self, now: Time, conn: ConnId) -> u8 {
        let mut sum = 3_u8;
        for _ in 0..FRAMES {
            let is_there = self.session.has_frame(now, conn);
            let frame = self.session.poll_frame(now, conn);
            assert_eq!(is_there, frame.is_some(), "a frame is promised and not there, or the other way: see");
            let Some(frame) = frame else { return sum };
            let length = frame.encoded_len();
            assert!(length <= limits::SERVER_FRAME_BYTES, "a frame of {length} bytes");
            match frame.kind {
                Some(server_frame::Kind::Output(output)) => {
                    let length = output.data.len();
                    assert!((1..=limits::OUTPUT_BYTES).contains(&length), "an output of {length} bytes");
                    sum |= 64;
                }
                Some(server_frame::Kind::Snapshot(_)) => sum |= 128,
                Some(server_frame::Kind::InputRefused(_)) => sum |= 32,
                Some(server_frame::Kind::Resized(_)) => sum |= 16,
                _ => {}
            }
        }
        panic!("frames without end");
    }

    fn act(&mut self, now: Time) {
        let mut count = 0;
        while let Some(action) = self.session.poll_action(now) {
            if let Action::Close { refusal, .. } = action {
                sound(&refusal);
            }
            count += 1;
            assert!(count < 256, "actions without end");
        }
    }

    fn check(&self) {
        let viewers = self.session.viewers() as usize;
        assert!(viewers <= limits::VIEWERS_PER_SESSION, "many viewers: {viewers}");
        let waits = self.session.poll_input().len();
        let most = limits::INPUT_QUEUE_BYTES + limits::INPUT_BYTES + limits::ANSWERS_BYTES;
        assert!(waits <= most, "much input waits: {waits}");
    }
}

/// A number for an outcome.
pub(crate) fn judged<T>(outcome: Result<T, Refusal>) -> u8 {
    outcome.err().map_or(0, |refusal| sound(&refusal))
}

/// A refusal has a cause and words that fit.
fn sound(refusal: &Refusal) -> u8 {
    assert!(refusal.code != pb::Code::Unspecified, "a refusal without a cause: {refusal:?}");
    let message = &refusal.message;
    assert!(message.len() <= limits::MESSAGE_BYTES, "a refusal with many words: {message:?}");
    assert!(!message.chars().any(char::is_control), "a refusal with controls: {message:?}");
    refusal.code as i32 as u8
}
