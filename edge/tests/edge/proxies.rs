//! Behind a proxy: of those that the settings name it is believed from where a request
//! comes, and nothing else; of all others nothing (threat T3).

use std::net::Ipv4Addr;

use ::http::Method;
use chatcode_proto::limits;
use serde_json::json;

use crate::{
    house::{Ground, House, run},
    http::{Answer, send_from},
    stub::Core,
};

const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

async fn behind_a_proxy() -> House {
    let ground = Ground::new();
    let core = Core::start(&ground.core, "127.0.0.1:0").await;
    let mut config = ground.config(core.address.to_string());
    config.trusted_proxies = vec![PROXY.to_string()];
    let edge = run(&config).await;
    House { ground, core, edge }
}

/// A wrong sign-in from this address that was forwarded for another one.
async fn wrong(house: &House, from: Ipv4Addr, forwarded: &[(&str, &str)]) -> Answer {
    let mut headers = vec![
        ("host", house.edge.authority.as_str()),
        ("origin", house.edge.origin.as_str()),
        ("content-type", "application/json"),
    ];
    headers.extend(forwarded);
    let body = json!({ "secret": "w".repeat(43) }).to_string();
    send_from(from, &house.edge, Method::POST, "/api/sign-in", &headers, body).await
}

#[tokio::test]
async fn people_behind_a_proxy_have_their_tries_each_and_their_address_reaches_the_core() {
    let house = behind_a_proxy().await;
    for _ in 0..limits::SIGN_IN_PER_ADDRESS_PER_MINUTE {
        let answer = wrong(&house, PROXY, &[("x-forwarded-for", "6.6.6.6, 198.51.100.7")]).await;
        assert_eq!(answer.code(), "bad_token");
    }
    let ada = wrong(&house, PROXY, &[("x-forwarded-for", "7.7.7.7, 198.51.100.7")]).await;
    assert_eq!(ada.code(), "rate_limited", "what she writes before it does not make her another one");
    let bob = wrong(&house, PROXY, &[("x-forwarded-for", "198.51.100.8")]).await;
    assert_eq!(bob.code(), "bad_token");
    let addresses = house.core.seen.sign_in_addresses();
    assert_eq!(addresses.first().map(String::as_str), Some("198.51.100.7"));
    assert_eq!(addresses.last().map(String::as_str), Some("198.51.100.8"));
}

#[tokio::test]
async fn t03_a_stranger_who_names_other_addresses_is_the_one_whom_the_connection_shows() {
    let house = behind_a_proxy().await;
    for number in 0..limits::SIGN_IN_PER_ADDRESS_PER_MINUTE {
        let mine = format!("198.51.100.{number}");
        assert_eq!(wrong(&house, STRANGER, &[("x-forwarded-for", &mine)]).await.code(), "bad_token");
    }
    let more =
        wrong(&house, STRANGER, &[("x-forwarded-for", "198.51.100.99"), ("x-real-ip", "1.2.3.4")]).await;
    assert_eq!(more.code(), "rate_limited");
    assert!(house.core.seen.sign_in_addresses().iter().all(|address| *address == STRANGER.to_string()));
}

#[tokio::test]
async fn t03_no_forwarded_header_makes_another_page_of_ours() {
    let house = behind_a_proxy().await;
    for from in [PROXY, STRANGER] {
        let headers = [
            ("host", "evil.example"),
            ("origin", "https://evil.example"),
            ("x-forwarded-host", house.edge.authority.as_str()),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=192.0.2.1;host=localhost;proto=https"),
            ("content-type", "application/json"),
        ];
        let answer = send_from(from, &house.edge, Method::POST, "/api/sign-in", &headers, "{}").await;
        assert_eq!(answer.status, 421, "the host is not ours");
        let headers = [
            ("host", house.edge.authority.as_str()),
            ("origin", "https://evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("content-type", "application/json"),
        ];
        let answer = send_from(from, &house.edge, Method::POST, "/api/sign-in", &headers, "{}").await;
        assert_eq!(answer.code(), "bad_origin");
    }
    assert!(house.core.seen.sign_in_addresses().is_empty());
}
