//! How often somebody may try something. Keys that have been quiet are
//! forgotten, so the maps stay as small as the present crowd.

use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
};

use chatcode_proto::{code::Refusal, pb::Code};
use governor::{DefaultKeyedRateLimiter, Quota};

/// Checks after which quiet keys are forgotten.
const PRUNE_EVERY: u32 = 256;

/// So many tries in a minute for each key, evenly refilled.
#[derive(Debug)]
pub struct PerMinute<K: Hash + Eq + Clone> {
    what: &'static str,
    time: &'static str,
    limiter: DefaultKeyedRateLimiter<K>,
    checks: AtomicU32,
}

impl<K: Hash + Eq + Clone> PerMinute<K> {
    /// At most `tries` a minute; at least one.
    #[must_use]
    pub fn new(what: &'static str, tries: u32) -> Self {
        Self::of(what, "a minute", Quota::per_minute(NonZeroU32::new(tries).unwrap_or(NonZeroU32::MIN)))
    }

    fn of(what: &'static str, time: &'static str, quota: Quota) -> Self {
        Self { what, time, limiter: DefaultKeyedRateLimiter::keyed(quota), checks: AtomicU32::new(0) }
    }

    /// Counts one try of `key`.
    ///
    /// # Errors
    /// `RATE_LIMITED`; the try does not count.
    pub fn check(&self, key: &K) -> Result<(), Refusal> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % PRUNE_EVERY == PRUNE_EVERY - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(key).map_err(|_| {
            let words = format!("too many {} in {}; wait and try again", self.what, self.time);
            Refusal::new(Code::RateLimited, words)
        })
    }
}

/// So many tries in an hour for each key, evenly refilled.
#[derive(Debug)]
pub struct PerHour<K: Hash + Eq + Clone>(PerMinute<K>);

impl<K: Hash + Eq + Clone> PerHour<K> {
    /// At most `tries` an hour; at least one.
    #[must_use]
    pub fn new(what: &'static str, tries: u32) -> Self {
        let quota = Quota::per_hour(NonZeroU32::new(tries).unwrap_or(NonZeroU32::MIN));
        Self(PerMinute::of(what, "an hour", quota))
    }

    /// Counts one try of `key`.
    ///
    /// # Errors
    /// `RATE_LIMITED`; the try does not count.
    pub fn check(&self, key: &K) -> Result<(), Refusal> {
        self.0.check(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_runs_dry_and_the_others_do_not_notice() {
        let limiter = PerMinute::new("tries", 3);
        for _ in 0..3 {
            assert!(limiter.check(&"a").is_ok());
        }
        assert_eq!(limiter.check(&"a").unwrap_err().code, Code::RateLimited);
        assert!(limiter.check(&"b").is_ok());
    }
}
