//! One request to a provider: through TLS, or on this machine; never followed to
//! another address; with a bounded answer, and in time.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use chatcode_certs::tls::{self, TlsError};
use chatcode_proto::limits;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::ClientConfig};
use tokio_util::task::AbortOnDropHandle;

use crate::config::provider::is_local;

/// Why a provider has given no answer that counts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebError {
    /// The address is none, or would be asked in the clear.
    #[error("{0} is no address that may be asked; it has to begin with https://")]
    Address(String),
    /// Nobody can be trusted.
    #[error("no TLS can be made")]
    Tls(#[source] TlsError),
    /// It was not reached, or broke off.
    #[error("{host} gave no answer: {why}")]
    Broken {
        /// Who.
        host: String,
        /// Why.
        why: String,
    },
    /// It took longer than [`limits::PROVIDER_ANSWER`].
    #[error("{0} did not answer in time")]
    Slow(String),
    /// It answered with more than [`limits::PROVIDER_ANSWER_BYTES`].
    #[error("{0} answered with more than an answer may have")]
    TooLarge(String),
    /// It named another address.
    #[error("{0} answered with another address, which is not followed")]
    Redirect(String),
}

/// Asks one provider.
#[derive(Debug)]
pub(crate) struct Web {
    /// The provider is on this machine, and so may its addresses be.
    local: bool,
    tls: std::sync::OnceLock<Arc<ClientConfig>>,
}

impl Web {
    /// For the provider at that address.
    pub(crate) fn of(address: &str) -> Self {
        Self { local: is_local(address), tls: std::sync::OnceLock::new() }
    }

    /// The whole answer to one request, whatever its status but a redirection.
    pub(crate) async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, WebError> {
        let shown = request.uri().host().unwrap_or_default().to_owned();
        match timeout(limits::PROVIDER_ANSWER, self.exchange(request)).await {
            Ok(Ok(answer)) if answer.status().is_redirection() => Err(WebError::Redirect(shown)),
            Ok(answer) => answer,
            Err(_) => Err(WebError::Slow(shown)),
        }
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, WebError> {
        let uri = request.uri().clone();
        let place = self.place(&uri)?;
        let tcp = TcpStream::connect((place.host.as_str(), place.port)).await;
        let tcp = tcp.map_err(|error| place.broken(&error))?;
        if !place.secure {
            return send(&place, tcp, request).await;
        }
        let name = ServerName::try_from(place.host.clone()).map_err(|error| place.broken(&error))?;
        let stream = TlsConnector::from(self.tls()?).connect(name, tcp).await;
        send(&place, stream.map_err(|error| place.broken(&error))?, request).await
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, WebError> {
        if let Some(known) = self.tls.get() {
            return Ok(Arc::clone(known));
        }
        let made = tls::web_client().map_err(WebError::Tls)?;
        Ok(Arc::clone(self.tls.get_or_init(|| made)))
    }

    fn place(&self, uri: &Uri) -> Result<Place, WebError> {
        let not = || WebError::Address(uri.host().unwrap_or_default().to_owned());
        let host = uri.host().ok_or_else(not)?.trim_matches(['[', ']']).to_owned();
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if self.local && is_local(&uri.to_string()) => false,
            _ => return Err(not()),
        };
        Ok(Place { port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }), host, secure })
    }
}

impl<'c> AsyncHttpClient<'c> for Web {
    type Error = WebError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, WebError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

/// Where a request goes.
struct Place {
    host: String,
    port: u16,
    secure: bool,
}

impl Place {
    fn broken(&self, why: &dyn std::fmt::Display) -> WebError {
        WebError::Broken { host: self.host.clone(), why: why.to_string() }
    }
}

async fn send(
    place: &Place,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| place.broken(&error))?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(async move {
        // Its error is the answer's too.
        let _ = connection.await;
    }));
    let (mut head, body) = request.into_parts();
    let host = head.uri.authority().map(ToString::to_string).unwrap_or_default();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    head.uri = path.parse().map_err(|error| place.broken(&error))?;
    head.headers.insert(header::HOST, host.parse().map_err(|error| place.broken(&error))?);
    let agent = http::HeaderValue::from_static(concat!("chatcode-core/", env!("CARGO_PKG_VERSION")));
    head.headers.insert(header::USER_AGENT, agent);
    let request = Request::from_parts(head, Full::new(Bytes::from(body)));
    let answer = sender.send_request(request).await.map_err(|error| place.broken(&error))?;
    let (head, body) = answer.into_parts();
    let whole = Limited::new(body, limits::PROVIDER_ANSWER_BYTES).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            WebError::TooLarge(place.host.clone())
        } else {
            place.broken(&error)
        }
    })?;
    Ok(Response::from_parts(head, whole.to_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_elsewhere_cannot_send_the_core_to_a_plain_address() {
        let elsewhere = Web::of("https://id.example.org");
        let here = Web::of("http://127.0.0.1:4");
        let uri = |text: &str| text.parse::<Uri>().expect("an address");
        assert!(elsewhere.place(&uri("http://127.0.0.1:4/keys")).is_err());
        assert!(elsewhere.place(&uri("http://id.example.org/keys")).is_err());
        assert!(elsewhere.place(&uri("/keys")).is_err());
        assert!(here.place(&uri("http://id.example.org/keys")).is_err());
        assert_eq!(here.place(&uri("http://127.0.0.1:4/keys")).expect("is here").port, 4);
        assert_eq!(elsewhere.place(&uri("https://keys.example.org/x")).expect("is secure").port, 443);
    }
}
