//! Requests with every header in the test's hand.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::TcpSocket;
use tokio_util::task::AbortOnDropHandle;

use crate::house::{House, Running, soon};

/// An answer with its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("is JSON")
    }

    /// The cause, whether it came as JSON, as headers or as a trailer frame.
    pub(crate) fn code(&self) -> String {
        if let Some(code) = self.headers.get("chatcode-code") {
            return code.to_str().expect("is text").to_owned();
        }
        if self.headers.get("content-type").is_some_and(|kind| kind == "application/json") {
            return self.json()["code"].as_str().unwrap_or("none").to_owned();
        }
        let (_, trailers) = self.frames();
        trailers.lines().find_map(|line| line.strip_prefix("chatcode-code:")).unwrap_or("none").to_owned()
    }

    /// The message and the trailers of a gRPC-Web answer.
    pub(crate) fn frames(&self) -> (Option<Bytes>, String) {
        let (mut rest, mut message, mut trailers) = (self.body.clone(), None, String::new());
        while rest.len() >= 5 {
            let head = rest.split_to(5);
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let content = rest.split_to(length);
            match head[0] {
                0x80 => trailers = String::from_utf8(content.to_vec()).expect("is text"),
                _ => message = Some(content),
            }
        }
        (message, trailers)
    }
}

/// Sends one request on a connection of its own, with these headers and no
/// others.
pub(crate) async fn send(
    edge: &Running,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    send_from(Ipv4Addr::LOCALHOST, edge, method, path, headers, body).await
}

/// As [`send`], from this address of the machine.
pub(crate) async fn send_from(
    from: Ipv4Addr,
    edge: &Running,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    soon(async {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("an address of this machine");
        let stream = socket.connect(edge.address).await.expect("connects");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let response: Response<_> = sender.send_request(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    })
    .await
}

/// A GET as our page's.
pub(crate) async fn get(edge: &Running, path: &str) -> Answer {
    send(edge, Method::GET, path, &[("host", &edge.authority)], Bytes::new()).await
}

/// One message with its gRPC head.
pub(crate) fn frame(message: &impl Message) -> Bytes {
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(message.encoded_len()).expect("is small").to_be_bytes());
    message.encode(&mut bytes).expect("fits");
    bytes.into()
}

/// A call as our page makes it, with more headers; a later header of the same
/// name takes the place of the usual one, an empty value leaves it out.
pub(crate) async fn call(house: &House, path: &str, more: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let cookie = house.cookie();
    let usual = [
        ("host", house.edge.authority.as_str()),
        ("origin", house.edge.origin.as_str()),
        ("sec-fetch-site", "same-origin"),
        ("content-type", "application/grpc-web+proto"),
        ("x-grpc-web", "1"),
        ("cookie", cookie.as_str()),
    ];
    let replaced = |name: &str| more.iter().any(|(other, _)| *other == name);
    let headers: Vec<(&str, &str)> = usual
        .into_iter()
        .filter(|(name, _)| !replaced(name))
        .chain(more.iter().copied().filter(|(_, value)| !value.is_empty()))
        .collect();
    send(&house.edge, Method::POST, path, &headers, body).await
}
