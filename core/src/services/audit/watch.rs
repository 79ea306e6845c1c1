//! Every row from now on. A reader that is slow gets them later, and none twice: the
//! store keeps them.

use std::collections::VecDeque;

use chatcode_proto::{
    code::Refusal,
    limits,
    pb::{AuditFilter, AuditRow, AuditWatchResponse, audit_watch_response::Event},
};
use futures_util::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::Status;

use super::view::View;
use crate::{
    clock,
    store::{Store, StoreError},
};

struct Watch {
    store: Store,
    view: View,
    filter: AuditFilter,
    news: watch::Receiver<u64>,
    /// The last row that was looked at.
    last: u64,
    /// Rows that are to be told.
    rows: VecDeque<AuditRow>,
    /// Whether it has said that it has begun.
    begun: bool,
    _place: OwnedSemaphorePermit,
}

/// Begins a watch, with the rows from this number on; 0: with those that come.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn begin(
    store: Store,
    view: View,
    filter: AuditFilter,
    from_number: u64,
    place: OwnedSemaphorePermit,
) -> Result<impl Stream<Item = Result<AuditWatchResponse, Status>> + Send, StoreError> {
    let news = store.audit_news();
    let (head, _) = store.audit_head().await?;
    let last = from_number.checked_sub(1).map_or(head, |before| before.min(head));
    let watch = Watch { store, view, filter, news, last, rows: VecDeque::new(), begun: false, _place: place };
    Ok(stream::try_unfold(watch, |mut watch| async move {
        let event = watch.next().await.map_err(|error| Status::from(Refusal::from(error)))?;
        Ok::<_, Status>(Some((AuditWatchResponse { event: Some(event) }, watch)))
    }))
}

impl Watch {
    async fn next(&mut self) -> Result<Event, StoreError> {
        loop {
            if !self.begun {
                self.begun = true;
                return Ok(Event::AliveUnixMs(clock::unix_ms()));
            }
            if let Some(row) = self.rows.pop_front() {
                return Ok(Event::Row(row));
            }
            self.news.mark_unchanged();
            if self.look().await? {
                continue;
            }
            // Never an error: the store keeps the sender.
            if tokio::time::timeout(limits::AUDIT_ALIVE, self.news.changed()).await.is_err() {
                self.begun = false;
            }
        }
    }

    /// Reads on; says whether there was a row to look at.
    async fn look(&mut self) -> Result<bool, StoreError> {
        let (head, _) = self.store.audit_head().await?;
        if head <= self.last {
            return Ok(false);
        }
        let numbers = self.last + 1..head + 1;
        let mut rows = self.store.audit_oldest(&self.filter, numbers, limits::AUDIT_READ_ROWS).await?;
        let is_full = rows.len() == limits::AUDIT_READ_ROWS as usize;
        self.last = rows.last().filter(|_| is_full).map_or(head, |last| last.number);
        self.view.only(&mut rows);
        self.rows = rows.into();
        Ok(true)
    }
}
