//! How long that which lets a caller in lives while calls run: a person's
//! session, or an API token.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use chatcode_proto::limits;
use tokio_util::sync::CancellationToken;

use super::directory::Directory;
use crate::{
    clock,
    store::{Store, StoreError, sign_ins::SecretHash},
};

/// What lets a caller in, by the hash of its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// A person's session at a page.
    Session(SecretHash),
    /// An API token.
    ApiToken(SecretHash),
}

/// A proof that has calls running. When it is over, they are cut.
#[derive(Debug)]
pub struct Life {
    proof: Proof,
    person: String,
    expires_ms: u64,
    ended: CancellationToken,
}

impl Life {
    /// The hash of the secret.
    #[must_use]
    pub const fn hash(&self) -> &SecretHash {
        let (Proof::Session(hash) | Proof::ApiToken(hash)) = &self.proof;
        hash
    }

    /// Ends it now.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// Waits until it has ended or is at its end.
    pub async fn over(&self) {
        let left = std::time::Duration::from_millis(self.expires_ms.saturating_sub(clock::unix_ms()));
        let _ = tokio::time::timeout(left, self.ended.cancelled()).await;
    }

    async fn is_alive(&self, store: &Store) -> Result<bool, StoreError> {
        Ok(match &self.proof {
            Proof::Session(hash) => store.person_session(hash).await?.is_some(),
            Proof::ApiToken(hash) => store.api_token(hash).await?.is_some(),
        })
    }
}

/// All that lets callers in and has calls running.
#[derive(Debug, Default)]
pub struct Lives {
    all: Mutex<HashMap<Proof, Weak<Life>>>,
}

impl Lives {
    /// The life of a proof of this person that was just found alive.
    #[must_use]
    pub fn of(&self, proof: Proof, person: &str, expires_ms: u64) -> Arc<Life> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        // A session that has ended never comes back; a token does, with its person.
        let comes_back = |life: &Life| matches!(proof, Proof::ApiToken(_)) && life.ended.is_cancelled();
        let known = all.get(&proof).and_then(Weak::upgrade);
        if let Some(life) = known.filter(|life| !comes_back(life)) {
            return life;
        }
        all.retain(|_, life| life.strong_count() > 0);
        let life = Life { proof, person: person.to_owned(), expires_ms, ended: CancellationToken::new() };
        let life = Arc::new(life);
        all.insert(proof, Arc::downgrade(&life));
        life
    }

    /// Ends what this is the hash of, if it has calls running.
    pub fn end(&self, hash: &SecretHash) {
        self.running().iter().filter(|life| life.hash() == hash).for_each(|life| life.end());
    }

    /// Ends all that lets this person in.
    pub fn end_person(&self, person: &str) {
        self.running().iter().filter(|life| life.person == person).for_each(|life| life.end());
    }

    /// Judges everything anew, for ever: ends what the store no longer knows, and
    /// reads again what everybody was given. The net below the news of each change.
    /// What has a running call is in use.
    pub async fn judge(&self, store: &Store, directory: &Directory) {
        let mut ticks = tokio::time::interval(limits::JUDGE);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.judge_once(store, directory).await {
                tracing::error!(error = &error as &dyn std::error::Error, "running calls are not judged");
            }
        }
    }

    /// # Errors
    /// [`StoreError`]; then some were not judged.
    async fn judge_once(&self, store: &Store, directory: &Directory) -> Result<(), StoreError> {
        directory.refresh(store).await?;
        for life in self.running() {
            if !life.is_alive(store).await? {
                life.end();
            }
        }
        Ok(())
    }

    fn running(&self) -> Vec<Arc<Life>> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().filter_map(Weak::upgrade).collect()
    }
}
