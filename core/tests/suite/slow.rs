//! Connections and calls that take their time are cut, and nobody else notices. All of
//! them wait side by side, by the real clock.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use chatcode_certs::tls;
use chatcode_proto::{
    limits,
    pb::{Code, FleetListRequest, MemberKind, accounts_client::AccountsClient},
};
use futures_util::future::pending;
use http_body_util::StreamBody;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::ClientConfig};
use tonic::{Status, body::Body, transport::Channel};
use tower::Service as _;

use crate::common::{TestCore, code, fleet};

/// The beginning of HTTP/2 and empty settings (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The head of a frame of headers that is not the last of its block.
const HEADERS_WITHOUT_END: &[u8] = b"\0\0\x01\x01\0\0\0\0\x01\x82";
/// How much longer than its limit something may take on a busy machine.
const SLACK: Duration = Duration::from_secs(10);

/// What a client shows, and the core's name.
type Client = (Arc<ClientConfig>, String);

#[tokio::test]
async fn whoever_takes_too_long_at_the_core_is_cut_and_nobody_else() {
    let core = TestCore::start().await;
    let admin = core.enroll(MemberKind::Admin, "operator").await;
    let nobody = (tls::pinned_client(core.shared.authority.root_pin()), tls::UNKNOWN_CORE.to_owned());
    let member = (tls::core_client(&admin, &[tls::H2_ALPN]).unwrap(), admin.trust_domain().core_dns());
    let channel = core.channel(&admin);
    let slow = async {
        tokio::join!(
            a_hello_that_does_not_come_whole(&core),
            a_trickle_of_a_hello(&core),
            a_beginning_of_http2_that_does_not_come(&core, &nobody, b""),
            a_beginning_of_http2_that_does_not_come(&core, &member, b""),
            a_beginning_of_http2_that_does_not_come(&core, &member, &PREFACE[..23]),
            headers_that_do_not_end(&core, &member),
            a_call_whose_message_does_not_come(channel.clone()),
        )
    };
    tokio::select! {
        _ = slow => {}
        never = a_member_who_calls_all_the_time(&channel) => match never {},
    }
    AccountsClient::new(channel).who_am_i(chatcode_proto::pb::AccountsWhoAmIRequest {}).await.unwrap();
}

async fn a_hello_that_does_not_come_whole(core: &TestCore) {
    let mut stream = TcpStream::connect(core.bound.grpc).await.unwrap();
    stream.write_all(&[0x16, 3, 1]).await.unwrap();
    cut_within(limits::HANDSHAKE, &mut stream).await;
}

async fn a_trickle_of_a_hello(core: &TestCore) {
    let stream = TcpStream::connect(core.bound.grpc).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let trickle = async {
        // A record of 512 bytes, one of them in each second.
        let hello = [&[0x16, 3, 1, 2, 0][..], &[1; 512]].concat();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        for byte in hello {
            tick.tick().await;
            if write.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = trickle => {}
        () = cut_within(limits::HANDSHAKE, &mut read) => {}
    }
}

async fn a_beginning_of_http2_that_does_not_come(core: &TestCore, who: &Client, begin: &[u8]) {
    let mut stream = connect(core, who).await;
    stream.write_all(begin).await.unwrap();
    cut_within(limits::HANDSHAKE, &mut stream).await;
}

/// Between the frames of one block nothing else may come, so no answer to a ping.
async fn headers_that_do_not_end(core: &TestCore, who: &Client) {
    let mut stream = connect(core, who).await;
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(HEADERS_WITHOUT_END).await.unwrap();
    cut_within(limits::HTTP2_KEEPALIVE + limits::HTTP2_KEEPALIVE_TIMEOUT, &mut stream).await;
}

/// The connection lives and answers pings; only the call is waited for.
async fn a_call_whose_message_does_not_come(mut channel: Channel) {
    let begun = Instant::now();
    let never = futures_util::stream::once(pending::<Result<http_body::Frame<bytes::Bytes>, Status>>());
    let mut request = http::Request::new(Body::new(StreamBody::new(never)));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = "/chatcode.v1.Fleet/List".parse().unwrap();
    request.headers_mut().insert(http::header::CONTENT_TYPE, "application/grpc".parse().unwrap());
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let response = channel.call(request).await.unwrap();
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(code(&status), Code::Timeout, "{status:?}");
    assert!(begun.elapsed() <= limits::UNARY_DEADLINE + SLACK, "{:?}", begun.elapsed());
}

async fn a_member_who_calls_all_the_time(channel: &Channel) -> Infallible {
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        tick.tick().await;
        fleet(channel).list(FleetListRequest::default()).await.unwrap();
    }
}

async fn connect(core: &TestCore, (config, dns): &Client) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(core.bound.grpc).await.unwrap();
    let name = ServerName::try_from(dns.clone()).unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.unwrap()
}

/// The other end hangs up, and not long after its limit.
async fn cut_within(limit: Duration, stream: &mut (impl AsyncRead + Unpin)) {
    let begun = Instant::now();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    let took = begun.elapsed();
    assert!(took <= limit + SLACK, "{took:?}");
    assert!(took + Duration::from_secs(1) >= limit, "{took:?}: it was cut for something else");
}
