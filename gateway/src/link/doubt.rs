//! Whether the core is still there, by what it answers: pure rules.

use chatcode_link::Pulse;
use chatcode_proto::limits;

/// Looks in a row without an answer that are borne.
const BORNE: u128 = limits::LINK_DOUBT.as_millis() / limits::LINK_DOUBT_LOOK.as_millis();

/// Counts looks, not time: a machine that slept has not asked meanwhile.
#[derive(Debug)]
pub(super) struct Doubt {
    /// At the last answer.
    last: Pulse,
    /// Looks since something was asked after it.
    unanswered: u128,
}

impl Doubt {
    /// No doubt, at this pulse.
    pub(super) const fn new(pulse: Pulse) -> Self {
        Self { last: pulse, unanswered: 0 }
    }

    /// Takes the pulse, [`limits::LINK_DOUBT_LOOK`] after the last time. Says whether nothing
    /// that was asked has been answered for [`limits::LINK_DOUBT`].
    pub(super) const fn look(&mut self, pulse: Pulse) -> bool {
        if pulse.answered != self.last.answered {
            *self = Self::new(pulse);
        } else if pulse.asked != self.last.asked {
            self.unanswered += 1;
        }
        self.unanswered > BORNE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each look says of these pulses: asked, answered.
    fn looks(pulses: impl IntoIterator<Item = (u64, u64)>) -> Vec<bool> {
        let mut doubt = Doubt::new(Pulse::default());
        pulses.into_iter().map(|(asked, answered)| doubt.look(Pulse { asked, answered })).collect()
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
}
