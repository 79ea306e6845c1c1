//! The one way in: every call on the gRPC listener passes this gate before
//! any service sees it. Who calls, may they, is it written down; then the core
//! answers itself or passes the call on.

mod trail;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use chatcode_certs::MemberName;
use chatcode_link::subscriber;
use chatcode_process::observe::{Counter, trace};
use chatcode_proto::{
    code::Refusal,
    limits, metadata,
    pb::{AuditPolicy, Code, Permission, Scope},
    rules::Rule,
};
use http::{HeaderMap, HeaderValue, Request, Response};
use tonic::{Status, body::Body, service::Routes};
use tower::Service;
use tracing::{Instrument as _, Span};

use crate::{
    caller::{
        self, CallInfo, Caller, PeerInfo, Standing,
        identify::{Books, Shown, identify, origin},
    },
    clock,
    cut::{CutBody, CutRequest, Cuts, Tally},
    gate::trail::Trail,
    judge::{Verdict, check},
    pass::Pass,
    shared::{Shared, request_id},
    target::{self, Target},
};

/// Prefix of the paths of health v1, which anybody may ask.
const HEALTH: &str = "/grpc.health.v1.Health/";
/// The paths of reflection, for callers that are known: v1, and what grpcurl
/// asks for before its version 1.8.8.
const REFLECTION: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The rules of the two services that are not of our schema.
static HEALTH_RULE: Rule = foreign(Permission::Public, AuditPolicy::Never);
static REFLECTION_RULE: Rule = foreign(Permission::Authenticated, AuditPolicy::OnDeny);

const fn foreign(permission: Permission, audit: AuditPolicy) -> Rule {
    Rule {
        permission,
        audit,
        scope: Scope::Core,
        step_up: false,
        client_streaming: true,
        server_streaming: true,
    }
}

/// The gate in front of the core's services and of the gateways'.
#[derive(Clone, Debug)]
pub struct Gate {
    shared: Arc<Shared>,
    routes: Routes,
    pass: Pass,
}

impl Gate {
    /// A gate in front of these services of the core.
    #[must_use]
    pub fn new(shared: Arc<Shared>, routes: Routes) -> Self {
        Self { pass: Pass::new(Arc::clone(&shared)), shared, routes: routes.prepare() }
    }

    async fn serve(self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let Some(peer) = request.extensions().get::<PeerInfo>().cloned() else {
            return refuse(Refusal::new(Code::Internal, "the connection has no peer"));
        };
        if let Standing::Member(name, _) = &peer.who {
            let version = target::text(request.headers(), metadata::VERSION);
            if !version.is_empty() {
                self.shared.connections.tells(name.id(), version);
            }
        }
        let Some(rule) = rule_of(&path) else {
            self.shared.meters.calls.of(["unknown", Code::UnknownMethod.name()]).inc();
            return refuse(unknown_method());
        };
        let trail = Trail::new(&path, rule, request_id(), peer.address);
        let span = tracing::info_span!("call", id = trail.request_id(), method = path);
        let (trace, begun) = (traced(&path, request.headers(), &peer), Instant::now());
        trace::named(&trace, trail.request_id());
        let response = self.judge(request, rule, peer, (trail, &trace)).instrument(span).await;
        let code = refusal_of(response.headers()).map_or(Code::Done, |refusal| refusal.code);
        trace::ended(&trace, code);
        self.shared.meters.call(rule_name(&path), code, rule, begun.elapsed());
        response
    }

    /// Lets the call in or refuses it, and writes down which.
    async fn judge(
        &self,
        request: Request<Body>,
        rule: &'static Rule,
        peer: PeerInfo,
        (mut trail, trace): (Trail, &Span),
    ) -> Response<Body> {
        match self.admit(request.uri().path(), request.headers(), rule, &peer, &mut trail).await {
            Ok((verdict, target)) => {
                let response = self.dispatch(request, rule, peer, (verdict, target), (&trail, trace)).await;
                self.seal(response, &trail).await
            }
            Err(refusal) => {
                tracing::debug!(code = refusal.code.name(), "refused");
                trail.refused(&self.shared, &refusal).await;
                refuse(refusal)
            }
        }
    }

    /// # Errors
    /// Why the call may not be made. A call that must be written down and
    /// cannot be is not made.
    async fn admit(
        &self,
        path: &str,
        headers: &HeaderMap,
        rule: &Rule,
        peer: &PeerInfo,
        trail: &mut Trail,
    ) -> Result<(Verdict, Target), Refusal> {
        let caller = if rule.permission == Permission::Public {
            // Whoever asks for a session or a certificate has none yet; one
            // that it still shows is not worth a look.
            match &peer.who {
                Standing::Revoked => return Err(caller::revoked()),
                Standing::Unknown => return Err(caller::not_listed()),
                Standing::Member(name, _) => Caller::Unknown(Some(*name)),
                Standing::Anonymous => Caller::Unknown(None),
            }
        } else {
            let shown = Shown {
                method: path,
                gateway: target::text(headers, metadata::GATEWAY),
                session: target::text(headers, metadata::SESSION),
            };
            self.identify(peer, headers, shown).await?
        };
        trail.by(&caller);
        is_whom_the_page_means(&caller, headers)?;
        check(&caller, rule.permission, None, &self.shared.hub)?;
        let target = Target::of(rule.scope, headers)?;
        trail.at(&target);
        let verdict = Verdict::of(&caller, rule.permission, target, &self.shared.hub)?;
        if rule.step_up {
            step_up(&caller)?;
        }
        trail.admitted(&self.shared).await?;
        Ok((verdict, target))
    }

    async fn identify(
        &self,
        peer: &PeerInfo,
        headers: &HeaderMap,
        shown: Shown<'_>,
    ) -> Result<Caller, Refusal> {
        let Shared { store, lives, directory, rates, .. } = &*self.shared;
        let found = identify(Books { store, lives, directory }, peer, headers, shown).await;
        let is_wrong = found.as_ref().is_err_and(|refusal| refusal.code == Code::Unauthenticated);
        if is_wrong && matches!(peer.who, Standing::Anonymous) {
            // Only wrong API tokens count: nobody can use up the tries of the
            // right ones.
            rates.api_tokens.check(&subscriber(peer.address.ip()))?;
        }
        found
    }

    async fn dispatch(
        &self,
        mut request: Request<Body>,
        rule: &'static Rule,
        peer: PeerInfo,
        (verdict, target): (Verdict, Target),
        (trail, trace): (&Trail, &Span),
    ) -> Response<Body> {
        if rule.scope != Scope::Core {
            return self
                .pass
                .call(request, rule, verdict, &target, (trail.request_id(), trace))
                .await
                .unwrap_or_else(refuse);
        }
        let info = CallInfo {
            origin: origin(request.headers()).to_owned(),
            request_id: trail.request_id().to_owned(),
            caller: verdict.caller().clone(),
            peer,
            about: trail.about().clone(),
        };
        let cuts = Cuts::new(&self.shared.stop, verdict);
        request.extensions_mut().insert(info);
        if !rule.client_streaming {
            // Whoever opens calls and sends nothing on them keeps nothing here.
            request = request.map(|body| Body::new(CutRequest::in_time(body, Counter::default())));
        }
        // A router never fails; the type has no value.
        let response = self.routes.clone().call(request).await.unwrap_or_else(|never| match never {});
        if rule.server_streaming {
            // Its bytes are the core's own, and passed on to nobody.
            let tally = Tally { bytes: Counter::default(), cuts: self.shared.meters.cuts.clone() };
            response.map(|body| Body::new(CutBody::new(body, cuts.wait(), tally, trace.clone())))
        } else {
            response
        }
    }

    /// Gives a refusal of a library the trailer of ours, and writes a refusal
    /// that came after the gate to the audit.
    async fn seal(&self, response: Response<Body>, trail: &Trail) -> Response<Body> {
        if let Some(refusal) = refusal_of(response.headers()) {
            trail.refused_later(&self.shared, &refusal).await;
        }
        coded(response)
    }
}

impl Service<Request<Body>> for Gate {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let gate = self.clone();
        Box::pin(async move { Ok(gate.serve(request).await) })
    }
}

fn rule_of(path: &str) -> Option<&'static Rule> {
    if path.starts_with(HEALTH) {
        Some(&HEALTH_RULE)
    } else if REFLECTION.contains(&path) {
        Some(&REFLECTION_RULE)
    } else {
        Rule::of(path)
    }
}

/// The method as meters name it: without the package; the methods of a foreign service
/// have one name.
fn rule_name(path: &str) -> &'static str {
    if path.starts_with(HEALTH) {
        "grpc.health.v1.Health"
    } else if REFLECTION.contains(&path) {
        "grpc.reflection.ServerReflection"
    } else {
        Rule::name_of(path).unwrap_or("unknown")
    }
}

/// The span of a call. An edge, which is ours, says to which trace it belongs; nobody
/// else is believed. Probes are no calls.
fn traced(path: &str, headers: &HeaderMap, peer: &PeerInfo) -> Span {
    if path.starts_with(HEALTH) {
        return Span::none();
    }
    let is_edge = matches!(peer.who, Standing::Member(MemberName::Edge(_), _));
    trace::call(path.trim_start_matches('/'), is_edge.then_some(headers))
}

/// The refusal in the head of a response without a body; `None` for any other.
fn refusal_of(headers: &HeaderMap) -> Option<Refusal> {
    let status = Status::from_header_map(headers)?;
    (status.code() != tonic::Code::Ok).then(|| Refusal::from(&status))
}

/// A refusal with its code in our trailer, also when a library made it.
#[must_use]
pub fn coded(mut response: Response<Body>) -> Response<Body> {
    if let Some(refusal) = refusal_of(response.headers()) {
        response.headers_mut().insert(metadata::CODE, HeaderValue::from_static(refusal.code.name()));
    }
    response
}

/// The response that refuses a call.
pub fn refuse(refusal: Refusal) -> Response<Body> {
    Status::from(refusal).into_http()
}

/// The refusal of a method that the contract does not know.
#[must_use]
pub fn unknown_method() -> Refusal {
    Refusal::new(Code::UnknownMethod, "this core has no such method; the caller may be newer than the core")
}

/// Refuses a call of a page that takes its caller for somebody else.
fn is_whom_the_page_means(caller: &Caller, headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get(metadata::EXPECT) {
        Some(meant) if meant.as_bytes() != caller.principal().as_bytes() => {
            let words = "somebody else has signed in in this browser, so it was not done; reload the page to go on as they";
            Err(Refusal::new(Code::Unauthenticated, words))
        }
        _ => Ok(()),
    }
}

/// Whether the proof of who a person at a page is is young enough. Programs show
/// theirs with every call.
fn step_up(caller: &Caller) -> Result<(), Refusal> {
    match caller {
        Caller::Person { proven_ms, .. }
            if clock::unix_ms().saturating_sub(*proven_ms) > clock::millis(limits::STEP_UP) =>
        {
            let words = "this needs a sign-in that is younger than five minutes; sign in anew in this browser, by a passkey or a one-time URL (chatcode login-url), then repeat it";
            Err(Refusal::new(Code::StepUpRequired, words))
        }
        _ => Ok(()),
    }
}
