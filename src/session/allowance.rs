//! What one viewer lets itself be sent: a window behind what it has rendered.

use crate::{code::Refusal, limits, pb};

/// Counts bytes of output and of snapshots, over one attachment.
#[derive(Debug)]
pub struct Allowance {
    sent: u64,
    /// Of those, the ones that the viewer has rendered.
    rendered: u64,
    window: u64,
}

impl Allowance {
    /// Nothing was sent yet; `window` is what the viewer asks for, bytes, and
    /// counts within the limits.
    #[must_use]
    pub fn new(window: u32) -> Self {
        Self { sent: 0, rendered: 0, window: clamp_window(window) }
    }

    /// The viewer's window, bytes.
    #[must_use]
    pub const fn window(&self) -> u64 {
        self.window
    }

    /// Bytes that may be sent now.
    #[must_use]
    pub const fn room(&self) -> u64 {
        self.window.saturating_sub(self.sent - self.rendered)
    }

    /// Whether something that was sent is not rendered yet.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        self.sent > self.rendered
    }

    /// These bytes are sent; the last of them may reach beyond the window.
    pub const fn send(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// Takes a credit in; gives how many bytes were rendered since the last.
    ///
    /// # Errors
    /// `PROTOCOL` for bytes that were never sent, or for less than was told
    /// before; nothing changes then.
    pub fn handle_credit(&mut self, credit: pb::Credit) -> Result<u64, Refusal> {
        let rendered = credit.rendered_bytes;
        if !(self.rendered..=self.sent).contains(&rendered) {
            return Err(Refusal::new(
                pb::Code::Protocol,
                format!("{rendered} bytes cannot be on the screen of {}; attach again", self.sent),
            ));
        }
        let fresh = rendered - self.rendered;
        self.rendered = rendered;
        self.window = clamp_window(credit.window_bytes);
        Ok(fresh)
    }
}

fn clamp_window(bytes: u32) -> u64 {
    u64::from(bytes.clamp(limits::WINDOW_MIN_BYTES, limits::WINDOW_MAX_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = limits::WINDOW_MIN_BYTES as u64;

    #[test]
    fn a_credit_makes_room_for_what_was_rendered_in_a_window_within_the_limits() {
        let mut allowance = Allowance::new(0);
        assert_eq!((allowance.room(), allowance.is_under_way()), (WINDOW, false));
        allowance.send(limits::WINDOW_MIN_BYTES as usize + 5);
        assert_eq!((allowance.room(), allowance.is_under_way()), (0, true));
        let credit = |rendered_bytes, window_bytes| pb::Credit { rendered_bytes, window_bytes };
        assert_eq!(allowance.handle_credit(credit(15, 0)).expect("was sent"), 15);
        assert_eq!(allowance.room(), 10);
        let fresh = allowance.handle_credit(credit(WINDOW + 5, u32::MAX)).expect("was sent");
        assert_eq!((fresh, allowance.is_under_way()), (WINDOW - 10, false));
        assert_eq!(allowance.room(), u64::from(limits::WINDOW_MAX_BYTES));
    }

    #[test]
    fn what_was_never_sent_cannot_be_rendered_and_nothing_is_taken_back() {
        let mut allowance = Allowance::new(0);
        allowance.send(100);
        let credit = |rendered_bytes| pb::Credit { rendered_bytes, window_bytes: 0 };
        assert_eq!(allowance.handle_credit(credit(50)).expect("was sent"), 50);
        for wrong in [49, 101, u64::MAX] {
            assert_eq!(
                allowance.handle_credit(credit(wrong)).expect_err("is wrong").code,
                pb::Code::Protocol
            );
        }
        assert_eq!(allowance.handle_credit(credit(100)).expect("was sent"), 50);
    }
}
