//! Leaving whoever started the holder: its session, folder and files.

use std::{
    fs::{File, OpenOptions},
    io,
};

// A session or group that was begun outside of a container has the number 0 in
// it, which a `Pid` of rustix cannot be.
use nix::unistd::{self, Pid};
use rustix::stdio;

use crate::log::Log;

/// The calling process, in calls that take the number of one.
const OWN: Pid = Pid::from_raw(0);

/// Leaves the session and its terminal, so that nothing that ends them ends
/// the holder.
///
/// # Errors
/// When no session of its own can be made.
pub(crate) fn leave_session() -> io::Result<()> {
    if unistd::setsid().is_ok() || unistd::getsid(None)? == unistd::getpid() {
        return Ok(());
    }
    // The leader of a process group may not begin a session; a member may.
    let group = unistd::getpgid(Some(unistd::getppid()))?;
    unistd::setpgid(OWN, group)?;
    unistd::setsid()?;
    Ok(())
}

/// Ends the reading from whoever started the holder.
///
/// # Errors
/// I/O errors.
pub(crate) fn leave_stdin() -> io::Result<()> {
    Ok(stdio::dup2_stdin(File::open("/dev/null")?)?)
}

/// Ends the writing to whoever started the holder; errors of libraries and
/// panics go to the log from here on.
///
/// # Errors
/// I/O errors.
pub(crate) fn leave_output(log: &Log) -> io::Result<()> {
    stdio::dup2_stdout(OpenOptions::new().write(true).open("/dev/null")?)?;
    stdio::dup2_stderr(log.file())?;
    Ok(())
}

/// Files beyond the three standard ones that the holder was started with. Only
/// to be told: they cannot be closed without unsafe code, so whoever starts a
/// holder has to open its files with close-on-exec.
pub(crate) fn inherited_files() -> usize {
    let Ok(entries) = std::fs::read_dir("/dev/fd") else { return 0 };
    // Three standard ones, and the one that reads the folder.
    entries.count().saturating_sub(4)
}
