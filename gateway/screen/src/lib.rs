//! The screen model of a session: what a terminal shows after all that its
//! programs have printed, and the bytes that bring another terminal there.
//!
//! It mirrors xterm.js 6, which draws the page, cell by cell: what differs is
//! listed, with the reasons, in `docs/terminal.md`. Pure: no I/O, no clock.
//! [`Model`] is all that is to be seen from outside; the rooms are the
//! [`parser`] of sequences, the [`terminal`] that they act on, the compact
//! [`history`] of lines that have left the screen, and the [`snapshot`].

mod answers;
mod buffer;
mod cell;
mod charset;
mod cursor;
mod dispatch;
mod erase;
mod history;
mod key_flags;
mod modes;
mod osc;
mod params;
mod parser;
mod pass;
mod pool;
mod resize;
mod row;
mod sgr;
mod snapshot;
mod terminal;
mod width;

use chatcode_proto::{pb, session::Screen};

pub use width::width;

use parser::Parser;
use terminal::{Terminal, Theme, columns, rows};

/// The screen of one session.
///
/// Its memory is bounded by the size of the screen, the number of lines of
/// history that it was made for, and the limits of its rooms.
#[derive(Debug)]
pub struct Model {
    parser: Parser,
    terminal: Terminal,
}

impl Model {
    /// An empty screen of a size (at least 2 columns and 1 row), which keeps at
    /// most so many lines above it.
    #[must_use]
    pub fn new(winsize: pb::Winsize, history_lines: u32) -> Self {
        Self { parser: Parser::new(), terminal: Terminal::new(winsize, history_lines) }
    }

    /// Takes output, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.parser.feed(bytes, &mut self.terminal);
        self.terminal.sweep();
    }

    /// The terminal has another size from this place of the output on.
    pub fn resize(&mut self, winsize: pb::Winsize) {
        self.terminal.resize(columns(winsize), rows(winsize));
    }

    /// Bytes that bring an empty xterm.js of this size to exactly this state,
    /// with at most `history_lines` lines above the screen.
    #[must_use]
    pub fn snapshot(&self, history_lines: u32) -> Vec<u8> {
        self.terminal.snapshot(history_lines as usize, &self.parser.unfinished())
    }

    /// Takes what is to be answered to what programs have asked since the last
    /// call; at most 4 KiB, more is dropped.
    pub fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.terminal.answers)
    }

    /// The title that a program set; at most 256 characters, none of them a
    /// control character.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.terminal.title
    }
}

impl Screen for Model {
    fn feed(&mut self, bytes: &[u8]) {
        self.feed(bytes);
    }

    fn resize(&mut self, winsize: pb::Winsize) {
        self.resize(winsize);
    }

    fn snapshot(&self, history_lines: u32) -> Vec<u8> {
        self.snapshot(history_lines)
    }

    fn take_answers(&mut self) -> Vec<u8> {
        self.take_answers()
    }

    fn set_theme(&mut self, theme: Option<pb::Theme>) {
        self.terminal.theme = theme.map_or_else(Theme::default, Theme::from);
    }

    fn title(&self) -> &str {
        self.title()
    }
}
