//! Small writes that wait at the same time share one transaction, and so one wait for
//! the disk (group commit): when thousands of links come back at once, each has two of
//! them, and a disk makes a few hundred transactions a second.
//!
//! Everyone who writes puts the write into the queue and asks for the one connection that
//! writes; who gets it has all that waits there written.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chatcode_proto::{id::GatewayId, limits, pb::Code};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::{
    Store, StoreError, Tx,
    audit::{self, Entry},
    from_row, to_row,
};

/// One of the writes that come by the thousand.
#[derive(Debug)]
pub(super) enum Write {
    /// A row of the audit whose act is done elsewhere.
    Row(Entry),
    /// A link came up.
    LinkBegun { gateway: GatewayId, last_epoch: u64, since_ms: u64, facts: Vec<u8>, program_version: String },
    /// The link of this epoch ended; a newer one is left alone.
    LinkEnded { gateway: GatewayId, epoch: u64, since_ms: u64, code: Code },
}

impl Write {
    /// Gives the epoch of a link that came up, otherwise nothing of worth.
    async fn make(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        match self {
            Self::Row(entry) => {
                audit::append(tx, entry).await?;
                Ok(0)
            }
            Self::LinkBegun { gateway, last_epoch, since_ms, facts, program_version } => {
                let epoch: i64 = sqlx::query_scalar(
                    "INSERT INTO links (gateway, epoch, since_ms, ended, facts, program_version)
                     VALUES ($1, $2 + 1, $3, 0, $4, $5)
                     ON CONFLICT (gateway) DO UPDATE SET
                        epoch = CASE WHEN links.epoch > $2 THEN links.epoch ELSE $2 END + 1,
                        since_ms = excluded.since_ms, ended = 0,
                        facts = excluded.facts, program_version = excluded.program_version
                     RETURNING epoch",
                )
                .bind(gateway.to_string())
                .bind(to_row(*last_epoch))
                .bind(to_row(*since_ms))
                .bind(facts)
                .bind(program_version)
                .fetch_one(&mut **tx)
                .await?;
                Ok(from_row(epoch))
            }
            Self::LinkEnded { gateway, epoch, since_ms, code } => {
                sqlx::query("UPDATE links SET since_ms = $3, ended = $4 WHERE gateway = $1 AND epoch = $2")
                    .bind(gateway.to_string())
                    .bind(to_row(*epoch))
                    .bind(to_row(*since_ms))
                    .bind(i64::from(*code as i32))
                    .execute(&mut **tx)
                    .await?;
                Ok(0)
            }
        }
    }
}

/// The writes that wait for the connection.
#[derive(Debug, Default)]
pub(super) struct Together {
    waiting: Mutex<VecDeque<Waiting>>,
    /// Transactions under way.
    making: TaskTracker,
}

/// One of them; whose writer is gone is passed over.
#[derive(Debug)]
struct Waiting {
    write: Arc<Write>,
    made: oneshot::Sender<Result<u64, StoreError>>,
}

impl Together {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next ones whose writers are there, oldest first.
    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.lock();
        let open = std::iter::from_fn(|| waiting.pop_front()).filter(|one| !one.made.is_closed());
        open.take(limits::WRITES_TOGETHER).collect()
    }

    /// Takes one out again; `false`: it is being made.
    fn withdraw(&self, write: &Arc<Write>) -> bool {
        let mut waiting = self.lock();
        let before = waiting.len();
        waiting.retain(|one| !Arc::ptr_eq(&one.write, write));
        waiting.len() < before
    }

    /// Waits until nothing is being made.
    pub(super) async fn close(&self) {
        self.making.close();
        self.making.wait().await;
    }
}

impl Store {
    /// Makes one write, with others that wait. It is on the disk when this returns.
    /// Cancelled, it may have been made or not.
    ///
    /// # Errors
    /// [`StoreError`]: its own; then it was not made. One of several that fails fails none
    /// of the others: they are made alone then.
    pub(super) async fn write_together(&self, write: Write) -> Result<u64, StoreError> {
        let write = Arc::new(write);
        let (made, mut outcome) = oneshot::channel();
        self.together.lock().push_back(Waiting { write: Arc::clone(&write), made });
        loop {
            tokio::select! {
                biased;
                outcome = &mut outcome => return match outcome {
                    Ok(outcome) => outcome,
                    // What was written for all has failed.
                    Err(_) => make_in(self.begin().await?, &write).await,
                },
                tx = self.begin() => match tx {
                    // In a task of its own: a caller that goes must not leave the others
                    // in doubt whether theirs are made.
                    Ok(tx) => {
                        let together = Arc::clone(&self.together);
                        let all = async move { together.write_all(tx).await };
                        let _ = self.together.making.spawn(all.in_current_span()).await;
                    }
                    Err(error) if self.together.withdraw(&write) => return Err(error),
                    Err(_) => {}
                },
            }
        }
    }
}

impl Together {
    /// All that wait, in one transaction. When that fails they are let go, to be made
    /// alone; one that was alone is told.
    async fn write_all(&self, mut tx: Tx) {
        let mut batch = self.take();
        if let [_] = batch[..]
            && let Some(Waiting { write, made }) = batch.pop()
        {
            // Its writer may be gone.
            let _ = made.send(make_in(tx, &write).await);
            return;
        }
        let mut values = Vec::with_capacity(batch.len());
        for Waiting { write, .. } in &batch {
            match write.make(&mut tx).await {
                Ok(value) => values.push(value),
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "not written together");
                    return;
                }
            }
        }
        if batch.is_empty() || tx.commit().await.is_err() {
            return;
        }
        for (Waiting { made, .. }, value) in batch.into_iter().zip(values) {
            let _ = made.send(Ok(value));
        }
    }
}

/// One write, and its commit.
async fn make_in(mut tx: Tx, write: &Write) -> Result<u64, StoreError> {
    let value = write.make(&mut tx).await?;
    tx.commit().await?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use tokio::task::{JoinHandle, JoinSet};

    use super::*;

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("core.db")).await.unwrap();
        (folder, store)
    }

    fn nobody_s_link() -> Write {
        Write::LinkBegun {
            gateway: GatewayId::from_random([7; 16]),
            last_epoch: 0,
            since_ms: 1,
            facts: Vec::new(),
            program_version: String::new(),
        }
    }

    #[tokio::test]
    async fn writes_that_come_at_once_are_made_once_each_and_one_that_fails_fails_no_other() {
        let (_folder, store) = store().await;
        let holds_up = store.begin().await.unwrap();
        let mut writers = JoinSet::new();
        for number in 0..3 * limits::WRITES_TOGETHER {
            let store = store.clone();
            writers.spawn(async move {
                let is_bad = number % limits::WRITES_TOGETHER == 5;
                let row = Write::Row(Entry::new("test", format!("act.{number}")));
                let write = if is_bad { nobody_s_link() } else { row };
                assert_eq!(store.write_together(write).await.is_err(), is_bad, "{number}");
            });
        }
        while store.together.lock().len() < 3 * limits::WRITES_TOGETHER {
            tokio::task::yield_now().await;
        }
        drop(holds_up);
        while let Some(writer) = writers.join_next().await {
            writer.unwrap();
        }
        let rows = store.audit_rows(0, 1000).await.unwrap();
        let mut actions: Vec<_> = rows.into_iter().map(|row| row.action).collect();
        actions.sort_unstable();
        actions.dedup();
        assert_eq!(actions.len(), 3 * limits::WRITES_TOGETHER - 3, "each once, but for those that fail");
        assert!(matches!(store.verify_audit().await.unwrap(), audit::Verdict::Whole(_)));
    }

    #[tokio::test]
    async fn writes_that_wait_together_go_to_the_disk_together() {
        let (folder, store) = store().await;
        let log = || std::fs::metadata(folder.path().join("core.db-wal")).unwrap().len();
        let (before, holds_up) = (log(), store.begin().await.unwrap());
        let mut writers = JoinSet::new();
        for _ in 0..limits::WRITES_TOGETHER {
            let store = store.clone();
            writers.spawn(async move { store.audit(&Entry::new("test", "act")).await.unwrap() });
        }
        while store.together.lock().len() < limits::WRITES_TOGETHER {
            tokio::task::yield_now().await;
        }
        drop(holds_up);
        while let Some(writer) = writers.join_next().await {
            writer.unwrap();
        }
        // Alone, each writes three pages of 4 KiB: the row, the head and an index.
        let pages = (log() - before) / 4096;
        assert!(pages < limits::WRITES_TOGETHER as u64, "{pages} pages");
    }

    /// Ten rows that wait, each with its writer, and what holds them up.
    async fn ten_wait(store: &Store) -> (Tx, Vec<JoinHandle<Result<(), StoreError>>>) {
        let holds_up = store.begin().await.unwrap();
        let mut writers = Vec::new();
        for number in 0..10 {
            let store = store.clone();
            writers.push(tokio::spawn(async move {
                store.audit(&Entry::new("test", format!("act.{number}"))).await
            }));
        }
        while store.together.lock().len() < 10 {
            tokio::task::yield_now().await;
        }
        (holds_up, writers)
    }

    #[tokio::test]
    async fn a_writer_that_gives_up_before_it_takes_nobody_with_it() {
        let (_folder, store) = store().await;
        let (holds_up, mut writers) = ten_wait(&store).await;
        // The first one would have written for all.
        writers.remove(0).abort();
        drop(holds_up);
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        assert_eq!(store.audit_rows(0, 100).await.unwrap().len(), 9);
    }

    #[tokio::test]
    async fn a_writer_that_gives_up_while_it_writes_for_all_doubles_no_row() {
        // At each of the moments at which it can go.
        for moment in 0..60 {
            let (_folder, store) = store().await;
            let (holds_up, mut writers) = ten_wait(&store).await;
            drop(holds_up);
            while store.together.lock().len() == 10 {
                tokio::task::yield_now().await;
            }
            for _ in 0..moment * 20 {
                tokio::task::yield_now().await;
            }
            writers.remove(0).abort();
            for writer in writers {
                writer.await.unwrap().unwrap();
            }
            store.together.making.close();
            store.together.making.wait().await;
            let rows = store.audit_rows(0, 100).await.unwrap();
            assert_eq!(rows.len(), 10, "{moment}: all were taken together");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_begun_is_not_made_later() {
        let (folder, store) = store().await;
        store.write.close().await;
        store.audit(&Entry::new("test", "act")).await.unwrap_err();
        assert!(store.together.lock().is_empty(), "nothing is left behind");
        let again = Store::open(&folder.path().join("core.db")).await.unwrap();
        assert!(again.audit_rows(0, 10).await.unwrap().is_empty());
    }
}
