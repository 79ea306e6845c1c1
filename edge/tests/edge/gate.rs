//! What is not a listed call of the page is closed.

use ::http::Method;
use bytes::Bytes;
use chatcode_proto::{
    limits,
    pb::{AccountsCreateTicketRequest, FleetListRequest},
    rules::RULES,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    house::{House, soon},
    http::{call, frame, send},
};

const LIST: &str = "/chatcode.v1.Fleet/List";
/// What the page may call as gRPC-Web, and nothing more.
const OPEN: &[&str] = &[
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

#[tokio::test]
async fn only_listed_methods_pass() {
    let house = House::new().await;
    for (method, _) in RULES.iter().filter(|(method, _)| !OPEN.contains(method)) {
        let answer = call(&house, method, &[], frame(&FleetListRequest::default())).await;
        assert_eq!(answer.code(), "unknown_method", "{method}");
    }
    for other in [
        "/chatcode.v1.Fleet/list",
        "/chatcode.v1.Fleet/List/",
        "/chatcode.v1.Fleet//List",
        "/chatcode.v1.Fleet/%4cist",
        "/chatcode.v1.Fleet/List?x=y/../Watch",
        "/chatcode.v1./List",
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ] {
        let answer = call(&house, other, &[], frame(&FleetListRequest::default())).await;
        let passes = other.starts_with("/chatcode.v1.Fleet/List?");
        assert_eq!(answer.code(), if passes { "none" } else { "unknown_method" }, "{other}");
    }
    let calls = house.core.seen.count();
    assert_eq!(calls, 1, "a query is not passed on, the method is");
    for method in OPEN {
        call(&house, method, &[], frame(&FleetListRequest::default())).await;
    }
    let reached = OPEN.iter().filter(|method| !house.core.seen.calls(method).is_empty()).count();
    assert_eq!(reached, OPEN.len());
}

#[tokio::test]
async fn only_binary_grpc_web_is_spoken() {
    let house = House::new().await;
    for kind in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc-web",
        "application/grpc-web-text",
        "application/grpc-web+json",
        "application/grpc-web+proto; charset=utf-8",
        "application/json",
        "text/plain",
        "",
    ] {
        let answer = call(&house, LIST, &[("content-type", kind)], frame(&FleetListRequest::default())).await;
        assert_eq!((answer.status, answer.code().as_str()), (415, "invalid"), "{kind:?}");
    }
    let headers = [("host", house.edge.authority.as_str()), ("origin", house.edge.origin.as_str())];
    for method in [Method::GET, Method::PUT, Method::OPTIONS] {
        let answer = send(&house.edge, method.clone(), LIST, &headers, Bytes::new()).await;
        assert_eq!(answer.status, 405, "{method}");
    }
    assert_eq!(house.core.seen.count(), 0);
}

#[tokio::test]
async fn http2_in_the_clear_is_not_spoken() {
    let house = House::new().await;
    let mut stream = TcpStream::connect(house.edge.address).await.expect("connects");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("is sent");
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 400"), "{text}");

    let headers = [
        ("host", house.edge.authority.as_str()),
        ("connection", "upgrade, http2-settings"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
    ];
    let answer = send(&house.edge, Method::GET, "/healthz", &headers, Bytes::new()).await;
    assert_eq!(answer.status, 200, "an upgrade to h2c is not answered");
}

#[tokio::test]
async fn forged_metadata_is_refused_and_the_target_passes() {
    let house = House::new().await;
    for forged in ["chatcode-grant-bin", "chatcode-code", "chatcode-principal"] {
        let answer = call(&house, LIST, &[(forged, "AAAA")], frame(&FleetListRequest::default())).await;
        assert_eq!(answer.code(), "forbidden", "{forged}");
    }
    assert_eq!(house.core.seen.count(), 0);
    let target = [
        ("chatcode-gateway", "01010101-0101-4101-8101-010101010101"),
        ("chatcode-session", "02020202-0202-4202-8202-020202020202"),
        ("authorization", "Bearer of-somebody-else"),
        ("grpc-timeout", "5S"),
        ("x-forwarded-for", "192.0.2.1"),
    ];
    assert_eq!(call(&house, LIST, &target, frame(&FleetListRequest::default())).await.code(), "none");
    let seen = house.core.seen.calls(LIST).remove(0);
    for (name, value) in target.iter().filter(|(name, _)| name.starts_with("chatcode-")) {
        assert!(seen.contains(&format!("{name}: {value}")), "{seen:?}");
    }
    assert!(seen.contains(&format!("authorization: Bearer {}", house.core.seen.token)), "{seen:?}");
    assert!(!seen.iter().any(|header| header.starts_with("x-forwarded")), "{seen:?}");
}

#[tokio::test]
async fn bodies_are_one_message_of_bounded_size() {
    let house = House::new().await;
    let large = vec![0; limits::HTTP_BODY_BYTES + 1];
    assert_eq!(call(&house, LIST, &[], large).await.code(), "too_large");
    for garbage in
        [&b""[..], b"\0", b"\0\0\0\0\x09x", b"\x01\0\0\0\0", b"\x80\0\0\0\0", b"\0\0\0\0\0\0\0\0\0\0"]
    {
        assert_eq!(call(&house, LIST, &[], garbage).await.code(), "invalid", "{garbage:?}");
    }
    assert_eq!(house.core.seen.count(), 0);
}

#[tokio::test]
async fn the_cores_own_causes_reach_the_page() {
    let house = House::new().await;
    let path = "/chatcode.v1.Accounts/CreateTicket";
    let answer = call(&house, path, &[], frame(&AccountsCreateTicketRequest::default())).await;
    assert_eq!((answer.status, answer.code().as_str()), (200, "unknown_gateway"));
    assert_eq!(answer.headers["content-type"], "application/grpc-web+proto");
    let (message, trailers) = answer.frames();
    assert!(message.is_none() && trailers.contains("grpc-status:5"), "{trailers}");
}

#[tokio::test]
async fn t06_no_door_opens_without_a_credential() {
    let house = House::new().await;
    let headers = [
        ("host", house.edge.authority.as_str()),
        ("origin", house.edge.origin.as_str()),
        ("content-type", "application/grpc-web+proto"),
    ];
    for method in OPEN {
        let body = frame(&FleetListRequest::default());
        let answer = send(&house.edge, Method::POST, method, &headers, body).await;
        assert_eq!(answer.code(), "unauthenticated", "{method}");
    }
    let json = [headers[0], headers[1], ("content-type", "application/json")];
    for path in ["/api/sign-out", "/api/ws", "/api/anything", "/api/share/enter", "/api/sign-in"] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            let answer = send(&house.edge, method.clone(), path, &json, "{}").await;
            assert!(answer.status >= 400, "{method} {path}: {}", answer.status);
        }
    }
    assert_eq!(house.core.seen.count(), 0, "the core was not asked");
}
