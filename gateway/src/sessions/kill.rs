//! Kills a holder that does not answer, with the session of its shell.
//!
//! A process id alone proves nothing: the record lies where shells can write,
//! and numbers are used again. What proves it is the kernel, which tells who is
//! at the other end of a connection also of a process that is stopped. The
//! proof is taken while the holder is well: one that hung for long has so many
//! callers in its queue that nobody can connect any more.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use chatcode_proto::{
    code::Refusal,
    limits,
    pb::{self, Code},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tokio::net::UnixStream;

/// How often the session's processes are looked for: one that is born between
/// looking and killing is found the next time.
const ROUNDS: usize = 8;

/// The process that listened on a session's socket, proven by the kernel.
#[derive(Debug)]
pub(super) struct Proof {
    pid: Pid,
    process: OwnedFd,
}

impl Proof {
    /// Of the process at the other end of a connection, which has to be of the
    /// user `uid`.
    ///
    /// # Errors
    /// When the kernel does not tell, or that process has ended.
    pub(super) fn of(holder: &UnixStream, uid: u32) -> io::Result<Self> {
        let peer = holder.peer_cred()?;
        if peer.uid() != uid {
            return Err(io::Error::other("another user listens on its socket"));
        }
        let pid = peer.pid().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("this system does not tell who listens"))?;
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        // Its end is still open, so the number was not used again before.
        let mut connection = [PollFd::from_borrowed_fd(holder.as_fd(), PollFlags::empty())];
        poll(&mut connection, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        if connection[0].revents().contains(PollFlags::HUP) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        Ok(Self { pid, process })
    }
}

/// Kills the holder that is proven and that `record` is of, then every process
/// of its shell's session; returns when the holder has ended.
///
/// # Errors
/// `HOLDER_UNREACHABLE` when it is not proven who the holder is, or it cannot
/// be killed; nothing was killed then.
pub(super) async fn kill(
    holder: Option<Arc<Proof>>,
    record: Option<&pb::HolderRecord>,
) -> Result<(), Refusal> {
    let holder = holder.ok_or_else(|| unproven("it took no connection since the gateway began"))?;
    let pid = holder.pid;
    if record.is_none_or(|record| i32::try_from(record.pid) != Ok(pid.as_raw_nonzero().get())) {
        return Err(unproven("its record names another process than the one that listens"));
    }
    let killing = tokio::task::spawn_blocking(move || kill_all(pid, &holder.process));
    let killed = killing.await.map_err(|error| Refusal::new(Code::Internal, error.to_string()))?;
    killed.map_err(|error| failed(pid, error))
}

fn unproven(why: &str) -> Refusal {
    let words =
        format!("it is not sure which process the holder is ({why}); end that chatcode-holder by hand");
    Refusal::new(Code::HolderUnreachable, words)
}

fn failed(pid: Pid, error: io::Error) -> Refusal {
    let pid = pid.as_raw_nonzero();
    let words = format!("the holder (process {pid}) was not killed ({error}); end that process by hand");
    Refusal::new(Code::HolderUnreachable, words)
}

/// The holder first, so that it does not take the shell's end for a normal one.
fn kill_all(pid: Pid, holder: &OwnedFd) -> io::Result<()> {
    let raw = pid.as_raw_nonzero().get();
    let is_shell = |stat: &Stat| stat.parent == raw && stat.session == stat.pid;
    let shells: Vec<i32> = processes().filter(is_shell).map(|stat| stat.pid).collect();
    pidfd_send_signal(holder, Signal::KILL)?;
    for _ in 0..ROUNDS {
        let members: Vec<Stat> = processes().filter(|stat| shells.contains(&stat.session)).collect();
        if members.is_empty() {
            break;
        }
        members.iter().for_each(kill_one);
    }
    wait(holder, limits::END_STEP)
}

/// Kills a process if it still is what was found.
fn kill_one(found: &Stat) {
    let Some(pid) = Pid::from_raw(found.pid) else { return };
    // It may have ended by now.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if Stat::of(found.pid).is_some_and(|now| now.session == found.session) {
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
}

fn wait(process: &OwnedFd, most: Duration) -> io::Result<()> {
    let until = Instant::now() + most;
    loop {
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now()));
        let left = left.map_err(io::Error::other)?;
        match poll(&mut [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A living process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    pid: i32,
    parent: i32,
    session: i32,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Reads `pid (name) state parent group session ...`; the name may hold
    /// anything. `None` for one that has ended.
    fn parse(stat: &str) -> Option<Self> {
        let (head, rest) = stat.rsplit_once(')')?;
        let pid = head.split_once(' ')?.0.parse().ok()?;
        let mut fields = rest.split_ascii_whitespace();
        fields.next().filter(|state| !matches!(*state, "Z" | "X"))?;
        let mut number = |skipped| fields.nth(skipped)?.parse().ok();
        Some(Self { pid, parent: number(0)?, session: number(1)? })
    }
}

/// All living processes; none where there is no `/proc`.
fn processes() -> impl Iterator<Item = Stat> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(Stat::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(pid: u32) -> pb::HolderRecord {
        pb::HolderRecord { pid, ..Default::default() }
    }

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = Some(Stat { pid: 80, parent: 1, session: 77 });
        assert_eq!(Stat::parse("80 (a) b) S 1 79 77 34816 0"), stat);
        assert_eq!(Stat::parse("80 (sh) Z 1 79 77 34816 0"), None, "has ended");
        assert_eq!(Stat::parse("80 (sh) S 1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[tokio::test]
    async fn nobody_is_killed_who_is_not_proven_to_be_the_holder() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("s");
        let refused = |error: Refusal| assert_eq!(error.code, Code::HolderUnreachable);
        refused(kill(None, Some(&record(1))).await.expect_err("nobody listened"));
        // The test itself listens and must survive.
        let listener = std::os::unix::net::UnixListener::bind(&socket).expect("binds");
        let uid = rustix::process::geteuid().as_raw();
        let connection = UnixStream::connect(&socket).await.expect("is taken");
        let proof = Some(Arc::new(Proof::of(&connection, uid).expect("lives")));
        refused(kill(proof.clone(), Some(&record(1))).await.expect_err("another process"));
        refused(kill(proof, None).await.expect_err("no record"));
        Proof::of(&connection, uid + 1).expect_err("another user's");
        drop(listener);
        Proof::of(&connection, uid).expect_err("the other end is closed; its number may be another's now");
    }
}
