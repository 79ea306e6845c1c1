//! Starts the service of a holder, and stays until the holder has answered.

use std::{
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Child, Command, ExitStatus, Stdio},
};

use chatcode_proto::{code::Refusal, id::SessionId, pb::Code, unit};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::Settings;

/// Starts the holder of `session` on the daemon's connection. Returns when the
/// daemon has closed it: the service goes on by itself then.
///
/// # Errors
/// `SPAWN_FAILED`, when the service ended before.
pub(crate) fn start(settings: &Settings, daemon: &UnixStream, session: &SessionId) -> Result<(), Refusal> {
    let failed = |error: io::Error| {
        let path = settings.systemd_run.display();
        Refusal::new(Code::SpawnFailed, format!("{path} could not be run ({error}); see the spawner's unit"))
    };
    let connection = || daemon.try_clone().map(OwnedFd::from).map(Stdio::from);
    let mut child = Command::new(&settings.systemd_run)
        .args(unit::run_options(session, &settings.sessions.to_string_lossy(), settings.limits()))
        .arg(format!("--uid={}", settings.session_user))
        .arg("--")
        .arg(&settings.holder)
        .env_clear()
        .current_dir("/")
        .stdin(connection().map_err(failed)?)
        .stdout(connection().map_err(failed)?)
        .spawn()
        .map_err(failed)?;
    match wait(daemon, &mut child).map_err(failed)? {
        Some(status) if !status.success() => {
            let words = format!(
                "systemd did not start the holder, or it has ended ({status}); see journalctl -u {}",
                unit::name(session)
            );
            Err(Refusal::new(Code::SpawnFailed, words))
        }
        _ => Ok(()),
    }
}

/// Waits for the daemon's farewell, or for the end of `systemd-run` before it.
fn wait(daemon: &UnixStream, child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let mut either = [
            PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(daemon.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut either, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => _ = other?,
        }
        if !either[0].revents().is_empty() {
            return child.wait().map(Some);
        }
        if !either[1].revents().is_empty() {
            // Its wait for the service's end is of no use to anybody.
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(script: &str) -> Child {
        Command::new("/bin/sh").args(["-c", script]).spawn().expect("starts")
    }

    #[test]
    fn the_daemon_s_farewell_ends_the_wait_and_systemd_run_with_it() {
        let (daemon, spawner) = UnixStream::pair().expect("a pair");
        let mut runs = child("exec sleep 1000");
        drop(daemon);
        assert_eq!(wait(&spawner, &mut runs).expect("is waited for"), None);
        assert!(runs.try_wait().expect("is asked").is_some(), "it has ended");
    }

    #[test]
    fn a_service_that_fails_before_it_is_told_with_its_status() {
        let (_daemon, spawner) = UnixStream::pair().expect("a pair");
        let status = wait(&spawner, &mut child("exit 3")).expect("is waited for").expect("has ended");
        assert_eq!(status.code(), Some(3));
    }
}
