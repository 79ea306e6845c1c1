//! More of everything than there is room for: who is too many is told so, or waits, and
//! comes in as soon as somebody else has left.

use chatcode_proto::{limits, pb::Code};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    house::{House, Running, soon},
    http::get,
};

/// The beginning of a request whose body does not come, so that it keeps its place.
fn beginning(edge: &Running) -> String {
    format!(
        "POST /api/sign-in HTTP/1.1\r\nhost: {}\r\norigin: {}\r\ncontent-type: application/json\r\n\
         content-length: 100\r\nexpect: 100-continue\r\n\r\n",
        edge.authority, edge.origin
    )
}

/// So many of them. The edge says that it goes on when it waits for the body.
pub(crate) async fn waiting(edge: &Running, count: usize) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for _ in 0..count {
        let mut stream = soon(TcpStream::connect(edge.address)).await.expect("connects");
        stream.write_all(beginning(edge).as_bytes()).await.expect("is sent");
        all.push(stream);
    }
    for stream in &mut all {
        let mut answer = [0; 12];
        soon(stream.read_exact(&mut answer)).await.expect("is answered");
        assert_eq!(&answer, b"HTTP/1.1 100", "{}", answer.escape_ascii());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_too_many_is_told_so_until_another_is_over() {
    chatcode_process::raise_file_limit();
    let house = House::new().await;
    let crowd = waiting(&house.edge, limits::HTTP_REQUESTS).await;
    let refused = get(&house.edge, "/").await;
    assert_eq!((refused.status, refused.code()), (503, Code::Limit.name().to_owned()));
    assert!(refused.json()["message"].as_str().is_some_and(|words| words.contains("try again")));
    drop(crowd);
    soon(async {
        while get(&house.edge, "/").await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_too_many_waits_until_another_has_left() {
    chatcode_process::raise_file_limit();
    let house = House::new().await;
    let mut crowd = Vec::new();
    for _ in 0..limits::EDGE_CONNECTIONS {
        crowd.push(soon(TcpStream::connect(house.edge.address)).await.expect("connects"));
    }
    let mut late = TcpStream::connect(house.edge.address).await.expect("the kernel takes it");
    let ask = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", house.edge.authority);
    late.write_all(ask.as_bytes()).await.expect("the kernel takes it");
    let mut answer = Vec::new();
    let begun = tokio::time::Instant::now();
    tokio::select! {
        _ = late.read_to_end(&mut answer) => panic!("it was served: {}", answer.escape_ascii()),
        () = tokio::time::sleep_until(begun + limits::ACCEPT_PAUSE) => {}
    }
    drop(crowd);
    soon(late.read_to_end(&mut answer)).await.expect("is answered");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
}

#[tokio::test]
async fn headers_beyond_their_limit_are_refused_and_their_connection_only() {
    let house = House::new().await;
    let mut stream = TcpStream::connect(house.edge.address).await.expect("connects");
    let padding = "x".repeat(limits::HEADER_BYTES as usize);
    let ask = format!("GET / HTTP/1.1\r\nhost: {}\r\nx-padding: {padding}\r\n\r\n", house.edge.authority);
    // It may be refused before it has sent all of it.
    let _ = stream.write_all(ask.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", answer.escape_ascii());
    assert_eq!(get(&house.edge, "/").await.status, 200);
}
