//! What the daemon shows to those who run it: gauges of what it is at this moment,
//! whether it is ready, and the calls of the core as they pass.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use chatcode_process::observe::{Readiness, look, trace};
use chatcode_proto::{
    code::Refusal,
    pb::{Code, SessionState},
    rules::Rule,
};
use tokio::sync::watch;
use tonic::{Status, body::Body};
use tower::Service;
use tracing::Instrument as _;

use crate::{
    meters::GatewayMeters,
    sessions::Registry,
    state::{LinkWord, State},
};

/// Adds what is read at the moment of the question to the meters of `registry`.
pub(crate) fn show(registry: &Arc<Registry>, state: &watch::Receiver<State>) {
    let meters = &registry.meters.all;
    let of = state.clone();
    meters.read("link_up", "Whether the link to the core is up: 1 or 0", move || {
        f64::from(u8::from(of.borrow().link == LinkWord::Online))
    });
    meters.read_each(
        "sessions",
        "Sessions that the machine knows, by state",
        "state",
        look(registry, |of| {
            let sessions = of.list();
            let are = |wanted: &[SessionState]| {
                number(sessions.iter().filter(|session| wanted.contains(&session.state())).count())
            };
            vec![
                ("running", are(&[SessionState::Running, SessionState::Ending])),
                ("ended", are(&[SessionState::Exited])),
                ("lost", are(&[SessionState::Lost])),
            ]
        }),
    );
    meters.read(
        "viewers",
        "Viewers of all sessions",
        look(registry, |of| number(of.list().iter().map(|session| session.viewers as usize).sum())),
    );
}

/// Whether the daemon can do its duty: its link is up.
pub(crate) fn ready(state: &watch::Receiver<State>) -> Readiness {
    let state = state.borrow();
    let answer = match state.link {
        LinkWord::Online => Ok(()),
        LinkWord::Connecting if state.code.is_empty() => Err("the link to the core is not up yet".to_owned()),
        LinkWord::Connecting => Err(format!("the link to the core is down: {}", state.code)),
        LinkWord::Revoked => Err("this gateway was revoked".to_owned()),
    };
    Box::pin(std::future::ready(answer))
}

#[expect(clippy::cast_precision_loss, reason = "no such number reaches 2^53")]
const fn number(count: usize) -> f64 {
    count as f64
}

/// A service whose calls are counted, and are spans of the trace that the core names.
#[derive(Clone, Debug)]
pub(crate) struct Observed<S> {
    inner: S,
    meters: GatewayMeters,
}

impl<S> Observed<S> {
    pub(crate) const fn new(inner: S, meters: GatewayMeters) -> Self {
        Self { inner, meters }
    }
}

impl<S> Service<http::Request<Body>> for Observed<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let method = Rule::name_of(path).unwrap_or("unknown");
        let span = trace::call(path.trim_start_matches('/'), Some(request.headers()));
        let (answering, meters) = (self.inner.call(request), self.meters.clone());
        let whole = span.clone();
        let answering = async move {
            let answer = answering.await;
            if let Ok(response) = &answer {
                let status = Status::from_header_map(response.headers());
                let code = status.map_or(Code::Done, |status| Refusal::from(&status).code);
                trace::ended(&span, code);
                meters.calls.of([method, code.name()]).inc();
            }
            answer
        };
        Box::pin(answering.instrument(whole))
    }
}
