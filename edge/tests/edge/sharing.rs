//! Guests come in by a link, and are guests only where their page says so.

use std::net::Ipv4Addr;

use ::http::Method;
use chatcode_proto::{
    limits,
    pb::{AccountsWhoAmIRequest, AccountsWhoAmIResponse, FleetListRequest},
};
use prost::Message as _;
use serde_json::{Value, json};

use crate::{
    house::House,
    http::{Answer, call, frame, get, send, send_from},
    stub::SHARE,
};

const WHO: &str = "/chatcode.v1.Accounts/WhoAmI";
/// A link that is another one.
const OTHER: &str = "0a1b2c3e-0000-4000-8000-000000000000";

async fn post(house: &House, path: &str, cookie: &str, body: Value) -> Answer {
    post_from(Ipv4Addr::LOCALHOST, house, path, &[("cookie", cookie)], body).await
}

async fn post_from(from: Ipv4Addr, house: &House, path: &str, more: &[(&str, &str)], body: Value) -> Answer {
    let mut headers = vec![
        ("host", house.edge.authority.as_str()),
        ("origin", house.edge.origin.as_str()),
        ("content-type", "application/json"),
        ("user-agent", "Browser/1 (System)"),
    ];
    headers.extend(more);
    send_from(from, &house.edge, Method::POST, path, &headers, body.to_string()).await
}

async fn look(house: &House, cookie: &str) -> Answer {
    post(house, "/api/share/look", cookie, json!({ "secret": house.core.seen.link })).await
}

async fn enter(house: &House, cookie: &str) -> Answer {
    let body = json!({
        "secret": house.core.seen.link, "passphrase": "open the gate", "display_name": "Bo",
    });
    post(house, "/api/share/enter", cookie, body).await
}

/// The cookie of a guest of this link.
fn guest(house: &House, share: &str) -> String {
    format!("{}-guest-{}={}", house.cookie_name(), &share[..8], house.core.seen.guest)
}

/// Who calls, as the core is told by a page with this cookie and these headers.
async fn who(house: &House, cookie: &str, more: &[(&str, &str)]) -> Answer {
    let headers: Vec<_> = [("cookie", cookie)].into_iter().chain(more.iter().copied()).collect();
    call(house, WHO, &headers, frame(&AccountsWhoAmIRequest {})).await
}

fn name(answer: &Answer) -> String {
    let message = answer.frames().0.expect("a message");
    AccountsWhoAmIResponse::decode(message).expect("is one").display_name
}

#[tokio::test]
async fn a_look_tells_what_a_link_leads_to_and_who_is_signed_in_and_sets_nothing() {
    let house = House::new().await;
    let answer = look(&house, "").await;
    assert_eq!(answer.status, 200);
    let expected = json!({
        "guest_of": {
            "share": SHARE, "gateway": "01010101-0101-4101-8101-010101010101",
            "session": "02020202-0202-4202-8202-020202020202", "session_name": "build", "role": "writer",
            "expires_unix_ms": u64::MAX, "shared_by": "Ada",
        },
        "passphrase": true, "accounts_only": false, "signed_in_as": "", "is_in": false,
    });
    assert_eq!(answer.json(), expected);
    assert!(!answer.headers.contains_key("set-cookie"));
    assert_eq!(answer.headers["cache-control"], "no-store");

    let answer = look(&house, &house.cookie()).await.json();
    assert_eq!((&answer["signed_in_as"], &answer["is_in"]), (&json!("Ada"), &json!(false)));
    let answer = look(&house, &guest(&house, SHARE)).await.json();
    assert_eq!((&answer["signed_in_as"], &answer["is_in"]), (&json!(""), &json!(true)));
    let answer = look(&house, &guest(&house, OTHER)).await.json();
    assert_eq!(answer["is_in"], false, "a guest of another link");
}

#[tokio::test]
async fn who_comes_in_gets_a_cookie_of_the_link_and_the_page_gets_no_token() {
    let house = House::new().await;
    let seen = &house.core.seen;
    let answer = enter(&house, &house.cookie()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["display_name"], "Bo (guest)");
    assert_eq!(answer.json()["guest_of"]["share"], SHARE);
    assert!(!String::from_utf8_lossy(&answer.body).contains(&seen.guest));
    let set: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(set.len(), 1, "the account's is left alone");
    let mut parts = set[0].to_str().expect("is text").split("; ");
    assert_eq!(parts.next(), Some(guest(&house, SHARE).as_str()));
    let flags: Vec<&str> = parts.collect();
    assert_eq!(flags, ["Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=2592000"]);
    assert_eq!(answer.headers["cache-control"], "no-store");

    let told = seen.entered.lock().expect("no test panicked").clone();
    assert_eq!((told.passphrase.as_str(), told.display_name.as_str()), ("open the gate", "Bo"));
    assert_eq!((told.device.as_str(), told.address.as_str()), ("Browser/1 (System)", "127.0.0.1"));
    assert_eq!((told.account.as_str(), told.again.as_str()), (seen.token.as_str(), ""));
}

#[tokio::test]
async fn a_browser_comes_back_as_the_guest_that_it_was_by_this_link_and_by_no_other() {
    let house = House::new().await;
    let seen = &house.core.seen;
    for (share, again) in [(SHARE, seen.guest.as_str()), (OTHER, "")] {
        assert_eq!(enter(&house, &guest(&house, share)).await.status, 200);
        let told = seen.entered.lock().expect("no test panicked").clone();
        assert_eq!((told.again.as_str(), told.account.as_str()), (again, ""), "{share}");
    }
}

#[tokio::test]
async fn a_page_of_a_guest_calls_as_the_guest_and_any_other_as_the_account() {
    let house = House::new().await;
    let both = format!("{}; {}", house.cookie(), guest(&house, SHARE));
    let as_guest = [("chatcode-guest", SHARE)];
    assert_eq!(name(&who(&house, &both, &as_guest).await), "Bo (guest)");
    assert_eq!(name(&who(&house, &both, &[]).await), "Ada");
    let calls = house.core.seen.calls(WHO);
    assert!(calls[0].contains(&format!("authorization: Guest {}", house.core.seen.guest)), "{calls:?}");
    assert!(calls[1].contains(&format!("authorization: Bearer {}", house.core.seen.token)), "{calls:?}");
    assert!(!calls[0].iter().any(|header| header.starts_with("chatcode-guest")), "{calls:?}");

    let before = house.core.seen.count();
    let refused = [
        ("the account does not stand in for a guest", house.cookie(), &as_guest[..], "unauthenticated"),
        ("a guest does not stand in for the account", guest(&house, SHARE), &[], "unauthenticated"),
        ("nor one guest for another", guest(&house, OTHER), &as_guest, "unauthenticated"),
        ("no link", both.clone(), &[("chatcode-guest", "0a1b2c3d")], "invalid"),
        ("two links", both.clone(), &[as_guest[0], ("chatcode-guest", OTHER)], "invalid"),
    ];
    for (what, cookie, headers, code) in refused {
        assert_eq!(who(&house, &cookie, headers).await.code(), code, "{what}");
    }
    assert_eq!(house.core.seen.count(), before, "the core is not asked");
    let list = [("cookie", both.as_str()), as_guest[0]];
    let answer = call(&house, "/chatcode.v1.Fleet/List", &list, frame(&FleetListRequest::default())).await;
    assert_eq!(answer.code(), "unauthenticated", "the core judges the guest, not the account");
}

#[tokio::test]
async fn a_guest_who_leaves_is_forgotten_and_the_account_stays() {
    let house = House::new().await;
    let both = format!("{}; {}", house.cookie(), guest(&house, SHARE));
    let leave = async |share: &str, cookie: &str| {
        let more = [("cookie", cookie), ("chatcode-guest", share)];
        post_from(Ipv4Addr::LOCALHOST, &house, "/api/sign-out", &more, json!({})).await
    };
    let answer = leave(SHARE, &both).await;
    assert_eq!(answer.status, 200);
    let set: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    let gone = format!("{}-guest-0a1b2c3d=; ", house.cookie_name());
    assert_eq!(set.len(), 1);
    let set = set[0].to_str().expect("is text");
    assert!(set.starts_with(&gone) && set.contains("Max-Age=0"), "{set}");
    let calls = house.core.seen.calls("/chatcode.v1.Accounts/SignOut");
    assert!(calls[0].contains(&format!("authorization: Guest {}", house.core.seen.guest)), "{calls:?}");

    assert_eq!(leave("nonsense", &both).await.code(), "invalid");
    assert_eq!(leave(SHARE, &house.cookie()).await.code(), "unauthenticated");
    assert_eq!(house.core.seen.calls("/chatcode.v1.Accounts/SignOut").len(), 1, "nobody else is signed out");
}

#[tokio::test]
async fn a_link_that_does_not_count_sets_no_cookie_and_nonsense_never_reaches_the_core() {
    let house = House::new().await;
    for path in ["/api/share/look", "/api/share/enter"] {
        for cookie in ["", &guest(&house, SHARE)] {
            let answer = post(&house, path, cookie, json!({ "secret": "w".repeat(43) })).await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "bad_token"), "{path} {cookie}");
            assert!(!answer.headers.contains_key("set-cookie"));
        }
    }
    let before = house.core.seen.count();
    for body in [json!({}), json!({ "secret": 1 }), json!({ "secret": "x", "more": 1 }), json!("nonsense")] {
        for path in ["/api/share/look", "/api/share/enter"] {
            let answer = post(&house, path, "", body.clone()).await;
            assert_eq!((answer.status, answer.code().as_str()), (400, "invalid"), "{path} {body}");
        }
    }
    assert_eq!(house.core.seen.count(), before);
    let headers = [("host", house.edge.authority.as_str())];
    let answer = send(&house.edge, Method::GET, "/api/share/enter", &headers, "").await;
    assert_eq!(answer.status, 405);
}

/// On Linux all of 127.0.0.0/8 is this machine.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_tries_links_keeps_nobody_else_out() {
    let house = House::new().await;
    let stranger = Ipv4Addr::new(127, 0, 0, 2);
    let wrong = json!({ "secret": "w".repeat(43) });
    for number in 0..limits::SHARE_TRIES_PER_ADDRESS_PER_MINUTE {
        let path = if number % 2 == 0 { "/api/share/look" } else { "/api/share/enter" };
        assert_eq!(post_from(stranger, &house, path, &[], wrong.clone()).await.code(), "bad_token");
    }
    let mut tries = 0..5;
    let limited = loop {
        let answer = post_from(stranger, &house, "/api/share/look", &[], wrong.clone()).await;
        if answer.status == 429 {
            assert!(answer.headers.contains_key("retry-after"), "{:?}", answer.headers);
            break answer.json();
        }
        tries.next().expect("is limited before long");
    };
    let words = "too much was tried from your address; wait a minute and try again";
    assert_eq!(limited["message"], words, "it is not about signing in");
    assert_eq!(look(&house, "").await.status, 200);
    assert_eq!(enter(&house, "").await.status, 200);
}

#[tokio::test]
async fn each_link_has_the_page_of_its_guests_and_nothing_else_is_below_it() {
    let house = House::new().await;
    let page = get(&house.edge, "/").await;
    let of_guests = get(&house.edge, &format!("/s/{SHARE}")).await;
    assert_eq!((of_guests.status, &of_guests.body), (200, &page.body));
    assert_eq!(of_guests.headers["content-type"], page.headers["content-type"]);
    for path in ["/s/", "/s", "/s/x", &format!("/s/{SHARE}/"), &format!("/s/{SHARE}/x"), "/s/../index.html"] {
        assert_eq!(get(&house.edge, path).await.status, 404, "{path}");
    }
}
