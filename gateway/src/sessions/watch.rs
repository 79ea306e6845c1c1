//! One watcher's stream of the sessions. It is bounded and never holds anybody
//! up: a watcher that falls behind is told what vanished meanwhile and shown
//! the present anew.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use chatcode_proto::{
    code::Refusal,
    pb::{self, Code, sessions_watch_response::Event},
};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::registry::Registry;

/// Every session, then `synced`, then every change, until `draining` ends it
/// with `DRAINING`.
pub(super) fn watch(
    registry: Arc<Registry>,
    draining: CancellationToken,
) -> impl Stream<Item = Result<pb::SessionsWatchResponse, Status>> + Send {
    let words = "the gateway leaves this link; watch again soon";
    let left = {
        let draining = draining.clone();
        stream::once(async move { draining.is_cancelled() })
            .filter(|left| std::future::ready(*left))
            .map(move |_| Err(Refusal::new(Code::Draining, words).into()))
    };
    events(registry, draining).map(Ok).chain(left)
}

/// The same for `Link.Directory`: `draining` is its end.
pub(crate) fn events(
    registry: Arc<Registry>,
    draining: CancellationToken,
) -> impl Stream<Item = pb::SessionsWatchResponse> + Send {
    stream::unfold((Watcher::new(registry), draining), |(mut watcher, draining)| async move {
        let event = draining.run_until_cancelled(watcher.next()).await??;
        Some((pb::SessionsWatchResponse { event: Some(event) }, (watcher, draining)))
    })
}

struct Watcher {
    registry: Arc<Registry>,
    news: Receiver<Event>,
    /// What is still to be sent of the last picture; at most all sessions.
    picture: VecDeque<Event>,
    /// The sessions that the watcher was told of.
    told: BTreeSet<String>,
}

impl Watcher {
    fn new(registry: Arc<Registry>) -> Self {
        let (sessions, news) = registry.picture();
        let mut watcher = Self { registry, news, picture: VecDeque::new(), told: BTreeSet::new() };
        watcher.show(sessions);
        watcher
    }

    fn show(&mut self, sessions: Vec<pb::Session>) {
        let now: BTreeSet<String> = sessions.iter().map(|session| session.id.clone()).collect();
        self.picture = self.told.difference(&now).cloned().map(Event::Removed).collect();
        self.picture.extend(sessions.into_iter().map(Event::Changed));
        self.picture.push_back(Event::Synced(true));
        self.told = now;
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.picture.pop_front() {
                return Some(event);
            }
            match self.news.recv().await {
                Ok(event) => {
                    match &event {
                        Event::Changed(session) => _ = self.told.insert(session.id.clone()),
                        Event::Removed(id) => _ = self.told.remove(id),
                        Event::Synced(_) => {}
                    }
                    return Some(event);
                }
                Err(RecvError::Lagged(missed)) => {
                    tracing::debug!(missed, "a watcher fell behind and starts anew");
                    let (sessions, news) = self.registry.picture();
                    self.news = news;
                    self.show(sessions);
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chatcode_proto::{id::SessionId, limits, pb::SessionState};

    use super::*;

    fn session(number: u8, viewers: u32) -> (SessionId, pb::Session) {
        let id = SessionId::from_random([number; 16]);
        let state = SessionState::Running.into();
        (id, pb::Session { id: id.to_string(), state, viewers, ..Default::default() })
    }

    async fn event(
        stream: &mut (impl Stream<Item = Result<pb::SessionsWatchResponse, Status>> + Unpin),
    ) -> Event {
        stream.next().await.expect("goes on").expect("is no error").event.expect("is set")
    }

    #[tokio::test]
    async fn a_watcher_sees_everything_then_synced_then_changes_then_the_drain() {
        let registry = Registry::for_tests();
        let (id, first) = session(1, 0);
        registry.put(id, first.clone(), true);
        let draining = CancellationToken::new();
        let mut stream = Box::pin(watch(Arc::clone(&registry), draining.clone()));
        assert_eq!(event(&mut stream).await, Event::Changed(first));
        assert_eq!(event(&mut stream).await, Event::Synced(true));
        let changed = session(1, 4).1;
        registry.put(id, changed.clone(), false);
        assert_eq!(event(&mut stream).await, Event::Changed(changed));
        draining.cancel();
        let end = stream.next().await.expect("a last word").expect_err("is an end");
        assert_eq!(Refusal::from(&end).code, Code::Draining);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn a_stalled_watcher_holds_nobody_up_and_is_shown_the_present_and_what_vanished() {
        let registry = Registry::for_tests();
        let (gone, session_gone) = session(1, 0);
        registry.put(gone, session_gone.clone(), true);
        let mut stalled = Box::pin(watch(Arc::clone(&registry), CancellationToken::new()));
        let mut lively = Box::pin(watch(Arc::clone(&registry), CancellationToken::new()));
        for stream in [&mut stalled, &mut lively] {
            assert_eq!(event(stream).await, Event::Changed(session_gone.clone()));
            assert_eq!(event(stream).await, Event::Synced(true));
        }
        registry.put(gone, pb::Session { state: SessionState::Exited.into(), ..session_gone }, false);
        registry.forget(&gone);
        let (stays, _) = session(2, 0);
        let changes = u32::try_from(limits::WATCH_EVENTS).expect("is small") + 10;
        for viewers in 0..changes {
            registry.put(stays, session(2, viewers).1, true);
            while let Event::Removed(_) = event(&mut lively).await {}
        }
        let last = Event::Changed(session(2, changes - 1).1);
        assert_eq!(event(&mut stalled).await, Event::Removed(gone.to_string()));
        assert_eq!(event(&mut stalled).await, last);
        assert_eq!(event(&mut stalled).await, Event::Synced(true));
    }
}
