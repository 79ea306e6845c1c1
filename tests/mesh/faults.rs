//! Random faults on every hop at once: each typed line comes back once, and in
//! order, whatever breaks.

use std::{env, sync::atomic::Ordering, time::Duration};

use chatcode_harness::{Mesh, Terminal, forward::Forwarder, soon, tcp::TcpForwarder, terminal::numbers};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// Faults of one run, of which there are four; `CHATCODE_FAULTS` says another
/// number.
const FAULTS: u64 = 50;
/// How late a piece comes on a slow connection.
const LATE: Duration = Duration::from_millis(30);
/// Lines typed before each fault.
const LINES: u64 = 20;

/// What breaks.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The browser's connection is reset.
    PageReset,
    /// The browser's connection says nothing for a while.
    PageSilent,
    /// What the browser says and hears comes late.
    PageLate,
    /// The edge's connection to the core is reset.
    EdgeReset,
    /// What edge and core say comes late.
    EdgeLate,
    /// Every packet of the link is lost for a while.
    LinkCut,
    /// A third of the packets is lost for a while.
    LinkLoss,
    /// Packets come late and in another order for a while.
    LinkReorder,
    /// The gateway comes from another port, as after a NAT forgot it.
    LinkPort,
    KillGateway,
    KillCore,
    KillEdge,
}

const EACH: [Fault; 12] = [
    Fault::PageReset,
    Fault::PageSilent,
    Fault::PageLate,
    Fault::EdgeReset,
    Fault::EdgeLate,
    Fault::LinkCut,
    Fault::LinkLoss,
    Fault::LinkReorder,
    Fault::LinkPort,
    Fault::KillGateway,
    Fault::KillCore,
    Fault::KillEdge,
];

/// An installation with a forwarder on every hop.
struct Breakable {
    mesh: Mesh,
    link: Forwarder,
    core: TcpForwarder,
    edge: TcpForwarder,
}

impl Breakable {
    async fn start(seed: u64) -> anyhow::Result<Self> {
        let mut mesh = Mesh::start().await?;
        let link = Forwarder::start(mesh.link_address().parse()?, seed).await?;
        let core = TcpForwarder::start(mesh.grpc_address().parse()?).await?;
        let edge = TcpForwarder::start(mesh.edge_address().parse()?).await?;
        mesh.gateway_through(&link.address().to_string()).await?;
        mesh.edge_through(&core.address().to_string()).await?;
        mesh.gateway_online().await?;
        Ok(Self { mesh, link, core, edge })
    }

    /// Lets something break while the terminal goes on, for at most this time.
    async fn suffer(&mut self, fault: Fault, time: Duration, terminal: &mut Terminal) -> anyhow::Result<()> {
        let way = &self.link.way;
        match fault {
            Fault::PageReset => self.edge.reset(),
            Fault::PageSilent => {
                self.edge.silence(true);
                terminal.rest(time).await?;
                self.edge.silence(false);
            }
            Fault::PageLate => {
                self.edge.delay(LATE);
                terminal.rest(time).await?;
                self.edge.delay(Duration::ZERO);
            }
            Fault::EdgeReset => self.core.reset(),
            Fault::EdgeLate => {
                self.core.delay(LATE);
                terminal.rest(time).await?;
                self.core.delay(Duration::ZERO);
            }
            Fault::LinkCut => {
                way.cut.store(true, Ordering::Relaxed);
                terminal.rest(time).await?;
                way.cut.store(false, Ordering::Relaxed);
            }
            Fault::LinkLoss => {
                way.loss_permille.store(333, Ordering::Relaxed);
                terminal.rest(time).await?;
                way.loss_permille.store(0, Ordering::Relaxed);
            }
            Fault::LinkReorder => {
                way.jitter_us.store(20_000, Ordering::Relaxed);
                terminal.rest(time).await?;
                way.jitter_us.store(0, Ordering::Relaxed);
            }
            Fault::LinkPort => self.link.change_port().await?,
            Fault::KillGateway => self.mesh.replace_gateway().await?,
            Fault::KillCore => self.mesh.replace_core().await?,
            Fault::KillEdge => self.mesh.replace_edge().await?,
        }
        Ok(())
    }
}

#[tokio::test]
async fn every_typed_line_comes_back_once_over_random_faults_of_every_hop() -> anyhow::Result<()> {
    every_typed_line_comes_back_once().await
}

#[tokio::test]
async fn it_comes_back_once_over_other_random_faults() -> anyhow::Result<()> {
    every_typed_line_comes_back_once().await
}

#[tokio::test]
async fn it_comes_back_once_over_still_other_random_faults() -> anyhow::Result<()> {
    every_typed_line_comes_back_once().await
}

#[tokio::test]
async fn it_comes_back_once_over_the_last_of_two_hundred_random_faults() -> anyhow::Result<()> {
    every_typed_line_comes_back_once().await
}

#[expect(clippy::print_stdout, reason = "a helper of tests is not seen as a test by the lint")]
async fn every_typed_line_comes_back_once() -> anyhow::Result<()> {
    let number = |name, default| env::var(name).map_or(Ok(default), |text| text.parse::<u64>());
    let (faults, seed) = (number("CHATCODE_FAULTS", FAULTS)?, number("CHATCODE_FAULT_SEED", rand::random())?);
    println!("CHATCODE_FAULT_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut all = soon("an installation", Breakable::start(seed)).await??;
    let mut page = all.mesh.page().await?;
    page.address = all.edge.address().to_string();
    let mut terminal = Terminal::start(&page, &all.mesh.gateway_id()?, &[]).await?;
    terminal.enter("stty -echo; PS1=; echo rea''dy; cat\n")?;
    terminal.sees("ready\r\n").await?;
    let mut line = 0;
    for turn in 0..faults {
        for _ in 0..LINES {
            line += 1;
            terminal.enter(&format!("{line}\n"))?;
        }
        // Some of it is on its way when something breaks.
        terminal.sees(&format!("\n{}\r\n", line - random.random_range(0..LINES))).await?;
        // The first ones are one of each.
        let fault = EACH.get(turn as usize).copied().unwrap_or(EACH[random.random_range(0..EACH.len())]);
        let time = Duration::from_millis(random.random_range(20..400));
        all.suffer(fault, time, &mut terminal).await?;
    }
    terminal.sees(&format!("\n{line}\r\n")).await?;
    assert_eq!(numbers(&terminal.text()), (1..=line).collect::<Vec<_>>(), "CHATCODE_FAULT_SEED={seed}");
    assert_eq!((terminal.refused, terminal.unknown), (0, 0), "CHATCODE_FAULT_SEED={seed}");
    assert!(terminal.attachments > 3, "the faults were felt: {terminal:?}");
    Ok(())
}
