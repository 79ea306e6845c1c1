//! The connections of members: all of one end when it is revoked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use chatcode_proto::id::MemberId;
use tokio_util::sync::CancellationToken;

/// Held by each connection of a member.
#[derive(Debug, Default)]
pub struct Lasting(CancellationToken);

impl Lasting {
    /// Waits until the member is revoked.
    pub async fn over(&self) {
        self.0.cancelled().await;
    }
}

/// The members that have connections.
#[derive(Debug, Default)]
pub struct Connections(Mutex<HashMap<MemberId, Weak<Lasting>>>);

impl Connections {
    /// One more of this member. It has to be asked for before the allow-list is:
    /// whoever is revoked in between is on neither.
    #[must_use]
    pub fn one_of(&self, member: MemberId) -> Arc<Lasting> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&member).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, lasting| lasting.strong_count() > 0);
        let lasting = Arc::default();
        all.insert(member, Arc::downgrade(&lasting));
        lasting
    }

    /// How many a member has.
    #[must_use]
    pub fn of(&self, member: MemberId) -> u32 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&member).map_or(0, |lasting| u32::try_from(lasting.strong_count()).unwrap_or(u32::MAX))
    }

    /// Ends all that a member has now.
    pub fn end(&self, member: MemberId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lasting) = all.remove(&member).and_then(|lasting| lasting.upgrade()) {
            lasting.0.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_connections_of_a_member_end_together_and_no_others() {
        let connections = Connections::default();
        let (ada, bob) = (MemberId::from_random([1; 16]), MemberId::from_random([2; 16]));
        let (first, second, other) =
            (connections.one_of(ada), connections.one_of(ada), connections.one_of(bob));
        assert_eq!((connections.of(ada), connections.of(bob)), (2, 1));
        drop(second);
        assert_eq!(connections.of(ada), 1);
        connections.end(ada);
        first.over().await;
        assert!(!other.0.is_cancelled());
        let later = connections.one_of(ada);
        assert!(!later.0.is_cancelled(), "the allow-list judges it");
    }
}
