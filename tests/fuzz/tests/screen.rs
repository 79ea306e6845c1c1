//! Any bytes, cut anywhere, with any sizes in between, into the screen model.

mod terminal;

use chatcode_fuzz::Target;
use chatcode_proto::{limits, pb::Winsize};
use chatcode_screen::Model;
use terminal::{Piece, WORDS};

/// Lines of history.
const HISTORY: u32 = 20;
/// A line of the history that goes on without end is cut at this, bytes.
const LINE_BYTES: usize = 66 * 1024;
/// Bytes that draw the place where a row of such a line ends.
const ROW_BYTES: usize = 32;
/// Bytes that draw one cell at most, beside what the input brought itself:
/// every attribute told, and 16 code points.
const CELL_BYTES: usize = 256;
const TITLE_CHARS: usize = 256;

const TARGET: Target = Target { name: "screen", words: WORDS, usual: 4000, case };

#[test]
fn any_bytes_and_sizes_make_a_screen_within_bounds_however_they_are_cut() {
    chatcode_fuzz::run(&TARGET, Vec::new());
}

/// What is to be seen of a model from outside.
#[derive(PartialEq)]
struct Seen {
    snapshot: Vec<u8>,
    answers: Vec<u8>,
    title: String,
}

fn case(input: &[u8]) -> Vec<u64> {
    let (first, pieces) = terminal::pieces(input);
    let whole = seen(first, &pieces, |bytes| vec![bytes]);
    within_bounds(input, first, &pieces, &whole);
    let bytewise = seen(first, &pieces, |bytes| bytes.chunks(1).collect());
    equal(&whole, &bytewise, "byte by byte");
    let cut = seen(first, &pieces, |bytes| {
        let at = terminal::places(bytes, 1)[0];
        let (one, other) = bytes.split_at(at);
        vec![one, other]
    });
    equal(&whole, &cut, "cut once");
    terminal::sights(&whole.snapshot, &[whole.answers.len(), whole.title.len()])
}

fn seen<'a>(first: Winsize, pieces: &[Piece<'a>], cut: fn(&'a [u8]) -> Vec<&'a [u8]>) -> Seen {
    let mut model = Model::new(first, HISTORY);
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => cut(bytes).into_iter().for_each(|bytes| model.feed(bytes)),
            Piece::Size(winsize) => model.resize(*winsize),
        }
    }
    Seen {
        snapshot: model.snapshot(u32::MAX),
        answers: model.take_answers(),
        title: model.title().to_owned(),
    }
}

fn within_bounds(input: &[u8], first: Winsize, pieces: &[Piece<'_>], seen: &Seen) {
    let size_of = |piece: &Piece<'_>| match piece {
        Piece::Size(winsize) => Some(*winsize),
        Piece::Bytes(_) => None,
    };
    let last = pieces.iter().rev().find_map(size_of).unwrap_or(first);
    let cells = last.rows as usize * last.cols.max(2) as usize;
    let line = LINE_BYTES + LINE_BYTES / last.cols.max(2) as usize * ROW_BYTES;
    let most = (HISTORY as usize + 1) * line + cells * CELL_BYTES + 8 * input.len() + 1024;
    assert!(seen.snapshot.len() <= most, "a large snapshot: {} bytes of {most}", seen.snapshot.len());
    assert!(seen.answers.len() <= limits::ANSWERS_BYTES, "many answers: {}", seen.answers.len());
    assert!(seen.title.chars().count() <= TITLE_CHARS, "a long title: {:?}", seen.title);
    assert!(!seen.title.chars().any(char::is_control), "a title with controls: {:?}", seen.title);
}

fn equal(whole: &Seen, cut: &Seen, how: &str) {
    if whole == cut {
        return;
    }
    assert_eq!(whole.title, cut.title, "another title {how}: see");
    assert_eq!(
        whole.answers.escape_ascii().to_string(),
        cut.answers.escape_ascii().to_string(),
        "other answers {how}: see"
    );
    panic!(
        "another snapshot {how}: \n  \"{}\"\n  \"{}\"",
        whole.snapshot.escape_ascii(),
        cut.snapshot.escape_ascii()
    );
}
