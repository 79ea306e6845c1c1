//! The two ends of a link being made: the core listens, a gateway dials.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use chatcode_proto::{limits, pb::Code};
use quinn::{Endpoint, EndpointConfig, VarInt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::{Link, LinkEnd, LinkError, LinkKeys, Target, config, end, over_tcp, runtime::LinkRuntime};

/// A UDP socket with the buffers that links need.
fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // One socket for both families, where the system allows it.
        let _ = socket.set_only_v6(false);
    }
    // The system gives what it allows; less costs speed on fast, long ways.
    if let Err(e) = socket
        .set_recv_buffer_size(limits::UDP_BUFFER_BYTES)
        .and_then(|()| socket.set_send_buffer_size(limits::UDP_BUFFER_BYTES))
    {
        tracing::debug!(error = %e, "the system gives no larger UDP buffers");
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Any port, both families; IPv4 alone where there is no IPv6.
fn dialing_socket() -> io::Result<UdpSocket> {
    socket((Ipv6Addr::UNSPECIFIED, 0).into()).or_else(|_| socket((Ipv4Addr::UNSPECIFIED, 0).into()))
}

/// The core's end: takes links. Dropped, no new one comes; those that stand go
/// on.
#[derive(Debug)]
pub struct LinkListener {
    endpoint: Endpoint,
    under_way: Arc<AtomicUsize>,
}

impl LinkListener {
    /// Listens on this UDP address (port 0: any) inside a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be had or the TLS config does not fit QUIC.
    pub fn bind(
        address: SocketAddr,
        tls: Arc<rustls::ServerConfig>,
        keys: &LinkKeys,
    ) -> Result<Self, LinkError> {
        let endpoint = Endpoint::new(
            config::endpoint(keys),
            Some(config::server(tls, keys)?),
            socket(address)?,
            Arc::new(LinkRuntime::default()),
        )?;
        Ok(Self { endpoint, under_way: Arc::default() })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// When the system does not know it any more.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// The next client that knocks; `None` after [`Self::close`]. Finish it in a
    /// task of its own, so that a slow one holds nobody up. Cancelling loses
    /// nobody.
    pub async fn accept(&self) -> Option<Incoming> {
        loop {
            let incoming = self.endpoint.accept().await?;
            let many = self.under_way.load(Ordering::Relaxed) >= limits::LINK_UNPROVEN;
            if many && !incoming.remote_address_validated() && incoming.may_retry() {
                // Cannot fail after may_retry().
                let _ = incoming.retry();
                // Also when thousands knock, others have their part of the thread.
                tokio::task::coop::consume_budget().await;
                continue;
            }
            return Some(Incoming { incoming, _under_way: UnderWay::new(&self.under_way) });
        }
    }

    /// Takes no more and closes all links with [`Code::Draining`]. To end one
    /// link, close it.
    pub fn close(&self) {
        self.endpoint.close(VarInt::from_u32(Code::Draining.quic()), b"the core stops");
    }

    /// Waits until every peer was told or is given up. Bound it in time.
    pub async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
    }
}

/// Counts the handshakes under way.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A client that knocks, not verified yet. Dropped, it is refused.
pub struct Incoming {
    incoming: quinn::Incoming,
    _under_way: UnderWay,
}

impl Incoming {
    /// Where it knocks from; may be forged.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Leaves it without an answer before any work is done for it: it knocks again, or has
    /// given up already.
    pub fn ignore(self) {
        self.incoming.ignore();
    }

    /// Does the handshake. The client's certificate was verified when it
    /// returns; whether it is still allowed is for the caller to ask.
    ///
    /// # Errors
    /// When the handshake fails or takes longer than [`limits::HANDSHAKE`].
    pub async fn finish(self) -> Result<Link, LinkError> {
        let refused = |e| LinkError::Refused(LinkEnd::of(&e));
        let connecting = self.incoming.accept().map_err(refused)?;
        let connection =
            timeout(limits::HANDSHAKE, connecting).await.map_err(|_| LinkError::Timeout)?.map_err(refused)?;
        Ok(Link::over_quic(connection))
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("address", &self.remote_address()).finish_non_exhaustive()
    }
}

/// A gateway's end: dials the core. Dropped, links that stand go on.
#[derive(Debug)]
pub struct LinkDialer {
    endpoint: Endpoint,
    heard: Arc<AtomicU64>,
    /// What keeps links over TCP.
    tasks: TaskTracker,
}

impl LinkDialer {
    /// Takes any free UDP port, inside a tokio runtime.
    ///
    /// # Errors
    /// When there is none.
    pub fn bind() -> Result<Self, LinkError> {
        let runtime = LinkRuntime::default();
        let heard = runtime.heard();
        let endpoint = Endpoint::new(EndpointConfig::default(), None, dialing_socket()?, Arc::new(runtime))?;
        Ok(Self { endpoint, heard, tasks: TaskTracker::new() })
    }

    /// Packets that came in over UDP so far, for whichever link and from whomever. When there are
    /// more than when a dial began, UDP gets through, and the core only takes its time: also
    /// when it has much to do it answers each who knocks, if only to prove the address.
    #[must_use]
    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Makes a link to the core at this address, which must show a certificate
    /// for `server_name` (`core.<trust domain>`) as `tls` demands.
    ///
    /// The core judges our certificate only after our side of the handshake is
    /// done: a link that it refuses ends a moment later. It stands when the core
    /// has answered on it.
    ///
    /// # Errors
    /// When the core cannot be reached or does not show the right certificate.
    pub async fn dial(
        &self,
        address: SocketAddr,
        server_name: &str,
        tls: Arc<rustls::ClientConfig>,
    ) -> Result<Link, LinkError> {
        let connecting = self
            .endpoint
            .connect_with(config::client(tls)?, address, server_name)
            .map_err(|e| LinkError::Dial(e.to_string()))?;
        let connection = timeout(limits::HANDSHAKE, connecting)
            .await
            .map_err(|_| LinkError::Timeout)?
            .map_err(|e| LinkError::Refused(LinkEnd::of(&e)))?;
        Ok(Link::over_quic(connection))
    }

    /// Makes a link over TCP to the core's gRPC listener at `target`, as
    /// [`Self::dial`] does over QUIC. What of `tls` changes counts for each of its
    /// streams anew.
    ///
    /// # Errors
    /// As [`Self::dial`].
    pub async fn dial_tcp(
        &self,
        target: Target,
        server_name: &str,
        tls: Arc<rustls::ClientConfig>,
    ) -> Result<Link, LinkError> {
        over_tcp::dialer::dial(target, server_name, tls, &self.tasks).await
    }

    /// Moves all links over QUIC to a new UDP port, for when the network has changed. They
    /// go on where they were; nothing is lost.
    ///
    /// # Errors
    /// When there is no free port; the old one is kept then.
    pub fn rebind(&self) -> io::Result<()> {
        self.endpoint.rebind(dialing_socket()?)
    }

    /// The address that it dials from; another after [`Self::rebind`].
    ///
    /// # Errors
    /// When the system does not know it any more.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Closes all links over QUIC with this cause.
    pub fn close(&self, code: Code, reason: &str) {
        self.endpoint.close(VarInt::from_u32(code.quic()), end::cut(reason).as_bytes());
    }

    /// Waits until every peer was told or is given up. Bound it in time.
    pub async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}
