//! What the daemon counts while it works. Names and labels stand here; docs/observe.md
//! says what each means.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use chatcode_process::observe::{Counter, Counters, Histogram, Meters};

/// The kinds of frames by their field number in `ClientFrame`, which are the words of
/// their label.
const CLIENT_KINDS: [&str; KINDS] = [
    "other",
    "attach",
    "input",
    "credit",
    "resize",
    "take_lease",
    "hand_over_lease",
    "ping",
    "detach",
    "snapshot_request",
    "theme",
    "other",
    "other",
    "other",
    "other",
    "sealed",
];
/// The same of `ServerFrame`.
const SERVER_KINDS: [&str; KINDS] = [
    "other",
    "attached",
    "output",
    "other",
    "snapshot",
    "input_confirmed",
    "input_refused",
    "presence",
    "resized",
    "exited",
    "pong",
    "closing",
    "other",
    "titled",
    "other",
    "sealed",
];
/// Field numbers of one byte: 4 bits, before 3 bits of the wire type.
const KINDS: usize = 16;
/// The field number of output, and of a part of a snapshot.
const OUTPUT: usize = 2;
const SNAPSHOT: usize = 4;

/// What a snapshot means, for those who read.
const SNAPSHOTS: &str = "Snapshots of screens; first: at the beginning of an attachment; later: a viewer was too slow, \
                         or asked, and the output between is a gap";

/// The meters of a daemon; each handle is kept by whoever counts.
#[derive(Clone, Debug)]
pub(crate) struct GatewayMeters {
    /// All of them, for those who read.
    pub(crate) all: Meters,
    /// Links that came up.
    pub(crate) links_up: Counter,
    /// Links, and tries of one, that ended, by code.
    pub(crate) links_ended: Counters<1>,
    /// Requests for another certificate that the core refused.
    pub(crate) renewals_refused: Counter,
    /// Calls of the core, by method and code.
    pub(crate) calls: Counters<2>,
    /// Sessions that were started, again or for the first time.
    pub(crate) sessions_started: Counter,
    /// Sessions that were started again by their policy.
    pub(crate) sessions_restarted: Counter,
    /// Round trips to holders.
    pub(crate) holder_rtt: Histogram,
    /// Measures that no holder answered in time.
    pub(crate) holders_silent: Counter,
    /// What passes in terminals.
    pub(crate) terminals: Arc<Terminals>,
    certificate_end_s: Arc<AtomicU64>,
}

/// What passes between viewers and holders.
#[derive(Debug)]
pub(crate) struct Terminals {
    /// Attachments that began.
    pub(crate) attached: Counter,
    /// Attachments that ended, by code.
    pub(crate) ended: Counters<1>,
    to_holder: [Counter; KINDS],
    to_viewer: [Counter; KINDS],
    bytes_to_holder: Counter,
    bytes_to_viewer: Counter,
    snapshot_first: Counter,
    snapshot_later: Counter,
}

/// Where in its output one attachment is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    had_output: bool,
    in_snapshot: bool,
}

impl Terminals {
    fn new(all: &Meters) -> Self {
        let bytes = all.counters("terminal_bytes", "Bytes of terminals' frames", ["direction"], &[]);
        let frames = all.counters(
            "terminal_frames",
            "Frames of terminals, by direction and kind; credit: what a viewer has shown",
            ["direction", "kind"],
            &[],
        );
        let snapshots = all.counters("snapshots", SNAPSHOTS, ["at"], &[]);
        Self {
            attached: all.counter("attachments", "Attachments of viewers that began"),
            ended: all.counters(
                "attachments_ended",
                "Attachments that ended, by cause; left: the call was given up",
                ["code"],
                &[["done"], ["left"], ["holder_unreachable"]],
            ),
            to_holder: CLIENT_KINDS.map(|kind| frames.of(["to_holder", kind])),
            to_viewer: SERVER_KINDS.map(|kind| frames.of(["to_viewer", kind])),
            bytes_to_holder: bytes.of(["to_holder"]),
            bytes_to_viewer: bytes.of(["to_viewer"]),
            snapshot_first: snapshots.of(["first"]),
            snapshot_later: snapshots.of(["later"]),
        }
    }

    /// A viewer's frame goes to its holder.
    pub(crate) fn client_frame(&self, frame: &[u8]) {
        self.bytes_to_holder.add(frame.len());
        self.to_holder[kind(frame)].inc();
    }

    /// A holder's frame goes to a viewer that is at `place`.
    pub(crate) fn server_frame(&self, frame: &[u8], place: &mut Place) {
        self.bytes_to_viewer.add(frame.len());
        let kind = kind(frame);
        self.to_viewer[kind].inc();
        if kind == SNAPSHOT && !place.in_snapshot {
            if place.had_output { &self.snapshot_later } else { &self.snapshot_first }.inc();
        }
        // Frames of other kinds may come between the parts.
        match kind {
            SNAPSHOT => place.in_snapshot = true,
            OUTPUT => *place = Place { had_output: true, in_snapshot: false },
            _ => {}
        }
    }
}

/// The field number of a frame's kind, which its first byte tells; 0: of a later version.
fn kind(frame: &[u8]) -> usize {
    frame.first().filter(|first| **first < 0x80).map_or(0, |first| usize::from(first >> 3))
}

impl Default for GatewayMeters {
    fn default() -> Self {
        let all = Meters::new("gateway", env!("CARGO_PKG_VERSION"));
        let certificate_end_s = Arc::new(AtomicU64::new(0));
        let end = Arc::clone(&certificate_end_s);
        #[expect(clippy::cast_precision_loss, reason = "seconds are exact up to 2^53")]
        all.read(
            "certificate_end_seconds",
            "When the gateway's certificate ends, in seconds since 1970",
            move || end.load(Ordering::Relaxed) as f64,
        );
        Self {
            links_up: all.counter("links_up", "Links that came up: the core said Welcome"),
            links_ended: all.counters(
                "links_ended",
                "Links that ended, and tries of one that failed, by cause",
                ["code"],
                &[["core_unreachable"], ["timeout"], ["draining"]],
            ),
            renewals_refused: all
                .counter("renewals_refused", "Renewals of the certificate that the core refused"),
            calls: all.counters(
                "calls",
                "Calls of the core, by method and the code of the answer's head",
                ["method", "code"],
                &[["Sessions/List", "done"]],
            ),
            sessions_started: all
                .counter("sessions_started", "Sessions that were started, again or for the first time"),
            sessions_restarted: all
                .counter("sessions_restarted", "Sessions that were started again by their policy"),
            holder_rtt: all
                .histogram("holder_rtt_seconds", "Round trips to holders, one of them with each heartbeat"),
            holders_silent: all.counter("holders_silent", "Measures that a holder did not answer in time"),
            terminals: Arc::new(Terminals::new(&all)),
            certificate_end_s,
            all,
        }
    }
}

impl GatewayMeters {
    /// The certificate in use ends then, in seconds since 1970.
    pub(crate) fn certificate_ends(&self, unix_s: u64) {
        self.certificate_end_s.store(unix_s, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use chatcode_proto::pb::{
        ClientFrame, Credit, Output, Presence, ServerFrame, Snapshot, client_frame, server_frame,
    };
    use prost::Message as _;

    use super::*;

    #[test]
    fn frames_are_counted_by_kind_and_a_snapshot_after_output_is_a_gap() {
        let meters = GatewayMeters::default();
        let terminals = &meters.terminals;
        let client = |kind| ClientFrame { kind: Some(kind) }.encode_to_vec();
        let server = |kind| ServerFrame { kind: Some(kind) }.encode_to_vec();
        terminals.client_frame(&client(client_frame::Kind::Credit(Credit::default())));
        terminals.client_frame(&[0xff, 1]);
        let mut place = Place::default();
        let snapshot = || server(server_frame::Kind::Snapshot(Snapshot::default()));
        let output = || server(server_frame::Kind::Output(Output::default()));
        let presence = || server(server_frame::Kind::Presence(Presence::default()));
        let passes = [snapshot(), snapshot(), output(), snapshot(), presence(), snapshot(), output()];
        for frame in passes {
            terminals.server_frame(&frame, &mut place);
        }
        let text = meters.all.text();
        for line in [
            "chatcode_gateway_snapshots_total{at=\"first\"} 1",
            "chatcode_gateway_snapshots_total{at=\"later\"} 1",
            "chatcode_gateway_terminal_frames_total{direction=\"to_holder\",kind=\"credit\"} 1",
            "chatcode_gateway_terminal_frames_total{direction=\"to_holder\",kind=\"other\"} 1",
            "chatcode_gateway_terminal_frames_total{direction=\"to_viewer\",kind=\"snapshot\"} 4",
            "chatcode_gateway_terminal_frames_total{direction=\"to_viewer\",kind=\"output\"} 2",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
    }
}
