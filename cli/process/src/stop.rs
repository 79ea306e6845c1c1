//! When a program has to stop.

use std::io::IsTerminal as _;

use chatcode_proto::limits;
use tokio::{
    io::AsyncReadExt as _,
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled at SIGINT, SIGTERM, SIGHUP of its own terminal, or,
/// when `exit_with_stdin`, at the end of standard input: so a program that was
/// started by another ends with it, however that one ended. A second signal ends
/// the process at once, unless it comes within [`limits::SIGNAL_REPEAT`] of the
/// first: a terminal and the runner under it both pass one Ctrl-C on.
///
/// # Panics
/// Outside of a tokio runtime.
#[must_use]
pub fn shutdown(exit_with_stdin: bool) -> CancellationToken {
    let token = CancellationToken::new();
    let stopped = token.clone();
    // Lives as long as the process: it is what turns the second signal into
    // an end.
    tokio::spawn(async move {
        let mut signals = Signals::new();
        tokio::select! {
            () = signals.next() => tracing::info!(target: "chatcode", "a signal asks to stop"),
            () = end_of_stdin(), if exit_with_stdin => {
                tracing::info!(target: "chatcode", "standard input ended, so does this program");
            }
        }
        stopped.cancel();
        let repeats_end = Instant::now() + limits::SIGNAL_REPEAT;
        signals.next().await;
        while Instant::now() < repeats_end {
            signals.next().await;
        }
        tracing::warn!(target: "chatcode", "a second signal: stopping at once");
        crate::logging::last_line("");
        std::process::exit(i32::from(crate::exit::FAILURE));
    });
    token
}

/// The signals that ask a program to stop; none where the system refuses them.
struct Signals(Vec<Signal>);

impl Signals {
    fn new() -> Self {
        // Under nohup a hang-up stays ignored, and standard error is a file.
        let hangup = std::io::stderr().is_terminal().then(SignalKind::hangup);
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()].into_iter().chain(hangup);
        Self(kinds.filter_map(|kind| signal(kind).ok()).collect())
    }

    async fn next(&mut self) {
        std::future::poll_fn(|context| {
            if self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }
}

async fn end_of_stdin() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 256];
    while matches!(stdin.read(&mut ignored).await, Ok(1..)) {}
}
