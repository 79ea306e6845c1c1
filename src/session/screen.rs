//! What a session shows: the model that is fed with its output, behind the
//! rules.

use std::fmt::Debug;

use crate::pb;

/// The screen of a session. Pure: the same bytes and sizes make the same
/// screen. The holder gives the real one, tests a small one.
pub trait Screen: Debug {
    /// The PTY gave these bytes; cut anywhere.
    fn feed(&mut self, bytes: &[u8]);

    /// The PTY has another size from this place of the output on.
    fn resize(&mut self, winsize: pb::Winsize);

    /// Bytes that bring an empty terminal of the PTY's size to exactly this
    /// state, the beginning of an unfinished sequence included, with at most
    /// so many lines of history above the screen.
    fn snapshot(&self, history_lines: u32) -> Vec<u8>;

    /// Takes what the terminal answers to what programs have asked since the
    /// last call; bounded.
    fn take_answers(&mut self) -> Vec<u8>;

    /// The colours that programs are told; without a theme those that it began
    /// with.
    fn set_theme(&mut self, theme: Option<pb::Theme>);

    /// The title that a program set; without control characters, at most 256.
    fn title(&self) -> &str;
}
