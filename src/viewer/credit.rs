//! How much a viewer lets itself be sent: what it renders in a round trip and
//! a little more.

use std::time::Duration;

use crate::{limits, pb, session::Time};

/// What a new sample weighs.
const SAMPLE_WEIGHT: f64 = 0.3;
/// A sample covers this many bytes and takes this long; less is as rough as the
/// clock, and is joined.
const SAMPLE_BYTES: u64 = 32 * 1024;
const SAMPLE: Duration = Duration::from_millis(5);

/// Counts what was rendered, and decides when to say so.
#[derive(Debug)]
pub(super) struct Credit {
    rtt: Duration,
    /// Bytes per millisecond while there was something to render; `None` before
    /// the first sample.
    rate: Option<f64>,
    /// Bytes that came and are not rendered yet.
    waiting: u64,
    /// The same of earlier connections: rendered before, and without credit.
    stale: u64,
    /// Since when something waits without a pause, as far as the sample does
    /// not have it.
    busy_since: Option<Time>,
    /// The sample that is being taken.
    sample: (u64, Duration),
    /// Of this connection.
    rendered: u64,
    told: u64,
    told_at: Time,
    window: u32,
}

impl Credit {
    pub(super) fn new() -> Self {
        Self {
            rtt: Duration::ZERO,
            rate: None,
            waiting: 0,
            stale: 0,
            busy_since: None,
            sample: (0, Duration::ZERO),
            rendered: 0,
            told: 0,
            told_at: Time::ZERO,
            window: limits::WINDOW_MAX_BYTES,
        }
    }

    /// A new connection.
    pub(super) fn restart(&mut self) {
        (self.rendered, self.told, self.busy_since) = (0, 0, None);
        self.stale += std::mem::take(&mut self.waiting);
    }

    pub(super) fn handle_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt;
    }

    /// These bytes of output or of a snapshot came.
    pub(super) fn handle_bytes(&mut self, now: Time, bytes: u64) {
        self.waiting += bytes;
        self.busy_since.get_or_insert(now);
    }

    /// The next bytes of those that came are on the screen.
    pub(super) fn handle_rendered(&mut self, now: Time, bytes: u64) {
        let stale = bytes.min(self.stale);
        self.stale -= stale;
        let fresh = (bytes - stale).min(self.waiting);
        self.waiting -= fresh;
        self.rendered += fresh;
        self.measure(now, fresh);
    }

    /// Pauses in which nothing waits count for nothing.
    fn measure(&mut self, now: Time, bytes: u64) {
        let Some(since) = self.busy_since.take() else { return };
        self.busy_since = (self.waiting > 0).then_some(now);
        let (so_far, took) = &mut self.sample;
        *so_far += bytes;
        *took += now.saturating_sub(since);
        if *so_far < SAMPLE_BYTES || *took < SAMPLE {
            return;
        }
        let sample = *so_far as f64 / millis(*took);
        self.rate = Some(self.rate.map_or(sample, |rate| rate + SAMPLE_WEIGHT * (sample - rate)));
        self.sample = (0, Duration::ZERO);
    }

    /// The window now: clamp(rate x (RTT + slack), least, most). Without a
    /// measured rate the most: a terminal that is idle renders at once.
    pub(super) fn window(&self) -> u32 {
        let (least, most) = (f64::from(limits::WINDOW_MIN_BYTES), f64::from(limits::WINDOW_MAX_BYTES));
        let time = millis(self.rtt + limits::WINDOW_SLACK);
        self.rate.map_or(most, |rate| (rate * time).clamp(least, most)) as u32
    }

    /// The first window of an attachment.
    pub(super) fn first_window(&mut self) -> u32 {
        self.window = self.window();
        self.window
    }

    /// When [`Self::poll`] gives a credit that it does not give yet, if nothing
    /// more is rendered.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let is_little = self.rendered - self.told < u64::from(limits::WINDOW_MIN_BYTES / 4);
        (!is_little).then(|| self.told_at + limits::WINDOW_SLACK)
    }

    /// A credit, once a quarter of the window was rendered, or a quarter of the
    /// smallest one and some time has passed: the holder has to see that a slow
    /// viewer goes on.
    pub(super) fn poll(&mut self, now: Time) -> Option<pb::Credit> {
        let is_late = now >= self.told_at + limits::WINDOW_SLACK;
        let enough = if is_late { limits::WINDOW_MIN_BYTES } else { self.window } / 4;
        if self.rendered - self.told < u64::from(enough) {
            return None;
        }
        (self.told, self.told_at) = (self.rendered, now);
        self.window = self.window();
        Some(pb::Credit { rendered_bytes: self.rendered, window_bytes: self.window })
    }
}

/// Exact for whole milliseconds, so that the page computes the same windows.
fn millis(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn a_slow_terminal_asks_for_little_and_a_fast_one_for_much() {
        let mut slow = Credit::new();
        let mut fast = Credit::new();
        for turn in 0..100 {
            slow.handle_bytes(at(turn * 10), 1000);
            slow.handle_rendered(at(turn * 10 + 10), 1000);
            fast.handle_bytes(at(turn * 10), 1_000_000);
            fast.handle_rendered(at(turn * 10 + 10), 1_000_000);
        }
        assert_eq!(slow.window(), limits::WINDOW_MIN_BYTES);
        assert_eq!(fast.window(), limits::WINDOW_MAX_BYTES);
    }

    #[test]
    fn a_terminal_that_was_slow_once_is_given_more_again() {
        let mut credit = Credit::new();
        credit.handle_rtt(Duration::from_millis(50));
        credit.handle_bytes(at(0), 40_000);
        credit.handle_rendered(at(1000), 40_000);
        assert_eq!(credit.window(), limits::WINDOW_MIN_BYTES);
        for turn in 20..30 {
            credit.handle_bytes(at(turn * 50), 32 * 1024);
            credit.handle_rendered(at(turn * 50 + 2), 32 * 1024);
        }
        assert!(credit.window() > limits::WINDOW_MAX_BYTES / 2, "{}", credit.window());
    }

    #[test]
    fn what_an_older_connection_brought_makes_no_credit_on_a_newer_one() {
        let mut credit = Credit::new();
        credit.handle_bytes(at(0), 20_000);
        credit.restart();
        credit.handle_bytes(at(0), 20_000);
        credit.handle_rendered(at(100), 20_000);
        assert_eq!(credit.poll(at(100)), None);
        credit.handle_rendered(at(200), 20_000);
        assert_eq!(credit.poll(at(200)).map(|credit| credit.rendered_bytes), Some(20_000));
    }

    #[test]
    fn it_is_said_after_a_quarter_of_the_window() {
        let mut credit = Credit::new();
        let quarter = u64::from(credit.first_window() / 4);
        credit.handle_bytes(at(0), quarter);
        credit.handle_rendered(at(0), quarter - 1);
        assert_eq!(credit.poll(at(0)), None);
        credit.handle_rendered(at(0), 1);
        assert_eq!(credit.poll(at(0)).map(|credit| credit.rendered_bytes), Some(quarter));
        assert_eq!(credit.poll(at(0)), None, "said once");
    }

    #[test]
    fn a_slow_terminal_says_that_it_goes_on_but_not_for_every_key() {
        let mut credit = Credit::new();
        let little = u64::from(limits::WINDOW_MIN_BYTES / 4);
        credit.handle_bytes(at(0), little);
        credit.handle_rendered(at(30), little - 1);
        assert_eq!(credit.poll(at(30)), None);
        credit.handle_rendered(at(30), 1);
        assert!(credit.poll(at(30)).is_some());
    }

    #[test]
    fn what_is_not_said_at_once_is_said_in_time_without_another_byte() {
        let mut credit = Credit::new();
        let little = u64::from(limits::WINDOW_MIN_BYTES / 4);
        credit.handle_bytes(at(0), 3 * little);
        credit.handle_rendered(at(30), little);
        assert!(credit.poll(at(30)).is_some());
        credit.handle_rendered(at(31), little);
        assert_eq!((credit.poll(at(31)), credit.next_timeout()), (None, Some(at(50))));
        assert!(credit.poll(at(50)).is_some());
        assert_eq!(credit.next_timeout(), None);
    }

    #[test]
    fn bytes_that_never_came_cannot_be_rendered() {
        let mut credit = Credit::new();
        credit.handle_rendered(at(0), 1_000_000);
        assert_eq!(credit.poll(at(0)), None);
    }
}
