//! One cell of the screen, and how it looks.

/// A colour: the mode in bits 24 and 25, the value below.
pub(crate) mod color {
    /// Which bits are the colour; those above are flags.
    pub(crate) const MASK: u32 = 0x03FF_FFFF;
    pub(crate) const MODE: u32 = 0x0300_0000;
    pub(crate) const DEFAULT: u32 = 0;
    pub(crate) const ANSI: u32 = 0x0100_0000;
    pub(crate) const PALETTE: u32 = 0x0200_0000;
    pub(crate) const RGB: u32 = 0x0300_0000;
    /// What SGR 59 leaves as the colour of the underline, as xterm.js has it.
    pub(crate) const UNDERLINE_DEFAULT: u32 = MASK;
}

/// Flags beside the foreground colour.
pub(crate) mod front {
    pub(crate) const INVERSE: u32 = 1 << 26;
    pub(crate) const BOLD: u32 = 1 << 27;
    pub(crate) const UNDERLINE: u32 = 1 << 28;
    pub(crate) const BLINK: u32 = 1 << 29;
    pub(crate) const INVISIBLE: u32 = 1 << 30;
    pub(crate) const STRIKETHROUGH: u32 = 1 << 31;
}

/// Flags beside the background colour.
pub(crate) mod back {
    pub(crate) const ITALIC: u32 = 1 << 26;
    pub(crate) const DIM: u32 = 1 << 27;
    /// The extra attributes count.
    pub(crate) const HAS_EXTRA: u32 = 1 << 28;
    pub(crate) const PROTECTED: u32 = 1 << 29;
    pub(crate) const OVERLINE: u32 = 1 << 30;
}

/// The number of extra attributes in [`crate::pool::Pool`]; 0: none.
pub(crate) type ExtraId = u32;

/// How a cell looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) fg: u32,
    pub(crate) bg: u32,
    pub(crate) extra: ExtraId,
}

impl Look {
    /// What an erased cell gets from the pen: its background colour.
    pub(crate) const fn erased(self) -> Self {
        Self { fg: 0, bg: self.bg & color::MASK, extra: 0 }
    }

    /// Whether it is no more than a background colour.
    pub(crate) const fn is_plain_back(self) -> bool {
        self.fg == 0 && self.bg & !color::MASK == 0
    }
}

const CODE: u32 = 0x1F_FFFF;
const COMBINED: u32 = 1 << 21;
const CONTENT: u32 = CODE | COMBINED;
const WIDTH: u32 = 22;

/// One cell. A wide character takes two: itself, and an empty one of width 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The code point, or the number of a text in the pool, and the width.
    content: u32,
    pub(crate) look: Look,
}

impl Cell {
    /// Empty, one column wide, with no look.
    pub(crate) const BLANK: Self = Self::null(Look { fg: 0, bg: 0, extra: 0 });

    /// Whether all are [`Self::BLANK`], without a branch for each.
    pub(crate) fn are_blank(cells: &[Self]) -> bool {
        let differs = |cell: &Self| {
            (cell.content ^ Self::BLANK.content) | cell.look.fg | cell.look.bg | cell.look.extra
        };
        cells.iter().fold(0, |all, cell| all | differs(cell)) == 0
    }

    /// Empty, one column wide.
    pub(crate) const fn null(look: Look) -> Self {
        Self { content: 1 << WIDTH, look }
    }

    /// The second half of a wide character.
    pub(crate) const fn half(look: Look) -> Self {
        Self { content: 0, look }
    }

    /// A character of a width.
    pub(crate) const fn of(code: u32, width: u8, look: Look) -> Self {
        Self { content: code | (width as u32) << WIDTH, look }
    }

    /// Takes a text of the pool, with the width that it had.
    pub(crate) fn set_text(&mut self, text: u32) {
        self.content = self.content & !CONTENT | COMBINED | text & CODE;
    }

    pub(crate) const fn width(self) -> u8 {
        (self.content >> WIDTH) as u8
    }

    /// Whether there is a character.
    pub(crate) const fn has_content(self) -> bool {
        self.content & CONTENT != 0
    }

    /// The number of its text, if it has more than one character.
    pub(crate) const fn text(self) -> Option<u32> {
        if self.content & COMBINED == 0 { None } else { Some(self.content & CODE) }
    }

    /// Its only character; 0 when it has none or more.
    pub(crate) const fn code(self) -> u32 {
        if self.content & COMBINED == 0 { self.content & CODE } else { 0 }
    }

    /// Whether it is one printable character of ASCII.
    pub(crate) const fn is_ascii(self) -> bool {
        matches!(self.content & !(1 << WIDTH), 0x20..=0x7E)
    }

    /// The second half of a wide character.
    pub(crate) const fn is_half(self) -> bool {
        self.width() == 0 && !self.has_content()
    }

    pub(crate) const fn is_protected(self) -> bool {
        self.look.bg & back::PROTECTED != 0
    }
}
