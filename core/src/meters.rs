//! What the core counts while it works. Names and labels stand here; docs/observe.md says
//! what each means.

use std::time::Duration;

use chatcode_process::observe::{Counter, Counters, Histogram, Meters};
use chatcode_proto::{pb::Code, rules::Rule};

/// The meters of a core; each handle is kept by whoever counts.
#[derive(Clone, Debug)]
pub struct CoreMeters {
    /// All of them, for those who read.
    pub all: Meters,
    /// Links that came up.
    pub links_up: Counter,
    /// Links that ended, by code.
    pub links_ended: Counters<1>,
    /// Links that were not let in, by code.
    pub links_refused: Counters<1>,
    /// Handshakes that failed, by listener and reason.
    pub handshakes_failed: Counters<2>,
    /// Round trips of heartbeats.
    pub link_rtt: Histogram,
    /// Round trips from a machine's daemon to the slowest of its holders.
    pub holder_rtt: Histogram,
    /// Renewals over links, by code.
    pub renewals: Counters<1>,
    /// Calls, by method and code.
    pub calls: Counters<2>,
    /// From a call to the head of its answer, where both are one message.
    unary: Histogram,
    /// The same of streams.
    streams: Histogram,
    /// Calls that ended early, by code.
    pub cuts: Counters<1>,
    /// Bytes that were passed on to machines.
    pub to_gateways: Counter,
    /// Bytes that came back from them.
    pub to_callers: Counter,
}

impl Default for CoreMeters {
    fn default() -> Self {
        let all = Meters::new("core", env!("CARGO_PKG_VERSION"));
        let bytes = all.counters(
            "passed_bytes",
            "Bytes of calls that were passed on over links, with gRPC's heads",
            ["direction"],
            &[],
        );
        Self {
            links_up: all.counter("links_up", "Links that came up: a Welcome was sent"),
            links_ended: all.counters(
                "links_ended",
                "Links that ended, by their cause",
                ["code"],
                &[["done"], ["gateway_offline"], ["timeout"]],
            ),
            links_refused: all.counters(
                "links_refused",
                "Links that were not let in, by cause",
                ["code"],
                &[["revoked"], ["unauthenticated"], ["duplicate_identity"]],
            ),
            handshakes_failed: all.counters(
                "handshakes_failed",
                "Connections that did not come about, by listener and reason",
                ["listener", "reason"],
                &[
                    ["link", "timeout"],
                    ["link", "certificate"],
                    ["link_tcp", "timeout"],
                    ["grpc", "timeout"],
                    ["grpc", "tls"],
                    ["grpc", "no_room"],
                ],
            ),
            link_rtt: all.histogram("link_rtt_seconds", "Round trips of heartbeats between core and gateway"),
            holder_rtt: all.histogram(
                "holder_rtt_seconds",
                "Round trips from gateways to the slowest of their holders, told with each heartbeat",
            ),
            renewals: all.counters(
                "renewals",
                "Renewals of certificates over links, by code",
                ["code"],
                &[["done"], ["internal"]],
            ),
            calls: all.counters(
                "calls",
                "Calls, by method and the code of the answer's head",
                ["method", "code"],
                &[["unknown", "unknown_method"]],
            ),
            unary: all.histogram(
                "call_seconds",
                "From a call of one message and one answer to the head of the answer",
            ),
            streams: all.histogram("stream_open_seconds", "From a streaming call to the head of its answer"),
            cuts: all.counters(
                "calls_cut",
                "Streaming calls that the core ended early, by cause",
                ["code"],
                &[["draining"], ["gateway_offline"], ["timeout"]],
            ),
            to_gateways: bytes.of(["to_gateway"]),
            to_callers: bytes.of(["to_caller"]),
            all,
        }
    }
}

impl CoreMeters {
    /// Counts a call that has its answer.
    pub fn call(&self, method: &'static str, code: Code, rule: &Rule, took: Duration) {
        self.calls.of([method, code.name()]).inc();
        let histogram =
            if rule.client_streaming || rule.server_streaming { &self.streams } else { &self.unary };
        histogram.took(took);
    }
}
