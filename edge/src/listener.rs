//! Connections of browsers: counted, timed, HTTP/1.1 in the clear on loopback,
//! HTTP/2 or HTTP/1.1 in TLS. WebSockets come on HTTP/1.1 only, each on a
//! connection of its own, so that none holds another up.

use std::{
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{Router, body::Body};
use chatcode_process::observe::Counters;
use chatcode_proto::limits;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::Service as _,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::tries::Client;

/// Serves connections, each with the TLS of its beginning, until `drain` is cancelled and those that are left have
/// answered what they were asked. Dropping it cuts them all.
pub(crate) async fn serve(
    listener: TcpListener,
    (tls, failed): (watch::Receiver<Option<TlsAcceptor>>, Counters<1>),
    router: Router,
    drain: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits::EDGE_CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Some((stream, place)) = next(&listener, &places, &drain).await {
        while connections.try_join_next().is_some() {}
        let tls = tls.borrow().clone().map(|tls| (tls, failed.clone()));
        connections.spawn(handle(stream, tls, router.clone(), drain.clone(), place));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, when there is a place for it; `None` when draining.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    drain: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let accepted = async {
        let place = places.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, place)),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(target: "chatcode", %error, "cannot accept a connection now");
                    sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        accepted = accepted => accepted,
        () = drain.cancelled() => None,
    }
}

/// Whether only the connection that was about to come is at fault.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

async fn handle(
    stream: TcpStream,
    tls: Option<(TlsAcceptor, Counters<1>)>,
    router: Router,
    drain: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    // Or a key's echo waits for the answer to the one before it.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Ok(client) = stream.peer_addr().map(|address| Client(address.ip())) else { return };
    let Some((acceptor, failed)) = tls else {
        return talk(stream, false, client, router, drain).await;
    };
    match timeout(limits::HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            talk(stream, http2, client, router, drain).await;
        }
        Ok(Err(error)) => {
            let is_tls = error.kind() == io::ErrorKind::InvalidData;
            failed.of([if is_tls { "tls" } else { "broke_off" }]).inc();
            tracing::debug!(target: "chatcode", %error, "a TLS handshake failed");
        }
        Err(_) => {
            failed.of(["timeout"]).inc();
            tracing::debug!(target: "chatcode", "a TLS handshake took too long");
        }
    }
}

/// Speaks HTTP on one connection until it ends, or becomes a WebSocket. Which
/// version is settled before: `auto` of hyper-util would take HTTP/2 in the
/// clear as well.
async fn talk<S>(stream: S, http2: bool, client: Client, router: Router, drain: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = Arc::new(AtomicBool::new(false));
    let router = TowerToHyperService::new(router);
    let note = asked.clone();
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        note.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(client);
        router.call(request)
    });
    let stream = TokioIo::new(Taken::new(stream));
    let ended = if http2 {
        let connection = http2_builder().serve_connection(stream, service);
        until_end(connection, |connection| connection.graceful_shutdown(), &asked, drain).await
    } else {
        let connection = http1_builder().serve_connection(stream, service).with_upgrades();
        until_end(connection, |connection| connection.graceful_shutdown(), &asked, drain).await
    };
    if let Err(error) = ended {
        tracing::debug!(target: "chatcode", %error, "a connection broke");
    }
}

/// Runs a connection to its end. One that asks nothing in time is cut, in
/// HTTP/2 also one that never opens a stream.
async fn until_end<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    leave: impl Fn(Pin<&mut C>),
    asked: &AtomicBool,
    drain: CancellationToken,
) -> hyper::Result<()> {
    let mut connection = pin!(connection);
    let mut first = pin!(sleep(limits::HANDSHAKE));
    let (mut is_new, mut is_leaving) = (true, false);
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = first.as_mut(), if is_new => {
                is_new = false;
                if !asked.load(Ordering::Relaxed) {
                    return Ok(());
                }
            }
            () = drain.cancelled(), if !is_leaving => {
                is_leaving = true;
                leave(connection.as_mut());
            }
        }
    }
}

/// A connection whose other end takes what is written to it, if slowly. Nobody keeps a
/// place by asking for much and reading nothing.
struct Taken<S> {
    stream: S,
    /// When it has taken nothing for too long; while something waits to be taken.
    late: Option<Pin<Box<Sleep>>>,
}

impl<S> Taken<S> {
    const fn new(stream: S) -> Self {
        Self { stream, late: None }
    }

    /// What came of a write; an error when it has waited for too long.
    fn judged<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.late = None;
            return written;
        }
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(limits::HTTP_TAKEN)));
        late.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taken<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taken<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judged(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judged(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judged(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HANDSHAKE)
        .max_buf_size(limits::HEADER_BYTES as usize);
    builder
}

fn http2_builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::HTTP2_STREAMS)
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW)
        .max_frame_size(limits::HTTP2_FRAME_BYTES)
        .max_header_list_size(limits::HEADER_BYTES)
        .max_pending_accept_reset_streams(limits::HTTP2_RESETS)
        .max_send_buf_size(limits::UNARY_BYTES)
        .keep_alive_interval(limits::HTTP2_KEEPALIVE)
        .keep_alive_timeout(limits::HTTP2_KEEPALIVE_TIMEOUT);
    builder
}
