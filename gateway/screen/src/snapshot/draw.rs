//! Rows as text, so that a terminal which is given them wraps and scrolls
//! where the original did.

use std::io::Write as _;

use chatcode_proto::roomy::roomy;

use super::look::Shown;
use crate::{
    cell::{Cell, Look, back, color},
    history::{Item, Items},
    osc::OWN,
    pool::{Extra, Pool},
};

#[derive(Debug)]
pub(super) struct Drawing {
    out: Vec<u8>,
    cols: usize,
    /// What the terminal has; `None`: not known.
    shown: Option<Shown>,
    has_begun: bool,
    /// The cursor's column; `cols` when the next character wraps.
    x: usize,
    /// The last cell of the row before, if it was drawn as cells.
    last: Option<Cell>,
}

impl Drawing {
    pub(super) fn new(cols: usize) -> Self {
        let shown = Some(Shown::default());
        Self { out: roomy(), cols, shown, has_begun: false, x: 0, last: None }
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

    /// The next look is told in any case, so that no character joins another.
    pub(super) fn forget_look(&mut self) {
        self.shown = None;
    }

    pub(super) fn look(&mut self, look: Look, pool: &Pool) {
        self.show(Shown::of(look, pool));
    }

    pub(super) fn pen(&mut self, look: Look, extra: Extra, pool: &Pool) {
        self.show(Shown::with(look, extra, pool));
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
        (self.has_begun, self.x) = (false, 0);
    }

    pub(super) fn go_to(&mut self, x: usize, y: usize) {
        let _ = write!(self.out, "\x1b[{};{}H", y + 1, x + 1);
    }

    /// Our own sequence.
    pub(super) fn own(&mut self, what: std::fmt::Arguments<'_>) {
        let _ = write!(self.out, "\x1b]{OWN};{what}\x1b\\");
    }

    /// Draws a line as the history keeps it, if it needs no care; false when
    /// nothing was drawn.
    pub(super) fn line(&mut self, line: &[u8]) -> bool {
        let may_wrap = line.len() > self.cols;
        let needs_care = Items(line).any(|item| match item {
            Item::Look { bg, .. } => may_wrap && bg & (color::MODE | back::HAS_EXTRA) != 0,
            Item::Blanks(_) | Item::Alone { .. } => true,
            Item::Text(text) => may_wrap && !text.is_ascii(),
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

    /// Draws a row; `wrapped`: the one above goes on in it.
    pub(super) fn row(&mut self, wrapped: bool, cells: &[Cell], pool: &Pool) {
        if wrapped && self.wraps_into(cells[0]) {
            self.move_to(self.cols - 1);
            self.x = 0;
        } else {
            self.new_line();
            if wrapped {
                self.own(format_args!("w"));
            }
        }
        let mut at = 0;
        while at < cells.len() {
            at += self.cell(at, cells, pool);
        }
        self.last = Some(cells[self.cols - 1]);
    }

    /// Whether printing a row's first cell now begins that row, and leaves no
    /// trace elsewhere: a background would fill the row, and a link be counted
    /// to the row above.
    fn wraps_into(&self, first: Cell) -> bool {
        let is_plain = first.look.bg & (color::MODE | back::HAS_EXTRA) == 0;
        let has_room = self.x < self.cols && (first.width() < 2 || self.last != Some(Cell::null(first.look)));
        self.has_begun && is_plain && first.has_content() && first.width() > 0 && !has_room
    }

    fn new_line(&mut self) {
        if self.has_begun {
            if self.shown.as_ref().is_none_or(Shown::has_back) {
                self.plain();
            }
            self.out.extend_from_slice(b"\r\n");
        }
        (self.has_begun, self.x, self.last) = (true, 0, None);
    }

    /// Draws the cell at a column; gives how many columns that were.
    fn cell(&mut self, at: usize, cells: &[Cell], pool: &Pool) -> usize {
        let cell = cells[at];
        if cell.is_half() {
            return 1;
        }
        if cell.has_content() {
            self.move_to(at);
            self.text(cell, pool);
            return usize::from(cell.width()).max(1);
        }
        let run = cells[at..].iter().take_while(|other| **other == cell).count();
        if cell == Cell::BLANK {
            return run;
        }
        self.move_to(at);
        if cell.look.is_plain_back() {
            self.look(cell.look, pool);
            let _ = write!(self.out, "\x1b[{run}X");
            return run;
        }
        // What stays of a wide character when its other half was printed over.
        self.look(cell.look, pool);
        self.own(format_args!("e"));
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
        self.out.extend_from_slice(pool.characters(cell, &mut [0; 4]).as_bytes());
        self.x += usize::from(cell.width()).max(1);
    }
}
