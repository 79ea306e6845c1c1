//! The state of a terminal, and how characters come onto its screen.

use std::collections::{BTreeMap, VecDeque};

use chatcode_proto::pb;

use crate::{
    buffer::Buffer,
    cell::{Cell, Look, back},
    charset::{Charsets, mapped},
    history::History,
    key_flags::KeyFlags,
    modes::{Modes, Mouse, MouseEncoding},
    pool::{Extra, Pool},
    row::Row,
    width,
};

/// Fewer columns than this cannot take a wide character.
const MIN_COLS: usize = 2;

/// The colours that a terminal has of itself, red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Theme {
    pub(crate) foreground: [u8; 3],
    pub(crate) background: [u8; 3],
    pub(crate) cursor: [u8; 3],
}

impl Default for Theme {
    fn default() -> Self {
        Self { foreground: [0xE6; 3], background: [0x10; 3], cursor: [0xE6; 3] }
    }
}

impl From<pb::Theme> for Theme {
    fn from(theme: pb::Theme) -> Self {
        let rgb = |color: u32| {
            let [_, red, green, blue] = color.to_be_bytes();
            [red, green, blue]
        };
        Self {
            foreground: rgb(theme.foreground),
            background: rgb(theme.background),
            cursor: rgb(theme.cursor),
        }
    }
}

/// The last character printed, as long as nothing but text came since: a
/// combining character joins it, and REP repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Joint {
    /// Its columns; never 0.
    pub(crate) width: u8,
    /// As it came, before the character set changed it.
    pub(crate) typed: char,
}

#[derive(Debug)]
pub(crate) struct Terminal {
    pub(crate) cols: usize,
    pub(crate) rows: usize,
    pub(crate) normal: Buffer,
    pub(crate) alternate: Buffer,
    pub(crate) shows_alternate: bool,
    pub(crate) history: History,
    pub(crate) pool: Pool,
    pub(crate) pen: Look,
    pub(crate) pen_extra: Extra,
    pub(crate) charsets: Charsets,
    pub(crate) modes: Modes,
    pub(crate) mouse: Mouse,
    pub(crate) mouse_encoding: MouseEncoding,
    pub(crate) cursor_hidden: bool,
    /// Mode 20.
    pub(crate) newline: bool,
    /// Mode 12, once a program has set it.
    pub(crate) blinks: Option<bool>,
    pub(crate) joint: Option<Joint>,
    /// As a program set it.
    pub(crate) raw_title: String,
    /// The same without control characters.
    pub(crate) title: String,
    /// Colours that programs have set: 0 to 255, and from 256 on foreground,
    /// background, cursor.
    pub(crate) palette: BTreeMap<u16, [u8; 3]>,
    pub(crate) theme: Theme,
    pub(crate) answers: Vec<u8>,
}

impl Terminal {
    pub(crate) fn new(winsize: pb::Winsize, history_lines: u32) -> Self {
        let (cols, rows) = (columns(winsize), rows(winsize));
        Self {
            cols,
            rows,
            normal: Buffer::blank(cols, rows),
            alternate: Buffer::empty(cols, rows),
            shows_alternate: false,
            history: History::new(history_lines as usize),
            pool: Pool::new(),
            pen: Look::default(),
            pen_extra: Extra::default(),
            charsets: Charsets::default(),
            modes: Modes::default(),
            mouse: Mouse::None,
            mouse_encoding: MouseEncoding::Default,
            cursor_hidden: false,
            newline: false,
            blinks: None,
            joint: None,
            raw_title: String::new(),
            title: String::new(),
            palette: BTreeMap::new(),
            theme: Theme::default(),
            answers: Vec::new(),
        }
    }

    /// RIS: all but what belongs to the window and its user.
    pub(crate) fn reset(&mut self) {
        self.normal = Buffer::blank(self.cols, self.rows);
        self.alternate = Buffer::empty(self.cols, self.rows);
        self.shows_alternate = false;
        self.history.clear();
        (self.pen, self.pen_extra) = (Look::default(), Extra::default());
        self.charsets = Charsets::default();
        self.modes = Modes::default();
        (self.mouse, self.mouse_encoding) = (Mouse::None, MouseEncoding::Default);
    }

    pub(crate) fn buffer(&mut self) -> &mut Buffer {
        if self.shows_alternate { &mut self.alternate } else { &mut self.normal }
    }

    pub(crate) fn shown(&self) -> &Buffer {
        if self.shows_alternate { &self.alternate } else { &self.normal }
    }

    /// How keys are told on the screen that is shown.
    pub(crate) fn key_flags(&mut self) -> &mut KeyFlags {
        if self.shows_alternate { &mut self.modes.alternate_key_flags } else { &mut self.modes.key_flags }
    }

    /// How the next character looks.
    pub(crate) fn look(&self) -> Look {
        let extra = if self.pen.bg & back::HAS_EXTRA == 0 { 0 } else { self.pen.extra };
        Look { extra, ..self.pen }
    }

    /// Takes another pen's extra attributes; whether they count is looked at
    /// where `update`.
    pub(crate) fn set_extra(&mut self, extra: Extra, update: bool) {
        self.pen_extra = extra;
        self.pen.extra = self.pool.extra_id(extra);
        if update {
            self.pen.bg &= !back::HAS_EXTRA;
            if extra.counts() {
                self.pen.bg |= back::HAS_EXTRA;
            }
        }
    }

    /// Forgets what no cell names any more.
    pub(crate) fn sweep(&mut self) {
        if !self.pool.wants_sweep() {
            return;
        }
        let rows = self.normal.rows.iter_mut().chain(&mut self.alternate.rows);
        self.pool.sweep(rows.flat_map(|row| &mut row.cells), &mut self.pen_extra);
        self.pen.extra = self.pool.extra_id(self.pen_extra);
    }

    /// Printable ASCII.
    pub(crate) fn print_ascii(&mut self, mut text: &[u8]) {
        let Some(&last) = text.last() else { return };
        if self.charsets.current.is_some() || self.modes.insert || !self.modes.wrap {
            text.iter().for_each(|byte| self.print(char::from(*byte)));
            return;
        }
        let (look, cols) = (self.look(), self.cols);
        self.spoil_half_before();
        while !text.is_empty() {
            if self.shown().x >= cols {
                self.wrap(look);
            }
            let buffer = self.buffer();
            let x = buffer.x;
            let count = text.len().min(cols - x);
            let row = buffer.row();
            for (cell, byte) in row.cells[x..x + count].iter_mut().zip(text) {
                *cell = Cell::of(u32::from(*byte), 1, look);
            }
            buffer.x += count;
            text = &text[count..];
        }
        self.spoil_half_behind(look);
        self.joint = Some(Joint { width: 1, typed: char::from(last) });
    }

    /// One character.
    pub(crate) fn print(&mut self, typed: char) {
        let c = if typed.is_ascii() { mapped(self.charsets.current, typed as u8) } else { typed };
        let own = width(c);
        if !self.modes.wrap && self.shown().x + usize::from(own) > self.cols {
            self.buffer().x = self.cols - 1;
            if own == 2 {
                self.joint = None;
                return;
            }
        }
        let look = self.look();
        self.spoil_half_before();
        if own == 0 && self.joint.is_some() && self.shown().x > 0 {
            self.join(c);
            return;
        }
        self.joint = (own > 0).then_some(Joint { width: own, typed });
        if self.shown().x + usize::from(own) > self.cols {
            self.wrap(look);
        }
        let (insert, cols) = (self.modes.insert, self.cols);
        let buffer = self.buffer();
        let x = buffer.x;
        let row = buffer.row();
        if insert {
            row.insert(x, usize::from(own), Cell::null(look));
            if row.width(cols - 1) == 2 {
                row.set(cols - 1, Cell::null(look));
            }
        }
        row.set(x, Cell::of(u32::from(c), own, look));
        if own == 2 {
            row.set(x + 1, Cell::half(look));
        }
        buffer.x = (x + usize::from(own).max(1)).min(cols + 1);
        self.spoil_half_behind(look);
    }

    /// Puts a combining character to the one before the cursor.
    fn join(&mut self, c: char) {
        let buffer = if self.shows_alternate { &mut self.alternate } else { &mut self.normal };
        let x = buffer.x;
        let row = &mut buffer.rows[buffer.y];
        let at = if row.width(x - 1) > 0 { x.checked_sub(1) } else { x.checked_sub(2) };
        if let Some(cell) = at.and_then(|at| row.cells.get_mut(at)) {
            self.pool.join(cell, c);
        }
    }

    /// A wide character of which the second half will be printed over goes.
    fn spoil_half_before(&mut self) {
        let look = self.look();
        let buffer = self.buffer();
        let x = buffer.x;
        let row = buffer.row();
        if x > 0 && row.width(x - 1) == 2 {
            row.set(x - 1, Cell::null(look));
        }
    }

    /// The second half goes of a wide character that was printed over.
    fn spoil_half_behind(&mut self, look: Look) {
        let cols = self.cols;
        let buffer = self.buffer();
        let x = buffer.x;
        if x < cols && buffer.row().cells[x].is_half() {
            buffer.row().set(x, Cell::null(look));
        }
    }

    /// Goes on in the next row.
    fn wrap(&mut self, look: Look) {
        let rows = self.rows;
        let keeps_none = self.shows_alternate || self.history.keeps_none();
        let buffer = self.buffer();
        let from = buffer.x;
        buffer.row().fill_from(from, Cell::null(look));
        buffer.x = 0;
        if buffer.y == buffer.bottom {
            self.scroll(true);
            if rows == 1 && keeps_none {
                // The new row is the old one, as xterm.js has it.
                self.buffer().row().fill_from(from, Cell::null(look));
            }
            return;
        }
        buffer.y = (buffer.y + 1).min(rows - 1);
        buffer.row().wrapped = true;
    }

    /// Moves the scrolling rows up by one. The one that leaves goes into the
    /// history when no row above it stands still.
    pub(crate) fn scroll(&mut self, wrapped: bool) {
        let (cols, fill) = (self.cols, Cell::null(self.pen.erased()));
        let is_normal = !self.shows_alternate;
        let buffer = if is_normal { &mut self.normal } else { &mut self.alternate };
        let Some(mut row) = buffer.rows.remove(buffer.top) else { return };
        if is_normal && buffer.top == 0 {
            self.history.push(&row, &self.pool);
        }
        row.reset(cols, fill);
        row.wrapped = wrapped;
        buffer.rows.insert(buffer.bottom, row);
    }
}

/// Cuts the cells of a line into rows.
pub(crate) fn cut(cells: Vec<Cell>, cols: usize) -> VecDeque<Row> {
    let mut rows = VecDeque::with_capacity(cells.len() / cols + 1);
    let mut rest = &cells[..];
    loop {
        let mut length = rest.len().min(cols);
        // A wide character stays whole.
        if rest.len() > cols && rest[cols - 1].width() == 2 {
            length = cols - 1;
        }
        let (first, behind) = rest.split_at(length);
        let mut cells = Vec::with_capacity(cols);
        cells.extend_from_slice(first);
        cells.resize(cols, Cell::BLANK);
        rows.push_back(Row { cells, wrapped: !rows.is_empty() });
        if behind.is_empty() {
            return rows;
        }
        rest = behind;
    }
}

pub(crate) fn columns(winsize: pb::Winsize) -> usize {
    (winsize.cols as usize).max(MIN_COLS)
}

pub(crate) fn rows(winsize: pb::Winsize) -> usize {
    (winsize.rows as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_takes_no_more_memory_as_rows_than_its_cells() {
        let line = vec![Cell::of(u32::from(b'y'), 1, Look::default()); 10_000];
        let rows = cut(line, 2);
        assert_eq!(rows.len(), 5_000);
        assert!(rows.iter().skip(1).all(|row| row.wrapped));
        let kept: usize = rows.iter().map(|row| row.cells.capacity()).sum();
        assert!(kept <= 20_000, "room for {kept} cells");
    }
}
