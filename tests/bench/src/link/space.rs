//! A network namespace without a name: it is gone when nobody holds it and no process
//! is left in it, however the run ended.

use std::{fs::File, process::Command, thread};

use anyhow::{Context as _, anyhow, ensure};
use nix::sched::{CloneFlags, setns, unshare};

/// Why there can be no namespaces here; `None` when there can.
pub(crate) fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("network namespaces and TUN devices need root; run it as root");
    }
    if !std::path::Path::new("/dev/net/tun").exists() {
        return Some("there is no /dev/net/tun; load the module tun");
    }
    None
}

/// A namespace with its loopback interface up.
#[derive(Debug)]
pub(crate) struct Space(File);

impl Space {
    /// A new one; who asks stays where it is.
    ///
    /// # Errors
    /// Without root, or without the `ip` of iproute2.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("a new network namespace")?;
            let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
            ensure!(up.context("ip is missing; install iproute2")?.success(), "ip link set lo up failed");
            Ok(Self(File::open("/proc/thread-self/ns/net")?))
        });
        made.join().map_err(|_| anyhow!("the thread of a new namespace ended"))?
    }

    /// From now on this thread makes its sockets in here, and its children are here.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn enter(&self) -> anyhow::Result<()> {
        setns(&self.0, CloneFlags::CLONE_NEWNET).context("entering a network namespace")
    }
}
