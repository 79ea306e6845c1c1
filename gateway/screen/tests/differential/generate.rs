//! Streams drawn from a table of everything that xterm.js knows, and of what
//! it does not know.

use crate::{
    case::Item,
    random::Random,
    words::{
        ALTERNATES, C1, CHARSETS, COLORS, CONTROLS, ESCAPES, KEY_FLAGS, LONG_STRINGS, MODES, PRIVATE_MODES,
        TEXTS,
    },
};

/// A length that moves at most this far is drawn often: it stays in small screens.
const NEAR: usize = 14;
/// How often a sequence that repeats something does so at most: xterm.js takes a second for a million.
const REPEATS: usize = 40;
/// Bytes of the text of an OSC or DCS; a longer one has no effect.
const STRING_BYTES: usize = 64 * 1024;
const FAR: &[&str] = &["99", "500", "65535", "65536", "2147483647", "2147483648", "99999999999"];

/// Writes a stream of `pieces` sequences and texts, with sizes in between.
pub(crate) fn stream(random: &mut Random, pieces: usize, resizes: usize) -> Vec<Item> {
    let mut items = Vec::new();
    for _ in 0..pieces {
        if random.percent(resizes) {
            let (cols, rows) = small_size(random);
            items.push(Item::Resize { cols, rows });
            continue;
        }
        items.extend(piece(random).into_iter().map(Item::Byte));
    }
    items
}

/// A stream of what changes how keys are told, on both screens.
pub(crate) fn key_flags(random: &mut Random, pieces: usize) -> Vec<Item> {
    let piece = |_| match random.below(8) {
        0 => plain(random),
        1 | 2 => random.pick(ALTERNATES).as_bytes().to_vec(),
        3 => random.pick(&["\x1b7", "\x1b8", "\x1b[!p", "\x1bc", "\x1b[4;9H"]).as_bytes().to_vec(),
        _ => random.pick(KEY_FLAGS).as_bytes().to_vec(),
    };
    (0..pieces).flat_map(piece).map(Item::Byte).collect()
}

pub(crate) fn small_size(random: &mut Random) -> (u32, u32) {
    let cols = u32::try_from(random.within(2, 12)).unwrap_or(2);
    let rows = u32::try_from(random.within(1, 8)).unwrap_or(1);
    (cols, rows)
}

type Maker = fn(&mut Random) -> Vec<u8>;

/// What a stream consists of, and how much of it.
const TABLE: &[(usize, Maker)] = &[
    (22, plain),
    (14, |random| random.pick(TEXTS).as_bytes().to_vec()),
    (16, |random| random.pick(CONTROLS).to_vec()),
    (16, movement),
    (16, erasure),
    (16, look),
    (9, mode),
    (6, region),
    (6, |random| {
        random.pick(&["\x1b7", "\x1b8", "\x1b[s", "\x1b[u", "\x1b[?1048h", "\x1b[?1048l"]).as_bytes().to_vec()
    }),
    (5, |random| random.pick(ALTERNATES).as_bytes().to_vec()),
    (5, |random| random.pick(CHARSETS).as_bytes().to_vec()),
    (5, tabs),
    (3, |random| csi(&count(random), "b")),
    (3, |random| {
        csi(random.pick(&["", "0", "1", "2", "3", "4", "5", "6", "7"]), random.pick(&[" q", "\"q"]))
    }),
    (6, link),
    (4, osc),
    (3, color),
    (8, |random| random.pick(ESCAPES).as_bytes().to_vec()),
    (1, |random| random.pick(&["\x1bc", "\x1b[!p", "\x1b#8"]).as_bytes().to_vec()),
    (2, query),
    (2, hidden_string),
    (3, |random| random.pick(C1).to_vec()),
    (4, nonsense),
];

pub(crate) fn piece(random: &mut Random) -> Vec<u8> {
    let mut at = random.below(TABLE.iter().map(|(weight, _)| weight).sum());
    for (weight, make) in TABLE {
        if at < *weight {
            return make(random);
        }
        at -= weight;
    }
    Vec::new()
}

fn plain(random: &mut Random) -> Vec<u8> {
    let length = if random.percent(10) { random.within(8, 30) } else { random.within(1, 6) };
    (0..length).map(|_| random.pick(b"abcdefgh  xyzEQW0123_`~q{}|")).collect()
}

fn csi(parameters: &str, end: &str) -> Vec<u8> {
    format!("\x1b[{parameters}{end}").into_bytes()
}

/// A number as programs write it: often none, mostly small.
fn number(random: &mut Random) -> String {
    match random.below(20) {
        0..4 => String::new(),
        4 => random.pick(FAR).to_owned(),
        _ => random.below(NEAR).to_string(),
    }
}

/// A number of times.
fn count(random: &mut Random) -> String {
    if random.percent(25) { String::new() } else { random.below(REPEATS).to_string() }
}

fn movement(random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 => {
            let place = format!("{};{}", number(random), number(random));
            csi(&place, random.pick(&["H", "f"]))
        }
        1 => csi(&count(random), random.pick(&["I", "Z"])),
        _ => csi(
            &number(random),
            random.pick(&["A", "B", "C", "D", "E", "F", "G", "H", "`", "a", "d", "e", "f"]),
        ),
    }
}

fn erasure(random: &mut Random) -> Vec<u8> {
    match random.below(3) {
        0 => {
            let kind = random.pick(&["", "0", "1", "2", "3", "?", "?0", "?1", "?2", "?3", "4"]);
            csi(kind, random.pick(&["J", "K"]))
        }
        1 => csi(&number(random), random.pick(&["@", "P", "X", " @", " A", "'}", "'~"])),
        _ => csi(&count(random), random.pick(&["L", "M", "S", "T"])),
    }
}

/// SGR in all its forms.
fn look(random: &mut Random) -> Vec<u8> {
    let parts = random.within(0, 3);
    let all: Vec<String> = (0..parts).map(|_| one_look(random)).collect();
    csi(&all.join(random.pick(&[";", ";", ";", ":"])), "m")
}

fn one_look(random: &mut Random) -> String {
    let place = random.pick(&["38", "48", "58"]);
    let mut part = || if random.percent(10) { String::new() } else { random.below(260).to_string() };
    let (a, b, c) = (part(), part(), part());
    match random.below(16) {
        0 => format!("{place};5;{a}"),
        1 => format!("{place}:5:{a}"),
        2 => format!("{place};2;{a};{b};{c}"),
        3 => format!("{place}:2:{a}:{b}:{c}"),
        4 => format!("{place}:2::{a}:{b}:{c}"),
        5 => (random.pick(&["38", "48;5", "58:2", "38;2;1", "48:2:1:2", "38:1", "58;9;1"])).to_owned(),
        6 | 7 => format!("4:{}", random.below(8)),
        8 => (random.pick(&["", "0", "39", "49", "59", "100", "107", "90", "22", "24"])).to_owned(),
        _ => random.below(112).to_string(),
    }
}

fn mode(random: &mut Random) -> Vec<u8> {
    let end = random.pick(&["h", "l"]);
    if random.percent(20) {
        return csi(random.pick(MODES), end);
    }
    let mut modes = (random.pick(PRIVATE_MODES)).to_owned();
    if random.percent(15) {
        modes = format!("{modes};{}", random.pick(PRIVATE_MODES));
    }
    csi(&format!("?{modes}"), end)
}

fn region(random: &mut Random) -> Vec<u8> {
    match random.below(5) {
        0 => csi("", "r"),
        1 => csi(&number(random), "r"),
        _ => {
            let top = random.within(0, 6);
            csi(&format!("{top};{}", top + random.within(0, 6)), "r")
        }
    }
}

fn tabs(random: &mut Random) -> Vec<u8> {
    random
        .pick(&["\x1bH", "\x1bH", "\t", "\t\t", "\x1b[g", "\x1b[0g", "\x1b[3g", "\x1b[2g", "\u{88}"])
        .as_bytes()
        .to_vec()
}

fn end_of_string(random: &mut Random) -> &'static str {
    random.pick(&["\x07", "\x1b\\", "\x1b\\", "\u{9c}", "\x18", "\x1a", "\x1b[1m"])
}

fn link(random: &mut Random) -> Vec<u8> {
    let start = random.pick(&[
        "8;;http://a.example/",
        "8;;http://b.example/;x=\u{e9}",
        "8;id=one;http://c.example/",
        "8;id=two:x=y;http://c.example/",
        "8;id=;http://d.example/",
        "8;x=1:id=one;file:///\u{65e5}",
        "8;;",
        "8;;",
        "8;;",
        "8;id=one;",
        "8;",
        "8",
    ]);
    format!("\x1b]{start}{}", end_of_string(random)).into_bytes()
}

fn osc(random: &mut Random) -> Vec<u8> {
    let start = random.pick(&[
        "0;title",
        "2;other \u{1f600} title",
        "1;icon",
        "2;",
        "0",
        "02;zeros",
        "7;file:///tmp",
        "52;c;YQ==",
        "133;A",
        "9;4;1;50",
        "2x;wrong",
        ";",
        "",
        "99999999999;x",
        "1337;File=:AA",
        "2;a\u{301}\nb\x7fc",
        "\u{107}",
        "7717;w",
        "7717;w",
        "7717;e",
        "7717;e",
        "7717;c;3;2",
        "7717;c;5;0",
        "7717;c;7;1",
        "7717;c;12;",
        "7717;c;9999999999;0",
        "7717;ww",
    ]);
    format!("\x1b]{start}{}", end_of_string(random)).into_bytes()
}

fn color(random: &mut Random) -> Vec<u8> {
    format!("\x1b]{}{}", random.pick(COLORS), end_of_string(random)).into_bytes()
}

fn query(random: &mut Random) -> Vec<u8> {
    random
        .pick(&[
            "\x1b[c",
            "\x1b[>c",
            "\x1b[=c",
            "\x1b[5n",
            "\x1b[6n",
            "\x1b[?6n",
            "\x1b[?25$p",
            "\x1b[4$p",
            "\x1b[18t",
            "\x1b[22;0t",
            "\x1b[23;0t",
            "\x1bP$qm\x1b\\",
            "\x1bP$q\"p\x1b\\",
            "\x1bP+q544e\x1b\\",
            "\x1b[>q",
            "\x1b[?u",
            "\x1b[>1u",
            "\x1b[<u",
            "\x1b[=1;1u",
            "\x1b[>4;2m",
            "\x1b[?1m",
            "\x1bZ",
        ])
        .as_bytes()
        .to_vec()
}

/// A string that shows nothing.
fn hidden_string(random: &mut Random) -> Vec<u8> {
    let start = random.pick(&[
        "\x1bP",
        "\x1bP1;2",
        "\x1bPq#0",
        "\x1bP1$r",
        "\x1bP=1s",
        "\x1b_Ga=1",
        "\x1b^pm",
        "\x1bXsos",
        "\u{90}q",
        "\u{9f}x",
    ]);
    let middle = random.pick(&["", "abc", "1;2;3", "\u{65e5}", "a\nb\x07c", "\x7f", "\u{80}", ":"]);
    format!("{start}{middle}{}", end_of_string(random)).into_bytes()
}

/// A string about as long as is looked at, and something behind it.
pub(crate) fn long_string(random: &mut Random) -> Vec<Item> {
    let mut text = random.pick(&["", "1;#ff0000;", "#102030;", "c;", "c;3;2;"]).to_owned();
    let fill = random.pick(&["x", "1;#fff;", "\u{e9}", "\u{65e5}", "\u{1f600}"]);
    let length = if random.percent(20) { 2 * STRING_BYTES } else { STRING_BYTES + random.below(9) };
    while text.len() + fill.len() + 4 < length {
        text.push_str(fill);
    }
    while text.len() < length - 4 {
        text.push('y');
    }
    let start = random.pick(LONG_STRINGS);
    let mut bytes =
        format!("{start}{text}{}{}", random.pick(&["", "z", "\u{65e5}"]), end_of_string(random)).into_bytes();
    bytes.extend(plain(random));
    bytes.extend(piece(random));
    bytes.into_iter().map(Item::Byte).collect()
}

fn nonsense(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        // A sequence that nothing ends.
        0 | 1 => {
            let mut whole = piece(random);
            whole.truncate(random.within(1, whole.len().max(1)));
            whole
        }
        2 => (0..random.within(1, 4)).map(|_| u8::try_from(random.below(256)).unwrap_or(0)).collect(),
        3 => (0..random.within(1, 6)).map(|_| u8::try_from(random.within(0x20, 0x7f)).unwrap_or(0)).fold(
            b"\x1b[".to_vec(),
            |mut all, byte| {
                all.push(byte);
                all
            },
        ),
        4 => random.pick(&[&b"\xe2\x80"[..], b"\xf0\x9f\x98", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\xe2a", b"\xf0\x9fa"]).to_vec(),
        _ => random
            .pick(&[
                "\x1b[1?x", "\x1b[?1?2h", "\x1b[1 2q", "\x1b[ ", "\x1b[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20;21;22;23;24;25;26;27;28;29;30;31;32;33;34m",
                "\x1b[1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20:21:22:23:24:25:26:27:28:29:30:31:32:33:34m",
                "\x1b[\u{e9}", "\x1b\u{e9}", "\x1b(\u{e9}", "\x1b[:1m", "\x1b[;;;m", "\x1b[1\n2C", "\x1b[1\x1b[2C", "\x1b  F", "\x1b(((B", "\x1b[\x7f3C", "\x1b[1\x18", "\x1b\x1b\x1b",
            ])
            .as_bytes()
            .to_vec(),
    }
}
