//! The pass-through: a call on a machine goes over its link at the level of
//! HTTP, with its messages unopened.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use chatcode_process::observe::{Counter, trace};
use chatcode_proto::{
    code::Refusal,
    limits, metadata,
    pb::{self, Code, LinkState},
    rules::Rule,
};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};
use tower::{Service as _, ServiceExt as _};

use crate::{
    clock,
    cut::{CutBody, CutRequest, Cuts, Tally, lost},
    fleet::registry::LiveLink,
    judge::Verdict,
    shared::Shared,
    target::{Target, unknown_gateway},
};

/// Bytes of the head of one gRPC message.
const MESSAGE_HEAD: usize = 5;

/// What is between the caller and the core and never for a machine.
const STRIPPED: &[&str] = &[
    "authorization",
    "connection",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "referer",
    "te",
    "traceparent",
    "tracestate",
    "baggage",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Passes calls on.
#[derive(Clone, Debug)]
pub struct Pass {
    shared: Arc<Shared>,
}

impl Pass {
    /// Over the links of this core.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Makes the call on the machine that it names. The answer ends with the
    /// link, the caller's session, or the deadline.
    ///
    /// # Errors
    /// `UNKNOWN_GATEWAY`, `GATEWAY_OFFLINE`, `TIMEOUT`, `TOO_LARGE`.
    pub async fn call(
        &self,
        request: Request<Body>,
        rule: &Rule,
        verdict: Verdict,
        target: &Target,
        (request_id, trace): (&str, &tracing::Span),
    ) -> Result<Response<Body>, Refusal> {
        let live = self.live(target)?;
        let streaming = rule.client_streaming || rule.server_streaming;
        let asked = timeout(request.headers());
        let longest = (!streaming).then_some(limits::UNARY_DEADLINE);
        let time = [asked, longest].into_iter().flatten().min();
        let grant = grant(&verdict, target, request_id);
        let cuts = Cuts::new(&self.shared.stop, verdict).over(&live).within(time);
        let cuts = if streaming { cuts } else { cuts.finishing() };
        // One for both halves: when the caller's is cut, the answer breaks, and must know why.
        let cut = cuts.wait().boxed().shared();
        let span = trace.clone();
        let (mut request, exceeded) = outgoing(request, target, &grant, streaming)?;
        trace::pass_on(trace, request.headers_mut());
        let counted = self.shared.calls.one();
        let answered = CancellationToken::new();
        let request = if rule.client_streaming {
            let (cut, answered) = (cut.clone(), answered.clone());
            let cut = async move {
                tokio::select! {
                    _ = cut => {}
                    () = answered.cancelled() => {}
                }
                Status::cancelled("the call is cut")
            };
            let bytes = self.shared.meters.to_gateways.clone();
            request.map(|body| Body::new(CutRequest::new(body, cut, bytes)))
        } else {
            let bytes = self.shared.meters.to_gateways.clone();
            request.map(|body| Body::new(body.map_frame(move |frame| counted_frame(frame, &bytes))))
        };
        let answered = answered.drop_guard();

        let channel = if streaming { live.link.channel() } else { live.link.unary() };
        let answer = async {
            let mut channel = channel;
            channel.ready().await?.call(request).await
        };
        let response = tokio::select! {
            answer = answer => answer.map_err(|error| broken(&error, &exceeded, &live))?,
            refusal = cut.clone() => return Err(refusal),
            () = tokio::time::sleep(limits::UNARY_DEADLINE) => {
                return Err(Refusal::new(Code::Timeout, "the machine did not answer in time; try again"));
            }
        };
        Ok(response.map(|body| {
            let (body, exceeded) = if streaming { (body, CancellationToken::new()) } else { bounded(body) };
            let cut = async move {
                tokio::select! {
                    refusal = cut => refusal,
                    () = exceeded.cancelled() => too_large("the machine's answer", "ask for less"),
                }
            };
            let tally =
                Tally { bytes: self.shared.meters.to_callers.clone(), cuts: self.shared.meters.cuts.clone() };
            Body::new(CutBody::new(body, cut, tally, (counted, answered, span)))
        }))
    }

    /// The live link of the target.
    fn live(&self, target: &Target) -> Result<Arc<LiveLink>, Refusal> {
        let id = target.gateway.ok_or_else(unknown_gateway)?;
        let known = self.shared.hub.gateway(id).ok_or_else(unknown_gateway)?;
        if known.link_state() == LinkState::Revoked {
            return Err(unknown_gateway());
        }
        self.shared.links.get(id).filter(|live| live.ended().is_none()).ok_or_else(|| {
            Refusal::new(
                Code::GatewayOffline,
                "the machine is not linked now; its sessions go on and come back with it",
            )
        })
    }
}

/// What the machine is told of the caller's right.
fn grant(verdict: &Verdict, target: &Target, request_id: &str) -> pb::Grant {
    let caller = verdict.caller();
    pb::Grant {
        request_id: request_id.to_owned(),
        principal: caller.principal(),
        display_name: caller.display_name().to_owned(),
        role: verdict.role().into(),
        session: target.session_text(),
        expires_unix_ms: clock::unix_ms() + clock::millis(limits::GRANT),
    }
}

/// The request as it goes over the link: without what is the caller's and the
/// core's own business, with the target and the grant. The token is cancelled
/// when a unary message turns out to be too large.
fn outgoing(
    request: Request<Body>,
    target: &Target,
    grant: &pb::Grant,
    streaming: bool,
) -> Result<(Request<Body>, CancellationToken), Refusal> {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    clean(&mut headers);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|_| Refusal::new(Code::Internal, "the grant is no header"))
    };
    headers.insert(metadata::GATEWAY, value(&target.gateway_text())?);
    if target.session.is_some() {
        headers.insert(metadata::SESSION, value(&target.session_text())?);
    }
    headers.insert(metadata::GRANT, value(&STANDARD_NO_PAD.encode(grant.encode_to_vec()))?);

    // A unary call shares its stream with others; a stream's frames are
    // measured at its end, and held up by its window.
    let (body, exceeded) = if streaming { (body, CancellationToken::new()) } else { bounded(body) };
    let mut request = Request::new(body);
    *request.method_mut() = parts.method;
    *request.uri_mut() = parts.uri;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    Ok((request, exceeded))
}

/// The body of one unary message. The token is cancelled when it is larger than
/// [`limits::UNARY_BYTES`], since HTTP/2 tells the other end only that the
/// stream was reset.
fn bounded(body: Body) -> (Body, CancellationToken) {
    let exceeded = CancellationToken::new();
    let told = exceeded.clone();
    let body = Limited::new(body, limits::UNARY_BYTES + MESSAGE_HEAD).map_err(move |error| {
        if error.is::<LengthLimitError>() {
            told.cancel();
        }
        error
    });
    (Body::new(body), exceeded)
}

fn too_large(what: &str, next: &str) -> Refusal {
    Refusal::new(Code::TooLarge, format!("{what} is larger than {} bytes; {next}", limits::UNARY_BYTES))
}

/// Counts the bytes of a frame.
fn counted_frame(frame: Frame<Bytes>, bytes: &Counter) -> Frame<Bytes> {
    if let Some(data) = frame.data_ref() {
        bytes.add(data.len());
    }
    frame
}

/// Takes away all metadata of ours and everything hop by hop.
fn clean(headers: &mut HeaderMap) {
    let ours = |name: &HeaderName| name.as_str().starts_with(metadata::PREFIX);
    let forwarded = |name: &HeaderName| name.as_str().starts_with("x-forwarded-");
    let gone: Vec<HeaderName> = headers
        .keys()
        .filter(|name| ours(name) || forwarded(name) || STRIPPED.contains(&name.as_str()))
        .cloned()
        .collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Why a call got no answer at all.
fn broken(error: &tonic::transport::Error, exceeded: &CancellationToken, live: &LiveLink) -> Refusal {
    if exceeded.is_cancelled() {
        return too_large("the message", "send less");
    }
    tracing::debug!(error = error as &dyn std::error::Error, "no answer over the link");
    if live.ended().is_some() || live.link.close_reason().is_some() {
        return lost(Some(live));
    }
    Refusal::new(Code::Internal, "the machine broke the call off; try again")
}

/// The deadline that the caller set, by the metadata `grpc-timeout`: at most 8
/// digits and a unit.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.is_empty() || number.len() > 8 || !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_ours_and_of_the_hop_never_goes_on() {
        let mut headers = HeaderMap::new();
        for name in [
            "chatcode-grant-bin",
            "chatcode-gateway",
            "chatcode-anything",
            "authorization",
            "cookie",
            "origin",
            "x-forwarded-for",
            "connection",
            "te",
            "traceparent",
            "tracestate",
            "baggage",
        ] {
            headers.append(name, HeaderValue::from_static("x"));
        }
        headers.append("content-type", HeaderValue::from_static("application/grpc"));
        headers.append("x-mine", HeaderValue::from_static("kept"));
        clean(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-type", "x-mine"]);
    }

    #[test]
    fn a_deadline_is_read_in_every_unit_and_nonsense_is_none() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_static(text));
            timeout(&headers)
        };
        assert_eq!(of("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(of("20S"), Some(Duration::from_secs(20)));
        assert_eq!(of("150m"), Some(Duration::from_millis(150)));
        for nonsense in ["", "S", "5", "-1S", "123456789S", "1x"] {
            assert_eq!(of(nonsense), None, "{nonsense:?}");
        }
    }
}
