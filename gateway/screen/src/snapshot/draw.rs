//! Rows as text, so that a terminal which is given them wraps and scrolls
//! where the original did.

use std::io::Write as _;

use chatcode_proto::roomy::roomy;

use super::look::{Shown, put_change};
use crate::{
    cell::{Cell, Look},
    history::{Item, Items},
    pool::{Extra, Pool},
    width,
};

/// What is printed where nothing stays: it is erased again.
const FILLER: u8 = b'x';
const WIDE_FILLER: &str = "\u{3000}";

#[derive(Debug)]
pub(super) struct Drawing {
    out: Vec<u8>,
    cols: usize,
    /// What the terminal has; `None`: not known.
    shown: Option<Shown>,
    has_begun: bool,
    /// The cursor's column; `cols` when the next character wraps.
    x: usize,
    /// A filler stands in the next row already.
    has_wrapped: bool,
    /// No row will come behind the one that is drawn.
    is_last: bool,
}

impl Drawing {
    pub(super) fn new(cols: usize) -> Self {
        let shown = Some(Shown::default());
        Self { out: roomy(), cols, shown, has_begun: false, x: 0, has_wrapped: false, is_last: false }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn put_fmt(&mut self, bytes: std::fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(bytes);
    }

    /// Whatever the terminal's look is now, it is told anew.
    pub(super) fn forget_look(&mut self) {
        self.shown = None;
    }

    pub(super) fn look(&mut self, look: Look, pool: &Pool) {
        self.show(Shown::of(look, pool));
    }

    pub(super) fn pen(&mut self, look: Look, extra: Extra, pool: &Pool) {
        self.show(Shown::with(look, extra, pool));
    }

    /// From a look that DECRC left to the pen, without a touch at its extra
    /// attributes.
    pub(super) fn change_pen(&mut self, from: Look, pen: Look) {
        put_change(&mut self.out, from, pen);
        self.shown = None;
    }

    /// OSC 8 of a pen.
    pub(super) fn link(&mut self, extra: Extra, pool: &Pool) {
        Shown::with(Look::default(), extra, pool).put_link(&mut self.out);
    }

    fn show(&mut self, wanted: Shown) {
        if self.shown.as_ref() == Some(&wanted) {
            return;
        }
        let link = self.shown.as_ref().map(|shown| &shown.link);
        if link != Some(&wanted.link) {
            wanted.put_link(&mut self.out);
        }
        wanted.put(&mut self.out);
        self.shown = Some(wanted);
    }

    /// No look at all.
    pub(super) fn plain(&mut self) {
        self.show(Shown::default());
    }

    /// Whether nothing was told to the terminal yet.
    pub(super) const fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Whether a row was drawn on this screen or above it.
    pub(super) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Another screen is drawn from its top.
    pub(super) fn begin(&mut self) {
        (self.has_begun, self.x, self.has_wrapped) = (false, 0, false);
    }

    pub(super) fn go_to(&mut self, x: usize, y: usize) {
        let _ = write!(self.out, "\x1b[{};{}H", y + 1, x + 1);
    }

    /// Draws a line as the history keeps it, if it needs no care; false when
    /// nothing was drawn.
    pub(super) fn line(&mut self, line: &[u8]) -> bool {
        let may_wrap = line.len() > self.cols;
        let needs_care = Items(line).any(|item| match item {
            Item::Look { bg, .. } => may_wrap && bg & crate::cell::color::MODE != 0,
            Item::Blanks(_) | Item::Alone { .. } => true,
            Item::Text(_) => false,
        });
        if needs_care {
            return false;
        }
        self.new_line();
        self.plain();
        for item in Items(line) {
            match item {
                Item::Look { fg, bg, extra } => {
                    self.show(Shown::kept(fg, bg, extra));
                }
                Item::Text(text) => self.out.extend_from_slice(text),
                Item::Blanks(_) | Item::Alone { .. } => {}
            }
        }
        true
    }

    /// Draws rows, each with whether the one above goes on in it; `goes_on`:
    /// the last of them does so in what is drawn next.
    pub(super) fn rows<'a>(
        &mut self,
        rows: impl Iterator<Item = (bool, &'a [Cell])>,
        goes_on: Option<&[Cell]>,
        pool: &Pool,
    ) {
        let mut rows = rows.peekable();
        while let Some((wrapped, cells)) = rows.next() {
            let next = match rows.peek() {
                Some((true, next)) => Some(*next),
                Some((false, _)) => None,
                None => goes_on,
            };
            self.row(wrapped, cells, next, pool);
        }
    }

    /// Draws the rows of a screen: no row comes behind the last of them.
    pub(super) fn last_rows<'a>(&mut self, rows: impl Iterator<Item = (bool, &'a [Cell])>, pool: &Pool) {
        let mut rows = rows.peekable();
        while let Some((wrapped, cells)) = rows.next() {
            let next = rows.peek();
            self.is_last = next.is_none();
            let next = next.filter(|(wrapped, _)| *wrapped).map(|(_, cells)| *cells);
            self.row(wrapped, cells, next, pool);
        }
        self.is_last = false;
    }

    /// Begins with a row that will scroll out, and that goes on in the first.
    pub(super) fn begin_with_cut_line(&mut self) {
        let before = if self.has_begun { "\r\n" } else { "" };
        self.plain();
        let _ = write!(self.out, "{before}\x1b[{}G{WIDE_FILLER}", self.cols);
        (self.has_begun, self.x, self.has_wrapped) = (true, 0, true);
    }

    fn row(&mut self, wrapped: bool, cells: &[Cell], next: Option<&[Cell]>, pool: &Pool) {
        if self.has_wrapped {
            // Of a look, only the background comes where something is erased.
            if self.shown.as_ref().is_none_or(Shown::has_back) {
                self.plain();
            }
            // EL ends the wrapping of a row, ECH does not.
            match wrapped {
                true => _ = write!(self.out, "\r\x1b[{}X", self.cols),
                false => self.out.extend_from_slice(b"\r\x1b[K"),
            }
            (self.x, self.has_wrapped) = (0, false);
        } else if wrapped && self.has_begun && self.x >= self.cols - 1 {
            self.wrap(cells, pool);
        } else {
            self.new_line();
        }
        let mut at = self.x;
        while at < cells.len() {
            at += self.cell(at, cells, pool);
        }
        if let Some(next) = next {
            self.end_row(cells, next, pool);
        }
    }

    fn new_line(&mut self) {
        if self.has_begun {
            if self.shown.as_ref().is_none_or(Shown::has_back) {
                self.plain();
            }
            self.out.extend_from_slice(b"\r\n");
        }
        (self.has_begun, self.x, self.has_wrapped) = (true, 0, false);
    }

    /// Prints the first cell of a row, so that the terminal wraps into it.
    fn wrap(&mut self, cells: &[Cell], pool: &Pool) {
        let first = cells[0];
        let is_text = first.has_content() && first.width() > 0;
        self.x = 0;
        if is_text {
            self.text(first, pool);
        } else {
            self.plain();
            self.out.push(FILLER);
            self.x = 1;
        }
        if self.shown.as_ref().is_none_or(Shown::has_back) && self.x < self.cols {
            // The row has come in with that colour.
            self.plain();
            self.out.extend_from_slice(b"\x1b[K");
        }
        if !is_text {
            self.plain();
            self.out.extend_from_slice(b"\r\x1b[X");
            self.x = 0;
        }
    }

    /// Draws the cell at a column; gives how many columns that were.
    fn cell(&mut self, at: usize, cells: &[Cell], pool: &Pool) -> usize {
        let cell = cells[at];
        let run = cells[at..].iter().take_while(|other| **other == cell).count();
        if cell == Cell::BLANK {
            return run;
        }
        if cell.is_half() {
            return 1;
        }
        if cell.has_content() {
            self.move_to(at);
            self.text(cell, pool);
            return usize::from(cell.width()).max(1);
        }
        self.move_to(at);
        if cell.look.is_plain_back() {
            self.look(cell.look, pool);
            let _ = write!(self.out, "\x1b[{run}X");
            return run;
        }
        self.empty_with_look(at, cells, pool);
        1
    }

    fn move_to(&mut self, at: usize) {
        if at > self.x {
            let _ = write!(self.out, "\x1b[{}C", at - self.x);
            self.x = at;
        }
    }

    /// Prints a cell where the cursor is.
    pub(super) fn text(&mut self, cell: Cell, pool: &Pool) {
        if cell.width() == 0 {
            // Nothing that it could join may have come before it.
            self.forget_look();
        }
        self.look(cell.look, pool);
        match cell.text() {
            Some(text) => self.out.extend_from_slice(pool.text(text).as_bytes()),
            None => {
                let c = char::from_u32(cell.code()).unwrap_or_default();
                self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        self.x += usize::from(cell.width()).max(1);
    }

    /// An empty cell with more than a background: what stays of a wide
    /// character when its other half was printed over.
    fn empty_with_look(&mut self, at: usize, cells: &[Cell], pool: &Pool) {
        let look = cells[at].look;
        self.look(look, pool);
        if at + 1 < self.cols {
            let _ = write!(self.out, "{WIDE_FILLER}\x1b[{}G ", at + 2);
            self.plain();
            let _ = write!(self.out, "\x1b[{}G\x1b[X", at + 2);
            self.x = at + 1;
        } else if !self.is_last {
            // A wide character does not fit there, and leaves an empty cell.
            self.out.extend_from_slice(WIDE_FILLER.as_bytes());
            self.has_wrapped = true;
        } else if at > 0 && cells[at - 1].width() == 1 {
            let _ = write!(self.out, "\x1b[{at}G{WIDE_FILLER}\x1b[{at}G ");
            self.plain();
            let _ = write!(self.out, "\x1b[{at}G\x1b[X");
            self.x = at - 1;
            if cells[at - 1] != Cell::BLANK {
                self.cell(at - 1, cells, pool);
            }
        }
    }

    /// Brings the cursor to where the next character wraps.
    fn end_row(&mut self, cells: &[Cell], next: &[Cell], pool: &Pool) {
        let last = cells[self.cols - 1];
        if last.has_content() || last.is_half() || self.has_wrapped {
            return;
        }
        self.move_to(self.cols - 1);
        if next[0].width() < 2 || next[0].look != last.look {
            // A wide character does not fit there, and leaves an empty cell.
            self.look(last.look, pool);
            self.out.extend_from_slice(WIDE_FILLER.as_bytes());
            self.has_wrapped = true;
        }
    }
}

/// The characters of a cell.
pub(super) fn text_of(cell: Cell, pool: &Pool) -> String {
    match cell.text() {
        Some(text) => pool.text(text).to_owned(),
        None if cell.has_content() => char::from_u32(cell.code()).map(String::from).unwrap_or_default(),
        None => String::new(),
    }
}

/// Whether a character may stand in a cell of this width.
pub(super) fn fits(c: char, cell: Cell) -> bool {
    width(c) == cell.width()
}
