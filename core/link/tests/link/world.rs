//! An installation with a core that listens, and a service that echoes.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use chatcode_certs::{Authority, Identity, IdentityCell, MemberName, Peer, random, tls};
use chatcode_link::{
    Link, LinkDialer, LinkError, LinkKeys, LinkListener, LinkPeer, Opened, Switchboard, Target, serve, tcp,
};
use chatcode_proto::{
    id::MemberId,
    limits,
    pb::{
        ClientFrame, EnrollmentEnrollRequest, EnrollmentEnrollResponse, EnrollmentLeaveRequest,
        EnrollmentLeaveResponse, EnrollmentRenewRequest, EnrollmentRenewResponse, EnrollmentReviveRequest,
        EnrollmentReviveResponse, EnrollmentTrustRequest, EnrollmentTrustResponse, Output, Ping, Pong,
        ServerFrame, TakeLease, client_frame, enrollment_client::EnrollmentClient, enrollment_server,
        server_frame, terminal_client::TerminalClient, terminal_server,
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use rustls::ClientConfig;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};
use tonic::{Request, Response, Status, Streaming, transport::Channel};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const LINK: &[&[u8]] = &[tls::LINK_ALPN];
/// Nothing in these tests takes as long, unless it hangs.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn id() -> MemberId {
    MemberId::from_random(random::bytes())
}

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) ca: Authority,
    pub(crate) core: Identity,
}

impl World {
    pub(crate) fn new() -> Self {
        tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::open_or_create(&folder.path().join("ca")).unwrap();
        let core = ca.identity(&MemberName::Core(id()), HOUR).unwrap();
        Self { folder, ca, core }
    }

    pub(crate) fn gateway(&self) -> Identity {
        self.ca.identity(&MemberName::Gateway(id()), HOUR).unwrap()
    }

    pub(crate) fn dns(&self) -> String {
        self.ca.trust_domain().core_dns()
    }

    pub(crate) fn keys(&self) -> LinkKeys {
        LinkKeys::open_or_create(&self.folder.path().join("link.keys")).unwrap()
    }

    /// A core that listens; port 0 for any.
    pub(crate) fn listen(&self, port: u16) -> LinkListener {
        let tls = tls::link_listener(&IdentityCell::new(self.core.clone()).unwrap()).unwrap();
        LinkListener::bind(local(port), tls, &self.keys()).unwrap()
    }

    pub(crate) async fn dial(&self, dialer: &LinkDialer, to: SocketAddr, who: &Identity) -> Link {
        dialer.dial(to, &self.dns(), tls::core_client(who, LINK).unwrap()).await.unwrap()
    }

    /// Dials a listener and finishes the handshake at both ends.
    pub(crate) async fn meet(
        &self,
        listener: &LinkListener,
        dialer: &LinkDialer,
        tls: Arc<ClientConfig>,
    ) -> (Result<Link, LinkError>, Result<Link, LinkError>) {
        let (to, name) = (listener.local_addr().unwrap(), self.dns());
        tokio::join!(async { listener.accept().await.unwrap().finish().await }, dialer.dial(to, &name, tls))
    }

    /// A link over QUIC with the echo served at both ends.
    pub(crate) async fn link(&self) -> Linked {
        self.link_over(Over::Quic).await
    }

    /// The same over what is named.
    pub(crate) async fn link_over(&self, over: Over) -> Linked {
        let listener = self.listen(0);
        let dialer = LinkDialer::bind().unwrap();
        let who = self.gateway();
        let tls = tls::core_client(&who, LINK).unwrap();
        let (core, gateway) = match over {
            Over::Quic => self.meet(&listener, &dialer, tls).await,
            Over::Tcp => {
                let mut core = self.listen_tcp().await;
                let dialled = core.dial(self, &dialer, &who).await;
                (Ok(core.links.recv().await.unwrap()), dialled)
            }
        };
        let (core, gateway) = (core.unwrap(), gateway.unwrap());
        assert!([&core, &gateway].iter().all(|link| link.is_over_tcp() == (over == Over::Tcp)));
        let mut servers = JoinSet::new();
        let (at_core, at_gateway) = (Echo::new("core"), Echo::new("gateway"));
        servers.spawn(serve(core.clone(), at_core.clone()));
        servers.spawn(serve(gateway.clone(), at_gateway.clone()));
        Linked { listener, dialer, core, gateway, who, at_gateway, servers }
    }
}

/// What a link runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Quic,
    Tcp,
}

/// A core's TCP listener: links that begin come out, streams join theirs.
pub(crate) struct TcpCore {
    pub(crate) address: SocketAddr,
    pub(crate) board: Arc<Switchboard>,
    pub(crate) links: mpsc::Receiver<Link>,
    /// What became of each connection that did not begin a link.
    pub(crate) others: mpsc::Receiver<Result<(), String>>,
}

impl TcpCore {
    pub(crate) async fn dial(
        &self,
        world: &World,
        dialer: &LinkDialer,
        who: &Identity,
    ) -> Result<Link, LinkError> {
        let tls = tls::core_client(who, LINK).unwrap();
        dialer.dial_tcp(Target::from(&self.address.to_string()), &world.dns(), tls).await
    }
}

impl World {
    pub(crate) async fn listen_tcp(&self) -> TcpCore {
        let tls = tls::core_listener(&IdentityCell::new(self.core.clone()).unwrap()).unwrap();
        let listener = TcpListener::bind(local(0)).await.unwrap();
        let (address, board) = (listener.local_addr().unwrap(), Arc::<Switchboard>::default());
        let ((begun, links), (gone, others)) = (mpsc::channel(8), mpsc::channel(1024));
        let switchboard = Arc::clone(&board);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (tls, board) = (Arc::clone(&tls), Arc::clone(&switchboard));
                let (begun, gone) = (begun.clone(), gone.clone());
                tokio::spawn(async move {
                    let opened = async {
                        let connection = tcp::accept(tcp, tls).await.map_err(|e| e.to_string())?;
                        if !connection.is_of_link() {
                            return Err("another protocol".to_owned());
                        }
                        board.open(connection, ()).await.map_err(|e| e.to_string())
                    };
                    let became = match opened.await {
                        Ok(Opened::Link(link)) => return drop(begun.send(link).await),
                        Ok(Opened::Stream(joining)) => joining.join().map_err(|e| e.to_string()),
                        Err(error) => Err(error),
                    };
                    // Nobody may look.
                    let _ = gone.try_send(became);
                });
            }
        });
        TcpCore { address, board, links, others }
    }
}

pub(crate) fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

pub(crate) struct Linked {
    pub(crate) listener: LinkListener,
    pub(crate) dialer: LinkDialer,
    pub(crate) core: Link,
    pub(crate) gateway: Link,
    pub(crate) who: Identity,
    pub(crate) at_gateway: Echo,
    pub(crate) servers: JoinSet<()>,
}

/// Serves the echo on what the peer opens, until the link ends.
pub(crate) async fn serve(link: Link, echo: Echo) {
    serve::link_builder()
        .add_service(terminal_server::TerminalServer::new(echo.clone()))
        .add_service(enrollment_server::EnrollmentServer::new(echo))
        .serve_with_incoming(link.incoming())
        .await
        .unwrap();
}

/// Answers pings with pongs; floods when asked for the lease; names itself and
/// its caller when asked to enroll.
#[derive(Clone)]
pub(crate) struct Echo {
    name: &'static str,
    /// How many floods have ended.
    pub(crate) floods_ended: watch::Sender<u32>,
}

impl Echo {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, floods_ended: watch::Sender::new(0) }
    }
}

type Frames = Pin<Box<dyn Stream<Item = Result<ServerFrame, Status>> + Send>>;

#[tonic::async_trait]
impl terminal_server::Terminal for Echo {
    type AttachStream = Frames;

    async fn attach(&self, request: Request<Streaming<ClientFrame>>) -> Result<Response<Frames>, Status> {
        let mut frames = request.into_inner();
        let Some(ClientFrame { kind: Some(first) }) = frames.message().await? else {
            return Err(Status::invalid_argument("no first frame"));
        };
        if matches!(first, client_frame::Kind::TakeLease(_)) {
            let counted = Counted(self.floods_ended.clone());
            return Ok(Response::new(Box::pin(stream::repeat_with(move || {
                let _ = &counted;
                let data = vec![b'x'; limits::OUTPUT_BYTES].into();
                Ok(frame(server_frame::Kind::Output(Output { offset: 0, data })))
            }))));
        }
        let rest = frames.filter_map(|frame| async { frame.ok()?.kind });
        let all = stream::once(async { first }).chain(rest).map(|kind| match kind {
            client_frame::Kind::Ping(Ping { stamp }) => Ok(frame(server_frame::Kind::Pong(Pong { stamp }))),
            _ => Err(Status::invalid_argument("not a ping")),
        });
        Ok(Response::new(Box::pin(all)))
    }
}

fn frame(kind: server_frame::Kind) -> ServerFrame {
    ServerFrame { kind: Some(kind) }
}

struct Counted(watch::Sender<u32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|ended| *ended += 1);
    }
}

#[tonic::async_trait]
impl enrollment_server::Enrollment for Echo {
    async fn enroll(
        &self,
        request: Request<EnrollmentEnrollRequest>,
    ) -> Result<Response<EnrollmentEnrollResponse>, Status> {
        let peer = request.extensions().get::<LinkPeer>().ok_or_else(|| Status::internal("no peer"))?;
        let caller = Peer::from_chain(&peer.chain).map_err(|e| Status::internal(e.to_string()))?;
        let answer = EnrollmentEnrollResponse {
            name: self.name.to_owned(),
            member: caller.name.to_string(),
            ..Default::default()
        };
        Ok(Response::new(answer))
    }

    async fn leave(
        &self,
        _: Request<EnrollmentLeaveRequest>,
    ) -> Result<Response<EnrollmentLeaveResponse>, Status> {
        Err(Status::unimplemented("nobody leaves here"))
    }

    async fn revive(
        &self,
        _: Request<EnrollmentReviveRequest>,
    ) -> Result<Response<EnrollmentReviveResponse>, Status> {
        Err(Status::unimplemented("only enroll echoes"))
    }

    async fn renew(
        &self,
        _: Request<EnrollmentRenewRequest>,
    ) -> Result<Response<EnrollmentRenewResponse>, Status> {
        Err(Status::unimplemented("only enroll echoes"))
    }

    async fn trust(
        &self,
        _: Request<EnrollmentTrustRequest>,
    ) -> Result<Response<EnrollmentTrustResponse>, Status> {
        Err(Status::unimplemented("only enroll echoes"))
    }
}

/// Who serves at the other end, and whom it sees.
pub(crate) async fn who(channel: Channel) -> Result<(String, String), Status> {
    let mut client = EnrollmentClient::new(channel);
    let answer = client.enroll(EnrollmentEnrollRequest::default()).await?.into_inner();
    Ok((answer.name, answer.member))
}

/// An open call that is answered ping by ping.
pub(crate) struct Pings {
    ask: mpsc::Sender<ClientFrame>,
    answers: Streaming<ServerFrame>,
}

impl Pings {
    pub(crate) async fn open(channel: Channel) -> Result<Self, Status> {
        let (ask, asked) = mpsc::channel(16);
        ask.try_send(ping(0)).unwrap();
        let asked = tokio_stream::wrappers::ReceiverStream::new(asked);
        let answers = TerminalClient::new(channel).attach(asked).await?.into_inner();
        let mut pings = Self { ask, answers };
        pings.take(0).await?;
        Ok(pings)
    }

    /// Sends a ping and waits for its pong.
    pub(crate) async fn ping(&mut self, stamp: u64) -> Result<(), Status> {
        self.ask.send(ping(stamp)).await.map_err(|_| Status::cancelled("the call has ended"))?;
        self.take(stamp).await
    }

    async fn take(&mut self, stamp: u64) -> Result<(), Status> {
        let answer = self.answers.message().await?.and_then(|frame| frame.kind);
        assert_eq!(answer, Some(server_frame::Kind::Pong(Pong { stamp })), "in order and once");
        Ok(())
    }
}

fn ping(stamp: u64) -> ClientFrame {
    ClientFrame { kind: Some(client_frame::Kind::Ping(Ping { stamp })) }
}

/// An open call whose answer never ends.
pub(crate) struct Flood {
    pub(crate) answers: Streaming<ServerFrame>,
    /// An open request keeps the call alive, so it goes with the answers.
    _ask: mpsc::Sender<ClientFrame>,
}

pub(crate) async fn flood(channel: Channel) -> Flood {
    let (ask, asked) = mpsc::channel(1);
    ask.try_send(ClientFrame { kind: Some(client_frame::Kind::TakeLease(TakeLease {})) }).unwrap();
    let asked = tokio_stream::wrappers::ReceiverStream::new(asked);
    let answers = TerminalClient::new(channel).attach(asked).await.unwrap().into_inner();
    Flood { answers, _ask: ask }
}
