//! Where a bracketed paste begins and ends in what is typed.

const ESC: u8 = 0x1b;
const BEGIN: &[u8; 6] = b"\x1b[200~";
const END: &[u8; 6] = b"\x1b[201~";
/// Bytes of `BEGIN` that no key sends alone: a lone Escape, or Alt with `[`, is
/// no paste.
const TELLING: usize = 3;

/// Reads input in any pieces.
#[derive(Debug, Default)]
pub(super) struct Paste {
    is_begun: bool,
    /// Bytes of the next mark that have come.
    matched: usize,
}

impl Paste {
    /// These bytes were typed next.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let mark = if self.is_begun { END } else { BEGIN };
            self.matched = if mark[self.matched] == byte { self.matched + 1 } else { (byte == ESC).into() };
            if self.matched == mark.len() {
                *self = Self { is_begun: !self.is_begun, matched: 0 };
            }
        }
    }

    /// Whether what would be typed next would be a part of a paste, or of its
    /// mark.
    pub(super) const fn is_open(&self) -> bool {
        self.is_begun || self.matched >= TELLING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_after(pieces: &[&[u8]]) -> bool {
        let mut paste = Paste::default();
        pieces.iter().for_each(|piece| paste.feed(piece));
        paste.is_open()
    }

    #[test]
    fn a_paste_is_open_from_its_mark_to_its_end_however_it_is_cut() {
        let text = b"ls\x1b[200~a\x1b[20b\x1b\x1b[201~c";
        for cut in 0..text.len() {
            let open = open_after(&[&text[..cut / 2], &text[cut / 2..cut]]);
            assert_eq!(open, (5..text.len() - 1).contains(&cut), "cut at {cut}");
        }
    }

    #[test]
    fn keys_and_marks_that_lead_nowhere_open_none() {
        for keys in [
            &b"\x1b"[..],
            b"\x1b[",
            b"\x1b[A",
            b"\x1b[2~",
            b"\x1b[20~",
            b"\x1b[201~",
            b"\x1b[2\x1b[A",
            b"200~",
        ] {
            assert!(!open_after(&[keys]), "{keys:?}");
        }
        assert!(open_after(&[b"\x1b[201~\x1b\x1b[200~"]));
        assert!(open_after(&[b"\x1b[200~\x1b[200~a"]), "a second beginning is text");
        assert!(!open_after(&[b"\x1b[200~\x1b[200~a\x1b[201~"]));
    }
}
