//! One watcher's stream of the fleet. It is bounded: a watcher that falls
//! behind is shown the present anew instead of everything that it missed.

use std::{
    collections::{BTreeSet, VecDeque},
    pin::Pin,
    sync::Arc,
};

use chatcode_proto::{
    limits,
    pb::{self, FleetWatchResponse, fleet_watch_response::Event},
};
use futures_util::{Stream, stream};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tonic::Status;

use super::hub::Hub;
use crate::clock;

/// The stream of one `Fleet.Watch`.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<FleetWatchResponse, Status>> + Send>>;

/// Everything that is known, then `synced`, then every change; `alive` after
/// [`limits::WATCH_ALIVE`] without news. Ends only by being dropped.
#[must_use]
pub fn watch(hub: Arc<Hub>) -> WatchStream {
    let watcher = Watcher::new(hub);
    Box::pin(stream::unfold(watcher, |mut watcher| async move {
        let event = watcher.next().await?;
        Some((Ok(FleetWatchResponse { event: Some(event) }), watcher))
    }))
}

struct Watcher {
    hub: Arc<Hub>,
    news: Receiver<Event>,
    /// What is still to be sent of the last picture.
    picture: VecDeque<Event>,
    /// What the watcher has been told of and not told to forget.
    gateways: BTreeSet<String>,
    sessions: BTreeSet<(String, String)>,
    pending: BTreeSet<String>,
}

impl Watcher {
    fn new(hub: Arc<Hub>) -> Self {
        let (_, news) = hub.watch();
        let mut watcher = Self {
            hub,
            news,
            picture: VecDeque::new(),
            gateways: BTreeSet::new(),
            sessions: BTreeSet::new(),
            pending: BTreeSet::new(),
        };
        watcher.begin();
        watcher
    }

    /// Takes a new picture, and names what has vanished since the last one.
    fn begin(&mut self) {
        let (picture, news) = self.hub.watch();
        self.news = news;
        let gateways: BTreeSet<_> = picture.gateways.iter().map(|gateway| gateway.id.clone()).collect();
        let sessions: BTreeSet<_> = picture.sessions.iter().map(key).collect();
        self.picture = VecDeque::with_capacity(gateways.len() + sessions.len() + 1);
        for (gateway, session) in self.sessions.difference(&sessions).cloned() {
            self.picture.push_back(Event::SessionRemoved(pb::SessionRef { gateway, session }));
        }
        self.picture.extend(self.gateways.difference(&gateways).cloned().map(Event::GatewayRemoved));
        let pending: BTreeSet<_> = picture.pending.iter().map(|pending| pending.id.clone()).collect();
        self.picture.extend(self.pending.difference(&pending).cloned().map(Event::PendingRemoved));
        self.picture.extend(picture.gateways.into_iter().map(Event::GatewayChanged));
        self.picture.extend(picture.sessions.into_iter().map(Event::SessionChanged));
        self.picture.extend(picture.pending.into_iter().map(Event::PendingAdded));
        self.picture.push_back(Event::Synced(true));
        (self.gateways, self.sessions, self.pending) = (gateways, sessions, pending);
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.picture.pop_front() {
                return Some(event);
            }
            match tokio::time::timeout(limits::WATCH_ALIVE, self.news.recv()).await {
                Err(_) => return Some(Event::AliveUnixMs(clock::unix_ms())),
                Ok(Ok(event)) => {
                    self.remember(&event);
                    return Some(event);
                }
                Ok(Err(RecvError::Lagged(missed))) => {
                    tracing::debug!(missed, "a watcher fell behind and starts anew");
                    self.begin();
                }
                Ok(Err(RecvError::Closed)) => return None,
            }
        }
    }

    fn remember(&mut self, event: &Event) {
        match event {
            Event::GatewayChanged(gateway) => {
                self.gateways.insert(gateway.id.clone());
            }
            Event::GatewayRemoved(id) => {
                self.gateways.remove(id);
            }
            Event::SessionChanged(session) => {
                self.sessions.insert(key(session));
            }
            Event::SessionRemoved(session) => {
                self.sessions.remove(&(session.gateway.clone(), session.session.clone()));
            }
            Event::PendingAdded(pending) => {
                self.pending.insert(pending.id.clone());
            }
            Event::PendingRemoved(id) => {
                self.pending.remove(id);
            }
            Event::Synced(_) | Event::AliveUnixMs(_) | Event::TokensChanged(_) => {}
        }
    }
}

fn key(session: &pb::GatewaySession) -> (String, String) {
    let id = session.session.as_ref().map(|session| session.id.clone());
    (session.gateway.clone(), id.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use chatcode_proto::id::{GatewayId, SessionId};
    use futures_util::StreamExt as _;

    use super::*;

    fn gateway(number: u8) -> (GatewayId, pb::Gateway) {
        let id = GatewayId::from_random([number; 16]);
        (id, pb::Gateway { id: id.to_string(), name: format!("machine {number}"), ..Default::default() })
    }

    fn session(number: u8) -> (SessionId, pb::Session) {
        let id = SessionId::from_random([number; 16]);
        (id, pb::Session { id: id.to_string(), name: "shell".to_owned(), ..Default::default() })
    }

    async fn event(stream: &mut WatchStream) -> Event {
        stream.next().await.expect("goes on").expect("is no error").event.expect("is set")
    }

    #[tokio::test]
    async fn a_watcher_sees_everything_then_synced_then_changes() {
        let (id, machine) = gateway(1);
        let (session_id, shell) = session(2);
        let hub = Arc::new(Hub::new(vec![(id, machine.clone())], vec![]));
        let mut stream = watch(Arc::clone(&hub));
        assert_eq!(event(&mut stream).await, Event::GatewayChanged(machine));
        assert_eq!(event(&mut stream).await, Event::Synced(true));
        hub.put_session(id, session_id, shell);
        assert!(matches!(event(&mut stream).await, Event::SessionChanged(_)));
        hub.remove_session(id, session_id);
        assert!(matches!(event(&mut stream).await, Event::SessionRemoved(_)));
    }

    #[tokio::test]
    async fn a_watcher_that_falls_behind_is_told_the_present_and_what_vanished() {
        let (id, machine) = gateway(1);
        let (gone, shell) = session(0);
        let hub = Arc::new(Hub::new(vec![(id, machine)], vec![(id, gone, shell)]));
        let mut stream = watch(Arc::clone(&hub));
        while event(&mut stream).await != Event::Synced(true) {}
        hub.remove_session(id, gone);
        for round in 0..limits::WATCH_EVENTS + 1 {
            let name = format!("name {round}");
            hub.change_gateway(id, |gateway| {
                gateway.name = name;
                true
            });
        }
        let mut seen = Vec::new();
        loop {
            match event(&mut stream).await {
                Event::Synced(_) => break,
                other => seen.push(other),
            }
        }
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!(matches!(&seen[0], Event::SessionRemoved(session) if session.session == gone.to_string()));
        let last = format!("name {}", limits::WATCH_EVENTS);
        assert!(matches!(&seen[1], Event::GatewayChanged(gateway) if gateway.name == last));
    }
}
