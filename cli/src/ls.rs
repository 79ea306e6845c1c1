//! `chatcode ls`: machines and their sessions.

use chatcode_proto::{
    label::{self, Labels},
    pb::{Gateway, LinkTransport, LostReason, RestartPolicy, Session},
};
use serde::Serialize;

use crate::{
    fleet::{Fleet, alarm, link_ended, link_state, session_state},
    home::Home,
    print,
    table::{Table, ago, now_ms},
};

/// Of a command in the table.
const COMMAND_CHARS: usize = 40;

/// List machines and sessions.
#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// A machine as `--json` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct GatewayRow<'a> {
    id: &'a str,
    name: &'a str,
    state: &'static str,
    since_unix_ms: u64,
    link_ended: &'static str,
    /// "quic" or "tcp"; empty while it is not linked.
    link_transport: &'static str,
    link_rtt_us: u64,
    holder_rtt_us: u64,
    hostname: &'a str,
    os: &'a str,
    program_version: &'a str,
    enrolled_unix_ms: u64,
    labels: &'a Labels,
    duplicate_unix_ms: u64,
    duplicate_hostname: &'a str,
    duplicate_address: &'a str,
    certificate_ends_unix_ms: u64,
    certificate_renewed_unix_ms: u64,
    renewal_failures: u32,
}

#[derive(Debug, Serialize)]
struct SessionRow<'a> {
    id: &'a str,
    name: &'a str,
    state: String,
    gateway: &'a str,
    gateway_name: &'a str,
    command: &'a [String],
    folder: &'a str,
    created_unix_ms: u64,
    viewers: u32,
    exit_code: Option<i32>,
    exit_signal: Option<i32>,
    lost_reason: Option<&'static str>,
    restart: &'static str,
    restarts: u32,
    restarts_over: bool,
}

#[derive(Debug, Serialize)]
struct Listing<'a> {
    gateways: Vec<GatewayRow<'a>>,
    sessions: Vec<SessionRow<'a>>,
}

impl Ls {
    /// Prints the lists.
    ///
    /// # Errors
    /// When the core refuses or does not answer.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        let client = home.client()?;
        let fleet = Fleet::ask(&client).await?;
        if self.json {
            let gateways = fleet.gateways.iter().map(gateway_row).collect();
            let sessions = fleet
                .sessions
                .iter()
                .map(|(gateway, session)| session_row(&fleet, gateway, session))
                .collect();
            return Ok(print::json(&Listing { gateways, sessions })?);
        }
        print::answer(&gateways_table(&fleet))?;
        if !fleet.sessions.is_empty() {
            print::answer("\n")?;
            print::answer(&sessions_table(&fleet))?;
        }
        Ok(())
    }
}

/// A machine as `--json` shows it.
pub(crate) fn gateway_row(gateway: &Gateway) -> GatewayRow<'_> {
    let host = gateway.host.as_ref();
    let certificate = gateway.certificate.unwrap_or_default();
    GatewayRow {
        id: &gateway.id,
        name: &gateway.name,
        state: link_state(gateway),
        since_unix_ms: gateway.since_unix_ms,
        link_ended: link_ended(gateway),
        link_transport: link_transport(gateway),
        link_rtt_us: gateway.link_rtt_us,
        holder_rtt_us: gateway.holder_rtt_us,
        hostname: host.map_or("", |host| &host.hostname),
        os: host.map_or("", |host| &host.os),
        program_version: &gateway.program_version,
        enrolled_unix_ms: gateway.enrolled_unix_ms,
        labels: &gateway.labels,
        duplicate_unix_ms: gateway.duplicate_unix_ms,
        duplicate_hostname: &gateway.duplicate_hostname,
        duplicate_address: &gateway.duplicate_address,
        certificate_ends_unix_ms: certificate.not_after_unix_ms,
        certificate_renewed_unix_ms: certificate.renewed_unix_ms,
        renewal_failures: certificate.failures,
    }
}

fn session_row<'a>(fleet: &'a Fleet, gateway: &'a str, session: &'a Session) -> SessionRow<'a> {
    let exit = session.exit.as_ref();
    SessionRow {
        id: &session.id,
        name: &session.name,
        state: session_state(session),
        gateway,
        gateway_name: fleet.gateway_name(gateway),
        command: &session.command,
        folder: &session.folder,
        created_unix_ms: session.created_unix_ms,
        viewers: session.viewers,
        exit_code: exit.filter(|exit| exit.signal == 0).map(|exit| exit.code),
        exit_signal: exit.filter(|exit| exit.signal != 0).map(|exit| exit.signal),
        lost_reason: match session.lost_reason() {
            LostReason::Unspecified => None,
            LostReason::HolderVanished => Some("holder_vanished"),
            LostReason::MachineRestarted => Some("machine_restarted"),
        },
        restart: match session.restart() {
            RestartPolicy::Unspecified => "never",
            RestartPolicy::OnCrash => "on-crash",
            RestartPolicy::OnBoot => "on-boot",
        },
        restarts: session.restarts,
        restarts_over: session.restarts_over,
    }
}

/// Machines for people.
pub(crate) fn gateways_table(fleet: &Fleet) -> String {
    let now = now_ms();
    let mut head = vec!["MACHINE", "ID", "LINK", "SINCE", "ROUND TRIP", "WHY DOWN"];
    // What hardly any machine has takes no room until one has it.
    let has_labels = fleet.gateways.iter().any(|gateway| !gateway.labels.is_empty());
    let has_alarm = fleet.gateways.iter().any(|gateway| !alarm(gateway, now).is_empty());
    head.extend(has_labels.then_some("LABELS"));
    head.extend(has_alarm.then_some("ALARM"));
    let mut table = Table::new(&head);
    for gateway in &fleet.gateways {
        let round_trip = match gateway.link_rtt_us {
            0 => String::new(),
            rtt => format!("{:.1} ms", std::time::Duration::from_micros(rtt).as_secs_f64() * 1000.0),
        };
        let mut row = vec![
            gateway.name.clone(),
            short(&gateway.id),
            link_words(gateway),
            ago(now, gateway.since_unix_ms),
            round_trip,
            link_ended(gateway).to_owned(),
        ];
        row.extend(has_labels.then(|| label::line(&gateway.labels)));
        row.extend(has_alarm.then(|| alarm(gateway, now)));
        table.row(row);
    }
    table.render()
}

/// What a machine's link runs over; empty while it is not linked.
pub(crate) fn link_transport(gateway: &Gateway) -> &'static str {
    match gateway.link_transport() {
        LinkTransport::Unspecified => "",
        LinkTransport::Quic => "quic",
        LinkTransport::Tcp => "tcp",
    }
}

/// How a machine is linked, and whether by the lesser way.
fn link_words(gateway: &Gateway) -> String {
    let state = link_state(gateway);
    if gateway.link_transport() == LinkTransport::Tcp { format!("{state}, by TCP") } else { state.to_owned() }
}

fn sessions_table(fleet: &Fleet) -> String {
    let now = now_ms();
    let mut table = Table::new(&["SESSION", "ID", "STATE", "MACHINE", "AGE", "VIEWERS", "COMMAND", "FOLDER"]);
    for (gateway, session) in &fleet.sessions {
        let command =
            if session.command.is_empty() { "(shell)".to_owned() } else { session.command.join(" ") };
        table.row([
            session.name.clone(),
            short(&session.id),
            session_state(session),
            fleet.gateway_name(gateway).to_owned(),
            ago(now, session.created_unix_ms),
            session.viewers.to_string(),
            cut(&command),
            session.folder.clone(),
        ]);
    }
    table.render()
}

/// A command as far as a column has room; that more follows is seen.
fn cut(command: &str) -> String {
    match command.char_indices().nth(COMMAND_CHARS) {
        None => command.to_owned(),
        Some(_) => command.chars().take(COMMAND_CHARS - 1).chain(['…']).collect(),
    }
}

/// The first digits of an id, which the commands take too.
fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_cut_says_so() {
        let whole = "x".repeat(COMMAND_CHARS);
        assert_eq!(cut(&whole), whole);
        assert_eq!(cut(&format!("{whole}y")), format!("{}…", "x".repeat(COMMAND_CHARS - 1)));
    }
}
