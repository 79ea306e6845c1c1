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
    charset::Charset,
    key_flags::KeyFlags,
    osc::FOREGROUND,
    pool::Pool,
    row::Row,
    terminal::{Joint, Terminal},
};
use draw::Drawing;

impl Terminal {
    /// The bytes, with at most so many lines above the screen; `unfinished` is
    /// what the parser has of the next sequence.
    pub(crate) fn snapshot(&self, history_lines: usize, unfinished: &[u8]) -> Vec<u8> {
        let mut drawing = Drawing::new(self.cols);
        self.draw_normal(history_lines, &mut drawing);
        self.restore_buffer(&self.normal, &mut drawing);
        put_key_flags(&self.modes.key_flags, &mut drawing);
        if self.shows_alternate {
            drawing.go_to(0, self.normal.y);
            drawing.plain();
            drawing.put(b"\x1b[?47h\x1b[H");
            drawing.begin();
            self.draw_screen(&self.alternate, &mut drawing);
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
            if !drawing.line(&line.bytes) {
                draw_rows(&line.rows(self.cols, &mut scratch), &scratch, drawing);
            }
            if scratch.wants_sweep() {
                scratch = Pool::new();
            }
        }
        let newest = self.history.unfinished(self.cols, &mut scratch).filter(|_| history_lines > 0);
        draw_rows(&newest.unwrap_or_default(), &scratch, drawing);
        self.draw_screen(&self.normal, drawing);
    }

    fn draw_screen(&self, buffer: &Buffer, drawing: &mut Drawing) {
        // Rows that nothing was printed to are there, unless others have to
        // scroll out.
        let printed = buffer.rows.iter().rposition(|row| !row.is_blank()).map_or(0, |last| last + 1);
        let count = if drawing.has_begun() { buffer.rows.len() } else { printed };
        draw_rows(buffer.rows.iter().take(count), &self.pool, drawing);
    }

    /// What belongs to a buffer beside its rows; it has to be the one shown.
    fn restore_buffer(&self, buffer: &Buffer, drawing: &mut Drawing) {
        if buffer.tabs != default_tabs(self.cols) {
            drawing.put(b"\x1b[3g");
            for &tab in &buffer.tabs {
                drawing.go_to(tab, 0);
                drawing.put(b"\x1bH");
            }
        }
        if buffer.saved != Saved::default() {
            self.restore_saved(buffer.saved, drawing);
        }
        if (buffer.top, buffer.bottom) != (0, self.rows - 1) {
            drawing.put_fmt(format_args!("\x1b[{};{}r", buffer.top + 1, buffer.bottom + 1));
        }
    }

    fn restore_saved(&self, saved: Saved, drawing: &mut Drawing) {
        drawing.go_to(saved.x, saved.y);
        drawing.pen(saved.look, saved.extra, &self.pool);
        put_designation(0, saved.charset, drawing);
        drawing.put(b"\x1b7");
        put_designation(0, None, drawing);
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
                self.restore_saved(saved, drawing);
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
        if self.modes.origin {
            drawing.put(b"\x1b[?6h");
        }
        let joint = self.joint_cell();
        let buffer = self.shown();
        match joint {
            // An empty terminal has its cursor there.
            None if drawing.is_empty() && (buffer.x, buffer.y) == (0, 0) => {}
            Some((at, _)) => self.bring_to(at, buffer.y, drawing),
            None => self.put_cursor(drawing),
        }
        self.put_charsets(drawing);
        if !self.modes.wrap {
            drawing.put(b"\x1b[?7l");
        }
        if self.modes.insert {
            drawing.put(b"\x1b[4h");
        }
        drawing.pen(self.pen, self.pen_extra, &self.pool);
        if let Some((_, text)) = joint {
            if self.modes.insert {
                let width = self.joint.map_or(1, |joint| joint.width);
                drawing.put_fmt(format_args!("\x1b[{width}P"));
            }
            drawing.put(text.as_bytes());
        }
    }

    /// Where the character stands that another may join, and what to print for
    /// it.
    fn joint_cell(&self) -> Option<(usize, String)> {
        let Joint { width, typed } = self.joint?;
        let buffer = self.shown();
        let at = buffer.x.checked_sub(usize::from(width))?;
        let cell = *buffer.rows[buffer.y].cells.get(at)?;
        let mut place = [0; 4];
        let mut shown = self.pool.characters(cell, &mut place).chars();
        shown.next()?;
        Some((at, std::iter::once(typed).chain(shown).collect()))
    }

    /// To the cursor, which may be behind the last column: where a character
    /// brings it there, other terminals know it too.
    fn put_cursor(&self, drawing: &mut Drawing) {
        let Buffer { x, y, ref rows, .. } = *self.shown();
        let cells = &rows[y].cells;
        let at = self.cols - if cells[self.cols - 1].is_half() { 2 } else { 1 };
        if x == self.cols && cells[at].has_content() {
            self.bring_to(at, y, drawing);
            drawing.text(cells[at], &self.pool);
            drawing.forget_look();
        } else {
            self.bring_to(x, y, drawing);
        }
    }

    /// To a place of the shown screen, however the terminal counts rows now.
    fn bring_to(&self, x: usize, y: usize, drawing: &mut Drawing) {
        let Buffer { top, bottom, .. } = *self.shown();
        let is_in_reach = !self.modes.origin || (top..=bottom).contains(&y);
        drawing.go_to(x.min(self.cols - 1), y.saturating_sub(if self.modes.origin { top } else { 0 }));
        if x >= self.cols || !is_in_reach {
            drawing.own(format_args!("c;{x};{y}"));
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

fn draw_rows<'a>(rows: impl IntoIterator<Item = &'a Row>, pool: &Pool, drawing: &mut Drawing) {
    rows.into_iter().for_each(|row| drawing.row(row.wrapped, &row.cells, pool));
}

fn put_designation(level: usize, set: Charset, drawing: &mut Drawing) {
    if level > 0 || set.is_some() {
        drawing.put(&[0x1B, b"()*+"[level], set.unwrap_or(b'B')]);
    } else {
        drawing.put(b"\x1b(B");
    }
}
