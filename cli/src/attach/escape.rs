//! The escape key, as in ssh: at the beginning of a line, `~` and one key more
//! are for this program and not for the session.

/// What the keys ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Bytes for the session.
    Bytes(Vec<u8>),
    /// `~.`: leave; the session goes on.
    Leave,
    /// `~?`: say what the keys do.
    Help,
    /// `~w`: take the writer's lease.
    TakeLease,
}

/// Words for `~?`.
pub(super) const HELP: &str = "\
At the beginning of a line:
  ~.  leave; the session goes on
  ~w  write: take the keyboard from whoever has it
  ~~  a single ~
  ~?  this help";

/// Bytes of an escape sequence that is looked at; a longer one is no key.
const SEQUENCE_BYTES: usize = 64;
/// Bytes that wait behind a held `~`; with more the `~` is text.
const HELD_BYTES: usize = 1024;

const ESC: u8 = 0x1b;

/// What a part of the input is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// A character in one byte, Enter as `\r`.
    Byte(u8),
    Other,
    /// Nothing that was pressed: a release, a repetition, Shift alone, a report.
    None,
}

/// Watches the keys for the escape key, also where a program has the terminal
/// write them as escape codes: kitty's, or xterm's other keys.
#[derive(Debug)]
pub(super) struct EscapeKey {
    at_line_start: bool,
    /// A `~` came. What was not sent on yet of it, and of what came behind it
    /// that is no key.
    held: Option<Vec<u8>>,
    /// An escape sequence that is not whole yet.
    sequence: Vec<u8>,
    /// Bytes of it that were sent on: the key ESC itself must not wait.
    sent: usize,
}

impl EscapeKey {
    /// At the beginning of a line.
    pub(super) const fn new() -> Self {
        Self { at_line_start: true, held: None, sequence: Vec::new(), sent: 0 }
    }

    /// Sorts what was typed. Nothing after a [`Typed::Leave`] is looked at.
    pub(super) fn feed(&mut self, keys: &[u8]) -> Vec<Typed> {
        let mut typed = Vec::new();
        for &byte in keys {
            self.byte(byte, &mut typed);
            if typed.last() == Some(&Typed::Leave) {
                return typed;
            }
        }
        if self.held.is_none() {
            send(&mut typed, &self.sequence[self.sent..]);
            self.sent = self.sequence.len();
        }
        typed
    }

    fn byte(&mut self, byte: u8, typed: &mut Vec<Typed>) {
        let is_more = match self.sequence.len() {
            0 => byte == ESC,
            1 => byte == b'[',
            length => length < SEQUENCE_BYTES && (0x20..=0x7e).contains(&byte),
        };
        if !is_more {
            if !self.sequence.is_empty() {
                self.end_sequence(Key::Other, typed);
                return self.byte(byte, typed);
            }
            return self.key(Key::Byte(byte), &[byte], typed);
        }
        self.sequence.push(byte);
        if self.sequence.len() > 2 && byte >= 0x40 {
            self.end_sequence(decoded(&self.sequence[2..]), typed);
        }
    }

    fn end_sequence(&mut self, key: Key, typed: &mut Vec<Typed>) {
        let sequence = std::mem::take(&mut self.sequence);
        let sent = std::mem::take(&mut self.sent);
        self.key(key, &sequence[sent..], typed);
    }

    /// `bytes`: what was not sent on yet of the key.
    fn key(&mut self, key: Key, bytes: &[u8], typed: &mut Vec<Typed>) {
        let Some(mut held) = self.held.take() else {
            if key == Key::Byte(b'~') && self.at_line_start {
                self.held = Some(bytes.to_vec());
                return;
            }
            if key != Key::None {
                self.at_line_start = matches!(key, Key::Byte(b'\r' | b'\n'));
            }
            return send(typed, bytes);
        };
        match key {
            Key::Byte(b'.') => typed.push(Typed::Leave),
            Key::Byte(b'?') => typed.push(Typed::Help),
            Key::Byte(b'w') => typed.push(Typed::TakeLease),
            Key::None if held.len() + bytes.len() <= HELD_BYTES => {
                held.extend_from_slice(bytes);
                self.held = Some(held);
            }
            _ => {
                send(typed, &held);
                self.at_line_start = matches!(key, Key::Byte(b'\r' | b'\n'));
                if key != Key::Byte(b'~') {
                    send(typed, bytes);
                }
            }
        }
    }
}

fn send(typed: &mut Vec<Typed>, bytes: &[u8]) {
    match typed.last_mut() {
        _ if bytes.is_empty() => {}
        Some(Typed::Bytes(before)) => before.extend_from_slice(bytes),
        _ => typed.push(Typed::Bytes(bytes.to_vec())),
    }
}

/// What a control sequence is, from behind its introducer.
fn decoded(body: &[u8]) -> Key {
    let Some((&last, fields)) = body.split_last() else { return Key::Other };
    if matches!(fields.first(), Some(b'<'..=b'?')) || (fields.is_empty() && matches!(last, b'I' | b'O')) {
        return Key::None;
    }
    let text = String::from_utf8_lossy(fields);
    let field =
        |place: usize, part: usize| text.split(';').nth(place)?.split(':').nth(part)?.parse::<u32>().ok();
    // An event other than a press.
    if field(1, 1).is_some_and(|event| event != 1) {
        return Key::None;
    }
    let modifiers = field(1, 0).unwrap_or(1).saturating_sub(1);
    match (last, field(0, 0)) {
        (b'u', Some(code)) => character(code, modifiers, field(2, 0).or(field(0, 1))),
        (b'~', Some(27)) => field(2, 0).map_or(Key::Other, |code| character(code, modifiers, None)),
        _ => Key::Other,
    }
}

/// The key of a code. `told`: the character that it writes, if the terminal
/// says so; else Shift is taken for that of a standard keyboard.
fn character(code: u32, modifiers: u32, told: Option<u32>) -> Key {
    const SHIFT: u32 = 1;
    /// Alt, Ctrl, Super, Hyper, Meta.
    const NO_TEXT: u32 = 0b11_1110;
    match code {
        // The locks; Shift, Ctrl and all like them.
        57_358..=57_360 | 57_441..=57_454 => return Key::None,
        _ if modifiers & NO_TEXT != 0 => return Key::Other,
        // Enter, also of the keypad.
        13 | 57_414 => return Key::Byte(b'\r'),
        _ => {}
    }
    let told = told.filter(|told| *told != 0).unwrap_or(code);
    let Ok(byte @ 0x20..=0x7e) = u8::try_from(told) else { return Key::Other };
    Key::Byte(match byte {
        _ if modifiers & SHIFT == 0 => byte,
        b'`' => b'~',
        b'/' => b'?',
        b'.' => b'>',
        _ => byte.to_ascii_uppercase(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of `keys`, fed one by one and at once; both must agree.
    fn typed(keys: &str) -> (String, Vec<Typed>) {
        let split = |mut typed: Vec<Typed>| {
            let mut text = String::new();
            typed.retain(|one| match one {
                Typed::Bytes(bytes) => {
                    text.push_str(&String::from_utf8_lossy(bytes));
                    false
                }
                Typed::Leave | Typed::Help | Typed::TakeLease => true,
            });
            (text, typed)
        };
        let mut escape = EscapeKey::new();
        let mut one_by_one = Vec::new();
        for key in keys.bytes() {
            one_by_one.extend(escape.feed(&[key]));
            if one_by_one.last() == Some(&Typed::Leave) {
                break;
            }
        }
        let at_once = split(EscapeKey::new().feed(keys.as_bytes()));
        assert_eq!(split(one_by_one), at_once);
        at_once
    }

    #[test]
    fn tilde_dot_at_the_beginning_of_a_line_leaves() {
        assert_eq!(typed("~."), (String::new(), vec![Typed::Leave]));
        assert_eq!(typed("ls\r~.rest"), ("ls\r".into(), vec![Typed::Leave]));
    }

    #[test]
    fn a_tilde_inside_a_line_is_text() {
        assert_eq!(typed("cd ~.\r"), ("cd ~.\r".into(), vec![]));
        assert_eq!(typed("a~~?"), ("a~~?".into(), vec![]));
    }

    #[test]
    fn a_doubled_tilde_sends_one_and_others_send_both() {
        assert_eq!(typed("~~."), ("~.".into(), vec![]));
        assert_eq!(typed("~/bin\r"), ("~/bin\r".into(), vec![]));
    }

    #[test]
    fn after_help_and_take_the_line_begins_still() {
        assert_eq!(typed("~?~w~."), (String::new(), vec![Typed::Help, Typed::TakeLease, Typed::Leave]));
    }

    #[test]
    fn a_held_tilde_waits_for_its_key() {
        let mut escape = EscapeKey::new();
        assert!(escape.feed(b"~").is_empty());
        assert_eq!(escape.feed(b"x"), [Typed::Bytes(b"~x".to_vec())]);
    }

    #[test]
    fn a_newline_after_a_held_tilde_begins_a_line() {
        assert_eq!(typed("~\r~."), ("~\r".into(), vec![Typed::Leave]));
    }

    /// Each way of writing Enter, `~`, and the key behind it, with what a
    /// terminal tells beside them.
    fn keys_of(flags: u32, last: char) -> String {
        let (code, shift) = if last == '?' { ('/', 2) } else { (last, 1) };
        let (code, last_code) = (u32::from(code), u32::from(last));
        match flags {
            1 => format!("\r~{last}"),
            3 => format!("\r~\x1b[96;2:3u{last}\x1b[{code};{shift}:3u"),
            8 => format!("\x1b[13u\x1b[57441;2u\x1b[96;2u\x1b[{code};{shift}u"),
            31 => format!(
                "\x1b[13u\x1b[13;1:3u\x1b[57441;2u\x1b[96:126;2;126u\x1b[96:126;2:3u\x1b[57441;1:3u\
                 \x1b[{code};{shift};{last_code}u"
            ),
            // A terminal that tells the sign itself, with Num Lock; xterm's other keys.
            126 => format!("\x1b[13;129u\x1b[126;130u\x1b[126;130:2u\x1b[{last_code};129u"),
            _ => format!("\r\x1b[27;2;126~{last}"),
        }
    }

    #[test]
    fn keys_that_are_told_as_escape_codes_leave_too_wherever_they_are_cut() {
        for flags in [1, 3, 8, 31, 126, 0] {
            for (last, asked) in [('.', Typed::Leave), ('?', Typed::Help), ('w', Typed::TakeLease)] {
                let keys = format!("x{}", keys_of(flags, last));
                for cut in 0..=keys.len() {
                    let mut escape = EscapeKey::new();
                    let mut typed = escape.feed(&keys.as_bytes()[..cut]);
                    typed.extend(escape.feed(&keys.as_bytes()[cut..]));
                    let commands = typed.iter().filter(|one| **one == asked).count();
                    assert_eq!(commands, 1, "flags {flags}, {last}, cut at {cut}: {typed:?}");
                }
                let mut escape = EscapeKey::new();
                let typed: Vec<Typed> = keys.bytes().flat_map(|key| escape.feed(&[key])).collect();
                assert!(typed.contains(&asked), "flags {flags}, {last}, byte by byte: {typed:?}");
            }
        }
    }

    #[test]
    fn what_is_told_as_escape_codes_and_asks_for_nothing_is_sent_as_it_came() {
        for keys in [
            "\x1b[13u\x1b[96;2u\x1b[96;2:3u\x1b[98u",
            "\x1b[97u\x1b[96;2u\x1b[46u",
            "\x1b[13;5u\x1b[96;2u\x1b[46u",
            "\x1b[13u\x1b[96;6u\x1b[46u",
            "\x1b[13u\x1b[96;2u\x1b[46;5u",
            "\x1b[A~.",
            "\x1b~.",
            "\x1b\x1b[<0;1;1M~\x1b[~.",
        ] {
            assert_eq!(typed(keys), (keys.to_owned(), vec![]), "{keys:?}");
        }
        assert_eq!(typed("\x1b[13u\x1b[96;2u\x1b[126u").0, "\x1b[13u\x1b[96;2u", "one of two");
    }

    #[test]
    fn the_key_esc_is_sent_at_once() {
        assert_eq!(EscapeKey::new().feed(b"\x1b"), [Typed::Bytes(vec![ESC])]);
    }

    #[test]
    fn a_tilde_holds_back_no_more_than_its_bound() {
        let mut escape = EscapeKey::new();
        let reports = [&b"~"[..], &b"\x1b[<35;1;1M".repeat(HELD_BYTES)].concat();
        let typed = escape.feed(&reports);
        assert_eq!(typed, [Typed::Bytes(reports)]);
        let endless = [&b"\r~\x1b["[..], &[b'1'; 2 * SEQUENCE_BYTES]].concat();
        assert_eq!(escape.feed(&endless), [Typed::Bytes(endless)]);
    }
}

/// `just fuzz escapes`.
#[cfg(test)]
mod fuzz {
    use chatcode_fuzz::{Target, sight, size};

    use super::*;

    const TARGET: Target = Target { name: "escapes", words: WORDS, usual: 20_000, case };
    const WORDS: &[&[u8]] = &[
        b"~",
        b"~.",
        b"~w",
        b"~~",
        b"\r~.",
        b"\r~?",
        b"\n",
        b"\r",
        b"\x1b",
        b"\x1b[",
        b"\x1b[13u",
        b"\x1b[96;2u",
        b"\x1b[96:126;2;126u",
        b"\x1b[96;2:3u",
        b"\x1b[57441;2u",
        b"\x1b[27;2;126~",
        b"\x1b[<35;1;1M",
        b"\x1b[I",
        b"\x1b[200~",
        b"\xff",
    ];

    #[test]
    fn any_keys_are_sorted_alike_whole_and_in_pieces_and_none_is_made_up() {
        chatcode_fuzz::run(&TARGET, Vec::new());
    }

    fn case(input: &[u8]) -> Vec<u64> {
        let whole = sorted([input].into_iter());
        let width = usize::from(input.first().copied().unwrap_or_default()) % 8 + 1;
        let cut = sorted(input.chunks(width));
        assert_eq!(whole.asked, cut.asked, "in pieces something else is asked: see");
        // What came of a key before its end was sent, since it might have been ESC.
        assert!(cut.sent.len() >= whole.sent.len(), "in pieces less is sent: see");
        if whole.asked.is_empty() {
            let all = |sorted: &Sorted| [sorted.sent.as_slice(), &sorted.held].concat();
            assert_eq!(all(&whole), all(&cut), "in pieces the keys are others: see");
        }
        for Sorted { sent, held, .. } in [&whole, &cut] {
            assert!(sent.len() + held.len() <= input.len(), "more is sent than was typed");
            assert!(held.len() <= HELD_BYTES + SEQUENCE_BYTES, "{} bytes wait for their key", held.len());
            let mut rest = input.iter();
            assert!(sent.iter().all(|byte| rest.any(|typed| typed == byte)), "in another order");
        }
        let kinds = whole.asked.iter().take(4).collect::<Vec<_>>();
        vec![sight((kinds, size(whole.sent.len()), size(whole.held.len())))]
    }

    /// What is sent in all, what is asked, and what still waits.
    #[derive(Default)]
    struct Sorted {
        sent: Vec<u8>,
        asked: Vec<u8>,
        held: Vec<u8>,
    }

    fn sorted<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Sorted {
        let (mut escape, mut sorted) = (EscapeKey::new(), Sorted::default());
        for piece in pieces {
            for typed in escape.feed(piece) {
                match typed {
                    Typed::Bytes(bytes) => sorted.sent.extend(bytes),
                    Typed::Help => sorted.asked.push(1),
                    Typed::TakeLease => sorted.asked.push(2),
                    Typed::Leave => {
                        sorted.asked.push(3);
                        return sorted;
                    }
                }
            }
        }
        sorted.held = escape.held.unwrap_or_default();
        sorted.held.extend_from_slice(&escape.sequence[escape.sent..]);
        sorted
    }
}
