//! A stream with a cut: what a terminal shows that got all of it, and one that
//! got a snapshot at the cut and the rest, has to be equal.

use std::{
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chatcode_proto::pb::Winsize;
use chatcode_screen::Model;
use serde_json::{Value, json};

use crate::oracle::{Oracle, Verdict};

/// How long a shorter case that still goes wrong is looked for.
const LONGEST_SEARCH: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Byte(u8),
    Resize { cols: u32, rows: u32 },
}

#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) cols: u32,
    pub(crate) rows: u32,
    /// Lines of history that both the model and xterm.js keep.
    pub(crate) history: u32,
    /// Bytes that are given at once, to the model and to xterm.js.
    pub(crate) chunk: usize,
    pub(crate) items: Vec<Item>,
    /// How many of the items come before the snapshot.
    pub(crate) cut: usize,
}

/// What came of a case.
pub(crate) enum Outcome {
    Equal,
    /// Nothing can be said of it: xterm.js itself broke.
    Unplayable,
    Wrong(Vec<String>),
}

impl Case {
    pub(crate) fn run(&self, oracle: &mut Oracle) -> Outcome {
        let snapshot = match catch_unwind(AssertUnwindSafe(|| self.snapshot())) {
            Ok(snapshot) => snapshot,
            Err(panic) => return Outcome::Wrong(vec![format!("the model panicked: {}", message(&*panic))]),
        };
        self.judged(oracle, &snapshot)
    }

    /// What came of it with this snapshot.
    pub(crate) fn judged(&self, oracle: &mut Oracle, snapshot: &[u8]) -> Outcome {
        let asked = json!({
            "cols": self.cols,
            "rows": self.rows,
            "scrollback": self.history,
            "blink": true,
            "before": operations(&self.items[..self.cut], self.chunk),
            "snapshot": STANDARD.encode(snapshot),
            "after": operations(&self.items[self.cut..], self.chunk),
        });
        match oracle.judge(&asked) {
            Verdict::Equal => Outcome::Equal,
            Verdict::Unplayable => Outcome::Unplayable,
            Verdict::Differs(differences) => Outcome::Wrong(differences),
        }
    }

    /// The model's snapshot at the cut.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        let mut model = Model::new(Winsize { cols: self.cols, rows: self.rows }, self.history);
        each_write(&self.items[..self.cut], self.chunk, |write| match write {
            Write::Bytes(bytes) => {
                model.feed(bytes);
                model.take_answers();
            }
            Write::Resize { cols, rows } => model.resize(Winsize { cols, rows }),
        });
        model.snapshot(self.history)
    }

    /// The same with as little as still goes wrong in the same way.
    pub(crate) fn minimised(&self, oracle: &mut Oracle) -> (Self, Vec<String>) {
        let Outcome::Wrong(mut why) = self.run(oracle) else { return (self.clone(), Vec::new()) };
        let kind = kind_of(&why);
        let mut best = self.clone();
        let mut still_wrong = |case: &Self, why: &mut Vec<String>| match case.run(oracle) {
            Outcome::Wrong(found) if kind_of(&found) == kind => {
                *why = found;
                true
            }
            _ => false,
        };
        let whole = Self { chunk: usize::MAX, ..best.clone() };
        if still_wrong(&whole, &mut why) {
            best = whole;
        }
        let mut width = best.items.len().div_ceil(2).max(1);
        let until = Instant::now() + LONGEST_SEARCH;
        loop {
            let mut shrunk = false;
            let mut from = 0;
            while from < best.items.len() {
                if Instant::now() > until {
                    return (best, why);
                }
                let less = best.without(from, (from + width).min(best.items.len()));
                if still_wrong(&less, &mut why) {
                    best = less;
                    shrunk = true;
                } else {
                    from += width;
                }
            }
            if width > 1 {
                width = width.div_ceil(2);
            } else if !shrunk {
                return (best, why);
            }
        }
    }

    fn without(&self, from: usize, to: usize) -> Self {
        let mut less = self.clone();
        less.items.drain(from..to);
        less.cut -= to.min(self.cut) - from.min(self.cut);
        less
    }

    /// The case as one reads it: bytes as in a Rust string or in `printf`.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}x{}, history {}", self.cols, self.rows, self.history);
        if self.chunk != usize::MAX {
            let _ = write!(text, ", {} bytes at once", self.chunk);
        }
        let mut open = false;
        for (place, item) in self.items.iter().enumerate() {
            if place == self.cut {
                text.push_str(if open { "\" | CUT |" } else { " | CUT |" });
                open = false;
            }
            match item {
                Item::Byte(byte) => {
                    if !open {
                        text.push_str(" \"");
                        open = true;
                    }
                    let _ = write!(text, "{}", byte.escape_ascii());
                }
                Item::Resize { cols, rows } => {
                    text.push_str(if open { "\"" } else { "" });
                    open = false;
                    let _ = write!(text, " resize({cols}x{rows})");
                }
            }
        }
        text.push_str(if open { "\"" } else { "" });
        if self.cut == self.items.len() {
            text.push_str(" | CUT |");
        }
        text
    }
}

/// What sort of failure it is: its first difference, without numbers and values.
pub(crate) fn kind_of(differences: &[String]) -> String {
    let first = differences.first().map_or("", String::as_str);
    let what = if first.starts_with("the model panicked") {
        first
    } else {
        first.split(": A ").next().unwrap_or("")
    };
    what.chars().filter(|letter| !letter.is_ascii_digit() && *letter != '-').collect()
}

enum Write<'a> {
    Bytes(&'a [u8]),
    Resize { cols: u32, rows: u32 },
}

fn each_write(items: &[Item], chunk: usize, mut take: impl FnMut(Write<'_>)) {
    let mut bytes = Vec::new();
    for item in items {
        match item {
            Item::Byte(byte) => {
                bytes.push(*byte);
                if bytes.len() >= chunk {
                    take(Write::Bytes(&bytes));
                    bytes.clear();
                }
            }
            Item::Resize { cols, rows } => {
                if !bytes.is_empty() {
                    take(Write::Bytes(&bytes));
                    bytes.clear();
                }
                take(Write::Resize { cols: *cols, rows: *rows });
            }
        }
    }
    if !bytes.is_empty() {
        take(Write::Bytes(&bytes));
    }
}

fn operations(items: &[Item], chunk: usize) -> Vec<Value> {
    let mut operations = Vec::new();
    each_write(items, chunk, |write| {
        operations.push(match write {
            Write::Bytes(bytes) => json!(STANDARD.encode(bytes)),
            Write::Resize { cols, rows } => json!([cols, rows]),
        });
    });
    operations
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a word")
}
