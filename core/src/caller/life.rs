//! How long that which lets a caller in lives while calls run: a person's
//! session, an API token, or a guest's token.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use chatcode_proto::{code::Refusal, limits, pb::Code};
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
    /// A guest's token.
    Guest(SecretHash),
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
        let (Proof::Session(hash) | Proof::ApiToken(hash) | Proof::Guest(hash)) = &self.proof;
        hash
    }

    /// Why a call ends that rested on it.
    #[must_use]
    pub fn is_over(&self) -> Refusal {
        let words = match self.proof {
            Proof::Guest(_) => {
                "the link by which you are here was taken back or has ended; ask for another one"
            }
            Proof::Session(_) | Proof::ApiToken(_) => "your session has ended; sign in again",
        };
        Refusal::new(Code::Unauthenticated, words)
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
            Proof::Guest(hash) => store.guest(hash).await?.is_some(),
        })
    }
}

/// What keeps a connection without a certificate: the life of the API token that it
/// has shown last. Held, so that it is judged also between two calls.
#[derive(Debug, Default)]
pub struct Vouched(Mutex<Option<Arc<Life>>>);

impl Vouched {
    /// A call has shown a right token.
    pub fn by(&self, life: &Arc<Life>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(life));
    }

    /// Waits until no token that was shown counts any more; at once when none was.
    pub async fn over(&self) {
        loop {
            let life = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            match life {
                Some(life) => life.over().await,
                None => return,
            }
        }
    }
}

/// A moment in the lives of all; what was found in the store after it is of that
/// moment or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(u64);

/// All that lets callers in and has calls running.
#[derive(Debug, Default)]
pub struct Lives {
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    lives: HashMap<Proof, Weak<Life>>,
    /// Goes up whenever something ends: what was read before may be over.
    ends: u64,
}

impl Lives {
    /// This moment.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment(self.lock().ends)
    }

    /// The life of a proof of this person that was found alive since this moment;
    /// `None` when something has ended since, so that it has to be looked up again:
    /// it may be what was found.
    #[must_use]
    pub fn of(&self, proof: Proof, person: &str, expires_ms: u64, since: Moment) -> Option<Arc<Life>> {
        let mut guard = self.lock();
        let All { lives: all, ends } = &mut *guard;
        if Moment(*ends) != since {
            return None;
        }
        // A session that has ended never comes back; a token does, with its person.
        let comes_back = |life: &Life| matches!(proof, Proof::ApiToken(_)) && life.ended.is_cancelled();
        let known = all.get(&proof).and_then(Weak::upgrade);
        if let Some(life) = known.filter(|life| !comes_back(life)) {
            return Some(life);
        }
        all.retain(|_, life| life.strong_count() > 0);
        let life = Life { proof, person: person.to_owned(), expires_ms, ended: CancellationToken::new() };
        let life = Arc::new(life);
        all.insert(proof, Arc::downgrade(&life));
        Some(life)
    }

    /// Ends what this is the hash of, and which the store has ended.
    pub fn end(&self, hash: &SecretHash) {
        self.end_all(|life| life.hash() == hash);
    }

    /// As [`Self::end`], for each of them.
    pub fn end_each(&self, hashes: &[SecretHash]) {
        if !hashes.is_empty() {
            self.end_all(|life| hashes.contains(life.hash()));
        }
    }

    /// Ends all that lets this person in, and which the store has ended.
    pub fn end_person(&self, person: &str) {
        self.end_all(|life| life.person == person);
    }

    /// Those that begin after this have read the store again.
    fn end_all(&self, which: impl Fn(&Life) -> bool) {
        let mut all = self.lock();
        all.ends += 1;
        all.lives.values().filter_map(Weak::upgrade).filter(|life| which(life)).for_each(|life| life.end());
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Judges everything anew now.
    ///
    /// # Errors
    /// [`StoreError`]; then some were not judged.
    pub async fn judge_once(&self, store: &Store, directory: &Directory) -> Result<(), StoreError> {
        directory.refresh(store).await?;
        for life in self.running() {
            if !life.is_alive(store).await? {
                life.end();
            }
        }
        Ok(())
    }

    fn running(&self) -> Vec<Arc<Life>> {
        self.lock().lives.values().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_between_its_look_up_and_its_call_is_looked_up_again() {
        let lives = Lives::default();
        let proof = Proof::ApiToken([1; 32]);
        let before = lives.moment();
        lives.end(&[1; 32]);
        assert!(lives.of(proof, "ada", u64::MAX, before).is_none());
        let life = lives.of(proof, "ada", u64::MAX, lives.moment()).expect("nothing has ended since");
        let again = lives.of(proof, "ada", u64::MAX, lives.moment()).expect("nothing has ended since");
        assert!(Arc::ptr_eq(&life, &again));
        lives.end_person("ada");
        assert!(life.ended.is_cancelled());
    }

    /// Whether something is not done after a look at it.
    async fn waits(work: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(std::time::Duration::ZERO, work).await.is_err()
    }

    #[tokio::test]
    async fn a_connection_lasts_as_long_as_the_token_that_it_has_shown_last() {
        let lives = Lives::default();
        let life = |number: u8| lives.of(Proof::ApiToken([number; 32]), "ada", u64::MAX, lives.moment());
        let (first, second) = (life(1).expect("is new"), life(2).expect("is new"));
        let vouched = Vouched::default();
        vouched.over().await;
        vouched.by(&first);
        let mut over = std::pin::pin!(vouched.over());
        assert!(waits(&mut over).await);
        vouched.by(&second);
        lives.end(&[1; 32]);
        assert!(waits(&mut over).await, "the second one counts");
        lives.end(&[2; 32]);
        over.await;
    }
}
