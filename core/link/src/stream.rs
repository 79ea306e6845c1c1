//! One QUIC stream as something that HTTP/2 can run on.

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

use crate::nudge::Nudge;

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
    send: SendStream,
    receive: RecvStream,
    peer: LinkPeer,
    nudge: Nudge,
    is_finished: bool,
}

impl LinkStream {
    /// A stream of this connection.
    pub(crate) fn new(
        (send, receive): (SendStream, RecvStream),
        peer: LinkPeer,
        connection: Connection,
    ) -> Self {
        Self { send, receive, peer, nudge: Nudge::new(connection), is_finished: false }
    }
}

impl fmt::Debug for LinkStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkStream").field("id", &self.send.id()).finish_non_exhaustive()
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
        self.nudge.poll(cx);
        AsyncRead::poll_read(Pin::new(&mut self.receive), cx, buf)
    }
}

impl AsyncWrite for LinkStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = AsyncWrite::poll_write(Pin::new(&mut self.send), cx, buf);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.nudge.wrote(cx);
        }
        written
    }

    /// Ready at once: QUIC sends what was written by itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends this direction; what was written is still delivered. A stream that
    /// the peer stopped before is ended already.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_finished = true;
        let _ = self.send.finish();
        Poll::Ready(Ok(()))
    }
}

impl Drop for LinkStream {
    fn drop(&mut self) {
        let code = VarInt::from_u32(Code::Done.quic());
        if !self.is_finished {
            let _ = self.send.reset(code);
        }
        // An error means that the peer has ended it, which is as good.
        let _ = self.receive.stop(code);
    }
}
