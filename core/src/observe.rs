//! What the core shows to those who run it: gauges of what it is at this moment, and
//! whether it is ready.

use std::sync::{Arc, atomic::Ordering};

use chatcode_process::observe::{Meters, Readiness, look};
use chatcode_proto::{
    limits,
    pb::{CaPart, CaUse},
};

use crate::{clock, services::status::Disk, shared::Shared};

/// Adds what is read at the moment of the question to the meters of `shared`.
pub fn show(shared: &Arc<Shared>) {
    let meters = &shared.meters.all;
    show_fleet(meters, shared);
    show_store(meters, shared);
    show_certificates(meters, shared);
    meters.read(
        "calls_running",
        "Calls that are passed on to machines now",
        look(shared, |of| of.calls.now().into()),
    );
    meters.read_each(
        "connections",
        "Connections of the gRPC listener, by whether they show a certificate",
        "kind",
        look(shared, |of| {
            let members = limits::CORE_CONNECTIONS.saturating_sub(of.doors.members.available_permits());
            vec![("member", number(members)), ("anonymous", number(of.doors.anonymous.taken()))]
        }),
    );
}

fn show_fleet(meters: &Meters, shared: &Arc<Shared>) {
    meters.read("links", "Links that are live", look(shared, |of| number(of.links.all().len())));
    meters.read_each(
        "gateways",
        "Gateways that are known, by how they are linked",
        "state",
        look(shared, |of| {
            let counts = of.hub.counts();
            let offline = counts.gateways.saturating_sub(counts.online);
            vec![
                ("online", number(counts.online)),
                ("offline", number(offline)),
                ("revoked", number(counts.revoked)),
            ]
        }),
    );
    meters.read_each(
        "sessions",
        "Sessions in the directory, by state",
        "state",
        look(shared, |of| {
            let counts = of.hub.counts();
            vec![
                ("running", number(counts.sessions)),
                ("ended", number(counts.ended)),
                ("lost", number(counts.lost)),
            ]
        }),
    );
    meters.read("viewers", "Viewers of all sessions", look(shared, |of| number(of.hub.counts().viewers)));
    meters.read(
        "gateways_pending",
        "Machines that wait for a person's approval",
        look(shared, |of| number(of.hub.counts().pending)),
    );
}

fn show_store(meters: &Meters, shared: &Arc<Shared>) {
    let store = shared.store.meters();
    let help = "From the wish to write until it is on the disk, each transaction of the store";
    meters.show_histogram("store_write_seconds", help, &store.writes);
    let help = "Transactions of the store that could not begin or not be finished";
    meters.show_counter("store_failures", help, &store.failed);
    let help = "Rows of the audit that could not be written; their acts were not done";
    meters.show_counter("audit_failures", help, &store.audit_failed);
    meters.read(
        "store_bytes",
        "Bytes of the store's files",
        look(shared, |of| bytes(Disk::of(&of.data_dir).store)),
    );
    meters.read(
        "disk_free_bytes",
        "Bytes that are free on the disk of the store",
        look(shared, |of| bytes(Disk::of(&of.data_dir).free)),
    );
}

fn show_certificates(meters: &Meters, shared: &Arc<Shared>) {
    meters.read_each(
        "certificate_end_seconds",
        "When a certificate in use ends, in seconds since 1970; gateway: the first of all machines",
        "certificate",
        look(shared, ends),
    );
    meters.read(
        "own_renewals_failing",
        "Renewals of the core's own certificate that failed since the last good one",
        look(shared, |of| of.own_failures.load(Ordering::Relaxed).into()),
    );
}

fn ends(shared: &Shared) -> Vec<(&'static str, f64)> {
    let mut ends = vec![("core", bytes(shared.own.identity().validity_unix_s().end))];
    // What cannot be read is left out, and the core is not ready then.
    for certificate in shared.authority.view().map(|view| view.certificates).unwrap_or_default() {
        let name = match certificate.part {
            CaPart::Root => "root",
            CaPart::Intermediate => "intermediate",
            CaPart::Unspecified => continue,
        };
        if certificate.used == CaUse::Active {
            ends.push((name, bytes(certificate.not_after_unix_s)));
        }
    }
    let first_ms = shared.hub.counts().first_end_unix_ms;
    if first_ms > 0 {
        ends.push(("gateway", bytes(first_ms / 1000)));
    }
    ends
}

/// Whether the core can do its duty: it is not stopping, its store can be written, its CA
/// read, and its own certificate holds.
pub fn ready(shared: &Arc<Shared>) -> Readiness {
    let shared = Arc::clone(shared);
    Box::pin(async move {
        if shared.stop.is_cancelled() {
            return Err("the core stops".to_owned());
        }
        if shared.own.identity().validity_unix_s().end <= clock::unix_ms() / 1000 {
            return Err("the core's own certificate has ended".to_owned());
        }
        if let Err(error) = shared.authority.view() {
            tracing::warn!(error = &error as &dyn std::error::Error, "not ready: the CA");
            return Err("the CA cannot be read; the log says why".to_owned());
        }
        shared.store.check().await.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "not ready: the store");
            "the store cannot be written; the log says why".to_owned()
        })
    })
}

#[expect(clippy::cast_precision_loss, reason = "no such number reaches 2^53")]
const fn number(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "bytes and seconds are exact up to 2^53")]
const fn bytes(count: u64) -> f64 {
    count as f64
}
