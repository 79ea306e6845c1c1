//! When a member asks for its next certificate: one rule for all of them, pure,
//! the time is passed in.

use std::{ops::Range, time::Duration};

use chatcode_proto::limits;

/// The next time to ask.
///
/// Times are in milliseconds since 1970, of the core's clock where it is known:
/// the machine's own may jump. They are looked at every [`limits::RENEW_LOOK`], so
/// that a machine that slept asks at once. A clock that goes back takes nothing of
/// that: the first time stands as the certificate says it, and a try that was made
/// later than now is no reason to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    due_ms: u64,
    again_ms: u64,
    asked_ms: Option<u64>,
}

impl Renewal {
    /// For a certificate that is valid so long (seconds since 1970); `chance` is
    /// 0 to 1.
    #[must_use]
    pub fn of(validity_s: &Range<u64>, chance: f64) -> Self {
        let begins_ms = validity_s.start.saturating_add(limits::BACKDATE.as_secs()).saturating_mul(1000);
        let life_ms = validity_s.end.saturating_mul(1000).saturating_sub(begins_ms) as f64;
        let part = limits::RENEW_AT - limits::RENEW_SPREAD * chance;
        let again_ms = ((life_ms * limits::RENEW_AGAIN) as u64).max(1);
        Self { due_ms: begins_ms.saturating_add((life_ms * part) as u64), again_ms, asked_ms: None }
    }

    /// When to ask next, as the clock stands now.
    fn next_ms(&self, now_ms: u64) -> u64 {
        let again = self.asked_ms.filter(|asked_ms| *asked_ms <= now_ms);
        again.map_or(self.due_ms, |asked_ms| asked_ms.saturating_add(self.again_ms).max(self.due_ms))
    }

    /// How long to wait before [`Self::is_due`] is asked again.
    #[must_use]
    pub fn wait(&self, now_ms: u64) -> Duration {
        Duration::from_millis(self.next_ms(now_ms).saturating_sub(now_ms)).min(limits::RENEW_LOOK)
    }

    /// Whether it is time to ask; once it was, the next time is later.
    pub fn is_due(&mut self, now_ms: u64) -> bool {
        let is_due = now_ms >= self.next_ms(now_ms);
        if is_due {
            self.asked_ms = Some(now_ms);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: u64 = 24 * 3600;
    const BEGIN_S: u64 = 1_800_000_000;

    fn of_a_day(chance: f64) -> Renewal {
        Renewal::of(&(BEGIN_S - limits::BACKDATE.as_secs()..BEGIN_S + DAY_S), chance)
    }

    fn at(hours: f64) -> u64 {
        (BEGIN_S * 1000).saturating_add_signed((hours * 3_600_000.0) as i64)
    }

    #[test]
    fn a_day_is_renewed_after_two_thirds_of_it_or_a_little_earlier() {
        assert!(!of_a_day(0.0).is_due(at(15.99)));
        assert!(of_a_day(0.0).is_due(at(16.01)));
        assert!(!of_a_day(1.0).is_due(at(13.59)));
        assert!(of_a_day(1.0).is_due(at(13.61)));
    }

    #[test]
    fn who_is_not_answered_asks_again_many_times_before_the_end() {
        let mut renewal = of_a_day(0.0);
        let asked = (0..24 * 60).filter(|minute| renewal.is_due(at(f64::from(*minute) / 60.0))).count();
        assert!((9..=11).contains(&asked), "{asked}");
    }

    #[test]
    fn the_clock_is_looked_at_often_so_a_machine_that_slept_asks_at_once() {
        let mut renewal = of_a_day(0.0);
        assert_eq!(renewal.wait(at(1.0)), limits::RENEW_LOOK);
        assert!(renewal.is_due(at(100.0)));
        assert_eq!(of_a_day(0.0).wait(at(100.0)), Duration::ZERO);
    }

    /// A clock that was a week ahead for a moment, at which nobody answered.
    #[test]
    fn a_try_at_a_time_that_was_not_yet_holds_up_none_at_the_right_one() {
        let mut renewal = of_a_day(0.0);
        assert!(renewal.is_due(at(7.0 * 24.0)));
        assert!(!renewal.is_due(at(1.0)), "the clock is right again, and it is early");
        assert_eq!(renewal.wait(at(1.0)), limits::RENEW_LOOK);
        assert!(!renewal.is_due(at(15.99)) && renewal.is_due(at(16.01)));
        assert!(!renewal.is_due(at(16.02)), "not twice at once");
        assert!(renewal.is_due(at(16.9)), "and again after a while");
    }

    #[test]
    fn a_clock_that_goes_back_a_little_between_tries_leaves_at_most_one_try_more() {
        let mut renewal = of_a_day(0.0);
        assert!(renewal.is_due(at(17.0)));
        let asked = (0..30).filter(|_| renewal.is_due(at(16.9))).count();
        assert_eq!(asked, 1, "it cannot be told how long ago the last one was");
        assert!(renewal.is_due(at(17.8)));
        // Back to before the certificate was made.
        assert!((0..1000).all(|hours| !renewal.is_due(at(-f64::from(hours)))));
        assert!(renewal.is_due(at(23.9)), "the end does not come without a try");
    }

    #[test]
    fn a_certificate_that_makes_no_sense_does_not_keep_the_daemon_busy() {
        for validity in [0..0, 5..5, 0..u64::MAX, u64::MAX - 1..u64::MAX] {
            let mut renewal = Renewal::of(&validity, 0.5);
            renewal.is_due(u64::MAX / 2);
            assert!(renewal.wait(u64::MAX / 2) > Duration::ZERO, "{validity:?}");
        }
    }
}
