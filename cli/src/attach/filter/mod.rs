//! Keeps questions that programs ask a terminal (device attributes, cursor
//! position, colours, modes) away from this one: the holder answers them, once.
//! A second answer would arrive at the shell as if somebody had typed it. What
//! writes the clipboard stays out too, unless the person wants it.
//!
//! The output is read as a terminal reads it (the states are those of Paul
//! Williams' parser, with UTF-8), and what may pass is written anew: whole, in
//! its seven-bit form, with nothing inside that another terminal could read
//! otherwise. So the terminal is never within a character or a sequence between
//! two calls, except within a long string such as an image.

#[cfg(test)]
mod differential;
mod questions;
#[cfg(test)]
mod tests;

/// Bytes of an OSC or APC that are held until it is judged; a longer one is
/// judged by its beginning and, where that is enough, passes as it comes.
const STRING_BYTES: usize = 4096;
/// Bytes of parameters and intermediates; what has more is no sequence of any
/// terminal and is dropped.
const SEQUENCE_BYTES: usize = 1024;

/// Bytes of text that are looked at together.
const RUN_BYTES: usize = 256;

const BEL: u8 = 0x07;
const ENQ: u8 = 0x05;
const ESC: u8 = 0x1b;
/// First byte of a C1 control in UTF-8, and of some letters.
const C1_LEAD: u8 = 0xc2;
const BYTE_ORDER_MARK: char = '\u{feff}';
const ST: &[u8] = b"\x1b\\";

/// Which string a sequence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Osc,
    Dcs,
    Apc,
    /// SOS and PM: nobody reads them.
    Other,
}

/// What becomes of a string's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Held,
    Passed,
    Dropped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ground,
    /// `after_string`: the ESC has ended one, as the first half of ST.
    Escape {
        after_string: bool,
    },
    Csi,
    /// Before the final byte of a DCS.
    DcsHead,
    String(Kind, Fate),
}

/// A terminal's output on its way to the screen.
#[derive(Debug)]
pub(super) struct Filter {
    state: State,
    /// What the sequence has collected behind its introducer.
    held: Vec<u8>,
    /// An unfinished UTF-8 character.
    partial: [u8; 4],
    partial_len: usize,
    out: Vec<u8>,
    /// Programs may write the clipboard.
    clipboard: bool,
}

impl Filter {
    /// Before the first byte.
    pub(super) const fn new(clipboard: bool) -> Self {
        Self {
            state: State::Ground,
            held: Vec::new(),
            partial: [0; 4],
            partial_len: 0,
            out: Vec::new(),
            clipboard,
        }
    }

    /// The bytes for the screen, without questions. They are valid UTF-8; what
    /// is none is dropped, as in the page.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        self.out.reserve(bytes.len());
        while !bytes.is_empty() {
            let run = if self.partial_len == 0 { self.pass_run(bytes) } else { 0 };
            bytes = if run > 0 { &bytes[run..] } else { self.decode(bytes) };
        }
        std::mem::take(&mut self.out)
    }

    /// Whether the screen is outside of every sequence, so that something else
    /// may be written in between.
    pub(super) fn is_between(&self) -> bool {
        !matches!(self.state, State::String(_, Fate::Passed))
    }

    /// Forgets a sequence that was begun: the output goes on elsewhere.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.clipboard);
    }

    /// Takes as many bytes at once as need no look at each; says how many.
    fn pass_run(&mut self, bytes: &[u8]) -> usize {
        let run = match self.state {
            State::Ground => text_run(bytes),
            State::String(..) => printable_run(bytes),
            _ => 0,
        };
        match self.state {
            State::String(kind, Fate::Held) => {
                let run = run.min(STRING_BYTES - self.held.len());
                self.hold(kind, &bytes[..run]);
                return run;
            }
            State::String(_, Fate::Dropped) => {}
            _ => self.out.extend_from_slice(&bytes[..run]),
        }
        run
    }

    /// Takes one byte of a character; a faulty one is skipped up to the byte
    /// that broke it.
    fn decode<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.partial_len == 0 && bytes[0].is_ascii() {
            self.step(char::from(bytes[0]));
            return &bytes[1..];
        }
        self.partial[self.partial_len] = bytes[0];
        self.partial_len += 1;
        let decoded = std::str::from_utf8(&self.partial[..self.partial_len]).map(|text| text.chars().next());
        match decoded {
            Ok(character) => {
                self.partial_len = 0;
                character.into_iter().for_each(|character| self.step(character));
            }
            Err(error) if error.error_len().is_none() => {}
            Err(_) => {
                let broken_by_this = std::mem::take(&mut self.partial_len) > 1;
                return if broken_by_this { bytes } else { &bytes[1..] };
            }
        }
        &bytes[1..]
    }

    fn step(&mut self, character: char) {
        let byte = u8::try_from(character).unwrap_or(0xff);
        match byte {
            ENQ => {}
            ESC => {
                let after_string = self.end_string(ST);
                self.begin(State::Escape { after_string });
            }
            // CAN and SUB.
            0x18 | 0x1a => {
                self.begin(State::Ground);
                self.out.push(byte);
            }
            0x9c => {
                self.end_string(ST);
                self.begin(State::Ground);
            }
            0x80..=0x9f => {
                // A string that another sequence breaks off has no effect; ST ends what has passed of it.
                if !self.is_between() {
                    self.out.extend_from_slice(ST);
                }
                self.begin(State::Escape { after_string: false });
                self.in_escape(byte - 0x40);
            }
            _ if self.state == State::Ground => self.text(character),
            0x7f => {}
            _ if character == BYTE_ORDER_MARK => {}
            _ => match self.state {
                State::Ground => {}
                State::Escape { .. } => self.in_escape(byte),
                State::Csi => self.in_csi(byte),
                State::DcsHead => self.in_dcs_head(byte),
                State::String(Kind::Osc, _) if byte == BEL => {
                    self.end_string(&[BEL]);
                    self.begin(State::Ground);
                }
                // A control within a string is read in as many ways as there are terminals.
                State::String(..) if byte < 0x20 => {}
                State::String(kind, fate) => self.in_string(kind, fate, character),
            },
        }
    }

    fn in_escape(&mut self, byte: u8) {
        let is_first = self.held.is_empty();
        match byte {
            0x00..=0x1f => self.out.push(byte),
            0x20..=0x2f => self.collect(byte),
            b'[' if is_first => self.begin(State::Csi),
            b']' if is_first => self.begin(State::String(Kind::Osc, Fate::Held)),
            b'P' if is_first => self.begin(State::DcsHead),
            b'_' if is_first => self.begin(State::String(Kind::Apc, Fate::Held)),
            b'X' | b'^' if is_first => self.begin(State::String(Kind::Other, Fate::Dropped)),
            0x30..=0x7e => {
                let ends_string = byte == b'\\' && self.state == State::Escape { after_string: true };
                if !ends_string && let Some(passes) = questions::escape(&self.held, byte) {
                    self.out.extend_from_slice(&passes);
                }
                self.begin(State::Ground);
            }
            _ => self.begin(State::Ground),
        }
    }

    fn in_csi(&mut self, byte: u8) {
        match byte {
            0x00..=0x1f => self.out.push(byte),
            0x20..=0x3f => self.collect(byte),
            0x40..=0x7e => {
                if self.held.len() < SEQUENCE_BYTES && questions::csi_passes(&self.held, byte) {
                    self.out.extend_from_slice(b"\x1b[");
                    self.out.append(&mut self.held);
                    self.out.push(byte);
                }
                self.begin(State::Ground);
            }
            _ => self.begin(State::Ground),
        }
    }

    fn in_dcs_head(&mut self, byte: u8) {
        match byte {
            0x00..=0x1f => {}
            0x20..=0x3f => self.collect(byte),
            0x40..=0x7e => {
                let passes = self.held.len() < SEQUENCE_BYTES && questions::dcs_passes(&self.held, byte);
                if passes {
                    self.out.extend_from_slice(b"\x1bP");
                    self.out.append(&mut self.held);
                    self.out.push(byte);
                }
                let fate = if passes { Fate::Passed } else { Fate::Dropped };
                self.begin(State::String(Kind::Dcs, fate));
            }
            _ => self.begin(State::Ground),
        }
    }

    fn in_string(&mut self, kind: Kind, fate: Fate, character: char) {
        match fate {
            Fate::Held => self.hold(kind, character.encode_utf8(&mut [0; 4]).as_bytes()),
            Fate::Passed => self.text(character),
            Fate::Dropped => {}
        }
    }

    /// More of a string; one that is too long is judged now.
    fn hold(&mut self, kind: Kind, text: &[u8]) {
        self.held.extend_from_slice(text);
        if self.held.len() >= STRING_BYTES {
            let fate = if self.judge(kind, false) { Fate::Passed } else { Fate::Dropped };
            self.begin(State::String(kind, fate));
        }
    }

    /// Writes what may pass of the string that is held, without its end.
    fn judge(&mut self, kind: Kind, is_whole: bool) -> bool {
        let (introducer, passes) = match kind {
            Kind::Osc => (b"\x1b]", questions::osc(&self.held, is_whole, self.clipboard)),
            Kind::Apc => (b"\x1b_", questions::apc(&self.held, is_whole)),
            Kind::Dcs | Kind::Other => return false,
        };
        let Some(text) = passes else { return false };
        self.out.extend_from_slice(introducer);
        self.out.extend_from_slice(&text);
        true
    }

    /// The string, if there is one, is whole. Says whether there is one.
    fn end_string(&mut self, end: &[u8]) -> bool {
        let State::String(kind, fate) = self.state else { return false };
        if fate == Fate::Passed || (fate == Fate::Held && self.judge(kind, true)) {
            self.out.extend_from_slice(end);
        }
        true
    }

    fn begin(&mut self, state: State) {
        self.state = state;
        self.held.clear();
    }

    fn collect(&mut self, byte: u8) {
        if self.held.len() < SEQUENCE_BYTES {
            self.held.push(byte);
        }
    }

    fn text(&mut self, character: char) {
        self.out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// How many bytes at the beginning are whole characters that steer nothing, so
/// far as is looked: a faulty byte must not cost a look at all behind it.
fn text_run(bytes: &[u8]) -> usize {
    let whole = |bytes| std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    if whole(&bytes[..bytes.len().min(4)]) == 0 {
        return 0;
    }
    let special = |byte: &u8| matches!(*byte, ESC | ENQ | C1_LEAD);
    let bytes = &bytes[..bytes.len().min(RUN_BYTES)];
    whole(&bytes[..bytes.iter().position(special).unwrap_or(bytes.len())])
}

/// How many bytes at the beginning are printable ASCII.
fn printable_run(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !matches!(byte, 0x20..=0x7e)).unwrap_or(bytes.len())
}
