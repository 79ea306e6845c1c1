//! What has changed between two pictures of the fleet, in words.

use std::collections::BTreeMap;

use chatcode_proto::pb::{Gateway, GatewaySession, LinkState, Session, fleet_watch_response::Event};

use crate::fleet::{is_living, link_ended, session_state};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// What, such as "machine online" or "session ended".
    pub(super) event: &'static str,
    /// The id of the machine; empty: it has none yet.
    pub(super) gateway: String,
    /// What it is called.
    pub(super) name: String,
    /// The id of the session; empty: it is about the machine.
    pub(super) session: String,
    /// More of it; empty: nothing.
    pub(super) detail: String,
}

/// What of a machine is worth a line when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Machine {
    name: String,
    state: LinkState,
    epoch: u64,
    duplicate_unix_ms: u64,
}

/// The fleet as it was told last.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Only this machine; empty: all.
    only: String,
    machines: BTreeMap<String, Machine>,
    sessions: BTreeMap<(String, String), Session>,
    pending: BTreeMap<String, String>,
    /// The picture of the watch that has just begun, until it is whole.
    begun: Option<Picture>,
    /// A picture was whole once.
    has_begun: bool,
}

/// A picture that is being told.
#[derive(Debug, Default)]
struct Picture {
    machines: BTreeMap<String, Gateway>,
    sessions: BTreeMap<(String, String), Session>,
    pending: BTreeMap<String, String>,
}

impl Known {
    /// Nothing is known yet. `only`: the id of the machine that counts; empty: all.
    pub(super) fn new(only: &str) -> Self {
        Self { only: only.to_owned(), ..Self::default() }
    }

    /// A watch begins: its picture comes first.
    pub(super) fn begin(&mut self) {
        self.begun = Some(Picture::default());
    }

    /// Takes an event in, and says what has happened.
    pub(super) fn learn(&mut self, event: Event) -> Vec<Change> {
        let Some(picture) = &mut self.begun else { return self.news(event) };
        match event {
            Event::GatewayChanged(gateway) => drop(picture.machines.insert(gateway.id.clone(), gateway)),
            Event::SessionChanged(GatewaySession { gateway, session: Some(session) }) => {
                picture.sessions.insert((gateway, session.id.clone()), session);
            }
            Event::PendingAdded(one) => drop(picture.pending.insert(one.id.clone(), waiting(&one))),
            Event::Synced(_) => return self.whole(),
            _ => {}
        }
        Vec::new()
    }

    /// The picture is whole: what differs from what was known has happened meanwhile.
    fn whole(&mut self) -> Vec<Change> {
        let Picture { machines, sessions, pending } = self.begun.take().unwrap_or_default();
        let mut changes = Vec::new();
        let gone: Vec<_> = self.sessions.keys().filter(|key| !sessions.contains_key(*key)).cloned().collect();
        changes
            .extend(gone.into_iter().filter_map(|(gateway, session)| self.forget_session(gateway, session)));
        let gone: Vec<_> = self.machines.keys().filter(|id| !machines.contains_key(*id)).cloned().collect();
        changes.extend(gone.into_iter().filter_map(|id| self.forget_machine(&id)));
        let gone: Vec<_> = self.pending.keys().filter(|id| !pending.contains_key(*id)).cloned().collect();
        changes.extend(gone.into_iter().filter_map(|id| self.no_more_pending(&id)));
        changes.extend(machines.into_values().filter_map(|one| self.machine(one)));
        changes.extend(sessions.into_iter().filter_map(|((gateway, _), one)| self.session(gateway, one)));
        changes.extend(pending.into_iter().filter_map(|(id, words)| self.waits(id, words)));
        if !std::mem::replace(&mut self.has_begun, true) {
            changes.clear();
        }
        changes
    }

    fn news(&mut self, event: Event) -> Vec<Change> {
        let change = match event {
            Event::GatewayChanged(gateway) => self.machine(gateway),
            Event::GatewayRemoved(id) => self.forget_machine(&id),
            Event::SessionChanged(GatewaySession { gateway, session: Some(session) }) => {
                self.session(gateway, session)
            }
            Event::SessionRemoved(gone) => self.forget_session(gone.gateway, gone.session),
            Event::PendingAdded(one) => self.waits(one.id.clone(), waiting(&one)),
            Event::PendingRemoved(id) => self.no_more_pending(&id),
            _ => None,
        };
        change.into_iter().collect()
    }

    fn is_of(&self, gateway: &str) -> bool {
        self.only.is_empty() || self.only == gateway
    }

    fn machine(&mut self, gateway: Gateway) -> Option<Change> {
        let now = Machine {
            name: gateway.name.clone(),
            state: gateway.link_state(),
            epoch: gateway.link_epoch,
            duplicate_unix_ms: gateway.duplicate_unix_ms,
        };
        let before = self.machines.insert(gateway.id.clone(), now.clone());
        if !self.is_of(&gateway.id) || before.as_ref() == Some(&now) {
            return None;
        }
        let alarm = before.as_ref().is_some_and(|before| before.duplicate_unix_ms < now.duplicate_unix_ms);
        let (event, detail) = match (&before, now.state) {
            _ if alarm => ("machine copied", gateway.duplicate_address.clone()),
            (None, _) => ("machine enrolled", String::new()),
            (Some(before), LinkState::Online) if before.state != now.state || before.epoch != now.epoch => {
                ("machine online", String::new())
            }
            (Some(before), LinkState::Offline) if before.state != now.state => {
                ("machine offline", link_ended(&gateway).to_owned())
            }
            (Some(before), LinkState::Revoked) if before.state != now.state => {
                ("machine revoked", String::new())
            }
            (Some(before), _) if before.name != now.name => {
                ("machine renamed", format!("before: {}", before.name))
            }
            _ => return None,
        };
        Some(Change { event, gateway: gateway.id, name: now.name, session: String::new(), detail })
    }

    fn forget_machine(&mut self, id: &str) -> Option<Change> {
        let gone = self.machines.remove(id)?;
        self.is_of(id).then(|| Change {
            event: "machine gone",
            gateway: id.to_owned(),
            name: gone.name,
            session: String::new(),
            detail: String::new(),
        })
    }

    fn session(&mut self, gateway: String, session: Session) -> Option<Change> {
        let key = (gateway.clone(), session.id.clone());
        let before = self.sessions.insert(key, session.clone());
        if !self.is_of(&gateway) {
            return None;
        }
        let (event, detail) = match &before {
            None if is_living(&session) => ("session began", String::new()),
            None => ("session ended", session_state(&session)),
            Some(before) if before.state != session.state && is_living(&session) && !is_living(before) => {
                ("session began", session_state(&session))
            }
            Some(before) if is_living(before) && !is_living(&session) => {
                ("session ended", session_state(&session))
            }
            Some(before) if before.name != session.name => {
                ("session renamed", format!("before: {}", before.name))
            }
            Some(before) if before.viewers != session.viewers => {
                ("session viewers", format!("{} before, {} now", before.viewers, session.viewers))
            }
            Some(_) => return None,
        };
        Some(self.of_session(event, gateway, &session, detail))
    }

    fn forget_session(&mut self, gateway: String, id: String) -> Option<Change> {
        let gone = self.sessions.remove(&(gateway.clone(), id))?;
        self.is_of(&gateway).then(|| self.of_session("session forgotten", gateway, &gone, String::new()))
    }

    fn of_session(&self, event: &'static str, gateway: String, session: &Session, detail: String) -> Change {
        let machine = self.machines.get(&gateway).map_or(gateway.as_str(), |one| &one.name);
        let name = format!("{} on {machine}", session.name);
        Change { event, gateway, name, session: session.id.clone(), detail }
    }

    fn waits(&mut self, id: String, words: String) -> Option<Change> {
        let is_new = self.pending.insert(id, words.clone()).is_none();
        (is_new && self.only.is_empty()).then(|| pending("machine waits", words))
    }

    fn no_more_pending(&mut self, id: &str) -> Option<Change> {
        let words = self.pending.remove(id)?;
        self.only.is_empty().then(|| pending("machine waits no more", words))
    }
}

fn pending(event: &'static str, name: String) -> Change {
    Change { event, gateway: String::new(), name, session: String::new(), detail: String::new() }
}

/// What a machine that waits is called, and where it comes from.
fn waiting(one: &chatcode_proto::pb::PendingGateway) -> String {
    let host = one.host.as_ref().map_or("", |host| &host.hostname);
    let name = if one.name.is_empty() { host } else { &one.name };
    format!("{name} from {}", one.address)
}

#[cfg(test)]
mod tests {
    use chatcode_proto::pb::{PendingGateway, SessionState};

    use super::*;

    fn gateway(id: &str, state: LinkState, epoch: u64) -> Event {
        Event::GatewayChanged(Gateway {
            id: id.to_owned(),
            name: format!("{id}-name"),
            link_state: state.into(),
            link_epoch: epoch,
            ..Gateway::default()
        })
    }

    fn session(id: &str, state: SessionState) -> Event {
        let session = Session {
            id: id.to_owned(),
            name: "build".to_owned(),
            state: state.into(),
            ..Session::default()
        };
        Event::SessionChanged(GatewaySession { gateway: "mill".to_owned(), session: Some(session) })
    }

    fn told(known: &mut Known, events: impl IntoIterator<Item = Event>) -> Vec<String> {
        let changes = events.into_iter().flat_map(|event| known.learn(event)).collect::<Vec<_>>();
        changes
            .into_iter()
            .map(|change| format!("{} {} {}", change.event, change.name, change.detail))
            .collect()
    }

    #[test]
    fn what_is_there_at_first_is_no_news_and_what_changes_then_is() {
        let mut known = Known::new("");
        known.begin();
        let first =
            [gateway("mill", LinkState::Online, 1), session("s", SessionState::Running), Event::Synced(true)];
        assert!(told(&mut known, first).is_empty());
        let news = told(
            &mut known,
            [
                gateway("mill", LinkState::Online, 1),
                gateway("mill", LinkState::Offline, 1),
                session("s", SessionState::Exited),
                session("t", SessionState::Running),
                Event::AliveUnixMs(1),
                gateway("barn", LinkState::Never, 0),
            ],
        );
        assert_eq!(news[..1], ["machine offline mill-name ".to_owned()]);
        assert_eq!(news.len(), 4, "{news:?}");
        assert_eq!(news[1], "session ended build on mill-name exited");
        assert_eq!(
            news[2..],
            ["session began build on mill-name ".to_owned(), "machine enrolled barn-name ".to_owned()]
        );
    }

    #[test]
    fn what_happened_while_the_core_was_away_is_told_once_when_it_is_back() {
        let mut known = Known::new("");
        known.begin();
        let before =
            [gateway("mill", LinkState::Online, 1), session("s", SessionState::Running), Event::Synced(true)];
        told(&mut known, before.clone());
        known.begin();
        assert!(told(&mut known, before).is_empty(), "nothing has happened");
        known.begin();
        let back = told(&mut known, [gateway("mill", LinkState::Online, 2), Event::Synced(true)]);
        assert_eq!(back, ["session forgotten build on mill-name ", "machine online mill-name "]);
    }

    #[test]
    fn of_one_machine_nothing_of_others_is_told() {
        let mut known = Known::new("barn");
        known.begin();
        told(&mut known, [gateway("mill", LinkState::Online, 1), Event::Synced(true)]);
        let pending = PendingGateway { id: "p".to_owned(), ..PendingGateway::default() };
        let news = [
            gateway("mill", LinkState::Offline, 1),
            Event::PendingAdded(pending),
            gateway("barn", LinkState::Never, 0),
        ];
        assert_eq!(told(&mut known, news), ["machine enrolled barn-name "]);
    }
}
