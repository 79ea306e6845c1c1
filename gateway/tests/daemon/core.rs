//! A core that does nothing by itself: the test says what it says.

use std::{
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chatcode_certs::{Authority, Identity, IdentityCell, MemberName, random, tls};
use chatcode_link::{Incoming, Link, LinkKeys, LinkListener, serve};
use chatcode_proto::{
    code::Refusal,
    id::MemberId,
    metadata,
    pb::{
        self, Code, CoreControl, GatewayControl, core_control::Kind as FromCore,
        gateway_control::Kind as FromGateway, link_server, sessions_client::SessionsClient,
        sessions_watch_response::Event,
    },
};
use prost::Message as _;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataValue, transport::Channel};

/// How long a test waits for what must come; only a hanging test sees its end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// Waits for what must come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} never came"))
}

/// Asks again and again for what nobody announces.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    soon(what, async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            if let Some(value) = probe().await {
                return value;
            }
        }
    })
    .await
}

pub(crate) struct TestCore {
    pub(crate) authority: Authority,
    pub(crate) address: SocketAddr,
    listener: LinkListener,
    _folder: TempDir,
}

impl TestCore {
    pub(crate) fn start() -> Self {
        tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(&folder.path().join("ca")).unwrap();
        let own = authority.identity(&MemberName::Core(member()), DAY).unwrap();
        let keys = LinkKeys::open_or_create(&folder.path().join("keys")).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = LinkListener::bind(
            any,
            tls::link_listener(&IdentityCell::new(own.clone()).unwrap()).unwrap(),
            &keys,
        )
        .unwrap();
        let address = listener.local_addr().unwrap();
        Self { authority, address, listener, _folder: folder }
    }

    /// A machine's identity, kept in `home`.
    pub(crate) fn enroll(&self, home: &Path) -> Identity {
        let identity = self.authority.identity(&MemberName::Gateway(member()), DAY).unwrap();
        identity.save(home).unwrap();
        identity
    }

    /// The next that knocks, whose handshake has not begun.
    pub(crate) async fn knock(&self) -> Incoming {
        soon("a link", self.listener.accept()).await.unwrap()
    }

    /// The next link, as far as its handshake.
    pub(crate) async fn accept(&self) -> Link {
        let accepted = async { self.listener.accept().await.unwrap().finish().await.unwrap() };
        soon("a link", accepted).await
    }

    /// The next link, as far as its Hello.
    pub(crate) async fn hello(&self) -> Greeted {
        Greeted::on(self.accept().await).await
    }

    /// The next link, live; its heart beats.
    pub(crate) async fn link(&self) -> LiveLink {
        self.hello().await.welcome(1).await
    }
}

fn member() -> MemberId {
    MemberId::from_random(random::bytes())
}

/// A gateway that has said Hello.
pub(crate) struct Greeted {
    pub(crate) link: Link,
    pub(crate) hello: pb::Hello,
    call: Call,
    told: mpsc::Receiver<pb::SessionsWatchResponse>,
    _serving: AbortOnDropHandle<()>,
}

/// The control call, in the hands of the test.
struct Call {
    inbox: Streaming<GatewayControl>,
    outbox: mpsc::Sender<Result<CoreControl, Status>>,
}

impl Greeted {
    pub(crate) async fn on(link: Link) -> Self {
        let (calls, mut called) = mpsc::channel(1);
        let (tell, told) = mpsc::channel(64);
        let control = Control { calls, tell, is_refused: AtomicBool::new(false) };
        let (control, incoming) = (link_server::LinkServer::new(control), link.incoming());
        let serving = async move {
            let _ = serve::link_builder().add_service(control).serve_with_incoming(incoming).await;
        };
        let serving = AbortOnDropHandle::new(tokio::spawn(serving));
        let mut call: Call = soon("the control call", called.recv()).await.unwrap();
        let first = soon("a Hello", call.inbox.message()).await.unwrap().unwrap();
        let Some(FromGateway::Hello(hello)) = first.kind else { panic!("no Hello: {first:?}") };
        Self { link, hello, call, told, _serving: serving }
    }

    pub(crate) async fn say(&self, kind: FromCore) {
        self.say_as_it_is(CoreControl { kind: Some(kind) }).await;
    }

    pub(crate) async fn say_as_it_is(&self, message: CoreControl) {
        self.call.outbox.send(Ok(message)).await.unwrap();
    }

    pub(crate) async fn end(&self, status: Status) {
        self.call.outbox.send(Err(status)).await.unwrap();
    }

    /// The Welcome that a core would say.
    pub(crate) fn a_welcome(&self, epoch: u64) -> pb::Welcome {
        let chain = self.link.peer_chain();
        let gateway = chatcode_certs::Peer::from_chain(&chain).unwrap().name.id().to_string();
        let server_unix_ms = now_ms();
        pb::Welcome { version: 1, epoch, server_unix_ms, gateway, name: "box".into(), ..Default::default() }
    }

    pub(crate) async fn welcome(self, epoch: u64) -> LiveLink {
        let welcome = self.a_welcome(epoch);
        self.welcome_with(welcome).await
    }

    pub(crate) async fn welcome_with(self, welcome: pb::Welcome) -> LiveLink {
        self.say(FromCore::Welcome(welcome)).await;
        let outbox = self.call.outbox.clone();
        let beating = async move {
            let mut beats = tokio::time::interval(Duration::from_millis(500));
            let mut number = 0;
            loop {
                beats.tick().await;
                number += 1;
                let beat = pb::Heartbeat { number, core_sent_us: number * 7, last_rtt_us: 0 };
                if outbox.send(Ok(CoreControl { kind: Some(FromCore::Heartbeat(beat)) })).await.is_err() {
                    return;
                }
            }
        };
        LiveLink { heart: Some(AbortOnDropHandle::new(tokio::spawn(beating))), greeted: self }
    }
}

struct Control {
    calls: mpsc::Sender<Call>,
    tell: mpsc::Sender<pb::SessionsWatchResponse>,
    is_refused: AtomicBool,
}

#[tonic::async_trait]
impl link_server::Link for Control {
    type ControlStream = ReceiverStream<Result<CoreControl, Status>>;

    async fn control(
        &self,
        request: Request<Streaming<GatewayControl>>,
    ) -> Result<Response<Self::ControlStream>, Status> {
        let (outbox, outgoing) = mpsc::channel(16);
        let call = Call { inbox: request.into_inner(), outbox };
        self.calls.send(call).await.map_err(|_| Status::aborted("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    /// Takes no sessions the first time, as a core whose store fails. What is told later
    /// is for the test, as far as it looks.
    async fn directory(
        &self,
        request: Request<Streaming<pb::SessionsWatchResponse>>,
    ) -> Result<Response<pb::LinkDirectoryResponse>, Status> {
        let mut events = request.into_inner();
        if !self.is_refused.swap(true, Ordering::Relaxed) {
            events.message().await?;
            return Err(Refusal::new(Code::Internal, "the store failed").into());
        }
        while let Some(event) = events.message().await? {
            let _ = self.tell.try_send(event);
        }
        Ok(Response::new(pb::LinkDirectoryResponse {}))
    }
}

/// A live link; calls go over it to the machine.
pub(crate) struct LiveLink {
    greeted: Greeted,
    heart: Option<AbortOnDropHandle<()>>,
}

impl LiveLink {
    pub(crate) fn link(&self) -> &Link {
        &self.greeted.link
    }

    pub(crate) fn hello(&self) -> &pb::Hello {
        &self.greeted.hello
    }

    pub(crate) async fn say(&self, kind: FromCore) {
        self.greeted.say(kind).await;
    }

    /// Says it, unless the call is over.
    pub(crate) async fn is_said(&self, kind: FromCore) -> bool {
        self.greeted.call.outbox.send(Ok(CoreControl { kind: Some(kind) })).await.is_ok()
    }

    pub(crate) async fn say_as_it_is(&self, message: CoreControl) {
        self.greeted.say_as_it_is(message).await;
    }

    pub(crate) async fn end(&self, status: Status) {
        self.greeted.end(status).await;
    }

    /// Says nothing any more.
    pub(crate) fn stop_heart(&mut self) {
        self.heart = None;
    }

    /// What the gateway says next on the control call; `None` at its end.
    pub(crate) async fn heard(&mut self) -> Option<FromGateway> {
        let next = soon("a word of the gateway", self.greeted.call.inbox.message()).await;
        next.ok().flatten().and_then(|message| message.kind)
    }

    /// What the gateway tells next of its sessions.
    pub(crate) async fn told(&mut self) -> Event {
        soon("a session", self.greeted.told.recv()).await.unwrap().event.unwrap()
    }

    pub(crate) fn sessions(&self) -> SessionsClient<Channel> {
        SessionsClient::new(self.link().unary())
    }

    /// Makes a session of `sh` without a prompt, so that only what a test asks
    /// for is printed.
    pub(crate) async fn create_sh(&self, script: &str) -> pb::Session {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        self.create(pb::SessionsCreateRequest { command, ..Default::default() }).await.unwrap()
    }

    /// The same with a restart policy; started again it says "resumed", and then
    /// what is typed.
    pub(crate) async fn create_restarting(&self, restart: pb::RestartPolicy, script: &str) -> pb::Session {
        let sh = |script: &str| ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let (command, resume_command) = (sh(script), sh("echo resumed; exec cat"));
        let restart = restart.into();
        let request = pb::SessionsCreateRequest { command, restart, resume_command, ..Default::default() };
        self.create(request).await.unwrap()
    }

    /// Waits until the session runs that was started again so often.
    pub(crate) async fn restarted(&self, id: &str, times: u32) -> pb::Session {
        eventually("a restart", async || {
            let session = self.get(id).await.ok()?;
            let is_back = session.state() == pb::SessionState::Running && session.restarts == times;
            is_back.then_some(session)
        })
        .await
    }

    pub(crate) async fn create(&self, request: pb::SessionsCreateRequest) -> Result<pb::Session, Status> {
        let response = self.sessions().create(on_gateway(request)).await?;
        Ok(response.into_inner().session.unwrap())
    }

    pub(crate) async fn list(&self) -> Vec<pb::Session> {
        let request = on_gateway(pb::SessionsListRequest {});
        self.sessions().list(request).await.unwrap().into_inner().sessions
    }

    pub(crate) async fn get(&self, id: &str) -> Result<pb::Session, Status> {
        let response = self.sessions().get(on_session(pb::SessionsGetRequest {}, id)).await?;
        Ok(response.into_inner().session.unwrap())
    }

    pub(crate) async fn end_session(&self, id: &str, force: bool) -> Result<Option<pb::Session>, Status> {
        let request = on_session(pb::SessionsEndRequest { force }, id);
        Ok(self.sessions().end(request).await?.into_inner().session)
    }

    /// Waits until the session is in this state.
    pub(crate) async fn state(&self, id: &str, state: pb::SessionState) -> pb::Session {
        eventually(&format!("{state:?}"), async || {
            self.get(id).await.ok().filter(|session| session.state() == state)
        })
        .await
    }
}

pub(crate) fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A grant as the core gives it; `session` is empty for the whole gateway.
pub(crate) fn grant(session: &str, role: pb::Role) -> pb::Grant {
    pb::Grant {
        request_id: "00112233445566778899aabbccddeeff".into(),
        principal: "person/1".into(),
        display_name: "Ada".into(),
        role: role.into(),
        session: session.into(),
        expires_unix_ms: now_ms() + 60_000,
    }
}

pub(crate) fn with_grant<T>(mut request: Request<T>, grant: &pb::Grant) -> Request<T> {
    let value = MetadataValue::from_bytes(&grant.encode_to_vec());
    request.metadata_mut().insert_bin(metadata::GRANT, value);
    request
}

pub(crate) fn on_gateway<T>(body: T) -> Request<T> {
    with_grant(Request::new(body), &grant("", pb::Role::Writer))
}

pub(crate) fn on_session<T>(body: T, session: &str) -> Request<T> {
    as_role(body, session, pb::Role::Writer)
}

pub(crate) fn as_role<T>(body: T, session: &str, role: pb::Role) -> Request<T> {
    let mut request = with_grant(Request::new(body), &grant(session, role));
    request.metadata_mut().insert(metadata::SESSION, session.parse().unwrap());
    request
}

/// The code that a status carries in its trailer.
pub(crate) fn code(status: &Status) -> Code {
    let name = status.metadata().get(metadata::CODE).unwrap_or_else(|| panic!("no code: {status:?}"));
    Code::from_name(name.to_str().unwrap()).unwrap()
}
