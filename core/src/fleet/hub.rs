//! The fleet as it is now, and the news of it. One lock over state and news:
//! a watcher's first picture and its changes meet without a gap or a double.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use chatcode_proto::{
    id::{GatewayId, SessionId},
    label::Labels,
    limits,
    pb::{self, LinkState, fleet_watch_response::Event},
};
use tokio::sync::broadcast;

/// How many links lead to each session.
pub type Links = BTreeMap<(GatewayId, SessionId), u32>;

/// The sessions of one gateway.
pub type Sessions = BTreeMap<SessionId, pb::Session>;

/// All gateways and sessions in memory.
#[derive(Debug)]
pub struct Hub {
    state: Mutex<State>,
    events: broadcast::Sender<Event>,
}

#[derive(Debug, Default)]
struct State {
    gateways: BTreeMap<GatewayId, pb::Gateway>,
    sessions: BTreeMap<GatewayId, Sessions>,
    /// Of all gateways together.
    session_count: usize,
    /// Machines that wait for approval.
    pending: BTreeMap<String, pb::PendingGateway>,
    /// How many links let guests into a session; none with 0.
    links: Links,
}

impl State {
    fn waiting(&self) -> Vec<pb::PendingGateway> {
        let mut pending: Vec<_> = self.pending.values().cloned().collect();
        pending.sort_by(|a, b| (a.asked_unix_ms, &a.id).cmp(&(b.asked_unix_ms, &b.id)));
        pending
    }

    fn is_revoked(&self, gateway: GatewayId) -> bool {
        self.gateways.get(&gateway).is_some_and(|known| known.link_state() == LinkState::Revoked)
    }
}

/// The fleet at the moment when a watch began.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// All gateways.
    pub gateways: Vec<pb::Gateway>,
    /// All sessions, with the ids of their gateways.
    pub sessions: Vec<pb::GatewaySession>,
    /// All machines that wait for approval, those that wait longest first.
    pub pending: Vec<pb::PendingGateway>,
    /// The sessions that guests are let into.
    pub links: Vec<pb::SessionShares>,
}

/// How many there are of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Gateways that are not revoked.
    pub gateways: usize,
    /// Those of them that are linked.
    pub online: usize,
    /// Gateways that were revoked.
    pub revoked: usize,
    /// When the first certificate of a gateway that is not revoked ends, milliseconds
    /// since 1970; 0: none is known.
    pub first_end_unix_ms: u64,
    /// Sessions whose shell runs.
    pub sessions: usize,
    /// Sessions whose shell has ended.
    pub ended: usize,
    /// Sessions whose holder vanished.
    pub lost: usize,
    /// Viewers of all sessions.
    pub viewers: usize,
    /// Sessions in the directory, ended ones too.
    pub directory: usize,
    /// The most running sessions of one gateway.
    pub most_of_one: usize,
    /// Machines that wait for approval.
    pub pending: usize,
}

impl Hub {
    /// The fleet as the store had it.
    #[must_use]
    pub fn new(
        gateways: Vec<(GatewayId, pb::Gateway)>,
        sessions: Vec<(GatewayId, SessionId, pb::Session)>,
    ) -> Self {
        let mut state = State { gateways: gateways.into_iter().collect(), ..State::default() };
        for (gateway, id, session) in sessions {
            state.sessions.entry(gateway).or_default().insert(id, session);
            state.session_count += 1;
        }
        Self { state: Mutex::new(state), events: broadcast::Sender::new(limits::WATCH_EVENTS) }
    }

    /// The picture now, and every change after it.
    #[must_use]
    pub fn watch(&self) -> (Picture, broadcast::Receiver<Event>) {
        self.with(|state, events| {
            let sessions = state.sessions.iter().flat_map(|(gateway, sessions)| {
                sessions.values().map(|session| located(*gateway, session.clone()))
            });
            let picture = Picture {
                gateways: state.gateways.values().cloned().collect(),
                sessions: sessions.collect(),
                pending: state.waiting(),
                links: state.links.iter().map(shown).collect(),
            };
            (picture, events.subscribe())
        })
    }

    /// Of those that `sees` lets through, the [`limits::FLEET_PAGE`] gateways that
    /// follow one by name (`None`: the first ones), and whether there are more;
    /// `None` when that one is not known, or not let through.
    #[must_use]
    pub fn page(
        &self,
        after: Option<GatewayId>,
        sees: impl Fn(GatewayId, &Labels) -> bool,
    ) -> Option<(Vec<pb::Gateway>, bool)> {
        self.with(|state, _| {
            let seen = state.gateways.iter().filter(|(id, gateway)| sees(**id, &gateway.labels));
            let mut all: Vec<_> = seen.map(|(_, gateway)| gateway).collect();
            all.sort_by_key(|gateway| (&gateway.name, &gateway.id));
            let from = match after {
                None => 0,
                Some(id) => {
                    let last = state.gateways.get(&id)?;
                    1 + all.iter().position(|gateway| gateway.id == last.id)?
                }
            };
            let (rest, page) = (&all[from..], limits::FLEET_PAGE);
            let gateways = rest.iter().take(page).copied().cloned().collect();
            Some((gateways, rest.len() > page))
        })
    }

    /// Whether [`limits::GATEWAYS`] are known, those that were revoked apart.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.with(|state, _| {
            let enrolled = state.gateways.values().filter(|known| known.link_state() != LinkState::Revoked);
            enrolled.count() >= limits::GATEWAYS
        })
    }

    /// How many there are of everything.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.with(|state, _| {
            let living = |session: &&pb::Session| {
                matches!(session.state(), pb::SessionState::Running | pb::SessionState::Ending)
            };
            let all = || state.sessions.values().flat_map(BTreeMap::values);
            let sessions = || all().filter(living);
            let are = |wanted| all().filter(|session| session.state() == wanted).count();
            let linked =
                |wanted| state.gateways.values().filter(|known| known.link_state() == wanted).count();
            let revoked = linked(LinkState::Revoked);
            let ends = state.gateways.values().filter(|known| known.link_state() != LinkState::Revoked);
            let ends = ends.filter_map(|known| Some(known.certificate.as_ref()?.not_after_unix_ms));
            Counts {
                gateways: state.gateways.len() - revoked,
                online: linked(LinkState::Online),
                revoked,
                first_end_unix_ms: ends.min().unwrap_or_default(),
                sessions: sessions().count(),
                ended: are(pb::SessionState::Exited),
                lost: are(pb::SessionState::Lost),
                viewers: sessions().map(|session| session.viewers as usize).sum(),
                directory: state.session_count,
                most_of_one: state
                    .sessions
                    .values()
                    .map(|all| all.values().filter(living).count())
                    .max()
                    .unwrap_or_default(),
                pending: state.pending.len(),
            }
        })
    }

    /// The ids of the gateways that `sees` lets through.
    #[must_use]
    pub fn seen(&self, sees: impl Fn(GatewayId, &Labels) -> bool) -> BTreeSet<String> {
        self.with(|state, _| {
            let seen = state.gateways.iter().filter(|(id, gateway)| sees(**id, &gateway.labels));
            seen.map(|(_, gateway)| gateway.id.clone()).collect()
        })
    }

    /// All gateways that are known.
    #[must_use]
    pub fn ids(&self) -> Vec<GatewayId> {
        self.with(|state, _| state.gateways.keys().copied().collect())
    }

    /// The labels of a gateway; `None` when it is not known.
    #[must_use]
    pub fn labels(&self, id: GatewayId) -> Option<Labels> {
        self.with(|state, _| state.gateways.get(&id).map(|gateway| gateway.labels.clone()))
    }

    /// What is known of the sessions of a gateway.
    #[must_use]
    pub fn sessions_of(&self, id: GatewayId) -> Vec<pb::GatewaySession> {
        self.with(|state, _| {
            let sessions = state.sessions.get(&id).into_iter().flat_map(BTreeMap::values);
            sessions.map(|session| located(id, session.clone())).collect()
        })
    }

    /// What is known of a session.
    #[must_use]
    pub fn session(&self, gateway: GatewayId, id: SessionId) -> Option<pb::Session> {
        self.with(|state, _| state.sessions.get(&gateway)?.get(&id).cloned())
    }

    /// How many links lead to the sessions of a gateway.
    #[must_use]
    pub fn links_of(&self, id: GatewayId) -> Vec<pb::SessionShares> {
        self.with(|state, _| {
            state.links.iter().filter(|((gateway, _), _)| *gateway == id).map(shown).collect()
        })
    }

    /// Says how many links lead to each session by now.
    pub fn set_links(&self, links: Links) {
        self.with(|state, events| {
            let gone = state.links.keys().filter(|key| !links.contains_key(key)).map(|key| (*key, 0));
            let news = links.iter().filter(|(key, count)| state.links.get(key) != Some(count));
            for (key, count) in gone.chain(news.map(|(key, count)| (*key, *count))) {
                // Nobody watches: nothing is lost.
                let _ = events.send(Event::SharesChanged(shown((&key, &count))));
            }
            state.links = links;
        });
    }

    /// What is known of a gateway.
    #[must_use]
    pub fn gateway(&self, id: GatewayId) -> Option<pb::Gateway> {
        self.with(|state, _| state.gateways.get(&id).cloned())
    }

    /// The machines that wait for approval, those that wait longest first.
    #[must_use]
    pub fn all_pending(&self) -> Vec<pb::PendingGateway> {
        self.with(|state, _| state.waiting())
    }

    /// A machine that waits for approval.
    #[must_use]
    pub fn pending(&self, id: &str) -> Option<pb::PendingGateway> {
        self.with(|state, _| state.pending.get(id).cloned())
    }

    /// A machine waits for approval.
    pub fn add_pending(&self, pending: pb::PendingGateway) {
        self.with(|state, events| {
            state.pending.insert(pending.id.clone(), pending.clone());
            let _ = events.send(Event::PendingAdded(pending));
        });
    }

    /// A machine waits no more.
    pub fn remove_pending(&self, id: &str) {
        self.with(|state, events| {
            if let Some(gone) = state.pending.remove(id) {
                let _ = events.send(Event::PendingRemoved(gone.id));
            }
        });
    }

    /// A gateway is new.
    pub fn add_gateway(&self, id: GatewayId, gateway: pb::Gateway) {
        self.with(|state, events| {
            state.gateways.insert(id, gateway.clone());
            let _ = events.send(Event::GatewayChanged(gateway));
        });
    }

    /// Changes a gateway; `change` says whether watchers have to hear of it.
    pub fn change_gateway(&self, id: GatewayId, change: impl FnOnce(&mut pb::Gateway) -> bool) {
        self.with(|state, events| {
            if let Some(gateway) = state.gateways.get_mut(&id)
                && change(gateway)
            {
                let _ = events.send(Event::GatewayChanged(gateway.clone()));
            }
        });
    }

    /// A join token was made, used or taken back.
    pub fn tokens_changed(&self) {
        self.with(|_, events| {
            let _ = events.send(Event::TokensChanged(true));
        });
    }

    /// A gateway is revoked, since then (milliseconds since 1970). Its sessions
    /// are forgotten, and no more are kept of it: they are those of whoever the
    /// machine is enrolled as next.
    pub fn revoke_gateway(&self, id: GatewayId, since_unix_ms: u64) {
        self.with(|state, events| {
            let gone = state.sessions.remove(&id).unwrap_or_default();
            state.session_count -= gone.len();
            for session in gone.into_keys() {
                let _ = events.send(Event::SessionRemoved(reference(id, session)));
            }
            if let Some(gateway) = state.gateways.get_mut(&id) {
                gateway.link_state = LinkState::Revoked.into();
                gateway.since_unix_ms = since_unix_ms;
                let _ = events.send(Event::GatewayChanged(gateway.clone()));
            }
        });
    }

    /// Keeps a session, new or changed; says what was known before, or `None`
    /// when the directory (of this gateway, or of all) is full or the gateway is
    /// revoked, and the session is not kept.
    pub fn put_session(&self, gateway: GatewayId, id: SessionId, session: pb::Session) -> Option<Before> {
        self.with(|state, events| {
            if state.is_revoked(gateway) {
                return None;
            }
            let all = &mut state.session_count;
            let sessions = state.sessions.entry(gateway).or_default();
            let is_full =
                sessions.len() >= limits::DIRECTORY_SESSIONS || *all >= limits::DIRECTORY_SESSIONS_ALL;
            if is_full && !sessions.contains_key(&id) {
                return None;
            }
            let before = sessions.insert(id, session.clone());
            *all += usize::from(before.is_none());
            if before.as_ref() != Some(&session) {
                let _ = events.send(Event::SessionChanged(located(gateway, session)));
            }
            Some(Before(before))
        })
    }

    /// Forgets a session.
    pub fn remove_session(&self, gateway: GatewayId, id: SessionId) {
        self.with(|state, events| {
            if state.sessions.get_mut(&gateway).is_some_and(|sessions| sessions.remove(&id).is_some()) {
                state.session_count -= 1;
                let _ = events.send(Event::SessionRemoved(reference(gateway, id)));
            }
        });
    }

    /// Makes the sessions of a gateway exactly these, as far as there is room;
    /// watchers hear only of what differs. Of a revoked one none are kept.
    pub fn replace_sessions(&self, gateway: GatewayId, mut now: Sessions) {
        self.with(|state, events| {
            if state.is_revoked(gateway) {
                return;
            }
            let before = state.sessions.entry(gateway).or_default();
            state.session_count -= before.len();
            let room = limits::DIRECTORY_SESSIONS_ALL.saturating_sub(state.session_count);
            if let Some(first_without) = now.keys().nth(room).copied() {
                drop(now.split_off(&first_without));
            }
            state.session_count += now.len();
            for id in before.keys().filter(|id| !now.contains_key(id)) {
                let _ = events.send(Event::SessionRemoved(reference(gateway, *id)));
            }
            for (id, session) in &now {
                if before.get(id) != Some(session) {
                    let _ = events.send(Event::SessionChanged(located(gateway, session.clone())));
                }
            }
            *before = now;
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut State, &broadcast::Sender<Event>) -> T) -> T {
        // Nothing in here can panic half-way; a poisoned lock is still whole.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), &self.events)
    }
}

/// What was known of a session before a change.
#[derive(Debug)]
pub struct Before(Option<pb::Session>);

impl Before {
    /// Whether the change is worth a write: who looks on and at which size is
    /// not, since it is told anew by every gateway that links.
    #[must_use]
    pub fn lasts(&self, now: &pb::Session) -> bool {
        let still = |session: &pb::Session| pb::Session { viewers: 0, winsize: None, ..session.clone() };
        self.0.as_ref().is_none_or(|before| still(before) != still(now))
    }
}

fn shown(((gateway, session), links): (&(GatewayId, SessionId), &u32)) -> pb::SessionShares {
    pb::SessionShares { gateway: gateway.to_string(), session: session.to_string(), links: *links }
}

fn located(gateway: GatewayId, session: pb::Session) -> pb::GatewaySession {
    pb::GatewaySession { gateway: gateway.to_string(), session: Some(session) }
}

fn reference(gateway: GatewayId, session: SessionId) -> pb::SessionRef {
    pb::SessionRef { gateway: gateway.to_string(), session: session.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(count: usize) -> Sessions {
        let id = |number: usize| SessionId::from_random((number as u128).to_be_bytes());
        (0..count).map(|number| (id(number), pb::Session::default())).collect()
    }

    #[test]
    fn sessions_beyond_the_limit_of_all_gateways_are_not_shown_and_their_room_comes_back() {
        let gateway = |number: usize| GatewayId::from_random((number as u128).to_be_bytes());
        let hub = Hub::new(Vec::new(), Vec::new());
        let whole = limits::DIRECTORY_SESSIONS_ALL / limits::DIRECTORY_SESSIONS;
        for number in 0..=whole {
            hub.replace_sessions(gateway(number), told(limits::DIRECTORY_SESSIONS));
        }
        let count = |of: usize| hub.with(|state, _| state.sessions[&gateway(of)].len());
        let all = |hub: &Hub| hub.with(|state, _| state.sessions.values().map(Sessions::len).sum::<usize>());
        assert_eq!(all(&hub), limits::DIRECTORY_SESSIONS_ALL);
        assert_eq!(count(whole), limits::DIRECTORY_SESSIONS_ALL % limits::DIRECTORY_SESSIONS);

        hub.replace_sessions(gateway(0), Sessions::new());
        hub.replace_sessions(gateway(whole), told(limits::DIRECTORY_SESSIONS));
        assert_eq!(count(whole), limits::DIRECTORY_SESSIONS);
    }
}
