//! What there is: machines and their sessions, as the core knows them at one
//! moment.

use std::collections::BTreeMap;

use anyhow::Context as _;
use chatcode_process::exit::{self, Exit};
use chatcode_proto::{
    limits,
    pb::{
        Code, FleetWatchRequest, Gateway, GatewaySession, LinkState, LostReason, Session, SessionState,
        fleet_watch_response::Event,
    },
};
use tokio_stream::StreamExt as _;

use crate::{
    client::Client,
    names::{Kind, NameError},
    print::shown,
    table::ago,
};

const GATEWAY: Kind = Kind { what: "gateway", list: "gateway ls" };
const SESSION: Kind = Kind { what: "session", list: "ls" };

/// Machines by name, sessions by age.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    /// All machines.
    pub(crate) gateways: Vec<Gateway>,
    /// All sessions, with the id of their machine.
    pub(crate) sessions: Vec<(String, Session)>,
}

impl Fleet {
    /// Asks the core, which also knows the sessions of machines that are away.
    ///
    /// # Errors
    /// When the core refuses or does not answer.
    pub(crate) async fn ask(client: &Client) -> anyhow::Result<Self> {
        tokio::time::timeout(limits::UNARY_DEADLINE, Self::watch_until_synced(client))
            .await
            .ok()
            .with_context(|| format!("the core at {} took too long", client.core()))
            .context(Exit(exit::TEMPFAIL))?
    }

    async fn watch_until_synced(client: &Client) -> anyhow::Result<Self> {
        let call = client.fleet_watch().watch(FleetWatchRequest {}).await;
        let mut events = call.map_err(|status| client.error(&status))?.into_inner();
        let mut gateways: BTreeMap<String, Gateway> = BTreeMap::new();
        let mut sessions: BTreeMap<(String, String), Session> = BTreeMap::new();
        while let Some(event) = events.next().await {
            match event.map_err(|status| client.error(&status))?.event {
                Some(Event::GatewayChanged(gateway)) => drop(gateways.insert(gateway.id.clone(), gateway)),
                Some(Event::GatewayRemoved(id)) => drop(gateways.remove(&id)),
                Some(Event::SessionChanged(GatewaySession { gateway, session: Some(session) })) => {
                    sessions.insert((gateway, session.id.clone()), session);
                }
                Some(Event::SessionRemoved(gone)) => drop(sessions.remove(&(gone.gateway, gone.session))),
                Some(Event::Synced(_)) => break,
                Some(
                    Event::SessionChanged(_)
                    | Event::AliveUnixMs(_)
                    | Event::PendingAdded(_)
                    | Event::PendingRemoved(_)
                    | Event::TokensChanged(_)
                    | Event::SharesChanged(_),
                )
                | None => {}
            }
        }
        let mut fleet = Self {
            gateways: gateways.into_values().collect(),
            sessions: sessions.into_iter().map(|((gateway, _), session)| (gateway, session)).collect(),
        };
        fleet.gateways.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        fleet.sessions.sort_by_key(|(_, session)| session.created_unix_ms);
        Ok(fleet)
    }

    /// The machine that a person means; one that was revoked only by its id.
    ///
    /// # Errors
    /// When there is none, or several.
    pub(crate) fn gateway(&self, wanted: &str) -> anyhow::Result<&Gateway> {
        let enrolled: Vec<&Gateway> =
            self.gateways.iter().filter(|one| one.link_state() != LinkState::Revoked).collect();
        GATEWAY
            .pick(wanted, &enrolled, |one| (&one.id, &one.name))
            .copied()
            .or_else(|error| self.gateways.iter().find(|one| one.id == wanted).ok_or(error))
            .context(Exit(exit::USAGE))
    }

    /// The machine for a new session when none was named: the only one, else
    /// `home`, the one that this program runs on.
    ///
    /// # Errors
    /// When that does not say which.
    pub(crate) fn usual_gateway(&self, home: Option<&str>) -> anyhow::Result<&Gateway> {
        let enrolled: Vec<&Gateway> =
            self.gateways.iter().filter(|one| one.link_state() != LinkState::Revoked).collect();
        match enrolled.as_slice() {
            [one] => Ok(*one),
            [] => Err(anyhow::anyhow!(
                "there is no machine yet; `chatcode up` brings this one, `chatcode gateway token` another"
            )),
            many => many.iter().find(|one| Some(one.id.as_str()) == home).copied().ok_or_else(|| {
                let names: Vec<String> = many.iter().map(|one| shown(&one.name)).collect();
                anyhow::anyhow!("name the machine with --gateway: {}", names.join(", "))
            }),
        }
        .context(Exit(exit::USAGE))
    }

    /// The session that a person means, with the id of its machine: on the
    /// machine `on` when one is named, else on any that is not revoked. A
    /// running one wins over one that has ended.
    ///
    /// # Errors
    /// When there is none, or several.
    pub(crate) fn session<'a>(
        &'a self,
        wanted: &str,
        on: Option<&str>,
    ) -> anyhow::Result<&'a (String, Session)> {
        let on = on.map(|on| self.gateway(on)).transpose()?.map(|one| one.id.as_str());
        let revoked =
            |id: &str| self.gateways.iter().any(|one| one.id == id && one.link_state() == LinkState::Revoked);
        let (running, ended): (Vec<_>, Vec<_>) = self
            .sessions
            .iter()
            .filter(|(gateway, _)| on.map_or_else(|| !revoked(gateway), |on| gateway == on))
            .partition(|(_, session)| session.state() == SessionState::Running);
        let pick = |among: &[&'a (String, Session)]| {
            SESSION.pick(wanted, among, |one| (&one.1.id, &one.1.name)).copied()
        };
        match pick(&running) {
            Err(NameError::Unknown { .. }) => pick(&ended),
            found => found,
        }
        .context(Exit(exit::USAGE))
    }

    /// The name of a machine; its id when it is not known.
    pub(crate) fn gateway_name<'a>(&'a self, id: &'a str) -> &'a str {
        self.gateways.iter().find(|one| one.id == id).map_or(id, |one| &one.name)
    }
}

/// The state of a link in one word.
pub(crate) fn link_state(gateway: &Gateway) -> &'static str {
    match gateway.link_state() {
        LinkState::Unspecified => "unknown",
        LinkState::Never => "never",
        LinkState::Online => "online",
        LinkState::Offline => "offline",
        LinkState::Revoked => "revoked",
    }
}

/// What people have to look at on a machine, at `now` (milliseconds since 1970);
/// empty: nothing.
pub(crate) fn alarm(gateway: &Gateway, now: u64) -> String {
    if gateway.duplicate_unix_ms == 0 || gateway.link_state() == LinkState::Revoked {
        return String::new();
    }
    format!("used by two machines {} ago", ago(now, gateway.duplicate_unix_ms))
}

/// Whether a session's shell runs, as far as is known.
pub(crate) fn is_living(session: &Session) -> bool {
    matches!(session.state(), SessionState::Running | SessionState::Ending)
}

/// The state of a session in a few words: with its exit code or signal, and
/// what its restart policy did.
pub(crate) fn session_state(session: &Session) -> String {
    let state = state_words(session);
    match (session.restarts_over, session.restarts) {
        (true, _) => format!("{state}; not started again"),
        (false, 0) => state,
        (false, 1) => format!("{state}; restarted once"),
        (false, times) => format!("{state}; restarted {times} times"),
    }
}

fn state_words(session: &Session) -> String {
    match (session.state(), &session.exit) {
        (SessionState::Unspecified, _) => "unknown".to_owned(),
        (SessionState::Running, _) => "running".to_owned(),
        (SessionState::Ending, _) => "ending".to_owned(),
        (SessionState::Lost, _) => match session.lost_reason() {
            LostReason::MachineRestarted => "lost, the machine was restarted".to_owned(),
            LostReason::HolderVanished => "lost, its holder vanished".to_owned(),
            LostReason::Unspecified => "lost".to_owned(),
        },
        (SessionState::Exited, _) if session.lost_reason() == LostReason::MachineRestarted => {
            "ended by the machine's restart".to_owned()
        }
        (SessionState::Exited, None) => "exited".to_owned(),
        (SessionState::Exited, Some(exit)) => format!("exited, {}", exit_words(exit)),
    }
}

/// How a shell ended, in words.
pub(crate) fn exit_words(exit: &chatcode_proto::pb::Exit) -> String {
    match (exit.out_of_memory, exit.signal) {
        (true, _) => "out of memory".to_owned(),
        (false, 0) => format!("code {}", exit.code),
        (false, signal) => format!("signal {signal}"),
    }
}

/// Why a machine's last link ended; empty while it stands.
pub(crate) fn link_ended(gateway: &Gateway) -> &'static str {
    match gateway.link_ended() {
        Code::Unspecified => "",
        _ if gateway.link_state() == LinkState::Online => "",
        code => code.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet() -> Fleet {
        let gateway = |id: &str, name: &str, state: LinkState| Gateway {
            id: id.to_owned(),
            name: name.to_owned(),
            link_state: state.into(),
            ..Gateway::default()
        };
        let session = |id: &str, name: &str, state: SessionState| {
            let (id, name) = (id.to_owned(), name.to_owned());
            ("aaaa".to_owned(), Session { id, name, state: state.into(), ..Session::default() })
        };
        Fleet {
            gateways: vec![
                gateway("aaaa", "laptop", LinkState::Online),
                gateway("bbbb", "laptop", LinkState::Revoked),
                gateway("cccc", "server", LinkState::Offline),
            ],
            sessions: vec![
                session("1111", "bash", SessionState::Exited),
                session("2222", "bash", SessionState::Running),
                session("3333", "old", SessionState::Lost),
            ],
        }
    }

    #[test]
    fn the_state_of_a_session_says_what_happened_and_what_its_policy_did() {
        let words = |session: Session| session_state(&session);
        let lost = |reason: LostReason| Session {
            state: SessionState::Lost.into(),
            lost_reason: reason.into(),
            ..Session::default()
        };
        assert_eq!(words(lost(LostReason::HolderVanished)), "lost, its holder vanished");
        assert_eq!(words(lost(LostReason::MachineRestarted)), "lost, the machine was restarted");
        let killed = Session {
            state: SessionState::Exited.into(),
            exit: Some(chatcode_proto::pb::Exit { signal: 9, ..Default::default() }),
            ..Session::default()
        };
        let over = Session { restarts: 5, restarts_over: true, ..killed.clone() };
        assert_eq!(words(over), "exited, signal 9; not started again");
        let shut_down = Session { lost_reason: LostReason::MachineRestarted.into(), ..killed };
        assert_eq!(words(shut_down), "ended by the machine's restart");
        let back = Session { state: SessionState::Running.into(), restarts: 1, ..Session::default() };
        assert_eq!(words(back), "running; restarted once");
    }

    #[test]
    fn a_revoked_machine_does_not_stand_in_the_way_of_its_successor() {
        let fleet = fleet();
        assert_eq!(fleet.gateway("laptop").expect("one is left").id, "aaaa");
        assert_eq!(fleet.gateway("bbbb").expect("by its id").id, "bbbb");
        assert!(fleet.gateway("nobody").is_err());
    }

    #[test]
    fn a_new_session_goes_to_this_machine_unless_told_otherwise() {
        let mut fleet = fleet();
        assert!(fleet.usual_gateway(None).is_err(), "two are there");
        assert_eq!(fleet.usual_gateway(Some("cccc")).expect("home").id, "cccc");
        fleet.gateways.truncate(2);
        assert_eq!(fleet.usual_gateway(None).expect("the only one").id, "aaaa");
        assert!(Fleet::default().usual_gateway(None).is_err());
    }

    #[test]
    fn a_running_session_wins_over_an_ended_one_of_the_same_name() {
        let fleet = fleet();
        assert_eq!(fleet.session("bash", None).expect("one runs").1.id, "2222");
        assert_eq!(fleet.session("1111", None).expect("by its id").1.id, "1111");
        assert_eq!(fleet.session("old", None).expect("ended ones too").1.id, "3333");
    }

    #[test]
    fn a_session_is_looked_for_on_the_machine_that_is_named_and_on_no_revoked_one() {
        let mut fleet = fleet();
        let copies = ["bbbb", "cccc"].map(|gateway| (gateway.to_owned(), fleet.sessions[1].1.clone()));
        fleet.sessions.push(copies[0].clone());
        assert_eq!(fleet.session("2222", None).expect("not the revoked one").0, "aaaa");
        fleet.sessions.push(copies[1].clone());
        assert!(fleet.session("2222", None).is_err(), "two machines have it");
        assert_eq!(fleet.session("2222", Some("server")).expect("the named one").0, "cccc");
        assert!(fleet.session("old", Some("server")).is_err(), "it is elsewhere");
    }
}
