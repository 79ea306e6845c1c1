//! The browser's end of a WebSocket. Reading and writing are done by two tasks
//! (the call's request body and the call's handler) without a queue between:
//! what is read goes straight into the call.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use chatcode_process::observe::Counter;
use chatcode_proto::{code::Refusal, limits, pb::Code};
use futures_util::{Sink as _, Stream};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_tungstenite::tungstenite::{self, error::CapacityError};

use crate::{
    meters::{EdgeMeters, Trip},
    refuse,
    upstream::CoreHealth,
};

/// How reading from a browser ended.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// The browser closed, or the connection broke.
    Left,
    /// The browser sent what it may not.
    Refused(Refusal),
}

impl End {
    /// The cause; that the browser left is none.
    pub(super) const fn code(&self) -> Code {
        match self {
            Self::Left => Code::Done,
            Self::Refused(refusal) => refusal.code,
        }
    }
}

/// What a browser sent.
#[derive(Debug)]
pub(super) enum Received {
    /// A binary message.
    Message(Bytes),
    /// A ping of the page.
    Ping(Stamp),
    /// Nothing will come any more.
    End(End),
}

/// A number of the page's own choice.
pub(super) type Stamp = u32;

/// [`chatcode_proto::pb::EdgePing`] as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EdgePing {
    #[serde(default)]
    stamp: Stamp,
}

/// [`chatcode_proto::pb::EdgePong`] as JSON.
#[derive(Serialize)]
struct EdgePong {
    stamp: Stamp,
    core: CoreHealth,
}

/// One browser. Clones are the same browser.
#[derive(Clone)]
pub(super) struct Browser(Arc<Shared>);

struct Shared {
    /// Locked for the time of one poll only, never across an await.
    socket: Mutex<Socket>,
    began: Instant,
    /// When something was last heard, milliseconds after `began`.
    heard_ms: AtomicU64,
    /// Pings of the edge.
    rtt: Trip,
    /// Pings of a viewer, to its session's holder.
    echo: Trip,
    from_page: Counter,
    to_page: Counter,
}

struct Socket {
    inner: WebSocket,
    end: Option<End>,
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Browser")
    }
}

impl Browser {
    pub(super) fn new(inner: WebSocket, meters: &EdgeMeters) -> Self {
        Self(Arc::new(Shared {
            socket: Mutex::new(Socket { inner, end: None }),
            began: Instant::now(),
            heard_ms: AtomicU64::new(0),
            rtt: Trip::new(meters.page_rtt.clone()),
            echo: Trip::new(meters.echo.clone()),
            from_page: meters.from_pages.clone(),
            to_page: meters.to_pages.clone(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Socket> {
        self.0.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next thing that the browser sends. After the end, the end again.
    pub(super) fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Received> {
        let mut socket = self.lock();
        loop {
            if let Some(end) = &socket.end {
                return Poll::Ready(Received::End(end.clone()));
            }
            let message = ready!(Pin::new(&mut socket.inner).poll_next(context));
            let heard = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.0.heard_ms.store(heard, Ordering::Relaxed);
            if matches!(message, Some(Ok(Message::Pong(_)))) {
                self.0.rtt.end();
            }
            match sort(message) {
                Ok(Some(received)) => return Poll::Ready(received),
                // Control frames of the protocol, which the library answers.
                Ok(None) => {}
                Err(end) => socket.end = Some(end),
            }
        }
    }

    /// A message of the call goes out, with the next flush.
    pub(super) async fn message(&self, message: Bytes) -> Result<(), End> {
        self.0.to_page.add(message.len());
        self.0.echo.server_frame(&message);
        self.feed(Message::Binary(message)).await
    }

    /// A ping goes out, with the next flush.
    pub(super) async fn ping(&self) -> Result<(), End> {
        self.0.rtt.begin();
        self.feed(Message::Ping(Bytes::new())).await
    }

    /// As [`Self::poll_receive`]; cancel safe.
    pub(super) async fn receive(&self) -> Received {
        std::future::poll_fn(|context| self.poll_receive(context)).await
    }

    /// Ends when nothing was heard for [`limits::WEBSOCKET_SILENCE`].
    pub(super) async fn silence(&self) {
        loop {
            let heard = Duration::from_millis(self.0.heard_ms.load(Ordering::Relaxed));
            let silent_at = self.0.began + heard + limits::WEBSOCKET_SILENCE;
            if silent_at <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(silent_at).await;
        }
    }

    /// Puts a message into the write buffer; waits while the browser does not
    /// take what is there. The buffer stays below
    /// [`limits::WEBSOCKET_WRITE_BYTES`].
    pub(super) async fn feed(&self, message: Message) -> Result<(), End> {
        std::future::poll_fn(|context| Pin::new(&mut self.lock().inner).poll_ready(context))
            .await
            .map_err(left)?;
        Pin::new(&mut self.lock().inner).start_send(message).map_err(left)
    }

    /// Writes the buffer out.
    pub(super) async fn flush(&self) -> Result<(), End> {
        std::future::poll_fn(|context| Pin::new(&mut self.lock().inner).poll_flush(context))
            .await
            .map_err(left)
    }

    /// Answers a ping of the page.
    pub(super) async fn pong(&self, stamp: Stamp, core: CoreHealth) -> Result<(), End> {
        let text = serde_json::to_string(&EdgePong { stamp, core }).map_err(|_| End::Left)?;
        self.feed(Message::Text(text.into())).await?;
        self.flush().await
    }

    /// Tells the browser why, and waits for its own close so that the reason
    /// arrives; at most [`limits::WEBSOCKET_CLOSE`].
    pub(super) async fn close(&self, refusal: &Refusal) {
        let goodbye = async {
            self.feed(Message::Close(Some(refuse::close_frame(refusal)))).await?;
            self.flush().await?;
            self.lock().end = None;
            while !matches!(self.receive().await, Received::End(End::Left)) {
                // A page that goes on sending is not listened to.
                self.lock().end = None;
            }
            Ok::<(), End>(())
        };
        // Not told in time is cut.
        let _ = timeout(limits::WEBSOCKET_CLOSE, goodbye).await;
    }

    /// What the browser sends from here on as the body of a call, and what else
    /// it sends. When `single`, the body is one message.
    pub(super) fn body(&self, single: bool, terminal: bool) -> (Incoming, mpsc::Receiver<Stamp>) {
        let (pings, receiver) = mpsc::channel(limits::WEBSOCKET_PINGS);
        (Incoming { browser: self.clone(), pings, single, terminal, over: false }, receiver)
    }
}

/// The messages of a browser as the body of a call. Ends when the browser does,
/// and gives the reading back when it is dropped.
#[derive(Debug)]
pub(super) struct Incoming {
    browser: Browser,
    pings: mpsc::Sender<Stamp>,
    single: bool,
    /// Its messages are frames of a viewer.
    terminal: bool,
    over: bool,
}

impl Stream for Incoming {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            match ready!(self.browser.poll_receive(context)) {
                Received::Message(bytes) => {
                    self.browser.0.from_page.add(bytes.len());
                    if self.terminal {
                        self.browser.0.echo.client_frame(&bytes);
                    }
                    self.over = self.single;
                    return Poll::Ready(Some(bytes));
                }
                // A page that pings faster than it reads gets fewer answers.
                Received::Ping(stamp) => drop(self.pings.try_send(stamp)),
                Received::End(_) => self.over = true,
            }
        }
    }
}

fn left(_: axum::Error) -> End {
    End::Left
}

/// What a message of the WebSocket is; `None`: nothing for us.
fn sort(message: Option<Result<Message, axum::Error>>) -> Result<Option<Received>, End> {
    match message {
        None | Some(Ok(Message::Close(_))) => Err(End::Left),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Binary(bytes))) if bytes.len() > limits::WEBSOCKET_MESSAGE_BYTES => Err(too_large()),
        Some(Ok(Message::Binary(bytes))) => Ok(Some(Received::Message(bytes))),
        Some(Ok(Message::Text(text))) => {
            let ping = (text.len() <= limits::WEBSOCKET_TEXT_BYTES)
                .then(|| serde_json::from_str::<EdgePing>(&text).ok())
                .flatten();
            let refusal = || Refusal::new(Code::Protocol, "a text message must be {\"stamp\": number}");
            ping.map(|EdgePing { stamp }| Some(Received::Ping(stamp))).ok_or_else(|| End::Refused(refusal()))
        }
        Some(Err(error)) => Err(broken(error)),
    }
}

fn too_large() -> End {
    let allowed = limits::WEBSOCKET_MESSAGE_BYTES;
    End::Refused(Refusal::new(Code::TooLarge, format!("a message may have at most {allowed} bytes")))
}

fn broken(error: axum::Error) -> End {
    let inner = error.into_inner();
    match inner.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. })) => too_large(),
        Some(tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        )) => End::Left,
        Some(tungstenite::Error::Protocol(_) | tungstenite::Error::Utf8(_)) => {
            End::Refused(Refusal::new(Code::Protocol, "this is not the WebSocket protocol"))
        }
        _ => End::Left,
    }
}
