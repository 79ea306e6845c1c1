//! The connections of members: all of one end when it is revoked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use chatcode_proto::{id::MemberId, limits, name::display_safe};
use tokio_util::sync::CancellationToken;

/// Held by each connection of a member.
#[derive(Debug, Default)]
pub struct Lasting {
    revoked: CancellationToken,
    /// The version of its program; empty: not told.
    version: Mutex<String>,
}

impl Lasting {
    /// Waits until the member is revoked.
    pub async fn over(&self) {
        self.revoked.cancelled().await;
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

    /// A member tells the version of its program; kept while it has a connection.
    pub fn tells(&self, member: MemberId, version: &str) {
        let Some(known) = self.known(member) else { return };
        let mut kept = known.version.lock().unwrap_or_else(PoisonError::into_inner);
        if *kept != version {
            *kept = display_safe(version, limits::VERSION_CHARS);
        }
    }

    /// The version that a member tells; empty: none.
    #[must_use]
    pub fn version(&self, member: MemberId) -> String {
        let known = self.known(member);
        known.map_or_else(String::new, |known| {
            known.version.lock().unwrap_or_else(PoisonError::into_inner).clone()
        })
    }

    fn known(&self, member: MemberId) -> Option<Arc<Lasting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&member).and_then(Weak::upgrade)
    }

    /// Ends all that a member has now.
    pub fn end(&self, member: MemberId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lasting) = all.remove(&member).and_then(|lasting| lasting.upgrade()) {
            lasting.revoked.cancel();
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
        connections.tells(ada, "0.2.0\u{1b}");
        connections.tells(MemberId::from_random([3; 16]), "0.3.0");
        assert_eq!(
            (connections.version(ada).as_str(), connections.version(bob).as_str()),
            ("0.2.0\u{fffd}", "")
        );
        connections.end(ada);
        first.over().await;
        assert!(!other.revoked.is_cancelled());
        let later = connections.one_of(ada);
        assert!(!later.revoked.is_cancelled(), "the allow-list judges it");
    }
}
