//! The listener for those who observe: three paths, one request for each connection, and
//! bounds on all that a stranger may use up.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use bytes::Bytes;
use chatcode_proto::limits;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq as _;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use zeroize::Zeroizing;

use super::{Meters, Observer, Readiness, meters};

/// What every connection needs.
struct Desk<R> {
    meters: Meters,
    ready: R,
    token: Option<Zeroizing<Vec<u8>>>,
}

/// Answers until dropped; what is under way then is cut.
pub(super) async fn serve<R>(observer: Observer, meters: Meters, ready: R)
where
    R: Fn() -> Readiness + Send + Sync + 'static,
{
    let Observer { tcp, address, token } = observer;
    let listener = match TcpListener::from_std(tcp) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(target: "chatcode", %error, %address, "metrics are not served");
            return std::future::pending().await;
        }
    };
    tracing::info!(target: "chatcode", %address, "metrics are served");
    let desk = Arc::new(Desk { meters, ready, token });
    let places = Arc::new(Semaphore::new(limits::OBSERVERS));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Whoever finds no place is closed at once.
                    if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                        let desk = Arc::clone(&desk);
                        connections.spawn(async move {
                            let _ = timeout(limits::OBSERVER, converse(desk, stream)).await;
                            drop(place);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(target: "chatcode", %error, "a reader of metrics could not be accepted");
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn converse<R>(desk: Arc<Desk<R>>, stream: TcpStream)
where
    R: Fn() -> Readiness + Send + Sync + 'static,
{
    let service = service_fn(|request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.answer(&request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::OBSERVER)
        .max_buf_size(limits::OBSERVER_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(target: "chatcode", %error, "a reader of metrics broke off");
    }
}

impl<R: Fn() -> Readiness> Desk<R> {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = words(StatusCode::METHOD_NOT_ALLOWED, "this is only read: GET\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        if self.token.is_none() && !names_this_machine(request.headers()) {
            return words(StatusCode::MISDIRECTED_REQUEST, "ask by the address, or by localhost\n");
        }
        match request.uri().path() {
            "/healthz" => words(StatusCode::OK, "ok\n"),
            "/readyz" => match timeout(limits::READINESS, (self.ready)()).await {
                Ok(Ok(())) => words(StatusCode::OK, "ready\n"),
                Ok(Err(why)) => words(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
                Err(_) => words(StatusCode::SERVICE_UNAVAILABLE, "no answer in time\n"),
            },
            "/metrics" if !self.may_read(request.headers()) => {
                let mut response = words(StatusCode::UNAUTHORIZED, "show the token of metrics_token_file\n");
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response
            }
            "/metrics" => {
                let mut response = words(StatusCode::OK, self.meters.text());
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(meters::CONTENT_TYPE));
                response
            }
            _ => words(StatusCode::NOT_FOUND, "here are /metrics, /healthz and /readyz\n"),
        }
    }

    fn may_read(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        shown.is_some_and(|shown| shown.ct_eq(token).into())
    }
}

/// Whether the request names no other machine: a page whose name was pointed at this
/// address (DNS rebinding) must not read what is for this machine.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn words(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
