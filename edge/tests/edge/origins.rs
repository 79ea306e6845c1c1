//! Only our page is let in.

use ::http::Method;
use bytes::Bytes;
use chatcode_proto::pb::FleetListRequest;
use tokio_tungstenite::tungstenite::Error;

use crate::{
    house::House,
    http::{call, frame, get, send},
    stub::SHARE,
    ws::connect,
};

/// Origins that are not the page's, for an edge at `localhost:PORT`.
fn strangers(house: &House) -> Vec<String> {
    let port = house.edge.address.port();
    vec![
        "null".to_owned(),
        "http://localhost".to_owned(),
        format!("http://localhost:{}", port ^ 1),
        format!("https://localhost:{port}"),
        format!("http://127.0.0.1:{port}"),
        format!("http://LOCALHOST:{port}"),
        format!("http://localhost.:{port}"),
        format!("http://evil-localhost:{port}"),
        format!("http://localhost:{port}.evil.test"),
        format!("https://localhost.evil.test:{port}"),
        format!("http://user@localhost:{port}"),
        format!("http://localhost:{port}/"),
    ]
}

#[tokio::test]
async fn calls_of_other_pages_never_reach_the_core() {
    let house = House::new().await;
    let body = frame(&FleetListRequest::default());
    let list = "/chatcode.v1.Fleet/List";
    for origin in strangers(&house).iter().map(String::as_str).chain([""]) {
        let answer = call(&house, list, &[("origin", origin)], body.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "bad_origin"), "{origin:?}");
    }
    for site in ["cross-site", "same-site", "none"] {
        let answer = call(&house, list, &[("sec-fetch-site", site)], body.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "bad_origin"), "{site}");
    }
    assert_eq!(house.core.seen.count(), 0);
    assert_eq!(call(&house, list, &[], body).await.code(), "none", "our page is let in");
    assert_eq!(house.core.seen.count(), 1);
}

#[tokio::test]
async fn sockets_of_other_pages_are_not_opened() {
    let house = House::new().await;
    for origin in strangers(&house) {
        let refused = connect(&house.edge, &[("origin", &origin)]).await.err().expect("is refused");
        assert!(matches!(&refused, Error::Http(answer) if answer.status() == 403), "{origin}: {refused}");
    }
    let refused = connect(&house.edge, &[]).await.err().expect("is refused");
    assert!(matches!(&refused, Error::Http(answer) if answer.status() == 403), "no origin: {refused}");
    let ours = house.edge.origin.clone();
    let refused = connect(&house.edge, &[("origin", &ours), ("sec-fetch-site", "cross-site")]).await;
    assert!(refused.is_err(), "another site caused it");
    assert!(connect(&house.edge, &[("origin", &ours)]).await.is_ok(), "our page is let in");
}

#[tokio::test]
async fn ways_in_and_out_are_for_our_page_only() {
    let house = House::new().await;
    for path in ["/api/sign-in", "/api/sign-in/begin", "/api/sign-out", "/api/share/look", "/api/share/enter"]
    {
        for origin in strangers(&house) {
            let headers = [
                ("host", house.edge.authority.as_str()),
                ("origin", origin.as_str()),
                ("content-type", "application/json"),
            ];
            let answer = send(&house.edge, Method::POST, path, &headers, Bytes::from("{}")).await;
            assert_eq!((answer.status, answer.code().as_str()), (403, "bad_origin"), "{path} {origin}");
            assert!(!answer.headers.contains_key("set-cookie"));
        }
    }
    assert_eq!(house.core.seen.count(), 0);
}

#[tokio::test]
async fn a_rebound_name_gets_nothing() {
    let house = House::new().await;
    let port = house.edge.address.port();
    for host in [
        "attacker.test".to_owned(),
        format!("attacker.test:{port}"),
        format!("127.0.0.1:{port}"),
        format!("localhost.:{port}"),
        "localhost".to_owned(),
    ] {
        for path in [
            "/",
            "/index.html",
            "/api/health",
            "/api/installation",
            "/.well-known/chatcode",
            "/api/ws",
            "/nothing",
        ] {
            let headers = [("host", host.as_str()), ("x-forwarded-host", house.edge.authority.as_str())];
            let answer = send(&house.edge, Method::GET, path, &headers, Bytes::new()).await;
            assert_eq!((answer.status, answer.code().as_str()), (421, "bad_origin"), "{host} {path}");
        }
    }
    assert_eq!(get(&house.edge, "/").await.status, 200);
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_the_page_to_itself() {
    let house = House::new().await;
    for path in ["/", &format!("/s/{SHARE}"), "/api/health", "/nothing", "/healthz"] {
        let headers = get(&house.edge, path).await.headers;
        let policy = headers["content-security-policy"].to_str().expect("is text");
        for part in [
            "default-src 'none'",
            "script-src 'self';",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin", "{path}");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin", "{path}");
        assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
        assert!(headers.contains_key("cache-control"), "{path}");
    }
}
