//! The bytes that bring an empty terminal to the state of another.
//!
//! In this order: the normal screen with the lines above it, drawn as text from
//! the top, so that it scrolls as the original did; what belongs to that
//! buffer; the alternate screen, drawn alike; modes; the cursor; and last what
//! the next byte of output depends on: the pen, a character that another may
//! join, and the beginning of a sequence that is not finished.

mod draw;
mod look;

use crate::{
    buffer::{Buffer, Saved, default_tabs},
    cell::{Cell, Look, back, front},
    charset::{Charset, mapped},
    key_flags::KeyFlags,
    osc::FOREGROUND,
    pool::Pool,
    row::Row,
    terminal::{Joint, Terminal},
};
use draw::{Drawing, fits, text_of};

impl Terminal {
    /// The bytes, with at most so many lines above the screen; `unfinished` is
    /// what the parser has of the next sequence.
    pub(crate) fn snapshot(&self, history_lines: usize, unfinished: &[u8]) -> Vec<u8> {
        let mut drawing = Drawing::new(self.cols);
        self.draw_normal(history_lines, &mut drawing);
        self.restore_buffer(&self.normal, &mut drawing);
        put_key_flags(&self.modes.key_flags, &mut drawing);
        if self.shows_alternate {
            self.put_cursor(&self.normal, self.normal.y, &mut drawing);
            drawing.plain();
            drawing.put(b"\x1b[?47h");
            if !self.alternate.is_untouched(self.cols, self.rows) {
                drawing.put(b"\x1b[H");
                drawing.begin();
                let is_cut = self.alternate.rows.front().is_some_and(|row| row.wrapped);
                self.draw_screen(&self.alternate, is_cut, &mut drawing);
            }
            self.restore_buffer(&self.alternate, &mut drawing);
            put_key_flags(&self.modes.alternate_key_flags, &mut drawing);
        } else {
            self.restore_hidden_alternate(&mut drawing);
        }
        self.restore_modes(&mut drawing);
        self.restore_colors_and_title(&mut drawing);
        self.restore_cursor_and_pen(&mut drawing);
        drawing.put(unfinished);
        drawing.into_bytes()
    }

    fn draw_normal(&self, history_lines: usize, drawing: &mut Drawing) {
        let mut scratch = Pool::new();
        for line in self.history.newest(history_lines) {
            if !drawing.line(line.bytes) {
                let rows = line.rows(self.cols, &mut scratch);
                drawing.rows(rows.iter().map(|row| self.drawn(row)), None, &scratch);
            }
            if scratch.wants_sweep() {
                scratch = Pool::new();
            }
        }
        let first = self.normal.rows.front().filter(|row| row.wrapped).map(|row| self.drawn(row).1);
        let newest = self.history.unfinished(self.cols, &mut scratch).filter(|_| history_lines > 0);
        let is_cut = first.is_some() && newest.is_none();
        if let Some(rows) = newest {
            drawing.rows(rows.iter().map(|row| self.drawn(row)), first, &scratch);
        }
        self.draw_screen(&self.normal, is_cut, drawing);
        if is_cut {
            drawing.put(b"\x1b[3J");
        }
    }

    /// The rows of a screen; `is_cut`: the row is gone that goes on in the
    /// first one.
    fn draw_screen(&self, buffer: &Buffer, is_cut: bool, drawing: &mut Drawing) {
        if is_cut {
            drawing.begin_with_cut_line();
        }
        // Rows that nothing was printed to are there, unless others have to
        // scroll out.
        let printed = buffer.rows.iter().rposition(|row| !row.is_blank()).map_or(0, |last| last + 1);
        let count = if drawing.has_begun() { buffer.rows.len() } else { printed };
        drawing.last_rows(buffer.rows.iter().take(count).map(|row| self.drawn(row)), &self.pool);
    }

    fn drawn<'a>(&self, row: &'a Row) -> (bool, &'a [Cell]) {
        (row.wrapped, &row.cells[..self.cols.min(row.cells.len())])
    }

    /// What belongs to a buffer beside its rows; it has to be the one shown.
    fn restore_buffer(&self, buffer: &Buffer, drawing: &mut Drawing) {
        if buffer.tabs != default_tabs(self.cols) {
            drawing.put(b"\x1b[3g");
            for &tab in buffer.tabs.iter().filter(|tab| **tab < self.cols) {
                drawing.go_to(tab, 0);
                drawing.put(b"\x1bH");
            }
        }
        // Nothing was saved, which counts as the first row of all.
        let first = if std::ptr::eq(buffer, &raw const self.normal) { self.above as i64 } else { 0 };
        if buffer.saved != (Saved { y: -first, ..Saved::default() }) {
            let is_normal = std::ptr::eq(buffer, &raw const self.normal);
            self.restore_saved(buffer.saved, is_normal, drawing);
        }
        if (buffer.top, buffer.bottom) != (0, self.rows - 1) {
            drawing.put_fmt(format_args!("\x1b[{};{}r", buffer.top + 1, buffer.bottom + 1));
        }
    }

    fn restore_saved(&self, saved: Saved, is_normal: bool, drawing: &mut Drawing) {
        let Saved { x, y, look, charset } = saved;
        let y = usize::try_from(y).unwrap_or(0);
        if x >= self.cols && is_normal {
            drawing.put(b"\x1b[?47h");
            drawing.go_to(self.cols - 1, y.min(self.rows - 1));
            drawing.put(b"x\x1b[?47l");
        } else {
            drawing.go_to(x.min(self.cols - 1), y.min(self.rows - 1));
        }
        // Of extra attributes only a flag is saved; any sets it.
        let wants_flag = look.bg & back::HAS_EXTRA != 0 && look.fg & front::UNDERLINE == 0;
        drawing.look(Look { bg: look.bg & !back::HAS_EXTRA, ..look }, &self.pool);
        if wants_flag {
            drawing.put(b"\x1b]8;;x\x1b\\");
        }
        put_designation(0, charset, drawing);
        drawing.put(b"\x1b7");
        if charset.is_some() {
            put_designation(0, None, drawing);
        }
        drawing.forget_look();
        drawing.plain();
    }

    /// The alternate screen keeps nothing while it is hidden but what was
    /// saved there, and how keys are told.
    fn restore_hidden_alternate(&self, drawing: &mut Drawing) {
        drawing.plain();
        let (saved, key_flags) = (self.alternate.saved, &self.modes.alternate_key_flags);
        if saved != Saved::default() || !key_flags.all().is_empty() {
            drawing.put(b"\x1b[?47h");
            if saved != Saved::default() {
                self.restore_saved(saved, false, drawing);
            }
            put_key_flags(key_flags, drawing);
            drawing.put(b"\x1b[?47l");
        }
    }

    fn restore_modes(&self, drawing: &mut Drawing) {
        let modes = &self.modes;
        let private = [
            (modes.application_cursor, 1),
            (modes.reverse_wrap, 45),
            (modes.application_keypad, 66),
            (modes.focus, 1004),
            (modes.bracketed_paste, 2004),
            (modes.synchronized, 2026),
            (self.blinks == Some(true), 12),
        ];
        let set = private.iter().filter(|(on, _)| *on).map(|(_, mode)| *mode);
        for mode in set.chain(self.mouse.mode()).chain(self.mouse_encoding.mode()) {
            drawing.put_fmt(format_args!("\x1b[?{mode}h"));
        }
        let reset = [(self.cursor_hidden, 25), (self.blinks == Some(false), 12)];
        for (_, mode) in reset.iter().filter(|(off, _)| *off) {
            drawing.put_fmt(format_args!("\x1b[?{mode}l"));
        }
        if self.newline {
            drawing.put(b"\x1b[20h");
        }
        match (modes.cursor_shape, modes.cursor_blinks) {
            (None, None) => {}
            (None, Some(blinks)) => drawing.put_fmt(format_args!("\x1b[{} q", if blinks { 7 } else { 8 })),
            (Some(shape), blinks) => {
                let steady = u8::from(blinks != Some(true));
                drawing.put_fmt(format_args!("\x1b[{} q", 2 * shape + 1 + steady));
            }
        }
    }

    fn restore_colors_and_title(&self, drawing: &mut Drawing) {
        for (&index, [red, green, blue]) in &self.palette {
            match index.checked_sub(FOREGROUND) {
                Some(special) => drawing.put_fmt(format_args!("\x1b]{};", 10 + special)),
                None => drawing.put_fmt(format_args!("\x1b]4;{index};")),
            }
            drawing.put_fmt(format_args!("rgb:{red:02x}/{green:02x}/{blue:02x}\x1b\\"));
        }
        if !self.raw_title.is_empty() {
            drawing.put_fmt(format_args!("\x1b]2;{}\x1b\\", self.raw_title));
        }
    }

    fn restore_cursor_and_pen(&self, drawing: &mut Drawing) {
        let sets = &self.charsets;
        let is_other_set = sets.current != sets.sets[sets.level];
        let is_restored = is_other_set || self.has_restored_pen();
        if is_restored {
            self.restore_as_saved(is_other_set, drawing);
        }
        if self.modes.origin {
            drawing.put(b"\x1b[?6h");
        }
        let joint = self.joint_cell();
        let buffer = self.shown();
        let top = if self.modes.origin { buffer.top } else { 0 };
        let y = buffer.y.saturating_sub(top);
        match joint {
            // An empty terminal has its cursor there.
            None if drawing.is_empty() && (buffer.x, y) == (0, 0) => {}
            Some((at, _)) => drawing.go_to(at, y),
            None if is_restored => self.put_cursor_of_other(buffer, y, drawing),
            None => self.put_cursor(buffer, y, drawing),
        }
        if !is_restored {
            self.put_charsets(drawing);
        }
        if !self.modes.wrap {
            drawing.put(b"\x1b[?7l");
        }
        if self.modes.insert {
            drawing.put(b"\x1b[4h");
        }
        if !is_restored {
            drawing.pen(self.pen, self.pen_extra, &self.pool);
        }
        if let Some((_, text)) = joint {
            if self.modes.insert {
                let width = self.joint.map_or(1, |joint| joint.width);
                drawing.put_fmt(format_args!("\x1b[{width}P"));
            }
            drawing.put(text.as_bytes());
        }
    }

    /// Whether the pen's flags came back with a saved cursor, and its extra
    /// attributes did not: no SGR leaves that.
    fn has_restored_pen(&self) -> bool {
        let (underlined, has_extra) = (self.pen.fg & front::UNDERLINE, self.pen.bg & back::HAS_EXTRA);
        let saved = self.shown().saved.look;
        let counts = self.pen_extra.counts();
        let fits = (underlined != 0, has_extra != 0) == (self.pen_extra.underline != 0, counts);
        let extra_fits = has_extra == saved.bg & back::HAS_EXTRA || (has_extra != 0) == counts;
        !fits && underlined == saved.fg & front::UNDERLINE && extra_fits
    }

    /// What DECRC left: the saved flags and character set, and the pen's extra
    /// attributes.
    fn restore_as_saved(&self, is_other_set: bool, drawing: &mut Drawing) {
        self.put_charsets(drawing);
        drawing.pen(self.pen, self.pen_extra, &self.pool);
        drawing.put(b"\x1b8");
        let saved = self.shown().saved.look;
        if !self.has_restored_pen() {
            drawing.forget_look();
            drawing.pen(self.pen, self.pen_extra, &self.pool);
        } else {
            drawing.change_pen(saved, self.pen);
            if (saved.bg ^ self.pen.bg) & back::HAS_EXTRA != 0 {
                // A link, also none, looks at what there is.
                drawing.link(self.pen_extra, &self.pool);
            }
        }
        if !is_other_set {
            let shift: &[u8] = [&b"\x0F"[..], b"\x0E", b"\x1bn", b"\x1bo"][self.charsets.level];
            drawing.put(shift);
        }
    }

    /// Where the character stands that another may join, and what to print for
    /// it; `None` when there is none, or it cannot be printed again.
    fn joint_cell(&self) -> Option<(usize, String)> {
        let Joint { width, typed } = self.joint?;
        let buffer = self.shown();
        if width == 2 && !self.modes.wrap && buffer.x + 1 == self.cols {
            // It did not fit, and was not printed then either. Behind the first
            // half of another it cannot be tried again: that one would go.
            let is_free = buffer.rows[buffer.y].width(buffer.x - 1) < 2;
            return is_free.then(|| (buffer.x, typed.to_string()));
        }
        let at = buffer.x.checked_sub(usize::from(width))?;
        let cell = *buffer.rows[buffer.y].cells.get(at)?;
        let shown = text_of(cell, &self.pool);
        let first = shown.chars().next()?;
        let became = if typed.is_ascii() { mapped(self.charsets.current, typed as u8) } else { typed };
        let is_it = first == became && fits(first, cell) && cell.look == self.look();
        is_it.then(|| (at, std::iter::once(typed).chain(shown.chars().skip(1)).collect()))
    }

    /// To where the cursor of the shown buffer is, which may be behind the last
    /// column; `y` counts as the terminal counts rows now.
    fn put_cursor(&self, buffer: &Buffer, y: usize, drawing: &mut Drawing) {
        if self.is_out_of_region(buffer) {
            return self.put_cursor_of_other(buffer, y, drawing);
        }
        if buffer.x < self.cols {
            return drawing.go_to(buffer.x, y);
        }
        let came_along = (self.normal.x, self.normal.y) == (buffer.x, buffer.y);
        let is_normal = std::ptr::eq(buffer, &raw const self.normal);
        if !is_normal && came_along && buffer.is_untouched(self.cols, self.rows) {
            return;
        }
        let cells = &buffer.rows[buffer.y].cells;
        let last = self.cols - 1;
        let at = if cells[last].is_half() { last - 1 } else { last };
        if !cells[at].has_content() {
            let is_even = cells[0].look.is_plain_back() && cells.iter().all(|cell| *cell == cells[0]);
            if is_normal || !is_even || cells[0].has_content() {
                return self.put_cursor_of_other(buffer, y, drawing);
            }
            // EL 1 leaves the cursor there, and the row as it is.
            drawing.go_to(last, y);
            drawing.look(cells[0].look, &self.pool);
            drawing.put(b"x\x1b[1K");
            return self.put_further(buffer, drawing);
        }
        drawing.go_to(at, y);
        drawing.text(cells[at], &self.pool);
        // The next look is told in any case: nothing shall join this one.
        drawing.forget_look();
        self.put_further(buffer, drawing);
    }

    /// The same without a touch at the shown buffer and the pen: the other
    /// screen's cursor comes back with it, and nothing else. The alternate
    /// screen would not come back.
    fn put_cursor_of_other(&self, buffer: &Buffer, y: usize, drawing: &mut Drawing) {
        let x = buffer.x.min(self.cols - 1);
        let is_plain = buffer.x < self.cols && !self.is_out_of_region(buffer);
        if is_plain || std::ptr::eq(buffer, &raw const self.alternate) {
            return drawing.go_to(x, y);
        }
        drawing.put(b"\x1b[?47h");
        drawing.go_to(x, buffer.y);
        drawing.put(if buffer.x < self.cols { b"" } else { b"x" });
        drawing.put(b"\x1b[?47l");
        self.put_further(buffer, drawing);
    }

    /// In origin mode only another screen's cursor comes out of the region.
    fn is_out_of_region(&self, buffer: &Buffer) -> bool {
        let is_shown = std::ptr::eq(buffer, self.shown());
        is_shown && self.modes.origin && !(buffer.top..=buffer.bottom).contains(&buffer.y)
    }

    /// A character without width that stood alone has moved the cursor further.
    fn put_further(&self, buffer: &Buffer, drawing: &mut Drawing) {
        if buffer.x > self.cols {
            drawing.put("\x1b\\\u{200B}".as_bytes());
        }
    }

    fn put_charsets(&self, drawing: &mut Drawing) {
        for (level, &set) in self.charsets.sets.iter().enumerate().filter(|(_, set)| set.is_some()) {
            put_designation(level, set, drawing);
        }
        let shift: &[u8] = [&b""[..], b"\x0E", b"\x1bn", b"\x1bo"][self.charsets.level];
        drawing.put(shift);
    }
}

/// The flags of the screen that is shown.
fn put_key_flags(key_flags: &KeyFlags, drawing: &mut Drawing) {
    for flags in key_flags.all() {
        drawing.put_fmt(format_args!("\x1b[>{flags}u"));
    }
}

fn put_designation(level: usize, set: Charset, drawing: &mut Drawing) {
    if level > 0 || set.is_some() {
        drawing.put(&[0x1B, b"()*+"[level], set.unwrap_or(b'B')]);
    } else {
        drawing.put(b"\x1b(B");
    }
}
