//! The core's gRPC listener and channels to it: TCP, TLS, HTTP/2.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use chatcode_certs::tls::LINK_ALPN;
use chatcode_proto::limits;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, ServerConfig,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tonic::transport::{Channel, server::Connected};
use tower::service_fn;

use crate::{Target, target::prepare};

/// A channel with a connection of its own to the core's TCP listener, made at the
/// first call and made anew when it breaks. Use one for each streaming call and
/// share one for unary calls. The server must show a certificate for
/// `server_name` as `tls` demands. Must be called inside a tokio runtime.
#[must_use]
pub fn channel(to: impl Into<Target>, tls: Arc<ClientConfig>, server_name: &str) -> Channel {
    let target: Arc<(Target, String)> = Arc::new((to.into(), server_name.to_owned()));
    crate::http2::endpoint()
        .http2_keep_alive_interval(limits::HTTP2_KEEPALIVE)
        .keep_alive_timeout(limits::HTTP2_KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(service_fn(move |_| {
            let (target, tls) = (target.clone(), tls.clone());
            async move { connect(&target.0, &target.1, tls).await.map(TokioIo::new) }
        }))
}

/// A connection to the core's TCP listener, its certificate verified.
pub(crate) async fn connect(
    to: &Target,
    server_name: &str,
    tls: Arc<ClientConfig>,
) -> io::Result<client::TlsStream<TcpStream>> {
    let name = ServerName::try_from(server_name.to_owned())
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let tcp = to.connect().await?;
    TlsConnector::from(tls).connect(name, tcp).await
}

/// Who is at the other end of an accepted connection; in the extensions of
/// every request that came on it.
#[derive(Clone, Debug)]
pub struct TcpPeer {
    /// The client's certificates, leaf first, verified in the handshake; empty
    /// when it showed none.
    pub chain: Arc<[CertificateDer<'static>]>,
    /// Where the client is.
    pub address: SocketAddr,
}

/// An accepted connection, for `serve_with_incoming`.
pub struct TcpConnection {
    stream: server::TlsStream<TcpStream>,
    peer: TcpPeer,
}

/// Does the server's side of the handshake on an accepted TCP connection, and
/// sets what every connection of ours has. In a task of its own, so that a slow client holds nobody
/// up.
///
/// # Errors
/// When the client does not speak TLS as `tls` demands, shows a certificate that
/// is refused, or takes longer than [`limits::HANDSHAKE`].
pub async fn accept(tcp: TcpStream, tls: Arc<ServerConfig>) -> io::Result<TcpConnection> {
    let address = tcp.peer_addr()?;
    prepare(&tcp)?;
    let stream = timeout(limits::HANDSHAKE, TlsAcceptor::from(tls).accept(tcp)).await??;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().into();
    Ok(TcpConnection { stream, peer: TcpPeer { chain, address } })
}

impl TcpConnection {
    /// Who is at the other end.
    #[must_use]
    pub const fn peer(&self) -> &TcpPeer {
        &self.peer
    }

    /// Whether it belongs to a link, by the protocol that was agreed on (ALPN); else
    /// it is HTTP/2.
    #[must_use]
    pub fn is_of_link(&self) -> bool {
        self.stream.get_ref().1.alpn_protocol() == Some(LINK_ALPN)
    }

    pub(crate) fn into_parts(self) -> (server::TlsStream<TcpStream>, TcpPeer) {
        (self.stream, self.peer)
    }
}

impl fmt::Debug for TcpConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpConnection").field("address", &self.peer.address).finish_non_exhaustive()
    }
}

impl Connected for TcpConnection {
    type ConnectInfo = TcpPeer;

    fn connect_info(&self) -> TcpPeer {
        self.peer.clone()
    }
}

impl AsyncRead for TcpConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TcpConnection {
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
