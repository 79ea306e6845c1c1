//! A terminal that is brought back by a snapshot goes on as the one that it is
//! of.

mod terminal;

use chatcode_fuzz::Target;
use chatcode_proto::pb::Winsize;
use chatcode_screen::Model;
use terminal::{Piece, WORDS};

const HISTORY: u32 = 10_000;
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
    let is_exact = pieces.len() == 1 && is_plain(before);
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
    let mut third = brought_back(&second, size);
    assert_eq!(first.title(), second.title(), "another title at once: see");
    if is_exact {
        equal(&first, &second, "at once");
    }
    equal(&second, &third, "of the second at once");
    [&mut first, &mut second, &mut third].into_iter().for_each(|model| model.feed(rest));
    if is_exact {
        equal(&first, &second, "later");
        equal_answers(&mut first, &mut second, "later");
    }
    let sights = equal(&second, &third, "of the second later");
    if !is_exact {
        equal_answers(&mut second, &mut third, "of the second later");
    }
    sights
}

/// Whether nothing that docs/terminal.md lists as different can come about:
/// there is no wide character, and no tab stop is set, which a cursor behind the
/// last column would do right of the screen.
fn is_plain(bytes: &[u8]) -> bool {
    let sets_tab = |(at, _): (usize, &u8)| {
        let behind = bytes[at + 1..].iter().find(|byte| !byte.is_ascii_control() || **byte == 0x1b);
        behind == Some(&b'H')
    };
    bytes.is_ascii() && !bytes.iter().enumerate().filter(|(_, byte)| **byte == 0x1b).any(sets_tab)
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
    if one != other {
        panic!("another snapshot {when}: \n  \"{}\"\n  \"{}\"", one.escape_ascii(), other.escape_ascii());
    }
    terminal::sights(&one, &[])
}

fn equal_answers(one: &mut Model, other: &mut Model, when: &str) {
    let of = |model: &mut Model| model.take_answers().escape_ascii().to_string();
    assert_eq!(of(one), of(other), "another answer {when}: see");
}
