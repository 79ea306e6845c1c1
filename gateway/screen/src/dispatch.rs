//! Which sequence does what.

use crate::{
    charset::designated,
    modes::{Mouse, MouseEncoding},
    params::Params,
    parser::{Actions, Passed},
    terminal::Terminal,
};

/// A prefix or intermediate of a sequence as it is collected.
const PRIVATE: u32 = b'?' as u32;
const SPACE: u32 = b' ' as u32;
const APOSTROPHE: u32 = b'\'' as u32;
const LESS: u32 = b'<' as u32;
const EQUAL: u32 = b'=' as u32;
const GREATER: u32 = b'>' as u32;

impl Actions for Terminal {
    fn pass_lines(&mut self, text: &[u8]) -> Passed {
        self.pass_lines(text)
    }

    fn print_ascii(&mut self, text: &[u8]) {
        self.print_ascii(text);
    }

    fn print(&mut self, c: char) {
        self.print(c);
    }

    fn execute(&mut self, code: u8) {
        match code {
            0x08 => self.backspace(),
            b'\t' => self.tab(1),
            b'\n' | 0x0B | 0x0C => self.line_feed(),
            b'\r' => self.return_carriage(),
            0x0E => self.charsets.use_level(1),
            0x0F => self.charsets.use_level(0),
            0x84 => self.index(),
            0x85 => {
                self.return_carriage();
                self.index();
            }
            0x88 => self.set_tab(),
            _ => {}
        }
        self.joint = None;
    }

    fn csi(&mut self, params: &Params, collected: u32, last: u8) {
        let count = params.at_least_one(0);
        match (collected, last) {
            (0, _) => self.csi_plain(params, last),
            (PRIVATE, b'J') => self.erase_in_display(params.first(), true),
            (PRIVATE, b'K') => self.erase_in_line(params.first(), true),
            (PRIVATE, b'h') => params.values().iter().for_each(|mode| self.set_private_mode(*mode)),
            (PRIVATE, b'l') => params.values().iter().for_each(|mode| self.reset_private_mode(*mode)),
            (SPACE, b'@') => self.shift_columns(0, count, false),
            (SPACE, b'A') => self.shift_columns(0, count, true),
            (APOSTROPHE, b'}') => self.shift_columns(self.shown().x, count, true),
            (APOSTROPHE, b'~') => self.shift_columns(self.shown().x, count, false),
            (SPACE, b'q') => self.set_cursor_style(params.first()),
            (GREATER, b'u') => self.key_flags().push(params),
            (LESS, b'u') => self.key_flags().pop(count),
            (EQUAL, b'u') => self.key_flags().set(params),
            (0x21, b'p') => self.soft_reset(),
            (0x22, b'q') => self.protect(params.first()),
            _ => self.answer_csi(params, collected, last),
        }
        self.joint = None;
        self.sweep();
    }

    fn esc(&mut self, collected: u32, last: u8) {
        match (collected, last) {
            (0, b'7') => self.save_cursor(),
            (0, b'8') => self.restore_cursor(),
            (0, b'D') => self.index(),
            (0, b'E') => {
                self.return_carriage();
                self.index();
            }
            (0, b'H') => self.set_tab(),
            (0, b'M') => self.reverse_index(),
            (0, b'=') => self.modes.application_keypad = true,
            (0, b'>') => self.modes.application_keypad = false,
            (0, b'c') => self.reset(),
            (0, b'n' | b'}') => self.charsets.use_level(2),
            (0, b'o' | b'|') => self.charsets.use_level(3),
            (0, b'~') => self.charsets.use_level(1),
            (0x25, b'@' | b'G') => {
                self.charsets.use_level(0);
                self.charsets.designate(0, None);
            }
            (0x23, b'8') => self.align(),
            _ => self.designate(collected, last),
        }
        self.joint = None;
    }

    fn osc(&mut self, number: u32, text: &str, bell: bool) {
        self.operating_system_command(number, text, bell);
        self.sweep();
    }

    fn dcs(&mut self, collected: u32, last: u8, text: &str) {
        self.answer_dcs(collected, last, text);
    }

    fn end(&mut self) {
        self.joint = None;
    }
}

impl Terminal {
    fn csi_plain(&mut self, params: &Params, last: u8) {
        let (first, count) = (params.first(), params.at_least_one(0));
        match last {
            b'@' => self.insert_characters(count),
            b'A' => self.up(count),
            b'B' => self.down(count),
            b'C' | b'a' => self.right(count),
            b'D' => self.left(count),
            b'E' => {
                self.down(count);
                self.return_carriage();
            }
            b'F' => {
                self.up(count);
                self.return_carriage();
            }
            b'G' | b'`' => self.go_to_column(count - 1),
            b'H' | b'f' => self.go_to(params.at_least_one(1) - 1, count - 1),
            b'I' => self.tab(count),
            b'J' => self.erase_in_display(first, false),
            b'K' => self.erase_in_line(first, false),
            b'L' => self.insert_lines(count),
            b'M' => self.delete_lines(count),
            b'P' => self.delete_characters(count),
            b'S' => self.scroll_up(count),
            b'T' => self.scroll_down(count),
            b'X' => self.erase_characters(count),
            b'Z' => self.back_tab(count),
            b'b' => self.repeat(count),
            b'd' => self.go_to_row(count - 1),
            b'e' => self.down_freely(count),
            b'g' => self.clear_tab(first),
            b'h' => params.values().iter().for_each(|mode| self.set_mode(*mode, true)),
            b'l' => params.values().iter().for_each(|mode| self.set_mode(*mode, false)),
            b'm' => self.sgr(params),
            b'r' => {
                let bottom = params.values().get(1).and_then(|bottom| usize::try_from(*bottom).ok());
                self.set_region(count, bottom);
            }
            b's' => self.save_cursor(),
            b'u' => self.restore_cursor(),
            _ => self.answer_csi(params, 0, last),
        }
    }

    fn set_mode(&mut self, mode: i32, on: bool) {
        match mode {
            4 => self.modes.insert = on,
            20 => self.newline = on,
            _ => {}
        }
    }

    /// A mode that is only on or off.
    fn switch(&mut self, mode: i32, on: bool) {
        match mode {
            1 => self.modes.application_cursor = on,
            6 => {
                self.modes.origin = on;
                self.go_to(0, 0);
            }
            7 => self.modes.wrap = on,
            12 => self.blinks = Some(on),
            25 => self.cursor_hidden = !on,
            45 => self.modes.reverse_wrap = on,
            66 => self.modes.application_keypad = on,
            1004 => self.modes.focus = on,
            2004 => self.modes.bracketed_paste = on,
            2026 => self.modes.synchronized = on,
            _ => {}
        }
    }

    fn set_private_mode(&mut self, mode: i32) {
        match mode {
            2 => (0..4).for_each(|level| self.charsets.designate(level, None)),
            9 => self.mouse = Mouse::X10,
            1000 => self.mouse = Mouse::Vt200,
            1002 => self.mouse = Mouse::Drag,
            1003 => self.mouse = Mouse::Any,
            1006 => self.mouse_encoding = MouseEncoding::Sgr,
            1016 => self.mouse_encoding = MouseEncoding::SgrPixels,
            1048 => self.save_cursor(),
            1049 => {
                self.save_cursor();
                self.show_alternate();
            }
            47 | 1047 => self.show_alternate(),
            _ => self.switch(mode, true),
        }
    }

    fn reset_private_mode(&mut self, mode: i32) {
        match mode {
            9 | 1000 | 1002 | 1003 => self.mouse = Mouse::None,
            1006 | 1016 => self.mouse_encoding = MouseEncoding::Default,
            1048 => self.restore_cursor(),
            1049 => {
                self.show_normal();
                self.restore_cursor();
            }
            47 | 1047 => self.show_normal(),
            _ => self.switch(mode, false),
        }
    }

    fn set_cursor_style(&mut self, style: i32) {
        let modes = &mut self.modes;
        if style == 0 {
            (modes.cursor_shape, modes.cursor_blinks) = (None, None);
            return;
        }
        if (1..=6).contains(&style) {
            modes.cursor_shape = Some(((style - 1) / 2) as u8);
        }
        modes.cursor_blinks = Some(style % 2 == 1);
    }

    fn protect(&mut self, what: i32) {
        match what {
            1 => self.pen.bg |= crate::cell::back::PROTECTED,
            0 | 2 => self.pen.bg &= !crate::cell::back::PROTECTED,
            _ => {}
        }
    }

    fn designate(&mut self, collected: u32, last: u8) {
        let level = match u8::try_from(collected) {
            Ok(b'(') => 0,
            Ok(b')' | b'-') => 1,
            Ok(b'*' | b'.') => 2,
            Ok(b'+') => 3,
            _ => return,
        };
        if let Some(set) = designated(last) {
            self.charsets.designate(level, set);
        }
    }

    /// DECSTR.
    fn soft_reset(&mut self) {
        self.cursor_hidden = false;
        (self.pen, self.pen_extra) = Default::default();
        self.modes = Default::default();
        self.charsets = Default::default();
        let rows = self.rows;
        let buffer = self.buffer();
        (buffer.top, buffer.bottom) = (0, rows - 1);
        buffer.saved = Default::default();
    }
}
