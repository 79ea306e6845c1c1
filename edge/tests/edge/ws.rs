//! A browser's WebSocket.

use bytes::Bytes;
use chatcode_proto::{
    id::{GatewayId, SessionId},
    metadata::ATTACH,
    pb::Open,
};
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};

use crate::house::{Running, soon};

/// One WebSocket as a page has it.
pub(crate) struct Ws(pub(crate) WebSocketStream<TcpStream>);

/// Connects with these headers besides those of the handshake.
pub(crate) async fn connect(edge: &Running, headers: &[(&str, &str)]) -> Result<Ws, tungstenite::Error> {
    let mut request = format!("ws://{}/api/ws", edge.authority).into_client_request()?;
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().expect("a name");
        request.headers_mut().insert(name, value.parse().expect("a value"));
    }
    let stream = TcpStream::connect(edge.address).await.expect("connects");
    stream.set_nodelay(true).expect("a socket");
    soon(client_async(request, stream)).await.map(|(socket, _)| Ws(socket))
}

/// The first message of an attachment.
pub(crate) fn attach() -> Open {
    Open {
        versions: vec![1],
        ticket: "ticket_".repeat(7)[..43].to_owned(),
        method: ATTACH.to_owned(),
        gateway: GatewayId::from_random([1; 16]).to_string(),
        session: SessionId::from_random([2; 16]).to_string(),
    }
}

impl Ws {
    /// A page's WebSocket before its first message.
    pub(crate) async fn new(edge: &Running) -> Self {
        connect(edge, &[("origin", &edge.origin)]).await.expect("a WebSocket")
    }

    /// A page's attachment.
    pub(crate) async fn attached(edge: &Running) -> Self {
        let mut ws = Self::new(edge).await;
        ws.send(attach().encode_to_vec()).await;
        ws
    }

    pub(crate) async fn send(&mut self, message: impl Into<Bytes>) {
        self.0.send(Message::Binary(message.into())).await.expect("is sent");
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.0.send(Message::Text(text.into())).await.expect("is sent");
    }

    /// The next message, pings aside.
    pub(crate) async fn next(&mut self) -> Message {
        loop {
            match soon(self.0.next()).await.expect("not cut").expect("not broken") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    /// The next message, which is binary.
    pub(crate) async fn binary(&mut self) -> Bytes {
        match self.next().await {
            Message::Binary(bytes) => bytes,
            other => panic!("not a binary message: {other:?}"),
        }
    }

    /// The code and the reason with which the edge closes; what comes before is
    /// skipped.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.next().await {
                let frame = frame.expect("has a code");
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }
}
