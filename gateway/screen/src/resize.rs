//! Another size: rows come and go at the top or below the cursor, and lines of
//! the normal screen are cut anew. The rules are those of xterm.js, so that a
//! page that is resized with the session shows what the session has; a line
//! with the cursor in it is not cut anew, since its program will draw it again.

use std::collections::VecDeque;

use crate::{buffer::Buffer, cell::Cell, row::Row, terminal::Terminal};

/// A buffer's rows with some of those above the screen.
struct Lines {
    rows: VecDeque<Row>,
    /// How many of them are above the screen.
    above: usize,
    /// The cursor's row on the screen.
    y: usize,
    /// The saved cursor's row, counted from the first of `rows`.
    saved_y: i64,
    /// Rows that there may be above the screen at most.
    most_above: usize,
}

impl Terminal {
    /// Takes another size.
    pub(crate) fn resize(&mut self, cols: usize, rows: usize) {
        if (cols, rows) == (self.cols, self.rows) {
            return;
        }
        for buffer in [&mut self.normal, &mut self.alternate] {
            buffer.extend_tabs(cols);
        }
        self.resize_normal(cols, rows);
        self.resize_alternate(cols, rows);
        (self.cols, self.rows) = (cols, rows);
        // Another place is left of the cursor now.
        self.joint = None;
    }

    fn resize_normal(&mut self, cols: usize, rows: usize) {
        let mut lines = self.pull(cols, rows);
        // What the first row of all goes on from is gone.
        lines.rows.iter_mut().take(1).for_each(|row| row.wrapped = false);
        let (old_cols, old_rows) = (self.cols, self.rows);
        if old_cols < cols {
            lines.rows.iter_mut().for_each(|row| row.resize(cols));
        }
        lines.resize_rows(&mut self.normal, cols, old_rows, rows);
        if old_cols < cols {
            lines.widen(old_cols, cols, rows);
        } else if cols < old_cols {
            lines.narrow(old_cols, cols, rows);
            lines.rows.iter_mut().for_each(|row| row.resize(cols));
        }
        lines.put_cursors(&mut self.normal, cols, rows);
        if old_cols != cols {
            self.history.recut(old_cols, cols);
        }
        for row in lines.rows.drain(..lines.above) {
            self.history.push(&row, &self.pool);
        }
        self.normal.rows = lines.rows;
    }

    fn resize_alternate(&mut self, cols: usize, rows: usize) {
        let buffer = &mut self.alternate;
        let mut lines = Lines {
            rows: std::mem::take(&mut buffer.rows),
            above: 0,
            y: buffer.y,
            saved_y: buffer.saved.y as i64,
            most_above: 0,
        };
        if lines.rows.is_empty() {
            buffer.bottom = rows - 1;
        } else {
            lines.rows.iter_mut().for_each(|row| row.resize(cols));
            lines.resize_rows(buffer, cols, self.rows, rows);
        }
        lines.put_cursors(buffer, cols, rows);
        buffer.rows = lines.rows;
    }

    /// Takes the normal screen's rows, and as many of the lines above it as
    /// can come onto a screen of the new size.
    fn pull(&mut self, cols: usize, rows: usize) -> Lines {
        let mut lines = Lines {
            rows: std::mem::take(&mut self.normal.rows),
            above: 0,
            y: self.normal.y,
            saved_y: self.normal.saved.y as i64,
            most_above: usize::MAX,
        };
        let wanted = rows + self.rows;
        let mut have = 0;
        while have < wanted {
            let Some(line) = self.history.pop(self.cols, &mut self.pool) else { break };
            // The line with the cursor is not cut anew.
            let length: usize = line.iter().map(|row| row.cells.len()).sum();
            let empty = line.back().map_or(0, |row| row.cells.len() - row.trimmed().min(row.cells.len()));
            have += (length - empty).div_ceil(cols.max(self.cols)).max(1);
            lines.above += line.len();
            line.into_iter().rev().for_each(|row| lines.rows.push_front(row));
        }
        lines.saved_y += lines.above as i64;
        lines
    }
}

impl Lines {
    /// The cursor's row, and what was saved, which stays on the screen.
    fn put_cursors(&self, buffer: &mut Buffer, cols: usize, rows: usize) {
        buffer.y = self.y;
        let saved_y = usize::try_from(self.saved_y - self.above as i64).unwrap_or(0);
        (buffer.saved.x, buffer.saved.y) = (buffer.saved.x.min(cols - 1), saved_y.min(rows - 1));
    }

    /// Takes or gives rows, so that there are as many on the screen.
    fn resize_rows(&mut self, buffer: &mut Buffer, cols: usize, old: usize, new: usize) {
        let mut came = 0;
        for _ in old..new {
            if self.rows.len() >= new + self.above {
                continue;
            }
            if self.above > 0 && self.rows.len() <= self.above + self.y + came + 1 {
                self.above -= 1;
                came += 1;
            } else {
                self.rows.push_back(Row::new(cols, Cell::BLANK));
            }
        }
        for _ in new..old {
            if self.rows.len() <= new + self.above {
                continue;
            }
            if self.rows.len() > self.above + self.y + 1 {
                self.rows.pop_back();
            } else {
                self.above += 1;
            }
        }
        // Of a screen without history the rows are gone that left its top.
        while self.above > self.most_above {
            self.rows.pop_front();
            self.above -= 1;
            self.saved_y -= 1;
        }
        buffer.x = buffer.x.min(cols - 1);
        self.y = self.y.min(new - 1) + came;
        (buffer.top, buffer.bottom) = (0, new - 1);
    }

    /// The rows of the line that begins at `from`.
    fn line(&self, from: usize) -> usize {
        self.rows.iter().skip(from + 1).take_while(|row| row.wrapped).count() + 1
    }

    fn has_cursor(&self, from: usize, count: usize) -> bool {
        (from..from + count).contains(&(self.above + self.y))
    }

    /// Joins what no longer needs as many rows.
    fn widen(&mut self, old: usize, new: usize, rows: usize) {
        let mut kept = VecDeque::with_capacity(self.rows.len());
        let mut gone = 0;
        let mut from = 0;
        while from < self.rows.len() {
            let count = self.line(from);
            let mut line: Vec<Row> = self.rows.range(from..from + count).cloned().collect();
            if count > 1 && !self.has_cursor(from, count) {
                let needed = join(&mut line, old, new);
                gone += count - needed;
                line.truncate(needed);
            }
            kept.extend(line);
            from += count;
        }
        self.rows = kept;
        for _ in 0..gone {
            if self.above > 0 {
                self.above -= 1;
            } else {
                self.y = self.y.saturating_sub(1);
                if self.rows.len() < rows {
                    self.rows.push_back(Row::new(new, Cell::BLANK));
                }
            }
        }
        self.saved_y -= gone as i64;
    }

    /// Cuts what no longer fits.
    fn narrow(&mut self, old: usize, new: usize, rows: usize) {
        // The rows that come, and behind which row, lowest first.
        let mut inserts: Vec<(usize, Vec<Row>)> = Vec::new();
        let mut came = 0;
        let mut end = self.rows.len();
        // From below, since rows below the cursor go as others come.
        while end > 0 {
            let last = end - 1;
            if last >= self.rows.len() {
                // It went as rows came below it.
                end = last;
                continue;
            }
            let mut from = last;
            while self.rows[from].wrapped && from > 0 {
                from -= 1;
            }
            let count = end - from;
            end = from;
            let fits = !self.rows[last].wrapped && self.rows[last].trimmed() <= new;
            if fits || self.has_cursor(from, count) {
                continue;
            }
            let more = self.split(from, count, old, new);
            let more_count = more.len();
            if more_count > 0 {
                inserts.push((from + count + came, more));
                came += more_count;
            }
            self.make_room(more_count, came, rows);
            self.saved_y = (self.saved_y + more_count as i64).min((self.above + rows - 1) as i64);
        }
        self.insert(inserts);
    }

    /// Cuts the rows of a line anew; gives those that come behind them.
    fn split(&mut self, from: usize, count: usize, old: usize, new: usize) -> Vec<Row> {
        let line = &self.rows.make_contiguous()[from..from + count];
        let mut cells: Vec<Cell> = Vec::new();
        for (index, row) in line.iter().enumerate() {
            cells.extend_from_slice(&row.cells[..length(line, index, old).min(row.cells.len())]);
        }
        let mut more = Vec::new();
        for (index, (piece, length)) in pieces(&cells, new).into_iter().enumerate() {
            let mut blank = Row { cells: vec![Cell::BLANK; old], wrapped: true };
            let row = if index < count { &mut self.rows[from + index] } else { &mut blank };
            row.cells[..length].copy_from_slice(piece);
            if length < new {
                row.set(length, Cell::BLANK);
            }
            if index >= count {
                more.push(blank);
            }
        }
        more
    }

    /// So many rows came: the cursor moves down as long as nothing is above
    /// the screen and there are rows below it, then rows leave at the top.
    fn make_room(&mut self, more: usize, came: usize, rows: usize) {
        for _ in 0..more {
            if self.above > 0 {
                if self.above < (self.rows.len() + came).saturating_sub(rows) {
                    self.above += 1;
                }
            } else if self.y + 1 < rows {
                self.y += 1;
                self.rows.pop_back();
            } else {
                self.above += 1;
            }
        }
    }

    /// Puts rows in; each place counts the rows that come below it too.
    fn insert(&mut self, inserts: Vec<(usize, Vec<Row>)>) {
        let mut upwards: VecDeque<Row> = VecDeque::with_capacity(self.rows.len());
        let mut inserted = 0;
        for (place, rows) in inserts {
            while self.rows.len() + inserted > place {
                upwards.extend(self.rows.pop_back());
            }
            inserted += rows.len();
            upwards.extend(rows.into_iter().rev());
        }
        upwards.extend(self.rows.drain(..).rev());
        self.rows = upwards.into_iter().rev().collect();
    }
}

/// The cells of a line cut to a width, each with its length; a wide character
/// stays whole.
fn pieces(mut cells: &[Cell], cols: usize) -> Vec<(&[Cell], usize)> {
    let mut pieces = Vec::new();
    while !cells.is_empty() {
        let mut length = cells.len().min(cols);
        if cells.len() >= cols && cells[cols - 1].width() == 2 {
            length = cols - 1;
        }
        let (piece, rest) = cells.split_at(length);
        pieces.push((piece, length));
        cells = rest;
    }
    pieces
}

/// Cuts a line of the history anew, as [`Lines`] does.
pub(crate) fn recut(rows: VecDeque<Row>, old: usize, new: usize) -> VecDeque<Row> {
    let mut lines = Lines { rows, above: 0, y: usize::MAX, saved_y: 0, most_above: usize::MAX };
    let count = lines.rows.len();
    if old < new {
        lines.rows.iter_mut().for_each(|row| row.resize(new));
        if count > 1 {
            let needed = join(lines.rows.make_contiguous(), old, new);
            lines.rows.truncate(needed);
        }
    } else if count > 1 || lines.rows[0].trimmed() > new {
        let more = lines.split(0, count, old, new);
        lines.rows.extend(more);
    }
    lines.rows.iter_mut().for_each(|row| row.resize(new));
    lines.rows
}

/// Moves the cells of a line's rows together; gives how many rows it needs.
fn join(line: &mut [Row], old: usize, new: usize) -> usize {
    let lengths: Vec<usize> = (0..line.len()).map(|row| length(line, row, old)).collect();
    let mut to = 0;
    let mut to_col = lengths[0];
    for (from, &length) in lengths.iter().enumerate().skip(1) {
        let mut from_col = 0;
        loop {
            let count = (length - from_col).min(new - to_col);
            copy(line, from, from_col, to, to_col, count);
            to_col += count;
            if to_col == new {
                to += 1;
                to_col = 0;
            }
            from_col += count;
            if to_col == 0 && to != 0 && line[to - 1].width(new - 1) == 2 {
                copy(line, to - 1, new - 1, to, to_col, 1);
                to_col += 1;
                line[to - 1].set(new - 1, Cell::BLANK);
            }
            if from_col >= length {
                break;
            }
        }
    }
    if let Some(row) = line.get_mut(to) {
        row.erase(to_col, new, Cell::BLANK);
    }
    let is_needed = |row: usize| row <= to && line[row].trimmed() > 0;
    (1..line.len()).rev().find(|row| is_needed(*row)).map_or(1, |row| row + 1)
}

fn copy(line: &mut [Row], from: usize, from_col: usize, to: usize, to_col: usize, count: usize) {
    for cell in 0..count {
        let moved = line[from].cells.get(from_col + cell).copied().unwrap_or(Cell::BLANK);
        if let Some(row) = line.get_mut(to) {
            row.set(to_col + cell, moved);
        }
    }
}

/// The columns of a line's row that count: all, but the empty last one before
/// a wide character that did not fit, and the empty end of the last row.
fn length(line: &[Row], row: usize, cols: usize) -> usize {
    let Some(next) = line.get(row + 1) else { return line[row].trimmed() };
    let last = line[row].cells[cols - 1];
    let ends_empty = !last.has_content() && last.width() == 1;
    if ends_empty && next.width(0) == 2 { cols - 1 } else { cols }
}
