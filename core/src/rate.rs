//! How often somebody may try something. Keys that have been quiet are
//! forgotten, so the maps stay as small as the present crowd.

use std::{
    collections::HashMap,
    hash::Hash,
    num::NonZeroU32,
    sync::{
        Mutex, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
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
    limiter: RwLock<DefaultKeyedRateLimiter<K>>,
    checks: AtomicU32,
}

impl<K: Hash + Eq + Clone> PerMinute<K> {
    /// At most `tries` a minute; at least one.
    #[must_use]
    pub fn new(what: &'static str, tries: u32) -> Self {
        Self::of(what, "a minute", per_minute(tries))
    }

    /// So many a minute from now on; what was tried before is forgotten.
    pub fn set(&self, tries: u32) {
        let limiter = DefaultKeyedRateLimiter::keyed(per_minute(tries));
        *self.limiter.write().unwrap_or_else(PoisonError::into_inner) = limiter;
    }

    fn of(what: &'static str, time: &'static str, quota: Quota) -> Self {
        Self {
            what,
            time,
            limiter: RwLock::new(DefaultKeyedRateLimiter::keyed(quota)),
            checks: AtomicU32::new(0),
        }
    }

    /// Counts one try of `key`.
    ///
    /// # Errors
    /// `RATE_LIMITED`; the try does not count.
    pub fn check(&self, key: &K) -> Result<(), Refusal> {
        let limiter = self.limiter.read().unwrap_or_else(PoisonError::into_inner);
        if self.checks.fetch_add(1, Ordering::Relaxed) % PRUNE_EVERY == PRUNE_EVERY - 1 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        limiter.check_key(key).map_err(|_| {
            let words = format!("too many {} in {}; wait and try again", self.what, self.time);
            Refusal::new(Code::RateLimited, words)
        })
    }
}

fn per_minute(tries: u32) -> Quota {
    Quota::per_minute(NonZeroU32::new(tries).unwrap_or(NonZeroU32::MIN))
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

/// How fast each of some keys may come back. One that comes too soon has to wait
/// longer from then on.
#[derive(Debug)]
pub struct Pace<K> {
    first: Duration,
    more: Duration,
    longest: Duration,
    early: Duration,
    seen: Mutex<HashMap<K, Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    pause: Duration,
}

impl<K: Hash + Eq> Pace<K> {
    /// After `first` at least, and so much `more` after each time that was too soon,
    /// up to `longest`. So much too `early` is still in time.
    #[must_use]
    pub fn new(first: Duration, more: Duration, longest: Duration, early: Duration) -> Self {
        Self { first, more, longest, early, seen: Mutex::default() }
    }

    /// Notes that `key` comes, and says whether it is in time. What did not come back
    /// for long is forgotten.
    pub fn comes(&self, key: K, now: Instant) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = self.longest + self.longest;
        seen.retain(|_, one| now.saturating_duration_since(one.at) < forgotten);
        let before = seen.get(&key).copied();
        let is_in_time =
            before.is_none_or(|one| now.saturating_duration_since(one.at) + self.early >= one.pause);
        let pause = before.map_or(self.first, |one| one.pause);
        let pause = if is_in_time { pause } else { (pause + self.more).min(self.longest) };
        seen.insert(key, Seen { at: now, pause });
        is_in_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_too_soon_has_to_wait_longer_from_then_on() {
        let s = Duration::from_secs;
        let pace = Pace::new(s(2), s(5), s(60), Duration::from_millis(500));
        let begun = Instant::now();
        let comes = |after: u64| pace.comes("a", begun + Duration::from_millis(after));
        assert!(comes(0) && comes(1_500), "a little too soon is in time");
        assert!(!comes(2_000), "too soon");
        assert!(!comes(6_000), "it is seven seconds by now");
        assert!(comes(18_000), "twelve seconds later");
        assert!(pace.comes("b", begun), "another one has its own pace");
        assert!(pace.comes("a", begun + s(600)) && pace.comes("a", begun + s(602)), "it was forgotten");
        assert_eq!(pace.seen.lock().expect("is not poisoned").len(), 1);
    }

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
