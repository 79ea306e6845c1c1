//! Connections that take their time are cut. All of them wait side by side, by
//! the real clock.

use std::time::{Duration, Instant};

use chatcode_certs::tls;
use chatcode_proto::{limits, pb::Code};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::TlsConnector;

use crate::{
    house::{Ground, House, soon},
    http::get,
    stub::Core,
    tls::with_tls,
    ws::Ws,
};

/// More than the kernel keeps of what is written to one connection.
const KERNEL_BYTES: usize = 32 * 1024 * 1024;

/// Sends this and nothing more; how long until the edge hangs up.
async fn until_cut(house: &House, begin: &[u8]) -> Duration {
    let mut stream = TcpStream::connect(house.edge.address).await.expect("connects");
    let begun = Instant::now();
    stream.write_all(begin).await.expect("is sent");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    begun.elapsed()
}

#[tokio::test]
async fn whoever_takes_too_long_is_cut_and_nobody_else() {
    let house = House::new().await;
    tokio::join!(
        requests_that_do_not_arrive(&house),
        a_trickle_of_headers(&house),
        a_reader_that_takes_nothing(&house),
        a_handshake_that_does_not_come(),
        http2_that_does_not_begin_or_asks_for_nothing(),
        a_socket_without_a_first_message(&house),
        a_browser_that_falls_silent(&house),
        a_page_that_is_alive(&house),
    );
}

async fn requests_that_do_not_arrive(house: &House) {
    let post = format!(
        "POST /api/sign-in HTTP/1.1\r\nhost: {}\r\norigin: {}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        house.edge.authority, house.edge.origin
    );
    let cut = |begin: Vec<u8>| async move {
        let took = until_cut(house, &begin).await;
        assert!(took <= 3 * limits::HANDSHAKE, "{took:?} for {:?}", String::from_utf8_lossy(&begin));
    };
    tokio::join!(
        cut(Vec::new()),
        cut(b"G".to_vec()),
        cut(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ".to_vec()),
        cut(post.into_bytes()),
    );
}

async fn a_trickle_of_headers(house: &House) {
    let stream = TcpStream::connect(house.edge.address).await.expect("connects");
    let (mut read, mut write) = stream.into_split();
    let begun = Instant::now();
    let trickle = async {
        write.write_all(b"GET / HTTP/1.1\r\n").await.expect("is sent");
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tick.tick().await;
            if write.write_all(b"x: y\r\n").await.is_err() {
                return;
            }
        }
    };
    let mut rest = Vec::new();
    tokio::select! {
        () = trickle => {}
        _ = read.read_to_end(&mut rest) => {}
    }
    assert!(begun.elapsed() <= 2 * limits::HANDSHAKE, "{:?}", begun.elapsed());
}

/// It asks for more than the system keeps for it, and reads none of that.
async fn a_reader_that_takes_nothing(house: &House) {
    let index = String::from_utf8(get(&house.edge, "/").await.body.to_vec()).expect("is text");
    let script = index.split("src=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a script");
    let bytes = get(&house.edge, script).await.body.len();
    let ask = format!("GET {script} HTTP/1.1\r\nhost: {}\r\n\r\n", house.edge.authority);
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("may be small");
    let mut stream = socket.connect(house.edge.address).await.expect("connects");
    let begun = Instant::now();
    stream.write_all(ask.repeat(1 + KERNEL_BYTES / bytes).as_bytes()).await.expect("is sent");
    // What comes after the end is answered with a reset.
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    while stream.write_all(b"\r\n").await.is_ok() {
        tick.tick().await;
        assert!(begun.elapsed() <= 2 * limits::HTTP_TAKEN, "{:?}", begun.elapsed());
    }
    assert!(begun.elapsed() + Duration::from_secs(2) >= limits::HTTP_TAKEN, "{:?}", begun.elapsed());
}

async fn a_handshake_that_does_not_come() {
    let ground = Ground::new();
    let core = Core::start(&ground.core, "127.0.0.1:0").await;
    let edge = with_tls(&ground, &core).await;
    let mut stream = TcpStream::connect(edge.address).await.expect("connects");
    let begun = Instant::now();
    stream.write_all(&[0x16, 3, 1]).await.expect("is sent");
    let _ = stream.read_to_end(&mut Vec::new()).await;
    assert!(begun.elapsed() <= 2 * limits::HANDSHAKE, "{:?}", begun.elapsed());
}

/// Nothing; the preface and settings; and the first frame of headers that do not end.
async fn http2_that_does_not_begin_or_asks_for_nothing() {
    let ground = Ground::new();
    let core = Core::start(&ground.core, "127.0.0.1:0").await;
    let edge = with_tls(&ground, &core).await;
    let begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let endless = [&begin[..], b"\0\0\x01\x01\0\0\0\0\x01\x82"].concat();
    let config = tls::core_client(&ground.edge, &[tls::H2_ALPN]).expect("a config");
    let name = ServerName::try_from(ground.edge.trust_domain().core_dns()).expect("a name");
    let connector = TlsConnector::from(config);
    let cut = async |bytes: &[u8]| {
        let tcp = TcpStream::connect(edge.address).await.expect("connects");
        let mut stream = connector.connect(name.clone(), tcp).await.expect("shakes hands");
        let begun = Instant::now();
        stream.write_all(bytes).await.expect("is sent");
        let _ = stream.read_to_end(&mut Vec::new()).await;
        assert!(begun.elapsed() <= 2 * limits::HANDSHAKE, "{:?} for {bytes:?}", begun.elapsed());
    };
    tokio::join!(cut(b""), cut(&begin[..10]), cut(begin), cut(&endless));
}

async fn a_socket_without_a_first_message(house: &House) {
    let mut ws = Ws::new(&house.edge).await;
    let begun = Instant::now();
    assert_eq!(ws.closed().await.0, Code::Timeout.websocket());
    assert!(begun.elapsed() <= 2 * limits::WEBSOCKET_OPEN, "{:?}", begun.elapsed());
}

/// Nobody reads its socket, so nobody answers the edge's pings.
async fn a_browser_that_falls_silent(house: &House) {
    let mut ws = Ws::attached(&house.edge).await;
    ws.send("x").await;
    assert_eq!(ws.binary().await, "x");
    let mut attached = house.core.seen.attached.subscribe();
    let before = *attached.borrow_and_update();
    let begun = Instant::now();
    soon(attached.wait_for(|count| *count < before)).await.expect("the core is there");
    let took = begun.elapsed();
    assert!(took + limits::WEBSOCKET_PING >= limits::WEBSOCKET_SILENCE, "{took:?}");
    drop(ws);
}

/// It says nothing either, but its browser answers pings.
async fn a_page_that_is_alive(house: &House) {
    let mut ws = Ws::attached(&house.edge).await;
    let longer = limits::WEBSOCKET_SILENCE + limits::WEBSOCKET_PING;
    assert!(tokio::time::timeout(longer, ws.next()).await.is_err(), "nothing comes, also no close");
    ws.send("still here").await;
    assert_eq!(ws.binary().await, "still here");
}
