//! Something that is done at most once in a time: the last wish wins, and none
//! is lost.

use std::time::Duration;

use super::Time;

/// What is wished, and when it was last done.
#[derive(Debug)]
pub(super) struct Seldom<T> {
    interval: Duration,
    wish: Option<T>,
    done_at: Option<Time>,
}

impl<T> Seldom<T> {
    /// Nothing is wished, and nothing was done.
    pub(super) const fn new(interval: Duration) -> Self {
        Self { interval, wish: None, done_at: None }
    }

    /// Takes the place of what was wished before; `None`: nothing is.
    pub(super) fn wish(&mut self, wish: Option<T>) {
        self.wish = wish;
    }

    /// What is to be done now.
    pub(super) fn poll(&mut self, now: Time) -> Option<T> {
        let wish = self.wish.take_if(|_| self.done_at.is_none_or(|at| now >= at + self.interval))?;
        self.done_at = Some(now);
        Some(wish)
    }

    /// When [`Self::poll`] has something that it does not have yet.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.wish.as_ref()?;
        Some(self.done_at? + self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_wish_is_done_when_its_time_has_come() {
        let at = Duration::from_millis;
        let mut seldom = Seldom::new(at(50));
        seldom.wish(Some('a'));
        assert_eq!((seldom.next_timeout(), seldom.poll(at(3))), (None, Some('a')), "the first at once");
        seldom.wish(Some('b'));
        assert_eq!((seldom.next_timeout(), seldom.poll(at(52))), (Some(at(53)), None));
        seldom.wish(Some('c'));
        assert_eq!((seldom.poll(at(53)), seldom.poll(at(200))), (Some('c'), None));
        seldom.wish(Some('d'));
        seldom.wish(None);
        assert_eq!((seldom.next_timeout(), seldom.poll(at(300))), (None, None));
    }
}
