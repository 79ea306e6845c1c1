//! What no program means well by: noise, floods and extremes. Nothing panics,
//! and what is kept stays within its bounds.

use chatcode_proto::{limits, pb::Winsize};
use chatcode_screen::Model;

const SMALL: Winsize = Winsize { rows: 24, cols: 80 };
const HISTORY: u32 = 1000;

/// Bytes that look like chance, the same at every run (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// Mostly sequences and text, cut and mixed.
    fn sequences(&mut self, count: usize) -> Vec<u8> {
        const PIECES: &[&[u8]] = &[
            b"\x1b[",
            b"\x1b]8;;http://a/",
            b"\x1b]",
            b"\x1bP$q",
            b"\x1b(0",
            b"?1049",
            b"h",
            b"l",
            b"m",
            b";",
            b"38:2::1:2:3",
            b"9",
            b"\x07",
            b"\x1b\\",
            b"r",
            b"\xe6\x97\xa5",
            b"e\xcc\x81",
            b"x",
            b"\n",
            b"\r",
            b"\x1b7",
            b"\x1b8",
            b"L",
            b"J",
            b"\xf0\x9f",
            b"\x9b",
            b"\xc2\x9b",
            b"2147483647",
            b"S",
            b"@",
            b"P",
            b"X",
            b"b",
            b"\t",
            b"\x08",
            b"\x1bM",
            b"\x1bD",
        ];
        let mut bytes = Vec::new();
        while bytes.len() < count {
            bytes.extend_from_slice(PIECES[self.next() as usize % PIECES.len()]);
        }
        bytes
    }
}

fn fed(winsize: Winsize, bytes: &[u8]) -> Model {
    let mut model = Model::new(winsize, HISTORY);
    model.feed(bytes);
    model
}

#[test]
fn noise_of_any_kind_and_size_breaks_nothing() {
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    for winsize in [
        Winsize { rows: 1, cols: 1 },
        Winsize { rows: 2, cols: 3 },
        SMALL,
        Winsize { rows: 1000, cols: 1000 },
    ] {
        let mut model = Model::new(winsize, HISTORY);
        for turn in 0..60 {
            let bytes = if turn % 2 == 0 { noise.bytes(4096) } else { noise.sequences(4096) };
            model.feed(&bytes);
            if turn % 5 == 0 {
                let (rows, cols) = (noise.next() as u32 % 60 + 1, noise.next() as u32 % 200 + 1);
                model.resize(Winsize { rows, cols });
            }
            assert!(model.take_answers().len() <= limits::ANSWERS_BYTES);
            assert!(model.title().chars().count() <= 256);
            assert!(!model.snapshot(100).is_empty());
        }
    }
}

#[test]
fn a_snapshot_of_a_snapshot_is_the_same() {
    let mut noise = Noise(42);
    for turn in 0..300 {
        let winsize = Winsize { rows: noise.next() as u32 % 8 + 2, cols: noise.next() as u32 % 20 + 4 };
        let text: Vec<u8> = noise.sequences(200).into_iter().filter(|byte| *byte < 0x80).collect();
        let first = fed(winsize, &text).snapshot(HISTORY);
        let again = fed(winsize, &first).snapshot(HISTORY);
        let third = fed(winsize, &again).snapshot(HISTORY);
        assert_eq!(
            String::from_utf8_lossy(&again),
            String::from_utf8_lossy(&third),
            "turn {turn}, {winsize:?}: {}",
            text.escape_ascii()
        );
    }
}

#[test]
fn a_screen_full_of_links_and_colours_is_kept_within_bounds() {
    let mut model = Model::new(SMALL, HISTORY);
    for n in 0..40_000 {
        let address = format!("https://example.org/{n}/{}", "x".repeat(n % 300));
        model.feed(
            format!("\x1b]8;;{address}\x1b\\\x1b[38;2;{};{};{}m#", n % 256, n / 256 % 256, n % 7).as_bytes(),
        );
    }
    let snapshot = model.snapshot(0);
    assert!(snapshot.len() < 2 * 1024 * 1024, "{}", snapshot.len());
    assert!(
        snapshot.windows(7).filter(|part| part == b"https:/").count() > 1000,
        "the newest links are there"
    );
}

#[test]
fn a_flood_leaves_only_the_lines_that_are_kept() {
    let mut flood = String::new();
    for n in 0..16_384 {
        flood.push_str(&format!("line {n}\r\n"));
    }
    let model = fed(SMALL, flood.as_bytes());
    let snapshot = String::from_utf8_lossy(&model.snapshot(u32::MAX)).into_owned();
    let lines: Vec<&str> = snapshot.lines().filter(|line| line.starts_with("line ")).collect();
    assert!((HISTORY as usize..HISTORY as usize + 24).contains(&lines.len()), "{}", lines.len());
    assert_eq!(lines.last(), Some(&"line 16383"));
    let few = String::from_utf8_lossy(&model.snapshot(10)).into_owned();
    assert_eq!(few.lines().filter(|line| line.starts_with("line ")).count(), 10 + 23);
}

#[test]
fn one_endless_line_is_cut_and_its_memory_is_bounded() {
    let mut model = Model::new(SMALL, HISTORY);
    let chunk = [b'y'; 64 * 1024];
    for _ in 0..512 {
        model.feed(&chunk);
    }
    // A line of the history is cut at 64 KiB, and 1000 of them are more than came.
    assert!(model.snapshot(u32::MAX).len() <= 33 * 1024 * 1024);
    let few = model.snapshot(2).len();
    assert!(few <= 3 * 66 * 1024, "{few}");
}

#[test]
fn strings_that_never_end_are_not_kept() {
    for begin in ["\x1b]0;", "\x1b]8;;", "\x1bP$q", "\x1b_", "\x1b["] {
        let mut model = fed(SMALL, begin.as_bytes());
        for _ in 0..64 {
            model.feed(&[b'1'; 64 * 1024]);
        }
        assert!(model.snapshot(0).len() < 70 * 1024, "{begin:?}");
        model.feed(b"\x1b\\\x18after");
        assert!(String::from_utf8_lossy(&model.snapshot(0)).contains("after"), "{begin:?}");
    }
}

#[test]
fn characters_without_end_join_no_cell_without_end() {
    let model = fed(SMALL, &[b"e".as_slice(), "\u{301}".repeat(100_000).as_bytes()].concat());
    assert!(model.snapshot(0).len() < 1000);
}

#[test]
fn a_program_that_asks_without_end_is_answered_within_bounds() {
    let mut model = fed(SMALL, &b"\x1b[c\x1b[6n\x1b]11;?\x07".repeat(10_000));
    let answers = model.take_answers();
    assert!(
        answers.len() <= limits::ANSWERS_BYTES && answers.starts_with(b"\x1b[?1;2c\x1b[1;1R\x1b]11;rgb:"),
        "{}",
        answers.len()
    );
    model.feed(b"\x1b[5n");
    assert_eq!(model.take_answers(), b"\x1b[0n", "and goes on to be answered");
}

#[test]
fn a_program_that_asks_for_all_colours_at_once_is_answered_whole_however_the_question_is_cut() {
    let slots: String = (0..256).map(|slot| format!(";{slot};?")).collect();
    let question = format!("\x1b]4{slots}\x1b\\").into_bytes();
    let mut model = fed(SMALL, &question);
    let whole = model.take_answers();
    assert_eq!(whole.iter().filter(|byte| **byte == 0x1b).count(), 2 * 256, "one answer for each");
    for cut in 0..question.len() {
        model.feed(&question[..cut]);
        model.feed(&question[cut..]);
        assert!(model.take_answers() == whole, "cut at {cut}");
    }
}

#[test]
fn what_a_program_puts_on_the_clipboard_is_in_no_snapshot() {
    let model = fed(SMALL, b"before\x1b]52;c;c2VjcmV0\x07after\x1b]52;c;c2VjcmV0\x1b\\");
    let snapshot = String::from_utf8_lossy(&model.snapshot(0)).into_owned();
    assert!(snapshot.contains("beforeafter") && !snapshot.contains("52;"), "{snapshot:?}");
}

#[test]
fn a_program_that_asks_how_keys_are_told_gets_the_flags_of_its_screen() {
    let mut model = Model::new(SMALL, 0);
    let mut asked = |output: &str| {
        model.feed(format!("{output}\x1b[?u").as_bytes());
        String::from_utf8_lossy(&model.take_answers()).into_owned()
    };
    for (output, flags) in [
        ("", 0),
        ("\x1b[>1u", 1),
        ("\x1b[=6;2u", 7),
        ("\x1b[=2;3u", 5),
        ("\x1b[=9;4u", 5),
        ("\x1b[?1049h", 0),
        ("\x1b[>255u", 31),
        ("\x1b[?1049l", 5),
        ("\x1b[>8u", 8),
        ("\x1b[<u", 5),
        ("\x1b[?1049h\x1b[?1049h", 31),
        ("\x1b[<9u", 0),
        ("\x1b[?1049l\x1b[?1049l", 5),
        ("\x1b[!p", 0),
        ("\x1b[=3u", 3),
        ("\x1bc", 0),
    ] {
        assert_eq!(asked(output), format!("\x1b[?{flags}u"), "after {output:?}");
    }
}

#[test]
fn flags_that_are_pushed_without_end_take_no_memory_and_the_newest_count() {
    let mut model = fed(SMALL, &b"\x1b[>1u".repeat(100_000));
    let snapshot = model.snapshot(0);
    assert_eq!(String::from_utf8_lossy(&snapshot).matches("\x1b[>1u").count(), 16);
    model.feed(b"\x1b[>3u\x1b[<15u\x1b[?u\x1b[<u\x1b[?u");
    assert_eq!(model.take_answers(), b"\x1b[?1u\x1b[?0u");
}

#[test]
fn a_wide_character_that_did_not_fit_takes_none_away_from_the_snapshot() {
    let narrow = Winsize { rows: 1, cols: 2 };
    let model = fed(narrow, "\u{1f600}\x1b[?7l\u{65e5}".as_bytes());
    let restored = fed(narrow, &model.snapshot(0));
    assert!(String::from_utf8_lossy(&restored.snapshot(0)).contains('\u{1f600}'));
}

#[test]
fn a_link_over_many_rows_of_wide_characters_is_told_once() {
    let narrow = Winsize { rows: 2, cols: 3 };
    let output = format!("\x1b]8;;http://{}\x07\u{65e5}\x1b[999b", "h".repeat(4000));
    let snapshot = fed(narrow, output.as_bytes()).snapshot(u32::MAX);
    assert!(snapshot.len() < 40_000, "{} bytes", snapshot.len());
}

#[test]
fn a_long_line_does_not_grow_without_end_as_the_terminal_becomes_wider_and_narrower() {
    let mut model = Model::new(Winsize { rows: 6, cols: 20 }, 4);
    model.feed(b"x\x1b[65536b");
    model.resize(Winsize { rows: 1, cols: 1000 });
    model.resize(Winsize { rows: 1, cols: 3 });
    let length = model.snapshot(u32::MAX).len();
    assert!(length < 2 * 1024 * 1024, "{length} bytes");
}
