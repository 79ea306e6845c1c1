//! The parser of a terminal's input: bytes in, actions out.
//!
//! The states are those of Paul Williams' parser for DEC's VT500 series
//! (<https://vt100.net/emu/dec_ansi_parser>), with UTF-8 and with the choices
//! that xterm.js makes where that description leaves one. Everything that an
//! unfinished sequence has collected is kept as raw bytes too, so that whoever
//! restores the screen can be given the beginning of it again.

use crate::params::Params;

/// What a parser does with what it has read.
pub(crate) trait Actions {
    /// Text of which many whole lines may go through the screen at once.
    fn pass_lines(&mut self, text: &[u8]) -> Passed;
    /// Printable ASCII, at least one byte.
    fn print_ascii(&mut self, text: &[u8]);
    /// One printable character.
    fn print(&mut self, c: char);
    /// A control character of C0 or C1.
    fn execute(&mut self, code: u8);
    /// `CSI`, its parameters, its prefix and intermediates (the last in the
    /// lowest byte), and its final byte.
    fn csi(&mut self, params: &Params, collected: u32, last: u8);
    /// `ESC`, its intermediates and its final byte.
    fn esc(&mut self, collected: u32, last: u8);
    /// `OSC` of a number; `bell`: it ended with BEL.
    fn osc(&mut self, number: u32, text: &str, bell: bool);
    /// `DCS` with its intermediates, final byte and text.
    fn dcs(&mut self, collected: u32, last: u8, text: &str);
    /// A sequence was cancelled or has ended without an action.
    fn end(&mut self);
}

/// What [`Actions::pass_lines`] has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Passed {
    /// Bytes that are done with.
    pub(crate) taken: usize,
    /// Bytes behind those in which nothing is to be gained by asking again.
    pub(crate) left: usize,
}

/// Bytes of one OSC or DCS that are looked at; a longer one has no effect.
pub(crate) const STRING_BYTES: usize = 64 * 1024;
/// Raw bytes of one unfinished CSI or ESC sequence that are kept; what comes
/// beyond has no effect on it.
const SEQUENCE_BYTES: usize = 1024;

/// Never shown, wherever it stands.
const BYTE_ORDER_MARK: char = '\u{FEFF}';

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ground,
    Escape,
    EscapeIntermediate,
    CsiEntry,
    CsiParam,
    CsiIntermediate,
    CsiIgnore,
    String,
    Osc,
    DcsEntry,
    DcsParam,
    DcsIgnore,
    DcsIntermediate,
    Dcs,
}

/// How far an OSC has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OscPart {
    Number,
    Text,
    /// It has no number, so it has no effect.
    Faulty,
}

#[derive(Debug)]
pub(crate) struct Parser {
    state: State,
    params: Params,
    collected: u32,
    osc_part: OscPart,
    osc_number: Option<u32>,
    /// The final byte of a DCS.
    dcs_last: u8,
    /// The text of an OSC or DCS.
    text: String,
    too_long: bool,
    /// The unfinished sequence as it came, without what was executed.
    raw: Vec<u8>,
    /// An unfinished UTF-8 character.
    partial: [u8; 3],
    partial_len: usize,
}

impl Parser {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Ground,
            params: Params::default(),
            collected: 0,
            osc_part: OscPart::Faulty,
            osc_number: None,
            dcs_last: 0,
            text: String::new(),
            too_long: false,
            raw: Vec::new(),
            partial: [0; 3],
            partial_len: 0,
        }
    }

    /// The bytes that bring another parser from its beginning to this state.
    pub(crate) fn unfinished(&self) -> Vec<u8> {
        let mut bytes = match self.state {
            State::Ground => Vec::new(),
            // Its text is lost, and it will have no effect.
            State::Osc if self.too_long => b"\x1b]!".to_vec(),
            State::Dcs if self.too_long => b"\x1bP!z".to_vec(),
            _ => self.raw.clone(),
        };
        bytes.extend_from_slice(&self.partial[..self.partial_len]);
        bytes
    }

    pub(crate) fn feed(&mut self, mut bytes: &[u8], to: &mut impl Actions) {
        // Lines are passed where no more than this is left.
        let mut pass_at = bytes.len();
        while let Some(&first) = bytes.first() {
            if self.partial_len == 0 && first < 0x80 {
                if self.state == State::Ground && is_printable(first) {
                    if bytes.len() <= pass_at {
                        let passed = to.pass_lines(bytes);
                        bytes = &bytes[passed.taken..];
                        pass_at = bytes.len() - passed.left;
                    }
                    let run = printable_run(bytes);
                    to.print_ascii(&bytes[..run]);
                    bytes = &bytes[run..];
                } else {
                    self.step(u32::from(first), to);
                    bytes = &bytes[1..];
                }
            } else {
                bytes = self.decode(bytes, to);
            }
        }
    }

    /// Takes one byte of a character beyond ASCII; a faulty one is skipped up
    /// to the byte that broke it.
    fn decode<'a>(&mut self, bytes: &'a [u8], to: &mut impl Actions) -> &'a [u8] {
        let byte = bytes[0];
        if self.partial_len == 0 {
            if let Some((c, length)) = whole(bytes) {
                if c != BYTE_ORDER_MARK {
                    self.step(u32::from(c), to);
                }
                return &bytes[length..];
            }
            if matches!(byte, 0xC0..=0xF7) {
                self.partial[0] = byte;
                self.partial_len = 1;
            }
            return &bytes[1..];
        }
        if byte & 0xC0 != 0x80 {
            self.partial_len = 0;
            return bytes;
        }
        let lead = self.partial[0];
        let (length, mut code) = match lead {
            0xC0..=0xDF => (2, u32::from(lead & 0x1F)),
            0xE0..=0xEF => (3, u32::from(lead & 0x0F)),
            _ => (4, u32::from(lead & 0x07)),
        };
        if self.partial_len + 1 < length {
            self.partial[self.partial_len] = byte;
            self.partial_len += 1;
            return &bytes[1..];
        }
        for each in &self.partial[1..self.partial_len] {
            code = code << 6 | u32::from(each & 0x3F);
        }
        code = code << 6 | u32::from(byte & 0x3F);
        self.partial_len = 0;
        let least = [0x80, 0x800, 0x1_0000][length - 2];
        if code >= least && char::from_u32(code).is_some_and(|c| c != BYTE_ORDER_MARK) {
            self.step(code, to);
        }
        &bytes[1..]
    }

    fn step(&mut self, code: u32, to: &mut impl Actions) {
        use State::*;
        let byte = if code < 0xA0 { code as u8 } else { 0xA0 };
        match (self.state, byte) {
            (Osc, 0x07 | 0x18 | 0x1A | 0x1B | 0x9C) => return self.end_osc(byte, to),
            (Dcs, 0x18 | 0x1A | 0x1B | 0x9C) => return self.end_dcs(byte, to),
            (_, 0x1B) => return self.begin(Escape, b"\x1b"),
            (_, 0x9B) => return self.begin(CsiEntry, b"\x1b["),
            (_, 0x9D) => return self.begin_osc(),
            (_, 0x90) => return self.begin(DcsEntry, b"\x1bP"),
            (_, 0x98 | 0x9E | 0x9F) => return self.begin(String, b"\x1b_"),
            (_, 0x9C) => return self.ground(),
            (_, 0x18 | 0x1A | 0x80..=0x9A) => {
                to.execute(byte);
                return self.ground();
            }
            _ => {}
        }
        match self.state {
            Ground => match byte {
                0x00..=0x1F => to.execute(byte),
                0x7F => {}
                _ => to.print(char::from_u32(code).unwrap_or_default()),
            },
            Escape | EscapeIntermediate => self.step_escape(byte, to),
            CsiEntry | CsiParam | CsiIntermediate | CsiIgnore => self.step_csi(byte, to),
            String if byte == 0xA0 => self.ground(),
            String => {}
            Osc => self.step_osc(code),
            DcsEntry | DcsParam | DcsIgnore | DcsIntermediate => self.step_dcs(byte),
            Dcs => {
                if byte != 0x7F {
                    self.put(code);
                }
            }
        }
    }

    fn step_escape(&mut self, byte: u8, to: &mut impl Actions) {
        let is_first = self.state == State::Escape;
        match byte {
            0x00..=0x1F => to.execute(byte),
            0x7F => {}
            b'[' if is_first => self.begin(State::CsiEntry, b"\x1b["),
            b']' if is_first => self.begin_osc(),
            b'P' if is_first => self.begin(State::DcsEntry, b"\x1bP"),
            b'X' | b'^' | b'_' if is_first => self.begin(State::String, b"\x1b_"),
            0x20..=0x2F => self.collect(byte, State::EscapeIntermediate),
            0x30..=0x7E => {
                let collected = self.collected;
                self.ground();
                to.esc(collected, byte);
            }
            _ => self.ground(),
        }
    }

    fn step_csi(&mut self, byte: u8, to: &mut impl Actions) {
        use State::{CsiEntry, CsiIgnore, CsiIntermediate, CsiParam};
        match (self.state, byte) {
            (_, 0x00..=0x1F) => to.execute(byte),
            (_, 0x7F) | (CsiIgnore, 0x20..=0x3F | 0xA0) => {}
            (CsiIgnore, _) => self.ground(),
            (_, 0x40..=0x7E) => {
                let collected = self.collected;
                self.ground();
                to.csi(&self.params, collected, byte);
            }
            (_, 0x20..=0x2F) => self.collect(byte, CsiIntermediate),
            (CsiEntry | CsiParam, 0x30..=0x3B) => self.param(byte, CsiParam),
            (CsiEntry, 0x3C..=0x3F) => self.collect(byte, CsiParam),
            (_, 0x30..=0x3F) => self.go(CsiIgnore, byte),
            _ => self.ground(),
        }
    }

    fn step_dcs(&mut self, byte: u8) {
        use State::{Dcs, DcsEntry, DcsIgnore, DcsIntermediate, DcsParam};
        match (self.state, byte) {
            (_, 0x00..=0x1F | 0x7F) | (DcsIgnore, _) => {}
            (_, 0x20..=0x2F) => self.collect(byte, DcsIntermediate),
            (DcsEntry | DcsParam, 0x30..=0x3B) => self.param(byte, DcsParam),
            (DcsEntry, 0x3C..=0x3F) => self.collect(byte, DcsParam),
            (_, 0x30..=0x3F) => self.go(DcsIgnore, byte),
            (_, 0x40..=0x7E) => {
                self.dcs_last = byte;
                self.go(Dcs, byte);
            }
            _ => self.ground(),
        }
    }

    fn step_osc(&mut self, code: u32) {
        if code < 0x20 {
            return;
        }
        match (self.osc_part, char::from_u32(code).unwrap_or_default()) {
            (OscPart::Number, ';') => self.osc_part = OscPart::Text,
            (OscPart::Number, digit) if digit.is_ascii_digit() => {
                let number = self.osc_number.unwrap_or(0);
                self.osc_number = Some(number.saturating_mul(10).saturating_add(code - 0x30));
            }
            (OscPart::Number, _) => {
                self.osc_part = OscPart::Faulty;
                // Whatever it was: of a longer character, a byte could mean something.
                return self.keep(b'!');
            }
            (OscPart::Faulty, _) => return,
            (OscPart::Text, _) => return self.put(code),
        }
        self.keep(code as u8);
    }

    fn begin(&mut self, state: State, raw: &[u8]) {
        self.state = state;
        self.params.clear();
        self.collected = 0;
        self.text.clear();
        self.too_long = false;
        self.raw.clear();
        self.raw.extend_from_slice(raw);
    }

    fn begin_osc(&mut self) {
        self.begin(State::Osc, b"\x1b]");
        self.osc_part = OscPart::Number;
        self.osc_number = None;
    }

    fn ground(&mut self) {
        self.state = State::Ground;
        self.raw.clear();
    }

    fn go(&mut self, state: State, byte: u8) {
        self.state = state;
        self.keep(byte);
    }

    fn collect(&mut self, byte: u8, state: State) {
        self.collected = self.collected << 8 | u32::from(byte);
        self.go(state, byte);
    }

    fn param(&mut self, byte: u8, state: State) {
        match byte {
            b';' => self.params.next(),
            b':' => self.params.next_sub(),
            _ => self.params.digit(byte - b'0'),
        }
        self.go(state, byte);
    }

    fn keep(&mut self, byte: u8) {
        if self.raw.len() < SEQUENCE_BYTES {
            self.raw.push(byte);
        }
    }

    /// One more character of an OSC or DCS.
    fn put(&mut self, code: u32) {
        let Some(c) = char::from_u32(code).filter(|_| !self.too_long) else { return };
        if self.text.len() >= STRING_BYTES {
            self.too_long = true;
            (self.text, self.raw) = (String::new(), Vec::new());
            return;
        }
        self.text.push(c);
        self.raw.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn end_osc(&mut self, byte: u8, to: &mut impl Actions) {
        let is_whole = !matches!(byte, 0x18 | 0x1A) && self.osc_part != OscPart::Faulty && !self.too_long;
        if let Some(number) = self.osc_number.filter(|_| is_whole) {
            to.osc(number, &self.text, byte == 0x07);
        }
        self.leave_string(byte, to);
    }

    fn end_dcs(&mut self, byte: u8, to: &mut impl Actions) {
        if !matches!(byte, 0x18 | 0x1A) && !self.too_long {
            to.dcs(self.collected, self.dcs_last, &self.text);
        }
        self.leave_string(byte, to);
    }

    fn leave_string(&mut self, byte: u8, to: &mut impl Actions) {
        to.end();
        if byte == 0x1B {
            self.begin(State::Escape, b"\x1b");
        } else {
            self.ground();
        }
        self.text = String::new();
    }
}

/// A character beyond ASCII at the beginning of `bytes`, if it is there whole.
fn whole(bytes: &[u8]) -> Option<(char, usize)> {
    let length = match bytes[0] {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return None,
    };
    let c = std::str::from_utf8(bytes.get(..length)?).ok()?.chars().next()?;
    Some((c, length))
}

const fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7E)
}

/// How many bytes at the beginning are printable ASCII.
pub(crate) fn printable_run(bytes: &[u8]) -> usize {
    // Without a branch for each byte the compiler looks at many at once.
    let whole = |chunk: &&[u8; 16]| chunk.iter().fold(true, |all, byte| all & is_printable(*byte));
    let run = bytes.as_chunks().0.iter().take_while(whole).count() * 16;
    run + bytes[run..].iter().take_while(|byte| is_printable(**byte)).count()
}
