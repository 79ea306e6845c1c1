//! One row of cells.

use crate::cell::Cell;

/// A row; `wrapped`: the row above goes on in it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) cells: Vec<Cell>,
    pub(crate) wrapped: bool,
}

impl Row {
    pub(crate) fn new(cols: usize, fill: Cell) -> Self {
        Self { cells: vec![fill; cols], wrapped: false }
    }

    /// As if new.
    pub(crate) fn reset(&mut self, cols: usize, fill: Cell) {
        self.cells.resize(cols, fill);
        self.cells.fill(fill);
        self.wrapped = false;
    }

    /// As if nothing had ever been printed to it.
    pub(crate) fn is_blank(&self) -> bool {
        !self.wrapped && self.cells.iter().all(|cell| *cell == Cell::BLANK)
    }

    pub(crate) fn width(&self, col: usize) -> u8 {
        self.cells.get(col).map_or(0, |cell| cell.width())
    }

    pub(crate) fn set(&mut self, col: usize, cell: Cell) {
        if let Some(place) = self.cells.get_mut(col) {
            *place = cell;
        }
    }

    /// Columns up to the last character.
    pub(crate) fn trimmed(&self) -> usize {
        let last = self.cells.iter().rposition(|cell| cell.has_content());
        last.map_or(0, |col| col + usize::from(self.cells[col].width()))
    }

    /// Moves what is at `col` and behind it to the right; what leaves the row
    /// is lost, and so is a wide character that is cut in two.
    pub(crate) fn insert(&mut self, col: usize, count: usize, fill: Cell) {
        let length = self.cells.len();
        let col = col % length;
        if col > 0 && self.width(col - 1) == 2 {
            self.cells[col - 1..=col].fill(Cell::null(fill.look));
        }
        let count = count.min(length - col);
        self.cells.copy_within(col..length - count, col + count);
        self.cells[col..col + count].fill(fill);
        if self.width(length - 1) == 2 {
            self.cells[length - 1] = Cell::null(fill.look);
        }
    }

    /// Takes cells out at `col`; what is behind them moves to the left.
    pub(crate) fn delete(&mut self, col: usize, count: usize, fill: Cell) {
        let length = self.cells.len();
        let col = col % length;
        let count = count.min(length - col);
        self.cells.copy_within(col + count.., col);
        self.cells[length - count..].fill(fill);
        if col > 0 && self.width(col - 1) == 2 {
            self.cells[col - 1] = Cell::null(fill.look);
        }
        if self.cells[col].is_half() {
            self.cells[col] = Cell::null(fill.look);
        }
    }

    /// Fills cells; a wide character of which a half is among them goes.
    pub(crate) fn erase(&mut self, from: usize, to: usize, fill: Cell) {
        let length = self.cells.len();
        if from > 0 && self.width(from - 1) == 2 {
            self.cells[from - 1] = Cell::null(fill.look);
        }
        if to < length && to > 0 && self.width(to - 1) == 2 {
            self.cells[to] = Cell::null(fill.look);
        }
        let to = to.min(length);
        if from < to {
            self.cells[from..to].fill(fill);
        }
    }

    /// As [`Self::erase`], but protected cells stay.
    pub(crate) fn erase_unprotected(&mut self, from: usize, to: usize, fill: Cell) {
        let length = self.cells.len();
        if from > 0 && self.width(from - 1) == 2 && !self.cells[from - 1].is_protected() {
            self.cells[from - 1] = Cell::null(fill.look);
        }
        if to < length && to > 0 && self.width(to - 1) == 2 && !self.cells[to].is_protected() {
            self.cells[to] = Cell::null(fill.look);
        }
        for cell in self.cells.iter_mut().take(to).skip(from) {
            if !cell.is_protected() {
                *cell = fill;
            }
        }
    }

    /// Fills the whole row.
    pub(crate) fn fill(&mut self, fill: Cell) {
        self.cells.fill(fill);
    }

    /// Fills the row from a column on, which may be behind the last.
    pub(crate) fn fill_from(&mut self, col: usize, fill: Cell) {
        self.cells.iter_mut().skip(col).for_each(|cell| *cell = fill);
    }

    /// Makes the row longer or shorter. A wide character that loses its second
    /// half goes.
    pub(crate) fn resize(&mut self, cols: usize) {
        self.cells.resize(cols, Cell::BLANK);
        if self.width(cols - 1) == 2 {
            self.set(cols - 1, Cell::BLANK);
        }
    }
}
