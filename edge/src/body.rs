//! The body of a request, whole and bounded.

use axum::body::Body;
use bytes::Bytes;
use chatcode_proto::{code::Refusal, limits, pb::Code};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

/// All bytes of a body.
///
/// # Errors
/// `TOO_LARGE` beyond [`limits::HTTP_BODY_BYTES`], `TIMEOUT` when it takes
/// longer than [`limits::HTTP_BODY`], `INVALID` when it breaks off.
pub(crate) async fn collect(body: Body) -> Result<Bytes, Refusal> {
    let whole = Limited::new(body, limits::HTTP_BODY_BYTES).collect();
    match timeout(limits::HTTP_BODY, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::new(
            Code::TooLarge,
            format!("the request is larger than {} bytes", limits::HTTP_BODY_BYTES),
        )),
        Ok(Err(_)) => Err(Refusal::new(Code::Invalid, "the request broke off")),
        Err(_) => Err(Refusal::new(Code::Timeout, "the request did not arrive in time")),
    }
}
