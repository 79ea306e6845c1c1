//! What a browser's page does: signs in by the one-time URL, calls by
//! gRPC-Web, opens WebSockets by ticket.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use chatcode_proto::{limits, metadata, pb};
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, client::IntoClientRequest as _},
};

use crate::{http, soon};

/// A WebSocket of a page.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A page that is signed in.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where the page came from: "http://localhost:PORT".
    pub origin: String,
    /// The address of the edge.
    pub address: String,
    /// The cookie as the browser sends it.
    pub cookie: String,
}

/// What a call or a WebSocket is for.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// The gateway's id; empty for methods of the core.
    pub gateway: String,
    /// The session's id; empty for other methods.
    pub session: String,
}

impl Page {
    /// Signs in with the one-time secret in the fragment of `url`.
    ///
    /// # Errors
    /// When the edge refuses.
    pub async fn sign_in(url: &str, address: &str) -> anyhow::Result<Self> {
        let (origin, secret) = url.split_once("/#login=").context("the URL has a secret")?;
        let body = serde_json::json!({ "secret": secret }).to_string();
        let request = http::post(origin, "/api/sign-in", "application/json", None, body.into())?;
        let answer = http::send(address, request).await?;
        ensure!(answer.status() == 200, "sign-in: {} {:?}", answer.status(), answer.body());
        let cookie = answer.headers().get("set-cookie").context("a cookie is set")?.to_str()?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Self { origin: origin.to_owned(), address: address.to_owned(), cookie })
    }

    /// A unary gRPC-Web call; `method` is the full path.
    ///
    /// # Errors
    /// When there is no gRPC-Web answer; a refusal is an answer.
    pub async fn call(
        &self,
        method: &str,
        target: &Target,
        message: &impl Message,
    ) -> anyhow::Result<http::GrpcWeb> {
        let body = http::grpc_web_body(message);
        let mut request =
            http::post(&self.origin, method, "application/grpc-web+proto", Some(&self.cookie), body)?;
        for (name, value) in [(metadata::GATEWAY, &target.gateway), (metadata::SESSION, &target.session)] {
            if !value.is_empty() {
                request.headers_mut().insert(name, value.parse()?);
            }
        }
        request.headers_mut().insert("x-grpc-web", "1".parse()?);
        http::grpc_web_answer(http::send(&self.address, request).await?)
    }

    /// A ticket for one WebSocket.
    ///
    /// # Errors
    /// When the core refuses.
    pub async fn ticket(&self, method: &str, target: &Target) -> anyhow::Result<String> {
        let request = pb::AccountsCreateTicketRequest {
            method: method.to_owned(),
            gateway: target.gateway.clone(),
            session: target.session.clone(),
        };
        let answer = self.call("/chatcode.v1.Accounts/CreateTicket", &Target::default(), &request).await?;
        Ok(answer.decode::<pb::AccountsCreateTicketResponse>()?.ticket)
    }

    /// A WebSocket without a first message.
    ///
    /// # Errors
    /// When the edge refuses the upgrade.
    pub async fn socket(&self) -> anyhow::Result<Socket> {
        let mut request = format!("ws://{}/api/ws", self.address).into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("host", self.origin.split("//").nth(1).unwrap_or_default().parse()?);
        headers.insert("origin", self.origin.parse()?);
        headers.insert("sec-fetch-site", "same-origin".parse()?);
        headers.insert("cookie", self.cookie.parse()?);
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let stream = MaybeTlsStream::Plain(stream);
        let (socket, _) = soon("the WebSocket", tokio_tungstenite::client_async(request, stream)).await??;
        Ok(socket)
    }

    /// A WebSocket with its first message sent.
    ///
    /// # Errors
    /// As [`Self::ticket`] and [`Self::socket`].
    pub async fn open(&self, method: &str, target: &Target) -> anyhow::Result<Socket> {
        let open = pb::Open {
            versions: limits::EDGE_VERSIONS.to_vec(),
            ticket: self.ticket(method, target).await?,
            method: method.to_owned(),
            gateway: target.gateway.clone(),
            session: target.session.clone(),
        };
        let mut socket = self.socket().await?;
        socket.send(tungstenite::Message::Binary(open.encode_to_vec().into())).await?;
        Ok(socket)
    }

    /// Starts a session.
    ///
    /// # Errors
    /// When the gateway refuses.
    pub async fn create_session(
        &self,
        gateway: &str,
        request: &pb::SessionsCreateRequest,
    ) -> anyhow::Result<Target> {
        let target = Target { gateway: gateway.to_owned(), session: String::new() };
        let answer = self.call("/chatcode.v1.Sessions/Create", &target, request).await?;
        let session = answer.decode::<pb::SessionsCreateResponse>()?.session.context("a session")?;
        Ok(Target { session: session.id, ..target })
    }
}

/// The next binary message; `Err` with the close frame's reason when the
/// WebSocket ends.
///
/// # Errors
/// The end of the WebSocket, with code and reason as text "4012 unknown_...".
pub async fn next_binary(socket: &mut Socket) -> anyhow::Result<Bytes> {
    loop {
        match soon("a WebSocket message", socket.next()).await? {
            Some(Ok(tungstenite::Message::Binary(bytes))) => return Ok(bytes),
            Some(Ok(tungstenite::Message::Close(Some(frame)))) => {
                anyhow::bail!("{} {}", u16::from(frame.code), frame.reason)
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => anyhow::bail!("the WebSocket ended without a close frame"),
        }
    }
}
