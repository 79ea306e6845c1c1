//! All WebSockets of the edge: how many there may be, and when they close.

use std::sync::{Arc, atomic::AtomicU64};

use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// All WebSockets of the edge: counted, and told when it stops.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// Places for calls.
    pub(crate) places: Arc<Semaphore>,
    /// Places for those that are only told that there is none.
    pub(crate) refusals: Arc<Semaphore>,
    /// Those that are open.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when they have to close.
    pub(crate) drain: CancellationToken,
    /// Numbers them in the log.
    pub(crate) number: AtomicU64,
}

impl Sockets {
    /// At most `places` sockets, and `refusals` that are only told that there is no
    /// place; all close when `drain` is cancelled.
    pub(crate) fn new(places: usize, refusals: usize, drain: CancellationToken) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            refusals: Arc::new(Semaphore::new(refusals)),
            tasks: TaskTracker::new(),
            drain,
            number: AtomicU64::new(0),
        }
    }

    /// Returns when the last socket is closed; `drain` must be cancelled.
    pub(crate) async fn closed(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
