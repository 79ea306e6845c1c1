//! The gate for the page's unary calls: gRPC-Web in binary form from our page
//! becomes gRPC to the core. Listed methods and headers pass; all else is
//! refused here. A call is taken in whole before the core sees it, and answered
//! whole, so a slow browser never holds the connection that all calls share.

use std::time::Instant;

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use bytes::{BufMut as _, Bytes, BytesMut};
use chatcode_process::observe::trace;
use chatcode_proto::{code::Refusal, limits, metadata, pb::Code};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN, TE},
    uri::PathAndQuery,
};
use http_body_util::{BodyExt as _, Limited};
use tokio::time::timeout;
use tonic::client::GrpcService as _;

use crate::{
    app::App,
    body,
    cookie::Credential,
    refuse::{self, GRPC_WEB},
};

/// The methods that the page may call. All of them need a signed-in person, or a guest.
pub(crate) const METHODS: &[&str] = &[
    "/chatcode.v1.Accounts/CreateSignIn",
    "/chatcode.v1.Accounts/CreateTicket",
    "/chatcode.v1.Accounts/EndSessions",
    "/chatcode.v1.Accounts/ListSessions",
    "/chatcode.v1.Accounts/WhoAmI",
    "/chatcode.v1.Admin/ListMembers",
    "/chatcode.v1.Admin/RevokeMember",
    "/chatcode.v1.Audit/List",
    "/chatcode.v1.Devices/Decide",
    "/chatcode.v1.Devices/Look",
    "/chatcode.v1.Fleet/AcknowledgeDuplicate",
    "/chatcode.v1.Fleet/CreateToken",
    "/chatcode.v1.Fleet/DecidePending",
    "/chatcode.v1.Fleet/List",
    "/chatcode.v1.Fleet/ListPending",
    "/chatcode.v1.Fleet/ListTokens",
    "/chatcode.v1.Fleet/Revoke",
    "/chatcode.v1.Fleet/RevokeToken",
    "/chatcode.v1.Host/Update",
    "/chatcode.v1.Host/UpdateStatus",
    "/chatcode.v1.Identities/BeginAdd",
    "/chatcode.v1.Identities/FinishAdd",
    "/chatcode.v1.Identities/List",
    "/chatcode.v1.Identities/ListOf",
    "/chatcode.v1.Identities/Remove",
    "/chatcode.v1.Identities/RemoveOf",
    "/chatcode.v1.Identities/Rename",
    "/chatcode.v1.Identities/SetPassword",
    "/chatcode.v1.Identities/SignOutOf",
    "/chatcode.v1.People/Create",
    "/chatcode.v1.People/CreateApiToken",
    "/chatcode.v1.People/CreateBinding",
    "/chatcode.v1.People/CreateTeam",
    "/chatcode.v1.People/List",
    "/chatcode.v1.People/ListApiTokens",
    "/chatcode.v1.People/ListBindings",
    "/chatcode.v1.People/ListTeams",
    "/chatcode.v1.People/Remove",
    "/chatcode.v1.People/RemoveBinding",
    "/chatcode.v1.People/RemoveTeam",
    "/chatcode.v1.People/RevokeApiToken",
    "/chatcode.v1.People/SetTeamMember",
    "/chatcode.v1.People/Suspend",
    "/chatcode.v1.People/Update",
    "/chatcode.v1.People/UpdateTeam",
    "/chatcode.v1.Sessions/Create",
    "/chatcode.v1.Sessions/End",
    "/chatcode.v1.Sessions/Get",
    "/chatcode.v1.Sessions/List",
    "/chatcode.v1.Sessions/ListTmux",
    "/chatcode.v1.Sessions/Rename",
    "/chatcode.v1.Shares/Create",
    "/chatcode.v1.Shares/List",
    "/chatcode.v1.Shares/Revoke",
];

const GRPC: &str = "application/grpc";
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The headers with which the page names a target, and whom it takes itself for.
const TARGET: [HeaderName; 3] = [
    HeaderName::from_static(metadata::GATEWAY),
    HeaderName::from_static(metadata::SESSION),
    HeaderName::from_static(metadata::EXPECT),
];
/// What of the core's trailers goes back to the page.
const TRAILERS: [HeaderName; 3] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static(metadata::CODE),
];

/// Bytes before each message: a flag and a length.
const FRAME_HEAD: usize = 5;
/// The flag of the frame that holds the trailers.
const TRAILERS_FLAG: u8 = 0x80;

/// Whether a request means to be a call.
pub(crate) fn is_call(request: &Request) -> bool {
    let is_grpc = |value: &HeaderValue| value.as_bytes().starts_with(GRPC.as_bytes());
    request.uri().path().starts_with("/chatcode.v1.")
        || request.headers().get(CONTENT_TYPE).is_some_and(is_grpc)
}

/// Answers a call of the page.
pub(crate) async fn call(app: &App, request: Request) -> Response {
    if let Err(stranger) = app.admission.page(request.headers()) {
        return refuse::stranger(stranger, app.admission.origin());
    }
    if *request.method() != Method::POST {
        let refusal = Refusal::new(Code::Invalid, "a call must be a POST");
        return refuse::json(StatusCode::METHOD_NOT_ALLOWED, &refusal);
    }
    if request.headers().get(CONTENT_TYPE).is_none_or(|value| value != GRPC_WEB) {
        let refusal =
            Refusal::new(Code::Invalid, format!("a call must be {GRPC_WEB}; native gRPC is the core's"));
        return refuse::json(StatusCode::UNSUPPORTED_MEDIA_TYPE, &refusal);
    }
    match pass_on(app, request).await {
        Ok(response) => response,
        Err(refusal) => refuse::grpc_web(&refusal),
    }
}

async fn pass_on(app: &App, request: Request) -> Result<Response, Refusal> {
    let method = METHODS
        .iter()
        .find(|known| **known == request.uri().path())
        .ok_or_else(|| Refusal::new(Code::UnknownMethod, "pages may not call this method here"))?;
    let mut headers = headers_for_core(request.headers())?;
    let whose = Credential::of(&app.cookie, &app.installation, request.headers())?;
    headers.insert(AUTHORIZATION, whose.authorization(request.headers())?);
    headers.insert(ORIGIN, app.admission.origin().header()?);

    let message = body::collect(request.into_body()).await?;
    check_frame(&message)?;
    let mut to_core = http::Request::new(tonic::body::Body::new(http_body_util::Full::new(message)));
    *to_core.method_mut() = Method::POST;
    *to_core.uri_mut() = PathAndQuery::from_static(method).into();
    *to_core.headers_mut() = headers;
    let (span, begun) = (trace::call(method.trim_start_matches('/'), None), Instant::now());
    trace::pass_on(&span, to_core.headers_mut());
    let answer = timeout(limits::UNARY_DEADLINE, ask(app, to_core))
        .await
        .unwrap_or_else(|_| Err(refuse::late(app.upstream.health(), "the call took too long; try again")));
    app.meters.call.took(begun.elapsed());
    trace::ended(&span, answer.as_ref().map_or_else(|refusal| refusal.code, |_| Code::Done));
    answer
}

/// The headers of the page that the core may see. A header of ours that is not
/// the target is an attempt to forge one.
fn headers_for_core(page: &HeaderMap) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    let ours = |name: &HeaderName| TARGET.contains(name) || name == metadata::GUEST;
    let forged = page.keys().find(|name| name.as_str().starts_with(metadata::PREFIX) && !ours(name));
    if let Some(name) = forged {
        return Err(Refusal::new(Code::Forbidden, format!("a page may not send the header {name}")));
    }
    for name in TARGET.iter().chain([&GRPC_TIMEOUT]) {
        let mut values = page.get_all(name).iter();
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Err(Refusal::new(Code::Invalid, format!("the header {name} is there twice")));
        }
        headers.insert(name, value.clone());
    }
    Ok(headers)
}

/// A unary call is one frame: no flags, and the length that follows.
fn check_frame(body: &Bytes) -> Result<(), Refusal> {
    let head = body.first_chunk::<FRAME_HEAD>();
    match head {
        Some([0, a, b, c, d]) if u32::from_be_bytes([*a, *b, *c, *d]) as usize == body.len() - FRAME_HEAD => {
            Ok(())
        }
        _ => Err(Refusal::new(Code::Invalid, "the body must be one uncompressed message with its length")),
    }
}

async fn ask(app: &App, request: http::Request<tonic::body::Body>) -> Result<Response, Refusal> {
    let mut core = app.upstream.shared();
    let failed =
        |error: tonic::transport::Error| refuse::of_call(&tonic::Status::from_error(Box::new(error)));
    std::future::poll_fn(|context| core.poll_ready(context)).await.map_err(failed)?;
    let (head, body) = core.call(request).await.map_err(failed)?.into_parts();
    if head.status != StatusCode::OK {
        return Err(Refusal::new(Code::Internal, "the core's answer is not gRPC"));
    }
    let body = Limited::new(body, limits::UNARY_BYTES + FRAME_HEAD).collect().await;
    let body =
        body.map_err(|_| Refusal::new(Code::Internal, "the core's answer broke off or is too large"))?;
    let trailers = body.trailers().unwrap_or(&head.headers);
    let mut trailers_frame = BytesMut::new();
    for name in &TRAILERS {
        if let Some(value) = trailers.get(name) {
            trailers_frame.put_slice(name.as_str().as_bytes());
            trailers_frame.put_slice(b":");
            trailers_frame.put_slice(value.as_bytes());
            trailers_frame.put_slice(b"\r\n");
        }
    }
    if !trailers.contains_key(&TRAILERS[0]) {
        return Err(Refusal::new(Code::Internal, "the core's answer has no status"));
    }
    Ok(answer(body.to_bytes(), &trailers_frame))
}

/// The message and the trailers as the frames of gRPC-Web.
fn answer(message: Bytes, trailers: &[u8]) -> Response {
    let mut body = BytesMut::with_capacity(message.len() + FRAME_HEAD + trailers.len());
    body.put_slice(&message);
    body.put_u8(TRAILERS_FLAG);
    body.put_u32(u32::try_from(trailers.len()).unwrap_or(u32::MAX));
    body.put_slice(trailers);
    ([(CONTENT_TYPE, GRPC_WEB)], Body::from(body.freeze())).into_response()
}

#[cfg(test)]
mod tests {
    use chatcode_proto::{pb::Permission, rules::Rule};

    use super::*;

    #[test]
    fn every_listed_method_is_unary_and_needs_a_known_caller() {
        for method in METHODS {
            let rule = Rule::of(method).expect(method);
            assert!(!rule.client_streaming && !rule.server_streaming, "{method}");
            let is_of_people = method.ends_with("Member") || method.ends_with("Members");
            assert!(!matches!(rule.permission, Permission::Public | Permission::Link), "{method}");
            // The installation is operated from a command line.
            assert!(rule.permission != Permission::Admin || is_of_people, "{method}");
        }
    }

    #[test]
    fn only_the_target_and_the_deadline_pass() {
        let mut page = HeaderMap::new();
        for (name, value) in [
            ("chatcode-gateway", "g"),
            ("chatcode-session", "s"),
            ("chatcode-expect", "person/1"),
            ("grpc-timeout", "5S"),
            ("authorization", "Bearer mine"),
            ("cookie", "a=b"),
            ("grpc-encoding", "gzip"),
            ("x-forwarded-for", "192.0.2.1"),
        ] {
            page.insert(name, HeaderValue::from_static(value));
        }
        let passed = headers_for_core(&page).expect("is allowed");
        let mut names: Vec<&str> = passed.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["chatcode-expect", "chatcode-gateway", "chatcode-session", "content-type", "grpc-timeout", "te"]
        );
    }

    #[test]
    fn forged_metadata_is_refused() {
        for name in ["chatcode-grant-bin", "chatcode-code", "chatcode-anything"] {
            let page = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("x"))]);
            assert_eq!(headers_for_core(&page).expect_err(name).code, Code::Forbidden, "{name}");
        }
        let mut twice = HeaderMap::new();
        twice.append(&TARGET[0], HeaderValue::from_static("a"));
        twice.append(&TARGET[0], HeaderValue::from_static("b"));
        assert_eq!(headers_for_core(&twice).expect_err("is there twice").code, Code::Invalid);
    }

    #[test]
    fn a_body_is_exactly_one_message() {
        let frame = |bytes: &'static [u8]| check_frame(&Bytes::from_static(bytes)).is_ok();
        assert!(frame(&[0, 0, 0, 0, 0]) && frame(&[0, 0, 0, 0, 1, 7]));
        for bad in [
            &[][..],
            &[0, 0, 0, 0],
            &[1, 0, 0, 0, 0],
            &[0, 0, 0, 0, 1],
            &[0, 0, 0, 0, 0, 9],
            &[0x80, 0, 0, 0, 0],
        ] {
            assert!(check_frame(&Bytes::from_static(bad)).is_err(), "{bad:?}");
        }
    }
}

/// `just fuzz calls`.
#[cfg(test)]
mod fuzz {
    use chatcode_fuzz::{Target, sight, size};

    use super::*;

    const TARGET: Target = Target { name: "calls", words: WORDS, usual: 20_000, case };
    /// Ends the headers of an input; what follows is the body.
    const BODY: &[u8] = b"\n\n";
    /// All that the core may hear of a page.
    const PASSED: &[&str] =
        &["chatcode-expect", "chatcode-gateway", "chatcode-session", "content-type", "grpc-timeout", "te"];
    const WORDS: &[&[u8]] = &[
        b"\n\n\0\0\0\0\0",
        b"\n\n\0\0\0\0\x01x",
        b"\n\n\x80\0\0\0\0",
        b"\n\n\0\xff\xff\xff\xff",
        b"\n",
        b"chatcode-gateway: g",
        b"chatcode-session: s",
        b"chatcode-expect: person/1",
        b"chatcode-guest: 0a1b2c3d-0000-4000-8000-000000000000",
        b"chatcode-grant-bin: AAAA",
        b"chatcode-code: DONE",
        b"Chatcode-Subscriber: x",
        b"authorization: Bearer x",
        b"cookie: a=b",
        b"grpc-timeout: 5S",
        b"grpc-encoding: gzip",
        b"te: x",
        b"x-forwarded-for: 192.0.2.1",
        b": ",
        b"\0",
        b"\xff",
    ];

    #[test]
    fn of_any_headers_and_body_the_core_hears_the_target_and_one_message() {
        chatcode_fuzz::run(&TARGET, Vec::new());
    }

    fn case(input: &[u8]) -> Vec<u64> {
        let end = input.windows(BODY.len()).position(|part| part == BODY);
        let (head, body) = input.split_at(end.unwrap_or(input.len()));
        vec![headers(head), message(body.get(BODY.len()..).unwrap_or_default())]
    }

    fn headers(head: &[u8]) -> u64 {
        let mut page = HeaderMap::new();
        for line in head.split(|byte| *byte == b'\n').take(64) {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (HeaderName::from_bytes(&line[..colon]), line[colon + 1..].trim_ascii());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                page.append(name, value);
            }
        }
        match headers_for_core(&page) {
            Err(refusal) => {
                assert!(matches!(refusal.code, Code::Forbidden | Code::Invalid), "{:?}", refusal.code);
                sight(refusal.code.name())
            }
            Ok(passed) => {
                for (name, value) in &passed {
                    assert!(PASSED.contains(&name.as_str()), "the core hears {name}");
                    let is_ours = ["content-type", "te"].contains(&name.as_str());
                    assert!(is_ours || page.get(name) == Some(value), "{name} is another");
                    assert!(passed.get_all(name).iter().count() == 1, "{name} is there twice");
                }
                assert_eq!(passed[CONTENT_TYPE], GRPC, "a page says what a call is: see");
                let is_forged = |name: &&HeaderName| {
                    name.as_str().starts_with(metadata::PREFIX) && !TARGET_HEADERS.contains(&name.as_str())
                };
                assert_eq!(page.keys().find(is_forged), None, "a header of ours is passed over: see");
                sight(passed.len())
            }
        }
    }

    /// Headers of ours that a page may send.
    const TARGET_HEADERS: &[&str] =
        &["chatcode-gateway", "chatcode-session", "chatcode-expect", "chatcode-guest"];

    fn message(body: &[u8]) -> u64 {
        let taken = check_frame(&Bytes::copy_from_slice(body)).is_ok();
        // A call of one message and no more, as gRPC reads it.
        let length = body.get(1..FRAME_HEAD).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        let is_one = length.is_some_and(|length| {
            body[0] == 0 && u64::from(u32::from_be_bytes(length)) + FRAME_HEAD as u64 == body.len() as u64
        });
        assert_eq!(taken, is_one, "a body is judged otherwise than it is read: see");
        sight((taken, size(body.len())))
    }
}
