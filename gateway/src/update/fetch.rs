//! Where releases come from: a web server, or a folder. What comes is not
//! trusted: the signature and the hashes decide.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chatcode_certs::tls::{self, TlsError};
use chatcode_proto::limits;
use chatcode_release::MANIFEST;
use http::{Request, Response, StatusCode, Uri, header, uri::Scheme};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not an address that can be used.
    #[error("{0:?} is neither a folder nor an address such as https://code.example.org/release; correct it")]
    Address(String),
    /// A plain address of another machine.
    #[error("{0} is not fetched without TLS from another machine; use https")]
    Plain(String),
    /// No TLS.
    #[error("no TLS to {0}")]
    Tls(String, #[source] Box<TlsError>),
    /// The server answered otherwise than with the file.
    #[error("{address} answered {status}; check the address of the releases, and that the version is there")]
    Status {
        /// What was asked for.
        address: String,
        /// What it answered.
        status: StatusCode,
    },
    /// The server or the network failed.
    #[error("{address} was not fetched: {why}")]
    Broken {
        /// What was asked for.
        address: String,
        /// Why.
        why: String,
    },
    /// More came than there may be.
    #[error("{0} is larger than it may be; nothing of it was used")]
    TooLarge(String),
    /// The file system refused.
    #[error("{path} cannot be used")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl FetchError {
    /// Whether there is no such file, and nothing worse.
    fn is_missing(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status == StatusCode::NOT_FOUND,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

/// A release's folder, on a server or here.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Web(String),
    Folder(PathBuf),
}

impl Source {
    /// The source of that name: an address, or a folder.
    pub(super) fn of(text: &str) -> Result<Self, FetchError> {
        if !text.contains("://") {
            let path = std::path::absolute(text).map_err(|_| FetchError::Address(text.to_owned()))?;
            return Ok(Self::Folder(path));
        }
        let address = text.trim_end_matches('/').to_owned();
        check(&parse(&address)?)?;
        Ok(Self::Web(address))
    }

    /// A folder in it: of a channel, or of a version.
    pub(super) fn folder(&self, name: &str) -> Self {
        match self {
            Self::Web(address) => Self::Web(format!("{address}/{name}")),
            Self::Folder(path) => Self::Folder(path.join(name)),
        }
    }

    /// The folder of that channel or version in this one, and its manifest. A
    /// place that has no such folder may hold one release by itself: whether that
    /// is of the channel or version is signed in it.
    pub(super) async fn find(self, name: &str) -> Result<(Self, Vec<u8>), FetchError> {
        self.find_first(&[name]).await
    }

    /// The same of the first of these folders that is there.
    pub(super) async fn find_first(self, names: &[&str]) -> Result<(Self, Vec<u8>), FetchError> {
        let mut told = None;
        for name in names {
            let inner = self.folder(name);
            match inner.read(MANIFEST, limits::RELEASE_MANIFEST_BYTES).await {
                Ok(manifest) => return Ok((inner, manifest)),
                Err(missing) if missing.is_missing() => told = Some(missing),
                Err(error) => return Err(error),
            }
        }
        match self.read(MANIFEST, limits::RELEASE_MANIFEST_BYTES).await {
            Ok(manifest) => Ok((self, manifest)),
            Err(missing) if missing.is_missing() => Err(told.unwrap_or(missing)),
            Err(error) => Err(error),
        }
    }

    /// A small file whole.
    pub(super) async fn read(&self, name: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
        let mut bytes = Vec::new();
        self.copy(name, limit as u64, &mut bytes, |_| {}).await?;
        Ok(bytes)
    }

    /// A file into another one; `progress` is told the bytes so far.
    pub(super) async fn save(
        &self,
        name: &str,
        limit: u64,
        to: &Path,
        progress: impl FnMut(u64),
    ) -> Result<(), FetchError> {
        let io = |source| FetchError::Io { path: to.to_owned(), source };
        let mut out = File::options();
        let mut out = out.write(true).create(true).truncate(true).mode(0o600).open(to).await.map_err(io)?;
        self.copy(name, limit, &mut out, progress).await?;
        out.flush().await.map_err(io)?;
        out.sync_all().await.map_err(io)
    }

    /// Copies a file, at most `limit` bytes of it and one more.
    async fn copy(
        &self,
        name: &str,
        limit: u64,
        out: &mut (impl AsyncWrite + Unpin),
        progress: impl FnMut(u64),
    ) -> Result<(), FetchError> {
        match self.folder(name) {
            Self::Web(address) => download(&address, Patience::USUAL, limit, out, progress).await,
            Self::Folder(path) => copy_file(&path, limit, out, progress).await,
        }
    }
}

async fn copy_file(
    path: &Path,
    limit: u64,
    out: &mut (impl AsyncWrite + Unpin),
    mut progress: impl FnMut(u64),
) -> Result<(), FetchError> {
    let io = |source| FetchError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).await.map_err(io)?;
    if !file.metadata().await.map_err(io)?.is_file() {
        return Err(io(io::ErrorKind::InvalidInput.into()));
    }
    let (mut done, mut piece) = (0, vec![0; 64 * 1024]);
    loop {
        let length = file.read(&mut piece).await.map_err(io)?;
        if length == 0 {
            return Ok(());
        }
        done += length as u64;
        if done > limit {
            return Err(FetchError::TooLarge(path.display().to_string()));
        }
        out.write_all(&piece[..length]).await.map_err(io)?;
        progress(done);
    }
}

fn parse(address: &str) -> Result<Uri, FetchError> {
    address.parse().map_err(|_| FetchError::Address(address.to_owned()))
}

/// Host and port; plain HTTP only to this machine.
fn check(address: &Uri) -> Result<(String, u16, bool), FetchError> {
    let not = || FetchError::Address(address.to_string());
    let host = address.host().ok_or_else(not)?.trim_matches(['[', ']']).to_owned();
    let secure = match address.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => false,
        _ => return Err(not()),
    };
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !secure && !here {
        return Err(FetchError::Plain(address.to_string()));
    }
    let port = address.port_u16().unwrap_or(if secure { 443 } else { 80 });
    Ok((host, port, secure))
}

/// How long a server of releases may take.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// With nothing.
    silence: Duration,
    /// With a whole file.
    whole: Duration,
}

impl Patience {
    const USUAL: Self = Self { silence: limits::RELEASE_SILENCE, whole: limits::RELEASE_DOWNLOAD };
}

/// Copies a file of a server, at most `limit` bytes of it and one more.
async fn download(
    address: &str,
    patience: Patience,
    limit: u64,
    out: &mut (impl AsyncWrite + Unpin),
    progress: impl FnMut(u64),
) -> Result<(), FetchError> {
    let whole = fetch(address, patience.silence, limit, out, progress);
    timeout(patience.whole, whole).await.unwrap_or_else(|_| {
        let why = "it took too long".to_owned();
        Err(FetchError::Broken { address: address.to_owned(), why })
    })
}

async fn fetch(
    address: &str,
    within: Duration,
    limit: u64,
    out: &mut (impl AsyncWrite + Unpin),
    mut progress: impl FnMut(u64),
) -> Result<(), FetchError> {
    let broken = |why: String| FetchError::Broken { address: address.to_owned(), why };
    let silent = || broken("the server was silent for too long".to_owned());
    let uri = parse(address)?;
    let (response, _connection) = timeout(within, ask(&uri)).await.map_err(|_| silent())??;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status { address: address.to_owned(), status: response.status() });
    }
    let mut body = response.into_body();
    let mut done = 0;
    while let Some(frame) = timeout(within, body.frame()).await.map_err(|_| silent())? {
        let frame = frame.map_err(|error| broken(format!("the download broke off ({error})")))?;
        let Ok(data) = frame.into_data() else { continue };
        done += data.len() as u64;
        if done > limit {
            return Err(FetchError::TooLarge(address.to_owned()));
        }
        out.write_all(&data).await.map_err(|error| broken(error.to_string()))?;
        progress(done);
    }
    Ok(())
}

/// Asks for a file; the connection lives as long as the handle. Who answers with
/// another address is not followed: the address that a person wrote counts.
async fn ask(uri: &Uri) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), FetchError> {
    let (host, port, secure) = check(uri)?;
    let broken = |why: String| FetchError::Broken { address: uri.to_string(), why };
    let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(|error| broken(error.to_string()))?;
    if !secure {
        return exchange(uri, tcp).await;
    }
    let config = tls::web_client().map_err(|error| FetchError::Tls(uri.to_string(), Box::new(error)))?;
    let name = ServerName::try_from(host).map_err(|error| broken(error.to_string()))?;
    let tls = TlsConnector::from(Arc::clone(&config)).connect(name, tcp).await;
    exchange(uri, tls.map_err(|error| broken(error.to_string()))?).await
}

async fn exchange(
    uri: &Uri,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), FetchError> {
    let broken =
        |error: hyper::Error| FetchError::Broken { address: uri.to_string(), why: error.to_string() };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move {
        // Its error is the body's too.
        let _ = connection.await;
    }));
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("chatcode-gateway/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| FetchError::Broken { address: uri.to_string(), why: error.to_string() })?;
    let response = sender.send_request(request).await.map_err(broken)?;
    Ok((response, connection))
}

/// How long a look for a release may take, for those who wait for it.
pub(super) const LOOK: Duration = limits::RELEASE_SILENCE;

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, time::interval};

    use super::*;

    const SOON: Duration = Duration::from_millis(200);

    /// A server that answers once: with this, and then a byte at a time if it `trickles`.
    async fn server(begin: &'static str, trickles: bool) -> (String, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}/file", listener.local_addr().expect("is bound"));
        let serving = async move {
            let (mut stream, _) = listener.accept().await.expect("is asked");
            stream.write_all(begin.as_bytes()).await.expect("is sent");
            let mut tick = interval(SOON / 20);
            while trickles && stream.write_all(b"x").await.is_ok() {
                tick.tick().await;
            }
            std::future::pending().await
        };
        (address, AbortOnDropHandle::new(tokio::spawn(serving)))
    }

    /// Why nothing was fetched.
    async fn why(address: &str, patience: Patience) -> String {
        let failed = download(address, patience, u64::MAX, &mut Vec::new(), |_| {}).await;
        failed.expect_err("is not fetched").to_string()
    }

    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nx";

    #[tokio::test]
    async fn a_server_of_releases_that_falls_silent_is_left() {
        let patience = Patience { silence: SOON, ..Patience::USUAL };
        for begin in ["", "HTTP/1.1 200 OK\r\n", HEAD] {
            let (address, _serving) = server(begin, false).await;
            let why = timeout(limits::RELEASE_SILENCE, why(&address, patience)).await.expect("long before");
            assert!(why.contains("silent for too long"), "{begin:?}: {why}");
        }
    }

    #[tokio::test]
    async fn a_download_that_goes_on_for_too_long_fails() {
        let (address, _serving) = server(HEAD, true).await;
        let patience = Patience { whole: SOON, ..Patience::USUAL };
        let why = timeout(limits::RELEASE_SILENCE, why(&address, patience)).await.expect("long before");
        assert!(why.contains("it took too long"), "{why}");
    }

    #[test]
    fn a_source_is_a_folder_or_an_address_and_plain_ones_only_of_this_machine() {
        assert!(matches!(Source::of("/srv/release"), Ok(Source::Folder(_))));
        assert!(
            matches!(Source::of("https://code.example.org/release/"), Ok(Source::Web(address)) if !address.ends_with('/'))
        );
        for plain in ["http://localhost:1/x", "http://127.0.0.1:8080", "http://[::1]:80/x"] {
            assert!(Source::of(plain).is_ok(), "{plain}");
        }
        assert!(matches!(Source::of("http://code.example.org"), Err(FetchError::Plain(_))));
        for wrong in ["ftp://code.example.org", "://", "https://", "file:///srv"] {
            assert!(matches!(Source::of(wrong), Err(FetchError::Address(_))), "{wrong}");
        }
    }
}
