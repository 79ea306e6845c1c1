//! The writer's lease: at most one viewer types and sets the size.

use super::Time;
use crate::{id::ViewerId, limits};

/// Who holds the lease.
#[derive(Debug, Default)]
pub(super) struct Lease {
    writer: Option<Writer>,
}

#[derive(Debug)]
struct Writer {
    viewer: ViewerId,
    /// Since when its connection is broken.
    away_since: Option<Time>,
}

impl Lease {
    /// Who holds it, attached or away for a moment.
    pub(super) fn writer(&self) -> Option<ViewerId> {
        self.writer.as_ref().map(|writer| writer.viewer)
    }

    /// Whether this viewer holds it.
    pub(super) fn is_held_by(&self, viewer: ViewerId) -> bool {
        self.writer() == Some(viewer)
    }

    /// Gives it to this viewer when nobody has it; true when it is this
    /// viewer's now.
    pub(super) fn claim(&mut self, viewer: ViewerId) -> bool {
        if self.writer.is_none() {
            self.give(viewer);
        }
        self.is_held_by(viewer)
    }

    /// Gives it to this viewer, whoever has it.
    pub(super) fn give(&mut self, viewer: ViewerId) {
        self.writer = Some(Writer { viewer, away_since: None });
    }

    /// Nobody has it.
    pub(super) fn free(&mut self) {
        self.writer = None;
    }

    /// The viewer's connection broke; it may come back for
    /// [`limits::LEASE_GRACE`].
    pub(super) fn broken(&mut self, now: Time, viewer: ViewerId) {
        if let Some(writer) = self.writer.as_mut().filter(|writer| writer.viewer == viewer) {
            writer.away_since = Some(now);
        }
    }

    /// The viewer is back.
    pub(super) fn back(&mut self, viewer: ViewerId) {
        if let Some(writer) = self.writer.as_mut().filter(|writer| writer.viewer == viewer) {
            writer.away_since = None;
        }
    }

    /// When it becomes free by itself.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        Some(self.writer.as_ref()?.away_since? + limits::LEASE_GRACE)
    }

    /// Frees it when its time has come; true when it did.
    pub(super) fn handle_timeout(&mut self, now: Time) -> bool {
        let is_due = self.next_timeout().is_some_and(|due| now >= due);
        if is_due {
            self.free();
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ViewerId = ViewerId::new([1; 16]);
    const B: ViewerId = ViewerId::new([2; 16]);

    #[test]
    fn the_first_one_gets_it_and_keeps_it_until_it_is_taken() {
        let mut lease = Lease::default();
        assert!(lease.claim(A));
        assert!(!lease.claim(B));
        lease.give(B);
        assert!(lease.is_held_by(B) && !lease.is_held_by(A));
    }

    #[test]
    fn it_waits_for_a_broken_connection_and_no_longer() {
        let mut lease = Lease::default();
        lease.give(A);
        lease.broken(Time::from_secs(1), A);
        assert!(!lease.claim(B));
        assert!(!lease.handle_timeout(Time::from_secs(10)));
        assert!(lease.handle_timeout(Time::from_secs(11)));
        assert!(lease.claim(B));
    }

    #[test]
    fn one_who_came_back_keeps_it() {
        let mut lease = Lease::default();
        lease.give(A);
        lease.broken(Time::from_secs(1), A);
        lease.back(A);
        assert_eq!(lease.next_timeout(), None);
        lease.broken(Time::from_secs(2), B);
        assert_eq!(lease.next_timeout(), None, "another's broken connection is not its business");
    }
}
