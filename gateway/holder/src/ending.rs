//! The ladder that ends a session: hang up, terminate, kill; pure.

use std::time::Duration;

use chatcode_proto::limits;

/// Time since the holder began.
pub(crate) type Time = Duration;

/// One step of the ladder; each goes to the whole session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// SIGHUP: the terminal is gone.
    HangUp,
    /// SIGTERM: end yourself.
    Terminate,
    /// SIGKILL; repeated, since a process may be born meanwhile.
    Kill,
}

/// Where the ladder is. It goes on until its owner drops it.
#[derive(Debug)]
pub(crate) struct Ladder {
    next: Step,
    due: Time,
    kills: u32,
}

impl Ladder {
    /// Begins now; with `force` at the last step.
    pub(crate) fn new(now: Time, force: bool) -> Self {
        Self { next: if force { Step::Kill } else { Step::HangUp }, due: now, kills: 0 }
    }

    /// Goes to the last step at once.
    pub(crate) fn force(&mut self, now: Time) {
        if self.next != Step::Kill {
            (self.next, self.due) = (Step::Kill, now);
        }
    }

    /// The step that is due, once.
    pub(crate) fn poll(&mut self, now: Time) -> Option<Step> {
        if now < self.due {
            return None;
        }
        let step = self.next;
        self.due = now + limits::END_STEP;
        self.next = match step {
            Step::HangUp => Step::Terminate,
            Step::Terminate | Step::Kill => Step::Kill,
        };
        self.kills += u32::from(step == Step::Kill);
        Some(step)
    }

    /// When the next step is due.
    pub(crate) const fn next_timeout(&self) -> Time {
        self.due
    }

    /// Whether KILL has had its time: what still lives cannot be ended (it
    /// hangs in the kernel).
    pub(crate) const fn is_spent(&self) -> bool {
        self.kills > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Time = limits::END_STEP;

    #[test]
    fn the_ladder_takes_its_steps_in_order_and_repeats_the_last() {
        let mut ladder = Ladder::new(STEP, false);
        let steps: Vec<_> = (1..=5).map(|n| ladder.poll(STEP * n)).collect();
        let (hup, term, kill) = (Some(Step::HangUp), Some(Step::Terminate), Some(Step::Kill));
        assert_eq!(steps, [hup, term, kill, kill, kill]);
        assert!(ladder.is_spent());
    }

    #[test]
    fn no_step_is_taken_before_its_time() {
        let mut ladder = Ladder::new(Time::ZERO, false);
        assert_eq!(ladder.poll(Time::ZERO), Some(Step::HangUp));
        assert_eq!(ladder.poll(STEP - Duration::from_nanos(1)), None);
        assert_eq!(ladder.next_timeout(), STEP);
        assert!(!ladder.is_spent());
    }

    #[test]
    fn force_skips_the_gentle_steps_also_later() {
        assert_eq!(Ladder::new(Time::ZERO, true).poll(Time::ZERO), Some(Step::Kill));
        let mut ladder = Ladder::new(Time::ZERO, false);
        ladder.poll(Time::ZERO);
        ladder.force(Duration::from_millis(1));
        assert_eq!(ladder.poll(Duration::from_millis(1)), Some(Step::Kill));
        ladder.force(Duration::from_millis(2));
        assert_eq!(ladder.poll(Duration::from_millis(2)), None, "a kill is not repeated at once");
    }
}
