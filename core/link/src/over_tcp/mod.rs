//! A link where UDP does not get through: the same link over TLS on TCP.
//!
//! The gateway dials one connection that begins the link and carries its
//! signals, and one for each stream, so that no stream waits for another's lost
//! packet here either. A stream that the core wants is asked for by a signal; on
//! it the core is HTTP/2's client though it accepted the connection. Every
//! connection does a whole handshake with both certificates.
//!
//! - [`dialer`]: the gateway's end; [`switchboard`]: the core's.
//! - [`signals`]: the connection that begins the link, kept until its end.

pub(crate) mod dialer;
mod signals;
pub(crate) mod switchboard;

use std::{
    any::Any,
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use chatcode_proto::{
    limits,
    pb::{Code, TcpAsk, TcpClose, tcp_signal::Kind},
};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_rustls::TlsStream;
use tokio_util::sync::CancellationToken;

use self::dialer::Dialing;
use crate::{LinkEnd, LinkPeer, LinkStream};

/// What keeps a connection's place among those that the core takes, until it is
/// dropped.
pub(crate) type Place = Box<dyn Any + Send>;

/// One end of a link over TCP. Dropped, the link ends.
pub(crate) struct TcpWay {
    peer: LinkPeer,
    /// Its number at the core.
    number: u64,
    signals: mpsc::Sender<Kind>,
    /// The streams that the peer opened, until somebody takes them.
    arrived: mpsc::Sender<LinkStream>,
    arriving: AsyncMutex<mpsc::Receiver<LinkStream>>,
    /// One permit for each stream.
    streams: Arc<Semaphore>,
    ending: Arc<Ending>,
    end: End,
}

/// What the two ends do differently: only a gateway can dial.
enum End {
    Core { waiting: Mutex<HashMap<u64, oneshot::Sender<LinkStream>>>, asked: AtomicU64 },
    Gateway(Arc<Dialing>),
}

/// How the link ends, shared by all that is part of it.
#[derive(Default)]
struct Ending {
    over: CancellationToken,
    end: OnceLock<LinkEnd>,
}

impl Ending {
    /// The first cause stands.
    fn set(&self, end: LinkEnd) {
        let _ = self.end.set(end);
        self.over.cancel();
    }
}

impl TcpWay {
    fn new(peer: LinkPeer, number: u64, end: End) -> (Arc<Self>, mpsc::Receiver<Kind>) {
        let streams = limits::LINK_STREAMS as usize;
        let (signals, outgoing) = mpsc::channel(limits::LINK_TCP_SIGNALS);
        let (arrived, arriving) = mpsc::channel(streams);
        let way = Self {
            peer,
            number,
            signals,
            arrived,
            arriving: AsyncMutex::new(arriving),
            streams: Arc::new(Semaphore::new(streams)),
            ending: Arc::default(),
            end,
        };
        (Arc::new(way), outgoing)
    }

    pub(crate) const fn chain(&self) -> &Arc<[CertificateDer<'static>]> {
        &self.peer.chain
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.peer.address
    }

    /// A new stream to the peer. More than [`limits::LINK_STREAMS`] wait.
    pub(crate) async fn open(self: &Arc<Self>) -> io::Result<LinkStream> {
        let opened = async {
            match &self.end {
                End::Gateway(dialing) => {
                    let permit = self.permit().await?;
                    let stream = dialing.join(self.number, 0).await?;
                    Ok(self.stream(stream.into(), permit, None))
                }
                End::Core { waiting, asked } => {
                    let number = asked.fetch_add(1, Ordering::Relaxed) + 1;
                    let (give, given) = oneshot::channel();
                    let _waits = Waits::new(waiting, number, give);
                    let ask = Kind::Ask(TcpAsk { stream: number });
                    self.signals.send(ask).await.map_err(|_| ended())?;
                    timeout(limits::HANDSHAKE, given).await?.map_err(|_| ended())
                }
            }
        };
        self.ending.over.run_until_cancelled(opened).await.unwrap_or_else(|| Err(ended()))
    }

    /// The next stream that the peer opened; `None` at the end of the link.
    pub(crate) async fn accept(&self) -> Option<LinkStream> {
        let next = async { self.arriving.lock().await.recv().await };
        self.ending.over.run_until_cancelled(next).await.flatten()
    }

    pub(crate) fn close(&self, code: Code, reason: &str) {
        self.ending.set(LinkEnd { code: Some(code), by_peer: false, reason: reason.to_owned() });
    }

    pub(crate) async fn closed(&self) -> LinkEnd {
        self.ending.over.cancelled().await;
        self.close_reason().unwrap_or_else(|| LinkEnd::broken("the link was dropped"))
    }

    pub(crate) fn close_reason(&self) -> Option<LinkEnd> {
        self.ending.end.get().cloned()
    }

    async fn permit(&self) -> io::Result<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).acquire_owned().await.map_err(|_| ended())
    }

    fn stream(
        self: &Arc<Self>,
        tls: TlsStream<TcpStream>,
        permit: OwnedSemaphorePermit,
        place: Option<Place>,
    ) -> LinkStream {
        let over: BoxFuture<'static, ()> = Box::pin(self.ending.over.clone().cancelled_owned());
        let stream = TcpLinkStream {
            tls,
            over: FuturesUnordered::from_iter([over]),
            _way: Arc::clone(self),
            _permit: permit,
            _place: place,
        };
        LinkStream::over_tcp(stream, self.peer.clone())
    }
}

impl Drop for TcpWay {
    fn drop(&mut self) {
        self.ending.set(LinkEnd { code: Some(Code::Done), by_peer: false, reason: "dropped".to_owned() });
    }
}

impl fmt::Debug for TcpWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpWay").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A stream that was asked for, until it came or is given up.
struct Waits<'a> {
    waiting: &'a Mutex<HashMap<u64, oneshot::Sender<LinkStream>>>,
    number: u64,
}

impl<'a> Waits<'a> {
    fn new(
        waiting: &'a Mutex<HashMap<u64, oneshot::Sender<LinkStream>>>,
        number: u64,
        give: oneshot::Sender<LinkStream>,
    ) -> Self {
        waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, give);
        Self { waiting, number }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the link has ended")
}

fn closing(end: &LinkEnd) -> Kind {
    Kind::Close(TcpClose { code: end.code.unwrap_or(Code::Done).into(), reason: end.reason.clone() })
}

/// One stream: a connection of its own, which breaks when the link ends.
pub(crate) struct TcpLinkStream {
    tls: TlsStream<TcpStream>,
    /// The end of the link; in a set, which polls it only when it was woken.
    over: FuturesUnordered<BoxFuture<'static, ()>>,
    /// The link stands as long as one of its streams.
    _way: Arc<TcpWay>,
    _permit: OwnedSemaphorePermit,
    _place: Option<Place>,
}

impl AsyncRead for TcpLinkStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.tls).poll_read(cx, buf);
        if read.is_pending() && self.over.poll_next_unpin(cx).is_ready() {
            return Poll::Ready(Err(ended()));
        }
        read
    }
}

impl AsyncWrite for TcpLinkStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_signal_more_than_may_wait_to_be_sent_waits_at_its_caller() {
        let peer = LinkPeer { chain: Arc::new([]), address: ([127, 0, 0, 1], 1).into() };
        let core = End::Core { waiting: Mutex::default(), asked: AtomicU64::new(0) };
        let (way, mut outgoing) = TcpWay::new(peer, 1, core);
        let mut opening: Vec<_> = (0..=limits::LINK_TCP_SIGNALS).map(|_| Box::pin(way.open())).collect();
        for one in &mut opening {
            assert!(one.now_or_never().is_none(), "nobody has dialled");
        }
        assert_eq!(outgoing.len(), limits::LINK_TCP_SIGNALS);
        let mut asked = Vec::new();
        while asked.len() <= limits::LINK_TCP_SIGNALS {
            let Ok(Kind::Ask(ask)) = outgoing.try_recv() else { panic!("not asked: {asked:?}") };
            asked.push(ask.stream);
            // There is room for the one that waits.
            assert!(opening.last_mut().and_then(|last| last.now_or_never()).is_none());
        }
        assert_eq!(asked, (1..=limits::LINK_TCP_SIGNALS as u64 + 1).collect::<Vec<_>>());
    }
}
