//! The lines that go through a session: numbered, of one length, and with a
//! checksum that is another one in each session.

use std::hash::{DefaultHasher, Hash, Hasher as _};

/// Bytes of a line of output with its end, so that an offset tells its line.
pub(crate) const BYTES: usize = 80;
/// Bytes of its text: it never wraps.
const TEXT: usize = BYTES - 2;

/// What a line of output says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Time has passed.
    Tick,
    /// This line of input arrived, in its turn and whole.
    Echo,
    /// A part of a flood that was asked for.
    Flood,
    /// Another line of input was due; this is the number of the one that was.
    Wrong,
}

impl Kind {
    const ALL: [(Self, u8); 4] =
        [(Self::Tick, b't'), (Self::Echo, b'e'), (Self::Flood, b'f'), (Self::Wrong, b'w')];

    fn letter(self) -> char {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or('?', |(_, letter)| char::from(*letter))
    }
}

/// A line of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// From 1, without a hole.
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    /// The line of input that it is about, or 0.
    pub(crate) of: u64,
}

impl Line {
    /// Its text without the end, in the session of this seed.
    pub(crate) fn text(self, seed: u64) -> String {
        let Self { number, kind, of } = self;
        let sum = checksum(&(seed, number, kind.letter(), of));
        let mut text = format!("{number:012} {}{of:012} {sum:016x} ", kind.letter());
        while text.len() < TEXT {
            text.push_str(&format!("{sum:016x}"));
        }
        text.truncate(TEXT);
        text
    }

    /// `None`: it is no line of this session, or not as it was printed.
    pub(crate) fn parse(text: &[u8], seed: u64) -> Option<Self> {
        let digits = |range| str::from_utf8(text.get(range)?).ok()?.parse().ok();
        let kind = Kind::ALL.iter().find(|(_, letter)| text.get(13) == Some(letter))?.0;
        let line = Self { number: digits(0..12)?, kind, of: digits(14..26)? };
        (line.text(seed).as_bytes() == text).then_some(line)
    }

    /// The last line in `text`, which may have sequences of a terminal before it.
    pub(crate) fn parse_end(text: &[u8], seed: u64) -> Option<Self> {
        Self::parse(text.get(text.len().checked_sub(TEXT)?..)?, seed)
    }
}

/// What a line of input asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// An echo.
    Echo,
    /// An echo, and so many lines at once.
    Flood(u32),
    /// An echo, and the end.
    End,
}

/// A line of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Typed {
    /// From 1, without a hole.
    pub(crate) number: u64,
    pub(crate) order: Order,
    /// Bytes that only make it longer.
    pub(crate) padding: usize,
}

impl Typed {
    /// Its text without the end, in the session of this seed.
    pub(crate) fn text(self, seed: u64) -> String {
        let Self { number, order, padding } = self;
        let order = match order {
            Order::Echo => "e".to_owned(),
            Order::Flood(lines) => format!("f{lines}"),
            Order::End => "q".to_owned(),
        };
        let sum = checksum(&(seed, number, order.as_str(), padding));
        format!("{number} {order} .{} {sum:016x}", "p".repeat(padding))
    }

    /// `None`: it is no line of this session, or not as it was typed.
    pub(crate) fn parse(text: &str, seed: u64) -> Option<Self> {
        let mut words = text.split(' ');
        let number = words.next()?.parse().ok()?;
        let order = match words.next()? {
            "e" => Order::Echo,
            "q" => Order::End,
            flood => Order::Flood(flood.strip_prefix('f')?.parse().ok()?),
        };
        let typed = Self { number, order, padding: words.next()?.len().checked_sub(1)? };
        (typed.text(seed) == text).then_some(typed)
    }
}

/// The same in every process of this program.
fn checksum(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Line = Line { number: 12, kind: Kind::Echo, of: 3 };
    const TYPED: Typed = Typed { number: 7, order: Order::Flood(40), padding: 5 };

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let text = LINE.text(1);
        assert_eq!((text.len(), Line::parse(text.as_bytes(), 1)), (TEXT, Some(LINE)));
        assert_eq!(Line::parse_end(format!("\u{1b}[m{text}").as_bytes(), 1), Some(LINE));
        for order in [TYPED.order, Order::Echo, Order::End] {
            let typed = Typed { order, ..TYPED };
            assert_eq!(Typed::parse(&typed.text(1), 1), Some(typed));
        }
    }

    #[test]
    fn a_line_of_another_session_or_with_another_byte_is_none() {
        let text = LINE.text(1);
        assert_eq!(Line::parse(text.as_bytes(), 2), None);
        assert_eq!(Typed::parse(&TYPED.text(1), 2), None);
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] ^= 1;
            assert_eq!(Line::parse(&other, 1), None, "at {at}");
        }
        assert_eq!(Line::parse(&text.as_bytes()[1..], 1), None);
        assert_eq!(Typed::parse(&TYPED.text(1).replace("pp", "p"), 1), None);
    }
}
