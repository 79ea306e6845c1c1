//! When answers of the terminal may go behind what was typed: not within a
//! paste that goes on.

use chatcode_proto::limits;

use crate::reference::{Id, Time};

pub(crate) const BEGIN: &[u8] = b"\x1b[200~";
pub(crate) const END: &[u8] = b"\x1b[201~";

/// Answers are counted only: all are equal.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Those that are not written.
    unwritten: usize,
    /// Those of them that wait for the end of the paste.
    pub(crate) held: usize,
    paste: Option<Paste>,
    /// When something was typed or written last.
    pub(crate) moved: Time,
}

#[derive(Debug)]
struct Paste {
    of: Id,
    is_begun: bool,
    /// What was typed since the last mark; of a long text the end.
    text: Vec<u8>,
}

impl Paste {
    fn typed(&mut self, byte: u8) {
        if self.text.len() > 100 {
            self.text.drain(..90);
        }
        self.text.push(byte);
        let mark = if self.is_begun { END } else { BEGIN };
        if self.text.ends_with(mark) {
            self.is_begun = !self.is_begun;
            self.text.clear();
        }
    }

    /// Also when half a mark has come that no key begins with.
    fn is_open(&self) -> bool {
        self.is_begun || (3..BEGIN.len()).any(|half| self.text.ends_with(&BEGIN[..half]))
    }
}

impl Answers {
    pub(crate) fn ask(&mut self, count: usize) {
        if self.unwritten + count <= limits::ANSWERS_BYTES {
            self.unwritten += count;
            self.held += count;
        }
    }

    pub(crate) fn typed(&mut self, now: Time, by: Id, bytes: &[u8]) {
        self.moved = now;
        let paste = self.paste.get_or_insert(Paste { of: by, is_begun: false, text: Vec::new() });
        bytes.iter().for_each(|byte| paste.typed(*byte));
    }

    pub(crate) fn written(&mut self) {
        self.unwritten -= 1;
    }

    pub(crate) fn end_paste_of_others(&mut self, writer: Option<Id>) {
        self.paste.take_if(|paste| Some(paste.of) != writer);
    }

    /// All that was typed is written.
    pub(crate) fn give_up_paste(&mut self, now: Time) {
        self.paste.take_if(|_| self.held > 0 && now >= self.moved + limits::PASTE_STALL);
    }

    /// How many go behind what was typed now.
    pub(crate) fn take(&mut self) -> usize {
        if self.paste.as_ref().is_some_and(Paste::is_open) { 0 } else { std::mem::take(&mut self.held) }
    }
}
