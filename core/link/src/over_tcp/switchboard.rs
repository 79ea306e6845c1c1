//! The core's end: which link a connection begins or belongs to.

use std::{
    collections::HashMap,
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use chatcode_certs::Peer;
use chatcode_proto::{
    limits, negotiate,
    pb::{TcpBegin, TcpBegun, TcpJoin, TcpOpening, TcpSignal, tcp_opening, tcp_signal::Kind},
};
use rustls::pki_types::CertificateDer;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::task::TaskTracker;

use super::{
    End, Place, TcpWay, closing, ended,
    signals::{self, Inbox},
};
use crate::{Link, LinkEnd, LinkError, LinkPeer, tcp::TcpConnection};

/// The links over TCP that stand, by their numbers.
#[derive(Default)]
pub struct Switchboard {
    links: Mutex<HashMap<u64, Weak<TcpWay>>>,
    last: AtomicU64,
    tasks: TaskTracker,
}

/// What a connection is.
#[derive(Debug)]
pub enum Opened {
    /// A new link.
    Link(Link),
    /// A stream of a link that stands; let it in with [`Joining::join`].
    Stream(Box<Joining>),
}

/// A connection that is to become a stream of a link of the same gateway. Dropped,
/// it is closed.
pub struct Joining {
    connection: TlsStream<TcpStream>,
    peer: LinkPeer,
    place: Place,
    way: Arc<TcpWay>,
    stream: u64,
}

impl Switchboard {
    /// Reads what a connection is. `place` is kept until it ends. In a task of its
    /// own: a slow one holds nobody up. Whether the certificate is still allowed is
    /// for the caller to ask.
    ///
    /// # Errors
    /// When it does not say within [`limits::HELLO`], or names no link of its own.
    pub async fn open(
        self: &Arc<Self>,
        connection: TcpConnection,
        place: impl Send + 'static,
    ) -> Result<Opened, LinkError> {
        let (mut connection, peer) = connection.into_parts();
        let peer = LinkPeer { chain: peer.chain, address: peer.address };
        let place: Place = Box::new(place);
        let opening = timeout(limits::HELLO, signals::first::<TcpOpening>(&mut connection)).await;
        let opening = opening.map_err(|_| LinkError::Timeout)?.map_err(LinkError::Socket)?;
        match opening.kind {
            Some(tcp_opening::Kind::Begin(begin)) => {
                self.begin(connection, peer, place, &begin).await.map(Opened::Link)
            }
            Some(tcp_opening::Kind::Join(join)) => {
                let way = self.find(&join, &peer)?;
                Ok(Opened::Stream(Box::new(Joining { connection, peer, place, way, stream: join.stream })))
            }
            None => Err(LinkError::Refused(LinkEnd::broken("the connection does not say what it is"))),
        }
    }

    async fn begin(
        self: &Arc<Self>,
        mut connection: TlsStream<TcpStream>,
        peer: LinkPeer,
        place: Place,
        begin: &TcpBegin,
    ) -> Result<Link, LinkError> {
        let version = match negotiate::version("link over TCP", limits::TCP_LINK_VERSIONS, &begin.versions) {
            Ok(version) => version,
            Err(refusal) => {
                let end = LinkEnd { code: Some(refusal.code), by_peer: false, reason: refusal.message };
                let signal = TcpSignal { kind: Some(closing(&end)) };
                let _ = timeout(limits::GOODBYE, signals::write(&mut connection, &signal)).await;
                return Err(LinkError::Refused(end));
            }
        };
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let waiting = End::Core { waiting: Mutex::default(), asked: AtomicU64::new(0) };
        let (way, outgoing) = TcpWay::new(peer, number, waiting);
        self.lock().insert(number, Arc::downgrade(&way));
        let _ = way.signals.try_send(Kind::Begun(TcpBegun { version, link: number }));
        let (board, ending) = (Arc::clone(self), Arc::clone(&way.ending));
        self.tasks.spawn(async move {
            signals::keep(connection, Inbox::new(), outgoing, ending, Some(place), |_| {}).await;
            board.lock().remove(&number);
        });
        Ok(Link::over_tcp(way))
    }

    /// The link that a connection names, when it is the same gateway's.
    fn find(&self, join: &TcpJoin, peer: &LinkPeer) -> Result<Arc<TcpWay>, LinkError> {
        let way = self.lock().get(&join.link).and_then(Weak::upgrade);
        let name = |chain: &[CertificateDer<'static>]| Peer::from_chain(chain).ok().map(|peer| peer.name);
        way.filter(|way| way.close_reason().is_none())
            .filter(|way| name(way.chain()).is_some_and(|owner| name(&peer.chain) == Some(owner)))
            .ok_or_else(|| LinkError::Refused(LinkEnd::broken("the connection belongs to no link")))
    }

    /// Waits until every peer was told of the end of its link, or is given up.
    pub async fn wait_idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Weak<TcpWay>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Joining {
    /// The peer's certificates, leaf first, verified in the handshake.
    #[must_use]
    pub fn peer_chain(&self) -> Vec<CertificateDer<'static>> {
        self.peer.chain.to_vec()
    }

    /// Makes it the stream that it says.
    ///
    /// # Errors
    /// When nobody waits for it (any more), or the link has its streams already.
    pub fn join(self) -> io::Result<()> {
        let full = |_| io::Error::new(io::ErrorKind::QuotaExceeded, "the link has all its streams");
        let permit = Arc::clone(&self.way.streams).try_acquire_owned().map_err(full)?;
        let stream = self.way.stream(self.connection.into(), permit, Some(self.place));
        if self.stream == 0 {
            return self.way.arrived.try_send(stream).map_err(|_| ended());
        }
        let End::Core { waiting, .. } = &self.way.end else { return Err(ended()) };
        let wanted = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.stream);
        let nobody = || io::Error::new(io::ErrorKind::NotFound, "nobody waits for this stream");
        wanted.ok_or_else(nobody)?.send(stream).map_err(|_| nobody())
    }
}

impl fmt::Debug for Switchboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switchboard").field("links", &self.lock().len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Joining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joining")
            .field("way", &self.way)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
