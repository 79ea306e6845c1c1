//! A transport of the same kind beside ours: OpenSSH on loopback, with a server and
//! keys of its own for one run. It has two processes between client and shell, where
//! chatcode has four.

use std::{
    fs,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// From the start to the connection, and for each answer of the shell.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where distributions put it, with a folder `/run/sshd` for it; it must be started by its whole path.
const SERVER: &str = "/usr/sbin/sshd";
/// It answers one connection, for the keys of this run alone.
const SETTINGS: &str = "UsePAM no\nStrictModes no\nPermitRootLogin yes\nLogLevel ERROR\n";

/// A shell behind `ssh` and `sshd`; both end when dropped.
pub(crate) struct Ssh {
    pub(crate) client: UnixStream,
    processes: Vec<Child>,
}

impl Ssh {
    /// Starts both; `None` where OpenSSH is not installed.
    ///
    /// # Errors
    /// When one of them does not start, or they do not meet.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Option<Self>> {
        let has = |program: &str| Command::new(program).arg("-V").stderr(Stdio::null()).status().is_ok();
        if !has(SERVER) || !has("ssh") {
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
        client.set_read_timeout(Some(PATIENCE))?;
        let mut ssh = Self { client, processes: Vec::new() };
        let dialling = Command::new("ssh")
            .args(["-F", "/dev/null", "-tt", "-e", "none", "-q", "-p", &port, "-i"])
            .arg(&own)
            .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "BatchMode=yes", "127.0.0.1", "exec bash --norc"])
            .stdin(OwnedFd::from(theirs.try_clone()?))
            .stdout(OwnedFd::from(theirs))
            .spawn()
            .context("ssh")?;
        ssh.processes.push(dialling);
        let (connection, _) = accept_within(&listener, PATIENCE).context("ssh does not connect")?;
        connection.set_nodelay(true)?;
        let serving = Command::new(SERVER)
            .args(["-i", "-e", "-f"])
            .arg(&settings)
            .stdin(OwnedFd::from(connection.try_clone()?))
            .stdout(OwnedFd::from(connection))
            .spawn()
            .context("sshd")?;
        ssh.processes.push(serving);
        Ok(Some(ssh))
    }
}

/// As [`TcpListener::accept`], which waits for ever.
fn accept_within(listener: &TcpListener, time: Duration) -> anyhow::Result<(TcpStream, SocketAddr)> {
    let mut waiting = [PollFd::new(listener, PollFlags::IN)];
    let time = Timespec { tv_sec: i64::try_from(time.as_secs())?, tv_nsec: 0 };
    ensure!(poll(&mut waiting, Some(&time))? > 0, "nobody came in time");
    Ok(listener.accept()?)
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
