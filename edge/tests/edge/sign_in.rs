//! The token stays in a cookie that no script reads.

use std::net::Ipv4Addr;

use ::http::Method;
use chatcode_proto::{
    limits,
    pb::{
        AccountsWhoAmIRequest, AccountsWhoAmIResponse, PasskeyProof, PasswordProof,
        accounts_sign_in_request::Proof,
    },
};
use prost::Message as _;
use serde_json::json;

use crate::{
    house::House,
    http::{Answer, call, frame, get, send, send_from},
    stub::Core,
};

async fn wrong_secret(house: &House, from: Ipv4Addr) -> Answer {
    let headers = [
        ("host", house.edge.authority.as_str()),
        ("origin", house.edge.origin.as_str()),
        ("content-type", "application/json"),
    ];
    let body = json!({ "secret": "w".repeat(43) }).to_string();
    send_from(from, &house.edge, Method::POST, "/api/sign-in", &headers, body).await
}

async fn post(house: &House, path: &str, kind: &str, cookie: &str, body: String) -> Answer {
    let headers = [
        ("host", house.edge.authority.as_str()),
        ("origin", house.edge.origin.as_str()),
        ("content-type", kind),
        ("cookie", cookie),
    ];
    send(&house.edge, Method::POST, path, &headers, body).await
}

async fn sign_in(house: &House, secret: &str) -> Answer {
    post(house, "/api/sign-in", "application/json", "", json!({ "secret": secret }).to_string()).await
}

#[tokio::test]
async fn a_sign_in_sets_a_cookie_and_tells_the_page_no_token() {
    let house = House::new().await;
    let seen = &house.core.seen;
    let answer = sign_in(&house, &seen.secret).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["display_name"], "Ada");
    assert!(answer.json()["expires_unix_ms"].is_u64());
    assert!(!String::from_utf8_lossy(&answer.body).contains(&seen.token));

    let cookie = answer.headers["set-cookie"].to_str().expect("is text");
    let mut parts = cookie.split("; ");
    assert_eq!(parts.next(), Some(house.cookie().as_str()));
    let flags: Vec<&str> = parts.collect();
    for flag in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=604800"] {
        assert!(flags.contains(&flag), "{flag} in {cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert_eq!(answer.headers["cache-control"], "no-store");

    let calls = seen.calls("/chatcode.v1.Accounts/SignIn");
    assert!(calls[0].contains(&format!("origin: {}", house.edge.origin)), "{calls:?}");
}

#[tokio::test]
async fn the_core_learns_which_browser_signs_in_and_which_session_it_had_before() {
    let house = House::new().await;
    let seen = &house.core.seen;
    sign_in(&house, &seen.secret).await;
    let first = seen.signed_in.lock().expect("no test panicked").clone();
    assert_eq!(
        (first.address.as_str(), first.device.as_str(), first.replaces.as_str()),
        ("127.0.0.1", "", "")
    );

    let headers = [
        ("host", house.edge.authority.as_str()),
        ("origin", house.edge.origin.as_str()),
        ("content-type", "application/json"),
        ("user-agent", "Browser/1 (System)"),
        ("cookie", &house.cookie()),
    ];
    let body = json!({ "secret": seen.secret }).to_string();
    let answer = send(&house.edge, Method::POST, "/api/sign-in", &headers, body).await;
    assert_eq!(answer.status, 200);
    let again = seen.signed_in.lock().expect("no test panicked").clone();
    assert_eq!((again.device.as_str(), again.replaces.as_str()), ("Browser/1 (System)", seen.token.as_str()));
}

#[tokio::test]
async fn the_cookie_is_the_credential_of_calls() {
    let house = House::new().await;
    let who = "/chatcode.v1.Accounts/WhoAmI";
    let (message, trailers) = call(&house, who, &[], frame(&AccountsWhoAmIRequest {})).await.frames();
    let answer = AccountsWhoAmIResponse::decode(message.expect("a message")).expect("is one");
    assert_eq!(answer.display_name, "Ada");
    assert!(trailers.contains("grpc-status:0"), "{trailers}");
    let calls = house.core.seen.calls(who);
    assert!(calls[0].contains(&format!("authorization: Bearer {}", house.core.seen.token)));
    assert!(!calls[0].iter().any(|header| header.starts_with("cookie")), "{calls:?}");

    for cookie in ["", "a=b", &format!("{}=nonsense", house.cookie_name())] {
        let answer = call(&house, who, &[("cookie", cookie)], frame(&AccountsWhoAmIRequest {})).await;
        assert_eq!(answer.code(), "unauthenticated", "{cookie:?}");
    }
    assert_eq!(house.core.seen.calls(who).len(), 1, "the edge refuses what is no credential");
}

#[tokio::test]
async fn a_wrong_secret_gives_no_cookie() {
    let house = House::new().await;
    let wrong = "w".repeat(43);
    for secret in [wrong.as_str(), "", "short", &"x".repeat(44), &format!("{}\n", &wrong[..42])] {
        let answer = sign_in(&house, secret).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "bad_token"), "{secret:?}");
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    for (kind, body, code) in [
        ("text/plain", "{}", "invalid"),
        ("application/x-www-form-urlencoded", "secret=x", "invalid"),
        ("application/json", "nonsense", "invalid"),
        ("application/json", "{\"secret\":1}", "invalid"),
        ("application/json", "{\"secret\":\"x\",\"more\":1}", "invalid"),
        ("application/json", "{}", "invalid"),
        ("application/json", "{\"secret\":\"x\",\"passkey\":{}}", "invalid"),
        ("application/json", "{\"password\":{\"email\":\"x\"}}", "invalid"),
    ] {
        let answer = post(&house, "/api/sign-in", kind, "", body.to_owned()).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{kind} {body}");
    }
    let large = "x".repeat(limits::HTTP_BODY_BYTES + 1);
    let answer = post(&house, "/api/sign-in", "application/json", "", large).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
}

/// The cookies that an answer sets, each up to its first attribute.
fn cookies(answer: &Answer) -> Vec<&str> {
    let lines = answer.headers.get_all("set-cookie").iter();
    lines.filter_map(|line| line.to_str().ok()?.split(';').next()).collect()
}

async fn begin(house: &House, body: &str) -> Answer {
    post(house, "/api/sign-in/begin", "application/json", "", body.to_owned()).await
}

#[tokio::test]
async fn a_challenge_stays_in_a_cookie_of_its_browser() {
    let house = House::new().await;
    let seen = &house.core.seen;
    let answer = begin(&house, "{\"method\":\"passkey\"}").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({ "passkey": { "challenge": "AQID" } }));
    assert!(!String::from_utf8_lossy(&answer.body).contains(&seen.challenge));
    let challenge = format!("{}-challenge={}", house.cookie_name(), seen.challenge);
    let cookie = answer.headers["set-cookie"].to_str().expect("is text");
    assert!(cookie.starts_with(&format!("{challenge}; ")), "{cookie}");
    for flag in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=300"] {
        assert!(cookie.split("; ").any(|part| part == flag), "{flag} in {cookie}");
    }
    let calls = seen.calls("/chatcode.v1.Accounts/BeginSignIn");
    assert!(calls[0].contains(&format!("origin: {}", house.edge.origin)), "{calls:?}");

    let proof = || json!({ "passkey": { "id": "AQID" }, "same_person": true }).to_string();
    let other = post(&house, "/api/sign-in", "application/json", "", proof()).await;
    assert_eq!((other.status, other.code().as_str()), (401, "bad_token"), "another browser");
    assert!(seen.calls("/chatcode.v1.Accounts/SignIn").is_empty(), "the core is not asked");
    let answer = post(&house, "/api/sign-in", "application/json", &challenge, proof()).await;
    assert_eq!(answer.status, 200);
    let gone = format!("{}-challenge=", house.cookie_name());
    assert_eq!(cookies(&answer), [house.cookie().as_str(), gone.as_str()], "it is spent");
    let told = seen.signed_in.lock().expect("no test panicked").clone();
    let passkey =
        PasskeyProof { challenge: seen.challenge.clone(), credential: "{\"id\":\"AQID\"}".to_owned() };
    assert_eq!((told.proof, told.same_person), (Some(Proof::Passkey(passkey)), true));
}

#[tokio::test]
async fn only_known_ways_begin_and_an_address_begins_so_often() {
    let house = House::new().await;
    for body in ["{}", "nonsense", "{\"method\":\"magic\"}", "{\"method\":\"passkey\",\"more\":1}"] {
        let answer = begin(&house, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid"), "{body}");
    }
    for _ in 0..limits::CHALLENGES_PER_ADDRESS_PER_MINUTE {
        assert_eq!(begin(&house, "{\"method\":\"passkey\"}").await.status, 200);
    }
    let mut tries = 0..5;
    while begin(&house, "{\"method\":\"passkey\"}").await.status != 429 {
        tries.next().expect("is limited before long");
    }
}

#[tokio::test]
async fn a_password_goes_to_the_core_and_no_further() {
    let house = House::new().await;
    let seen = &house.core.seen;
    let body = json!({ "password": { "email": "ada@example.org", "password": seen.secret } }).to_string();
    let answer = post(&house, "/api/sign-in", "application/json", "", body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(cookies(&answer), [house.cookie().as_str()]);
    assert!(!String::from_utf8_lossy(&answer.body).contains(&seen.secret));
    let told = seen.signed_in.lock().expect("no test panicked").clone();
    let password = PasswordProof { email: "ada@example.org".to_owned(), password: seen.secret.clone() };
    assert_eq!(told.proof, Some(Proof::Password(password)));
}

#[tokio::test]
async fn the_page_learns_which_ways_are_open() {
    let house = House::new().await;
    let answer = get(&house.edge, "/api/sign-in/methods").await;
    let work = json!([{ "id": "work", "name": "Work" }]);
    assert_eq!(
        answer.json(),
        json!({ "passkeys": true, "passwords": false, "mail": true, "providers": work })
    );
    assert_eq!(answer.headers["cache-control"], "no-store");
}

/// On Linux all of 127.0.0.0/8 is this machine.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_guesses_secrets_locks_out_nobody_else() {
    let house = House::new().await;
    let stranger = Ipv4Addr::new(127, 0, 0, 2);
    for _ in 0..limits::SIGN_IN_PER_ADDRESS_PER_MINUTE {
        assert_eq!(wrong_secret(&house, stranger).await.code(), "bad_token");
    }
    for _ in 0..3 {
        let answer = wrong_secret(&house, stranger).await;
        assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
        let after = answer.headers["retry-after"].to_str().expect("is text");
        let longest = 60 / limits::SIGN_IN_PER_ADDRESS_PER_MINUTE;
        assert!(after.parse().is_ok_and(|seconds| (1..=longest).contains(&seconds)), "{after}");
    }
    let asked = house.core.seen.calls("/chatcode.v1.Accounts/SignIn").len();
    assert_eq!(asked, limits::SIGN_IN_PER_ADDRESS_PER_MINUTE as usize, "the core is not asked beyond");
    assert_eq!(sign_in(&house, &house.core.seen.secret).await.status, 200);
}

#[tokio::test]
async fn a_sign_out_ends_the_session_and_removes_the_cookie() {
    let house = House::new().await;
    let answer = post(&house, "/api/sign-out", "application/json", &house.cookie(), String::new()).await;
    assert_eq!(answer.status, 200);
    let cookie = answer.headers["set-cookie"].to_str().expect("is text");
    assert!(cookie.starts_with(&format!("{}=;", house.cookie_name())), "{cookie}");
    assert!(
        cookie.contains("Max-Age=0") && cookie.contains("Secure") && cookie.contains("Path=/"),
        "{cookie}"
    );
    assert_eq!(house.core.seen.calls("/chatcode.v1.Accounts/SignOut").len(), 1);
}

#[tokio::test]
async fn a_sign_out_that_the_core_did_not_hear_of_keeps_the_cookie() {
    let house = House::new().await;
    let stale = format!("{}={}", house.cookie_name(), "x".repeat(43));
    let answer = post(&house, "/api/sign-out", "application/json", &stale, String::new()).await;
    assert_eq!(answer.code(), "unauthenticated");
    assert!(answer.headers.contains_key("set-cookie"), "the core knows no such session");

    let cookie = house.cookie();
    let House { ground, core, edge } = house;
    drop(core);
    let elsewhere = Core::start(&ground.core, "127.0.0.1:0").await;
    let house = House { ground, core: elsewhere, edge };
    let answer = post(&house, "/api/sign-out", "application/json", &cookie, String::new()).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "core_unreachable"));
    assert!(!answer.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn the_page_is_told_which_installation_it_is_of() {
    let house = House::new().await;
    let answer = get(&house.edge, "/api/installation").await.json();
    assert_eq!(answer["installation"], house.ground.edge.trust_domain().installation());
    assert_eq!(answer["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_program_is_told_where_the_core_is_and_which_roots_it_has_and_nothing_else() {
    let house = House::new().await;
    let answer = get(&house.edge, "/.well-known/chatcode").await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let answer = answer.json();
    assert_eq!(answer["installation"], house.ground.edge.trust_domain().installation());
    let core = answer["core"].as_str().expect("is text");
    assert!(core.starts_with("localhost:"), "{core}");
    let roots = answer["roots"].as_str().expect("is text");
    let roots = chatcode_certs::pem::read_certificates(roots.as_bytes()).expect("is PEM");
    assert_eq!(roots, house.ground.edge.roots());
    let keys: Vec<&String> = answer.as_object().expect("is one").keys().collect();
    assert_eq!(keys, ["core", "installation", "roots"]);
    assert_eq!(get(&house.edge, "/.well-known/other").await.status, 404);
}

#[tokio::test]
async fn mails_and_providers_have_challenge_cookies_of_their_own_that_no_script_reads() {
    let house = House::new().await;
    let begin = async |body: serde_json::Value| {
        post(&house, "/api/sign-in/begin", "application/json", "", body.to_string()).await
    };
    let mut names = Vec::new();
    for (body, answer) in [
        (json!({ "method": "mail", "address": "ada@example.org" }), json!({ "mail": true })),
        (json!({ "method": "provider", "id": "work" }), json!({ "provider": "https://id.example.org/work" })),
        (json!({ "method": "passkey" }), json!({ "passkey": { "challenge": "AQID" } })),
    ] {
        let begun = begin(body).await;
        assert_eq!((begun.status, begun.json()), (200, answer));
        let cookie = begun.headers["set-cookie"].to_str().expect("is text").to_owned();
        for flag in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
            assert!(cookie.contains(flag), "{flag} in {cookie}");
        }
        assert!(!String::from_utf8_lossy(&begun.body).contains(&house.core.seen.challenge));
        names.push(cookie.split_once('=').expect("has a value").0.to_owned());
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3, "{names:?}");
    let more = json!({ "method": "provider", "id": "work", "next": "https://attacker.test" });
    for wrong in [json!({ "method": "mail" }), more, json!({})] {
        assert_eq!(begin(wrong.clone()).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn an_answer_of_a_provider_counts_only_with_its_own_challenge() {
    let house = House::new().await;
    let provider = json!({ "provider": { "id": "work", "code": "c", "state": "s" } }).to_string();
    let asked = house.core.seen.count();
    for cookie in ["", &house.challenge("challenge"), &house.challenge("mail")] {
        let refused = post(&house, "/api/sign-in", "application/json", cookie, provider.clone()).await;
        assert_eq!(refused.json()["code"], "bad_token", "{cookie:?}");
    }
    assert_eq!(house.core.seen.count(), asked, "the core was not asked");
    let own = house.challenge("provider");
    let signed = post(&house, "/api/sign-in", "application/json", &own, provider).await;
    assert_eq!(signed.status, 200);
    let set: Vec<_> = signed.headers.get_all("set-cookie").iter().collect();
    assert_eq!(set.len(), 2, "the session begins and the challenge ends: {set:?}");
    for both in [
        json!({ "mail": { "link": "l", "code": "c" } }),
        json!({ "mail": {} }),
        json!({ "mail": { "code": "c" }, "secret": "s" }),
    ] {
        let refused = post(&house, "/api/sign-in", "application/json", "", both.to_string()).await;
        assert_eq!(refused.json()["code"], "invalid", "{both}");
    }
}
