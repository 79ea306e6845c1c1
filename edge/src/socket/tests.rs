//! A browser that is one too many, that pings without end, or that does not say goodbye.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{Router, extract::ws::WebSocket, routing::get};
use chatcode_certs::{Authority, IdentityCell, MemberName, tls};
use chatcode_proto::id::MemberId;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::*;
use crate::{
    admit::{Admission, Origin},
    app::Live,
    config::Config,
    forwarded::Proxies,
    listener,
    meters::EdgeMeters,
    release::Releases,
    sockets::Sockets,
    tries::Tries,
    upstream::Upstream,
};

/// Ends a test that would hang; nothing waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("comes in time")
}

/// What serves until it is dropped, and where.
struct Served {
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

async fn serve_here(router: Router) -> Served {
    let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = tcp.local_addr().expect("is bound");
    let meters = EdgeMeters::default();
    let tls = (watch::Sender::new(None).subscribe(), meters.handshakes_failed.clone());
    let serving = tokio::spawn(listener::serve(tcp, tls, router, CancellationToken::new()));
    Served { address, _serving: AbortOnDropHandle::new(serving) }
}

const ORIGIN: &str = "http://localhost:7420";
const NOWHERE: &str = "127.0.0.1:1";

/// An edge with room for so many sockets, and for so many that are only told that
/// there is none. Its core is nowhere.
async fn edge(places: usize, refusals: usize) -> Served {
    tls::install_provider();
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::open_or_create(folder.path()).expect("a CA");
    let name = MemberName::Edge(MemberId::from_random([2; 16]));
    let identity = authority.identity(&name, limits::EDGE_CERTIFICATE).expect("an identity");
    let cell = IdentityCell::new(identity).expect("a cell");
    let origin: Origin = ORIGIN.parse().expect("an origin");
    let meters = EdgeMeters::default();
    let upstream = Upstream::new(NOWHERE.to_owned(), &cell, meters.clone()).expect("a way");
    let config: Config = serde_json::from_str("{}").expect("all of it has a default");
    let releases = Releases::new(&config, &origin, NOWHERE, None);
    let live = Live { proxies: Proxies::default(), sign_ins: Tries::per_minute(1), releases };
    let sockets = Sockets::new(places, refusals, CancellationToken::new());
    let app = App::new(Admission::new(origin), live, Arc::new(upstream), cell, sockets, meters);
    serve_here(Router::new().route("/api/ws", get(open)).with_state(Arc::new(app))).await
}

type Client = WebSocketStream<TcpStream>;

/// A page's WebSocket.
async fn connect(edge: &Served) -> Result<Client, tungstenite::Error> {
    let mut request = format!("{}/api/ws", ORIGIN.replace("http", "ws")).into_client_request()?;
    request.headers_mut().insert("origin", ORIGIN.parse().expect("a value"));
    let stream = TcpStream::connect(edge.address).await.expect("connects");
    soon(client_async(request, stream)).await.map(|(socket, _)| socket)
}

/// The code with which the edge closes this one.
async fn closed(client: &mut Client) -> u16 {
    loop {
        if let Message::Close(frame) = soon(client.next()).await.expect("not cut").expect("not broken") {
            return frame.expect("has a code").code.into();
        }
    }
}

#[tokio::test]
async fn one_websocket_more_than_an_edge_holds_is_refused_with_limit_until_another_has_left() {
    let edge = edge(2, 8).await;
    let mut first = connect(&edge).await.expect("a place");
    let _second = connect(&edge).await.expect("a place");
    for _ in 0..3 {
        let mut late = connect(&edge).await.expect("is taken to be told");
        assert_eq!(closed(&mut late).await, Code::Limit.websocket());
    }
    // The others have their places, and are answered there.
    first.send(Message::Binary(Bytes::from_static(b"\xff\xff"))).await.expect("is sent");
    assert_eq!(closed(&mut first).await, Code::Invalid.websocket());
    drop(first);
    soon(async {
        loop {
            let mut next = connect(&edge).await.expect("is taken");
            next.send(Message::Binary(Bytes::from_static(b"\xff\xff"))).await.expect("is sent");
            if closed(&mut next).await == Code::Invalid.websocket() {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn of_those_that_are_one_too_many_only_some_are_told_on_a_websocket_and_the_others_by_http() {
    let edge = edge(0, 2).await;
    let silent = [connect(&edge).await.expect("is taken"), connect(&edge).await.expect("is taken")];
    let Err(tungstenite::Error::Http(answer)) = connect(&edge).await else {
        panic!("it was taken");
    };
    assert_eq!(answer.status(), 503);
    let words: serde_json::Value =
        serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).expect("is JSON");
    assert_eq!(words["code"], Code::Limit.name());
    drop(silent);
    soon(async { while connect(&edge).await.is_err() {} }).await;
}

#[tokio::test]
async fn a_browser_that_does_not_answer_the_close_of_its_websocket_is_cut_after_the_limit() {
    let edge = edge(0, 1).await;
    let begun = Instant::now();
    let mut silent = connect(&edge).await.expect("is taken");
    assert!(connect(&edge).await.is_err(), "its place is taken while it is waited for");
    // Read past the library, which would answer.
    let _ = soon(silent.get_mut().read_to_end(&mut Vec::new())).await;
    let took = begun.elapsed();
    assert!(took >= limits::WEBSOCKET_CLOSE, "{took:?}");
}

/// A browser, and the edge's end of it.
async fn pair() -> (Client, Browser, Served) {
    let (give, mut taken) = mpsc::channel::<WebSocket>(1);
    let upgrade = |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(|socket| async move { drop(give.send(socket).await) })
    };
    let served = serve_here(Router::new().route("/api/ws", get(upgrade))).await;
    let client = connect(&served).await.expect("a WebSocket");
    let socket = soon(taken.recv()).await.expect("is taken");
    (client, Browser::new(socket, &EdgeMeters::default()), served)
}

#[tokio::test]
async fn of_pings_that_a_page_sends_without_end_only_so_many_wait_for_their_answer() {
    let (mut page, browser, _served) = pair().await;
    let (mut body, mut pings) = browser.body(false, false);
    let most = u32::try_from(limits::WEBSOCKET_PINGS).expect("is small");
    for stamp in 0..most + 5 {
        page.send(Message::Text(format!("{{\"stamp\":{stamp}}}").into())).await.expect("is sent");
    }
    page.send(Message::Binary(Bytes::from_static(b"after them"))).await.expect("is sent");
    assert_eq!(soon(body.next()).await.expect("goes on"), "after them");
    let waiting: Vec<Stamp> = std::iter::from_fn(|| pings.try_recv().ok()).collect();
    assert_eq!(waiting, (0..most).collect::<Vec<_>>(), "those beyond are not answered");
}
