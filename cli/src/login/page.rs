//! What a page tells of its installation: where the core is, and its roots. As
//! trustworthy as the page's own certificate.

use std::{net::IpAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use chatcode_certs::{TrustDomain, pem, tls};
use chatcode_process::exit::{self, Exit};
use chatcode_proto::limits;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tonic::codegen::http::{Request, StatusCode, Uri, header};

/// Where an edge tells of its installation.
const PATH: &str = "/.well-known/chatcode";

/// What an edge tells.
#[derive(Deserialize)]
struct Told {
    installation: String,
    core: String,
    roots: String,
}

/// The same, looked at.
pub(super) struct Published {
    /// The installation.
    pub(super) domain: TrustDomain,
    /// The core's gRPC address.
    pub(super) core: String,
    /// Its roots.
    pub(super) roots: Vec<CertificateDer<'static>>,
}

/// Asks the page at this origin, trusting what the system trusts, or this file.
///
/// # Errors
/// When it is not reached or not trusted, or tells nothing of use; when it is plain and
/// not of this machine.
pub(super) async fn ask(origin: &str, ca_file: Option<&Path>) -> anyhow::Result<Published> {
    ask_within(limits::WELL_KNOWN_WAIT, origin, ca_file).await
}

async fn ask_within(patience: Duration, origin: &str, ca_file: Option<&Path>) -> anyhow::Result<Published> {
    let fetching = tokio::time::timeout(patience, fetch(origin, ca_file));
    let bytes = fetching.await.map_err(|_| anyhow::anyhow!("it did not answer in time")).flatten();
    let bytes = bytes.with_context(|| {
        format!("the page at {origin} does not tell where its core is; check the address, or name the core and a --pin")
    })?;
    read(&bytes).with_context(|| format!("{origin} is no page of chatcode, or an older one"))
}

fn read(bytes: &[u8]) -> anyhow::Result<Published> {
    let told: Told = serde_json::from_slice(bytes).context("its answer has another form")?;
    let domain = TrustDomain::of_installation(&told.installation).context("it names no installation")?;
    let roots = pem::read_certificates(told.roots.as_bytes()).context("it names no roots")?;
    anyhow::ensure!(
        told.core
            .rsplit_once(':')
            .is_some_and(|(host, port)| { !host.is_empty() && port.parse::<u16>().is_ok() }),
        "it names no core"
    );
    Ok(Published { domain, core: told.core, roots })
}

async fn fetch(origin: &str, ca_file: Option<&Path>) -> anyhow::Result<Bytes> {
    let uri: Uri = format!("{origin}{PATH}").parse()?;
    let host = uri.host().context("it has no host")?.trim_matches(['[', ']']).to_owned();
    let is_plain = uri.scheme_str() == Some("http");
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if is_plain && !is_here {
        return Err(anyhow::anyhow!("without TLS anybody between could be it; write https")
            .context(Exit(exit::USAGE)));
    }
    let port = uri.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
    let tcp = TcpStream::connect((host.as_str(), port)).await.context(Exit(exit::UNAVAILABLE))?;
    if is_plain {
        return exchange(&uri, tcp).await;
    }
    let config = match ca_file {
        Some(file) => tls::web_client_by(file),
        None => tls::web_client(),
    };
    let config = config.context(Exit(exit::CONFIG))?;
    let name = ServerName::try_from(host)?;
    let stream = TlsConnector::from(Arc::clone(&config)).connect(name, tcp).await;
    exchange(&uri, stream.context(Exit(exit::NOPERM))?).await
}

/// One request. Who answers with another address is not followed: the address that a
/// person wrote counts.
async fn exchange(
    uri: &Uri,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> anyhow::Result<Bytes> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(PATH)
        .header(header::HOST, uri.authority().map(ToString::to_string).unwrap_or_default())
        .header(header::USER_AGENT, concat!("chatcode/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())?;
    let asking = async {
        let response = sender.send_request(request).await?;
        anyhow::ensure!(response.status() == StatusCode::OK, "it answered {}", response.status());
        let body = Limited::new(response.into_body(), limits::WELL_KNOWN_BYTES).collect().await;
        Ok(body.map_err(|error| anyhow::anyhow!("its answer broke off or is too long: {error}"))?.to_bytes())
    };
    tokio::pin!(asking);
    tokio::select! {
        answer = &mut asking => answer,
        // The connection may end first; its error is the answer's too.
        _ = connection => asking.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_word_of_an_edge_is_refused() {
        let told = |installation: &str, core: &str, roots: &str| {
            let value = serde_json::json!({ "installation": installation, "core": core, "roots": roots });
            read(value.to_string().as_bytes()).err().map(|error| format!("{error:#}"))
        };
        let pem = pem::certificates(&[CertificateDer::from(vec![1, 2, 3])]);
        assert_eq!(told("01234567", "core:7421", &pem), None);
        for (error, words) in [
            (told("", "core:7421", &pem), "installation"),
            (told("01234567", "core", &pem), "no core"),
            (told("01234567", ":1", &pem), "no core"),
            (told("01234567", "core:7421", ""), "roots"),
            (read(b"<html>").err().map(|error| format!("{error:#}")), "form"),
        ] {
            assert!(error.as_deref().is_some_and(|error| error.contains(words)), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_page_that_does_not_answer_in_time_is_not_waited_for() {
        // It takes the connection and never says a word.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", silent.local_addr().unwrap());
        let asking = ask_within(Duration::from_millis(100), &origin, None);
        let asked = tokio::time::timeout(limits::WELL_KNOWN_WAIT, asking).await.expect("long before");
        let words = asked.err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(words.contains("did not answer in time"), "{words}");
    }
}
