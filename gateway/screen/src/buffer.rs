//! One of the two buffers of a terminal: its rows and what belongs to them.

use std::collections::{BTreeSet, VecDeque};

use crate::{
    cell::{Cell, Look},
    charset::Charset,
    pool::Extra,
    row::Row,
};

/// Columns between tab stops.
const TAB: usize = 8;

/// What DECSC saves; the place is always on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Saved {
    pub(crate) x: usize,
    pub(crate) y: usize,
    /// Colours and flags.
    pub(crate) look: Look,
    /// The underline; links are not saved.
    pub(crate) extra: Extra,
    pub(crate) charset: Charset,
}

/// A buffer. The alternate one has no rows before it is shown first.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) rows: VecDeque<Row>,
    /// The cursor's column; the number of columns when the next character
    /// wraps.
    pub(crate) x: usize,
    pub(crate) y: usize,
    /// The first row that scrolls.
    pub(crate) top: usize,
    /// The last row that scrolls.
    pub(crate) bottom: usize,
    pub(crate) tabs: BTreeSet<usize>,
    pub(crate) saved: Saved,
}

impl Buffer {
    /// A buffer without rows.
    pub(crate) fn empty(cols: usize, rows: usize) -> Self {
        Self {
            rows: VecDeque::new(),
            x: 0,
            y: 0,
            top: 0,
            bottom: rows - 1,
            tabs: default_tabs(cols),
            saved: Saved::default(),
        }
    }

    /// A buffer with blank rows.
    pub(crate) fn blank(cols: usize, rows: usize) -> Self {
        let mut buffer = Self::empty(cols, rows);
        buffer.fill(cols, rows, Look::default());
        buffer
    }

    /// Gives a buffer without rows as many blank ones.
    pub(crate) fn fill(&mut self, cols: usize, rows: usize, look: Look) {
        if self.rows.is_empty() {
            self.rows.extend((0..rows).map(|_| Row::new(cols, Cell::null(look))));
        }
    }

    /// Empties it; what DECSC saved stays.
    pub(crate) fn clear(&mut self, cols: usize, rows: usize) {
        let saved = self.saved;
        *self = Self::empty(cols, rows);
        self.saved = saved;
    }

    /// The row with the cursor.
    pub(crate) fn row(&mut self) -> &mut Row {
        let y = self.y;
        &mut self.rows[y]
    }

    pub(crate) fn next_tab(&self, cols: usize) -> usize {
        let next = self.tabs.range(self.x + 1..).next().copied().unwrap_or(cols);
        next.min(cols - 1)
    }

    pub(crate) fn previous_tab(&self, x: usize, cols: usize) -> usize {
        self.tabs.range(..x).next_back().copied().unwrap_or(0).min(cols - 1)
    }

    /// Sets the stops of columns that are new, and forgets those of columns
    /// that are gone.
    pub(crate) fn extend_tabs(&mut self, cols: usize) {
        let from = if self.tabs.contains(&cols) { cols } else { self.previous_tab(cols, cols) };
        self.tabs.extend((from..cols).step_by(TAB));
        self.tabs.retain(|tab| *tab < cols);
    }

    /// Takes the row at `from` out and puts a blank one in at `to`.
    pub(crate) fn replace(&mut self, from: usize, to: usize, cols: usize, look: Look) {
        if let Some(mut row) = self.rows.remove(from) {
            row.reset(cols, Cell::null(look));
            self.rows.insert(to, row);
        }
    }
}

pub(crate) fn default_tabs(cols: usize) -> BTreeSet<usize> {
    (0..cols).step_by(TAB).collect()
}
