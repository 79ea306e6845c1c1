//! The routes of the edge, and what every request passes: a count, the host,
//! and headers that keep the page to itself.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use chatcode_certs::pem;
use chatcode_proto::{code::Refusal, pb::Code};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;

use crate::{account, app::App, grpc_web, page, refuse, share, socket, tries::Client};

/// All that the edge answers.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/api/health", get(health))
        .route("/api/installation", get(installation))
        .route("/.well-known/chatcode", get(well_known))
        .route("/api/install", get(install))
        .route("/install.sh", get(release_file))
        .route("/cleanup.sh", get(release_file))
        .route("/release/{*path}", get(release_file))
        .route("/api/sign-in", post(account::sign_in))
        .route("/api/sign-in/methods", get(account::methods))
        .route("/api/sign-in/begin", post(account::begin))
        .route("/api/sign-out", post(account::sign_out))
        .route("/api/share/look", post(share::look))
        .route("/api/share/enter", post(share::enter))
        .route("/api/ws", get(socket::open))
        .fallback(everything_else)
        .layer(from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

/// Calls of the page, files of the page, and nothing else.
async fn everything_else(State(app): State<Arc<App>>, request: Request) -> Response {
    if grpc_web::is_call(&request) {
        return grpc_web::call(&app, request).await;
    }
    if request.uri().path().starts_with("/api/") || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return refuse::http(&Refusal::new(Code::UnknownMethod, "there is nothing here"));
    }
    page::answer(&request)
}

async fn health(State(app): State<Arc<App>>) -> Response {
    Json(json!({ "core": app.upstream.health() })).into_response()
}

async fn installation(State(app): State<Arc<App>>) -> Response {
    Json(json!({ "installation": app.installation, "version": env!("CARGO_PKG_VERSION") })).into_response()
}

/// What a program needs to log in to this installation: its core, and what to trust.
async fn well_known(State(app): State<Arc<App>>) -> Response {
    let roots = pem::certificates(app.identity.identity().roots());
    Json(json!({ "installation": app.installation, "core": app.settings().releases.core(), "roots": roots }))
        .into_response()
}

async fn install(State(app): State<Arc<App>>) -> Response {
    app.settings().releases.line(app.admission.origin()).await
}

async fn release_file(State(app): State<Arc<App>>, request: Request) -> Response {
    app.settings().releases.answer(request.uri().path()).await
}

/// Goes around every route.
async fn guard(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if let Some(Client(peer)) = request.extensions().get::<Client>().copied() {
        let client = Client(app.settings().proxies.client(peer, request.headers()));
        request.extensions_mut().insert(client);
    }
    let mut response = admitted(&app, request, next).await;
    let headers = response.headers_mut();
    page::protect(headers, app.admission.origin().is_https());
    // What is not a file of the page is nobody's to keep.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn admitted(app: &App, request: Request, next: Next) -> Response {
    let Ok(_place) = app.requests.try_acquire() else {
        return refuse::http(&Refusal::new(Code::Limit, "the edge serves too many requests; try again"));
    };
    // Probes of load balancers name the machine as they like; the answer tells
    // nothing.
    let is_probe = request.uri().path() == "/healthz";
    if !is_probe && let Err(stranger) = app.admission.host(request.uri(), request.headers()) {
        return refuse::stranger(stranger, app.admission.origin());
    }
    let number = app.number.fetch_add(1, Ordering::Relaxed);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    app.meters.requests.of([class_of(response.status())]).inc();
    tracing::debug!(
        target: "chatcode",
        request = number, %method, path = chatcode_proto::name::display_safe(&path, 128),
        status = response.status().as_u16(), "answered"
    );
    response
}

const fn class_of(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
