//! An export: begin, rows oldest first, head. It reads the store as fast as the
//! caller takes it, and no rows that came after its begin.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use chatcode_proto::{
    code::Refusal,
    limits,
    pb::{
        AuditExportBegin, AuditExportResponse, AuditFilter, AuditHead, AuditRows, Code,
        audit_export_response::Part,
    },
};
use futures_util::{Stream, stream};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::view::View;
use crate::{shared::Shared, store::Store};

struct Export {
    store: Store,
    view: View,
    filter: AuditFilter,
    /// The rows that are still to be sent.
    numbers: Range<u64>,
    /// What is to be sent before them.
    ahead: VecDeque<Part>,
    /// What is sent at the end.
    head: Option<AuditHead>,
    _place: OwnedSemaphorePermit,
}

/// Begins an export from this number on (0: the oldest row).
///
/// # Errors
/// `INVALID` when the rows from there are in an archive, or there is none yet;
/// `INTERNAL`.
pub(super) async fn begin(
    shared: Arc<Shared>,
    view: View,
    filter: AuditFilter,
    from_number: u64,
    place: OwnedSemaphorePermit,
) -> Result<impl Stream<Item = Result<AuditExportResponse, Status>> + Send, Refusal> {
    let store = shared.store.clone();
    let (last, hash) = store.audit_head().await?;
    let (archived, _) = store.audit_archived().await?;
    let first = if from_number == 0 { archived + 1 } else { from_number };
    if first > last + 1 {
        let words = format!("there is no row {first} yet; the last one is {last}");
        return Err(Refusal::new(Code::Invalid, words));
    }
    let previous = store.audit_hash(first - 1).await?.ok_or_else(|| {
        let words = format!("the rows up to {archived} are in archive files; begin behind them");
        Refusal::new(Code::Invalid, words)
    })?;
    let chosen = filter != AuditFilter::default() || !view.is_whole();
    let begin = AuditExportBegin {
        installation: shared.installation().to_owned(),
        first,
        previous: previous.into(),
        chosen,
    };
    let head = if chosen { None } else { Some(shared.sign_head(last, &hash)?) };
    let ahead = VecDeque::from([Part::Begin(begin)]);
    let export = Export { store, view, filter, numbers: first..last + 1, ahead, head, _place: place };
    Ok(stream::try_unfold(export, |mut export| async move {
        let part = export.next().await.map_err(Status::from)?;
        Ok::<_, Status>(part.map(|part| (AuditExportResponse { part: Some(part) }, export)))
    }))
}

impl Export {
    async fn next(&mut self) -> Result<Option<Part>, Refusal> {
        if let Some(part) = self.ahead.pop_front() {
            return Ok(Some(part));
        }
        while !self.numbers.is_empty() {
            // A search for rare rows comes back now and then, so that others get the
            // store, and whoever left is noticed.
            let end = self.numbers.end.min(self.numbers.start + limits::AUDIT_SCAN);
            let numbers = self.numbers.start..end;
            let mut rows = self.store.audit_oldest(&self.filter, numbers, limits::AUDIT_EXPORT_ROWS).await?;
            let is_full = rows.len() == limits::AUDIT_EXPORT_ROWS as usize;
            self.numbers.start = rows.last().filter(|_| is_full).map_or(end, |last| last.number + 1);
            self.view.only(&mut rows);
            if !rows.is_empty() {
                return Ok(Some(Part::Rows(AuditRows { rows })));
            }
            tokio::task::yield_now().await;
        }
        Ok(self.head.take().map(Part::Head))
    }
}
