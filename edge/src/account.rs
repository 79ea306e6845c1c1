//! Signing in and out: the core decides, the edge keeps the session token, and the
//! challenge of a sign-in that has begun, in cookies.

mod elsewhere;

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
        AccountsSignInResponse, AccountsSignOutRequest, Code, IdentityProvider, PasskeyProof, PasswordProof,
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

use crate::{
    app::App,
    body,
    cookie::{Cookie, Credential, is_secret},
    refuse,
    tries::{Client, Refused},
    upstream::unix_ms,
};

/// A proof: exactly one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    secret: Option<String>,
    /// JSON of WebAuthn, for the core.
    passkey: Option<Value>,
    password: Option<Password>,
    mail: Option<elsewhere::Mail>,
    provider: Option<elsewhere::Provider>,
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
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
enum Begin {
    // With braces, so that unknown fields are refused here too.
    Passkey {},
    Mail { address: String },
    Provider { id: String },
}

/// `GET /api/sign-in/methods`: which ways to sign in the page shows.
pub(crate) async fn methods(State(app): State<Arc<App>>) -> Response {
    let call = async {
        let request = unary(&app, AccountsSignInMethodsRequest {})?;
        in_time(&app, AccountsClient::new(app.upstream.shared()).sign_in_methods(request)).await
    };
    match call.await {
        Ok(open) => {
            let provider = |one: &IdentityProvider| json!({ "id": one.id, "name": one.name });
            let providers: Vec<Value> = open.providers.iter().map(provider).collect();
            Json(json!({
                "passkeys": open.passkeys, "passwords": open.passwords, "mail": open.mail, "providers": providers,
            }))
            .into_response()
        }
        Err(refusal) => refuse::http(&refusal),
    }
}

/// `POST /api/sign-in/begin`: a challenge. Its secret goes into a cookie, so that
/// only this browser can answer it.
pub(crate) async fn begin(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Err(stranger) = app.admission.page(request.headers()) {
        return refuse::stranger(stranger, app.admission.origin());
    }
    try_begin(&app, request).await.unwrap_or_else(|refused| refuse::http_with_wait(&refused))
}

async fn try_begin(app: &App, request: Request) -> Result<Response, Refused> {
    let (client, device) = (client(&request)?, device(request.headers()));
    let wanted: Begin = read(request, "a way to begin, such as {\"method\": \"passkey\"}").await?;
    app.challenges.check(client).inspect_err(|_| app.meters.tries_refused.of(["begin"]).inc())?;
    let (method, cookie, longest) = match wanted {
        Begin::Passkey {} => (Method::Passkey(true), &app.challenge, limits::CHALLENGE),
        Begin::Mail { address } => (Method::Mail(address), &app.mail_challenge, limits::MAIL),
        Begin::Provider { id } => (Method::Provider(id), &app.provider_challenge, limits::PROVIDER_WAIT),
    };
    let address = client.0.to_canonical().to_string();
    let request = unary(app, AccountsBeginSignInRequest { method: Some(method), device, address })?;
    let begun = in_time(app, AccountsClient::new(app.upstream.shared()).begin_sign_in(request)).await?;
    let challenge = Zeroizing::new(begun.challenge);
    let broken = || Refusal::new(Code::Internal, "the core's challenge has another form");
    if !is_secret(&challenge) {
        return Err(broken().into());
    }
    let options = match begun.options {
        Some(Options::Passkey(options)) => {
            json!({ "passkey": serde_json::from_str::<Value>(&options).map_err(|_| broken())? })
        }
        Some(Options::Mail(_)) => json!({ "mail": true }),
        Some(Options::Provider(url)) => json!({ "provider": url }),
        None => return Err(broken().into()),
    };
    let left = Duration::from_millis(begun.expires_unix_ms.saturating_sub(unix_ms()));
    let cookie = cookie.set(&challenge, left.min(longest))?;
    Ok(([(SET_COOKIE, cookie)], Json(options)).into_response())
}

/// `POST /api/sign-in`: trades a proof for the cookie.
pub(crate) async fn sign_in(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Err(stranger) = app.admission.page(request.headers()) {
        return refuse::stranger(stranger, app.admission.origin());
    }
    match try_sign_in(&app, request).await {
        Ok(response) => response,
        Err(refused) => {
            tracing::info!(target: "chatcode", code = refused.cause.code.name(), "a sign-in was refused");
            refuse::http_with_wait(&refused)
        }
    }
}

async fn try_sign_in(app: &App, request: Request) -> Result<Response, Refused> {
    let (client, device) = (client(&request)?, device(request.headers()));
    // A browser that proves itself anew gets another token, and the one before is
    // of no use any more.
    let replaces = Zeroizing::new(app.cookie.token(request.headers()).unwrap_or_default().to_owned());
    let challenges = Challenges::of(app, request.headers());
    let wanted: SignIn = read(request, "one proof, such as {\"secret\": \"...\"}").await?;
    let same_person = wanted.same_person;
    let (proof, spent) = proof(app, wanted, &challenges)?;
    app.settings().sign_ins.check(client).inspect_err(|_| app.meters.tries_refused.of(["sign_in"]).inc())?;
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
        return Err(Refusal::new(Code::Internal, "the core's session token has another form").into());
    }
    let left = Duration::from_millis(expires_unix_ms.saturating_sub(unix_ms()));
    let cookie = app.cookie.set(&token, left.min(limits::PERSON_SESSION))?;
    let answer = json!({
        "display_name": display_name, "expires_unix_ms": expires_unix_ms, "instead_of": instead_of,
    });
    tracing::info!(target: "chatcode", "a person signed in");
    let mut response = ([(SET_COOKIE, cookie)], Json(answer)).into_response();
    if let Some(cookie) = spent {
        response.headers_mut().append(SET_COOKIE, cookie.set("", Duration::ZERO)?);
    }
    Ok(response)
}

/// The challenges that a browser has, one for each way that needs one.
struct Challenges {
    passkey: Option<Zeroizing<String>>,
    mail: Option<Zeroizing<String>>,
    provider: Option<Zeroizing<String>>,
}

impl Challenges {
    fn of(app: &App, headers: &HeaderMap) -> Self {
        let text = |cookie: &Cookie| cookie.token(headers).map(|text| Zeroizing::new(text.to_owned()));
        Self {
            passkey: text(&app.challenge),
            mail: text(&app.mail_challenge),
            provider: text(&app.provider_challenge),
        }
    }
}

/// The proof of a request, with the challenge of the browser that sends it, and the
/// cookie of that challenge.
fn proof<'a>(
    app: &'a App,
    wanted: SignIn,
    challenges: &Challenges,
) -> Result<(Proof, Option<&'a Cookie>), Refusal> {
    let mine = |challenge: &Option<Zeroizing<String>>| {
        challenge.as_ref().map(|text| text.to_string()).ok_or_else(|| {
            let words = "this sign-in was begun in another browser, or too long ago; begin again";
            Refusal::new(Code::BadToken, words)
        })
    };
    let SignIn { secret, passkey, password, mail, provider, same_person: _ } = wanted;
    match (secret, passkey, password, mail, provider) {
        (Some(secret), None, None, None, None) if is_secret(&secret) => Ok((Proof::Secret(secret), None)),
        (Some(_), None, None, None, None) => {
            Err(Refusal::new(Code::BadToken, "this sign-in link is not whole; make a new one"))
        }
        (None, Some(credential), None, None, None) => {
            let proof =
                PasskeyProof { challenge: mine(&challenges.passkey)?, credential: credential.to_string() };
            Ok((Proof::Passkey(proof), Some(&app.challenge)))
        }
        (None, None, Some(Password { email, password }), None, None) => {
            Ok((Proof::Password(PasswordProof { email, password }), None))
        }
        (None, None, None, Some(mail), None) => {
            let spent = challenges.mail.as_ref().map(|_| &app.mail_challenge);
            Ok((mail.proof(challenges.mail.as_ref())?, spent))
        }
        (None, None, None, None, Some(provider)) => {
            Ok((provider.proof(&mine(&challenges.provider)?), Some(&app.provider_challenge)))
        }
        _ => Err(Refusal::new(Code::Invalid, "the request must hold exactly one proof")),
    }
}

/// What a browser calls itself.
pub(crate) fn device(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    display_safe(agent.unwrap_or_default(), limits::USER_AGENT_CHARS)
}

/// Where a request comes from.
pub(crate) fn client(request: &Request) -> Result<Client, Refusal> {
    let client = request.extensions().get::<Client>().copied();
    client.ok_or_else(|| Refusal::new(Code::Internal, "nobody knows where this came from"))
}

/// The JSON of a request; `form` says what it must be.
pub(crate) async fn read<T: DeserializeOwned>(request: Request, form: &str) -> Result<T, Refusal> {
    // A form of another site cannot send this type.
    if request.headers().get(CONTENT_TYPE).is_none_or(|value| value != "application/json") {
        return Err(Refusal::new(Code::Invalid, "the request must be application/json"));
    }
    let bytes = body::collect(request.into_body()).await?;
    serde_json::from_slice(&bytes)
        .map_err(|_| Refusal::new(Code::Invalid, format!("the request must be {form}")))
}

/// `POST /api/sign-out`: ends the session, or the stay of a guest, and removes its
/// cookie. The cookie stays while the core could not be told, so that the page can try
/// again.
pub(crate) async fn sign_out(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Err(stranger) = app.admission.page(request.headers()) {
        return refuse::stranger(stranger, app.admission.origin());
    }
    let whose = match Credential::of(&app.cookie, &app.installation, request.headers()) {
        Ok(whose) => whose,
        Err(refusal) => return refuse::http(&refusal),
    };
    let mut response = match try_sign_out(&app, &whose, request.headers()).await {
        Ok(()) => Json(json!({})).into_response(),
        Err(refusal) if refusal.code == Code::Unauthenticated => refuse::http(&refusal),
        Err(refusal) => return refuse::http(&refusal),
    };
    if let Ok(cookie) = whose.cookie().set("", Duration::ZERO) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

async fn try_sign_out(app: &App, whose: &Credential<'_>, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut request = unary(app, AccountsSignOutRequest {})?;
    request.metadata_mut().as_mut().insert(AUTHORIZATION, whose.authorization(headers)?);
    in_time(app, AccountsClient::new(app.upstream.shared()).sign_out(request)).await?;
    Ok(())
}

/// A call of the edge's own, from the page of our origin.
pub(crate) fn unary<M>(app: &App, message: M) -> Result<tonic::Request<M>, Refusal> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(limits::UNARY_DEADLINE);
    request.metadata_mut().as_mut().insert(ORIGIN, app.admission.origin().header()?);
    Ok(request)
}

pub(crate) async fn in_time<M>(
    app: &App,
    call: impl Future<Output = Result<tonic::Response<M>, tonic::Status>>,
) -> Result<M, Refusal> {
    match timeout(limits::UNARY_DEADLINE, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(refuse::of_call(&status)),
        Err(_) => Err(refuse::late(app.upstream.health(), "the core did not answer in time; try again")),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_browser_that_calls_itself_longer_than_the_limit_is_cut() {
        let long = "x".repeat(limits::USER_AGENT_CHARS + 1);
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_str(&long).expect("is a header"));
        assert!(long.starts_with(device(&headers).trim_end_matches('…')));
        assert!(device(&headers).chars().count() <= limits::USER_AGENT_CHARS);
        assert_eq!(device(&HeaderMap::new()), "");
    }
}
