//! One WebSocket carries one streaming call. Its first message says which;
//! after it a binary message is one gRPC message, unopened, both ways.

mod browser;
mod opening;
#[cfg(test)]
mod tests;

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    extract::{FromRequestParts as _, Request, State, WebSocketUpgrade},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use chatcode_link::codec::OpaqueCodec;
use chatcode_process::observe::trace;
use chatcode_proto::{code::Refusal, limits, metadata, pb::Code};
use futures_util::FutureExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tonic::{Streaming, client::Grpc};
use tracing::Instrument as _;

use self::{
    browser::{Browser, End, Received, Stamp},
    opening::Opening,
};
use crate::{app::App, refuse};

/// `GET /api/ws`.
pub(crate) async fn open(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Err(stranger) = app.admission.page(request.headers()) {
        return refuse::stranger(stranger, app.admission.origin());
    }
    if app.sockets.drain.is_cancelled() {
        return refuse::http(&draining());
    }
    let (mut head, _) = request.into_parts();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut head, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let place = app.sockets.places.clone().try_acquire_owned();
    let full = place.is_err();
    let Ok(place) = place.or_else(|_| app.sockets.refusals.clone().try_acquire_owned()) else {
        return refuse::http(&no_place());
    };
    let number = app.sockets.number.fetch_add(1, Ordering::Relaxed);
    let span = tracing::debug_span!(target: "chatcode", "socket", socket = number);
    // Slightly more than is allowed comes in whole, so that its sender can be
    // told; beyond that the connection breaks.
    upgrade
        .max_message_size(2 * limits::WEBSOCKET_MESSAGE_BYTES)
        .max_frame_size(2 * limits::WEBSOCKET_MESSAGE_BYTES)
        .read_buffer_size(limits::WEBSOCKET_READ_BYTES)
        .write_buffer_size(limits::SERVER_FRAME_BYTES)
        .max_write_buffer_size(limits::WEBSOCKET_WRITE_BYTES)
        .on_upgrade(move |socket| {
            let tasks = app.sockets.tasks.clone();
            let browser = Browser::new(socket, &app.meters);
            tasks.track_future(serve(app, browser, place, full).instrument(span))
        })
}

/// One socket from its handshake to its end.
async fn serve(app: Arc<App>, browser: Browser, _place: OwnedSemaphorePermit, full: bool) {
    app.meters.sockets_opened.inc();
    let end = if full {
        End::Refused(no_place())
    } else {
        tokio::select! {
            end = converse(&app, &browser) => end,
            () = app.sockets.drain.cancelled() => End::Refused(draining()),
            () = browser.silence() => End::Left,
        }
    };
    let code = if let End::Refused(refusal) = &end { refusal.code.name() } else { "left" };
    app.meters.sockets_ended.of([code]).inc();
    match end {
        End::Left => tracing::debug!(target: "chatcode", "the browser left"),
        End::Refused(refusal) => {
            tracing::debug!(target: "chatcode", code = refusal.code.name(), "closing");
            browser.close(&refusal).await;
        }
    }
}

/// The call of one socket; returns how it ended.
async fn converse(app: &App, browser: &Browser) -> End {
    let opening = match timeout(limits::WEBSOCKET_OPEN, Opening::receive(browser)).await {
        Ok(Ok(opening)) => opening,
        Ok(Err(end)) => return end,
        Err(_) => return End::Refused(Refusal::new(Code::Timeout, "the first message did not come in time")),
    };
    tracing::debug!(
        target: "chatcode",
        method = opening.method.as_str(), gateway = opening.gateway, session = opening.session, "opened"
    );
    let span = trace::call(opening.method.as_str().trim_start_matches('/'), None);
    let is_terminal = opening.method.as_str() == metadata::ATTACH;
    let (body, pings) = browser.body(!opening.many, is_terminal);
    let mut page = Page { browser: browser.clone(), pings: Some(pings) };
    let mut answer = match begin(app, browser, &mut page, call(app, opening, body, &span)).await {
        Ok(answer) => answer,
        Err(end) => {
            trace::ended(&span, end.code());
            return end;
        }
    };
    let end = exchange(app, browser, &mut page, &mut answer).await;
    trace::ended(&span, end.code());
    if matches!(end, End::Left) {
        // What the page sent last, such as its detach, is on its way: let the
        // call end by itself instead of cutting it.
        let rest = async { while matches!(answer.message().await, Ok(Some(_))) {} };
        let _ = timeout(limits::WEBSOCKET_CLOSE, rest).await;
    }
    end
}

/// Waits until the call is taken up; meanwhile the page's pings are answered.
async fn begin(
    app: &App,
    browser: &Browser,
    page: &mut Page,
    call: impl Future<Output = Result<Streaming<Bytes>, tonic::Status>>,
) -> Result<Streaming<Bytes>, End> {
    let mut call = pin!(timeout(limits::UNARY_DEADLINE, call));
    loop {
        tokio::select! {
            answer = &mut call => return match answer {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(status)) => Err(End::Refused(refuse::of_call(&status))),
                Err(_) => Err(End::Refused(refuse::late(app.upstream.health(), "the call was not taken up in time"))),
            },
            event = page.event() => browser.pong(event?, app.upstream.health()).await?,
        }
    }
}

/// Makes the call on a connection of its own.
async fn call(
    app: &App,
    opening: Opening,
    body: browser::Incoming,
    span: &tracing::Span,
) -> Result<Streaming<Bytes>, tonic::Status> {
    let path = opening.method.clone();
    let mut request = opening.request(app.admission.origin(), body)?;
    trace::pass_on(span, request.metadata_mut().as_mut());
    let mut grpc = Grpc::new(app.upstream.attachment()).max_decoding_message_size(limits::UNARY_BYTES);
    grpc.ready().await.map_err(|error| tonic::Status::from_error(Box::new(error)))?;
    Ok(grpc.streaming(request, path, OpaqueCodec).await?.into_inner())
}

/// Passes messages until one of the ends is reached.
async fn exchange(app: &App, browser: &Browser, page: &mut Page, answer: &mut Streaming<Bytes>) -> End {
    let mut ticks = interval_at(Instant::now() + limits::WEBSOCKET_PING, limits::WEBSOCKET_PING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let sent = tokio::select! {
            message = answer.message() => match message {
                Ok(Some(message)) => send(browser, message, answer).await,
                Ok(None) => return End::Refused(Refusal::new(Code::Done, "the call has ended")),
                Err(status) => return End::Refused(refuse::of_call(&status)),
            },
            event = page.event() => match event {
                Ok(stamp) => browser.pong(stamp, app.upstream.health()).await,
                Err(end) => return end,
            },
            _ = ticks.tick() => match browser.ping().await {
                Ok(()) => browser.flush().await,
                Err(end) => Err(end),
            },
        };
        if let Err(end) = sent {
            return end;
        }
    }
}

/// Sends a message, and with it what has arrived by now: one flush for all.
/// How the call ended, if it did, comes up at the next read.
async fn send(browser: &Browser, message: Bytes, answer: &mut Streaming<Bytes>) -> Result<(), End> {
    browser.message(message).await?;
    for _ in 1..limits::WEBSOCKET_BATCH {
        match answer.message().now_or_never() {
            Some(Ok(Some(next))) => browser.message(next).await?,
            Some(Ok(None)) => {
                browser.flush().await?;
                return Err(End::Refused(Refusal::new(Code::Done, "the call has ended")));
            }
            Some(Err(status)) => {
                browser.flush().await?;
                return Err(End::Refused(refuse::of_call(&status)));
            }
            None => break,
        }
    }
    browser.flush().await
}

/// What a page does besides sending messages of the call. Its socket is read by
/// the call's body while that is there, and here afterwards.
struct Page {
    browser: Browser,
    pings: Option<mpsc::Receiver<Stamp>>,
}

impl Page {
    /// The next ping, or how the browser ended; cancel safe.
    async fn event(&mut self) -> Result<Stamp, End> {
        if let Some(pings) = &mut self.pings {
            if let Some(stamp) = pings.recv().await {
                return Ok(stamp);
            }
            self.pings = None;
        }
        loop {
            match self.browser.receive().await {
                Received::Ping(stamp) => return Ok(stamp),
                Received::End(end) => return Err(end),
                // The call takes no more messages; this one came too late.
                Received::Message(_) => {}
            }
        }
    }
}

fn draining() -> Refusal {
    Refusal::new(Code::Draining, "the edge restarts; come back in a moment")
}

fn no_place() -> Refusal {
    Refusal::new(Code::Limit, "the edge has no place for another connection; close a tab or try later")
}
