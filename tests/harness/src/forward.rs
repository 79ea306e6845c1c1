//! A seeded forwarder between a gateway and the core: UDP datagrams are lost,
//! delayed, sent from another port, or cut off, without root.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::{net::UdpSocket, sync::Mutex, task::JoinSet};

/// Largest datagram.
const DATAGRAM: usize = 65_535;
/// Datagrams under way at once; more are lost, as on a full queue.
const UNDER_WAY: usize = 4096;

/// What the way does to packets; may be changed while it runs.
#[derive(Debug, Default)]
pub struct Way {
    /// Loses this share of packets, in thousandths.
    pub loss_permille: AtomicU32,
    /// Delays each packet by this time, one way, in microseconds.
    pub delay_us: AtomicU64,
    /// Delays each packet by up to this more, so that they come in another
    /// order, in microseconds.
    pub jitter_us: AtomicU64,
    /// Loses every packet.
    pub cut: AtomicBool,
}

/// A running forwarder; it ends when dropped.
#[derive(Debug)]
pub struct Forwarder {
    address: SocketAddr,
    /// What the way does.
    pub way: Arc<Way>,
    outside: Arc<Mutex<Arc<UdpSocket>>>,
    _tasks: JoinSet<()>,
    target: SocketAddr,
    client: Arc<Mutex<Option<SocketAddr>>>,
    inside: Arc<UdpSocket>,
    returns: JoinSet<()>,
    seed: u64,
}

impl Forwarder {
    /// Forwards between one client and `target`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(target: SocketAddr, seed: u64) -> anyhow::Result<Self> {
        let inside = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let address = inside.local_addr()?;
        let way = Arc::new(Way::default());
        let client = Arc::new(Mutex::new(None));
        let outside = Arc::new(Mutex::new(Arc::new(UdpSocket::bind("127.0.0.1:0").await?)));
        let mut tasks = JoinSet::new();
        tasks.spawn(there(inside.clone(), outside.clone(), target, client.clone(), way.clone(), seed));
        let mut forwarder = Self {
            address,
            way,
            outside,
            _tasks: tasks,
            target,
            client,
            inside,
            returns: JoinSet::new(),
            seed,
        };
        forwarder.listen_for_returns().await;
        Ok(forwarder)
    }

    /// The address that the client shall dial.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the target sees the client at another port, as after a NAT
    /// forgot it.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn change_port(&mut self) -> anyhow::Result<()> {
        *self.outside.lock().await = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        self.returns.abort_all();
        self.listen_for_returns().await;
        Ok(())
    }

    async fn listen_for_returns(&mut self) {
        let outside = self.outside.lock().await.clone();
        let (inside, client, way) = (self.inside.clone(), self.client.clone(), self.way.clone());
        let (target, seed) = (self.target, self.seed);
        self.returns.spawn(async move {
            let mut random = StdRng::seed_from_u64(seed ^ 1);
            let mut buffer = vec![0; DATAGRAM];
            let mut under_way = JoinSet::new();
            while let Ok((length, from)) = outside.recv_from(&mut buffer).await {
                let to = *client.lock().await;
                if let (true, Some(to)) = (from == target, to) {
                    pass(&way, &mut random, &mut under_way, inside.clone(), to, &buffer[..length]);
                }
            }
        });
    }
}

async fn there(
    inside: Arc<UdpSocket>,
    outside: Arc<Mutex<Arc<UdpSocket>>>,
    target: SocketAddr,
    client: Arc<Mutex<Option<SocketAddr>>>,
    way: Arc<Way>,
    seed: u64,
) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut buffer = vec![0; DATAGRAM];
    let mut under_way = JoinSet::new();
    while let Ok((length, from)) = inside.recv_from(&mut buffer).await {
        *client.lock().await = Some(from);
        let socket = outside.lock().await.clone();
        pass(&way, &mut random, &mut under_way, socket, target, &buffer[..length]);
    }
}

/// Loses, delays or sends one packet.
fn pass(
    way: &Way,
    random: &mut StdRng,
    under_way: &mut JoinSet<()>,
    socket: Arc<UdpSocket>,
    to: SocketAddr,
    packet: &[u8],
) {
    while under_way.try_join_next().is_some() {}
    let lost = random.random_range(0..1000) < way.loss_permille.load(Ordering::Relaxed);
    if lost || way.cut.load(Ordering::Relaxed) || under_way.len() >= UNDER_WAY {
        return;
    }
    let jitter = random.random_range(0..=way.jitter_us.load(Ordering::Relaxed));
    let delay = Duration::from_micros(way.delay_us.load(Ordering::Relaxed) + jitter);
    let packet = packet.to_vec();
    under_way.spawn(async move {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        // What cannot be sent is lost, as on any network.
        let _ = socket.send_to(&packet, to).await;
    });
}
