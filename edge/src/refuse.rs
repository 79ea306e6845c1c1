//! How a cause is told to a browser: as JSON, as the end of a gRPC-Web call,
//! or as the close of a WebSocket.

use axum::{
    body::Body,
    extract::ws::CloseFrame,
    response::{IntoResponse as _, Response},
};
use chatcode_proto::{code::Refusal, limits, metadata, name, pb::Code};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};

use crate::{
    admit::{Origin, Stranger},
    tries::Refused,
    upstream::CoreHealth,
};

/// The only content type of calls from the page.
pub(crate) const GRPC_WEB: &str = "application/grpc-web+proto";

/// Bytes of the reason in a close frame (RFC 6455, section 5.5).
const CLOSE_REASON_BYTES: usize = 123;

/// The answer with this status: `{"code", "message"}`.
pub(crate) fn json(status: StatusCode, refusal: &Refusal) -> Response {
    let body = serde_json::json!({ "code": refusal.code.name(), "message": shown(refusal) });
    (status, axum::Json(body)).into_response()
}

/// The answer with the HTTP status that the code stands for.
pub(crate) fn http(refusal: &Refusal) -> Response {
    json(status_of(refusal.code), refusal)
}

/// The answer as [`http`] gives it, with the time to wait in `Retry-After`, in whole
/// seconds that are enough.
pub(crate) fn http_with_wait(refused: &Refused) -> Response {
    let mut response = http(&refused.cause);
    if let Some(after) = refused.after {
        let seconds = after.as_millis().div_ceil(1_000).max(1);
        let seconds = HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX));
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

/// The answer to a request that is not from our page.
pub(crate) fn stranger(stranger: Stranger, origin: &Origin) -> Response {
    let (status, what) = match stranger {
        Stranger::Host => (StatusCode::MISDIRECTED_REQUEST, "this request was sent to another name"),
        Stranger::Origin => (StatusCode::FORBIDDEN, "this request is not from the page of this installation"),
        Stranger::Site => (StatusCode::FORBIDDEN, "another site caused this request"),
    };
    json(status, &Refusal::new(Code::BadOrigin, format!("{what}; open {origin}")))
}

/// The end of a gRPC-Web call without a message.
pub(crate) fn grpc_web(refusal: &Refusal) -> Response {
    let told = Refusal::new(refusal.code, shown(refusal));
    let mut response: http::Response<Body> = tonic::Status::from(told).into_http();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC_WEB));
    response
}

/// The close frame: the code, and "<its name>: <message>".
pub(crate) fn close_frame(refusal: &Refusal) -> CloseFrame {
    let mut reason = format!("{}: {}", refusal.code.name(), shown(refusal));
    reason.truncate(reason.floor_char_boundary(CLOSE_REASON_BYTES));
    CloseFrame { code: refusal.code.websocket(), reason: reason.into() }
}

/// The cause of a call that the core, or the way to it, ended.
pub(crate) fn of_call(status: &tonic::Status) -> Refusal {
    let named = status.metadata().contains_key(metadata::CODE);
    // Only what tonic made of a broken connection has a source.
    if !named && std::error::Error::source(status).is_some() {
        return unreachable_core();
    }
    Refusal::from(status)
}

/// The core cannot be reached.
pub(crate) fn unreachable_core() -> Refusal {
    Refusal::new(Code::CoreUnreachable, "the core does not answer; the edge keeps trying")
}

/// A call that was not answered in time: the core is to blame if it answers
/// nobody.
pub(crate) fn late(core: CoreHealth, what: &str) -> Refusal {
    if core.up { Refusal::new(Code::Timeout, what) } else { unreachable_core() }
}

/// A message that may come from any machine, made harmless.
fn shown(refusal: &Refusal) -> String {
    name::display_safe(&refusal.message, limits::MESSAGE_BYTES)
}

const fn status_of(code: Code) -> StatusCode {
    match code {
        Code::Done => StatusCode::OK,
        Code::Invalid | Code::Protocol | Code::UnsupportedVersion | Code::InputGap => StatusCode::BAD_REQUEST,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::Unauthenticated | Code::BadToken => StatusCode::UNAUTHORIZED,
        Code::Forbidden | Code::BadOrigin | Code::Revoked | Code::NotWriter | Code::StepUpRequired => {
            StatusCode::FORBIDDEN
        }
        Code::UnknownMethod | Code::UnknownGateway | Code::UnknownSession => StatusCode::NOT_FOUND,
        Code::SessionEnded
        | Code::Fenced
        | Code::DuplicateIdentity
        | Code::SpawnFailed
        | Code::LastOwner
        | Code::OtherBrowser => StatusCode::CONFLICT,
        Code::ProviderUnreachable => StatusCode::BAD_GATEWAY,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Code::GatewayOffline
        | Code::CoreUnreachable
        | Code::HolderUnreachable
        | Code::Limit
        | Code::Draining
        | Code::Unwritable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unspecified | Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_close_reason_fits_its_frame_and_steers_nothing() {
        let frame = close_frame(&Refusal::new(Code::SpawnFailed, format!("\u{1b}[2J{}", "ä".repeat(200))));
        assert_eq!(frame.code, Code::SpawnFailed.websocket());
        assert!(frame.reason.len() <= CLOSE_REASON_BYTES);
        assert!(frame.reason.starts_with("spawn_failed: "), "{}", frame.reason);
        assert!(!frame.reason.chars().any(char::is_control));
    }

    #[test]
    fn a_time_to_wait_is_told_in_whole_seconds_that_are_enough() {
        let told = |after| {
            let refused = Refused { cause: Refusal::new(Code::RateLimited, "wait"), after };
            let answer = http_with_wait(&refused);
            answer.headers().get(RETRY_AFTER).map(|value| value.to_str().expect("is text").to_owned())
        };
        assert_eq!(told(Some(Duration::from_millis(5_001))).as_deref(), Some("6"));
        assert_eq!(told(Some(Duration::ZERO)).as_deref(), Some("1"));
        assert_eq!(told(None), None);
    }

    #[test]
    fn a_cause_that_the_core_named_is_kept_and_a_broken_way_is_the_cores() {
        let named = tonic::Status::from(Refusal::new(Code::GatewayOffline, "off"));
        assert_eq!(of_call(&named).code, Code::GatewayOffline);
        let broken = tonic::Status::from_error(Box::new(std::io::Error::other("reset")));
        assert_eq!(of_call(&broken).code, Code::CoreUnreachable);
    }
}
