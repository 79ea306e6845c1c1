//! What everybody was given, in memory: a call is judged without asking the
//! store, and whoever waits learns of every change.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Mutex, watch};

use crate::{
    people::Given,
    store::{Store, StoreError, bindings::AllGiven},
};

/// What everybody was given, as the store had it last.
#[derive(Debug)]
pub struct Directory {
    given: RwLock<Arc<AllGiven>>,
    /// Goes up with each change.
    epoch: watch::Sender<u64>,
    /// One at a time: what was read first never replaces what was read later.
    refreshing: Mutex<()>,
}

impl Directory {
    /// Begins with what the store has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        Ok(Self {
            given: RwLock::new(Arc::new(store.all_given().await?)),
            epoch: watch::Sender::new(0),
            refreshing: Mutex::new(()),
        })
    }

    /// Reads anew; whoever waits is told when something has changed.
    ///
    /// # Errors
    /// [`StoreError`]; what was known before counts on.
    pub async fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        let _one = self.refreshing.lock().await;
        let now = store.all_given().await?;
        let changed = {
            let mut given = self.given.write().unwrap_or_else(PoisonError::into_inner);
            let changed = **given != now;
            if changed {
                *given = Arc::new(now);
            }
            changed
        };
        if changed {
            self.epoch.send_modify(|epoch| *epoch += 1);
        }
        Ok(())
    }

    /// All that is known, as it is now.
    #[must_use]
    pub fn now(&self) -> Arc<AllGiven> {
        Arc::clone(&self.given.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a person was given: by themselves and through teams. Nothing for
    /// those who are suspended or not known.
    pub fn with<T>(&self, person: &str, look: impl FnOnce(&[Given]) -> T) -> T {
        look(self.now().get(person).map_or(&[], Vec::as_slice))
    }

    /// Changes from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }
}
