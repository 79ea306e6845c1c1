//! Who may read what a program tells of itself, and what a stranger may use up.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use chatcode_process::observe::{Meters, ObserveError, Observer, Readiness};
use chatcode_proto::limits;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;
use zeroize::Zeroizing;

const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn ready() -> Readiness {
    Box::pin(std::future::ready(Ok(())))
}

fn not_ready() -> Readiness {
    Box::pin(std::future::ready(Err("the cellar is dark".to_owned())))
}

fn serve(token: Option<&str>, readiness: fn() -> Readiness) -> (SocketAddr, AbortOnDropHandle<()>) {
    let token = token.map(|token| Zeroizing::new(format!("{token}\n").into_bytes()));
    let observer = Observer::bind(SocketAddr::from(([127, 0, 0, 1], 0)), token).unwrap();
    let address = observer.address();
    let serving = tokio::spawn(observer.serve(Meters::new("test", "1"), readiness));
    (address, AbortOnDropHandle::new(serving))
}

/// The answer to `head`, which lacks only its last lines; as much of it as came before the
/// connection was closed.
async fn ask(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Fails where it is closed already.
    let _ = stream.write_all(format!("{head}\r\n\r\n").as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end in time");
    String::from_utf8(answer).unwrap()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[tokio::test]
async fn metrics_health_and_readiness_are_told_on_this_machine() {
    let (address, _serving) = serve(None, ready);
    let metrics = ask(address, "GET /metrics HTTP/1.1\r\nHost: localhost:9464").await;
    assert_eq!(status(&metrics), "200");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{metrics}");
    assert!(metrics.contains("chatcode_test_build_info{version=\"1\"} 1.0\n"), "{metrics}");
    for (head, wanted) in [
        ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1", "200"),
        ("GET /healthz HTTP/1.0", "200"),
        ("GET /readyz HTTP/1.1\r\nHost: [::1]:1", "200"),
        ("HEAD /readyz HTTP/1.1\r\nHost: localhost", "200"),
        ("GET / HTTP/1.1\r\nHost: localhost", "404"),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0", "405"),
    ] {
        assert_eq!(status(&ask(address, head).await), wanted, "{head}");
    }
    let (address, _serving) = serve(None, not_ready);
    let answer = ask(address, "GET /readyz HTTP/1.1\r\nHost: localhost").await;
    assert_eq!(status(&answer), "503");
    assert!(answer.ends_with("the cellar is dark\n"), "{answer}");
    assert_eq!(status(&ask(address, "GET /healthz HTTP/1.1\r\nHost: localhost").await), "200");
}

#[tokio::test]
async fn a_page_whose_name_points_at_this_machine_reads_nothing() {
    let (address, _serving) = serve(None, ready);
    for host in
        ["evil.example.org", "evil.example.org:9464", "localhost.example.org", "127.0.0.1.example.org"]
    {
        for path in ["/metrics", "/readyz"] {
            let answer = ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {host}")).await;
            assert_eq!(status(&answer), "421", "{host}");
            assert!(!answer.contains("chatcode_"), "{answer}");
        }
    }
}

#[tokio::test]
async fn with_a_token_metrics_are_for_those_who_show_it() {
    let (address, _serving) = serve(Some(TOKEN), ready);
    let metrics = async |authorization: &str| {
        let head = format!("GET /metrics HTTP/1.1\r\nHost: machine.example.org{authorization}");
        status(&ask(address, &head).await).to_owned()
    };
    let with = |words: &str| format!("\r\nAuthorization: {words}");
    assert_eq!(metrics(&with(&format!("Bearer {TOKEN}"))).await, "200");
    assert_eq!(metrics("").await, "401");
    for wrong in ["Bearer", "Basic 0123", "Bearer 0123", &format!("Bearer {TOKEN}0"), TOKEN] {
        assert_eq!(metrics(&with(wrong)).await, "401", "{wrong:?}");
    }
    assert_eq!(status(&ask(address, "GET /readyz HTTP/1.1\r\nHost: machine.example.org").await), "200");
}

#[test]
fn an_address_for_others_needs_a_token_that_is_a_secret() {
    let open = SocketAddr::from(([0, 0, 0, 0], 0));
    let with = |token: &str| Observer::bind(open, Some(Zeroizing::new(token.as_bytes().to_vec())));
    assert!(matches!(Observer::bind(open, None), Err(ObserveError::Open(_))));
    assert!(matches!(with("short"), Err(ObserveError::Token { bytes: 5 })));
    assert!(matches!(with("two words are no token here"), Err(ObserveError::Token { .. })));
    assert!(matches!(with(&"x".repeat(1025)), Err(ObserveError::Token { .. })));
    assert!(with(TOKEN).is_ok());
}

#[tokio::test]
async fn a_stranger_takes_no_more_places_than_there_are_and_no_large_head_is_read() {
    let (address, _serving) = serve(None, ready);
    let mut silent = Vec::new();
    for _ in 0..limits::OBSERVERS {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let head = "GET /healthz HTTP/1.1\r\nHost: localhost";
    // They are accepted in their order.
    assert_eq!(ask(address, head).await, "", "there was a place");
    drop(silent);
    let again = async { while status(&ask(address, head).await) != "200" {} };
    timeout(PATIENCE, again).await.expect("places are free again");
    let large = format!("{head}\r\nx: {}", "x".repeat(2 * limits::OBSERVER_HEAD_BYTES));
    assert_ne!(status(&ask(address, &large).await), "200");
}

fn never_ready() -> Readiness {
    Box::pin(std::future::pending())
}

#[tokio::test]
async fn a_stranger_who_takes_too_long_is_cut_and_a_program_that_does_not_say_in_time_is_not_ready() {
    let (address, _serving) = serve(None, never_ready);
    let nearly = Duration::from_millis(500);
    let cut = async |begin: &str| {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("an end in time");
        let took = begun.elapsed();
        assert!(took + nearly >= limits::OBSERVER && took < 2 * limits::OBSERVER, "{took:?} for {begin:?}");
    };
    let asked = async {
        let begun = Instant::now();
        let answer = ask(address, "GET /readyz HTTP/1.1\r\nHost: localhost").await;
        let took = begun.elapsed();
        assert_eq!(status(&answer), "503");
        assert!(answer.ends_with("no answer in time\n"), "{answer}");
        assert!(took + nearly >= limits::READINESS && took < limits::OBSERVER, "{took:?}");
        assert_eq!(status(&ask(address, "GET /healthz HTTP/1.1\r\nHost: localhost").await), "200");
    };
    tokio::join!(cut(""), cut("GET /healthz HTTP/1.1\r\nHost: local"), asked);
}
