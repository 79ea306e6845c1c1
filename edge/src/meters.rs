//! What the edge counts while it works. Names and labels stand here; docs/observe.md says
//! what each means.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use chatcode_process::observe::{Counter, Counters, Histogram, Meters};

/// First byte of a viewer's frame that is a ping, and of a session's that is a pong: field
/// number and wire type of `ClientFrame.ping` and `ServerFrame.pong`.
const PING: u8 = 7 << 3 | 2;
const PONG: u8 = 10 << 3 | 2;

/// What an echo is, for those who read.
const ECHO: &str = "From a viewer's ping that passes the edge until the pong of the session's holder passes back: \
                    the way of a key without page and shell";

/// The meters of an edge; each handle is kept by whoever counts.
#[derive(Clone, Debug)]
pub(crate) struct EdgeMeters {
    /// All of them, for those who read.
    pub(crate) all: Meters,
    /// WebSockets that opened.
    pub(crate) sockets_opened: Counter,
    /// WebSockets that ended, by code.
    pub(crate) sockets_ended: Counters<1>,
    /// Bytes of messages that came from pages.
    pub(crate) from_pages: Counter,
    /// Bytes of messages that went to pages.
    pub(crate) to_pages: Counter,
    /// Round trips to pages, by the pings of their WebSockets.
    pub(crate) page_rtt: Histogram,
    /// Round trips to the holders of terminals.
    pub(crate) echo: Histogram,
    /// Requests that were answered, by class of status.
    pub(crate) requests: Counters<1>,
    /// From a call of a page to its answer.
    pub(crate) call: Histogram,
    /// Tries beyond the limits, by kind.
    pub(crate) tries_refused: Counters<1>,
    /// TLS handshakes of browsers that failed, by reason.
    pub(crate) handshakes_failed: Counters<1>,
    /// Round trips of probes to the core.
    pub(crate) core_rtt: Histogram,
    /// Probes that the core did not answer.
    pub(crate) probes_failed: Counter,
}

impl Default for EdgeMeters {
    fn default() -> Self {
        let all = Meters::new("edge", env!("CARGO_PKG_VERSION"));
        let bytes = all.counters("socket_bytes", "Bytes of messages on WebSockets", ["direction"], &[]);
        Self {
            sockets_opened: all.counter("sockets_opened", "WebSockets that opened"),
            sockets_ended: all.counters(
                "sockets_ended",
                "WebSockets that ended, by the code that the page was told; left: the page ended it",
                ["code"],
                &[["left"], ["core_unreachable"], ["gateway_offline"], ["limit"]],
            ),
            from_pages: bytes.of(["from_page"]),
            to_pages: bytes.of(["to_page"]),
            page_rtt: all.histogram(
                "page_rtt_seconds",
                "Round trips between edge and page, by the pings of WebSockets",
            ),
            echo: all.histogram("echo_seconds", ECHO),
            requests: all.counters(
                "requests",
                "HTTP requests, by class of status",
                ["status"],
                &[["2xx"], ["4xx"], ["5xx"]],
            ),
            call: all.histogram("call_seconds", "From a page's call to its answer"),
            tries_refused: all.counters(
                "tries_refused",
                "Tries of one address beyond its limit, by what was tried",
                ["kind"],
                &[["begin"], ["sign_in"], ["share"]],
            ),
            handshakes_failed: all.counters(
                "handshakes_failed",
                "TLS handshakes of browsers that did not come about, by reason",
                ["reason"],
                &[["tls"], ["broke_off"], ["timeout"]],
            ),
            core_rtt: all.histogram("core_rtt_seconds", "Round trips of probes between edge and core"),
            probes_failed: all.counter("core_probes_failed", "Probes that the core did not answer in time"),
            all,
        }
    }
}

/// One round trip at a time: when it began, in microseconds of a clock of its own.
#[derive(Debug)]
pub(crate) struct Trip {
    clock: Instant,
    /// 0: none is under way.
    begun_us: AtomicU64,
    took: Histogram,
}

impl Trip {
    /// Round trips that are noted in `took`.
    pub(crate) fn new(took: Histogram) -> Self {
        Self { clock: Instant::now(), begun_us: AtomicU64::new(0), took }
    }

    /// One begins, unless one is under way.
    pub(crate) fn begin(&self) {
        let now = u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        let _ = self.begun_us.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The one under way has ended.
    pub(crate) fn end(&self) {
        match self.begun_us.swap(0, Ordering::Relaxed) {
            0 => {}
            begun => self.took.took(self.clock.elapsed().saturating_sub(Duration::from_micros(begun))),
        }
    }

    /// A viewer's frame passes.
    pub(crate) fn client_frame(&self, frame: &[u8]) {
        if frame.first() == Some(&PING) {
            self.begin();
        }
    }

    /// A session's frame passes.
    pub(crate) fn server_frame(&self, frame: &[u8]) {
        if frame.first() == Some(&PONG) {
            self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use chatcode_proto::pb::{
        ClientFrame, Input, Output, Ping, Pong, ServerFrame, client_frame, server_frame,
    };
    use prost::Message as _;

    use super::*;

    fn count(meters: &EdgeMeters) -> String {
        let text = meters.all.text();
        text.lines()
            .find(|line| line.starts_with("chatcode_edge_echo_seconds_count"))
            .unwrap_or_default()
            .into()
    }

    #[test]
    fn an_echo_is_from_a_ping_to_its_pong_and_nothing_else() {
        let meters = EdgeMeters::default();
        let trip = Trip::new(meters.echo.clone());
        let client = |kind| ClientFrame { kind: Some(kind) }.encode_to_vec();
        let server = |kind| ServerFrame { kind: Some(kind) }.encode_to_vec();
        trip.server_frame(&server(server_frame::Kind::Pong(Pong::default())));
        trip.client_frame(&client(client_frame::Kind::Input(Input::default())));
        trip.server_frame(&server(server_frame::Kind::Output(Output::default())));
        assert_eq!(count(&meters), "chatcode_edge_echo_seconds_count 0");
        trip.client_frame(&client(client_frame::Kind::Ping(Ping::default())));
        trip.server_frame(&server(server_frame::Kind::Output(Output::default())));
        trip.server_frame(&server(server_frame::Kind::Pong(Pong::default())));
        trip.server_frame(&server(server_frame::Kind::Pong(Pong::default())));
        assert_eq!(count(&meters), "chatcode_edge_echo_seconds_count 1");
    }
}
