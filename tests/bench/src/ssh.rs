//! A transport of the same kind beside ours: OpenSSH on loopback, with a server and
//! keys of its own for one run. It has two processes between client and shell, where
//! chatcode has four.

use std::{
    fs,
    io::ErrorKind,
    net::{Ipv4Addr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, ensure};

/// Where distributions put it; it must be started by its whole path.
const SERVER: &str = "/usr/sbin/sshd";
/// It answers one connection, for the keys of this run alone.
const SETTINGS: &str = "UsePAM no\nStrictModes no\nPermitRootLogin yes\nLogLevel ERROR\n";

/// A shell behind `ssh` and `sshd`; both end when dropped.
pub(crate) struct Ssh {
    pub(crate) client: UnixStream,
    processes: [Child; 2],
}

impl Ssh {
    /// Starts both; `None` where OpenSSH's server is not installed.
    ///
    /// # Errors
    /// When one of them does not start.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Option<Self>> {
        if !Path::new(SERVER).exists() {
            return Ok(None);
        }
        let [host, own] = ["ssh-host", "ssh-own"].map(|name| folder.join(name));
        for key in [&host, &own] {
            make_key(key)?;
        }
        let settings = folder.join("sshd_config");
        let keys = own.with_extension("pub");
        let lines = format!("HostKey {}\nAuthorizedKeysFile {}\n{SETTINGS}", host.display(), keys.display());
        fs::write(&settings, lines)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port().to_string();

        let (client, theirs) = UnixStream::pair()?;
        let ssh = Command::new("ssh")
            .args(["-F", "/dev/null", "-tt", "-e", "none", "-q", "-p", &port, "-i"])
            .arg(&own)
            .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "BatchMode=yes", "127.0.0.1", "exec bash --norc"])
            .stdin(OwnedFd::from(theirs.try_clone()?))
            .stdout(OwnedFd::from(theirs))
            .spawn()
            .context("ssh")?;
        let (connection, _) = listener.accept()?;
        connection.set_nodelay(true)?;
        let sshd = Command::new(SERVER)
            .args(["-i", "-e", "-f"])
            .arg(&settings)
            .stdin(OwnedFd::from(connection.try_clone()?))
            .stdout(OwnedFd::from(connection))
            .spawn()
            .context("sshd")?;
        Ok(Some(Self { client, processes: [ssh, sshd] }))
    }
}

fn make_key(path: &Path) -> anyhow::Result<()> {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error.into());
    }
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .status()
        .context("ssh-keygen")?;
    ensure!(made.success(), "ssh-keygen ended with {made}");
    Ok(())
}

impl Drop for Ssh {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
