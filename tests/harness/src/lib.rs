//! For tests and benchmarks: starts the real programs on ports of their own,
//! and speaks to them as a page, an administrator or a stranger does.
//!
//! - [`proc`]: one real process; [`mesh`]: core, edge and gateway together.
//! - [`http`]: requests with every header in the test's hand; [`page`]: what a
//!   browser's page does; [`terminal`]: one attachment that resumes by itself.
//! - [`forward`]: a seeded forwarder that cuts, delays, reorders and loses
//!   packets; [`tcp`]: one that resets and silences connections; [`proxy`]: one that tunnels.
//! - [`breakable`]: an installation with a forwarder on every hop, and all that breaks there.

pub mod breakable;
pub mod forward;
pub mod http;
pub mod mesh;
pub mod page;
pub mod proc;
pub mod proxy;
pub mod tcp;
pub mod terminal;

use std::time::Duration;

pub use mesh::Mesh;
pub use page::Page;
pub use terminal::Terminal;

/// How long a test waits for something that must come. Far beyond what is
/// needed: it only ends a test that would hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Whether bounds of time are those that are promised: on a machine that does nothing
/// else, by `just bounds` and `just rotation`.
#[must_use]
pub fn bounds_are_exact() -> bool {
    std::env::var("CHATCODE_BOUNDS").is_ok_and(|how| how == "exact")
}

/// What may take `most` at most, did: three times that where other tests and builds
/// have a share in the machine.
///
/// # Errors
/// When it took longer.
pub fn within(what: &str, took: Duration, most: Duration) -> anyhow::Result<()> {
    let most = if bounds_are_exact() { most } else { 3 * most };
    anyhow::ensure!(
        took <= most,
        "{what} took {} ms, at most {} are allowed",
        took.as_millis(),
        most.as_millis()
    );
    Ok(())
}

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
