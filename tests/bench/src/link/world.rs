//! Three namespaces on two lines: the browser's, the house of core and edge, and the
//! machine of the gateway.

use std::{
    net::{Ipv4Addr, TcpStream},
    process::Child,
    thread,
    time::Duration,
};

use anyhow::anyhow;
use chatcode_harness::{Mesh, PATIENCE, Page, Terminal};
use serde_json::Value;

use super::{
    line::{End, Line},
    space::Space,
};
use crate::{
    echo::{RAW_CAT, READY, typed, typed_into},
    figures::percentiles,
    plain::{enter, sees},
    relay,
};

/// The addresses at the two ends of the gateway's line, then of the browser's; the
/// house's first.
const MACHINE: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 1, 1), Ipv4Addr::new(10, 77, 1, 2)];
const BROWSER: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 2, 1), Ipv4Addr::new(10, 77, 2, 2)];
/// Samples that only warm up, of each loss.
const WARM_UP: usize = 10;
/// Which packets are lost is the same in every run, as far as the same are sent.
const SEED: u64 = 6;

/// One installation on two lines, a page that is attached, and a shell behind TCP.
#[derive(Debug)]
pub(crate) struct World {
    terminal: Terminal,
    plain: TcpStream,
    _relays: Relays,
    _mesh: Mesh,
    machine_line: Line,
    browser_line: Line,
}

impl World {
    /// Starts all of it on lines that delay each direction so, and lose nothing yet.
    /// Leaves this thread in the browser's namespace.
    ///
    /// # Errors
    /// When a part does not come up.
    pub(crate) async fn start(to_gateway: Duration, to_browser: Duration) -> anyhow::Result<Self> {
        let (browser, house, machine) = (Space::new()?, Space::new()?, Space::new()?);
        let line = |addresses: [Ipv4Addr; 2], far, delay, seed| {
            let near = End { space: &house, address: addresses[0] };
            Line::between(near, End { space: far, address: addresses[1] }, delay, seed)
        };
        let machine_line = line(MACHINE, &machine, to_gateway, SEED)?;
        let browser_line = line(BROWSER, &browser, to_browser, SEED + 1)?;

        house.enter()?;
        let mut mesh = Mesh::start_at(&format!("{}:0", MACHINE[0]), &[]).await?;
        let link = mesh.link_address().to_owned();
        machine.enter()?;
        mesh.gateway_through(&link).await?;
        let mut relays = Relays::default();
        let shell = relays.start(&["relay-shell", &format!("{}:0", MACHINE[1])])?;
        house.enter()?;
        mesh.gateway_online().await?;
        let url = mesh.login_url().await?;
        // Off loopback the edge wants TLS: it stands behind a proxy, as it may.
        let door = format!("{}:0", BROWSER[0]);
        let edge = relays.start(&["relay-door", &door, mesh.edge_address()])?;
        let shell = relays.start(&["relay-door", &door, &shell])?;

        browser.enter()?;
        let page = Page::sign_in(&url, &edge).await?;
        let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &[]).await?;
        terminal.enter(RAW_CAT)?;
        terminal.sees(READY).await?;
        let plain = TcpStream::connect(shell)?;
        plain.set_nodelay(true)?;
        plain.set_read_timeout(Some(PATIENCE))?;
        enter(&plain, RAW_CAT)?;
        sees(&plain, READY)?;
        Ok(Self { terminal, plain, _relays: relays, _mesh: mesh, machine_line, browser_line })
    }

    /// From now on the lines that delay lose this share of packets, in thousandths.
    pub(crate) fn lose(&self, permille: u32) {
        [&self.machine_line, &self.browser_line].iter().for_each(|line| line.lose(permille));
    }

    /// Keys to the shell behind TCP and, at the same time, through chatcode: one byte,
    /// wait for it, the next one 5 ms later.
    ///
    /// # Errors
    /// When an echo does not come back.
    pub(crate) async fn echo(&mut self, samples: usize) -> anyhow::Result<(Value, Value)> {
        let plain = self.plain.try_clone()?;
        let plain = thread::spawn(move || {
            typed(&plain, WARM_UP)?;
            typed(&plain, samples)
        });
        typed_into(&mut self.terminal, WARM_UP).await?;
        let took = typed_into(&mut self.terminal, samples).await?;
        let plain = plain.join().map_err(|_| anyhow!("the thread of plain TCP ended"))??;
        Ok((percentiles(plain), percentiles(took)))
    }
}

/// Relay processes; they end with it.
#[derive(Debug, Default)]
struct Relays(Vec<Child>);

impl Relays {
    /// Starts one in the namespace of this thread; gives where it listens.
    fn start(&mut self, args: &[&str]) -> anyhow::Result<String> {
        let (relay, place) = relay::start(args)?;
        self.0.push(relay);
        Ok(place)
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(relay::end);
    }
}
