//! What a program answers on standard output. A reader that left (`| head`) ends the
//! program quietly.

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
};

use rustix::fs::{FileType, fstat};
use serde::Serialize;
use tokio::{io::Interest, net::unix::pipe};

/// Nobody reads standard output any more.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub struct ReaderLeft;

/// Whether an error is that [`ReaderLeft`].
pub(crate) fn is_of_reader(error: &(dyn std::error::Error + 'static)) -> bool {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<ReaderLeft>() || inner.is_some_and(|inner| inner.is::<ReaderLeft>())
}

/// Prints a text at once.
///
/// # Errors
/// [`ReaderLeft`], which `main_with` takes for a good end; when it cannot be written.
pub fn answer(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => io::Error::new(io::ErrorKind::BrokenPipe, ReaderLeft),
        _ => error,
    })
}

/// Prints one value as one line of JSON.
///
/// # Errors
/// As [`answer`].
pub fn json(value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    answer(&line)
}

/// Waits until nobody reads standard output any more: for a program that waits long
/// before it has something to say. For ever where that is no pipe.
pub async fn reader_left() {
    let left = match pipe_of_output() {
        Some(pipe) => pipe.ready(Interest::ERROR).await.is_ok(),
        None => false,
    };
    if !left {
        std::future::pending().await
    }
}

/// Standard output, to look at and not to write to: as a pipe that blocks it stays.
fn pipe_of_output() -> Option<pipe::Sender> {
    let out = io::stdout().as_fd().try_clone_to_owned().ok()?;
    let is_pipe = FileType::from_raw_mode(fstat(&out).ok()?.st_mode) == FileType::Fifo;
    if is_pipe { pipe::Sender::from_owned_fd_unchecked(out).ok() } else { None }
}
