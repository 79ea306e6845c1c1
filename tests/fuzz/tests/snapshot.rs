//! A terminal that is brought back by a snapshot goes on as the one that it is
//! of.

mod terminal;

use chatcode_fuzz::Target;
use chatcode_proto::pb::Winsize;
use chatcode_screen::Model;
use terminal::{Piece, WORDS};

const HISTORY: u32 = 10_000;
/// Bytes of a snapshot of which each line is kept whole; a longer line is cut in two.
const LINE_BYTES: usize = 64 * 1024;
const TARGET: Target = Target { name: "snapshot", words: WORDS, usual: 500, case };

#[test]
fn a_screen_that_a_snapshot_brought_back_goes_on_as_the_first_one() {
    chatcode_fuzz::run(&TARGET, Vec::new());
}

fn case(input: &[u8]) -> Vec<u64> {
    let cuts = match input.len() {
        0..=32 => (0..=input.len()).collect(),
        _ => terminal::places(input, 2),
    };
    cuts.into_iter().flat_map(|cut| cut_at(input, cut)).collect()
}

fn cut_at(input: &[u8], cut: usize) -> Vec<u64> {
    let (before, rest) = input.split_at(cut);
    let (mut size, pieces) = terminal::pieces(before);
    let mut first = Model::new(size, HISTORY);
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => first.feed(bytes),
            Piece::Size(winsize) => {
                first.resize(winsize);
                size = winsize;
            }
        }
    }
    first.take_answers();
    let mut second = brought_back(&first, size);
    equal(&first, &second, "at once");
    [&mut first, &mut second].into_iter().for_each(|model| model.feed(rest));
    let sights = equal(&first, &second, "later");
    equal_answers(&mut first, &mut second, "later");
    sights
}

fn brought_back(model: &Model, size: Winsize) -> Model {
    let snapshot = model.snapshot(HISTORY);
    let mut other = Model::new(size, HISTORY);
    other.feed(&snapshot);
    assert!(other.take_answers().is_empty(), "a snapshot asks: {}", snapshot.escape_ascii());
    other
}

fn equal(one: &Model, other: &Model, when: &str) -> Vec<u64> {
    assert_eq!(one.title(), other.title(), "another title {when}: see");
    let (one, other) = (one.snapshot(HISTORY), other.snapshot(HISTORY));
    if one != other && one.len() <= LINE_BYTES {
        panic!("another snapshot {when}: \n  \"{}\"\n  \"{}\"", one.escape_ascii(), other.escape_ascii());
    }
    terminal::sights(&one, &[])
}

fn equal_answers(one: &mut Model, other: &mut Model, when: &str) {
    let of = |model: &mut Model| model.take_answers().escape_ascii().to_string();
    assert_eq!(of(one), of(other), "another answer {when}: see");
}
