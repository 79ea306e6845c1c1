//! The terminal and the shell on it; the only user of `pty-process`.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::ExitStatusExt as _,
    },
    process::Child,
};

use chatcode_proto::pb;
use pty_process::{
    Size,
    blocking::{Command, open},
};
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    process::{Pid, Signal, kill_process, kill_process_group},
    termios::{Winsize, tcgetpgrp, tcsetwinsize},
};

use crate::{
    ending::Step,
    memory::{OomCount, before_the_holder},
    spec::Spec,
};

/// A shell could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// No terminal could be made.
    #[error("no terminal could be opened on this machine")]
    Terminal(#[source] pty_process::Error),
    /// The folder cannot be entered.
    #[error("the folder {0} cannot be entered; choose another")]
    Folder(String, #[source] io::Error),
    /// The program cannot be run.
    #[error("the program {0} cannot be run; check its name and its right to be executed")]
    Program(String, #[source] pty_process::Error),
    /// The terminal cannot be used.
    #[error("the new terminal cannot be used")]
    Io(#[from] io::Error),
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// So many bytes; never 0.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// No program has the terminal open. After the shell's end: nothing will
    /// come any more.
    HungUp,
}

/// The master side of the terminal, and the shell.
///
/// Dropping it closes the terminal, which hangs up whoever is still on it.
#[derive(Debug)]
pub(crate) struct Terminal {
    master: OwnedFd,
    shell: Child,
    /// The shell's process, which is its session and process group too.
    leader: Option<Pid>,
    /// The shell is reaped and none of its session is left: the number may be
    /// another's by now.
    deserted: bool,
    ooms: Option<OomCount>,
}

impl Terminal {
    /// Opens a terminal of the size in `spec` and starts the shell on it, as
    /// leader of a session of its own, with exactly the environment of `spec`.
    ///
    /// # Errors
    /// What could not be done, in words for people.
    pub(crate) fn start(spec: &Spec) -> Result<Self, StartError> {
        // Looked at first, since a spawn fails alike for folder and program.
        std::fs::read_dir(&spec.folder)
            .map_err(|error| StartError::Folder(spec.folder.display().to_string(), error))?;
        let (pty, shell_side) = open().map_err(StartError::Terminal)?;
        pty.resize(Size::new(narrow(spec.winsize.rows), narrow(spec.winsize.cols)))
            .map_err(StartError::Terminal)?;
        fcntl_setfl(&pty, fcntl_getfl(&pty).map_err(io::Error::from)? | OFlags::NONBLOCK)
            .map_err(io::Error::from)?;
        let ooms = OomCount::begin();
        let command = Command::new(&spec.program)
            .args(&spec.arguments)
            .arg0(&spec.arg0)
            .env_clear()
            .envs(&spec.environment)
            .current_dir(&spec.folder);
        let shell = before_the_holder(|| command.spawn(shell_side))
            .map_err(|error| StartError::Program(spec.program.clone(), error))?;
        let leader = i32::try_from(shell.id()).ok().and_then(Pid::from_raw);
        Ok(Self { master: pty.into(), shell, leader, deserted: false, ooms })
    }

    /// Reads what is there; never waits.
    ///
    /// # Errors
    /// I/O errors other than "nothing now" and "hung up".
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<Got> {
        loop {
            return match rustix::io::read(&self.master, &mut *buffer) {
                Ok(0) | Err(Errno::IO) => Ok(Got::HungUp),
                Ok(n) => Ok(Got::Bytes(n)),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => Ok(Got::Nothing),
                Err(error) => Err(error.into()),
            };
        }
    }

    /// Writes what the terminal takes now; 0 when it takes nothing.
    ///
    /// # Errors
    /// I/O errors, among them a hang-up.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            return match rustix::io::write(&self.master, bytes) {
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => Ok(0),
                other => Ok(other?),
            };
        }
    }

    /// Gives the terminal another size; the kernel tells the foreground
    /// program.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn resize(&self, winsize: pb::Winsize) -> io::Result<()> {
        let (ws_row, ws_col) = (narrow(winsize.rows), narrow(winsize.cols));
        Ok(tcsetwinsize(&self.master, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 })?)
    }

    /// How the shell ended, once it has; never waits. The time and the
    /// duration are not set.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<pb::Exit>> {
        let Some(status) = self.shell.try_wait()? else { return Ok(None) };
        let signal = status.signal().unwrap_or_default();
        let was_killed = signal == Signal::KILL.as_raw();
        Ok(Some(pb::Exit {
            code: status.code().unwrap_or_default(),
            signal,
            out_of_memory: was_killed && self.ooms.as_ref().is_some_and(OomCount::has_grown),
            ..Default::default()
        }))
    }

    /// Takes one step of the ladder with the shell and all of its session;
    /// `shell_lives`: it is not reaped yet.
    pub(crate) fn end(&mut self, step: Step, shell_lives: bool) {
        let Some(leader) = self.leader.filter(|_| !self.deserted) else { return };
        // A fork between listing and killing leaves one more: look again.
        for _ in 0..8 {
            let members = session_members(leader);
            for &member in &members {
                let _ = kill_process(member, signal(step));
                if step != Step::Kill {
                    // A stopped program gets it only once it goes on.
                    let _ = kill_process(member, Signal::CONT);
                }
            }
            if members.is_empty() || step != Step::Kill {
                break;
            }
        }
        if shell_lives {
            let _ = kill_process_group(leader, signal(step));
            if let Ok(foreground) = tcgetpgrp(&self.master) {
                let _ = kill_process_group(foreground, signal(step));
            }
        }
    }

    /// Whether none of the shell's session is left; to be asked after the
    /// shell was reaped.
    pub(crate) fn is_deserted(&mut self) -> bool {
        self.deserted = self.deserted || self.leader.is_none_or(|leader| session_members(leader).is_empty());
        self.deserted
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

const fn signal(step: Step) -> Signal {
    match step {
        Step::HangUp => Signal::HUP,
        Step::Terminate => Signal::TERM,
        Step::Kill => Signal::KILL,
    }
}

fn narrow(n: u32) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

/// The living processes of a session, by `/proc`; empty where there is none
/// (then the ladder reaches the shell's and the foreground's groups).
fn session_members(session: Pid) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let of_session = |pid: &Pid| {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        is_living_member(&stat, session)
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw).filter(of_session).collect()
}

/// Reads `pid (name) state ppid pgrp session ...`; the name may hold anything.
fn is_living_member(stat: &str, session: Pid) -> bool {
    let Some((_, rest)) = stat.rsplit_once(')') else { return false };
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next().unwrap_or("X");
    let member_of = fields.nth(2).and_then(|field| field.parse().ok());
    !matches!(state, "Z" | "X") && member_of == Some(session.as_raw_nonzero().get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_a_session_are_found_whatever_their_name() {
        let session = Pid::from_raw(77).expect("is a pid");
        assert!(is_living_member("80 (a) b) S 1 80 77 34816", session));
        assert!(!is_living_member("80 (sh) Z 1 80 77 34816", session), "a zombie has ended");
        assert!(!is_living_member("80 (sh) S 77 77 78 34816", session));
        assert!(!is_living_member("", session));
    }
}
