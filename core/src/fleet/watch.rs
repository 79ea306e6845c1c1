//! One watcher's stream of the part of the fleet that it may see. It is bounded: a
//! watcher that falls behind is shown the present anew instead of everything that
//! it missed.

use std::{
    collections::{BTreeSet, VecDeque},
    pin::Pin,
    sync::Arc,
};

use chatcode_proto::{
    id::GatewayId,
    label::Labels,
    limits,
    pb::{self, FleetWatchResponse, fleet_watch_response::Event},
};
use futures_util::{Stream, stream};
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    watch,
};
use tonic::Status;

use super::hub::Hub;
use crate::clock;

/// The stream of one `Fleet.Watch`.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<FleetWatchResponse, Status>> + Send>>;

/// What a watcher may see, as it is now.
pub trait View: Send + 'static {
    /// Whether it may see this gateway and its sessions.
    fn sees(&self, gateway: GatewayId, labels: &Labels) -> bool;
    /// Whether it may see the machines that wait for approval.
    fn sees_pending(&self) -> bool;
    /// Goes up whenever an answer of the others may have changed; `None`: they
    /// never change.
    fn changes(&self) -> Option<watch::Receiver<u64>>;
}

/// Everything that is known and may be seen, then `synced`, then every change;
/// `alive` after [`limits::WATCH_ALIVE`] without news. What may be seen no more is
/// told as forgotten. Ends only by being dropped.
#[must_use]
pub fn watch(hub: Arc<Hub>, view: impl View) -> WatchStream {
    let watcher = Watcher::new(hub, view);
    Box::pin(stream::unfold(watcher, |mut watcher| async move {
        let event = watcher.next().await?;
        Some((Ok(FleetWatchResponse { event: Some(event) }), watcher))
    }))
}

struct Watcher<V> {
    hub: Arc<Hub>,
    view: V,
    changes: Option<watch::Receiver<u64>>,
    news: Receiver<Event>,
    /// What is still to be sent before the next news.
    waiting: VecDeque<Event>,
    /// What the watcher has been told of and not told to forget.
    gateways: BTreeSet<String>,
    sessions: BTreeSet<(String, String)>,
    pending: BTreeSet<String>,
    /// Those of the sessions that it was told are shared.
    links: BTreeSet<(String, String)>,
}

impl<V: View> Watcher<V> {
    fn new(hub: Arc<Hub>, view: V) -> Self {
        let (_, news) = hub.watch();
        let mut watcher = Self {
            hub,
            changes: view.changes(),
            view,
            news,
            waiting: VecDeque::new(),
            gateways: BTreeSet::new(),
            sessions: BTreeSet::new(),
            pending: BTreeSet::new(),
            links: BTreeSet::new(),
        };
        watcher.begin();
        watcher
    }

    /// Takes a new picture, and names what has vanished since the last one.
    fn begin(&mut self) {
        let (mut picture, news) = self.hub.watch();
        self.news = news;
        picture.gateways.retain(|gateway| sees(&self.view, gateway));
        let gateways: BTreeSet<_> = picture.gateways.iter().map(|gateway| gateway.id.clone()).collect();
        picture.sessions.retain(|session| gateways.contains(&session.gateway));
        picture.links.retain(|shares| gateways.contains(&shares.gateway));
        if !self.view.sees_pending() {
            picture.pending.clear();
        }
        let sessions: BTreeSet<_> = picture.sessions.iter().map(key).collect();
        self.waiting = VecDeque::with_capacity(gateways.len() + sessions.len() + 1);
        for (gateway, session) in self.sessions.difference(&sessions).cloned() {
            self.waiting.push_back(Event::SessionRemoved(pb::SessionRef { gateway, session }));
        }
        self.waiting.extend(self.gateways.difference(&gateways).cloned().map(Event::GatewayRemoved));
        let links: BTreeSet<_> = picture.links.iter().map(shared).collect();
        for (gateway, session) in
            self.links.difference(&links).filter(|(gateway, _)| gateways.contains(gateway))
        {
            let (gateway, session) = (gateway.clone(), session.clone());
            self.waiting.push_back(Event::SharesChanged(pb::SessionShares { gateway, session, links: 0 }));
        }
        let pending: BTreeSet<_> = picture.pending.iter().map(|pending| pending.id.clone()).collect();
        self.waiting.extend(self.pending.difference(&pending).cloned().map(Event::PendingRemoved));
        self.waiting.extend(picture.gateways.into_iter().map(Event::GatewayChanged));
        self.waiting.extend(picture.sessions.into_iter().map(Event::SessionChanged));
        self.waiting.extend(picture.links.into_iter().map(Event::SharesChanged));
        self.waiting.extend(picture.pending.into_iter().map(Event::PendingAdded));
        self.waiting.push_back(Event::Synced(true));
        (self.gateways, self.sessions, self.pending) = (gateways, sessions, pending);
        self.links = links;
    }

    /// Whether the view of now shows what the watcher was told of: others' rights
    /// have changed, which is no news for this one.
    fn is_as_told(&self) -> bool {
        let pending = if self.view.sees_pending() { self.hub.all_pending() } else { Vec::new() };
        let seen = self.hub.seen(|id, labels| self.view.sees(id, labels));
        seen == self.gateways
            && pending.len() == self.pending.len()
            && pending.iter().all(|one| self.pending.contains(&one.id))
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            tokio::select! {
                biased;
                () = changed(&mut self.changes) => {
                    if !self.is_as_told() {
                        self.begin();
                    }
                }
                news = self.news.recv() => match news {
                    Ok(event) => self.take(event),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::debug!(missed, "a watcher fell behind and starts anew");
                        self.begin();
                    }
                    Err(RecvError::Closed) => return None,
                },
                () = tokio::time::sleep(limits::WATCH_ALIVE) => {
                    return Some(Event::AliveUnixMs(clock::unix_ms()));
                }
            }
        }
    }

    /// Tells what of an event the watcher may see.
    fn take(&mut self, event: Event) {
        let is_seen = match &event {
            Event::GatewayChanged(gateway) => return self.take_gateway(gateway.clone()),
            Event::GatewayRemoved(id) => self.gateways.contains(id),
            Event::SessionChanged(session) => self.gateways.contains(&session.gateway),
            Event::SessionRemoved(session) => {
                self.sessions.contains(&(session.gateway.clone(), session.session.clone()))
            }
            Event::SharesChanged(shares) => self.gateways.contains(&shares.gateway),
            Event::PendingAdded(_) | Event::TokensChanged(_) => self.view.sees_pending(),
            Event::PendingRemoved(id) => self.pending.contains(id),
            Event::Synced(_) | Event::AliveUnixMs(_) => true,
        };
        if is_seen {
            self.tell(event);
        }
    }

    /// A gateway comes into view with its sessions, changes there, or goes out of
    /// it with all that was told of it.
    fn take_gateway(&mut self, gateway: pb::Gateway) {
        let (sees, was_told) = (sees(&self.view, &gateway), self.gateways.contains(&gateway.id));
        let id = gateway.id.clone();
        if sees {
            self.tell(Event::GatewayChanged(gateway));
            if !was_told && let Ok(id) = id.parse() {
                let sessions = self.hub.sessions_of(id);
                sessions.into_iter().map(Event::SessionChanged).for_each(|event| self.tell(event));
                let links = self.hub.links_of(id);
                links.into_iter().map(Event::SharesChanged).for_each(|event| self.tell(event));
            }
        } else if was_told {
            let gone: Vec<_> = self.sessions.iter().filter(|(gateway, _)| *gateway == id).cloned().collect();
            for (gateway, session) in gone {
                self.tell(Event::SessionRemoved(pb::SessionRef { gateway, session }));
            }
            self.links.retain(|(gateway, _)| *gateway != id);
            self.tell(Event::GatewayRemoved(id));
        }
    }

    fn tell(&mut self, event: Event) {
        self.remember(&event);
        self.waiting.push_back(event);
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
            Event::SharesChanged(shares) if shares.links == 0 => {
                self.links.remove(&shared(shares));
            }
            Event::SharesChanged(shares) => {
                self.links.insert(shared(shares));
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

/// Waits for another view.
async fn changed(changes: &mut Option<watch::Receiver<u64>>) {
    match changes {
        // Never an error: the view keeps the other end.
        Some(changes) => drop(changes.changed().await),
        None => std::future::pending().await,
    }
}

fn sees(view: &impl View, gateway: &pb::Gateway) -> bool {
    gateway.id.parse().is_ok_and(|id| view.sees(id, &gateway.labels))
}

fn shared(shares: &pb::SessionShares) -> (String, String) {
    (shares.gateway.clone(), shares.session.clone())
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

    /// Sees everything.
    struct All;

    impl View for All {
        fn sees(&self, _: GatewayId, _: &Labels) -> bool {
            true
        }

        fn sees_pending(&self) -> bool {
            true
        }

        fn changes(&self) -> Option<watch::Receiver<u64>> {
            None
        }
    }

    /// Sees the machines of one site, and another site from the next epoch on.
    struct Site(watch::Sender<u64>);

    impl View for Arc<Site> {
        fn sees(&self, _: GatewayId, labels: &Labels) -> bool {
            let site = if *self.0.borrow() == 0 { "attic" } else { "cellar" };
            labels.get("site").is_some_and(|value| value == site)
        }

        fn sees_pending(&self) -> bool {
            false
        }

        fn changes(&self) -> Option<watch::Receiver<u64>> {
            Some(self.0.subscribe())
        }
    }

    fn at(site: &str, (id, machine): (GatewayId, pb::Gateway)) -> (GatewayId, pb::Gateway) {
        let labels = Labels::from([("site".to_owned(), site.to_owned())]);
        (id, pb::Gateway { labels, ..machine })
    }

    #[tokio::test]
    async fn a_watcher_hears_only_of_what_it_may_see_and_of_what_comes_and_goes() {
        let ((here, mine), (there, other)) = (at("attic", gateway(1)), at("cellar", gateway(2)));
        let ((shell, my_shell), (hidden, other_shell)) = (session(3), session(4));
        let hub = Arc::new(Hub::new(
            vec![(here, mine.clone()), (there, other.clone())],
            vec![(here, shell, my_shell), (there, hidden, other_shell.clone())],
        ));
        let site = Arc::new(Site(watch::Sender::new(0)));
        let mut stream = watch(Arc::clone(&hub), Arc::clone(&site));
        assert_eq!(event(&mut stream).await, Event::GatewayChanged(mine.clone()));
        assert!(matches!(event(&mut stream).await, Event::SessionChanged(_)));
        assert_eq!(event(&mut stream).await, Event::Synced(true));

        // Nothing of the other machine, in between the news of the own one.
        hub.change_gateway(there, |_| true);
        hub.remove_session(there, hidden);
        hub.put_session(there, hidden, other_shell.clone());
        hub.change_gateway(here, |_| true);
        assert_eq!(event(&mut stream).await, Event::GatewayChanged(mine));

        // The own one gets another label: gone with its session, and the other comes
        // with its own.
        hub.change_gateway(here, |gateway| {
            gateway.labels.insert("site".to_owned(), "moon".to_owned()).is_some()
        });
        assert!(
            matches!(event(&mut stream).await, Event::SessionRemoved(gone) if gone.session == shell.to_string())
        );
        assert_eq!(event(&mut stream).await, Event::GatewayRemoved(here.to_string()));
        hub.change_gateway(there, |gateway| {
            gateway.labels.insert("site".to_owned(), "attic".to_owned()).is_some()
        });
        assert!(
            matches!(event(&mut stream).await, Event::GatewayChanged(new) if new.id == there.to_string())
        );
        assert!(
            matches!(event(&mut stream).await, Event::SessionChanged(new) if new.gateway == there.to_string())
        );

        // Another view: what is out of it is forgotten, and the rest shown anew.
        site.0.send_replace(1);
        assert!(
            matches!(event(&mut stream).await, Event::SessionRemoved(gone) if gone.session == hidden.to_string())
        );
        assert_eq!(event(&mut stream).await, Event::GatewayRemoved(there.to_string()));
        assert_eq!(event(&mut stream).await, Event::Synced(true));
    }

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
        let mut stream = watch(Arc::clone(&hub), All);
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
        let mut stream = watch(Arc::clone(&hub), All);
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
