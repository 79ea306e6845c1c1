//! A core that knows one person, one link with its guest, and echoes terminals.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use axum::{extract::Request, routing::post};
use bytes::Bytes;
use chatcode_certs::{Identity, IdentityCell, tls};
use chatcode_link::codec::OpaqueCodec;
use chatcode_proto::{
    code::Refusal,
    limits,
    metadata::ATTACH,
    pb::{
        self, Code, accounts_begin_sign_in_request::Method, accounts_begin_sign_in_response::Options,
        accounts_server, accounts_sign_in_request::Proof, fleet_server, shares_server,
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Response, Status, Streaming, service::Routes};

pub(crate) type Answer<T> = Result<Response<T>, Status>;
type Opaque = std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// The id of the link that the stub knows.
pub(crate) const SHARE: &str = "0a1b2c3d-0000-4000-8000-000000000000";

/// What the stub has seen and knows.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The sign-in secret that works.
    pub(crate) secret: String,
    /// The session token that it gives.
    pub(crate) token: String,
    /// The challenge that it gives.
    pub(crate) challenge: String,
    /// The secret of the link that counts.
    pub(crate) link: String,
    /// The guest token that it gives.
    pub(crate) guest: String,
    /// Headers of every call but those that the edge makes by itself: path, then
    /// "name: value".
    calls: Mutex<Vec<(String, Vec<String>)>>,
    /// Messages of floods that were taken by the transport.
    pub(crate) flooded: AtomicUsize,
    /// Attachments that are there.
    pub(crate) attached: watch::Sender<usize>,
    sign_ins: AtomicU64,
    /// The last sign-in that worked, without its secret.
    pub(crate) signed_in: Mutex<pb::AccountsSignInRequest>,
    /// Where the browsers were that signed in or tried to.
    addresses: Mutex<Vec<String>>,
    /// The last guest who came in, without the secret of the link.
    pub(crate) entered: Mutex<pb::SharesEnterRequest>,
}

impl Seen {
    /// The headers of the calls of this method.
    pub(crate) fn calls(&self, path: &str) -> Vec<Vec<String>> {
        let calls = self.calls.lock().expect("no test panicked");
        calls.iter().filter(|(known, _)| known == path).map(|(_, headers)| headers.clone()).collect()
    }

    /// Where the browsers were that signed in or tried to, as the edge told it.
    pub(crate) fn sign_in_addresses(&self) -> Vec<String> {
        self.addresses.lock().expect("no test panicked").clone()
    }

    /// How many calls of any method have arrived, its own aside.
    pub(crate) fn count(&self) -> usize {
        self.calls.lock().expect("no test panicked").len()
    }

    fn note(&self, request: &Request) {
        // Health checks, and the edge's questions what to trust.
        if ["/grpc.health", "/chatcode.v1.Enrollment/"]
            .iter()
            .any(|own| request.uri().path().starts_with(own))
        {
            return;
        }
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
        };
        let headers = request.headers().iter().map(header).collect();
        self.calls.lock().expect("no test panicked").push((request.uri().path().to_owned(), headers));
    }

    fn authorized<T>(&self, request: &tonic::Request<T>) -> Result<(), Status> {
        if self.is_by(request, "Bearer", &self.token) {
            return Ok(());
        }
        Err(Refusal::new(Code::Unauthenticated, "who are you").into())
    }

    /// The name of the person, or of the guest, who calls.
    fn name<T>(&self, request: &tonic::Request<T>) -> Result<&'static str, Status> {
        if self.is_by(request, "Guest", &self.guest) {
            return Ok("Bo (guest)");
        }
        self.authorized(request).map(|()| "Ada")
    }

    fn is_by<T>(&self, request: &tonic::Request<T>, scheme: &str, token: &str) -> bool {
        let given = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        given == Some(format!("{scheme} {token}").as_str())
    }
}

/// A stub core that runs until it is dropped.
pub(crate) struct Core {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    _serving: AbortOnDropHandle<()>,
}

impl Core {
    /// Starts one at this address (port 0: any).
    pub(crate) async fn start(identity: &Identity, address: &str) -> Self {
        let seen = Arc::new(Seen {
            secret: "s3cret".repeat(8)[..43].to_owned(),
            token: "t0ken_".repeat(8)[..43].to_owned(),
            challenge: "chall_".repeat(8)[..43].to_owned(),
            link: "l1nk__".repeat(8)[..43].to_owned(),
            guest: "gu3st_".repeat(8)[..43].to_owned(),
            calls: Mutex::default(),
            flooded: AtomicUsize::new(0),
            attached: watch::Sender::new(0),
            sign_ins: AtomicU64::new(0),
            signed_in: Mutex::default(),
            addresses: Mutex::default(),
            entered: Mutex::default(),
        });
        let (_, health) = tonic_health::server::health_reporter();
        let router = Routes::new(health)
            .add_service(accounts_server::AccountsServer::from_arc(seen.clone()))
            .add_service(fleet_server::FleetServer::from_arc(seen.clone()))
            .add_service(shares_server::SharesServer::from_arc(seen.clone()))
            .into_axum_router();
        let (noted, echoing) = (seen.clone(), seen.clone());
        let router = router
            .route(ATTACH, post(move |request: Request| attach(echoing.clone(), request)))
            .layer(axum::middleware::from_fn(move |request: Request, next: axum::middleware::Next| {
                noted.note(&request);
                next.run(request)
            }));
        let acceptor = TlsAcceptor::from(
            tls::core_listener(&IdentityCell::new(identity.clone()).expect("a cell")).expect("a config"),
        );
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("is bound");
        let serving = tokio::spawn(serve(listener, acceptor, router));
        Self { address, seen, _serving: AbortOnDropHandle::new(serving) }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, router: axum::Router) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, router) = (acceptor.clone(), router.clone());
        connections.spawn(async move {
            let _ = stream.set_nodelay(true);
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = TowerToHyperService::new(router);
            let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            http.initial_stream_window_size(limits::HTTP2_STREAM_WINDOW);
            http.initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW);
            let service =
                hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    hyper::service::Service::call(&service, request.map(axum::body::Body::new))
                });
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn attach(seen: Arc<Seen>, request: Request) -> http::Response<tonic::body::Body> {
    let service = tower::service_fn(move |request: tonic::Request<Streaming<Bytes>>| {
        let answer = echo(seen.clone(), request.into_inner());
        async move { Ok::<_, Status>(Response::new(answer)) }
    });
    tonic::server::Grpc::new(OpaqueCodec).streaming(service, request).await
}

/// Counts an attachment for as long as it lives.
struct Attached(Arc<Seen>);

impl Attached {
    fn new(seen: Arc<Seen>) -> Self {
        seen.attached.send_modify(|count| *count += 1);
        Self(seen)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.0.attached.send_modify(|count| *count -= 1);
    }
}

/// Sends back what comes. "flood" sends without end, "end NAME" ends the call
/// with that code, "done" ends it well.
fn echo(seen: Arc<Seen>, messages: Streaming<Bytes>) -> Opaque {
    let state = (Attached::new(seen), messages, false);
    stream::unfold(state, |(attached, mut messages, flooding)| async move {
        if flooding {
            attached.0.flooded.fetch_add(1, Ordering::Relaxed);
            return Some((Ok(Bytes::from_static(&[b'x'; limits::OUTPUT_BYTES])), (attached, messages, true)));
        }
        let message = match messages.message().await {
            Ok(Some(message)) => message,
            _ => return None,
        };
        let answer = match std::str::from_utf8(&message) {
            Ok("flood") => return Some((Ok(message), (attached, messages, true))),
            Ok("done") => return None,
            Ok(text) if text.starts_with("end ") => {
                Err(Refusal::new(Code::from_name(&text[4..]).expect("a code"), "as was asked").into())
            }
            _ => Ok(message),
        };
        Some((answer, (attached, messages, false)))
    })
    .boxed()
}

#[tonic::async_trait]
impl accounts_server::Accounts for Seen {
    async fn sign_in(
        &self,
        request: tonic::Request<pb::AccountsSignInRequest>,
    ) -> Answer<pb::AccountsSignInResponse> {
        let request = request.into_inner();
        self.addresses.lock().expect("no test panicked").push(request.address.clone());
        let is_known = match &request.proof {
            Some(Proof::Secret(secret)) => *secret == self.secret,
            Some(Proof::Passkey(proof)) => proof.challenge == self.challenge,
            Some(Proof::Password(proof)) => proof.password == self.secret,
            Some(Proof::Provider(proof)) => proof.challenge == self.challenge,
            Some(Proof::Mail(_)) | None => false,
        };
        if !is_known {
            return Err(Refusal::new(Code::BadToken, "this sign-in link is used or old").into());
        }
        self.sign_ins.fetch_add(1, Ordering::Relaxed);
        let noted = match request.proof {
            Some(Proof::Secret(_)) => pb::AccountsSignInRequest { proof: None, ..request },
            _ => request,
        };
        *self.signed_in.lock().expect("no test panicked") = noted;
        Ok(Response::new(pb::AccountsSignInResponse {
            session_token: self.token.clone(),
            expires_unix_ms: u64::MAX,
            display_name: "Ada".to_owned(),
            instead_of: String::new(),
        }))
    }

    async fn sign_in_methods(
        &self,
        _: tonic::Request<pb::AccountsSignInMethodsRequest>,
    ) -> Answer<pb::AccountsSignInMethodsResponse> {
        let work = pb::IdentityProvider { id: "work".to_owned(), name: "Work".to_owned() };
        Ok(Response::new(pb::AccountsSignInMethodsResponse {
            passkeys: true,
            passwords: false,
            mail: true,
            providers: vec![work],
        }))
    }

    async fn begin_sign_in(
        &self,
        request: tonic::Request<pb::AccountsBeginSignInRequest>,
    ) -> Answer<pb::AccountsBeginSignInResponse> {
        let options = Some(match &request.get_ref().method {
            Some(Method::Mail(_)) => Options::Mail(true),
            Some(Method::Provider(id)) => Options::Provider(format!("https://id.example.org/{id}")),
            _ => Options::Passkey("{\"challenge\":\"AQID\"}".to_owned()),
        });
        Ok(Response::new(pb::AccountsBeginSignInResponse {
            challenge: self.challenge.clone(),
            expires_unix_ms: u64::MAX,
            options,
        }))
    }

    async fn sign_out(
        &self,
        request: tonic::Request<pb::AccountsSignOutRequest>,
    ) -> Answer<pb::AccountsSignOutResponse> {
        self.name(&request)?;
        Ok(Response::new(pb::AccountsSignOutResponse {}))
    }

    async fn who_am_i(
        &self,
        request: tonic::Request<pb::AccountsWhoAmIRequest>,
    ) -> Answer<pb::AccountsWhoAmIResponse> {
        let display_name = self.name(&request)?.to_owned();
        Ok(Response::new(pb::AccountsWhoAmIResponse { display_name, ..Default::default() }))
    }

    async fn list_sessions(
        &self,
        request: tonic::Request<pb::AccountsListSessionsRequest>,
    ) -> Answer<pb::AccountsListSessionsResponse> {
        self.authorized(&request)?;
        Ok(Response::new(pb::AccountsListSessionsResponse::default()))
    }

    async fn end_sessions(
        &self,
        request: tonic::Request<pb::AccountsEndSessionsRequest>,
    ) -> Answer<pb::AccountsEndSessionsResponse> {
        self.authorized(&request)?;
        Ok(Response::new(pb::AccountsEndSessionsResponse::default()))
    }

    async fn create_ticket(
        &self,
        request: tonic::Request<pb::AccountsCreateTicketRequest>,
    ) -> Answer<pb::AccountsCreateTicketResponse> {
        self.authorized(&request)?;
        Err(Refusal::new(Code::UnknownGateway, "no such gateway").into())
    }

    async fn create_sign_in(
        &self,
        _: tonic::Request<pb::AccountsCreateSignInRequest>,
    ) -> Answer<pb::AccountsCreateSignInResponse> {
        Err(Refusal::new(Code::Forbidden, "not for pages").into())
    }
}

#[tonic::async_trait]
impl fleet_server::Fleet for Seen {
    type WatchStream = std::pin::Pin<Box<dyn Stream<Item = Result<pb::FleetWatchResponse, Status>> + Send>>;

    async fn list(&self, request: tonic::Request<pb::FleetListRequest>) -> Answer<pb::FleetListResponse> {
        self.authorized(&request)?;
        Ok(Response::new(pb::FleetListResponse::default()))
    }

    async fn watch(&self, _: tonic::Request<pb::FleetWatchRequest>) -> Answer<Self::WatchStream> {
        let synced = pb::FleetWatchResponse { event: Some(pb::fleet_watch_response::Event::Synced(true)) };
        Ok(Response::new(stream::iter([Ok(synced)]).chain(stream::pending()).boxed()))
    }

    async fn create_token(
        &self,
        _: tonic::Request<pb::FleetCreateTokenRequest>,
    ) -> Answer<pb::FleetCreateTokenResponse> {
        Err(Refusal::new(Code::Forbidden, "not in this test").into())
    }

    async fn list_tokens(
        &self,
        _: tonic::Request<pb::FleetListTokensRequest>,
    ) -> Answer<pb::FleetListTokensResponse> {
        Err(Refusal::new(Code::Forbidden, "not in this test").into())
    }

    async fn revoke_token(
        &self,
        _: tonic::Request<pb::FleetRevokeTokenRequest>,
    ) -> Answer<pb::FleetRevokeTokenResponse> {
        Err(Refusal::new(Code::Forbidden, "not in this test").into())
    }

    async fn list_pending(
        &self,
        _: tonic::Request<pb::FleetListPendingRequest>,
    ) -> Answer<pb::FleetListPendingResponse> {
        Err(Refusal::new(Code::Forbidden, "not in this test").into())
    }

    async fn decide_pending(
        &self,
        _: tonic::Request<pb::FleetDecidePendingRequest>,
    ) -> Answer<pb::FleetDecidePendingResponse> {
        Err(Refusal::new(Code::Forbidden, "not in this test").into())
    }

    async fn acknowledge_duplicate(
        &self,
        _: tonic::Request<pb::FleetAcknowledgeDuplicateRequest>,
    ) -> Answer<pb::FleetAcknowledgeDuplicateResponse> {
        Err(Refusal::new(Code::Forbidden, "not in this test").into())
    }

    async fn revoke(&self, _: tonic::Request<pb::FleetRevokeRequest>) -> Answer<pb::FleetRevokeResponse> {
        Err(Refusal::new(Code::Forbidden, "not in this test").into())
    }
}

/// What the link leads to.
fn guest_of() -> pb::GuestOf {
    pb::GuestOf {
        share: SHARE.to_owned(),
        gateway: "01010101-0101-4101-8101-010101010101".to_owned(),
        session: "02020202-0202-4202-8202-020202020202".to_owned(),
        session_name: "build".to_owned(),
        role: pb::Role::Writer.into(),
        expires_unix_ms: u64::MAX,
        shared_by: "Ada".to_owned(),
    }
}

impl Seen {
    fn counts(&self, secret: &str) -> Result<(), Status> {
        if secret == self.link {
            return Ok(());
        }
        Err(Refusal::new(Code::BadToken, "this link does not count").into())
    }
}

#[tonic::async_trait]
impl shares_server::Shares for Seen {
    async fn look(&self, request: tonic::Request<pb::SharesLookRequest>) -> Answer<pb::SharesLookResponse> {
        self.counts(&request.get_ref().secret)?;
        let answer =
            pb::SharesLookResponse { guest_of: Some(guest_of()), passphrase: true, accounts_only: false };
        Ok(Response::new(answer))
    }

    async fn enter(
        &self,
        request: tonic::Request<pb::SharesEnterRequest>,
    ) -> Answer<pb::SharesEnterResponse> {
        let request = request.into_inner();
        self.counts(&request.secret)?;
        *self.entered.lock().expect("no test panicked") =
            pb::SharesEnterRequest { secret: String::new(), ..request };
        Ok(Response::new(pb::SharesEnterResponse {
            guest_token: self.guest.clone(),
            guest_of: Some(guest_of()),
            display_name: "Bo (guest)".to_owned(),
        }))
    }

    async fn create(&self, _: tonic::Request<pb::SharesCreateRequest>) -> Answer<pb::SharesCreateResponse> {
        Err(Refusal::new(Code::Forbidden, "not in this test").into())
    }

    async fn list(&self, _: tonic::Request<pb::SharesListRequest>) -> Answer<pb::SharesListResponse> {
        Err(Refusal::new(Code::Forbidden, "not in this test").into())
    }

    async fn revoke(&self, _: tonic::Request<pb::SharesRevokeRequest>) -> Answer<pb::SharesRevokeResponse> {
        Err(Refusal::new(Code::Forbidden, "not in this test").into())
    }
}
