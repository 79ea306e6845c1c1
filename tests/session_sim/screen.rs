//! A screen that is only what it came about by: how much was fed to it, and
//! which sizes it had from where on.

use chatcode_proto::{pb, session::Screen};

/// Two tapes are equal exactly when all bytes and sizes came in the same order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tape {
    pub(crate) bytes: u64,
    pub(crate) sizes: u64,
}

impl Tape {
    pub(crate) fn resized(&mut self, winsize: pb::Winsize) {
        for number in [self.bytes, winsize.rows.into(), winsize.cols.into()] {
            self.sizes = (self.sizes ^ number).wrapping_mul(0x0000_0100_0000_01b3).wrapping_add(1);
        }
    }

    /// The tape that a snapshot is of.
    pub(crate) fn read(snapshot: &[u8]) -> Option<Self> {
        let number = |from| Some(u64::from_be_bytes(snapshot.get(from..from + 8)?.try_into().ok()?));
        Some(Self { bytes: number(0)?, sizes: number(8)? })
    }
}

impl Screen for Tape {
    fn feed(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
    }

    fn resize(&mut self, winsize: pb::Winsize) {
        self.resized(winsize);
    }

    /// As long as one with so many short lines would be.
    fn snapshot(&self, history_lines: u32) -> Vec<u8> {
        let mut snapshot = [self.bytes.to_be_bytes(), self.sizes.to_be_bytes()].concat();
        snapshot.resize(snapshot.len() + history_lines as usize * 10, b'.');
        snapshot
    }

    fn take_answers(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn set_theme(&mut self, _theme: Option<pb::Theme>) {}

    fn title(&self) -> &str {
        ""
    }
}

/// A tape that is asked something at every so many bytes.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    tape: Tape,
    answers: Vec<u8>,
}

const ASKED_EVERY: u64 = 1009;
/// The answer; nobody types it.
pub(crate) const ANSWER: u8 = 0xff;

/// How often something is asked in the output between two places.
pub(crate) const fn asked(from: u64, to: u64) -> usize {
    (to / ASKED_EVERY - from / ASKED_EVERY) as usize
}

impl Screen for Asked {
    fn feed(&mut self, bytes: &[u8]) {
        let from = self.tape.bytes;
        self.tape.feed(bytes);
        self.answers.resize(self.answers.len() + asked(from, self.tape.bytes), ANSWER);
    }

    fn resize(&mut self, winsize: pb::Winsize) {
        self.tape.resize(winsize);
    }

    fn snapshot(&self, history_lines: u32) -> Vec<u8> {
        self.tape.snapshot(history_lines)
    }

    fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    fn set_theme(&mut self, _theme: Option<pb::Theme>) {}

    fn title(&self) -> &str {
        ""
    }
}
