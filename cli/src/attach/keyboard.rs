//! Reads the person's keys on a thread of its own, which ends when it is
//! dropped: a blocked read would hold up the end of the program.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    thread::JoinHandle,
};

use bytes::Bytes;
use rustix::{
    event::{PollFd, PollFlags, poll},
    pipe::{PipeFlags, pipe_with},
};
use tokio::sync::mpsc;

/// Bytes of one read: a paste comes in a few.
const READ_BYTES: usize = 16 * 1024;
/// Reads that wait for the attachment; then the keys wait in the kernel.
const READS: usize = 8;

/// The keys of standard input.
#[derive(Debug)]
pub(super) struct Keyboard {
    keys: mpsc::Receiver<Bytes>,
    /// Closing it ends the thread.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Keyboard {
    /// Begins to read standard input.
    ///
    /// # Errors
    /// When there is no pipe or thread to be had.
    pub(super) fn open() -> io::Result<Self> {
        let (stopped, stop) = pipe_with(PipeFlags::CLOEXEC)?;
        let (keys, receiver) = mpsc::channel(READS);
        let thread = std::thread::Builder::new()
            .name("keyboard".to_owned())
            .spawn(move || read_keys(&stopped, &keys))?;
        Ok(Self { keys: receiver, stop: Some(stop), thread: Some(thread) })
    }

    /// The next keys; `None` when standard input has ended.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        self.keys.recv().await
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.keys.close();
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It watches the pipe, so it ends at once; its panic is not ours.
            let _ = thread.join();
        }
    }
}

fn read_keys(stopped: &OwnedFd, keys: &mpsc::Sender<Bytes>) {
    let stdin = io::stdin();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let mut ready = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
        }
        if !ready[1].revents().is_empty() {
            return;
        }
        match rustix::io::read(stdin.as_fd(), &mut buffer) {
            Ok(0) => return,
            Ok(n) => {
                if keys.blocking_send(Bytes::copy_from_slice(&buffer[..n])).is_err() {
                    return;
                }
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}
