//! A gateway small enough to see through: it links, answers heartbeats if it
//! is told to, and notes what reaches it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use chatcode_certs::{Identity, tls};
use chatcode_link::{Link, LinkDialer, LinkEnd, serve};
use chatcode_proto::{
    id::SessionId,
    pb::{
        self, ClientFrame, CoreControl, GatewayControl, Grant, HeartbeatEcho, Hello, HostFacts, ServerFrame,
        Session, Welcome, core_control, gateway_control,
        link_client::LinkClient,
        sessions_server::{self, SessionsServer},
        terminal_server::{self, TerminalServer},
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use prost::Message as _;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming, metadata::MetadataMap, service::Routes, transport::Channel,
};

use crate::common::TestCore;

type Frames<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(crate) struct FakeGateway {
    pub(crate) id: String,
    pub(crate) link: Link,
    pub(crate) welcome: Welcome,
    pub(crate) seen: Arc<Seen>,
    pub(crate) outbound: mpsc::Sender<GatewayControl>,
    /// What the core says after Welcome, heartbeats left out.
    pub(crate) news: mpsc::Receiver<core_control::Kind>,
    _dialer: LinkDialer,
    _tasks: JoinSet<()>,
}

/// What reached the gateway.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) metadata: Mutex<Vec<HashMap<String, String>>>,
    pub(crate) grants: Mutex<Vec<Grant>>,
    pub(crate) sessions: Mutex<Vec<Session>>,
    pub(crate) is_silent: AtomicBool,
    /// Pings that came over all attachments.
    pub(crate) pings: AtomicUsize,
    /// Attachments whose viewers may still send.
    pub(crate) attached: AtomicUsize,
}

impl Seen {
    /// All sessions as they are now, and that these are all.
    pub(crate) fn told(&self) -> impl Stream<Item = pb::SessionsWatchResponse> + Send + use<> {
        use pb::sessions_watch_response::Event;
        let all = self.sessions.lock().unwrap().clone();
        let events = all.into_iter().map(Event::Changed).chain([Event::Synced(true)]);
        stream::iter(events.map(|event| pb::SessionsWatchResponse { event: Some(event) }))
    }
}

/// One attachment whose viewer may still send.
struct Sending(Arc<Seen>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.attached.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The link of this identity, without a word said on it.
pub(crate) async fn dial(core: &TestCore, identity: &Identity) -> (LinkDialer, Link) {
    dial_at(core.bound.link, identity).await
}

pub(crate) async fn dial_at(core: SocketAddr, identity: &Identity) -> (LinkDialer, Link) {
    let dialer = LinkDialer::bind().unwrap();
    let tls = tls::core_client(identity, &[tls::LINK_ALPN]).unwrap();
    let link = dialer.dial(core, &identity.trust_domain().core_dns(), tls).await.unwrap();
    (dialer, link)
}

pub(crate) fn hello() -> Hello {
    Hello {
        versions: vec![1],
        boot_id: "boot".to_owned(),
        program_version: "1\u{1b}[2J".to_owned(),
        host: Some(HostFacts { hostname: "host\u{1b}]0;x\u{7}".to_owned(), ..Default::default() }),
        instance: vec![7; 16].into(),
        ..Default::default()
    }
}

pub(crate) type Control = (mpsc::Sender<GatewayControl>, Streaming<CoreControl>);

/// Says Hello and gives back the stream after it.
pub(crate) async fn greet(link: &Link, hello: Hello) -> Result<Control, Status> {
    greet_by(&mut LinkClient::new(link.channel()), hello).await
}

/// The same by this client, whose connection takes further calls.
pub(crate) async fn greet_by(client: &mut LinkClient<Channel>, hello: Hello) -> Result<Control, Status> {
    let (outbound, outgoing) = mpsc::channel(16);
    outbound.send(GatewayControl { kind: Some(gateway_control::Kind::Hello(hello)) }).await.unwrap();
    let inbound = client.control(ReceiverStream::new(outgoing)).await?.into_inner();
    Ok((outbound, inbound))
}

pub(crate) async fn welcomed(inbound: &mut Streaming<CoreControl>) -> Welcome {
    match inbound.message().await.unwrap().unwrap().kind.unwrap() {
        core_control::Kind::Welcome(welcome) => welcome,
        other => panic!("not Welcome: {other:?}"),
    }
}

impl FakeGateway {
    pub(crate) async fn link(core: &TestCore, identity: &Identity) -> Self {
        Self::link_as(core, identity, hello(), Arc::default()).await
    }

    pub(crate) async fn link_as(core: &TestCore, identity: &Identity, hello: Hello, seen: Arc<Seen>) -> Self {
        let (dialer, link) = dial(core, identity).await;
        let mut tasks = JoinSet::new();
        let service = Service(seen.clone());
        let routes =
            Routes::new(SessionsServer::new(service.clone())).add_service(TerminalServer::new(service));
        let incoming = link.incoming();
        tasks.spawn(async move {
            let _ = serve::link_builder().serve_with_incoming(routes, incoming).await;
        });
        let mut client = LinkClient::new(link.channel());
        let (outbound, mut inbound) = greet_by(&mut client, hello).await.unwrap();
        let welcome = welcomed(&mut inbound).await;
        let told = seen.told();
        tasks.spawn(async move { drop(client.directory(told.chain(stream::pending())).await) });
        let (tell, news) = mpsc::channel(16);
        tasks.spawn(listen(inbound, outbound.clone(), seen.clone(), tell));
        let id = identity.name().id().to_string();
        Self { id, link, welcome, seen, outbound, news, _dialer: dialer, _tasks: tasks }
    }

    pub(crate) async fn ended(&self) -> LinkEnd {
        self.link.closed().await
    }
}

async fn listen(
    mut inbound: Streaming<CoreControl>,
    outbound: mpsc::Sender<GatewayControl>,
    seen: Arc<Seen>,
    tell: mpsc::Sender<core_control::Kind>,
) {
    while let Ok(Some(message)) = inbound.message().await {
        match message.kind {
            Some(core_control::Kind::Heartbeat(beat)) => {
                let echo = HeartbeatEcho {
                    number: beat.number,
                    core_sent_us: beat.core_sent_us,
                    gateway_received_us: 5,
                    gateway_sent_us: 5,
                    holder_rtt_us: 40,
                };
                if !seen.is_silent.load(Ordering::Relaxed) {
                    let kind = Some(gateway_control::Kind::HeartbeatEcho(echo));
                    let _ = outbound.send(GatewayControl { kind }).await;
                }
            }
            Some(kind) => drop(tell.try_send(kind)),
            None => {}
        }
    }
}

/// A session of a fake gateway.
pub(crate) fn session(number: u8, name: &str) -> Session {
    let id = SessionId::from_random([number; 16]).to_string();
    Session { id, name: name.to_owned(), state: pb::SessionState::Running.into(), ..Default::default() }
}

#[derive(Clone)]
struct Service(Arc<Seen>);

impl Service {
    fn note(&self, metadata: &MetadataMap) {
        let mut map = HashMap::new();
        for pair in metadata.iter() {
            let (name, value) = match pair {
                tonic::metadata::KeyAndValueRef::Ascii(name, value) => {
                    (name.to_string(), value.to_str().unwrap_or_default().to_owned())
                }
                tonic::metadata::KeyAndValueRef::Binary(name, value) => {
                    let bytes = value.to_bytes().unwrap();
                    if name.as_str() == chatcode_proto::metadata::GRANT {
                        self.0.grants.lock().unwrap().push(Grant::decode(&bytes[..]).unwrap());
                    }
                    (name.to_string(), String::new())
                }
            };
            assert!(map.insert(name.clone(), value).is_none(), "{name} is there once");
        }
        self.0.metadata.lock().unwrap().push(map);
    }
}

#[tonic::async_trait]
impl sessions_server::Sessions for Service {
    type WatchStream = Frames<pb::SessionsWatchResponse>;

    async fn create(
        &self,
        request: Request<pb::SessionsCreateRequest>,
    ) -> Result<Response<pb::SessionsCreateResponse>, Status> {
        self.note(request.metadata());
        // Never answers: what a stuck machine does.
        std::future::pending().await
    }

    async fn list(
        &self,
        request: Request<pb::SessionsListRequest>,
    ) -> Result<Response<pb::SessionsListResponse>, Status> {
        self.note(request.metadata());
        let sessions = self.0.sessions.lock().unwrap().clone();
        Ok(Response::new(pb::SessionsListResponse { sessions }))
    }

    async fn list_tmux(
        &self,
        request: Request<pb::SessionsListTmuxRequest>,
    ) -> Result<Response<pb::SessionsListTmuxResponse>, Status> {
        self.note(request.metadata());
        Ok(Response::new(pb::SessionsListTmuxResponse::default()))
    }

    async fn get(
        &self,
        request: Request<pb::SessionsGetRequest>,
    ) -> Result<Response<pb::SessionsGetResponse>, Status> {
        self.note(request.metadata());
        Err(chatcode_proto::code::Refusal::new(pb::Code::UnknownSession, "not here").into())
    }

    async fn rename(
        &self,
        request: Request<pb::SessionsRenameRequest>,
    ) -> Result<Response<pb::SessionsRenameResponse>, Status> {
        self.note(request.metadata());
        Ok(Response::new(pb::SessionsRenameResponse { session: None }))
    }

    async fn end(
        &self,
        request: Request<pb::SessionsEndRequest>,
    ) -> Result<Response<pb::SessionsEndResponse>, Status> {
        self.note(request.metadata());
        Ok(Response::new(pb::SessionsEndResponse { session: None }))
    }

    async fn watch(
        &self,
        request: Request<pb::SessionsWatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.note(request.metadata());
        Ok(Response::new(Box::pin(self.0.told().map(Ok).chain(stream::pending()))))
    }
}

#[tonic::async_trait]
impl terminal_server::Terminal for Service {
    type AttachStream = Frames<ServerFrame>;

    /// Answers every ping with its pong, and ends when the viewer does.
    async fn attach(
        &self,
        request: Request<Streaming<ClientFrame>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        self.note(request.metadata());
        let seen = Arc::clone(&self.0);
        seen.attached.fetch_add(1, Ordering::SeqCst);
        let sending = Sending(Arc::clone(&seen));
        let frames = request.into_inner().take_while(|frame| std::future::ready(frame.is_ok()));
        let frames = frames.filter_map(move |frame| {
            let _ = &sending;
            let seen = Arc::clone(&seen);
            async move {
                match frame.ok()?.kind? {
                    pb::client_frame::Kind::Ping(ping) => {
                        seen.pings.fetch_add(1, Ordering::SeqCst);
                        let pong = pb::Pong { stamp: ping.stamp };
                        Some(Ok(ServerFrame { kind: Some(pb::server_frame::Kind::Pong(pong)) }))
                    }
                    _ => None,
                }
            }
        });
        Ok(Response::new(Box::pin(frames)))
    }
}
