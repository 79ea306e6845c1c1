//! Guests: coming in by a link to one session. The core decides; the edge keeps the
//! guest token in a cookie of that link, beside whatever account the browser has.

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
        AccountsWhoAmIRequest, Code, GuestOf, Role, SharesEnterRequest, SharesEnterResponse,
        SharesLookRequest, SharesLookResponse, accounts_client::AccountsClient, shares_client::SharesClient,
    },
};
use http::{
    HeaderMap,
    header::{AUTHORIZATION, SET_COOKIE},
};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    account::{client, device, in_time, read, unary},
    app::App,
    cookie::{Cookie, is_secret},
    refuse,
    tries::Refused,
    upstream::unix_ms,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Look {
    secret: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enter {
    secret: String,
    #[serde(default)]
    passphrase: String,
    #[serde(default)]
    display_name: String,
}

/// `POST /api/share/look`: what a link leads to. Spends nothing.
pub(crate) async fn look(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Err(stranger) = app.admission.page(request.headers()) {
        return refuse::stranger(stranger, app.admission.origin());
    }
    try_look(&app, request).await.unwrap_or_else(|refused| refuse::http_with_wait(&refused))
}

async fn try_look(app: &App, request: Request) -> Result<Response, Refused> {
    let (client, headers) = (client(&request)?, request.headers().clone());
    let Look { secret } = read(request, "a link's secret: {\"secret\": \"...\"}").await?;
    app.shares.check(client).inspect_err(|_| app.meters.tries_refused.of(["share"]).inc())?;
    let look = SharesLookRequest { secret, address: client.0.to_canonical().to_string() };
    let SharesLookResponse { guest_of, passphrase, accounts_only } =
        in_time(app, SharesClient::new(app.upstream.shared()).look(unary(app, look)?)).await?;
    let guest_of = guest_of.ok_or_else(broken)?;
    let is_in = Cookie::of_guest(&app.installation, &guest_of.share).token(&headers).is_some();
    Ok(Json(json!({
        "guest_of": shown(&guest_of), "passphrase": passphrase, "accounts_only": accounts_only,
        "signed_in_as": signed_in_as(app, &headers).await, "is_in": is_in,
    }))
    .into_response())
}

/// The name of whose account the browser has; empty: nobody's.
async fn signed_in_as(app: &App, headers: &HeaderMap) -> String {
    let asked = async {
        let mut request = unary(app, AccountsWhoAmIRequest {})?;
        request.metadata_mut().as_mut().insert(AUTHORIZATION, app.cookie.bearer(headers)?);
        in_time(app, AccountsClient::new(app.upstream.shared()).who_am_i(request)).await
    };
    asked.await.map(|who| who.display_name).unwrap_or_default()
}

/// `POST /api/share/enter`: trades a link for the cookie of a guest.
pub(crate) async fn enter(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Err(stranger) = app.admission.page(request.headers()) {
        return refuse::stranger(stranger, app.admission.origin());
    }
    match try_enter(&app, request).await {
        Ok(response) => response,
        Err(refused) => {
            tracing::info!(target: "chatcode", code = refused.cause.code.name(), "a guest was refused");
            refuse::http_with_wait(&refused)
        }
    }
}

async fn try_enter(app: &App, request: Request) -> Result<Response, Refused> {
    let (client, device, headers) = (client(&request)?, device(request.headers()), request.headers().clone());
    let Enter { secret, passphrase, display_name } = read(
        request,
        "a link's secret, and the guest's name: {\"secret\": \"...\", \"display_name\": \"...\"}",
    )
    .await?;
    app.shares.check(client).inspect_err(|_| app.meters.tries_refused.of(["share"]).inc())?;
    let address = client.0.to_canonical().to_string();
    let again = already(app, &headers, &secret, &address).await?;
    let enter = SharesEnterRequest {
        secret,
        passphrase,
        display_name,
        device,
        address,
        account: app.cookie.token(&headers).unwrap_or_default().to_owned(),
        again: again.to_string(),
    };
    let SharesEnterResponse { guest_token, guest_of, display_name } =
        in_time(app, SharesClient::new(app.upstream.shared()).enter(unary(app, enter)?)).await?;
    let (token, guest_of) = (Zeroizing::new(guest_token), guest_of.ok_or_else(broken)?);
    if !is_secret(&token) {
        return Err(broken().into());
    }
    let left = Duration::from_millis(guest_of.expires_unix_ms.saturating_sub(unix_ms()));
    let longest = Duration::from_secs(*limits::SHARE_RANGE.end());
    let cookie = Cookie::of_guest(&app.installation, &guest_of.share).set(&token, left.min(longest))?;
    let answer = json!({ "guest_of": shown(&guest_of), "display_name": display_name });
    tracing::info!(target: "chatcode", "a guest came in");
    Ok(([(SET_COOKIE, cookie)], Json(answer)).into_response())
}

/// The guest token of this link that the browser has; empty: none. Which cookie it is
/// in only the core knows, so it is asked when there may be one.
async fn already(
    app: &App,
    headers: &HeaderMap,
    secret: &str,
    address: &str,
) -> Result<Zeroizing<String>, Refusal> {
    if !Cookie::has_guest(&app.installation, headers) {
        return Ok(Zeroizing::default());
    }
    let look = SharesLookRequest { secret: secret.to_owned(), address: address.to_owned() };
    let found = in_time(app, SharesClient::new(app.upstream.shared()).look(unary(app, look)?)).await?;
    let share = found.guest_of.ok_or_else(broken)?.share;
    let token = Cookie::of_guest(&app.installation, &share).token(headers).unwrap_or_default().to_owned();
    Ok(Zeroizing::new(token))
}

fn shown(guest_of: &GuestOf) -> Value {
    let role = if guest_of.role() == Role::Writer { "writer" } else { "viewer" };
    json!({
        "share": guest_of.share, "gateway": guest_of.gateway, "session": guest_of.session,
        "session_name": guest_of.session_name, "role": role, "expires_unix_ms": guest_of.expires_unix_ms,
        "shared_by": guest_of.shared_by,
    })
}

fn broken() -> Refusal {
    Refusal::new(Code::Internal, "the core's answer about the link has another form")
}
