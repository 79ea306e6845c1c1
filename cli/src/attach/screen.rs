//! Writes to the person's terminal on a thread of its own, and tells what has
//! been written: that is what a viewer's credit is made of.

use std::{
    io,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use tokio::sync::mpsc;

use crate::print;

/// Writes that wait for the terminal; their bytes are bounded by credit.
const WRITES: usize = 64;
/// How long the end waits for a terminal that does not take its last bytes.
const PATIENCE: Duration = Duration::from_secs(1);

/// One write.
struct Write {
    /// For the terminal.
    bytes: Vec<u8>,
    /// How many bytes of the session's output are on the screen after it.
    output: usize,
    /// A line for standard error behind it.
    words: Option<String>,
}

/// Standard output.
#[derive(Debug)]
pub(super) struct Screen {
    writes: Option<mpsc::Sender<Write>>,
    written: mpsc::Receiver<usize>,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    /// Begins to write.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn open() -> io::Result<Self> {
        let (writes, receiver) = mpsc::channel(WRITES);
        // One more than can wait, so the thread never waits for its reader
        // after the last write.
        let (sender, written) = mpsc::channel(WRITES + 1);
        let thread = std::thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || write_all(receiver, &sender))?;
        Ok(Self { writes: Some(writes), written, thread: Some(thread) })
    }

    /// Whether [`Screen::show`] has room now.
    pub(super) fn has_room(&self) -> bool {
        self.writes.as_ref().is_some_and(|writes| writes.capacity() > 0)
    }

    /// Writes `bytes`, which show `output` bytes of the session. Without room the
    /// bytes are dropped: ask [`Screen::has_room`] before.
    pub(super) fn show(&self, bytes: Vec<u8>, output: usize) {
        if let Some(writes) = &self.writes {
            let dropped = writes.try_send(Write { bytes, output, words: None }).is_err();
            debug_assert!(!dropped || writes.is_closed(), "has_room was asked before");
        }
    }

    /// Writes `bytes` and then one line to standard error. Both are dropped when
    /// there is no room.
    pub(super) fn say(&self, bytes: Vec<u8>, words: String) {
        if let Some(writes) = &self.writes {
            let _ = writes.try_send(Write { bytes, output: 0, words: Some(words) });
        }
    }

    /// Bytes of the session's output that have come to the screen since the
    /// last call; `None` when the terminal is gone.
    pub(super) async fn written(&mut self) -> Option<usize> {
        let mut written = self.written.recv().await?;
        while let Ok(more) = self.written.try_recv() {
            written += more;
        }
        Some(written)
    }
}

impl Drop for Screen {
    /// Waits until all is written, but not for a terminal that takes nothing.
    fn drop(&mut self) {
        self.writes.take();
        self.written.close();
        let Some(thread) = self.thread.take() else { return };
        let deadline = Instant::now() + PATIENCE;
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(2));
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

fn write_all(mut writes: mpsc::Receiver<Write>, written: &mpsc::Sender<usize>) {
    let out = io::stdout();
    while let Some(write) = writes.blocking_recv() {
        if write_whole(&out, &write.bytes).is_err() {
            return;
        }
        if let Some(words) = write.words {
            // The terminal is raw: a line begins and ends where it is told to.
            print::say(&format!("\r\n{words}\r"));
        }
        // At the end nobody listens any more, and the rest is written still.
        let _ = written.blocking_send(write.output);
    }
}

/// Past the standard library's buffer, which would cut at lines.
fn write_whole(out: &io::Stdout, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(out, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(out, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
