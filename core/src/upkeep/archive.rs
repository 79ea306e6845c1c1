//! Old rows of the audit move into files: each a chain of its own with a signed
//! head, and the chain in the store goes on behind them. A row is in a file on the
//! disk before it leaves the store, and the audit says where it is.

use std::{io::Write as _, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};

use chatcode_audit::{Begin, Checker, Fault, Line, hex};
use chatcode_certs::files::{self, FilesError};
use chatcode_proto::{code::Refusal, limits, pb::AuditFilter};
use sha2::{Digest as _, Sha256};

use crate::{
    clock,
    shared::Shared,
    store::{StoreError, audit::Entry},
};

/// A day.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Why rows stay in the store.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain is broken: what cannot be proven is not moved.
    #[error("the audit is not as it was written: {0}")]
    Broken(#[from] Fault),
    /// The file.
    #[error("an archive of the audit cannot be written")]
    File(#[from] FilesError),
    /// The head cannot be signed.
    #[error(transparent)]
    Sign(#[from] Refusal),
    /// A task of ours broke off.
    #[error("the archive broke off")]
    BrokeOff,
}

/// Moves rows that are older than the setting says, for ever; does nothing where
/// they are kept for ever.
pub async fn archive(shared: &Arc<Shared>) {
    let mut setting = shared.audit.keep_days();
    let mut looks = tokio::time::interval(limits::AUDIT_ARCHIVE_LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            // The sender lives as long as `shared`.
            _ = setting.changed() => {}
        }
        let days = *setting.borrow_and_update();
        if days == 0 {
            continue;
        }
        let before = clock::unix_ms().saturating_sub(clock::millis(DAY * days));
        loop {
            match archive_before(shared, before).await {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "old rows of the audit are not archived; they stay in the store");
                    break;
                }
            }
        }
    }
}

/// Moves the oldest rows that were written before this moment (milliseconds since
/// 1970) into a file, at most [`limits::AUDIT_ARCHIVE_ROWS`]; says which file, `None`
/// when there are no such rows.
///
/// # Errors
/// [`ArchiveError`]; all rows are in the store then.
pub async fn archive_before(
    shared: &Arc<Shared>,
    before_unix_ms: u64,
) -> Result<Option<PathBuf>, ArchiveError> {
    let Some(numbers) = shared.store.audit_older_than(before_unix_ms).await? else { return Ok(None) };
    let (first, last) = (*numbers.start(), *numbers.end());
    let path = shared.audit.folder.join(format!("audit-{first:012}-{last:012}.jsonl"));
    let (lines, hash) = lines(shared, numbers).await?;
    let digest = hex(&Sha256::digest(&lines));
    let file = path.clone();
    // Waits for the disk.
    let written = tokio::task::spawn_blocking(move || files::write_private(&file, &lines)).await;
    written.map_err(|_| ArchiveError::BrokeOff)??;
    let detail =
        format!("rows {first} to {last} are in audit-{first:012}-{last:012}.jsonl, SHA-256 {digest}");
    let act = Entry { detail, ..Entry::new("core", "audit.archived") };
    shared.store.audit_let_go(last, &hash, &act).await?;
    tracing::info!(first, last, file = %path.display(), "rows of the audit are archived");
    Ok(Some(path))
}

/// The lines of a file with these rows, and the hash of the last.
async fn lines(
    shared: &Arc<Shared>,
    numbers: RangeInclusive<u64>,
) -> Result<(Vec<u8>, Vec<u8>), ArchiveError> {
    let (mut next, end) = (*numbers.start(), *numbers.end() + 1);
    let missing = || Fault::Missing { first: next, last: next };
    let previous = shared.store.audit_hash(next - 1).await?.ok_or_else(missing)?;
    let mut checker = Checker::new(next, &previous);
    let mut text = Vec::new();
    let begin =
        Begin { installation: shared.installation().to_owned(), first: next, previous, chosen: false };
    put(&mut text, &Line::Begin(begin));
    while next < end {
        let rows =
            shared.store.audit_oldest(&AuditFilter::default(), next..end, limits::AUDIT_READ_ROWS).await?;
        if rows.is_empty() {
            return Err(Fault::Missing { first: next, last: end - 1 }.into());
        }
        for row in rows {
            checker.row(&row)?;
            next = row.number + 1;
            put(&mut text, &Line::Row(row));
        }
    }
    let hash = checker.hash().to_vec();
    put(&mut text, &Line::Head(shared.sign_head(checker.last(), &hash)?));
    Ok((text, hash))
}

fn put(text: &mut Vec<u8>, line: &Line) {
    // Fails for no line that there is.
    let _ = line.to_text().map(|line| writeln!(text, "{line}"));
}
