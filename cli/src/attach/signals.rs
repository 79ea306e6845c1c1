//! What the system tells an attached program.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// News from the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The terminal has another size.
    Resized,
    /// This program has to end.
    End,
}

/// The signals that matter while attached.
#[derive(Debug)]
pub(super) struct Signals {
    resize: Signal,
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            resize: signal(SignalKind::window_change())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next news.
    pub(super) async fn next(&mut self) -> News {
        tokio::select! {
            _ = self.resize.recv() => News::Resized,
            _ = self.terminate.recv() => News::End,
            _ = self.hang_up.recv() => News::End,
            _ = self.interrupt.recv() => News::End,
        }
    }
}
