//! Which output passes and which does not, however it is cut.

use super::*;

pub(super) const QUESTIONS: &[&str] = &[
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
    "\x1b]60\x1b\\",
    "\x1b]22;?__current__\x1b\\",
    "\x1b]99;i=1:p=?;\x1b\\",
    "\x1bP+Q544e\x1b\\",
    "\x1bP@kitty-cmd{}\x1b\\",
    "\x1bP1000p\x1b\\",
    "\x1bP1;0;0!z1B5B366E\x1b\\",
    "\x1b[1*z",
    "\x1b[2;2$u",
    "\x1b[1;1;2;2#|",
    "\x1b[65547t",
    "\x1b[?2l",
    "\x1b[?9001h",
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

/// Output that a terminal takes for something else than its bytes seem to be,
/// and what passes of it.
pub(super) const DISGUISED: &[(&[u8], &[u8])] = &[
    (b"\xc2\x1b[6n", b""),
    (b"\xc2\x1b]52;c;aGk=\x07", b""),
    (b"\xe3\x81\x1b[6n", b""),
    (b"\x9b6n\x9d52;c;aGk=\x07", b"6n52;c;aGk=\x07"),
    (b"\x1b\x00[6n", b"\x00"),
    (b"\x1b\x7f[6n", b""),
    (b"\x1b\xef\xbb\xbf[6n", b""),
    (b"\x1b\x00]52;c;aGk=\x07", b"\x00"),
    (b"\x1b[6\r\x7fn", b"\r"),
    (b"\x1b[\x1b[5n6n", b"6n"),
    (b"\x1b[1\x1b[6n;2H", b";2H"),
    (b"\x1b]0;t\xc2\x1b[6n\x07", b"\x1b]0;t\x1b\\\x07"),
    (b"\x1b]0;t\x1b[6n", b"\x1b]0;t\x1b\\"),
    (b"\x1b]0;t\xc2\x9b6n\x07", b"\x07"),
    (b"\x1b]052;c;aGk=\x07", b""),
    (b"\x1b]5\x002;c;aGk=\x07", b""),
    (b"\x1b]5\x7f2;c;aGk=\x07", b""),
    (b"\x1b]65588;c;aGk=\x07", b""),
    (b"\x1b]05522;type=read\x1b\\", b""),
    (b"\x1b]01337;Copy=:aGk=\x07", b""),
    (b"\x1b]1337;C\x00opy=:aGk=\x07", b""),
    (b"\x1b]011;red\x07", b"\x1b]11;red\x07"),
    (b"\x1b]11;\x00?\x07", b""),
    (b"\x1bP1$qm\x1b\\", b""),
    (b"\x1bP\x00$qm\x1b\\", b""),
    (b"\x1b_Gi=1,a=T,q=0;AA\x1b\\", b"\x1b_Gq=2,i=1,a=T;AA\x1b\\"),
    (b"\x1b%@\xdb\x9b6n", b"\x0f\x1b(B\xdb\x9b6n"),
    (b"\xc2\x84\xc2\x9a\xc2\x9c", b"\x1bD"),
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
            let seven_bit = text.replace('\u{9d}', "\x1b]").replace('\u{9c}', "\x1b\\");
            assert_eq!(let_through, seven_bit.as_bytes(), "{writes:?} by {chunk}");
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
        ("\u{9d}4;1;?;2;red\u{9c}", "\x1b]4;2;red\x1b\\"),
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
    assert!(filter.held.capacity() <= 2 * SEQUENCE_BYTES);
}

#[test]
fn nothing_that_a_terminal_would_answer_passes_in_disguise() {
    for (text, passes) in DISGUISED {
        for chunk in 1..=text.len() {
            let out = fed(text, chunk);
            assert_eq!(out, *passes, "{:?} by {chunk}", String::from_utf8_lossy(text));
        }
    }
}

#[test]
fn a_question_behind_the_bound_of_a_string_does_not_pass() {
    let long = STRING_BYTES + 10;
    for (head, tail) in [
        ("\x1b]4;1;red", ";2;?\x07"),
        ("\x1b]11;red", ";?\x07"),
        ("\x1b]52;c", ";?\x07"),
        ("\x1b]104;1", ";?\x07"),
        ("\x1bP$q", "m\x1b\\"),
        ("\x1bP", "$qm\x1b\\"),
        ("\x1b_Gi=1", ",a=q;\x1b\\"),
    ] {
        let text = format!("{head}{}{tail}b", "1".repeat(long));
        let out = fed_to(Filter::new(true), text.as_bytes(), 1000);
        assert!(out == b"b", "{head:?}: {} bytes passed", out.len());
    }
    let zeros = format!("\x1b]{}52;c;aGk=\x07b", "0".repeat(long));
    assert_eq!(fed(zeros.as_bytes(), 1000), b"b");
    for bound in STRING_BYTES - 8..STRING_BYTES {
        let selection = format!("\x1b]52;{};?\x07b", "c".repeat(bound - 4));
        assert_eq!(fed_to(Filter::new(true), selection.as_bytes(), 1000), b"b", "{bound}");
    }
}

#[test]
fn an_unfinished_character_waits_for_its_rest() {
    let mut filter = Filter::new(false);
    let out: Vec<Vec<u8>> = "端".bytes().map(|byte| filter.feed(&[byte])).collect();
    assert_eq!(out, [b"", b"", "端".as_bytes()]);
    let text = "ä端🙂§".repeat(RUN_BYTES);
    assert_eq!(fed(text.as_bytes(), 1001), text.as_bytes());
}
