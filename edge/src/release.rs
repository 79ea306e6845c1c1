//! What a new machine installs: the files of a release from a folder of this
//! machine, and the line that begins with them. Nothing is put into a file here;
//! what vouches for them is in the line and in the release itself.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json,
    body::Body,
    response::{IntoResponse as _, Response},
};
use chatcode_certs::secret;
use chatcode_proto::{
    code::Refusal,
    install_line::{Voucher, install_line},
    limits,
    pb::Code,
};
use futures_util::StreamExt as _;
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE},
};
use serde_json::json;
use tokio::{fs::File, io::AsyncReadExt as _, sync::Semaphore, time::sleep};
use tokio_util::io::ReaderStream;

use crate::{admit::Origin, config::Config, refuse};

/// The channel that `/install.sh` is of, where a folder has several.
const CHANNEL: &str = "stable";

/// The releases of one edge.
#[derive(Debug)]
pub(crate) struct Releases {
    folder: Option<PathBuf>,
    is_public: bool,
    /// Of the key that browsers see, when this edge speaks TLS itself.
    pin: Option<String>,
    core: String,
    downloads: Arc<Semaphore>,
    /// How long one of them may take.
    longest: Duration,
}

impl Releases {
    /// As `config` says; `core` is the core's gRPC address as this edge dials it,
    /// `pin` that of its TLS key.
    pub(crate) fn new(config: &Config, origin: &Origin, core: &str, pin: Option<String>) -> Self {
        let core = config.core_for_gateways.clone().unwrap_or_else(|| {
            let port = core.rsplit(':').next().unwrap_or_default();
            let authority = origin.authority();
            // An IPv6 host ends in a bracket, not in a port.
            let host = match authority.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => host,
                _ => authority,
            };
            format!("{host}:{port}")
        });
        Self {
            folder: config.release_dir.clone(),
            is_public: config.public_certificate,
            pin,
            core,
            downloads: Arc::new(Semaphore::new(limits::RELEASE_DOWNLOADS)),
            longest: limits::RELEASE_TIME,
        }
    }

    /// The core's gRPC address, HOST:PORT, as machines and programs elsewhere dial it.
    pub(crate) fn core(&self) -> &str {
        &self.core
    }

    /// `/install.sh`, `/cleanup.sh` or `/release/...`; none other is asked for.
    pub(crate) async fn answer(&self, path: &str) -> Response {
        let found = match self.file(path) {
            Some(file) => open(&file).await,
            None => None,
        };
        let Some((file, length)) = found else {
            return refuse::http(&Refusal::new(
                Code::UnknownMethod,
                "there is no such file of a release here",
            ));
        };
        let Ok(place) = Arc::clone(&self.downloads).try_acquire_owned() else {
            return refuse::http(&Refusal::new(Code::Limit, "too many downloads at once; try again"));
        };
        // Never more than was said, also of a file that grows.
        let bytes = ReaderStream::with_capacity(file.take(length), limits::UNARY_BYTES)
            .take_until(sleep(self.longest))
            .map(move |part| {
                let _held = &place;
                part
            });
        let mut response = Response::new(Body::from_stream(bytes));
        let headers = response.headers_mut();
        let is_archive = path.ends_with(".tar.gz");
        let (kind, cache) = if is_archive {
            ("application/gzip", "public, max-age=3600")
        } else {
            ("text/plain; charset=utf-8", "no-cache")
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        response
    }

    /// The line for a new machine as JSON, `{"line"}`; null when there is none.
    pub(crate) async fn line(&self, origin: &Origin) -> Response {
        let line = match self.voucher(origin).await {
            Some(voucher) => install_line(&origin.to_string(), &self.release(), &self.core, &voucher)
                .inspect_err(|error| tracing::warn!(target: "chatcode", %error, "no line for new machines"))
                .ok(),
            None => None,
        };
        Json(json!({ "line": line, "core": self.core })).into_response()
    }

    /// Who vouches for the script; nobody where there is none.
    async fn voucher(&self, origin: &Origin) -> Option<Voucher> {
        let (script, length) = open(&self.file("/install.sh")?).await?;
        if origin.is_https() && self.is_public {
            return Some(Voucher::PublicCertificate);
        }
        if origin.is_https()
            && let Some(pin) = &self.pin
        {
            return Some(Voucher::Pin(pin.clone()));
        }
        let mut bytes = Vec::new();
        script.take(length.min(limits::UNARY_BYTES as u64)).read_to_end(&mut bytes).await.ok()?;
        let sum = secret::hash(&bytes);
        Some(Voucher::ScriptSha256(sum.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The path of the release that `/install.sh` is of.
    fn release(&self) -> String {
        let has_channels = self.folder.as_ref().is_some_and(|folder| folder.join(CHANNEL).is_dir());
        if has_channels { format!("/release/{CHANNEL}") } else { "/release".to_owned() }
    }

    /// The file that a path of the URL names; a name begins with a letter or digit,
    /// so none leads out of the folder.
    fn file(&self, path: &str) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        let rest = match path {
            "/install.sh" | "/cleanup.sh" => format!("{}{path}", self.release()),
            path => path.to_owned(),
        };
        let names: Vec<&str> = rest.strip_prefix("/release/")?.split('/').collect();
        let is_name = |name: &&str| {
            name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        };
        if names.len() > 2 || !names.iter().all(is_name) {
            return None;
        }
        Some(names.iter().fold(folder.clone(), |path, name| path.join(name)))
    }
}

/// A plain file that is not too large, and its length.
async fn open(path: &Path) -> Option<(File, u64)> {
    // Looked at first: opening a pipe would wait for its other end.
    if !tokio::fs::metadata(path).await.ok()?.is_file() {
        return None;
    }
    let file = File::open(path).await.ok()?;
    let facts = file.metadata().await.ok()?;
    (facts.is_file() && facts.len() <= limits::RELEASE_FILE_BYTES).then_some((file, facts.len()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use http::StatusCode;
    use http_body_util::BodyExt as _;
    use hyper_util::rt::TokioIo;

    use super::*;

    fn releases(folder: Option<&Path>) -> Releases {
        Releases {
            folder: folder.map(Path::to_owned),
            is_public: false,
            pin: None,
            core: "localhost:7421".to_owned(),
            downloads: Arc::new(Semaphore::new(1)),
            longest: limits::RELEASE_TIME,
        }
    }

    async fn body(response: Response) -> Vec<u8> {
        axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("is read").to_vec()
    }

    fn channel() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let stable = folder.path().join(CHANNEL);
        fs::create_dir(&stable).expect("is made");
        fs::write(stable.join("install.sh"), "echo hello").expect("is written");
        fs::write(stable.join("chatcode-1.tar.gz"), "archive").expect("is written");
        fs::write(folder.path().join("secret"), "x").expect("is written");
        folder
    }

    #[tokio::test]
    async fn the_files_of_a_release_are_given_as_they_lie_there() {
        let folder = channel();
        let releases = releases(Some(folder.path()));
        let script = releases.answer("/install.sh").await;
        assert_eq!(script.headers()[CACHE_CONTROL], "no-cache");
        assert_eq!(script.headers()[CONTENT_LENGTH], "10");
        assert_eq!(body(script).await, b"echo hello");
        let archive = releases.answer("/release/stable/chatcode-1.tar.gz").await;
        assert_eq!(archive.headers()[CONTENT_TYPE], "application/gzip");
        assert_eq!(body(archive).await, b"archive");
    }

    #[tokio::test]
    async fn no_path_leads_out_of_the_folder_or_to_what_is_no_file() {
        let folder = channel();
        let inner = releases(Some(&folder.path().join(CHANNEL)));
        for path in [
            "/release/../secret",
            "/release/%2e%2e/secret",
            "/release//etc/passwd",
            "/release/",
            "/release/stable/../../secret",
            "/release/.hidden",
            "/release/a/b/c",
            "/release/missing",
        ] {
            assert_eq!(inner.answer(path).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
        let outer = releases(Some(folder.path()));
        assert_eq!(outer.answer("/release/stable").await.status(), StatusCode::NOT_FOUND, "a folder");
        assert_eq!(releases(None).answer("/install.sh").await.status(), StatusCode::NOT_FOUND, "not set");
    }

    #[tokio::test]
    async fn one_download_too_many_is_refused_until_another_is_over() {
        let folder = channel();
        let releases = releases(Some(folder.path()));
        let first = releases.answer("/install.sh").await;
        assert_eq!(releases.answer("/install.sh").await.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        assert_eq!(releases.answer("/install.sh").await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_download_that_takes_too_long_is_cut_and_its_reader_sees_that() {
        // More than the server reads ahead for a reader that takes nothing.
        let large = vec![b'x'; 4 * limits::UNARY_BYTES];
        let folder = channel();
        fs::write(folder.path().join(CHANNEL).join("install.sh"), &large).expect("is written");
        let longest = Duration::from_millis(20);
        let releases = Releases { longest, ..releases(Some(folder.path())) };
        let answer = releases.answer("/install.sh").await;
        assert_eq!(answer.headers()[CONTENT_LENGTH], large.len().to_string(), "what it would have been");
        seen_by_a_reader(answer, 2 * longest).await.expect_err("less than was said");
        let releases = Releases { longest: limits::RELEASE_TIME, ..releases };
        let answer = releases.answer("/install.sh").await;
        assert_eq!(answer.status(), StatusCode::OK, "its place is free");
        assert!(seen_by_a_reader(answer, Duration::ZERO).await.expect("in time") == large);
    }

    /// What comes of an answer at the other end of a connection, whose reader waits
    /// between head and body.
    async fn seen_by_a_reader(answer: Response, waits: Duration) -> Result<Vec<u8>, hyper::Error> {
        let (server, client) = tokio::io::duplex(4096);
        let answer = std::sync::Mutex::new(Some(answer));
        let service = hyper::service::service_fn(move |_| {
            let answer = answer.lock().expect("nobody panicked").take().expect("asked once");
            std::future::ready(Ok::<_, std::convert::Infallible>(answer))
        });
        let serving =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
        let reading = async {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(client)).await?;
            let ask = http::Request::get("/").body(Body::empty()).expect("a request");
            let read = async move {
                let body = sender.send_request(ask).await?.into_body();
                sleep(waits).await;
                Ok(body.collect().await?.to_bytes())
            };
            let (read, _) = tokio::join!(read, connection);
            read.map(|bytes| bytes.to_vec())
        };
        let (read, _) = tokio::join!(reading, serving);
        read
    }

    #[tokio::test]
    async fn the_line_vouches_for_the_script_as_it_is_now_and_there_is_none_without_one() {
        let folder = channel();
        let origin: Origin = "http://localhost:7420".parse().expect("an origin");
        let shown = releases(Some(folder.path()));
        let before = String::from_utf8(body(shown.line(&origin).await).await).expect("is text");
        let sum = "584a331fd6b02dcb1ecbe2eba731f609a2e1e3dac0bb73ae998dfad14c309a77";
        assert!(before.contains("--from http://localhost:7420/release/stable"), "{before}");
        assert!(before.contains(sum), "{before}");
        fs::write(folder.path().join("stable/install.sh"), "echo other").expect("is written");
        let after = String::from_utf8(body(shown.line(&origin).await).await).expect("is text");
        assert_ne!(before, after);
        assert!(!after.contains(sum));
        let without = body(releases(None).line(&origin).await).await;
        assert_eq!(without, br#"{"core":"localhost:7421","line":null}"#);
    }
}

/// `just fuzz releases`.
#[cfg(test)]
mod fuzz {
    use std::path::Component;

    use chatcode_fuzz::{Target, lines, sight};

    use super::*;

    const TARGET: Target = Target { name: "releases", words: WORDS, usual: 20_000, case };
    const WORDS: &[&[u8]] = &[
        b"/release/",
        b"/install.sh",
        b"/cleanup.sh",
        b"stable",
        b"chatcode-1.tar.gz",
        b"/",
        b"//",
        b"..",
        b"/../",
        b".",
        b"%2e%2e",
        b"\\",
        b"~",
        b"-",
        b"\n",
        b"\0",
        b"\xc3\xa9",
    ];

    #[test]
    fn no_path_names_a_file_outside_of_the_releases() {
        chatcode_fuzz::run(&TARGET, Vec::new());
    }

    fn case(input: &[u8]) -> Vec<u64> {
        let folder = Path::new("/srv/releases");
        let releases = Releases {
            folder: Some(folder.to_owned()),
            is_public: false,
            pin: None,
            core: String::new(),
            downloads: Arc::new(Semaphore::new(1)),
            longest: limits::RELEASE_TIME,
        };
        let one = |path: &String| {
            let Some(file) = releases.file(path) else { return sight("none") };
            let below = file.strip_prefix(folder).expect("a file outside of the folder");
            let names: Vec<Component<'_>> = below.components().collect();
            assert!(names.iter().all(|name| matches!(name, Component::Normal(_))), "a way out: {path}");
            assert!((1..=2).contains(&names.len()), "deeper than a release is: {path}");
            sight((names.len(), path.starts_with("/release/")))
        };
        lines(input).iter().map(one).collect()
    }
}
