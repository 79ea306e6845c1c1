//! The TCP listener: TLS in, calls out to the gate, and links over TCP to their
//! room. An error of `accept` never ends it, a slow handshake holds nobody up,
//! and whoever shows no certificate takes no member's place.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use chatcode_certs::{MemberName, Peer, tls};
use chatcode_link::{serve, tcp};
use chatcode_proto::{limits, pb::MemberKind};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::{Sleep, sleep},
};
use tokio_rustls::rustls::ServerConfig;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::{
    caller::{PeerInfo, Standing, life::Vouched},
    gate::Gate,
    room::{Place, Room},
    shared::Shared,
    store::{StoreError, members::Allowed},
};

/// Bytes with which every client of HTTP/2 begins (RFC 9113, 3.4).
const PREFACE_BYTES: usize = 24;

/// The listener, bound.
pub struct GrpcListener {
    tcp: TcpListener,
    door: Arc<Door>,
}

/// What every handshake needs.
struct Door {
    tls: Arc<ServerConfig>,
    shared: Arc<Shared>,
    /// For handshakes under way.
    handshakes: Room,
    /// For those who show no certificate.
    anonymous: Room,
    /// For members.
    members: Arc<Semaphore>,
    /// For links over TCP and their streams.
    links: Room,
    cut: CancellationToken,
}

/// A connection of a link over TCP, and its place; the handshake is done.
pub type OfLink = (tcp::TcpConnection, Place);

/// Where connections go when their handshake is done.
#[derive(Clone)]
struct Ready {
    calls: mpsc::Sender<io::Result<Connection>>,
    links: mpsc::Sender<OfLink>,
}

/// The room that a connection takes up until it ends.
enum Taken {
    Anonymous(#[expect(dead_code, reason = "held")] Place),
    Member(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit),
}

impl GrpcListener {
    /// Listens at `address`; a port of 0 is any.
    ///
    /// # Errors
    /// When the address cannot be had or the identity makes no TLS.
    pub async fn bind(address: SocketAddr, shared: Arc<Shared>) -> io::Result<Self> {
        let door = Door {
            tls: tls::core_listener(&shared.own).map_err(io::Error::other)?,
            handshakes: Room::new(limits::CORE_HANDSHAKES, limits::CORE_HANDSHAKES_PER_ADDRESS),
            anonymous: shared.doors.anonymous.clone(),
            members: Arc::clone(&shared.doors.members),
            links: shared.doors.links.clone(),
            cut: CancellationToken::new(),
            shared,
        };
        Ok(Self { tcp: TcpListener::bind(address).await?, door: Arc::new(door) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not know it any more.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves `gate`, and gives the connections of links to `links`, until `stop`;
    /// then takes no more connections, lets the calls end, and cuts what is left at
    /// `cut`.
    pub async fn serve(
        self,
        gate: Gate,
        links: mpsc::Sender<OfLink>,
        stop: CancellationToken,
        cut: CancellationToken,
    ) {
        let (calls, incoming) = mpsc::channel(limits::CORE_READY);
        let ready = Ready { calls, links };
        let ended = self.door.cut.clone();
        let accepting = self.accept(ready, stop.clone());
        let serving = serve::builder().serve_with_incoming_shutdown(
            gate,
            ReceiverStream::new(incoming),
            stop.cancelled_owned(),
        );
        let ((), served) = tokio::join!(accepting, async {
            tokio::select! {
                served = serving => served,
                // Every connection ends by the same token; nothing to wait for.
                () = cut.cancelled() => {
                    ended.cancel();
                    Ok(())
                }
            }
        });
        if let Err(error) = served {
            tracing::error!(error = &error as &dyn std::error::Error, "the gRPC listener ended");
        }
    }

    async fn accept(self, ready: Ready, stop: CancellationToken) {
        let mut handshakes = JoinSet::new();
        loop {
            let has_room = handshakes.len() < limits::CORE_HANDSHAKES;
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = handshakes.join_next() => {}
                accepted = self.tcp.accept(), if has_room => match accepted {
                    Ok((stream, address)) => {
                        let Some(place) = self.door.handshakes.take(address.ip()) else {
                            self.door.shared.meters.handshakes_failed.of(["grpc", "no_room"]).inc();
                            tracing::debug!(peer = %address, "too many handshakes of one address");
                            continue;
                        };
                        handshakes.spawn(enter(Arc::clone(&self.door), stream, place, ready.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        sleep(limits::ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        handshakes.shutdown().await;
    }
}

/// One connection from its handshake until it is served.
async fn enter(door: Arc<Door>, stream: TcpStream, handshake: Place, ready: Ready) {
    let entered = async {
        let stream = tcp::accept(stream, Arc::clone(&door.tls)).await?;
        // An error of a channel means that the core stops.
        if stream.is_of_link() {
            if stream.peer().chain.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "a link shows a certificate"));
            }
            let place = door.links.take(stream.peer().address.ip()).ok_or_else(full)?;
            drop(handshake);
            drop(ready.links.send((stream, place)).await);
        } else {
            let connection = door.welcome(stream).await?;
            drop(handshake);
            drop(ready.calls.send(Ok(connection)).await);
        }
        io::Result::Ok(())
    };
    if let Err(error) = entered.await {
        door.shared.meters.handshakes_failed.of(["grpc", reason(&error)]).inc();
        tracing::debug!(error = &error as &dyn std::error::Error, "not let in");
    }
}

/// Why a connection did not come about, in one word.
fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::TimedOut => "timeout",
        io::ErrorKind::QuotaExceeded => "no_room",
        io::ErrorKind::InvalidData => "tls",
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "broke_off"
        }
        _ => "other",
    }
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, "there is no room for one more")
}

impl std::fmt::Debug for GrpcListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcListener").field("tcp", &self.tcp).finish_non_exhaustive()
    }
}

impl Door {
    /// Asks the allow-list about the certificate. A member that is not on it is let
    /// in to be told so, and nothing else.
    async fn welcome(&self, stream: tcp::TcpConnection) -> io::Result<Connection> {
        let address = stream.peer().address;
        let mut lasting = Arc::default();
        let (who, certificate_ends_unix_s) = if stream.peer().chain.is_empty() {
            (Standing::Anonymous, 0)
        } else {
            let peer = Peer::from_chain(&stream.peer().chain).map_err(io::Error::other)?;
            lasting = self.shared.connections.one_of(peer.name.id());
            let who = standing(&self.shared, &peer).await.map_err(io::Error::other)?;
            (who, peer.not_after_unix_s)
        };
        let vouched = Arc::new(Vouched::default());
        let cut = self.cut.clone().cancelled_owned();
        let (taken, ended): (_, BoxFuture<'static, ()>) = if let Standing::Member(..) = who {
            let place = Arc::clone(&self.members).try_acquire_owned().map_err(|_| full())?;
            let ended = async move {
                tokio::select! {
                    () = cut => {}
                    () = lasting.over() => {}
                }
            };
            (Taken::Member(place), Box::pin(ended))
        } else {
            let place = self.anonymous.take(address.ip()).ok_or_else(full)?;
            let vouched = Arc::clone(&vouched);
            let ended = async move {
                let longest = async {
                    sleep(limits::CORE_ANONYMOUS_LIFE).await;
                    vouched.over().await;
                };
                tokio::select! {
                    () = cut => {}
                    () = longest => {}
                }
            };
            (Taken::Anonymous(place), Box::pin(ended))
        };
        let info = PeerInfo { address, who, certificate_ends_unix_s, vouched };
        Ok(Connection {
            stream,
            info,
            ended: FuturesUnordered::from_iter([ended]),
            beginning: Some(Beginning::now()),
            _taken: taken,
        })
    }
}

/// How a member stands whose certificate the handshake has verified.
///
/// # Errors
/// [`StoreError`]; then it must not be let in.
pub async fn standing(shared: &Shared, peer: &Peer) -> Result<Standing, StoreError> {
    if peer.trust_domain != *shared.authority.trust_domain() {
        return Ok(Standing::Unknown);
    }
    let member = shared.store.allowed(&peer.serial, peer.name.id(), &peer.spki_sha256).await?;
    Ok(match member {
        Allowed::Member(member) if same_kind(member.kind, &peer.name) => {
            Standing::Member(peer.name, member.name)
        }
        Allowed::Revoked => Standing::Revoked,
        Allowed::Member(_) | Allowed::Unknown => Standing::Unknown,
    })
}

const fn same_kind(kind: MemberKind, name: &MemberName) -> bool {
    matches!(
        (kind, name),
        (MemberKind::Gateway, MemberName::Gateway(_))
            | (MemberKind::Edge, MemberName::Edge(_))
            | (MemberKind::Admin, MemberName::Admin(_))
    )
}

/// One connection: who it is travels with every call on it, and it breaks when
/// its time, or the core's time to stop, is over.
struct Connection {
    stream: tcp::TcpConnection,
    info: PeerInfo,
    /// The end of its time; in a set, which polls it only when it was woken.
    ended: FuturesUnordered<BoxFuture<'static, ()>>,
    /// Until HTTP/2 has begun.
    beginning: Option<Beginning>,
    _taken: Taken,
}

/// The beginning of HTTP/2, which has to come in time: from there on its pings
/// find out who is there.
struct Beginning {
    /// Bytes of it that have not come.
    missing: usize,
    late: Pin<Box<Sleep>>,
}

impl Beginning {
    fn now() -> Self {
        Self { missing: PREFACE_BYTES, late: Box::pin(sleep(limits::HANDSHAKE)) }
    }
}

impl Connected for Connection {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.info.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() && self.ended.poll_next_unpin(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if let Some(beginning) = &mut self.beginning {
            beginning.missing = beginning.missing.saturating_sub(buf.filled().len() - before);
            if beginning.missing == 0 {
                self.beginning = None;
            } else if read.is_pending() && beginning.late.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
