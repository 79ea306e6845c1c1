//! HTTP/1.1 requests with every header in the test's hand, and unary gRPC-Web
//! on top.

use anyhow::{Context as _, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::TcpStream;

use crate::soon;

/// Sends one request on a connection of its own.
///
/// # Errors
/// When the server cannot be reached or closes without an answer.
pub async fn send(address: &str, request: Request<Bytes>) -> anyhow::Result<Response<Bytes>> {
    soon("the HTTP answer", async {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connect {address}"))?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request.map(Full::new)).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        anyhow::Ok(Response::from_parts(head, body))
    })
    .await?
}

/// A POST as a page of `origin` makes it: same origin, with its cookie.
///
/// # Errors
/// When the parts do not make a request.
pub fn post(
    origin: &str,
    path: &str,
    content_type: &str,
    cookie: Option<&str>,
    body: Bytes,
) -> anyhow::Result<Request<Bytes>> {
    let mut request = Request::post(path)
        .header("host", origin.split("//").nth(1).unwrap_or(origin))
        .header("origin", origin)
        .header("sec-fetch-site", "same-origin")
        .header("content-type", content_type);
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    Ok(request.body(body)?)
}

/// The answer of a unary gRPC-Web call: the message and the trailers.
#[derive(Debug)]
pub struct GrpcWeb {
    /// The message, missing when the call was refused.
    pub message: Option<Bytes>,
    /// `grpc-status`, `grpc-message`, `chatcode-code`.
    pub trailers: HeaderMap,
}

impl GrpcWeb {
    /// The name of the code that refused the call; "done" when it was not.
    #[must_use]
    pub fn code(&self) -> &str {
        let text = |name| self.trailers.get(name).and_then(|value| value.to_str().ok());
        match text("grpc-status") {
            Some("0") => "done",
            _ => text("chatcode-code").unwrap_or("none"),
        }
    }

    /// The message as `T`.
    ///
    /// # Errors
    /// When the call was refused or the message is another.
    pub fn decode<T: Message + Default>(&self) -> anyhow::Result<T> {
        let message = self.message.clone();
        let message = message.with_context(|| format!("refused: {:?}", self.trailers))?;
        Ok(T::decode(message)?)
    }
}

/// The body of a unary gRPC-Web request.
#[must_use]
pub fn grpc_web_body(message: &impl Message) -> Bytes {
    let encoded = message.encode_to_vec();
    let mut body = BytesMut::with_capacity(encoded.len() + 5);
    body.put_u8(0);
    body.put_u32(u32::try_from(encoded.len()).unwrap_or(u32::MAX));
    body.put_slice(&encoded);
    body.freeze()
}

/// Reads a gRPC-Web answer: messages and the trailers frame (flag 0x80).
///
/// # Errors
/// When it is not one.
pub fn grpc_web_answer(response: Response<Bytes>) -> anyhow::Result<GrpcWeb> {
    let (head, mut body) = response.into_parts();
    let mut answer = GrpcWeb { message: None, trailers: head.headers };
    while body.len() >= 5 {
        let frame_head = body.split_to(5);
        let length =
            u32::from_be_bytes([frame_head[1], frame_head[2], frame_head[3], frame_head[4]]) as usize;
        ensure!(body.len() >= length, "a gRPC-Web frame is cut");
        let frame = body.split_to(length);
        if frame_head[0] & 0x80 == 0 {
            answer.message = Some(frame);
            continue;
        }
        for line in String::from_utf8_lossy(&frame).lines() {
            if let Some((name, value)) = line.split_once(':') {
                answer.trailers.insert(
                    http::HeaderName::from_bytes(name.trim().as_bytes())?,
                    http::HeaderValue::from_str(value.trim())?,
                );
            }
        }
    }
    Ok(answer)
}
