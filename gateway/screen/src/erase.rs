//! Erasing, inserting and deleting.

use crate::{
    cell::{Cell, Look},
    terminal::{Joint, Terminal},
    width,
};

/// Characters that one REP repeats; more are not printed.
const REPEATS: usize = 64 * 1024;

impl Terminal {
    fn blank(&self) -> Cell {
        Cell::null(self.pen.erased())
    }

    fn erase(&mut self, y: usize, from: usize, to: usize, keeps_protected: bool) {
        let blank = self.blank();
        let row = &mut self.buffer().rows[y];
        if keeps_protected {
            row.erase_unprotected(from, to, blank);
        } else {
            row.erase(from, to, blank);
        }
    }

    fn erase_row(&mut self, y: usize, keeps_protected: bool) {
        let blank = self.blank();
        let row = &mut self.buffer().rows[y];
        if keeps_protected {
            let length = row.cells.len();
            for x in 0..length {
                if !row.cells[x].is_protected() {
                    row.cells[x] = blank;
                }
            }
        } else {
            row.fill(blank);
        }
        row.wrapped = false;
    }

    /// ED and DECSED.
    pub(crate) fn erase_in_display(&mut self, what: i32, keeps_protected: bool) {
        self.restrict(self.cols);
        let (x, y, rows, cols) = (self.shown().x, self.shown().y, self.rows, self.cols);
        match what {
            0 => {
                self.erase(y, x, cols, keeps_protected);
                if x == 0 {
                    self.buffer().row().wrapped = false;
                }
                (y + 1..rows).for_each(|y| self.erase_row(y, keeps_protected));
            }
            1 => {
                self.erase(y, 0, x + 1, keeps_protected);
                self.buffer().row().wrapped = false;
                if x + 1 >= cols
                    && let Some(next) = self.buffer().rows.get_mut(y + 1)
                {
                    next.wrapped = false;
                }
                (0..y).for_each(|y| self.erase_row(y, keeps_protected));
            }
            2 => (0..rows).for_each(|y| self.erase_row(y, keeps_protected)),
            3 if !self.shows_alternate => self.history.clear(),
            _ => {}
        }
    }

    /// EL and DECSEL.
    pub(crate) fn erase_in_line(&mut self, what: i32, keeps_protected: bool) {
        self.restrict(self.cols);
        let (x, y, cols) = (self.shown().x, self.shown().y, self.cols);
        match what {
            0 => self.erase(y, x, cols, keeps_protected),
            1 => self.erase(y, 0, x + 1, keeps_protected),
            2 => self.erase(y, 0, cols, keeps_protected),
            _ => return,
        }
        if what == 2 || (what == 0 && x == 0) {
            self.buffer().row().wrapped = false;
        }
    }

    /// ECH.
    pub(crate) fn erase_characters(&mut self, count: usize) {
        self.restrict(self.cols - 1);
        let (x, y) = (self.shown().x, self.shown().y);
        self.erase(y, x, x.saturating_add(count), false);
    }

    /// ICH.
    pub(crate) fn insert_characters(&mut self, count: usize) {
        self.restrict(self.cols - 1);
        let (x, blank) = (self.shown().x, self.blank());
        self.buffer().row().insert(x, count, blank);
    }

    /// DCH.
    pub(crate) fn delete_characters(&mut self, count: usize) {
        self.restrict(self.cols - 1);
        let (x, blank) = (self.shown().x, self.blank());
        self.buffer().row().delete(x, count, blank);
    }

    fn is_in_region(&self) -> bool {
        let buffer = self.shown();
        (buffer.top..=buffer.bottom).contains(&buffer.y)
    }

    /// IL.
    pub(crate) fn insert_lines(&mut self, count: usize) {
        self.shift_lines(count, true);
    }

    /// DL.
    pub(crate) fn delete_lines(&mut self, count: usize) {
        self.shift_lines(count, false);
    }

    fn shift_lines(&mut self, count: usize, inserts: bool) {
        self.restrict(self.cols - 1);
        if self.is_in_region() {
            let (y, bottom) = (self.shown().y, self.shown().bottom);
            let (from, to) = if inserts { (bottom, y) } else { (y, bottom) };
            self.shift(count, from, to, self.pen.erased());
            self.return_carriage();
        }
    }

    /// SU; nothing goes into the history.
    pub(crate) fn scroll_up(&mut self, count: usize) {
        let (top, bottom) = (self.shown().top, self.shown().bottom);
        self.shift(count, top, bottom, self.pen.erased());
    }

    /// SD.
    pub(crate) fn scroll_down(&mut self, count: usize) {
        let (top, bottom) = (self.shown().top, self.shown().bottom);
        self.shift(count, bottom, top, Look::default());
    }

    fn shift(&mut self, count: usize, from: usize, to: usize, look: Look) {
        let cols = self.cols;
        for _ in 0..count.min(self.rows) {
            self.buffer().replace(from, to, cols, look);
        }
    }

    /// SL, SR, DECIC, DECDC: cells at a column of all rows that scroll.
    pub(crate) fn shift_columns(&mut self, at: usize, count: usize, inserts: bool) {
        if !self.is_in_region() {
            return;
        }
        let blank = self.blank();
        let buffer = self.buffer();
        for y in buffer.top..=buffer.bottom {
            let row = &mut buffer.rows[y];
            if inserts {
                row.insert(at, count, blank);
            } else {
                row.delete(at, count, blank);
            }
            row.wrapped = false;
        }
    }

    /// DECALN.
    pub(crate) fn align(&mut self) {
        let filled = Cell::of(u32::from('E'), 1, self.look());
        for row in &mut self.buffer().rows {
            row.fill(filled);
            row.wrapped = false;
        }
        self.go_to(0, 0);
    }

    /// REP.
    pub(crate) fn repeat(&mut self, count: usize) {
        let Some(Joint { width: columns, .. }) = self.joint else { return };
        let buffer = self.shown();
        let Some(cell) =
            buffer.x.checked_sub(usize::from(columns)).and_then(|x| buffer.rows[buffer.y].cells.get(x))
        else {
            return;
        };
        let text = self.pool.characters(*cell, &mut [0; 4]).to_owned();
        for _ in 0..count.min(REPEATS) {
            for c in text.chars() {
                // A combining one joins again.
                if width(c) > 0 && self.joint.is_none() {
                    return;
                }
                self.print(c);
            }
        }
    }
}
