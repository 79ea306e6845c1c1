//! What breaks, when, and for how long; and what is typed: the same for the same
//! seed.

use std::time::Duration;

use chatcode_harness::breakable::{EACH, Fault};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::line::{Order, Typed};

/// Lines of a flood: more than a viewer that comes back is sent as bytes, and
/// two of them fit into a history.
const FLOOD: std::ops::Range<u32> = 500..4000;
/// Floods of a session are at least this many lines of input apart.
const FLOOD_APART: u64 = 200;
/// Between two lines of input.
const TYPED: std::ops::Range<u64> = 20..180;

/// One thing that breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Since the one before was over.
    pub(crate) pause: Duration,
    pub(crate) fault: Fault,
    /// How long, for those that last.
    pub(crate) lasts: Duration,
}

/// Steps without an end: each kind as often as the others.
#[derive(Debug)]
pub(crate) struct Schedule {
    random: StdRng,
    bag: Vec<Fault>,
}

impl Schedule {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), bag: Vec::new() }
    }
}

impl Iterator for Schedule {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.bag.is_empty() {
            self.bag.extend(EACH);
            self.bag.shuffle(&mut self.random);
        }
        let fault = self.bag.pop()?;
        // Every fourth hits what has not recovered from the one before.
        let pause = if self.random.random_ratio(1, 4) { 0 } else { self.random.random_range(500..3000) };
        let lasts = match fault {
            // Long enough for a link to go another way.
            Fault::LinkCut => 200..8000,
            Fault::HangGateway | Fault::HangCore | Fault::HangEdge => 200..5000,
            _ => 100..3000,
        };
        let lasts = Duration::from_millis(self.random.random_range(lasts));
        Some(Step { pause: Duration::from_millis(pause), fault, lasts })
    }
}

/// What a person types: lines without an end, each with the time since the one
/// before.
#[derive(Debug)]
pub(crate) struct Typing {
    random: StdRng,
    number: u64,
    flooded: u64,
}

impl Typing {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), number: 0, flooded: 0 }
    }
}

impl Iterator for Typing {
    type Item = (Duration, Typed);

    fn next(&mut self) -> Option<Self::Item> {
        self.number += 1;
        let pause = Duration::from_millis(self.random.random_range(TYPED));
        let is_paste = self.random.random_ratio(1, 100);
        let padding = self.random.random_range(if is_paste { 1000..60_000 } else { 0..40 });
        let floods = self.random.random_ratio(1, 200);
        let lines = self.random.random_range(FLOOD);
        let order = if floods && self.number > self.flooded + FLOOD_APART {
            self.flooded = self.number;
            Order::Flood(lines)
        } else {
            Order::Echo
        };
        Some((pause, Typed { number: self.number, order, padding }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_breaks_and_types_the_same_and_another_does_not() {
        let breaks = |seed| Schedule::new(seed).take(100).collect::<Vec<_>>();
        assert_eq!(breaks(1), breaks(1));
        assert_ne!(breaks(1), breaks(2));
        let types = |seed| Typing::new(seed).take(1000).collect::<Vec<_>>();
        assert_eq!(types(1), types(1));
        assert_ne!(types(1), types(2));
    }

    #[test]
    fn every_kind_of_fault_comes_before_one_comes_again() {
        let kinds = |skipped| Schedule::new(3).skip(skipped).take(EACH.len()).map(|step| step.fault);
        for turn in 0..3 {
            assert_eq!(kinds(turn * EACH.len()).collect::<BTreeSet<_>>(), BTreeSet::from(EACH));
        }
    }

    #[test]
    fn floods_come_and_two_of_them_fit_into_a_history() {
        let floods: Vec<(u64, u32)> = Typing::new(4)
            .take(20_000)
            .filter_map(|(_, typed)| match typed.order {
                Order::Flood(lines) => Some((typed.number, lines)),
                _ => None,
            })
            .collect();
        assert!(floods.len() > 20, "{floods:?}");
        for pair in floods.windows(2) {
            assert!(pair[1].0 - pair[0].0 > FLOOD_APART, "{pair:?}");
            assert!(pair[0].1 + pair[1].1 < chatcode_proto::limits::DEFAULT_HISTORY_LINES, "{pair:?}");
        }
    }
}
