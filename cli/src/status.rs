//! `chatcode admin status`: links, sessions, versions, certificates, disk, and limits
//! near their edge, with what a person should look at.

use std::collections::BTreeMap;

use chatcode_proto::{
    limits,
    pb::{
        AdminCertificate, AdminLimit, AdminMember, AdminStatusRequest, AdminStatusResponse, Gateway,
        LinkState, MemberKind,
    },
};
use serde::Serialize;

use crate::{
    ca,
    client::{Client, unary},
    fleet::{self, Fleet, is_living, link_state},
    ls::link_transport,
    members,
    print::{self, shown},
    table::{Table, ago, now_ms, until},
};

/// The line of `status --json`.
#[derive(Debug, Serialize)]
struct Status<'a> {
    installation: &'a str,
    version: &'a str,
    started_unix_ms: u64,
    links: u32,
    calls: u32,
    core: &'a str,
    certificates: Vec<Age<'a>>,
    gateways: u32,
    sessions: u32,
    viewers: u32,
    machines: Vec<Machine<'a>>,
    edges: Vec<Edge<'a>>,
    versions: BTreeMap<&'a str, u32>,
    ca_phase: &'a str,
    store_bytes: u64,
    disk_free_bytes: u64,
    disk_bytes: u64,
    limits: Vec<Limit<'a>>,
    attention: &'a [String],
}

/// The age of one member's certificates.
#[derive(Debug, Serialize)]
struct Age<'a> {
    member: &'a str,
    name: &'a str,
    not_after_unix_ms: u64,
    renewed_unix_ms: u64,
    failures: u32,
}

/// A machine and its link.
#[derive(Debug, Serialize)]
struct Machine<'a> {
    id: &'a str,
    name: &'a str,
    state: &'static str,
    since_unix_ms: u64,
    link_transport: &'static str,
    link_rtt_us: u64,
    version: &'a str,
    sessions: usize,
    viewers: u32,
}

/// An edge and its connections.
#[derive(Debug, Serialize)]
struct Edge<'a> {
    id: &'a str,
    name: &'a str,
    connections: u32,
    version: &'a str,
}

/// A limit and how much of it is used.
#[derive(Debug, Serialize)]
struct Limit<'a> {
    name: &'a str,
    used: u64,
    of: u64,
    near: bool,
}

/// All that is asked of the core.
struct Asked {
    status: AdminStatusResponse,
    fleet: Fleet,
    members: Vec<AdminMember>,
    ca_phase: &'static str,
}

/// Prints how the installation is.
///
/// # Errors
/// When the core refuses or does not answer.
pub(crate) async fn run(client: &Client, json: bool) -> anyhow::Result<()> {
    let call = client.admin().status(unary(AdminStatusRequest {})).await;
    let asked = Asked {
        status: call.map_err(|status| client.error(&status))?.into_inner(),
        fleet: Fleet::ask(client).await?,
        members: members::all(client).await?,
        ca_phase: ca::rotation(client).await?,
    };
    let attention = asked.attention(now_ms());
    if json { Ok(print::json(&asked.json(client, &attention))?) } else { asked.print(client, &attention) }
}

impl Asked {
    fn json<'a>(&'a self, client: &'a Client, attention: &'a [String]) -> Status<'a> {
        let Self { status, ca_phase, .. } = self;
        Status {
            installation: &status.installation,
            version: &status.version,
            started_unix_ms: status.started_unix_ms,
            links: status.links,
            calls: status.calls,
            core: client.core(),
            certificates: self.certificates().map(age).collect(),
            gateways: status.gateways,
            sessions: status.sessions,
            viewers: status.viewers,
            machines: self.machines().collect(),
            edges: self.edges().collect(),
            versions: self.versions(),
            ca_phase,
            store_bytes: status.store_bytes,
            disk_free_bytes: status.disk_free_bytes,
            disk_bytes: status.disk_bytes,
            limits: status.limits.iter().map(limit).collect(),
            attention,
        }
    }

    fn print(&self, client: &Client, attention: &[String]) -> anyhow::Result<()> {
        let (status, now) = (&self.status, now_ms());
        let mut core = Table::new(&[
            "CORE",
            "INSTALLATION",
            "VERSION",
            "UP",
            "LINKS",
            "CALLS",
            "SESSIONS",
            "VIEWERS",
            "ROOT ROTATION",
            "STORE",
            "DISK FREE",
        ]);
        core.row([
            client.core(),
            &status.installation,
            &status.version,
            &ago(now, status.started_unix_ms),
            &format!("{} of {}", status.links, status.gateways),
            &status.calls.to_string(),
            &status.sessions.to_string(),
            &status.viewers.to_string(),
            self.ca_phase,
            &bytes(status.store_bytes),
            &disk(status),
        ]);
        let mut machines =
            Table::new(&["MACHINE", "STATE", "SINCE", "LINK", "VERSION", "SESSIONS", "VIEWERS"]);
        for one in self.machines() {
            let mut rtt = if one.link_rtt_us == 0 { String::new() } else { millis(one.link_rtt_us) };
            if one.link_transport == "tcp" {
                rtt.push_str(" by TCP");
            }
            machines.row([
                one.name,
                one.state,
                &ago(now, one.since_unix_ms),
                &rtt,
                one.version,
                &one.sessions.to_string(),
                &one.viewers.to_string(),
            ]);
        }
        let mut edges = Table::new(&["EDGE", "CONNECTIONS", "VERSION"]);
        for one in self.edges() {
            edges.row([one.name, &one.connections.to_string(), one.version]);
        }
        let mut ages = Table::new(&["MEMBER", "NAME", "CERTIFICATE ENDS", "RENEWED", "FAILURES"]);
        for one in self.certificates() {
            let renewed = match one.renewed_unix_ms {
                0 => "never".to_owned(),
                at => format!("{} ago", ago(now, at)),
            };
            let (ends, failures) = (until(now, one.not_after_unix_ms), one.failures.to_string());
            ages.row([&one.member, &one.name, &ends, &renewed, &failures]);
        }
        let mut used = Table::new(&["LIMIT", "USED", "OF", ""]);
        for one in status.limits.iter().map(limit) {
            let near = if one.near { "near its edge" } else { "" };
            used.row([one.name, &one.used.to_string(), &one.of.to_string(), near]);
        }
        let tables = [core, machines, edges, ages, used].map(|table| table.render());
        let mut text = tables.join("\n");
        if !attention.is_empty() {
            text.push_str("\nLOOK AT THIS\n");
            text.extend(attention.iter().map(|words| format!("- {}\n", shown(words))));
        }
        Ok(print::answer(&text)?)
    }

    fn certificates(&self) -> impl Iterator<Item = &AdminCertificate> {
        self.status.certificate.iter().chain(&self.status.members)
    }

    /// Those that are not revoked.
    fn enrolled(&self) -> impl Iterator<Item = &Gateway> {
        self.fleet.gateways.iter().filter(|one| one.link_state() != LinkState::Revoked)
    }

    fn machines(&self) -> impl Iterator<Item = Machine<'_>> {
        self.enrolled().map(|one| {
            let living =
                || self.fleet.sessions.iter().filter(|(id, session)| *id == one.id && is_living(session));
            Machine {
                id: &one.id,
                name: &one.name,
                state: link_state(one),
                since_unix_ms: one.since_unix_ms,
                link_transport: link_transport(one),
                link_rtt_us: one.link_rtt_us,
                version: &one.program_version,
                sessions: living().count(),
                viewers: living().map(|(_, session)| session.viewers).sum(),
            }
        })
    }

    fn edges(&self) -> impl Iterator<Item = Edge<'_>> {
        let edges =
            self.members.iter().filter(|one| one.kind() == MemberKind::Edge && one.revoked_unix_ms == 0);
        edges.map(|one| Edge {
            id: &one.id,
            name: &one.name,
            connections: one.connections,
            version: &one.version,
        })
    }

    /// The versions of core, edges and gateways, as far as they are known, and how many
    /// run each.
    fn versions(&self) -> BTreeMap<&str, u32> {
        let gateways = self.enrolled().map(|one| one.program_version.as_str());
        let mut versions = BTreeMap::new();
        let edges = self.edges().map(|one| one.version);
        let all = gateways.chain(edges).chain([self.status.version.as_str()]);
        for version in all.filter(|version| !version.is_empty()) {
            *versions.entry(version).or_default() += 1;
        }
        versions
    }

    /// What a person should look at.
    fn attention(&self, now: u64) -> Vec<String> {
        let mut words = Vec::new();
        let away: Vec<&str> = self
            .enrolled()
            .filter(|one| one.link_state() == LinkState::Offline)
            .map(|one| one.name.as_str())
            .collect();
        let cut_off: Vec<&str> =
            self.edges().filter(|one| one.connections == 0).map(|one| one.name).collect();
        if !cut_off.is_empty() {
            words.push(format!("edges without a connection: {}", cut_off.join(", ")));
        }
        if !away.is_empty() {
            words.push(format!("without a link: {}", away.join(", ")));
        }
        let alarms = self.enrolled().filter(|one| !fleet::alarm(one, now).is_empty());
        words.extend(alarms.map(|one| format!("{}: {}", one.name, fleet::alarm(one, now))));
        let versions = self.versions();
        if versions.len() > 1 {
            let each: Vec<String> =
                versions.iter().map(|(version, count)| format!("{count} of {version}")).collect();
            words.push(format!("several versions run: {}", each.join(", ")));
        }
        for one in self.certificates().filter(|one| is_near_its_end(one, now)) {
            let why =
                if one.failures == 0 { String::new() } else { format!(", after {} failures", one.failures) };
            let ends = until(now, one.not_after_unix_ms);
            words.push(format!("the certificate of {} ({}) ends: {ends}{why}", one.name, one.member));
        }
        if self.ca_phase != "none" {
            words.push(format!("a rotation of the root is under way: {}", self.ca_phase));
        }
        for one in self.status.limits.iter().filter(|one| is_near(one)) {
            words.push(format!("near its limit: {}, {} of {}", one.name, one.used, one.of));
        }
        let (free, all) = (self.status.disk_free_bytes, self.status.disk_bytes);
        if all > 0 && is_near(&AdminLimit { name: String::new(), used: all - free.min(all), of: all }) {
            words.push(format!("the disk of the store has {} left of {}", bytes(free), bytes(all)));
        }
        words
    }
}

/// Whether a limit is used up to [`limits::NEAR_PERCENT`] at least.
fn is_near(limit: &AdminLimit) -> bool {
    limit.of > 0 && limit.used.saturating_mul(100) >= limit.of.saturating_mul(limits::NEAR_PERCENT)
}

/// Whether a certificate is in the last fifth of its life: it is renewed after two
/// thirds.
fn is_near_its_end(one: &AdminCertificate, now: u64) -> bool {
    let left = one.not_after_unix_ms.saturating_sub(now);
    let life = one.not_after_unix_ms.saturating_sub(one.renewed_unix_ms);
    match one.renewed_unix_ms {
        _ if left == 0 || one.failures > 0 => true,
        0 => left < limits::CERTIFICATE_NEAR_MS,
        _ => left < life / 5,
    }
}

fn age(one: &AdminCertificate) -> Age<'_> {
    Age {
        member: &one.member,
        name: &one.name,
        not_after_unix_ms: one.not_after_unix_ms,
        renewed_unix_ms: one.renewed_unix_ms,
        failures: one.failures,
    }
}

fn limit(one: &AdminLimit) -> Limit<'_> {
    Limit { name: &one.name, used: one.used, of: one.of, near: is_near(one) }
}

fn disk(status: &AdminStatusResponse) -> String {
    match status.disk_bytes {
        0 => "not known".to_owned(),
        all => format!("{} of {}", bytes(status.disk_free_bytes), bytes(all)),
    }
}

/// "640 µs", "1.2 ms".
fn millis(micros: u64) -> String {
    if micros < 1000 {
        format!("{micros} µs")
    } else {
        format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
    }
}

/// "12 MB".
fn bytes(count: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = count;
    let mut unit = 0;
    while value >= 10_000 && unit + 1 < units.len() {
        value /= 1000;
        unit += 1;
    }
    format!("{value} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        let gateway = |name: &str, version: &str, state: LinkState| Gateway {
            id: name.to_owned(),
            name: name.to_owned(),
            program_version: version.to_owned(),
            link_state: state.into(),
            ..Gateway::default()
        };
        Asked {
            status: AdminStatusResponse { version: "0.2.0".to_owned(), ..Default::default() },
            fleet: Fleet {
                gateways: vec![
                    gateway("mill", "0.2.0", LinkState::Online),
                    gateway("old", "0.1.0", LinkState::Revoked),
                ],
                sessions: Vec::new(),
            },
            members: Vec::new(),
            ca_phase: "none",
        }
    }

    #[test]
    fn nothing_is_to_be_looked_at_where_all_is_well() {
        assert!(asked().attention(0).is_empty());
    }

    #[test]
    fn links_versions_certificates_limits_and_a_full_disk_are_to_be_looked_at() {
        let mut asked = asked();
        for gateway in &mut asked.fleet.gateways {
            gateway.link_state = LinkState::Offline.into();
        }
        asked.status.members = vec![AdminCertificate {
            member: "gateway/1".to_owned(),
            name: "mill".to_owned(),
            not_after_unix_ms: 1_000_000,
            renewed_unix_ms: 100_000,
            failures: 0,
        }];
        asked.status.limits = vec![
            AdminLimit { name: "people".to_owned(), used: 800, of: 1000 },
            AdminLimit { name: "teams".to_owned(), used: 79, of: 100 },
        ];
        (asked.status.disk_free_bytes, asked.status.disk_bytes) = (1_000_000, 100_000_000);
        asked.ca_phase = "prepared";
        asked.members = vec![AdminMember {
            name: "front".to_owned(),
            kind: MemberKind::Edge.into(),
            ..AdminMember::default()
        }];
        let words = asked.attention(900_000).join("\n");
        for wanted in [
            "without a link: mill, old",
            "edges without a connection: front",
            "several versions run: 1 of 0.1.0, 2 of 0.2.0",
            "the certificate of mill (gateway/1) ends: in 1 min",
            "rotation of the root is under way: prepared",
            "near its limit: people, 800 of 1000",
            "1000 kB left of 100 MB",
        ] {
            assert!(words.contains(wanted), "{wanted}: {words}");
        }
        assert!(!words.contains("teams"), "{words}");
        let before = asked.attention(700_000).join("\n");
        assert!(!before.contains("certificate"), "it has a third of its life left: {before}");
    }
}
