//! The person's own terminal: raw while attached, and as it was before on every
//! way out.

use std::io;

use chatcode_proto::{limits, pb};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::{self, OptionalActions, Termios},
};

/// Brings a terminal back from whatever a remote program asked of it: out of
/// strings, synchronized output and the alternate screen; the whole screen
/// scrolls; mouse, focus, paste and key modes off; cursor shown in its own shape;
/// plain text in the terminal's own colours. The cursor is saved before what would move it: leaving an
/// alternate screen that was never entered, and setting the margins. Each screen
/// has key modes of its own, so the alternate one is visited for them.
pub(super) const RESET: &[u8] = b"\x1b\\\x1b[?2026l\x1b7\x1b[?1049l\x1b7\
\x1b[?47h\x1b[<99u\x1b[=0u\x1b[?47l\x1b[r\x1b8\
\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?1016l\
\x1b[?2004l\x1b[?2031l\x1b[<99u\x1b[=0u\x1b[>4;0m\x1b[?1l\x1b>\x1b[?7h\x1b[4l\x1b[?25h\x1b[0 q\x1b(B\x0f\x1b[0m\
\x1b]104\x1b\\\x1b]105\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\\x1b]113\x1b\\\x1b]114\x1b\\\
\x1b]115\x1b\\\x1b]116\x1b\\\x1b]117\x1b\\\x1b]118\x1b\\\x1b]119\x1b\\";

/// Clears the screen after [`RESET`], for output that goes on elsewhere.
pub(super) const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Raw mode while it lives. Dropping it, also in a panic, takes back what the
/// remote program set and gives the terminal its modes.
#[derive(Debug)]
pub(super) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Makes the terminal on standard input raw.
    ///
    /// # Errors
    /// When standard input is not a terminal.
    pub(super) fn enter() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that takes nothing must not hold up the end.
        let stdout = io::stdout();
        let mut ready = [PollFd::new(&stdout, PollFlags::OUT)];
        let patience = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
        if poll(&mut ready, Some(&patience)).is_ok_and(|ready| ready > 0) {
            let _ = rustix::io::write(&stdout, RESET);
        }
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// The size of the terminal on standard output, within the bounds of the
/// contract; `None` when it does not tell.
pub(crate) fn winsize() -> Option<pb::Winsize> {
    let size = termios::tcgetwinsize(io::stdout()).ok()?;
    let within = |cells: u16, bounds: std::ops::RangeInclusive<u32>| {
        (cells > 0).then(|| u32::from(cells).clamp(*bounds.start(), *bounds.end()))
    };
    Some(pb::Winsize { rows: within(size.ws_row, limits::ROWS)?, cols: within(size.ws_col, limits::COLS)? })
}

/// Whether a person sits at both ends of this program.
pub(super) fn is_interactive() -> bool {
    termios::isatty(io::stdin()) && termios::isatty(io::stdout())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_colours_that_a_program_can_set_are_taken_back() {
        let reset = String::from_utf8_lossy(RESET);
        for colours in
            ["104", "105"].map(str::to_owned).into_iter().chain((110..=119).map(|number| number.to_string()))
        {
            assert!(reset.contains(&format!("\x1b]{colours}\x1b\\")), "OSC {colours}");
        }
    }
}
