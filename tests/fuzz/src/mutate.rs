//! New inputs from old ones: cut, doubled, spliced, with words of the language
//! put in.

use rand::{Rng as _, rngs::StdRng};

/// Numbers at which programs go wrong, as they stand in a text.
const NUMBERS: &[&str] = &["0", "1", "2", "8", "9", "79", "80", "255", "999", "1000", "65536", "2147483648"];

pub(crate) struct Mutator {
    pub(crate) words: &'static [&'static [u8]],
    pub(crate) longest: usize,
}

impl Mutator {
    /// A child of `one`, with something of `other` perhaps.
    pub(crate) fn mutate(&self, random: &mut StdRng, one: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = one.to_vec();
        // A short piece of a long input is quick, and often says as much.
        if bytes.len() > 256 && random.random_bool(0.5) {
            bytes = piece(random, &bytes, 256).to_vec();
        }
        for _ in 0..1 << random.random_range(0..5) {
            self.change(random, &mut bytes, other);
        }
        bytes.truncate(self.longest);
        bytes
    }

    fn change(&self, random: &mut StdRng, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..12) {
            0..4 if !self.words.is_empty() => {
                let word = self.words[random.random_range(0..self.words.len())];
                insert(bytes, at, word);
            }
            4 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
            5 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.random();
                }
            }
            6 => {
                let end = (at + random.random_range(1..16)).min(bytes.len());
                bytes.drain(at..end);
            }
            7 => {
                let again = piece(random, bytes, 64).to_vec();
                for _ in 0..random.random_range(1..4) {
                    insert(bytes, at, &again);
                }
            }
            8 => insert(bytes, at, piece(random, other, 128)),
            9 => number(random, bytes, at),
            10 => bytes.truncate(at.max(bytes.len() / 2)),
            _ => insert(bytes, at, &[random.random()]),
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    bytes.splice(at..at, what.iter().copied());
}

fn piece<'a>(random: &mut StdRng, bytes: &'a [u8], longest: usize) -> &'a [u8] {
    let from = random.random_range(0..=bytes.len());
    let length = random.random_range(0..=longest.min(bytes.len() - from));
    &bytes[from..from + length]
}

/// Another number where the next one stands.
fn number(random: &mut StdRng, bytes: &mut Vec<u8>, at: usize) {
    let Some(from) = bytes[at..].iter().position(u8::is_ascii_digit).map(|from| from + at) else { return };
    let length = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let new = NUMBERS[random.random_range(0..NUMBERS.len())];
    bytes.splice(from..from + length, new.bytes());
}
