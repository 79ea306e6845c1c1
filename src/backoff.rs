//! When to come back: exponential with full jitter, as a pure sequence
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).

use std::time::Duration;

/// The pauses between tries. The caller draws the random numbers and tells
/// what lasted.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    tries: u32,
}

impl Backoff {
    /// Pauses between 0 and `first`, then up to twice as much each time, never
    /// more than `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, tries: 0 }
    }

    /// The pause before the next try; `random` is drawn evenly from 0 to 1.
    pub fn next(&mut self, random: f64) -> Duration {
        let ceiling = self.first.saturating_mul(2_u32.saturating_pow(self.tries)).min(self.longest);
        self.tries = self.tries.saturating_add(1);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }

    /// Begins anew: what was reached has lasted.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// Pauses since the last reset.
    #[must_use]
    pub const fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_begin_anew_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let ceilings: Vec<u128> = (0..6).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.next(0.5), Duration::from_millis(50));
    }

    #[test]
    fn endless_failure_never_overflows() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        for _ in 0..100 {
            assert!(backoff.next(1.0) <= Duration::from_secs(10));
        }
    }
}
