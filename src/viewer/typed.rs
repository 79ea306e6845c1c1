//! What was typed and is not confirmed: kept, numbered, and sent again.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::{
    limits,
    pb::{Code, Input, InputRefused},
};

/// Typed bytes from the first that is not confirmed.
#[derive(Debug, Default)]
pub(super) struct Typed {
    bytes: BytesMut,
    /// The number of the first of them.
    first: u64,
    /// The number of the next one to send.
    next: u64,
    /// Ranges of them that were refused, in order and apart.
    refused: Vec<(u64, u64)>,
}

impl Typed {
    /// Takes as much as there is room for; gives how much.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        let room = limits::INPUT_UNCONFIRMED_BYTES.saturating_sub(self.bytes.len());
        let taken = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// The next bytes to send, at most [`limits::INPUT_BYTES`] of them and at
    /// most [`limits::INPUT_IN_FLIGHT_BYTES`] that are not confirmed.
    pub(super) fn poll(&mut self) -> Option<Input> {
        let from = usize::try_from(self.next - self.first).ok()?;
        let rest = self.bytes.get(from..limits::INPUT_IN_FLIGHT_BYTES.min(self.bytes.len()))?;
        if rest.is_empty() {
            return None;
        }
        let data = Bytes::copy_from_slice(&rest[..rest.len().min(limits::INPUT_BYTES)]);
        let offset = self.next;
        self.next += data.len() as u64;
        Some(Input { offset, data })
    }

    /// All below `offset` was written or refused. What was never sent cannot
    /// have been.
    pub(super) fn handle_confirmed(&mut self, offset: u64) {
        let offset = offset.clamp(self.first, self.next);
        self.bytes.advance(usize::try_from(offset - self.first).unwrap_or(0));
        self.first = offset;
        self.refused.retain(|(_, to)| *to > offset);
    }

    /// A refusal; gives what of it was not told yet.
    pub(super) fn handle_refused(&mut self, range: InputRefused) -> Vec<InputRefused> {
        let (mut from, to) = (range.from.max(self.first), range.to.min(self.next));
        let mut news = Vec::new();
        for (known_from, known_to) in &self.refused {
            if from < *known_from && *known_from < to {
                news.push(InputRefused { from, to: *known_from, ..range });
            }
            if *known_to > from && *known_from < to {
                from = *known_to;
            }
        }
        if from < to {
            news.push(InputRefused { from, to, ..range });
        }
        self.refused.extend(news.iter().map(|range| (range.from, range.to)));
        self.refused.sort_unstable();
        self.refused.dedup_by(|later, earlier| {
            let joins = earlier.1 == later.0;
            if joins {
                earlier.1 = later.1;
            }
            joins
        });
        news
    }

    /// A new connection: the holder expects `offset` next. Gives how many sent
    /// bytes are unknown to it, when it has forgotten this viewer; they are not
    /// sent again.
    pub(super) fn handle_attached(&mut self, offset: u64) -> u64 {
        let mut unknown = 0;
        if !(self.first..=self.next).contains(&offset) {
            unknown = self.begin_anew();
            self.first = offset;
        }
        self.next = offset;
        unknown
    }

    /// Numbers begin at 0. Gives how many bytes were sent and neither confirmed
    /// nor refused; they are not sent again.
    pub(super) fn begin_anew(&mut self) -> u64 {
        let sent = self.next - self.first;
        let refused = |(from, to): &(u64, u64)| (*to).min(self.next).saturating_sub((*from).max(self.first));
        let unknown = sent - self.refused.iter().map(refused).sum::<u64>();
        self.bytes.advance(usize::try_from(sent).unwrap_or(0).min(self.bytes.len()));
        (self.first, self.next) = (0, 0);
        self.refused.clear();
        unknown
    }

    /// What was not sent will not be, so that old keys never come out later.
    /// Gives what that is, by the numbers that it would have had.
    pub(super) fn give_back(&mut self, code: Code) -> Option<InputRefused> {
        let range = InputRefused { from: self.next, to: self.end(), code: code.into() };
        self.bytes.truncate(usize::try_from(self.next - self.first).unwrap_or(usize::MAX));
        (range.from < range.to).then_some(range)
    }

    /// Numbers below this are settled.
    pub(super) const fn settled(&self) -> u64 {
        self.first
    }

    /// Bytes that wait.
    pub(super) fn unconfirmed(&self) -> usize {
        self.bytes.len()
    }

    fn end(&self) -> u64 {
        self.first + self.bytes.len() as u64
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
    fn what_was_sent_before_numbers_begin_anew_is_unknown_and_the_rest_is_sent() {
        let mut typed = Typed::default();
        typed.push(b"abc");
        sent(&mut typed);
        typed.push(b"def");
        assert_eq!(typed.begin_anew(), 3);
        typed.handle_attached(0);
        assert_eq!(sent(&mut typed), [(0, b"def".to_vec())]);
    }

    #[test]
    fn what_was_never_sent_is_neither_confirmed_nor_refused() {
        let mut typed = Typed::default();
        typed.push(b"abc");
        sent(&mut typed);
        typed.push(b"def");
        assert_eq!(typed.handle_refused(InputRefused { from: 3, to: 6, code: 0 }), []);
        typed.handle_confirmed(6);
        assert_eq!(sent(&mut typed), [(3, b"def".to_vec())]);
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
        assert_eq!(typed.handle_refused(range(0, 2)), [range(0, 2)]);
        assert_eq!(typed.handle_refused(range(0, 2)), []);
        assert_eq!(typed.handle_refused(range(0, 4)), [range(2, 4)]);
    }
}
