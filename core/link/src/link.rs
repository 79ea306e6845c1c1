//! One link: a connection on which both ends call and serve.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use chatcode_proto::{limits, pb::Code};
use futures_util::{Stream, stream};
use hyper_util::rt::TokioIo;
use quinn::{Connection, ConnectionError, VarInt};
use rustls::pki_types::CertificateDer;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::{LinkEnd, LinkPeer, LinkStream, end, http2};

/// One connection to a peer whose certificate was verified. Cheap to clone.
/// The connection closes when the last clone, channel and stream is dropped.
#[derive(Clone)]
pub struct Link {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Connection,
    chain: Arc<[CertificateDer<'static>]>,
    /// The pooled stream of unary calls, made at first use.
    unary: OnceLock<Channel>,
    /// What this end closed the link with.
    closed: OnceLock<(Code, String)>,
}

impl Link {
    pub(crate) fn new(connection: Connection) -> Self {
        let chain = connection
            .peer_identity()
            .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
            .map_or_else(|| Arc::from([]), |chain| Arc::from(*chain));
        let inner = Inner { connection, chain, unary: OnceLock::new(), closed: OnceLock::new() };
        Self { inner: Arc::new(inner) }
    }

    /// A channel on a QUIC stream of its own, opened at its first call: for one
    /// streaming call. Its loss or flood holds up nobody else. To give a call up
    /// drop its answers *and* its requests: HTTP/2 keeps a call whose request is
    /// still open. Must be called inside a tokio runtime.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel_of(http2::endpoint())
    }

    fn channel_of(&self, endpoint: Endpoint) -> Channel {
        let (connection, chain) = (self.inner.connection.clone(), self.inner.chain.clone());
        endpoint.connect_with_connector_lazy(service_fn(move |_| {
            let (connection, chain) = (connection.clone(), chain.clone());
            async move {
                let streams = connection.open_bi().await?;
                let peer = LinkPeer { chain, address: connection.remote_address() };
                Ok::<_, io::Error>(TokioIo::new(LinkStream::new(streams, peer, connection)))
            }
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
        let (connection, chain) = (self.inner.connection.clone(), self.inner.chain.clone());
        stream::unfold((connection, chain), |(connection, chain)| async move {
            let streams = connection.accept_bi().await.ok()?;
            let peer = LinkPeer { chain: chain.clone(), address: connection.remote_address() };
            let stream = LinkStream::new(streams, peer, connection.clone());
            Some((Ok(stream), (connection, chain)))
        })
    }

    /// The peer's certificates, leaf first, verified in the handshake.
    #[must_use]
    pub fn peer_chain(&self) -> Vec<CertificateDer<'static>> {
        self.inner.chain.to_vec()
    }

    /// Where the peer is now.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.inner.connection.remote_address()
    }

    /// QUIC's present estimate of the round trip.
    #[must_use]
    pub fn rtt(&self) -> Duration {
        self.inner.connection.rtt()
    }

    /// Ends the link at once, with all its calls, and tells the peer why. The
    /// first cause stands. `reason` is cut to the limit of messages.
    pub fn close(&self, code: Code, reason: &str) {
        let reason = end::cut(reason);
        if self.inner.closed.set((code, reason.to_owned())).is_ok() {
            self.inner.connection.close(VarInt::from_u32(code.quic()), reason.as_bytes());
        }
    }

    /// Waits for the end of the link. Cancelling does nothing to it.
    pub async fn closed(&self) -> LinkEnd {
        let error = self.inner.connection.closed().await;
        self.end(&error)
    }

    /// How the link ended; `None` while it stands.
    #[must_use]
    pub fn close_reason(&self) -> Option<LinkEnd> {
        self.inner.connection.close_reason().map(|error| self.end(&error))
    }

    fn end(&self, error: &ConnectionError) -> LinkEnd {
        match (error, self.inner.closed.get()) {
            (ConnectionError::LocallyClosed, Some((code, reason))) => {
                LinkEnd { code: Some(*code), by_peer: false, reason: reason.clone() }
            }
            _ => LinkEnd::of(error),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &self.remote_address()).finish_non_exhaustive()
    }
}
