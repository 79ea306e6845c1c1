//! When an intermediate is followed by the next: pure, the time is passed in.

use std::ops::Range;

use chatcode_proto::limits;

/// What an intermediate is due for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing; look again.
    Nothing,
    /// The next one should be made.
    Prepare,
    /// The next one should sign.
    Activate,
}

/// For an intermediate that is valid so long (seconds since 1970), whose next one
/// is there or not. The next one is used when it is time, or when the old one
/// has ended; one that came in late is used at once.
pub(super) fn due(validity_s: &Range<u64>, has_next: bool, now_s: u64) -> Due {
    let begins = validity_s.start.saturating_add(limits::BACKDATE.as_secs());
    let life = validity_s.end.saturating_sub(begins) as f64;
    let at = |part: f64| begins.saturating_add((life * part) as u64);
    if has_next && now_s >= at(limits::INTERMEDIATE_ACTIVATE) {
        Due::Activate
    } else if !has_next && now_s >= at(limits::INTERMEDIATE_PREPARE) {
        Due::Prepare
    } else {
        Due::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;
    const BEGIN: u64 = 1_800_000_000;

    #[test]
    fn the_next_intermediate_is_made_at_half_and_used_at_two_thirds_of_a_life() {
        let validity = BEGIN - limits::BACKDATE.as_secs()..BEGIN + 90 * DAY;
        let on = |day: u64, has_next| due(&validity, has_next, BEGIN + day * DAY);
        assert_eq!((on(44, false), on(45, false)), (Due::Nothing, Due::Prepare));
        assert_eq!((on(59, true), on(60, true)), (Due::Nothing, Due::Activate));
        assert_eq!((on(100, false), on(100, true)), (Due::Prepare, Due::Activate));
    }

    #[test]
    fn an_administrators_certificate_of_the_last_day_ends_before_its_intermediate() {
        let left = limits::INTERMEDIATE_LIFE.mul_f64(1.0 - limits::INTERMEDIATE_ACTIVATE);
        assert!(left >= limits::ADMIN_CERTIFICATE, "{left:?}");
    }
}
