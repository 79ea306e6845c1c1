//! Whether the core is still there, by what it answers: pure rules.

use chatcode_proto::limits;

use crate::Pulse;

/// What a gateway thinks of its core. Counts looks, not time: a machine that slept has not
/// asked meanwhile.
#[derive(Debug)]
pub struct Doubt {
    /// At the last answer.
    last: Pulse,
    /// Looks since something was asked after it.
    unanswered: u32,
}

impl Doubt {
    /// No doubt, at this pulse.
    #[must_use]
    pub const fn new(pulse: Pulse) -> Self {
        Self { last: pulse, unanswered: 0 }
    }

    /// Takes the pulse, [`limits::LINK_DOUBT_LOOK`] after the last time. Says whether nothing
    /// that was asked has been answered for [`limits::LINK_DOUBT`], or for three round trips
    /// where they are longer.
    pub fn look(&mut self, pulse: Pulse) -> bool {
        if pulse.answered != self.last.answered {
            *self = Self::new(pulse);
        } else if pulse.asked != self.last.asked {
            self.unanswered += 1;
        }
        limits::LINK_DOUBT_LOOK * self.unanswered > limits::LINK_DOUBT.max(3 * pulse.round_trip)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What each look says of these pulses: asked, answered.
    fn looks(pulses: impl IntoIterator<Item = (u64, u64)>) -> Vec<bool> {
        looks_over(Duration::ZERO, pulses)
    }

    fn looks_over(round_trip: Duration, pulses: impl IntoIterator<Item = (u64, u64)>) -> Vec<bool> {
        let mut doubt = Doubt::new(Pulse::default());
        let look = |(asked, answered)| doubt.look(Pulse { asked, answered, round_trip });
        pulses.into_iter().map(look).collect()
    }

    #[test]
    fn a_core_that_answers_or_is_asked_nothing_is_not_doubted() {
        assert!(!looks((0..100).map(|at| (at, at / 4))).contains(&true), "an answer at each fourth look");
        assert!(!looks([(9, 1); 100]).contains(&true), "silence on both sides");
    }

    #[test]
    fn a_core_that_answers_nothing_is_doubted_after_the_limit_until_it_answers() {
        let silent = looks([(0, 0), (1, 0), (1, 0), (2, 0), (2, 0), (2, 0), (3, 0), (3, 1), (4, 1)]);
        assert_eq!(silent.iter().position(|doubted| *doubted), Some(5), "the fifth look since it was asked");
        assert_eq!(silent[5..], [true, true, false, false]);
    }

    #[test]
    fn on_a_very_long_way_three_round_trips_are_borne() {
        let silent = looks_over(Duration::from_secs(2), [(1, 0); 20]);
        assert_eq!(silent.iter().position(|doubted| *doubted), Some(12), "6 s and a look");
    }
}
