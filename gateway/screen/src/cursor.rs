//! Moving the cursor.

use crate::{
    buffer::Saved,
    cell::{Look, back},
    pool::Extra,
    terminal::Terminal,
};

impl Terminal {
    /// Brings the cursor into the screen, and in origin mode into the region;
    /// at most to column `most`.
    pub(crate) fn restrict(&mut self, most: usize) {
        let (rows, origin) = (self.rows, self.modes.origin);
        let buffer = self.buffer();
        buffer.x = buffer.x.min(most);
        buffer.y = if origin { buffer.y.clamp(buffer.top, buffer.bottom) } else { buffer.y.min(rows - 1) };
    }

    /// To a place, in origin mode counted from the region's top.
    pub(crate) fn go_to(&mut self, x: usize, y: usize) {
        let origin = self.modes.origin;
        let buffer = self.buffer();
        buffer.x = x;
        buffer.y = if origin { buffer.top.saturating_add(y) } else { y };
        self.restrict(self.cols - 1);
    }

    /// So many columns and rows on.
    ///
    /// In origin mode rows count from the region's top here too, as in
    /// xterm.js.
    fn go_by(&mut self, x: isize, y: isize) {
        self.restrict(self.cols - 1);
        let buffer = self.shown();
        let (x, y) = (buffer.x.saturating_add_signed(x), buffer.y as isize + y);
        let y = if self.modes.origin { buffer.top as isize + y } else { y };
        let buffer = self.buffer();
        (buffer.x, buffer.y) = (x, usize::try_from(y).unwrap_or(0));
        self.restrict(self.cols - 1);
    }

    pub(crate) fn up(&mut self, count: usize) {
        let buffer = self.shown();
        let count = if buffer.y >= buffer.top { count.min(buffer.y - buffer.top) } else { count };
        self.go_by(0, -signed(count));
    }

    pub(crate) fn down(&mut self, count: usize) {
        let buffer = self.shown();
        let count = if buffer.y <= buffer.bottom { count.min(buffer.bottom - buffer.y) } else { count };
        self.go_by(0, signed(count));
    }

    /// Downwards, without a stop at the region's bottom.
    pub(crate) fn down_freely(&mut self, count: usize) {
        self.go_by(0, signed(count));
    }

    pub(crate) fn right(&mut self, count: usize) {
        self.go_by(signed(count), 0);
    }

    pub(crate) fn left(&mut self, count: usize) {
        self.go_by(-signed(count), 0);
    }

    pub(crate) fn go_to_column(&mut self, x: usize) {
        self.go_to(x, self.shown().y);
    }

    pub(crate) fn go_to_row(&mut self, y: usize) {
        self.go_to(self.shown().x, y);
    }

    pub(crate) fn return_carriage(&mut self) {
        self.buffer().x = 0;
    }

    pub(crate) fn line_feed(&mut self) {
        let (cols, rows) = (self.cols, self.rows);
        if self.newline {
            self.return_carriage();
        }
        let buffer = self.buffer();
        if buffer.y == buffer.bottom {
            self.scroll(false);
        } else if buffer.y + 1 >= rows {
            buffer.y = rows - 1;
        } else {
            buffer.y += 1;
            buffer.row().wrapped = false;
        }
        let buffer = self.buffer();
        if buffer.x >= cols {
            buffer.x -= 1;
        }
    }

    /// IND.
    pub(crate) fn index(&mut self) {
        self.restrict(self.cols - 1);
        let rows = self.rows;
        let buffer = self.buffer();
        if buffer.y == buffer.bottom {
            self.scroll(false);
        } else {
            buffer.y = (buffer.y + 1).min(rows - 1);
        }
        self.restrict(self.cols - 1);
    }

    /// RI.
    pub(crate) fn reverse_index(&mut self) {
        self.restrict(self.cols - 1);
        let (cols, look) = (self.cols, self.pen.erased());
        let buffer = self.buffer();
        if buffer.y == buffer.top {
            buffer.replace(buffer.bottom, buffer.top, cols, look);
        } else {
            buffer.y = buffer.y.saturating_sub(1);
            self.restrict(self.cols - 1);
        }
    }

    pub(crate) fn backspace(&mut self) {
        if !self.modes.reverse_wrap {
            self.restrict(self.cols - 1);
            let buffer = self.buffer();
            buffer.x = buffer.x.saturating_sub(1);
            return;
        }
        let cols = self.cols;
        self.restrict(cols);
        let buffer = self.buffer();
        if buffer.x > 0 {
            buffer.x -= 1;
        } else if buffer.y > buffer.top && buffer.y <= buffer.bottom && buffer.row().wrapped {
            buffer.row().wrapped = false;
            buffer.y -= 1;
            buffer.x = cols - 1;
            let last = buffer.row().cells[cols - 1];
            if last.width() > 0 && !last.has_content() {
                buffer.x -= 1;
            }
        }
        self.restrict(cols - 1);
    }

    pub(crate) fn tab(&mut self, count: usize) {
        let cols = self.cols;
        let buffer = self.buffer();
        if buffer.x >= cols {
            return;
        }
        for _ in 0..count.min(cols) {
            buffer.x = buffer.next_tab(cols);
        }
    }

    pub(crate) fn back_tab(&mut self, count: usize) {
        let cols = self.cols;
        let buffer = self.buffer();
        if buffer.x >= cols {
            return;
        }
        for _ in 0..count.min(cols) {
            buffer.x = buffer.previous_tab(buffer.x, cols);
        }
    }

    pub(crate) fn set_tab(&mut self) {
        let cols = self.cols;
        let buffer = self.buffer();
        if buffer.x < cols {
            buffer.tabs.insert(buffer.x);
        }
    }

    pub(crate) fn clear_tab(&mut self, which: i32) {
        let buffer = self.buffer();
        match which {
            0 => _ = buffer.tabs.remove(&buffer.x),
            3 => buffer.tabs.clear(),
            _ => {}
        }
    }

    /// DECSC.
    pub(crate) fn save_cursor(&mut self) {
        let look = Look { bg: self.pen.bg & !back::HAS_EXTRA, extra: 0, ..self.pen };
        let (charset, cols) = (self.charsets.current, self.cols);
        let extra = Extra { link: 0, ..self.pen_extra };
        let buffer = self.buffer();
        buffer.saved = Saved { x: buffer.x.min(cols - 1), y: buffer.y, look, extra, charset };
    }

    /// DECRC.
    pub(crate) fn restore_cursor(&mut self) {
        let Saved { x, y, look, extra, charset } = self.shown().saved;
        let buffer = self.buffer();
        (buffer.x, buffer.y) = (x, y);
        self.pen = look;
        self.set_extra(Extra { link: self.pen_extra.link, ..extra }, true);
        self.charsets.designate(self.charsets.level, charset);
        self.restrict(self.cols - 1);
    }

    /// DECSTBM.
    pub(crate) fn set_region(&mut self, top: usize, bottom: Option<usize>) {
        let bottom = bottom.filter(|bottom| (1..=self.rows).contains(bottom)).unwrap_or(self.rows);
        if bottom > top {
            let buffer = self.buffer();
            (buffer.top, buffer.bottom) = (top - 1, bottom - 1);
            self.go_to(0, 0);
        }
    }

    pub(crate) fn show_alternate(&mut self) {
        if self.shows_alternate {
            return;
        }
        let (cols, rows, look) = (self.cols, self.rows, self.pen.erased());
        self.alternate.fill(cols, rows, look);
        (self.alternate.x, self.alternate.y) = (self.normal.x, self.normal.y);
        self.shows_alternate = true;
    }

    pub(crate) fn show_normal(&mut self) {
        if !self.shows_alternate {
            return;
        }
        (self.normal.x, self.normal.y) = (self.alternate.x, self.alternate.y);
        self.alternate.clear(self.cols, self.rows);
        self.shows_alternate = false;
    }
}

fn signed(count: usize) -> isize {
    isize::try_from(count).unwrap_or(isize::MAX / 2)
}
