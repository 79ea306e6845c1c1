//! The live links, one per gateway. Who is live is decided by epochs: a newer
//! link takes the place of an older one, and an ending touches only its own.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chatcode_link::Link;
use chatcode_proto::{id::GatewayId, pb::Code};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// What a link is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Say when to come back, then close.
    Drain {
        /// Milliseconds.
        retry_after_ms: u32,
    },
    /// Say that the identity is revoked, then close.
    Revoke,
    /// Say what to trust; the link stays.
    Trust,
    /// Send a heartbeat at once.
    Beat,
}

/// One link from Welcome to its end.
#[derive(Debug)]
pub struct LiveLink {
    /// Whose link it is.
    pub gateway: GatewayId,
    /// Larger than that of every earlier link of this gateway.
    pub epoch: u64,
    /// Names the run of the daemon at the other end.
    pub instance: Vec<u8>,
    /// Opens channels to the gateway's services.
    pub link: Link,
    orders: mpsc::Sender<Order>,
    dead: CancellationToken,
    ended: OnceLock<Code>,
    /// The number of the last heartbeat that was sent, and of the last that was
    /// echoed.
    sent: AtomicU64,
    echoed: watch::Sender<u64>,
}

impl LiveLink {
    /// A link that has been welcomed, and the orders that it will get.
    #[must_use]
    pub fn new(
        gateway: GatewayId,
        epoch: u64,
        instance: Vec<u8>,
        link: Link,
    ) -> (Arc<Self>, mpsc::Receiver<Order>) {
        let (orders, inbox) = mpsc::channel(4);
        let (dead, ended) = (CancellationToken::new(), OnceLock::new());
        let (sent, echoed) = (AtomicU64::new(0), watch::Sender::new(0));
        (Arc::new(Self { gateway, epoch, instance, link, orders, dead, ended, sent, echoed }), inbox)
    }

    /// Gives an order. A link that does not take it is closed.
    pub fn order(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            self.close(Code::Timeout, "the link did not take an order");
        }
    }

    /// Notes that the heartbeat of this number goes out.
    pub fn beat_sent(&self, number: u64) {
        self.sent.store(number, Ordering::Relaxed);
    }

    /// Notes that the heartbeat of this number came back.
    pub fn beat_echoed(&self, number: u64) {
        self.echoed.send_if_modified(|last| {
            let is_newer = number > *last && number <= self.sent.load(Ordering::Relaxed);
            if is_newer {
                *last = number;
            }
            is_newer
        });
    }

    /// Whether the other end answers a heartbeat that is sent from now on, within
    /// `patience`.
    pub async fn answers(&self, patience: Duration) -> bool {
        let before = self.sent.load(Ordering::Relaxed);
        let mut echoed = self.echoed.subscribe();
        // With a full queue a heartbeat is on its way already.
        let _ = self.orders.try_send(Order::Beat);
        let answer = async { echoed.wait_for(|number| *number > before).await.is_ok() };
        let answer = self.dead.run_until_cancelled(tokio::time::timeout(patience, answer));
        answer.await.is_some_and(|in_time| in_time.unwrap_or(false))
    }

    /// Closes the link at once; calls over it are cut. Only the first cause
    /// counts.
    pub fn close(&self, code: Code, reason: &str) {
        let _ = self.ended.set(code);
        self.link.close(code, reason);
        self.dead.cancel();
    }

    /// Notes why the link ended, and cuts the calls over it.
    pub fn end(&self, code: Code) -> Code {
        let code = *self.ended.get_or_init(|| code);
        self.dead.cancel();
        code
    }

    /// Why it ended; `None` while it lives.
    #[must_use]
    pub fn ended(&self) -> Option<Code> {
        self.ended.get().copied()
    }

    /// Cancelled when the link is no longer live.
    #[must_use]
    pub const fn dead(&self) -> &CancellationToken {
        &self.dead
    }
}

/// How a link came to be registered.
#[derive(Debug)]
pub struct Registered {
    /// The older link whose place was taken; to be closed with `FENCED`.
    pub fenced: Option<Arc<LiveLink>>,
    /// Two runs of the daemon take turns: the identity is in use twice.
    pub alternates: bool,
}

/// All live links.
#[derive(Debug, Default)]
pub struct Registry {
    state: Mutex<HashMap<GatewayId, Seat>>,
}

#[derive(Debug, Default)]
struct Seat {
    live: Option<Arc<LiveLink>>,
    /// The instances of the last two links that were not the same.
    last: Vec<u8>,
    before_last: Vec<u8>,
}

impl Registry {
    /// Makes `link` the live link of its gateway. `None`: a newer one came
    /// first, and this one is fenced.
    #[must_use]
    pub fn register(&self, link: &Arc<LiveLink>) -> Option<Registered> {
        let mut state = self.lock();
        let seat = state.entry(link.gateway).or_default();
        if seat.live.as_ref().is_some_and(|live| live.epoch > link.epoch) {
            return None;
        }
        let alternates =
            !link.instance.is_empty() && link.instance == seat.before_last && link.instance != seat.last;
        if link.instance != seat.last {
            seat.before_last = std::mem::replace(&mut seat.last, link.instance.clone());
        }
        let fenced = seat.live.replace(Arc::clone(link));
        Some(Registered { fenced, alternates })
    }

    /// Takes the link of this epoch off; `false` when a newer one has its
    /// place.
    pub fn remove(&self, gateway: GatewayId, epoch: u64) -> bool {
        let mut state = self.lock();
        let Some(seat) = state.get_mut(&gateway) else { return false };
        let same = seat.live.as_ref().is_some_and(|live| live.epoch == epoch);
        if same {
            seat.live = None;
        }
        same
    }

    /// The live link of a gateway.
    #[must_use]
    pub fn get(&self, gateway: GatewayId) -> Option<Arc<LiveLink>> {
        self.lock().get(&gateway).and_then(|seat| seat.live.clone())
    }

    /// All live links.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<LiveLink>> {
        self.lock().values().filter_map(|seat| seat.live.clone()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<GatewayId, Seat>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
