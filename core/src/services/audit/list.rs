//! One page of a search. It looks at [`limits::AUDIT_SCAN`] rows at most, unless an
//! index leads to those that are meant, so that no search takes the store from the
//! others; the next page goes on behind them.

use chatcode_proto::{
    limits,
    pb::{AuditFilter, AuditListResponse, AuditRow},
};

use super::view::View;
use crate::store::{Store, StoreError};

/// At most `limit` rows with numbers below `before` (0: from the newest), newest
/// first.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn page(
    store: &Store,
    view: &View,
    filter: &AuditFilter,
    before: u64,
    limit: u32,
) -> Result<AuditListResponse, StoreError> {
    let numbers = store.audit_numbers(filter).await?;
    let mut end = if before == 0 { numbers.end } else { before.min(numbers.end) };
    let is_short = view.is_whole() && is_indexed(filter);
    let floor =
        if is_short { numbers.start } else { end.saturating_sub(limits::AUDIT_SCAN).max(numbers.start) };
    let mut rows: Vec<AuditRow> = Vec::new();
    let most = limit as usize;
    while end > floor && rows.len() < most {
        let mut page = store.audit_newest(filter, floor..end, limits::AUDIT_READ_ROWS.min(limit)).await?;
        let Some(last) = page.last().map(|row| row.number) else {
            end = floor;
            break;
        };
        let is_full = page.len() == limits::AUDIT_READ_ROWS.min(limit) as usize;
        end = if is_full { last } else { floor };
        view.only(&mut page);
        rows.append(&mut page);
    }
    if rows.len() > most {
        rows.truncate(most);
        end = rows.last().map_or(end, |row| row.number);
    }
    Ok(AuditListResponse { rows, next: if end > numbers.start { end } else { 0 } })
}

/// Whether an index leads to the rows.
fn is_indexed(filter: &AuditFilter) -> bool {
    let AuditFilter { principal, person, gateway, session, request_id, .. } = filter;
    [principal, person, gateway, session, request_id].iter().any(|value| !value.is_empty())
}
