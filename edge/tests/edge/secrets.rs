//! What must not be in a log is not in a log.

use std::{
    io,
    sync::{Arc, Mutex},
};

use ::http::Method;
use chatcode_proto::pb::FleetListRequest;
use serde_json::json;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{
    house::House,
    http::{call, frame, send},
    ws::{Ws, attach},
};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn logs_hold_no_cookie_no_ticket_and_no_terminal_byte() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("debug,chatcode=trace,chatcode_edge=trace"))
        .with_ansi(false)
        .with_writer(captured.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("is the only one");

    let house = House::new().await;
    let seen = house.core.seen.clone();
    let headers = [
        ("host", house.edge.authority.as_str()),
        ("origin", house.edge.origin.as_str()),
        ("content-type", "application/json"),
    ];
    let body = json!({ "secret": seen.secret }).to_string();
    assert_eq!(send(&house.edge, Method::POST, "/api/sign-in", &headers, body).await.status, 200);
    assert_eq!(
        call(&house, "/chatcode.v1.Fleet/List", &[], frame(&FleetListRequest::default())).await.code(),
        "none"
    );
    let body =
        json!({ "secret": seen.link, "passphrase": "open the gate", "display_name": "Bo" }).to_string();
    assert_eq!(send(&house.edge, Method::POST, "/api/share/enter", &headers, body).await.status, 200);
    let mut ws = Ws::attached(&house.edge).await;
    ws.send("typed in private").await;
    assert_eq!(ws.binary().await, "typed in private");
    ws.send("end fenced").await;
    ws.closed().await;
    house.edge.stop.cancel();
    house.edge.serving.await.expect("ends well");

    let log = String::from_utf8_lossy(&captured.0.lock().expect("no test panicked")).into_owned();
    assert!(
        log.contains("a person signed in") && log.contains("a guest came in") && log.contains("fenced"),
        "the log is there: {log}"
    );
    for secret in [
        seen.secret.as_str(),
        &seen.token,
        &seen.link,
        &seen.guest,
        "open the gate",
        &attach().ticket,
        "typed in private",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
    let of_socket =
        |level: &'static str| log.lines().filter(move |l| l.contains(level) && l.contains("socket="));
    assert!(of_socket(" DEBUG ").count() > 0, "a socket is told at debug: {log}");
    assert_eq!(of_socket(" INFO ").count(), 0, "and not at info: {log}");
}
