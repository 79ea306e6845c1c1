//! Many cases, and a report of what went wrong that one can work with.

use std::{collections::BTreeMap, env, fmt::Write as _};

use crate::{
    case::{Case, Outcome, kind_of},
    oracle::Oracle,
};

/// Kinds of failures that are minimised and told; the rest is only counted.
const KINDS: usize = 8;

/// One of so many cases may be unknown at most.
const MOST_UNKNOWN: usize = 10;

pub(crate) struct Campaign {
    oracle: Oracle,
    run: usize,
    unplayable: usize,
    wrong: BTreeMap<String, (usize, String, Case)>,
}

impl Campaign {
    pub(crate) fn start() -> Self {
        Self { oracle: Oracle::start(), run: 0, unplayable: 0, wrong: BTreeMap::new() }
    }

    pub(crate) fn run(&mut self, name: &str, case: &Case) {
        self.run += 1;
        match case.run(&mut self.oracle) {
            Outcome::Equal => {}
            Outcome::Unplayable => self.unplayable += 1,
            Outcome::Wrong(differences) => self.note(name, case, &differences),
        }
    }

    /// Keeps the shortest case of each kind.
    fn note(&mut self, name: &str, case: &Case, differences: &[String]) {
        let (count, known, shortest) =
            self.wrong.entry(kind_of(differences)).or_insert_with(|| (0, name.to_owned(), case.clone()));
        *count += 1;
        if case.items.len() < shortest.items.len() {
            (*known, *shortest) = (name.to_owned(), case.clone());
        }
    }

    /// Fails when any went wrong; tells the shortest case of each kind.
    pub(crate) fn finish(mut self) {
        let Self { run, unplayable, .. } = &self;
        let total: usize = self.wrong.values().map(|(count, ..)| count).sum();
        println!("{run} cases, {total} went wrong; xterm.js cannot play {unplayable}");
        if total == 0 {
            assert!(unplayable * MOST_UNKNOWN <= *run, "too little of this can be compared");
            return;
        }
        let mut report = format!("{total} of {} cases went wrong, in {} ways", self.run, self.wrong.len());
        let mut kinds: Vec<_> = std::mem::take(&mut self.wrong).into_values().collect();
        kinds.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
        for (count, name, case) in kinds.into_iter().take(kinds_told()) {
            let (smallest, why) = case.minimised(&mut self.oracle);
            let (text, snapshot) = (smallest.text(), snapshot_of(&smallest));
            let _ = write!(report, "\n\n{count} times, first {name}:\n  {text}\n  snapshot \"{snapshot}\"");
            for difference in why.iter().take(4) {
                let _ = write!(report, "\n  - {difference}");
            }
        }
        panic!("{report}");
    }
}

fn snapshot_of(case: &Case) -> String {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case.snapshot()))
        .map_or_else(|_| "(panicked)".to_owned(), |bytes| bytes.escape_ascii().to_string())
}

fn kinds_told() -> usize {
    env::var("CHATCODE_DIFFERENTIAL_KINDS").ok().and_then(|text| text.parse().ok()).unwrap_or(KINDS)
}
