//! One link: a connection on which both ends call and serve.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use chatcode_proto::{limits, pb::Code};
use futures_util::{Stream, stream};
use hyper_util::rt::TokioIo;
use quinn::{Connection, ConnectionError, ConnectionStats, VarInt};
use rustls::pki_types::CertificateDer;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::{LinkEnd, LinkPeer, LinkStream, end, http2, over_tcp::TcpWay};

/// One connection to a peer whose certificate was verified. Cheap to clone.
/// The connection closes when the last clone, channel and stream is dropped.
#[derive(Clone)]
pub struct Link {
    inner: Arc<Inner>,
}

struct Inner {
    way: Way,
    /// The pooled stream of unary calls, made at first use.
    unary: OnceLock<Channel>,
}

/// What the link runs over.
#[derive(Clone)]
enum Way {
    Quic {
        connection: Connection,
        chain: Arc<[CertificateDer<'static>]>,
        closed: Arc<OnceLock<(Code, String)>>,
    },
    Tcp(Arc<TcpWay>),
}

/// Counts of a link over QUIC (RFC 9000, 13.2): a peer that is there answers what is asked
/// within a round trip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Frames that went out and want an acknowledgement: data, keep-alives, probes.
    pub asked: u64,
    /// Acknowledgements that came.
    pub answered: u64,
    /// How long one has taken of late.
    pub round_trip: Duration,
}

impl Pulse {
    /// A probe for loss that has nothing else to say is an IMMEDIATE_ACK. Probes of a larger packet
    /// size, which are a PING with one, are not counted: the way may be open and too narrow for them.
    const fn of(stats: &ConnectionStats) -> Self {
        let (sent, probes) = (&stats.frame_tx, stats.path.sent_plpmtud_probes);
        let probed = sent.ping.saturating_sub(probes) + sent.immediate_ack.saturating_sub(probes);
        let asked = sent.stream + sent.datagram + probed;
        Self { asked, answered: stats.frame_rx.acks, round_trip: stats.path.rtt }
    }
}

impl Link {
    pub(crate) fn over_quic(connection: Connection) -> Self {
        let chain = connection
            .peer_identity()
            .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
            .map_or_else(|| Arc::from([]), |chain| Arc::from(*chain));
        Self::new(Way::Quic { connection, chain, closed: Arc::default() })
    }

    pub(crate) fn over_tcp(way: Arc<TcpWay>) -> Self {
        Self::new(Way::Tcp(way))
    }

    fn new(way: Way) -> Self {
        Self { inner: Arc::new(Inner { way, unary: OnceLock::new() }) }
    }

    /// Whether it runs over TCP, because UDP does not get through.
    #[must_use]
    pub fn is_over_tcp(&self) -> bool {
        matches!(self.inner.way, Way::Tcp(_))
    }

    /// What was asked of the other end and what it answered, so far; nothing over TCP, whose
    /// kernel keeps that to itself.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        match &self.inner.way {
            Way::Quic { connection, .. } => Pulse::of(&connection.stats()),
            Way::Tcp(_) => Pulse::default(),
        }
    }

    /// Asks the other end for an acknowledgement at once, by an empty datagram that nobody
    /// reads; over TCP it does nothing. QUIC's own probes come ever more seldom in a silence.
    pub fn ask(&self) {
        if let Way::Quic { connection, .. } = &self.inner.way {
            // A link that has ended answers nothing.
            let _ = connection.send_datagram(Bytes::new());
        }
    }

    #[cfg(test)]
    pub(crate) fn connection(&self) -> &Connection {
        match &self.inner.way {
            Way::Quic { connection, .. } => connection,
            Way::Tcp(way) => panic!("{way:?} is over TCP"),
        }
    }

    /// A channel on a stream of its own, opened at its first call: for one
    /// streaming call, or a few that belong together. Its loss or flood holds up nobody else. To give a call up
    /// drop its answers *and* its requests: HTTP/2 keeps a call whose request is
    /// still open. Must be called inside a tokio runtime.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel_of(http2::endpoint())
    }

    fn channel_of(&self, endpoint: Endpoint) -> Channel {
        let way = self.inner.way.clone();
        endpoint.connect_with_connector_lazy(service_fn(move |_| {
            let way = way.clone();
            async move { way.open().await.map(TokioIo::new) }
        }))
    }

    /// The channel that all unary calls share; who does not read an answer holds
    /// up no other. When its stream breaks, the next
    /// call opens another one on the same connection. Must be called inside a
    /// tokio runtime.
    #[must_use]
    pub fn unary(&self) -> Channel {
        let endpoint = || http2::endpoint().initial_connection_window_size(limits::LINK_UNARY_WINDOW);
        self.inner.unary.get_or_init(|| self.channel_of(endpoint())).clone()
    }

    /// The streams that the peer opens, for `serve_with_incoming`; ends when the
    /// connection ends. Of several, each stream goes to one.
    pub fn incoming(&self) -> impl Stream<Item = io::Result<LinkStream>> + Send + use<> {
        let way = self.inner.way.clone();
        stream::unfold(way, |way| async move { way.accept().await.map(|stream| (Ok(stream), way)) })
    }

    /// The peer's certificates, leaf first, verified in the handshake.
    #[must_use]
    pub fn peer_chain(&self) -> Vec<CertificateDer<'static>> {
        match &self.inner.way {
            Way::Quic { chain, .. } => chain.to_vec(),
            Way::Tcp(way) => way.chain().to_vec(),
        }
    }

    /// Where the peer is now.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        match &self.inner.way {
            Way::Quic { connection, .. } => connection.remote_address(),
            Way::Tcp(way) => way.address(),
        }
    }

    /// Ends the link at once, with all its calls, and tells the peer why. The
    /// first cause stands. `reason` is cut to the limit of messages.
    pub fn close(&self, code: Code, reason: &str) {
        let reason = end::cut(reason);
        match &self.inner.way {
            Way::Quic { connection, closed, .. } => {
                if closed.set((code, reason.to_owned())).is_ok() {
                    connection.close(VarInt::from_u32(code.quic()), reason.as_bytes());
                }
            }
            Way::Tcp(way) => way.close(code, reason),
        }
    }

    /// Waits for the end of the link. Cancelling does nothing to it.
    pub async fn closed(&self) -> LinkEnd {
        match &self.inner.way {
            Way::Quic { connection, closed, .. } => quic_end(&connection.closed().await, closed),
            Way::Tcp(way) => way.closed().await,
        }
    }

    /// How the link ended; `None` while it stands.
    #[must_use]
    pub fn close_reason(&self) -> Option<LinkEnd> {
        match &self.inner.way {
            Way::Quic { connection, closed, .. } => {
                connection.close_reason().map(|error| quic_end(&error, closed))
            }
            Way::Tcp(way) => way.close_reason(),
        }
    }
}

impl Way {
    async fn open(&self) -> io::Result<LinkStream> {
        match self {
            Self::Quic { connection, chain, .. } => {
                let streams = connection.open_bi().await?;
                let peer = LinkPeer { chain: Arc::clone(chain), address: connection.remote_address() };
                Ok(LinkStream::over_quic(streams, peer, connection.clone()))
            }
            Self::Tcp(way) => way.open().await,
        }
    }

    async fn accept(&self) -> Option<LinkStream> {
        match self {
            Self::Quic { connection, chain, .. } => {
                let streams = connection.accept_bi().await.ok()?;
                let peer = LinkPeer { chain: Arc::clone(chain), address: connection.remote_address() };
                Some(LinkStream::over_quic(streams, peer, connection.clone()))
            }
            Self::Tcp(way) => way.accept().await,
        }
    }
}

/// How a link over QUIC ended; `closed` is what this end closed it with.
fn quic_end(error: &ConnectionError, closed: &OnceLock<(Code, String)>) -> LinkEnd {
    match (error, closed.get()) {
        (ConnectionError::LocallyClosed, Some((code, reason))) => {
            LinkEnd { code: Some(*code), by_peer: false, reason: reason.clone() }
        }
        _ => LinkEnd::of(error),
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &self.remote_address()).finish_non_exhaustive()
    }
}
