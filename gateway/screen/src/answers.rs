//! What programs ask a terminal, and what it answers. Only what stands here is
//! answered; nothing that a program printed comes back as typed text.

use chatcode_proto::limits;

use crate::{
    cell::back, cell::front, modes::Mouse, modes::MouseEncoding, params::Params, terminal::Terminal,
};

const PRIVATE: u32 = b'?' as u32;
const DOLLAR: u32 = b'$' as u32;

/// How DECRPM tells a mode.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Unknown = 0,
    Set = 1,
    Reset = 2,
    AlwaysSet = 3,
    AlwaysReset = 4,
}

impl From<bool> for Mode {
    fn from(on: bool) -> Self {
        if on { Self::Set } else { Self::Reset }
    }
}

impl Terminal {
    /// Beyond the bound an answer is dropped whole.
    fn answer(&mut self, text: &str) {
        if self.answers.len() + text.len() <= limits::ANSWERS_BYTES {
            self.answers.extend_from_slice(text.as_bytes());
        }
    }

    pub(crate) fn answer_csi(&mut self, params: &Params, collected: u32, last: u8) {
        let first = params.first();
        let (x, y) = (self.shown().x.min(self.cols - 1) + 1, self.shown().y + 1);
        match (collected, last) {
            // DA1: a VT100 with advanced video. DA2: an xterm. DA3: no unit.
            (0, b'c') if first <= 0 => self.answer("\x1b[?1;2c"),
            (0x3E, b'c') if first <= 0 => self.answer("\x1b[>0;276;0c"),
            (0x3D, b'c') if first <= 0 => self.answer("\x1bP!|00000000\x1b\\"),
            (0, b'n') if first == 5 => self.answer("\x1b[0n"),
            (0, b'n') if first == 6 => self.answer(&format!("\x1b[{y};{x}R")),
            (PRIVATE, b'n') if first == 6 => self.answer(&format!("\x1b[?{y};{x}R")),
            (0, b't') if first == 18 => self.answer(&format!("\x1b[8;{};{}t", self.rows, self.cols)),
            (0x3E, b'q') if first <= 0 => {
                self.answer(concat!("\x1bP>|chatcode ", env!("CARGO_PKG_VERSION"), "\x1b\\"));
            }
            (PRIVATE, b'u') => {
                let flags = self.key_flags().now();
                self.answer(&format!("\x1b[?{flags}u"));
            }
            (DOLLAR, b'p') => {
                let mode = self.ansi_mode(first) as u8;
                self.answer(&format!("\x1b[{first};{mode}$y"));
            }
            (collected, b'p') if collected == PRIVATE << 8 | DOLLAR => {
                let mode = self.private_mode(first) as u8;
                self.answer(&format!("\x1b[?{first};{mode}$y"));
            }
            _ => {}
        }
    }

    fn ansi_mode(&self, mode: i32) -> Mode {
        match mode {
            2 => Mode::AlwaysReset,
            4 => self.modes.insert.into(),
            12 => Mode::AlwaysSet,
            20 => self.newline.into(),
            _ => Mode::Unknown,
        }
    }

    fn private_mode(&self, mode: i32) -> Mode {
        let modes = &self.modes;
        match mode {
            1 => modes.application_cursor.into(),
            6 => modes.origin.into(),
            7 => modes.wrap.into(),
            8 | 1048 => {
                if mode == 8 {
                    Mode::AlwaysSet
                } else {
                    Mode::Set
                }
            }
            12 => self.blinks.unwrap_or_default().into(),
            25 => (!self.cursor_hidden).into(),
            45 => modes.reverse_wrap.into(),
            66 => modes.application_keypad.into(),
            67 | 1005 | 1015 => Mode::AlwaysReset,
            9 => (self.mouse == Mouse::X10).into(),
            1000 => (self.mouse == Mouse::Vt200).into(),
            1002 => (self.mouse == Mouse::Drag).into(),
            1003 => (self.mouse == Mouse::Any).into(),
            1004 => modes.focus.into(),
            1006 => (self.mouse_encoding == MouseEncoding::Sgr).into(),
            1016 => (self.mouse_encoding == MouseEncoding::SgrPixels).into(),
            47 | 1047 | 1049 => self.shows_alternate.into(),
            2004 => modes.bracketed_paste.into(),
            2026 => modes.synchronized.into(),
            _ => Mode::Unknown,
        }
    }

    /// DECRQSS: what a setting is.
    pub(crate) fn answer_dcs(&mut self, collected: u32, last: u8, text: &str) {
        if (collected, last) != (DOLLAR, b'q') {
            return;
        }
        let setting = match text {
            "\"q" => format!("{}\"q", u8::from(self.pen.bg & back::PROTECTED != 0)),
            "\"p" => "61;1\"p".to_owned(),
            "r" => format!("{};{}r", self.shown().top + 1, self.shown().bottom + 1),
            "m" => format!("{}m", self.plain_flags()),
            " q" => format!("{} q", self.cursor_style()),
            _ => return self.answer("\x1bP0$r\x1b\\"),
        };
        self.answer(&format!("\x1bP1$r{setting}\x1b\\"));
    }

    /// DECSCUSR's number.
    fn cursor_style(&self) -> u8 {
        let shape = self.modes.cursor_shape.unwrap_or_default();
        let blinks = self.modes.cursor_blinks.or(self.blinks).unwrap_or_default();
        2 * shape + if blinks { 1 } else { 2 }
    }

    /// SGR of the pen, without its colours.
    fn plain_flags(&self) -> String {
        let (fg, bg) = (self.pen.fg, self.pen.bg);
        let flags = [
            (fg & front::BOLD, ";1"),
            (bg & back::DIM, ";2"),
            (bg & back::ITALIC, ";3"),
            (fg & front::UNDERLINE, ";4"),
            (fg & front::BLINK, ";5"),
            (fg & front::INVERSE, ";7"),
            (fg & front::INVISIBLE, ";8"),
            (fg & front::STRIKETHROUGH, ";9"),
            (bg & back::OVERLINE, ";53"),
        ];
        flags.iter().filter(|(flag, _)| *flag != 0).fold("0".to_owned(), |text, (_, sgr)| text + sgr)
    }

    pub(crate) fn answer_color(&mut self, index: u16, bell: bool) {
        let [red, green, blue] = self.color_of(index);
        let name = match index.checked_sub(crate::osc::FOREGROUND) {
            Some(special) => format!("{}", 10 + special),
            None => format!("4;{index}"),
        };
        let end = if bell { "\x07" } else { "\x1b\\" };
        let text =
            format!("\x1b]{name};rgb:{red:02x}{red:02x}/{green:02x}{green:02x}/{blue:02x}{blue:02x}{end}");
        self.answer(&text);
    }
}
