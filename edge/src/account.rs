//! Signing in and out: the core decides, the edge keeps the session token, and the
//! challenge of a sign-in that has begun, in cookies.

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
        AccountsBeginSignInRequest, AccountsSignInMethodsRequest, AccountsSignInRequest,
        AccountsSignInResponse, AccountsSignOutRequest, Code, PasskeyProof, PasswordProof,
        accounts_begin_sign_in_request::Method, accounts_begin_sign_in_response::Options,
        accounts_client::AccountsClient, accounts_sign_in_request::Proof,
    },
};
use http::{
    HeaderMap,
    header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN, SET_COOKIE, USER_AGENT},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::{app::App, body, cookie::is_secret, refuse, tries::Client, upstream::unix_ms};

/// A proof: exactly one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    secret: Option<String>,
    /// JSON of WebAuthn, for the core.
    passkey: Option<Value>,
    password: Option<Password>,
    /// Only the person who is signed in is meant.
    #[serde(default)]
    same_person: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    email: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    method: BeginMethod,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum BeginMethod {
    Passkey,
}

/// `GET /api/sign-in/methods`: which ways to sign in the page shows.
pub(crate) async fn methods(State(app): State<Arc<App>>) -> Response {
    let call = async {
        let request = unary(&app, AccountsSignInMethodsRequest {})?;
        in_time(&app, AccountsClient::new(app.upstream.shared()).sign_in_methods(request)).await
    };
    match call.await {
        Ok(open) => Json(json!({ "passkeys": open.passkeys, "passwords": open.passwords })).into_response(),
        Err(refusal) => refuse::http(&refusal),
    }
}

/// `POST /api/sign-in/begin`: a challenge. Its secret goes into a cookie, so that
/// only this browser can answer it.
pub(crate) async fn begin(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Err(stranger) = app.admission.page(request.headers()) {
        return refuse::stranger(stranger, app.admission.origin());
    }
    try_begin(&app, request).await.unwrap_or_else(|refusal| refuse::http(&refusal))
}

async fn try_begin(app: &App, request: Request) -> Result<Response, Refusal> {
    let client = client(&request)?;
    let Begin { method } = read(request, "{\"method\": \"passkey\"}").await?;
    app.challenges.check(client)?;
    let method = Some(match method {
        BeginMethod::Passkey => Method::Passkey(true),
    });
    let request = unary(app, AccountsBeginSignInRequest { method })?;
    let begun = in_time(app, AccountsClient::new(app.upstream.shared()).begin_sign_in(request)).await?;
    let challenge = Zeroizing::new(begun.challenge);
    let broken = || Refusal::new(Code::Internal, "the core's challenge has another form");
    if !is_secret(&challenge) {
        return Err(broken());
    }
    let options = match begun.options {
        Some(Options::Passkey(options)) => {
            json!({ "passkey": serde_json::from_str::<Value>(&options).map_err(|_| broken())? })
        }
        None => return Err(broken()),
    };
    let left = Duration::from_millis(begun.expires_unix_ms.saturating_sub(unix_ms()));
    let cookie = app.challenge.set(&challenge, left.min(limits::CHALLENGE))?;
    Ok(([(SET_COOKIE, cookie)], Json(options)).into_response())
}

/// `POST /api/sign-in`: trades a proof for the cookie.
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
    let client = client(&request)?;
    let agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    let device = display_safe(agent.unwrap_or_default(), limits::USER_AGENT_CHARS);
    // A browser that proves itself anew gets another token, and the one before is
    // of no use any more.
    let replaces = Zeroizing::new(app.cookie.token(request.headers()).unwrap_or_default().to_owned());
    let challenge = app.challenge.token(request.headers()).map(|text| Zeroizing::new(text.to_owned()));
    let wanted: SignIn = read(request, "one proof, such as {\"secret\": \"...\"}").await?;
    let same_person = wanted.same_person;
    let proof = proof(wanted, challenge.as_ref().map(|text| text.as_str()))?;
    app.sign_ins.check(client)?;
    let request = AccountsSignInRequest {
        proof: Some(proof),
        device,
        address: client.0.to_canonical().to_string(),
        replaces: replaces.to_string(),
        same_person,
    };
    let request = unary(app, request)?;
    let AccountsSignInResponse { session_token, expires_unix_ms, display_name, instead_of } =
        in_time(app, AccountsClient::new(app.upstream.shared()).sign_in(request)).await?;
    let token = Zeroizing::new(session_token);
    if !is_secret(&token) {
        return Err(Refusal::new(Code::Internal, "the core's session token has another form"));
    }
    let left = Duration::from_millis(expires_unix_ms.saturating_sub(unix_ms()));
    let cookie = app.cookie.set(&token, left.min(limits::PERSON_SESSION))?;
    let answer = json!({
        "display_name": display_name, "expires_unix_ms": expires_unix_ms, "instead_of": instead_of,
    });
    tracing::info!(target: "chatcode", "a person signed in");
    let mut response = ([(SET_COOKIE, cookie)], Json(answer)).into_response();
    if challenge.is_some() {
        response.headers_mut().append(SET_COOKIE, app.challenge.set("", Duration::ZERO)?);
    }
    Ok(response)
}

/// The proof of a request, with the challenge of the browser that sends it.
fn proof(wanted: SignIn, challenge: Option<&str>) -> Result<Proof, Refusal> {
    match (wanted.secret, wanted.passkey, wanted.password) {
        (Some(secret), None, None) if is_secret(&secret) => Ok(Proof::Secret(secret)),
        (Some(_), None, None) => {
            Err(Refusal::new(Code::BadToken, "this sign-in link is not whole; make a new one"))
        }
        (None, Some(credential), None) => {
            let challenge = challenge.ok_or_else(|| {
                let words =
                    "this sign-in was begun in another browser, or more than five minutes ago; begin again";
                Refusal::new(Code::BadToken, words)
            })?;
            Ok(Proof::Passkey(PasskeyProof {
                challenge: challenge.to_owned(),
                credential: credential.to_string(),
            }))
        }
        (None, None, Some(Password { email, password })) => {
            Ok(Proof::Password(PasswordProof { email, password }))
        }
        _ => Err(Refusal::new(Code::Invalid, "the request must hold exactly one proof")),
    }
}

/// Where a request comes from.
fn client(request: &Request) -> Result<Client, Refusal> {
    let client = request.extensions().get::<Client>().copied();
    client.ok_or_else(|| Refusal::new(Code::Internal, "nobody knows where this came from"))
}

/// The JSON of a request; `form` says what it must be.
async fn read<T: DeserializeOwned>(request: Request, form: &str) -> Result<T, Refusal> {
    // A form of another site cannot send this type.
    if request.headers().get(CONTENT_TYPE).is_none_or(|value| value != "application/json") {
        return Err(Refusal::new(Code::Invalid, "the request must be application/json"));
    }
    let bytes = body::collect(request.into_body()).await?;
    serde_json::from_slice(&bytes)
        .map_err(|_| Refusal::new(Code::Invalid, format!("the request must be {form}")))
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
