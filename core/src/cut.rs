//! A running call ends early when what it rests on ends: its link, its
//! caller's session, the core. Its answer then ends with a status and code as
//! any other.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use chatcode_process::observe::{Counter, Counters};
use chatcode_proto::{code::Refusal, limits, pb::Code};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};

use crate::{caller::life::Life, fleet::registry::LiveLink, judge::Verdict, target::unknown_gateway};

/// Frames after which a body looks whether it has to end although it never
/// waits.
const LOOK_EVERY: u8 = 16;

/// Everything that ends one call.
#[derive(Clone, Debug)]
pub struct Cuts {
    stop: CancellationToken,
    life: Option<Arc<Life>>,
    verdict: Verdict,
    live: Option<Arc<LiveLink>>,
    deadline: Option<Instant>,
}

impl Cuts {
    /// A call that ends when the core stops, with what lets its caller in, and
    /// when the caller may not make it any more.
    #[must_use]
    pub fn new(stop: &CancellationToken, verdict: Verdict) -> Self {
        let life = verdict.caller().life().cloned();
        Self { stop: stop.clone(), life, verdict, live: None, deadline: None }
    }

    /// It also ends with this link.
    #[must_use]
    pub fn over(mut self, live: &Arc<LiveLink>) -> Self {
        self.live = Some(Arc::clone(live));
        self
    }

    /// It also ends after this time.
    #[must_use]
    pub fn within(mut self, time: Option<Duration>) -> Self {
        self.deadline = time.map(|time| Instant::now() + time);
        self
    }

    /// It runs on while the core stops, for as long as that takes.
    #[must_use]
    pub fn finishing(mut self) -> Self {
        self.stop = CancellationToken::new();
        self
    }

    /// Waits for the first that happens, and says why the call ends.
    pub async fn wait(self) -> Refusal {
        let session_over = async {
            match &self.life {
                Some(life) => {
                    life.over().await;
                    life.is_over()
                }
                None => std::future::pending().await,
            }
        };
        let link_dead = async {
            match &self.live {
                Some(live) => live.dead().cancelled().await,
                None => std::future::pending().await,
            }
        };
        let late = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => Refusal::new(Code::Draining, "the core stops; come back in a moment"),
            refusal = session_over => refusal,
            refusal = self.verdict.over() => refusal,
            () = link_dead => lost(self.live.as_deref()),
            () = late => Refusal::new(Code::Timeout, "the call took longer than its deadline"),
        }
    }
}

/// Why a call over a link that has ended is refused.
#[must_use]
pub fn lost(live: Option<&LiveLink>) -> Refusal {
    match live.and_then(LiveLink::ended) {
        Some(Code::Revoked) => unknown_gateway(),
        _ => Refusal::new(Code::GatewayOffline, "the link to the machine broke; it comes back by itself"),
    }
}

/// The caller's half of a call: it breaks off when the call is cut, so that nothing
/// that is sent after that reaches a machine, whatever the caller does with the
/// answer. The error resets the stream on the link.
pub struct CutRequest {
    inner: Option<Body>,
    cut: FuturesUnordered<BoxFuture<'static, Status>>,
    bytes: Counter,
}

impl CutRequest {
    /// `inner`, until `cut` is done; then it ends with that error. Its `bytes` are
    /// counted.
    pub fn new(inner: Body, cut: impl Future<Output = Status> + Send + 'static, bytes: Counter) -> Self {
        let cut: BoxFuture<'static, Status> = Box::pin(cut);
        Self { inner: Some(inner), cut: FuturesUnordered::from_iter([cut]), bytes }
    }

    /// `inner`, which has to have arrived whole within [`limits::UNARY_DEADLINE`].
    pub fn in_time(inner: Body, bytes: Counter) -> Self {
        let late = async {
            tokio::time::sleep(limits::UNARY_DEADLINE).await;
            Refusal::new(Code::Timeout, "the call's message did not arrive in time; call again").into()
        };
        Self::new(inner, late, bytes)
    }
}

impl std::fmt::Debug for CutRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CutRequest").field("ended", &self.inner.is_none()).finish_non_exhaustive()
    }
}

impl http_body::Body for CutRequest {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(None) };
        // The set is polled at each frame, and looks at the wait only when that was
        // woken. It comes before the frame: not one more goes on.
        if let Poll::Ready(Some(error)) = this.cut.poll_next_unpin(cx) {
            this.inner = None;
            return Poll::Ready(Some(Err(error)));
        }
        let polled = http_body::Body::poll_frame(Pin::new(inner), cx);
        count(&polled, &this.bytes);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

/// A body that ends with a status when it is cut. Dropping it drops the body
/// within, and `guard` with it.
pub struct CutBody<G> {
    inner: Option<Body>,
    /// In a set, which polls it only when it was woken: a wait for nothing costs
    /// no lock.
    cut: FuturesUnordered<BoxFuture<'static, Refusal>>,
    frames: u8,
    tally: Tally,
    _guard: G,
}

/// What is counted of an answer.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Its bytes.
    pub bytes: Counter,
    /// That it was cut, by code.
    pub cuts: Counters<1>,
}

impl<G> CutBody<G> {
    /// `inner`, until `cut` is done.
    pub fn new(
        inner: Body,
        cut: impl Future<Output = Refusal> + Send + 'static,
        tally: Tally,
        guard: G,
    ) -> Self {
        let cut: BoxFuture<'static, Refusal> = Box::pin(cut);
        Self { inner: Some(inner), cut: FuturesUnordered::from_iter([cut]), frames: 0, tally, _guard: guard }
    }

    /// Ends the body with the status of a refusal.
    fn end(&mut self, refusal: Refusal) -> Frame<Bytes> {
        self.inner = None;
        self.tally.cuts.of([refusal.code.name()]).inc();
        tracing::debug!(code = refusal.code.name(), "the call is cut");
        let mut trailers = http::HeaderMap::new();
        // Fails only for a message that is no header, and ours are.
        let _ = Status::from(refusal).add_header(&mut trailers);
        Frame::trailers(trailers)
    }
}

impl<G> std::fmt::Debug for CutBody<G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CutBody").field("ended", &self.inner.is_none()).finish_non_exhaustive()
    }
}

impl<G: Unpin> http_body::Body for CutBody<G> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(None) };
        this.frames = this.frames.wrapping_add(1);
        let polled = http_body::Body::poll_frame(Pin::new(inner), cx);
        count(&polled, &this.tally.bytes);
        // A frame that is there goes out at once; the look at the end is not for
        // every frame of a flood.
        if (polled.is_pending() || this.frames.is_multiple_of(LOOK_EVERY))
            && let Poll::Ready(Some(refusal)) = this.cut.poll_next_unpin(cx)
        {
            return Poll::Ready(Some(Ok(this.end(refusal))));
        }
        match polled {
            // A link that breaks shows here first, as an error of HTTP.
            Poll::Ready(Some(Err(status))) => {
                tracing::debug!(%status, "the body broke");
                let refusal = match this.cut.poll_next_unpin(cx) {
                    Poll::Ready(Some(refusal)) => refusal,
                    _ => lost(None),
                };
                Poll::Ready(Some(Ok(this.end(refusal))))
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

/// Counts the bytes of a frame that is there.
fn count(polled: &Poll<Option<Result<Frame<Bytes>, Status>>>, bytes: &Counter) {
    if let Poll::Ready(Some(Ok(frame))) = polled
        && let Some(data) = frame.data_ref()
    {
        bytes.add(data.len());
    }
}
