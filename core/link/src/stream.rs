//! One stream of a link as something that HTTP/2 can run on.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use chatcode_proto::pb::Code;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use crate::{nudge::Nudge, over_tcp::TcpLinkStream};

/// Who is at the other end of a stream; in the extensions of every request
/// that came on it.
#[derive(Clone, Debug)]
pub struct LinkPeer {
    /// The peer's certificates, leaf first, verified in the handshake.
    pub chain: Arc<[CertificateDer<'static>]>,
    /// Where the peer was when the stream came; it may move.
    pub address: SocketAddr,
}

/// One bidirectional stream of a link. Dropped without being shut down, it is
/// reset: the peer sees an error, not an end.
pub struct LinkStream {
    way: Way,
    peer: LinkPeer,
}

/// What it runs over.
enum Way {
    Quic(QuicStream),
    Tcp(Box<TcpLinkStream>),
}

struct QuicStream {
    send: SendStream,
    receive: RecvStream,
    nudge: Nudge,
    is_finished: bool,
}

impl LinkStream {
    /// A stream of this connection.
    pub(crate) fn over_quic(
        (send, receive): (SendStream, RecvStream),
        peer: LinkPeer,
        connection: Connection,
    ) -> Self {
        let nudge = Nudge::new(connection);
        Self { way: Way::Quic(QuicStream { send, receive, nudge, is_finished: false }), peer }
    }

    pub(crate) fn over_tcp(stream: TcpLinkStream, peer: LinkPeer) -> Self {
        Self { way: Way::Tcp(Box::new(stream)), peer }
    }
}

impl fmt::Debug for LinkStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkStream").field("address", &self.peer.address).finish_non_exhaustive()
    }
}

impl Connected for LinkStream {
    type ConnectInfo = LinkPeer;

    fn connect_info(&self) -> LinkPeer {
        self.peer.clone()
    }
}

impl AsyncRead for LinkStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.way {
            Way::Quic(quic) => {
                quic.nudge.poll(cx);
                AsyncRead::poll_read(Pin::new(&mut quic.receive), cx, buf)
            }
            Way::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for LinkStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.way {
            Way::Quic(quic) => {
                let written = AsyncWrite::poll_write(Pin::new(&mut quic.send), cx, buf);
                if matches!(written, Poll::Ready(Ok(1..))) {
                    quic.nudge.wrote(cx);
                }
                written
            }
            Way::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
        }
    }

    /// On QUIC ready at once: it sends what was written by itself.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.way {
            Way::Quic(_) => Poll::Ready(Ok(())),
            Way::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
        }
    }

    /// Ends this direction; what was written is still delivered. A stream that
    /// the peer stopped before is ended already.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.way {
            Way::Quic(quic) => {
                quic.is_finished = true;
                let _ = quic.send.finish();
                Poll::Ready(Ok(()))
            }
            Way::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
        }
    }
}

impl Drop for QuicStream {
    fn drop(&mut self) {
        let code = VarInt::from_u32(Code::Done.quic());
        if !self.is_finished {
            let _ = self.send.reset(code);
        }
        // An error means that the peer has ended it, which is as good.
        let _ = self.receive.stop(code);
    }
}
