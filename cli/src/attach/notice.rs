//! A short word of ours at the right end of the first line, where it disturbs
//! least; taken away again by blanks.

use unicode_width::UnicodeWidthStr as _;

/// A word that stands on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    column: usize,
    width: usize,
}

impl Notice {
    /// The bytes that draw `text` on a terminal of so many columns; `None` when
    /// it is too narrow.
    pub(super) fn draw(text: &str, columns: u32) -> Option<(Self, Vec<u8>)> {
        let text = format!(" {text} ");
        let (width, columns) = (text.width(), usize::try_from(columns).ok()?);
        let column = columns.checked_sub(width)? + 1;
        // Save the cursor, go there, reverse, plain, restore.
        let bytes = format!("\x1b7\x1b[1;{column}H\x1b[0;7m{text}\x1b[0m\x1b8").into_bytes();
        Some((Self { column, width }, bytes))
    }

    /// The bytes that take it away.
    pub(super) fn erase(&self) -> Vec<u8> {
        format!("\x1b7\x1b[1;{}H\x1b[0m{}\x1b8", self.column, " ".repeat(self.width)).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_ends_at_the_right_margin_and_leaves_the_cursor_alone() {
        let (notice, bytes) = Notice::draw("back in 3 s", 80).expect("has room");
        let text = String::from_utf8(bytes).expect("is text");
        assert!(text.starts_with("\x1b7\x1b[1;68H") && text.ends_with("\x1b[0m\x1b8"), "{text:?}");
        assert_eq!(notice, Notice { column: 68, width: 13 });
        let erased = String::from_utf8(notice.erase()).expect("is text");
        assert_eq!(erased.matches(' ').count(), 13);
    }

    #[test]
    fn a_narrow_terminal_gets_none() {
        assert_eq!(Notice::draw("back in 3 s", 12), None);
        assert!(Notice::draw("back in 3 s", 13).is_some());
    }
}
