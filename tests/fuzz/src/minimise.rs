//! As little of an input as still goes wrong in the same way.

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
    time::{Duration, Instant},
};

use crate::campaign::Case;

/// How long a shorter input is looked for.
const LONGEST_SEARCH: Duration = Duration::from_secs(20);

/// The shortest input that was found, and what it says.
pub(crate) fn shortest(input: &[u8], case: Case) -> (Vec<u8>, String) {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let found = search(input, case);
    panic::set_hook(hook);
    found
}

fn search(input: &[u8], case: Case) -> (Vec<u8>, String) {
    let mut best = input.to_vec();
    let Some(mut message) = wrong(&best, case) else {
        return (best, "it does not go wrong a second time".to_owned());
    };
    let kind = kind_of(&message);
    let until = Instant::now() + LONGEST_SEARCH;
    let mut width = best.len().div_ceil(2).max(1);
    loop {
        let (mut from, mut shrunk) = (0, false);
        while from < best.len() {
            if Instant::now() > until {
                return (best, message);
            }
            let mut less = best.clone();
            less.drain(from..(from + width).min(best.len()));
            match wrong(&less, case).filter(|message| kind_of(message) == kind) {
                Some(other) => (best, message, shrunk) = (less, other, true),
                None => from += width,
            }
        }
        match (width, shrunk) {
            (1, false) => return (best, message),
            (1, true) => {}
            _ => width = width.div_ceil(2),
        }
    }
}

fn wrong(input: &[u8], case: Case) -> Option<String> {
    panic::catch_unwind(AssertUnwindSafe(|| case(input))).err().map(|panic| words(&*panic))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}

/// Its first line without what depends on the input.
fn kind_of(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    first.split(": ").next().unwrap_or_default().chars().filter(|letter| !letter.is_ascii_digit()).collect()
}
