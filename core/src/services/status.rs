//! How the core is: what runs, what its certificates and its disk do, and how near it
//! is to its limits.

use std::{path::Path, sync::atomic::Ordering};

use chatcode_proto::{
    code::Refusal,
    limits,
    pb::{AdminCertificate, AdminLimit, AdminStatusResponse},
};

use crate::{
    shared::{Shared, VERSION},
    store::counts::Counts,
};

/// All of it.
///
/// # Errors
/// `INTERNAL` when the store fails.
pub async fn whole(shared: &Shared) -> Result<AdminStatusResponse, Refusal> {
    let kept = shared.store.counts().await?;
    let (fleet, disk) = (shared.hub.counts(), Disk::of(&shared.data_dir));
    Ok(AdminStatusResponse {
        version: VERSION.to_owned(),
        started_unix_ms: shared.started_unix_ms,
        links: short(shared.links.all().len()),
        calls: shared.calls.now(),
        installation: shared.installation().to_owned(),
        certificate: Some(own(shared)),
        members: shared.store.ages().await?,
        gateways: short(fleet.gateways),
        sessions: short(fleet.sessions),
        viewers: short(fleet.viewers),
        limits: used(shared, kept),
        store_bytes: disk.store,
        disk_free_bytes: disk.free,
        disk_bytes: disk.all,
    })
}

/// The age of the core's own certificate.
fn own(shared: &Shared) -> AdminCertificate {
    let identity = shared.own.identity();
    let validity = identity.validity_unix_s();
    AdminCertificate {
        member: identity.name().to_string(),
        name: "core".to_owned(),
        not_after_unix_ms: validity.end.saturating_mul(1000),
        renewed_unix_ms: validity.start.saturating_add(limits::BACKDATE.as_secs()).saturating_mul(1000),
        failures: shared.own_failures.load(Ordering::Relaxed),
    }
}

/// How much of each limit is used.
fn used(shared: &Shared, kept: Counts) -> Vec<AdminLimit> {
    let fleet = shared.hub.counts();
    let members = limits::CORE_CONNECTIONS.saturating_sub(shared.doors.members.available_permits());
    let streams = limits::AUDIT_STREAMS.saturating_sub(shared.audit.streams.available_permits());
    let limit = |name: &str, used: u64, of: u64| AdminLimit { name: name.to_owned(), used, of };
    let size = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    vec![
        limit("machines", size(fleet.gateways), size(limits::GATEWAYS)),
        limit("machines that wait for approval", size(fleet.pending), size(limits::PENDING_GATEWAYS)),
        limit("sessions in the directory", size(fleet.directory), size(limits::DIRECTORY_SESSIONS_ALL)),
        limit("sessions of one machine", size(fleet.most_of_one), size(limits::SESSIONS_PER_GATEWAY)),
        limit("connections of members", size(members), size(limits::CORE_CONNECTIONS)),
        limit(
            "connections without a certificate",
            size(shared.doors.anonymous.taken()),
            size(limits::CORE_ANONYMOUS),
        ),
        limit("people", kept.people, limits::PEOPLE.into()),
        limit("teams", kept.teams, limits::TEAMS.into()),
        limit("roles given", kept.bindings, limits::BINDINGS.into()),
        limit("join tokens", kept.join_tokens, size(limits::JOIN_TOKENS)),
        limit("API tokens of one person", kept.api_tokens, limits::API_TOKENS_OF_PERSON.into()),
        limit("logins that wait", kept.devices, limits::DEVICES.into()),
        limit("exports and watches of the audit", size(streams), size(limits::AUDIT_STREAMS)),
    ]
}

/// The disk of the store, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk {
    /// What the store takes.
    pub store: u64,
    /// What is free; 0: not known.
    pub free: u64,
    /// What there is; 0: not known.
    pub all: u64,
}

impl Disk {
    /// Three looks that the kernel answers from memory.
    #[must_use]
    pub fn of(data_dir: &Path) -> Self {
        let size = |name| std::fs::metadata(data_dir.join(name)).map_or(0, |facts| facts.len());
        let store = ["core.db", "core.db-wal", "core.db-shm"].into_iter().map(size).sum();
        rustix::fs::statvfs(data_dir).map_or(Self { store, ..Self::default() }, |disk| Self {
            store,
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
            all: disk.f_blocks.saturating_mul(disk.f_frsize),
        })
    }
}

fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
