//! Leaving whoever started the holder: its session, folder and files.

use std::{
    fs::{File, OpenOptions},
    io,
};

use rustix::{process, stdio};

use crate::log::Log;

/// Leaves the session and its terminal, so that nothing that ends them ends
/// the holder.
///
/// # Errors
/// When no session of its own can be made.
pub(crate) fn leave_session() -> io::Result<()> {
    if process::getsid(None)? == process::getpid() {
        return Ok(());
    }
    if process::setsid().is_ok() {
        return Ok(());
    }
    // The leader of a process group may not begin a session; a member may.
    let parent = process::getppid().ok_or(io::ErrorKind::NotFound)?;
    let group = process::getpgid(Some(parent))?;
    process::setpgid(None, Some(group))?;
    process::setsid()?;
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
