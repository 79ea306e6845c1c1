//! How long a person's session with running calls lives.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use chatcode_proto::limits;
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    store::{Store, people::SecretHash},
};

/// A person's session that has calls running. When it is over, they are cut.
#[derive(Debug)]
pub struct Life {
    hash: SecretHash,
    expires_ms: u64,
    ended: CancellationToken,
}

impl Life {
    /// The hash of the session token.
    #[must_use]
    pub const fn hash(&self) -> &SecretHash {
        &self.hash
    }

    /// Ends it now.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// Waits until the session has ended or is at its end.
    pub async fn over(&self) {
        let left = std::time::Duration::from_millis(self.expires_ms.saturating_sub(clock::unix_ms()));
        let _ = tokio::time::timeout(left, self.ended.cancelled()).await;
    }
}

/// All sessions of people that have calls running.
#[derive(Debug, Default)]
pub struct Lives {
    all: Mutex<HashMap<SecretHash, Weak<Life>>>,
}

impl Lives {
    /// The life of a session that was just found alive.
    #[must_use]
    pub fn of(&self, hash: SecretHash, expires_ms: u64) -> Arc<Life> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(life) = all.get(&hash).and_then(Weak::upgrade) {
            return life;
        }
        all.retain(|_, life| life.strong_count() > 0);
        let life = Arc::new(Life { hash, expires_ms, ended: CancellationToken::new() });
        all.insert(hash, Arc::downgrade(&life));
        life
    }

    /// Judges the sessions with running calls anew, for ever, and ends those
    /// that the store no longer knows. A session with a running call is in
    /// use.
    pub async fn judge(&self, store: &Store) {
        let mut ticks = tokio::time::interval(limits::JUDGE);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for life in self.running() {
                match store.person_session(life.hash()).await {
                    Ok(Some(_)) => {}
                    Ok(None) => life.end(),
                    Err(error) => {
                        tracing::error!(error = &error as &dyn std::error::Error, "sessions are not judged");
                    }
                }
            }
        }
    }

    fn running(&self) -> Vec<Arc<Life>> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().filter_map(Weak::upgrade).collect()
    }
}
