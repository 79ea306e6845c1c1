//! Signing in and out: the core decides, the edge keeps the session token in a
//! cookie that no script can read.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use chatcode_proto::{
    code::Refusal,
    limits,
    pb::{
        AccountsSignInRequest, AccountsSignInResponse, AccountsSignOutRequest, Code,
        accounts_client::AccountsClient,
    },
};
use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::{app::App, body, refuse, tries::Client, upstream::unix_ms};

/// Characters of a secret, session token or ticket: 32 bytes as base64url.
const SECRET_CHARS: usize = 43;

/// The cookie of one installation. Cookies ignore ports, so the name tells
/// installations on one machine apart; `__Host-` keeps siblings from setting it.
#[derive(Debug)]
pub(crate) struct Cookie {
    name: String,
}

impl Cookie {
    /// The cookie of this installation.
    pub(crate) fn new(installation: &str) -> Self {
        Self { name: format!("__Host-chatcode-{installation}") }
    }

    /// The value of the cookie as the credential of a call.
    pub(crate) fn bearer(&self, headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
        let token = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.name)
            .map(|(_, value)| value)
            .filter(|value| is_secret(value))
            .ok_or_else(|| Refusal::new(Code::Unauthenticated, "sign in first: open the sign-in link"))?;
        credential("Bearer", token)
    }

    /// The header that sets it for this long; zero removes it.
    fn set(&self, token: &str, lasts: Duration) -> Result<HeaderValue, Refusal> {
        let text = Zeroizing::new(format!(
            "{}={token}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={}",
            self.name,
            lasts.as_secs()
        ));
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| Refusal::new(Code::Internal, "the core's session token is not text"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// Whether the text has the form of a secret.
pub(crate) fn is_secret(text: &str) -> bool {
    text.len() == SECRET_CHARS && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// "<scheme> <secret>" as a header that no log shows.
pub(crate) fn credential(scheme: &str, secret: &str) -> Result<HeaderValue, Refusal> {
    let text = Zeroizing::new(format!("{scheme} {secret}"));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Refusal::new(Code::Unauthenticated, "the credential is not text"))?;
    value.set_sensitive(true);
    Ok(value)
}

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
    let bytes = body::collect(request.into_body()).await?;
    let SignIn { secret } = serde_json::from_slice(&bytes)
        .map_err(|_| Refusal::new(Code::Invalid, "the request must be {\"secret\": \"...\"}"))?;
    let secret = Zeroizing::new(secret);
    if !is_secret(&secret) {
        return Err(Refusal::new(Code::BadToken, "this sign-in link is not whole; make a new one"));
    }
    let client = client.ok_or_else(|| Refusal::new(Code::Internal, "nobody knows where this came from"))?;
    app.sign_ins.check(client)?;
    let request = unary(app, AccountsSignInRequest { secret: secret.to_string() })?;
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
        Err(_) => Err(refuse::late(app, "the core did not answer in time; try again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_str(line).expect("a header"))).collect()
    }

    #[test]
    fn only_the_cookie_of_this_installation_is_read() {
        let cookie = Cookie::new("0a1b2c3d");
        let token = "t".repeat(SECRET_CHARS);
        let ours = format!("a=b; __Host-chatcode-0a1b2c3d={token}; c=d");
        let bearer = cookie.bearer(&cookies(&["x=y", &ours])).expect("is there");
        assert_eq!(bearer.to_str().expect("is text"), format!("Bearer {token}"));
        for line in [
            "",
            "a=b",
            &format!("__Host-chatcode-00000000={token}"),
            &format!("chatcode-0a1b2c3d={token}"),
            "__Host-chatcode-0a1b2c3d=short",
            &format!("__Host-chatcode-0a1b2c3d={token}x"),
            &format!("__Host-chatcode-0a1b2c3d={}", " ".repeat(SECRET_CHARS)),
        ] {
            let refused = cookie.bearer(&cookies(&[line])).expect_err("is not ours");
            assert_eq!(refused.code, Code::Unauthenticated, "{line:?}");
        }
    }

    #[test]
    fn credentials_are_not_shown_by_debug() {
        let bearer = credential("Bearer", &"s".repeat(SECRET_CHARS)).expect("is text");
        assert!(!format!("{bearer:?}").contains("ssss"));
        let set = Cookie::new("0a1b2c3d").set("ssss", Duration::from_secs(1)).expect("is text");
        assert!(!format!("{set:?}").contains("ssss"));
    }
}
