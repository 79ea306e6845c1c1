//! What was typed and is not confirmed: kept, numbered, and sent again.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::{
    limits,
    pb::{Input, InputRefused},
};

/// Typed bytes from the first that is not confirmed.
#[derive(Debug, Default)]
pub(super) struct Typed {
    bytes: BytesMut,
    /// The number of the first of them.
    first: u64,
    /// The number of the next one to send.
    next: u64,
    /// Refusals below this were told.
    refused_to: u64,
}

impl Typed {
    /// Takes as much as there is room for; gives how much.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        let room = limits::INPUT_UNCONFIRMED_BYTES.saturating_sub(self.bytes.len());
        let taken = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// The next bytes to send, at most [`limits::INPUT_BYTES`].
    pub(super) fn poll(&mut self) -> Option<Input> {
        let from = usize::try_from(self.next - self.first).ok()?;
        let rest = self.bytes.get(from..).filter(|rest| !rest.is_empty())?;
        let data = Bytes::copy_from_slice(&rest[..rest.len().min(limits::INPUT_BYTES)]);
        let offset = self.next;
        self.next += data.len() as u64;
        Some(Input { offset, data })
    }

    /// All below `offset` was written or refused.
    pub(super) fn handle_confirmed(&mut self, offset: u64) {
        let end = self.first + self.bytes.len() as u64;
        let offset = offset.clamp(self.first, end);
        self.bytes.advance(usize::try_from(offset - self.first).unwrap_or(0));
        self.first = offset;
        self.next = self.next.max(offset);
    }

    /// A refusal that was not told yet.
    pub(super) fn handle_refused(&mut self, range: InputRefused) -> Option<InputRefused> {
        if range.to <= self.refused_to {
            return None;
        }
        let from = range.from.max(self.refused_to);
        self.refused_to = range.to;
        Some(InputRefused { from, ..range })
    }

    /// A new connection: the holder expects `offset` next.
    pub(super) fn handle_attached(&mut self, offset: u64) {
        if offset < self.first {
            // The holder forgot this viewer; what waits gets new numbers.
            self.first = offset;
            self.refused_to = self.refused_to.min(offset);
        }
        let end = self.first + self.bytes.len() as u64;
        if offset > end {
            self.bytes.clear();
            self.first = offset;
        }
        self.next = offset;
    }

    /// Another holder: numbers begin at 0. Gives how many bytes were sent to
    /// the old one and never confirmed; they are not sent again.
    pub(super) fn begin_anew(&mut self) -> u64 {
        let unknown = self.next - self.first;
        self.bytes.advance(usize::try_from(unknown).unwrap_or(0).min(self.bytes.len()));
        (self.first, self.next, self.refused_to) = (0, 0, 0);
        unknown
    }

    /// Numbers below this are settled.
    pub(super) const fn settled(&self) -> u64 {
        if self.refused_to > self.first { self.refused_to } else { self.first }
    }

    /// Bytes that wait.
    pub(super) fn unconfirmed(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(typed: &mut Typed) -> Vec<(u64, Vec<u8>)> {
        std::iter::from_fn(|| typed.poll()).map(|input| (input.offset, input.data.to_vec())).collect()
    }

    #[test]
    fn what_is_not_confirmed_is_sent_again_from_where_the_holder_is() {
        let mut typed = Typed::default();
        typed.push(b"abcdef");
        assert_eq!(sent(&mut typed), [(0, b"abcdef".to_vec())]);
        typed.handle_confirmed(2);
        typed.handle_attached(3);
        assert_eq!(sent(&mut typed), [(3, b"def".to_vec())]);
        typed.handle_confirmed(6);
        assert_eq!(typed.unconfirmed(), 0);
    }

    #[test]
    fn a_holder_that_is_another_leaves_what_was_sent_unknown_and_gets_the_rest() {
        let mut typed = Typed::default();
        typed.push(b"abc");
        sent(&mut typed);
        typed.push(b"def");
        assert_eq!(typed.begin_anew(), 3);
        typed.handle_attached(0);
        assert_eq!(sent(&mut typed), [(0, b"def".to_vec())]);
    }

    #[test]
    fn large_input_is_cut_and_bounded() {
        let mut typed = Typed::default();
        assert_eq!(
            typed.push(&vec![0; limits::INPUT_UNCONFIRMED_BYTES + 1]),
            limits::INPUT_UNCONFIRMED_BYTES
        );
        assert!(sent(&mut typed).iter().all(|(_, data)| data.len() <= limits::INPUT_BYTES));
        assert_eq!(typed.push(b"x"), 0);
        typed.handle_confirmed(1);
        assert_eq!(typed.push(b"xy"), 1);
    }

    #[test]
    fn a_refusal_is_told_once() {
        let mut typed = Typed::default();
        typed.push(b"abcd");
        sent(&mut typed);
        let range = |from, to| InputRefused { from, to, code: 0 };
        assert_eq!(typed.handle_refused(range(0, 2)), Some(range(0, 2)));
        assert_eq!(typed.handle_refused(range(0, 2)), None);
        assert_eq!(typed.handle_refused(range(0, 4)), Some(range(2, 4)));
    }
}
