//! Off loopback the edge speaks TLS, and native gRPC finds no way in.

use bytes::Bytes;
use chatcode_certs::tls;
use chatcode_edge::{Config, Edge};
use chatcode_proto::pb;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    house::{Ground, House, Running, run, soon},
    stub::Core,
};

/// The host that our gRPC channels name.
const HOST: &str = "core.chatcode.internal";

/// An edge with a certificate (the core's will do) and an https origin.
pub(crate) async fn with_tls(ground: &Ground, core: &Core) -> Running {
    let files = ground.folder.path().join("browser");
    ground.core.save(&files).expect("is saved");
    let pem = files.join("identity.pem");
    let config = Config {
        origin: Some(format!("https://{HOST}")),
        tls_cert: Some(pem.clone()),
        tls_key: Some(pem),
        ..ground.config(core.address.to_string())
    };
    run(&config).await
}

#[tokio::test]
async fn native_grpc_is_refused() {
    let ground = Ground::new();
    let core = Core::start(&ground.core, "127.0.0.1:0").await;
    let edge = with_tls(&ground, &core).await;
    let client = tls::core_client(&ground.edge, &[b"h2"]).expect("a config");
    let name = ground.edge.trust_domain().core_dns();
    let channel = chatcode_link::tcp::channel(&edge.address.to_string(), client, &name);
    let mut accounts = pb::accounts_client::AccountsClient::new(channel.clone());
    let status = soon(accounts.sign_in(pb::AccountsSignInRequest::default())).await.expect_err("is refused");
    assert!(status.message().contains("403") || status.message().contains("415"), "{status:?}");
    // With everything that a page has, it is still not a page's call.
    let mut request = tonic::Request::new(pb::FleetListRequest::default());
    for (key, value) in [("origin", format!("https://{HOST}")), ("authorization", "Bearer x".to_owned())] {
        request.metadata_mut().insert(key, value.parse().expect("is text"));
    }
    let status =
        soon(pb::fleet_client::FleetClient::new(channel).list(request)).await.expect_err("is refused");
    assert!(status.message().contains("415"), "{status:?}");
    assert_eq!(core.seen.count(), 0);
}

#[tokio::test]
async fn the_page_comes_over_http2_with_strict_transport_security() {
    let ground = Ground::new();
    let core = Core::start(&ground.core, "127.0.0.1:0").await;
    let edge = with_tls(&ground, &core).await;
    for (uri, host, status) in [
        (format!("https://{HOST}/"), None, 200),
        ("https://attacker.test/".to_owned(), None, 421),
        (format!("https://{HOST}/"), Some("attacker.test"), 421),
    ] {
        let connector = TlsConnector::from(tls::core_client(&ground.edge, &[b"h2"]).expect("a config"));
        let name = ground.edge.trust_domain().core_dns().try_into().expect("a name");
        let stream = TcpStream::connect(edge.address).await.expect("connects");
        let stream = soon(connector.connect(name, stream)).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("HTTP/2");
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let mut request = hyper::Request::get(&uri);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let request = request.body(Full::new(Bytes::new())).expect("a request");
        let response = soon(sender.send_request(request)).await.expect("an answer");
        assert_eq!(response.status(), status, "{uri} {host:?}");
        assert_eq!(response.headers()["strict-transport-security"], "max-age=31536000");
        response.into_body().collect().await.expect("a body");
    }
}

#[tokio::test]
async fn in_the_clear_is_for_loopback_only() {
    let house = House::new().await;
    let public = Config {
        listen: ([0, 0, 0, 0], 0).into(),
        origin: Some("https://code.example".to_owned()),
        ..house.ground.config(house.core.address.to_string())
    };
    let error = Edge::build(&public).await.expect_err("is refused");
    assert!(error.to_string().contains("tls_cert"), "{error}");
    let plain_origin =
        Config { origin: Some("http://code.example".to_owned()), ..house.ground.config(String::new()) };
    assert!(Edge::build(&plain_origin).await.is_err());
}

#[tokio::test]
async fn an_edge_without_a_certificate_says_how_to_get_one() {
    let empty = tempfile::tempdir().expect("a folder");
    let ground = Ground::new();
    let config = Config { data_dir: empty.path().to_owned(), ..ground.config("127.0.0.1:1".to_owned()) };
    let error = Edge::build(&config).await.expect_err("is refused");
    assert!(error.to_string().contains("chatcode-edge enroll"), "{error}");
}
