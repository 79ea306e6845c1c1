//! For tests and benchmarks: starts the real programs on ports of their own,
//! and speaks to them as a page, an administrator or a stranger does.
//!
//! - [`proc`]: one real process; [`mesh`]: core, edge and gateway together.
//! - [`http`]: requests with every header in the test's hand; [`page`]: what a
//!   browser's page does; [`terminal`]: one attachment that resumes by itself.
//! - [`forward`]: a seeded forwarder that cuts, delays, reorders and loses
//!   packets; [`tcp`]: one that resets and silences connections.

pub mod forward;
pub mod http;
pub mod mesh;
pub mod page;
pub mod proc;
pub mod tcp;
pub mod terminal;

use std::time::Duration;

pub use mesh::Mesh;
pub use page::Page;
pub use terminal::Terminal;

/// How long a test waits for something that must come. Far beyond what is
/// needed: it only ends a test that would hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for `future`, at most [`PATIENCE`].
///
/// # Errors
/// When it does not come; the error names `what`.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::time::timeout(PATIENCE, future)
        .await
        .map_err(|_| anyhow::anyhow!("{what} did not come within {PATIENCE:?}"))
}

/// Asks `probe` again and again until it gives a value, at most [`PATIENCE`]:
/// for states that nobody announces.
///
/// # Errors
/// When it never gives one; the error names `what`.
pub async fn eventually<T>(
    what: &str,
    mut probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    soon(what, async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            if let Some(value) = probe().await? {
                return Ok(value);
            }
        }
    })
    .await?
}
