//! A line between two namespaces: a TUN device in each, and between them a forwarder
//! that lets every IP packet wait, and drops single ones by seeded chance.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::oneshot;
use tokio_tun::Tun;

use super::space::Space;

/// Largest IP packet, bytes: what an Ethernet takes.
const MTU: usize = 1500;
/// Packets under way in one direction; more are lost, as on a full queue.
const UNDER_WAY: usize = 4096;

/// One end of a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End<'a> {
    /// Where it is.
    pub(crate) space: &'a Space,
    /// Its address there.
    pub(crate) address: Ipv4Addr,
}

/// What a line does to packets.
#[derive(Debug)]
struct Way {
    /// Each packet comes so much later.
    delay: Duration,
    /// This share of packets is lost, in thousandths.
    loss_permille: AtomicU32,
}

/// A running line; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Line {
    way: Arc<Way>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Line {
    /// Joins two ends; nothing is lost at first. `delay` is that of each direction,
    /// `seed` decides which packets are lost.
    ///
    /// # Errors
    /// When a device cannot be made.
    pub(crate) fn between(near: End<'_>, far: End<'_>, delay: Duration, seed: u64) -> anyhow::Result<Self> {
        let way = Arc::new(Way { delay, loss_permille: AtomicU32::default() });
        let (stop, stopped) = oneshot::channel();
        // The devices are made by a thread that may stay in their namespaces.
        let (runtime, near, far) = thread::scope(|scope| {
            let devices = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let guard = runtime.enter();
                let (near, far) = (device(near, far.address)?, device(far, near.address)?);
                drop(guard);
                anyhow::Ok((runtime, near, far))
            });
            devices.join().map_err(|_| anyhow!("the thread of a line ended"))?
        })?;
        let theirs = way.clone();
        let thread = thread::spawn(move || {
            runtime.block_on(forward(Arc::new(near), Arc::new(far), theirs, seed, stopped))
        });
        Ok(Self { way, stop: Some(stop), thread: Some(thread) })
    }

    /// From now on this share of packets is lost in each direction, in thousandths; of
    /// a line that does not delay none.
    pub(crate) fn lose(&self, permille: u32) {
        let permille = if self.way.delay.is_zero() { 0 } else { permille };
        self.way.loss_permille.store(permille, Ordering::Relaxed);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn device(end: End<'_>, peer: Ipv4Addr) -> anyhow::Result<Tun> {
    end.space.enter()?;
    let builder = Tun::builder().address(end.address).destination(peer).netmask(Ipv4Addr::BROADCAST);
    let made = builder.mtu(i32::try_from(MTU)?).up().build().context("a TUN device")?;
    made.into_iter().next().context("a TUN device")
}

/// A packet, and when it comes out.
type Packet = (Instant, Vec<u8>);

async fn forward(
    near: Arc<Tun>,
    far: Arc<Tun>,
    way: Arc<Way>,
    seed: u64,
    stopped: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let (there, out) = sync_channel(UNDER_WAY);
    let (back, home) = sync_channel(UNDER_WAY);
    // Each ends with the sender of its packets.
    let (to_far, to_near) = (far.clone(), near.clone());
    thread::spawn(move || deliver(&out, &to_far));
    thread::spawn(move || deliver(&home, &to_near));
    tokio::select! {
        done = take(&near, &way, there, seed) => done,
        done = take(&far, &way, back, !seed) => done,
        _ = stopped => Ok(()),
    }
}

/// Takes what one end sends.
async fn take(from: &Tun, way: &Way, to: SyncSender<Packet>, seed: u64) -> anyhow::Result<()> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut buffer = [0; MTU];
    loop {
        let length = from.recv(&mut buffer).await?;
        let due = Instant::now() + way.delay;
        let is_lost = chance.random_range(0..1000) < way.loss_permille.load(Ordering::Relaxed);
        if !is_lost {
            // What does not fit is lost.
            let _ = to.try_send((due, buffer[..length].to_vec()));
        }
    }
}

/// Gives each packet to the other end when it is due; a thread of its own, because
/// the runtime's clock goes by whole milliseconds.
fn deliver(packets: &Receiver<Packet>, to: &Tun) {
    for (due, packet) in packets {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // A device that takes no more loses the packet.
        let _ = to.try_send(&packet);
    }
}
