//! Output with sizes in between: `CSI 8 ; rows ; columns t`, of which the model
//! takes no notice, is where the terminal has another size from then on.

use chatcode_proto::pb::Winsize;

/// What a terminal is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'a> {
    Bytes(&'a [u8]),
    Size(Winsize),
}

/// Cells of all sizes of one case together, so that a case stays quick.
const CELLS: u32 = 200_000;
const COLS: u32 = 1000;
const ROWS: u32 = 1000;
/// Sizes beyond so many are not taken.
const SIZES: usize = 24;

/// The first size and what comes then.
pub(crate) fn pieces(input: &[u8]) -> (Winsize, Vec<Piece<'_>>) {
    let (mut pieces, mut from, mut at, mut sizes) = (Vec::new(), 0, 0, 0);
    let mut cells = CELLS;
    let mut first = Winsize { rows: 6, cols: 20 };
    while at < input.len() {
        let Some((wished, length)) = size(&input[at..]).filter(|_| sizes < SIZES) else {
            at += 1;
            continue;
        };
        let cols = wished.cols.clamp(1, COLS);
        let rows = wished.rows.clamp(1, ROWS).min((cells / 4 / cols.max(2)).max(1));
        cells = cells.saturating_sub(rows * cols);
        let winsize = Winsize { rows, cols };
        if at == 0 {
            first = winsize;
        } else {
            pieces.push(Piece::Bytes(&input[from..at]));
            pieces.push(Piece::Size(winsize));
        }
        (sizes, at) = (sizes + 1, at + length);
        from = at;
    }
    pieces.push(Piece::Bytes(&input[from..]));
    (first, pieces)
}

/// The size that is told at the front of `bytes`, and how long that is.
fn size(bytes: &[u8]) -> Option<(Winsize, usize)> {
    let rest = bytes.strip_prefix(b"\x1b[8;")?;
    let end = rest.iter().take(16).position(|byte| *byte == b't')?;
    let (rows, cols) = std::str::from_utf8(&rest[..end]).ok()?.split_once(';')?;
    Some((Winsize { rows: rows.parse().ok()?, cols: cols.parse().ok()? }, end + 5))
}

/// What has come about: which sequences and sorts of text follow each other in
/// a snapshot, and how large other things are.
pub(crate) fn sights(snapshot: &[u8], sizes: &[usize]) -> Vec<u64> {
    let mut classes = vec![0_u8];
    for byte in snapshot {
        let last = classes.last().copied().unwrap_or_default();
        let class = match byte {
            b'0'..=b'9' | b';' => b'0',
            b'a'..=b'z' | b'A'..=b'Z' | b' ' if matches!(last, b'a' | b'u') => b'a',
            0x80.. => b'u',
            byte => *byte,
        };
        if class != last {
            classes.push(class);
        }
    }
    let sequences = classes.windows(4).filter(|four| four.contains(&0x1b));
    let sequences = sequences.map(|four| four.iter().fold(0, |sum, class| sum << 8 | u64::from(*class)));
    let sizes = sizes.iter().enumerate();
    let sizes = sizes
        .map(|(which, size)| 1 << 60 | (which as u64) << 8 | u64::from(size.checked_ilog2().unwrap_or(0)));
    sequences.chain(sizes).collect()
}

/// Chance that is the same for the same input: places to cut it at.
pub(crate) fn places(input: &[u8], count: usize) -> Vec<usize> {
    let mut state = input
        .iter()
        .fold(1_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x5851_f42d_4c95_7f2d) + 1);
    let places = (0..count).map(|_| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) as usize % (input.len() + 1)
    });
    places.collect()
}

/// What programs say to terminals.
pub(crate) const WORDS: &[&[u8]] = &[
    // Sizes.
    b"\x1b[8;1;1t",
    b"\x1b[8;3;8t",
    b"\x1b[8;6;20t",
    b"\x1b[8;24;80t",
    b"\x1b[8;2;4t",
    b"\x1b[8;1000;1t",
    b"\x1b[8;1;1000t",
    b"\x1b[8;5;3t",
    b"\x1b[8;9;2t",
    b"\x1b[8;1000;1000t",
    // Text.
    b"a",
    b"hello world",
    b" ",
    "\u{65e5}\u{672c}".as_bytes(),
    "e\u{301}".as_bytes(),
    "\u{301}".as_bytes(),
    "\u{1f600}".as_bytes(),
    "\u{200d}".as_bytes(),
    "\u{fe0f}".as_bytes(),
    "\u{200b}".as_bytes(),
    "\u{feff}".as_bytes(),
    b"\xe2\x80",
    b"\xf0\x9f\x98",
    b"\xc3",
    b"\xff",
    b"\xed\xa0\x80",
    // Controls.
    b"\r\n",
    b"\n",
    b"\r",
    b"\x08",
    b"\t",
    b"\x0b",
    b"\x0e",
    b"\x0f",
    b"\x18",
    b"\x1a",
    b"\0",
    b"\x7f",
    b"\xc2\x84",
    b"\xc2\x85",
    b"\xc2\x88",
    b"\xc2\x8d",
    b"\xc2\x90",
    b"\xc2\x9b",
    b"\xc2\x9c",
    b"\xc2\x9d",
    b"\n\n\n\n\n\n\n\n",
    // Escapes.
    b"\x1b",
    b"\x1bD",
    b"\x1bE",
    b"\x1bM",
    b"\x1bH",
    b"\x1b7",
    b"\x1b8",
    b"\x1bc",
    b"\x1b=",
    b"\x1b>",
    b"\x1bn",
    b"\x1bo",
    b"\x1b#8",
    b"\x1b(0",
    b"\x1b(B",
    b"\x1b)0",
    b"\x1b*4",
    b"\x1b+K",
    b"\x1b%G",
    // Moves.
    b"\x1b[H",
    b"\x1b[3;5H",
    b"\x1b[999;999H",
    b"\x1b[2A",
    b"\x1b[B",
    b"\x1b[9C",
    b"\x1b[D",
    b"\x1b[G",
    b"\x1b[20`",
    b"\x1b[3d",
    b"\x1b[I",
    b"\x1b[Z",
    b"\x1b[s",
    b"\x1b[u",
    b"\x1b[2E",
    b"\x1b[F",
    // Erasing, inserting, scrolling.
    b"\x1b[J",
    b"\x1b[1J",
    b"\x1b[2J",
    b"\x1b[3J",
    b"\x1b[K",
    b"\x1b[1K",
    b"\x1b[2K",
    b"\x1b[?J",
    b"\x1b[?2K",
    b"\x1b[3@",
    b"\x1b[2P",
    b"\x1b[4X",
    b"\x1b[L",
    b"\x1b[2M",
    b"\x1b[S",
    b"\x1b[2T",
    b"\x1b[ @",
    b"\x1b[2 A",
    b"\x1b['}",
    b"\x1b[2'~",
    b"\x1b[7b",
    b"\x1b[300b",
    b"\x1b[1\"q",
    b"\x1b[0\"q",
    b"\x1b[2;4r",
    b"\x1b[r",
    b"\x1b[g",
    b"\x1b[3g",
    // Looks.
    b"\x1b[m",
    b"\x1b[1;31;44m",
    b"\x1b[7m",
    b"\x1b[4:3m",
    b"\x1b[4m",
    b"\x1b[58:5:9m",
    b"\x1b[59m",
    b"\x1b[38;5;200m",
    b"\x1b[48;2;1;2;3m",
    b"\x1b[38:2::9:8:7m",
    b"\x1b[53m",
    b"\x1b[8m",
    b"\x1b[21m",
    b"\x1b]8;;http://a/\x07",
    b"\x1b]8;id=x;http://b/\x1b\\",
    b"\x1b]8;;\x07",
    // Modes.
    b"\x1b[4h",
    b"\x1b[4l",
    b"\x1b[20h",
    b"\x1b[?1h",
    b"\x1b[?6h",
    b"\x1b[?6l",
    b"\x1b[?7l",
    b"\x1b[?7h",
    b"\x1b[?12h",
    b"\x1b[?25l",
    b"\x1b[?45h",
    b"\x1b[?47h",
    b"\x1b[?47l",
    b"\x1b[?66h",
    b"\x1b[?1000h",
    b"\x1b[?1003h",
    b"\x1b[?1004h",
    b"\x1b[?1006h",
    b"\x1b[?1047h",
    b"\x1b[?1047l",
    b"\x1b[?1048h",
    b"\x1b[?1048l",
    b"\x1b[?1049h",
    b"\x1b[?1049l",
    b"\x1b[?2004h",
    b"\x1b[?2026h",
    b"\x1b[!p",
    b"\x1b[5 q",
    // Strings and questions.
    b"\x1b]0;title\x07",
    b"\x1b]2;t\xc2\x85\x01\x1b\\",
    b"\x1b]4;1;#ff0000\x07",
    b"\x1b]4;1;?\x07",
    b"\x1b]11;#123\x07",
    b"\x1b]10;?\x07",
    b"\x1b]104\x07",
    b"\x1b]112\x07",
    b"\x1b]7717;w\x07",
    b"\x1b]7717;e\x07",
    b"\x1b]7717;c;3;2\x07",
    b"\x1b]7717;c;10;0\x07",
    b"\x1bP$qm\x1b\\",
    b"\x1bP$q\"p\x1b\\",
    b"\x1bP",
    b"\x1b_",
    b"\x1b^",
    b"\x1bX",
    b"\x1b\\",
    b"\x07",
    b"\x1b[c",
    b"\x1b[>c",
    b"\x1b[6n",
    b"\x1b[?6n",
    b"\x1b[?25$p",
    b"\x1b[4$p",
    b"\x1b[18t",
    b"\x1b[>q",
    b"\x1b[",
    b"\x1b]",
    b";",
    b":",
    b"?",
    b"$",
    b"m",
    b"h",
    b"l",
    b"H",
];
