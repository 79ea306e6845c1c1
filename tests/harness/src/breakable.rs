//! An installation with a forwarder on every hop, and everything that can break
//! in it while its sessions have to live on.

use std::{sync::atomic::Ordering, time::Duration};

use crate::{Mesh, Page, forward::Forwarder, tcp::TcpForwarder};

/// How late a piece comes on a slow connection.
const LATE: Duration = Duration::from_millis(30);
/// How late a packet comes on a slow link, one way.
const SLOW: Duration = Duration::from_millis(100);

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The browser's connections are reset.
    PageReset,
    /// The browser's connections say nothing for a while.
    PageSilent,
    /// What the browser says and hears comes late.
    PageLate,
    /// The edge's connections to the core are reset.
    EdgeReset,
    /// The edge's connections to the core say nothing for a while.
    EdgeSilent,
    /// What edge and core say comes late.
    EdgeLate,
    /// Every packet of the link is lost for a while. Links over TCP go another way.
    LinkCut,
    /// A third of the packets is lost for a while.
    LinkLoss,
    /// Packets come late and in another order for a while.
    LinkReorder,
    /// Packets come late for a while.
    LinkLate,
    /// The gateway comes from another port, as after a NAT forgot it.
    LinkPort,
    /// `kill -9` and a new one.
    KillGateway,
    /// `kill -9` and a new one.
    KillCore,
    /// `kill -9` and a new one.
    KillEdge,
    /// SIGTERM, and a new one when it has ended.
    StopGateway,
    /// SIGTERM, and a new one when it has ended.
    StopCore,
    /// SIGTERM, and a new one when it has ended.
    StopEdge,
    /// It does nothing for a while (SIGSTOP).
    HangGateway,
    /// It does nothing for a while (SIGSTOP).
    HangCore,
    /// It does nothing for a while (SIGSTOP).
    HangEdge,
}

/// One of each.
pub const EACH: [Fault; 20] = [
    Fault::PageReset,
    Fault::PageSilent,
    Fault::PageLate,
    Fault::EdgeReset,
    Fault::EdgeSilent,
    Fault::EdgeLate,
    Fault::LinkCut,
    Fault::LinkLoss,
    Fault::LinkReorder,
    Fault::LinkLate,
    Fault::LinkPort,
    Fault::KillGateway,
    Fault::KillCore,
    Fault::KillEdge,
    Fault::StopGateway,
    Fault::StopCore,
    Fault::StopEdge,
    Fault::HangGateway,
    Fault::HangCore,
    Fault::HangEdge,
];

/// An installation with a forwarder on every hop; all of it ends when dropped.
#[derive(Debug)]
pub struct Breakable {
    /// The installation.
    pub mesh: Mesh,
    link: Forwarder,
    core: TcpForwarder,
    edge: TcpForwarder,
}

impl Breakable {
    /// Starts all roles and waits until the gateway's link is live; `seed` chooses
    /// the packets that are lost.
    ///
    /// # Errors
    /// When one of them does not come up; the error holds its log.
    pub async fn start(seed: u64) -> anyhow::Result<Self> {
        let mut mesh = Mesh::start().await?;
        let link = Forwarder::start(mesh.link_address().parse()?, seed).await?;
        let core = TcpForwarder::start(mesh.grpc_address().parse()?).await?;
        let edge = TcpForwarder::start(mesh.edge_address().parse()?).await?;
        mesh.gateway_through(&link.address().to_string()).await?;
        mesh.edge_through(&core.address().to_string()).await?;
        mesh.gateway_online().await?;
        Ok(Self { mesh, link, core, edge })
    }

    /// A page that is signed in as the owner, and reaches the edge by the forwarder.
    ///
    /// # Errors
    /// When sign-in fails.
    pub async fn page(&self) -> anyhow::Result<Page> {
        let mut page = self.mesh.page().await?;
        page.address = self.edge.address().to_string();
        Ok(page)
    }

    /// Lets something break, for this time where it lasts; it is whole again
    /// afterwards. Not to be dropped half way.
    ///
    /// # Errors
    /// When a part does not come up again.
    pub async fn suffer(&mut self, fault: Fault, time: Duration) -> anyhow::Result<()> {
        let (way, lasts) = (&self.link.way, tokio::time::sleep(time));
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        match fault {
            Fault::PageReset => self.edge.reset(),
            Fault::PageSilent => silent(&self.edge, lasts).await,
            Fault::PageLate => late(&self.edge, lasts).await,
            Fault::EdgeReset => self.core.reset(),
            Fault::EdgeSilent => silent(&self.core, lasts).await,
            Fault::EdgeLate => late(&self.core, lasts).await,
            Fault::LinkCut => {
                way.cut.store(true, Ordering::Relaxed);
                lasts.await;
                way.cut.store(false, Ordering::Relaxed);
            }
            Fault::LinkLoss => {
                way.loss_permille.store(333, Ordering::Relaxed);
                lasts.await;
                way.loss_permille.store(0, Ordering::Relaxed);
            }
            Fault::LinkReorder => {
                way.jitter_us.store(20_000, Ordering::Relaxed);
                lasts.await;
                way.jitter_us.store(0, Ordering::Relaxed);
            }
            Fault::LinkLate => {
                way.delay_us.store(micros(SLOW), Ordering::Relaxed);
                lasts.await;
                way.delay_us.store(0, Ordering::Relaxed);
            }
            Fault::LinkPort => self.link.change_port().await?,
            Fault::KillGateway => self.mesh.replace_gateway().await?,
            Fault::KillCore => self.mesh.replace_core().await?,
            Fault::KillEdge => self.mesh.replace_edge().await?,
            Fault::StopGateway => {
                self.mesh.gateway.terminate().await?;
                self.mesh.replace_gateway().await?;
            }
            Fault::StopCore => {
                self.mesh.core.terminate().await?;
                self.mesh.start_core_again().await?;
            }
            Fault::StopEdge => {
                self.mesh.edge.terminate().await?;
                self.mesh.replace_edge().await?;
            }
            Fault::HangGateway => hang(&self.mesh.gateway, lasts).await?,
            Fault::HangCore => hang(&self.mesh.core, lasts).await?,
            Fault::HangEdge => hang(&self.mesh.edge, lasts).await?,
        }
        Ok(())
    }
}

async fn silent(way: &TcpForwarder, lasts: impl Future<Output = ()>) {
    way.silence(true);
    lasts.await;
    way.silence(false);
}

async fn late(way: &TcpForwarder, lasts: impl Future<Output = ()>) {
    way.delay(LATE);
    lasts.await;
    way.delay(Duration::ZERO);
}

async fn hang(part: &crate::proc::Proc, lasts: impl Future<Output = ()>) -> anyhow::Result<()> {
    part.hang()?;
    lasts.await;
    part.go_on()
}
