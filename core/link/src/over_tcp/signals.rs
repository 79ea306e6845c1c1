//! The connection that begins a link: messages behind their length, until one
//! end says why it closes, or breaks off.

use std::{io, sync::Arc};

use bytes::BytesMut;
use chatcode_proto::{
    framing::{self, TooLarge},
    limits,
    pb::{Code, TcpSignal, tcp_signal::Kind},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    time::timeout,
};

use super::{Ending, Place, closing};
use crate::{LinkEnd, end};

/// Reads messages; what was read of one that is not whole yet is kept.
pub(super) struct Inbox {
    buffer: BytesMut,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { buffer: BytesMut::new() }
    }

    /// The next message. Cancelling loses nothing.
    pub(super) async fn next<M: prost::Message + Default>(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<M> {
        loop {
            let message = framing::take(&mut self.buffer, limits::CONTROL_BYTES).map_err(io::Error::other)?;
            if let Some(message) = message {
                return M::decode(message).map_err(io::Error::other);
            }
            if from.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// The first message, and not a byte of what follows it.
pub(super) async fn first<M: prost::Message + Default>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<M> {
    let announced = from.read_u32().await? as usize;
    if announced > limits::CONTROL_BYTES {
        return Err(io::Error::other(TooLarge { announced, allowed: limits::CONTROL_BYTES }));
    }
    let mut message = vec![0; announced];
    from.read_exact(&mut message).await?;
    M::decode(&*message).map_err(io::Error::other)
}

/// Writes one message, all of it.
pub(super) async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    message: &impl prost::Message,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    framing::put(&mut buffer, message);
    to.write_all(&buffer).await?;
    to.flush().await
}

/// Carries the signals until the link ends, and tells the peer why. `heard` gets
/// what it says but the end.
pub(super) async fn keep<S: AsyncRead + AsyncWrite>(
    connection: S,
    mut inbox: Inbox,
    mut outgoing: mpsc::Receiver<Kind>,
    ending: Arc<Ending>,
    _place: Option<Place>,
    mut heard: impl FnMut(Kind),
) {
    let (mut from, mut to) = tokio::io::split(connection);
    let carried = async {
        loop {
            tokio::select! {
                signal = inbox.next::<TcpSignal>(&mut from) => match signal?.kind {
                    Some(Kind::Close(close)) => {
                        let code = Code::try_from(close.code).ok().filter(|code| *code != Code::Unspecified);
                        let reason = end::cut(&close.reason).to_owned();
                        return Ok(LinkEnd { code, by_peer: true, reason });
                    }
                    Some(kind) => heard(kind),
                    // A kind of a later version.
                    None => {}
                },
                Some(kind) = outgoing.recv() => {
                    let signal = TcpSignal { kind: Some(kind) };
                    timeout(limits::LINK_SILENCE, write(&mut to, &signal)).await??;
                }
            }
        }
    };
    match ending.over.run_until_cancelled(carried).await {
        Some(end) => ending.set(end.unwrap_or_else(|error: io::Error| LinkEnd::of_io(&error))),
        None => {
            let Some(end) = ending.end.get() else { return };
            let signal = TcpSignal { kind: Some(closing(end)) };
            let told = async {
                write(&mut to, &signal).await?;
                to.shutdown().await?;
                // Until the peer has read it: a connection that is closed with bytes
                // unread is reset, and the last word lost.
                while from.read(&mut [0; 64]).await? > 0 {}
                io::Result::Ok(())
            };
            let _ = timeout(limits::GOODBYE, told).await;
        }
    }
}
