//! The pace of the PTY: it waits for the writer's viewer, and only while that
//! viewer keeps up.

use super::Time;
use crate::limits;

/// The smallest backlog for which the PTY waits, bytes: one output frame.
const HOLD_MIN: u64 = limits::OUTPUT_BYTES as u64;
/// What a new sample weighs in the measured rate.
const SAMPLE_WEIGHT: f64 = 0.3;
/// A sample takes at least this long: two credits shortly after each other say
/// nothing about the viewer.
const SAMPLE: Time = Time::from_millis(5);
/// The rate that a viewer has before it was measured, bytes per second: the
/// smallest backlog in the time that is allowed.
const FIRST_RATE: f64 = HOLD_MIN as f64 / limits::PACE_BACKLOG.as_millis() as f64 * 1000.0;

/// Decides whether the PTY may be read, for one viewer's backlog: the bytes of
/// the log that it has no credit for.
///
/// The PTY is held when the backlog is what the viewer renders in
/// [`limits::PACE_BACKLOG`] at its measured rate, and let go when half of it is
/// gone. A viewer that renders nothing for that time, or at a rate at which it
/// would need twice as long, is *behind*: the PTY does not wait for it again
/// until it has caught up.
#[derive(Debug)]
pub(super) struct Pace {
    state: State,
    /// Bytes per second that the viewer renders while it has a backlog.
    rate: f64,
    /// When the viewer last told what it has rendered, if it had a backlog
    /// then.
    measured_since: Option<Time>,
    /// What it has rendered since.
    measured: u64,
    /// When the viewer last rendered something.
    progress_at: Time,
    /// It fell out of the log since: its backlog went without its doing.
    fell_out: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Held { since: Time },
    Behind,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            state: State::Free,
            rate: FIRST_RATE,
            measured_since: None,
            measured: 0,
            progress_at: Time::ZERO,
            fell_out: false,
        }
    }
}

impl Pace {
    /// Whether the PTY may be read now; all that the viewer had said by
    /// `heard_until` was heard.
    pub(super) fn may_read(&mut self, now: Time, heard_until: Time, backlog: u64, log_bytes: usize) -> bool {
        let most = (self.rate * limits::PACE_BACKLOG.as_secs_f64()) as u64;
        // A small log is half full before a frame is.
        let half = (log_bytes as u64 / 2).max(1);
        let most = most.clamp(HOLD_MIN.min(half), half);
        self.state = match self.state {
            _ if self.fell_out => State::Behind,
            _ if backlog <= most / 2 => State::Free,
            State::Free if backlog >= most => State::Held { since: now },
            State::Held { since } if heard_until >= self.let_go(since) || self.is_slow(backlog) => {
                State::Behind
            }
            state => state,
        };
        !matches!(self.state, State::Held { .. })
    }

    /// Whether the PTY no longer waits for it.
    pub(super) const fn is_behind(&self) -> bool {
        matches!(self.state, State::Behind)
    }

    /// The viewer fell out of the log and was moved: it has not caught up
    /// before it renders something.
    pub(super) fn handle_fell_out(&mut self) {
        self.fell_out = true;
    }

    /// When a held PTY is let go at the latest.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        match self.state {
            State::Held { since } => Some(self.let_go(since)),
            State::Free | State::Behind => None,
        }
    }

    /// When a PTY that is held since then is let go, unless the viewer renders
    /// something before.
    fn let_go(&self, since: Time) -> Time {
        since.max(self.progress_at) + limits::PACE_BACKLOG
    }

    /// Whether the viewer would need too long for this backlog.
    fn is_slow(&self, backlog: u64) -> bool {
        backlog as f64 > self.rate * 2.0 * limits::PACE_BACKLOG.as_secs_f64()
    }

    /// The viewer has rendered `bytes` more; `has_backlog` when it could have
    /// had more to render.
    pub(super) fn handle_rendered(&mut self, now: Time, bytes: u64, has_backlog: bool) {
        if bytes > 0 {
            (self.progress_at, self.fell_out) = (now, false);
        }
        if let Some(since) = self.measured_since {
            self.measured += bytes;
            let took = now.saturating_sub(since);
            if took < SAMPLE && has_backlog {
                return;
            }
            if took >= SAMPLE {
                let sample = self.measured as f64 / took.as_secs_f64();
                self.rate += SAMPLE_WEIGHT * (sample - self.rate);
            }
        }
        (self.measured, self.measured_since) = (0, has_backlog.then_some(now));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LOG: usize = 1024 * 1024;

    fn at(ms: u64) -> Time {
        Duration::from_millis(ms)
    }

    fn may_read(pace: &mut Pace, now: Time, backlog: u64, log_bytes: usize) -> bool {
        pace.may_read(now, now, backlog, log_bytes)
    }

    #[test]
    fn a_holder_that_was_late_itself_does_not_blame_its_viewer() {
        let mut pace = Pace::default();
        assert!(!pace.may_read(at(0), at(0), HOLD_MIN, LOG));
        assert!(!pace.may_read(at(500), at(1), HOLD_MIN, LOG), "what came meanwhile is not read yet");
        assert!(pace.may_read(at(500), at(500), HOLD_MIN, LOG));
    }

    #[test]
    fn a_small_backlog_never_holds() {
        let mut pace = Pace::default();
        assert!(may_read(&mut pace, at(0), HOLD_MIN - 1, LOG));
        assert_eq!(pace.next_timeout(), None);
    }

    #[test]
    fn a_viewer_that_clears_its_backlog_in_time_is_waited_for_again_and_again() {
        let mut pace = Pace::default();
        for turn in 0..100 {
            assert!(!may_read(&mut pace, at(turn * 60), HOLD_MIN, LOG));
            assert!(!may_read(&mut pace, at(turn * 60 + 20), HOLD_MIN / 2 + 1, LOG));
            assert!(may_read(&mut pace, at(turn * 60 + 40), HOLD_MIN / 2, LOG));
        }
    }

    #[test]
    fn a_viewer_that_stalls_lets_the_pty_go_in_time_and_is_not_waited_for_until_it_caught_up() {
        let mut pace = Pace::default();
        assert!(!may_read(&mut pace, at(0), HOLD_MIN, LOG));
        assert_eq!(pace.next_timeout(), Some(at(50)));
        assert!(!may_read(&mut pace, at(49), HOLD_MIN, LOG));
        assert!(may_read(&mut pace, at(50), HOLD_MIN, LOG));
        assert!(may_read(&mut pace, at(60), HOLD_MIN * 4, LOG), "behind");
        assert!(may_read(&mut pace, at(70), 0, LOG), "caught up");
        assert!(!may_read(&mut pace, at(80), HOLD_MIN, LOG), "waited for again");
    }

    #[test]
    fn a_viewer_that_was_moved_to_the_present_has_not_caught_up_before_it_renders() {
        let mut pace = Pace::default();
        assert!(!may_read(&mut pace, at(0), HOLD_MIN, LOG));
        assert!(may_read(&mut pace, at(50), HOLD_MIN, LOG));
        pace.handle_fell_out();
        assert!(may_read(&mut pace, at(60), 0, LOG));
        assert!(may_read(&mut pace, at(61), HOLD_MIN, LOG), "else it would hold once for every move");
        pace.handle_rendered(at(62), 1, true);
        assert!(may_read(&mut pace, at(63), 0, LOG));
        assert!(!may_read(&mut pace, at(64), HOLD_MIN, LOG));
    }

    #[test]
    fn a_viewer_that_is_slow_but_steady_is_not_waited_for() {
        let mut pace = Pace::default();
        assert!(!may_read(&mut pace, at(0), HOLD_MIN, LOG));
        let let_go = (1..20).find(|turn| {
            pace.handle_rendered(at(turn * 10), 100, true);
            may_read(&mut pace, at(turn * 10), HOLD_MIN, LOG)
        });
        assert!(let_go.is_some_and(|turn| turn <= 5), "{let_go:?}");
    }

    #[test]
    fn a_healthy_viewer_that_was_not_scheduled_for_a_moment_is_waited_for() {
        let mut pace = Pace::default();
        pace.handle_rendered(at(0), 400_000, true);
        for turn in 1..10 {
            pace.handle_rendered(at(turn * 40), 400_000, true);
            assert!(!may_read(&mut pace, at(turn * 40), LOG as u64 / 2, LOG), "{turn}");
        }
    }

    #[test]
    fn a_fast_viewer_may_have_a_larger_backlog_within_half_of_the_log() {
        let mut pace = Pace::default();
        for turn in 0..100 {
            pace.handle_rendered(at(turn * 10), 1_000_000, true);
        }
        assert!(may_read(&mut pace, at(2000), LOG as u64 / 2 - 1, LOG));
        assert!(!may_read(&mut pace, at(2000), LOG as u64 / 2, LOG));
    }
}
