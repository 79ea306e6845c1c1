//! Keeps questions that programs ask a terminal (device attributes, cursor
//! position, colours, modes) away from this one: the holder answers them, once.
//! A second answer would arrive at the shell as if somebody had typed it. What
//! writes the clipboard stays out too, unless the person wants it.
//!
//! Sequences are held until they are whole, so between two calls the terminal
//! is never inside of one, except within a long string such as an image.

/// Bytes of a string (OSC, DCS, APC) that are held until it is judged; a longer
/// one is judged by its beginning and passes as it comes.
const STRING_BYTES: usize = 4096;
/// Bytes of a control sequence; a longer one is no sequence of any terminal and
/// is dropped.
const CSI_BYTES: usize = 1024;

const BEL: u8 = 0x07;
const ENQ: u8 = 0x05;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const ESC: u8 = 0x1b;
/// First byte of the two that a C1 control has in UTF-8.
const C1: u8 = 0xc2;

/// Which string a sequence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Osc,
    Dcs,
    Apc,
    /// SOS and PM: nobody reads them.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ground,
    /// After [`C1`].
    C1,
    Escape,
    Csi,
    String(Kind),
    /// After ESC inside of a string.
    StringEnd(Kind),
    /// After [`C1`] inside of a string.
    StringC1(Kind),
}

/// What becomes of a sequence that is too long to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Held,
    Passed,
    Dropped,
}

/// A terminal's output on its way to the screen.
#[derive(Debug)]
pub(super) struct Filter {
    state: State,
    /// The sequence that is not whole yet, with its introducer.
    held: Vec<u8>,
    /// Bytes of `held` before the parameters.
    introducer: usize,
    rest: Rest,
    /// The last bytes that passed as text.
    tail: [u8; 3],
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
            introducer: 0,
            rest: Rest::Held,
            tail: [0; 3],
            out: Vec::new(),
            clipboard,
        }
    }

    /// The bytes for the screen, without questions.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.out.reserve(bytes.len());
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            if self.state == State::Ground {
                let text = rest.iter().position(|b| matches!(*b, ESC | ENQ | C1)).unwrap_or(rest.len());
                self.text(&rest[..text]);
                rest = &rest[text..];
                if let Some((&special, after)) = rest.split_first() {
                    self.begin(special);
                    rest = after;
                }
            } else {
                self.inside(byte);
                rest = &rest[1..];
            }
        }
        std::mem::take(&mut self.out)
    }

    /// Whether the screen is between two characters and outside of every
    /// sequence, so that something else may be written in between.
    pub(super) fn is_between(&self) -> bool {
        self.rest != Rest::Passed && !ends_inside_character(&self.tail)
    }

    /// Forgets a sequence that was begun: the output goes on elsewhere.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.clipboard);
    }

    fn text(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
        let from = text.len().saturating_sub(3);
        for &byte in &text[from..] {
            self.tail = [self.tail[1], self.tail[2], byte];
        }
    }

    fn begin(&mut self, special: u8) {
        if special == ENQ {
            return;
        }
        self.tail = [0; 3];
        self.held.push(special);
        self.state = if special == ESC { State::Escape } else { State::C1 };
    }

    fn inside(&mut self, byte: u8) {
        match self.state {
            State::Ground => self.text(&[byte]),
            State::C1 => self.after_c1(byte),
            State::Escape => self.after_escape(byte),
            State::Csi => self.in_csi(byte),
            State::String(kind) => self.in_string(kind, byte),
            State::StringC1(kind) => {
                self.push(byte);
                if byte == 0x9c { self.end_of_string(kind) } else { self.state = State::String(kind) }
            }
            State::StringEnd(kind) => {
                if byte == b'\\' {
                    self.push(byte);
                    self.end_of_string(kind);
                } else {
                    // The string was broken off, and another sequence begins.
                    if self.rest == Rest::Held {
                        self.held.pop();
                    }
                    self.end_of_string(kind);
                    self.begin(ESC);
                    self.after_escape(byte);
                }
            }
        }
    }

    fn after_c1(&mut self, byte: u8) {
        self.held.push(byte);
        self.introducer = 2;
        self.state = match byte {
            0x9b => State::Csi,
            0x9d => State::String(Kind::Osc),
            0x90 => State::String(Kind::Dcs),
            0x9f => State::String(Kind::Apc),
            0x98 | 0x9e => State::String(Kind::Other),
            // DECID.
            0x9a => return self.release(true),
            _ => return self.release(false),
        };
    }

    fn after_escape(&mut self, byte: u8) {
        if byte == ESC {
            self.release(false);
            return self.begin(ESC);
        }
        self.held.push(byte);
        self.introducer = self.held.len();
        self.state = match byte {
            b'[' if self.held.len() == 2 => State::Csi,
            b']' if self.held.len() == 2 => State::String(Kind::Osc),
            b'P' if self.held.len() == 2 => State::String(Kind::Dcs),
            b'_' if self.held.len() == 2 => State::String(Kind::Apc),
            b'X' | b'^' if self.held.len() == 2 => State::String(Kind::Other),
            // Characters between ESC and the last one.
            0x20..=0x2f if self.held.len() < CSI_BYTES => return,
            b'Z' => return self.release(true),
            _ => return self.release(false),
        };
    }

    fn in_csi(&mut self, byte: u8) {
        match byte {
            ESC => {
                self.release(false);
                return self.begin(ESC);
            }
            CAN | SUB => {
                self.push(byte);
                return self.release(false);
            }
            _ => self.push(byte),
        }
        if self.held.len() > CSI_BYTES {
            self.rest = Rest::Dropped;
            self.held.truncate(CSI_BYTES);
        }
        if (0x40..=0x7e).contains(&byte) {
            let question = csi_asks(&self.held[self.introducer..]);
            self.release(question);
        }
    }

    fn in_string(&mut self, kind: Kind, byte: u8) {
        match byte {
            ESC => self.state = State::StringEnd(kind),
            C1 => self.state = State::StringC1(kind),
            CAN | SUB => {
                self.push(byte);
                return self.release(false);
            }
            _ => {}
        }
        self.push(byte);
        if byte == BEL && kind == Kind::Osc {
            self.end_of_string(kind);
        } else if self.rest == Rest::Held && self.held.len() >= STRING_BYTES {
            let drop = self.is_refused(kind);
            self.rest = if drop { Rest::Dropped } else { Rest::Passed };
            let begun = std::mem::take(&mut self.held);
            if !drop {
                self.out.extend_from_slice(&begun);
            }
        }
    }

    fn end_of_string(&mut self, kind: Kind) {
        if self.rest == Rest::Held && self.is_refused(kind) {
            let settings = colours_alone(self.held.get(self.introducer..).unwrap_or_default());
            self.held.truncate(if settings.is_some() { self.introducer } else { 0 });
            self.held.extend(settings.into_iter().flatten());
        }
        self.release(false);
    }

    fn push(&mut self, byte: u8) {
        match self.rest {
            Rest::Held => self.held.push(byte),
            Rest::Passed => self.out.push(byte),
            Rest::Dropped => {}
        }
    }

    /// The sequence is whole; a question goes on only if it may be answered.
    fn release(&mut self, question: bool) {
        if self.rest != Rest::Dropped && !question {
            self.out.append(&mut self.held);
        }
        self.held.clear();
        self.introducer = 0;
        self.rest = Rest::Held;
        self.state = State::Ground;
    }

    fn is_refused(&self, kind: Kind) -> bool {
        let body = self.held.get(self.introducer..).unwrap_or_default();
        match kind {
            Kind::Osc => {
                let (text, _) = split_end(body);
                osc_asks(text) || (!self.clipboard && osc_sets_clipboard(text))
            }
            Kind::Dcs => [&b"$q"[..], b"+q", b"tmux;"].iter().any(|head| body.starts_with(head)),
            Kind::Apc => {
                body.starts_with(b"G")
                    && body[1..].split(|b| matches!(b, b',' | b';')).any(|part| part == b"a=q")
            }
            Kind::Other => false,
        }
    }
}

/// Whether a control sequence (parameters, intermediates and final byte) makes
/// a terminal answer.
fn csi_asks(body: &[u8]) -> bool {
    let body: Vec<u8> = body.iter().copied().filter(|b| *b >= 0x20).collect();
    let Some((&last, head)) = body.split_last() else { return false };
    let private = head.first().copied().filter(|b| matches!(b, b'<'..=b'?'));
    let intermediate = head.last().copied().filter(|b| matches!(b, 0x20..=0x2f));
    match (private, intermediate, last) {
        // DA 1, 2, 3.
        (None | Some(b'>' | b'='), None, b'c') => true,
        // DSR, also the cursor's position; `>` turns a key mode off.
        (private, None, b'n') => private != Some(b'>'),
        // DECRQM; XTVERSION; kitty keyboard; graphics; key modes.
        (_, Some(b'$'), b'p') | (Some(b'>'), None, b'q') | (Some(b'?'), None, b'u' | b'S' | b'm') => true,
        // Reports of the window.
        (None, None, b't') => {
            matches!(first_number(head), Some(11 | 13..=16 | 18..=21))
        }
        // DECREQTPARM, DECRQCRA, DECRQPSR, DECRQUPSS, DECRQDE, DECRQLP.
        (None, None, b'x')
        | (_, Some(b'*'), b'y')
        | (_, Some(b'$'), b'w')
        | (_, Some(b'&'), b'u')
        | (_, Some(b'"'), b'v')
        | (_, Some(b'\''), b'|') => true,
        _ => false,
    }
}

fn first_number(parameters: &[u8]) -> Option<u32> {
    let first = parameters.split(|b| matches!(b, b';' | b':')).next()?;
    std::str::from_utf8(first).ok()?.parse().ok()
}

/// Whether an OSC string makes a terminal answer.
fn osc_asks(body: &[u8]) -> bool {
    let mut parts = body.split(|b| *b == b';');
    match parts.next() {
        // Titles, folder, link, notification, prompt marks: free text.
        Some(b"0" | b"1" | b"2" | b"7" | b"8" | b"9" | b"133" | b"777") => false,
        // kitty's clipboard answers whatever is asked of it.
        Some(b"5522") => true,
        Some(b"1337") => parts.next().is_some_and(|verb| {
            [&b"Report"[..], b"Request", b"Capabilities"].iter().any(|head| verb.starts_with(head))
        }),
        _ => parts.any(is_question),
    }
}

/// Whether an OSC string writes the clipboard, also as only iTerm2 knows it.
fn osc_sets_clipboard(body: &[u8]) -> bool {
    [&b"52;"[..], b"1337;Copy"].iter().any(|head| body.starts_with(head))
}

fn is_question(part: &[u8]) -> bool {
    part == b"?" || part.ends_with(b"=?")
}

/// The text of an OSC, and what ends it.
fn split_end(body: &[u8]) -> (&[u8], &[u8]) {
    let ends = [&[BEL][..], b"\x1b\\", &[C1, 0x9c]];
    let end = ends.into_iter().find(|end| body.ends_with(end)).unwrap_or_default();
    body.split_at(body.len() - end.len())
}

/// An OSC that sets colours without those that it asks for; nothing when it is
/// another, or sets none.
fn colours_alone(body: &[u8]) -> Option<Vec<u8>> {
    let (text, end) = split_end(body);
    let (number, slots) = text.split_at(text.iter().position(|byte| *byte == b';')?);
    let slots: Vec<&[u8]> = slots[1..].split(|byte| *byte == b';').collect();
    let kept: Vec<&[u8]> = match number {
        b"4" => slots.chunks_exact(2).filter(|slot| !is_question(slot[1])).flatten().copied().collect(),
        // An empty place keeps the colour that it stands for.
        b"10" | b"11" | b"12" => {
            slots.iter().map(|slot| if is_question(slot) { b"" } else { *slot }).collect()
        }
        _ => return None,
    };
    let sets = kept.iter().any(|slot| !slot.is_empty());
    sets.then(|| [number, b";", &kept.join(&b';'), end].concat())
}

/// Whether text that ends so is in the middle of a UTF-8 character.
fn ends_inside_character(tail: &[u8; 3]) -> bool {
    let after_lead = tail.iter().rev().take_while(|b| matches!(**b, 0x80..=0xbf)).count();
    let Some(lead) = tail.iter().rev().nth(after_lead) else { return false };
    let needed = match lead {
        0xc0..=0xdf => 1,
        0xe0..=0xef => 2,
        0xf0..=0xff => 3,
        _ => 0,
    };
    after_lead < needed
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTIONS: &[&str] = &[
        "\x1b[c",
        "\x1b[0c",
        "\x1b[>c",
        "\x1b[=c",
        "\x1bZ",
        "\x1b[5n",
        "\x1b[6n",
        "\x1b[?6n",
        "\x1b[?2026$p",
        "\x1b[4$p",
        "\x1b[>q",
        "\x1b[>0q",
        "\x1b[?u",
        "\x1b[14t",
        "\x1b[18t",
        "\x1b[x",
        "\x1b[?4m",
        "\x05",
        "\x1b]10;?\x07",
        "\x1b]11;?\x1b\\",
        "\x1b]4;1;?;2;?\x07",
        "\x1bP$qm\x1b\\",
        "\x1bP+q544e\x1b\\",
        "\u{9b}6n",
        "\u{9d}11;?\u{9c}",
        "\x1b_Gi=31,s=1,v=1,a=q,t=d;AAAA\x1b\\",
        "\x1b]1337;ReportCellSize\x07",
        "\x1b[21t",
        "\x1b]52;c;?\x07",
        "\x1b]5522;type=write\x1b\\",
    ];
    const HARMLESS: &[&str] = &[
        "plain",
        "ü端🙂",
        "\x1b[1;31m",
        "\x1b[2J\x1b[H",
        "\x1b[?1049h",
        "\x1b[2 q",
        "\x1b[>4;1m",
        "\x1b[>1u",
        "\x1b]0;what?;?\x07",
        "\x1b]8;;http://x/?a=?\x1b\\link\x1b]8;;\x1b\\",
        "\x1b(B",
        "\x1b7\x1b8",
        "\x1bP0;1q#0~\x1b\\",
        "\x1b[8;24;80t",
        "\x1b[22;0t",
        "\u{a0}",
        "\x1b[>4n",
        "\x1b[?6c",
    ];

    const CLIPBOARD: &[&str] = &[
        "\x1b]52;c;aGk=\x07",
        "\x1b]52;;aGk=\x1b\\",
        "\u{9d}52;c;aGk=\u{9c}",
        "\x1b]1337;Copy=:aGk=\x07",
        "\x1b]1337;CopyToClipboard=\x07",
    ];

    fn fed(text: &[u8], chunk: usize) -> Vec<u8> {
        fed_to(Filter::new(false), text, chunk)
    }

    fn fed_to(mut filter: Filter, text: &[u8], chunk: usize) -> Vec<u8> {
        let out = text.chunks(chunk).flat_map(|part| filter.feed(part)).collect();
        assert!(filter.is_between(), "{text:?}");
        out
    }

    #[test]
    fn questions_are_taken_out_however_the_output_is_cut() {
        for question in QUESTIONS {
            let text = format!("a{question}b");
            for chunk in 1..text.len() {
                assert_eq!(fed(text.as_bytes(), chunk), b"ab", "{question:?} by {chunk}");
            }
        }
    }

    #[test]
    fn the_clipboard_is_written_only_where_the_person_wants_it() {
        for writes in CLIPBOARD {
            let text = format!("a{writes}b");
            for chunk in 1..text.len() {
                assert_eq!(fed(text.as_bytes(), chunk), b"ab", "{writes:?} by {chunk}");
                let let_through = fed_to(Filter::new(true), text.as_bytes(), chunk);
                assert_eq!(let_through, text.as_bytes(), "{writes:?} by {chunk}");
            }
        }
        let long = format!("a\x1b]52;c;{}\x07b", "QUFB".repeat(STRING_BYTES));
        assert_eq!(fed(long.as_bytes(), 1000), b"ab");
        assert_eq!(fed_to(Filter::new(true), long.as_bytes(), 1000), long.as_bytes());
        assert_eq!(fed_to(Filter::new(true), b"a\x1b]52;c;?\x07b", 3), b"ab", "it is never read");
    }

    #[test]
    fn everything_else_passes_unchanged() {
        for text in HARMLESS {
            for chunk in 1..=text.len() {
                assert_eq!(fed(text.as_bytes(), chunk), text.as_bytes(), "{text:?} by {chunk}");
            }
        }
    }

    #[test]
    fn colours_that_are_set_beside_a_question_pass() {
        let cases = [
            ("\x1b]4;1;red;2;?;3;blue\x1b\\", "\x1b]4;1;red;3;blue\x1b\\"),
            ("\u{9d}4;1;?;2;red\u{9c}", "\u{9d}4;2;red\u{9c}"),
            ("\x1b]10;?;red\x07", "\x1b]10;;red\x07"),
            ("\x1b]11;red;?\x07", "\x1b]11;red;\x07"),
            ("\x1b]4;?;?\x07", ""),
            ("\x1b]12;?;?\x07", ""),
        ];
        for (text, passes) in cases {
            for chunk in 1..=text.len() {
                assert_eq!(fed(text.as_bytes(), chunk), passes.as_bytes(), "{text:?} by {chunk}");
            }
        }
    }

    #[test]
    fn a_long_string_passes_as_it_comes_and_is_not_between() {
        let mut filter = Filter::new(false);
        let image = [&b"\x1bPq"[..], &[b'~'; 3 * STRING_BYTES]].concat();
        let mut out = filter.feed(&image);
        assert_eq!(out.len(), image.len());
        assert!(!filter.is_between());
        out.extend(filter.feed(b"\x1b\\x"));
        assert!(filter.is_between());
        assert_eq!(out, [&image[..], b"\x1b\\x"].concat());
    }

    #[test]
    fn an_endless_control_sequence_is_dropped_and_bounded() {
        let mut filter = Filter::new(false);
        let out = filter.feed(&[&b"\x1b["[..], &[b'0'; 100_000], b"6nx"].concat());
        assert_eq!(out, b"x");
        assert!(filter.held.capacity() <= 4 * CSI_BYTES);
    }

    #[test]
    fn a_sequence_that_breaks_off_another_is_judged_itself() {
        assert_eq!(fed(b"\x1b[1\x1b[6nx", 2), b"\x1b[1x");
        assert_eq!(fed(b"\x1b]0;t\x1b[6nx", 2), b"\x1b]0;tx");
    }

    #[test]
    fn in_the_middle_of_a_character_nothing_may_be_written() {
        let mut filter = Filter::new(false);
        for (byte, between) in "端".bytes().zip([false, false, true]) {
            filter.feed(&[byte]);
            assert_eq!(filter.is_between(), between);
        }
    }
}
