//! Signing in and out: the core decides, the edge keeps the session token in
//! the cookie.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use chatcode_proto::{
    code::Refusal,
    limits,
    name::display_safe,
    pb::{
        AccountsSignInRequest, AccountsSignInResponse, AccountsSignOutRequest, Code,
        accounts_client::AccountsClient,
    },
};
use http::{
    HeaderMap,
    header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN, SET_COOKIE, USER_AGENT},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::{app::App, body, cookie::is_secret, refuse, tries::Client, upstream::unix_ms};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    secret: String,
}

/// `POST /api/sign-in`: trades a one-time secret for the cookie.
pub(crate) async fn sign_in(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Err(stranger) = app.admission.page(request.headers()) {
        return refuse::stranger(stranger, app.admission.origin());
    }
    match try_sign_in(&app, request).await {
        Ok(response) => response,
        Err(refusal) => {
            tracing::info!(target: "chatcode", code = refusal.code.name(), "a sign-in was refused");
            refuse::http(&refusal)
        }
    }
}

async fn try_sign_in(app: &App, request: Request) -> Result<Response, Refusal> {
    // A form of another site cannot send this type.
    if request.headers().get(CONTENT_TYPE).is_none_or(|value| value != "application/json") {
        return Err(Refusal::new(Code::Invalid, "the request must be application/json"));
    }
    let client = request.extensions().get::<Client>().copied();
    let agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    let device = display_safe(agent.unwrap_or_default(), limits::USER_AGENT_CHARS);
    // A browser that proves itself anew gets another token, and the one before is
    // of no use any more.
    let replaces = Zeroizing::new(app.cookie.token(request.headers()).unwrap_or_default().to_owned());
    let bytes = body::collect(request.into_body()).await?;
    let SignIn { secret } = serde_json::from_slice(&bytes)
        .map_err(|_| Refusal::new(Code::Invalid, "the request must be {\"secret\": \"...\"}"))?;
    let secret = Zeroizing::new(secret);
    if !is_secret(&secret) {
        return Err(Refusal::new(Code::BadToken, "this sign-in link is not whole; make a new one"));
    }
    let client = client.ok_or_else(|| Refusal::new(Code::Internal, "nobody knows where this came from"))?;
    app.sign_ins.check(client)?;
    let request = AccountsSignInRequest {
        secret: secret.to_string(),
        device,
        address: client.0.to_canonical().to_string(),
        replaces: replaces.to_string(),
    };
    let request = unary(app, request)?;
    let AccountsSignInResponse { session_token, expires_unix_ms, display_name } =
        in_time(app, AccountsClient::new(app.upstream.shared()).sign_in(request)).await?;
    let token = Zeroizing::new(session_token);
    if !is_secret(&token) {
        return Err(Refusal::new(Code::Internal, "the core's session token has another form"));
    }
    let left = Duration::from_millis(expires_unix_ms.saturating_sub(unix_ms()));
    let cookie = app.cookie.set(&token, left.min(limits::PERSON_SESSION))?;
    let answer = Json(json!({ "display_name": display_name, "expires_unix_ms": expires_unix_ms }));
    tracing::info!(target: "chatcode", "a person signed in");
    Ok(([(SET_COOKIE, cookie)], answer).into_response())
}

/// `POST /api/sign-out`: ends the session and removes the cookie. The cookie
/// stays while the core could not be told, so that the page can try again.
pub(crate) async fn sign_out(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Err(stranger) = app.admission.page(request.headers()) {
        return refuse::stranger(stranger, app.admission.origin());
    }
    let mut response = match try_sign_out(&app, request.headers()).await {
        Ok(()) => Json(json!({})).into_response(),
        Err(refusal) if refusal.code == Code::Unauthenticated => refuse::http(&refusal),
        Err(refusal) => return refuse::http(&refusal),
    };
    if let Ok(cookie) = app.cookie.set("", Duration::ZERO) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

async fn try_sign_out(app: &App, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut request = unary(app, AccountsSignOutRequest {})?;
    request.metadata_mut().as_mut().insert(AUTHORIZATION, app.cookie.bearer(headers)?);
    in_time(app, AccountsClient::new(app.upstream.shared()).sign_out(request)).await?;
    Ok(())
}

/// A call of the edge's own, from the page of our origin.
fn unary<M>(app: &App, message: M) -> Result<tonic::Request<M>, Refusal> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(limits::UNARY_DEADLINE);
    request.metadata_mut().as_mut().insert(ORIGIN, app.admission.origin().header()?);
    Ok(request)
}

async fn in_time<M>(
    app: &App,
    call: impl Future<Output = Result<tonic::Response<M>, tonic::Status>>,
) -> Result<M, Refusal> {
    match timeout(limits::UNARY_DEADLINE, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(refuse::of_call(&status)),
        Err(_) => Err(refuse::late(app.upstream.health(), "the core did not answer in time; try again")),
    }
}
