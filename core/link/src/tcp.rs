//! Channels to the core's gRPC listener: TCP, TLS, HTTP/2.

use std::{io, sync::Arc};

use chatcode_proto::limits;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::Channel;
use tower::service_fn;

/// A channel with a connection of its own to `addr` (`host:port`), made at the
/// first call and made anew when it breaks. Use one for each streaming call and
/// share one for unary calls. The server must show a certificate for
/// `server_name` as `tls` demands. Must be called inside a tokio runtime.
#[must_use]
pub fn channel(addr: &str, tls: Arc<ClientConfig>, server_name: &str) -> Channel {
    let target: Arc<(String, String)> = Arc::new((addr.to_owned(), server_name.to_owned()));
    let connector = TlsConnector::from(tls);
    crate::http2::endpoint()
        .http2_keep_alive_interval(limits::HTTP2_KEEPALIVE)
        .keep_alive_timeout(limits::HTTP2_KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(service_fn(move |_| {
            let (target, connector) = (target.clone(), connector.clone());
            async move { connect(&target.0, &target.1, &connector).await.map(TokioIo::new) }
        }))
}

async fn connect(
    addr: &str,
    server_name: &str,
    connector: &TlsConnector,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(server_name.to_owned())
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let tcp = TcpStream::connect(addr).await?;
    // Or a key waits for the answer to the one before it.
    tcp.set_nodelay(true)?;
    connector.connect(name, tcp).await
}
