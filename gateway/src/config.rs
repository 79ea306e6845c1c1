//! What the daemon is told, and where its files lie.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use chatcode_certs::files::{self, FilesError};
use chatcode_link::{Proxy, ProxyError};
use chatcode_proto::{id::SessionId, limits};
use serde::{Deserialize, Serialize};

use crate::{
    keeping::{Holders, SessionLimits},
    update::settings::{SettingsError, UpdateSettings},
};

/// Settings of the daemon. Layers: defaults, file, `CHATCODE_GATEWAY_*`,
/// flags.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder of the daemon's state; made with 0700 when missing.
    pub data_dir: PathBuf,
    /// The folder below which the sessions' folders lie, when the path of
    /// `data_dir` is too long for a Unix socket. It must survive as long as
    /// the shells: not a folder that something cleans.
    pub runtime_dir: Option<PathBuf>,
    /// The core's link address, host and UDP port; else the one that was told
    /// at the enrollment.
    pub link: Option<String>,
    /// The HTTP proxy by which the core's TCP listener is reached, `http://HOST:PORT`:
    /// for enrollment, and for the link where UDP does not get through. One with a
    /// password stands in [`Self::proxy_file`].
    pub proxy: Option<String>,
    /// A private file that holds the proxy, `http://USER:PASSWORD@HOST:PORT`.
    pub proxy_file: Option<PathBuf>,
    /// The holder's program; else `chatcode-holder` beside the daemon's.
    pub holder: Option<PathBuf>,
    /// The size of each session's output log, bytes, within
    /// [`limits::LOG_BYTES_RANGE`].
    pub log_bytes: usize,
    /// Lines that each session keeps above its screen, at most
    /// [`limits::HISTORY_LINES`].
    pub history_lines: u32,
    /// Whether shells get `SSH_AUTH_SOCK`, and with it the use of the agent's
    /// keys.
    pub pass_ssh_agent: bool,
    /// How holders are started.
    pub holders: Holders,
    /// The user whose shells are started, where holders are started by the
    /// spawner; else the daemon's own.
    pub session_user: Option<String>,
    /// The spawner's socket.
    pub spawner: PathBuf,
    /// What each session may use at most; needs systemd.
    pub session_limits: SessionLimits,
    /// When and from where the programs are updated.
    pub update: UpdateSettings,
    /// Where metrics, `/healthz` and `/readyz` are served; without it nowhere. Off
    /// loopback a `metrics_token_file` is needed. Port 0: any free one.
    pub metrics: Option<SocketAddr>,
    /// A private file with the token that readers of metrics show.
    pub metrics_token_file: Option<PathBuf>,
    /// The collector on this machine that gets traces of calls (OTLP over gRPC), such as
    /// `http://127.0.0.1:4317`; without it there are none.
    pub otlp: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: chatcode_process::default_data_dir().join("gateway"),
            runtime_dir: None,
            link: None,
            proxy: None,
            proxy_file: None,
            holder: None,
            log_bytes: limits::LOG_BYTES,
            history_lines: limits::DEFAULT_HISTORY_LINES,
            pass_ssh_agent: false,
            holders: Holders::Auto,
            session_user: None,
            spawner: "/run/chatcode/spawner.sock".into(),
            session_limits: SessionLimits::default(),
            update: UpdateSettings::default(),
            metrics: None,
            metrics_token_file: None,
            otlp: None,
        }
    }
}

/// A setting that the daemon cannot start with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The log would be too small or too large.
    #[error(
        "log_bytes is {0}, it must be {low} to {high}; correct the setting",
        low = limits::LOG_BYTES_RANGE.start(),
        high = limits::LOG_BYTES_RANGE.end()
    )]
    LogBytes(usize),
    /// The history would be too long.
    #[error(
        "history_lines is {0}, it must be at most {most}; correct the setting",
        most = limits::HISTORY_LINES
    )]
    HistoryLines(u32),
    /// A setting of updates.
    #[error(transparent)]
    Update(#[from] SettingsError),
    /// The proxy cannot be used.
    #[error("{0}; correct the setting proxy or the file that proxy_file names")]
    Proxy(#[from] ProxyError),
    /// A password would be in a file that others may read.
    #[error("proxy holds a password; put it into a private file of its own and name that with proxy_file")]
    ProxyPassword,
    /// The proxy's file cannot be used, or is open to others.
    #[error("the file of the proxy cannot be used: {0}")]
    ProxyFile(#[from] FilesError),
    /// The proxy's file is not there.
    #[error("the file of the proxy {0} is not there; make it, or take proxy_file out of the settings")]
    NoProxyFile(PathBuf),
    /// A Unix socket's path would be cut by the kernel.
    #[error(
        "the path of a session's socket would be too long for a Unix socket ({length} bytes: {path}); \
         name a shorter folder with --runtime-dir"
    )]
    SocketPath {
        /// Bytes of the path.
        length: usize,
        /// The path, with an example of a session's id.
        path: PathBuf,
    },
    /// A path that cannot be told to a holder.
    #[error("the path {0:?} is not UTF-8; name another folder")]
    NotUtf8(PathBuf),
    /// The holder's program is not there.
    #[error(
        "the holder's program {0} is not there; install it beside chatcode-gateway or name it with --holder"
    )]
    NoHolder(PathBuf),
    /// The file system refused.
    #[error("{path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Config {
    /// Where things lie, all absolute.
    ///
    /// # Errors
    /// A log or a history out of bounds, a socket path that is too long, a missing
    /// holder.
    pub(crate) fn places(&self) -> Result<Places, ConfigError> {
        if !limits::LOG_BYTES_RANGE.contains(&self.log_bytes) {
            return Err(ConfigError::LogBytes(self.log_bytes));
        }
        if self.history_lines > limits::HISTORY_LINES {
            return Err(ConfigError::HistoryLines(self.history_lines));
        }
        self.update.check()?;
        let data = absolute(&self.data_dir)?;
        let sessions = absolute(self.runtime_dir.as_deref().unwrap_or(&data))?.join("sessions");
        let holder = match &self.holder {
            Some(path) => absolute(path)?,
            None => beside_this_program()?,
        };
        if !holder.is_file() {
            return Err(ConfigError::NoHolder(holder));
        }
        if sessions.to_str().is_none() {
            return Err(ConfigError::NotUtf8(sessions));
        }
        let places = Places { data, sessions, holder };
        let longest = places.socket(&SessionId::from_random([0; 16]));
        if std::os::unix::net::SocketAddr::from_pathname(&longest).is_err() {
            return Err(ConfigError::SocketPath { length: longest.as_os_str().len(), path: longest });
        }
        Ok(places)
    }

    /// The proxy on the way to the core's TCP listener; `None`: straight.
    ///
    /// # Errors
    /// A proxy that cannot be used, or its password where others may read it.
    pub fn proxy(&self) -> Result<Option<Arc<Proxy>>, ConfigError> {
        if let Some(path) = &self.proxy_file {
            let text = files::read_private(path)?.ok_or_else(|| ConfigError::NoProxyFile(path.clone()))?;
            let text = std::str::from_utf8(&text).map_err(|_| ProxyError::Form)?;
            return Ok(Some(Arc::new(Proxy::parse(text)?)));
        }
        let Some(text) = self.proxy.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        if text.contains('@') {
            return Err(ConfigError::ProxyPassword);
        }
        Ok(Some(Arc::new(Proxy::parse(text)?)))
    }

    /// The folder of the daemon's identity and of the core's address.
    #[must_use]
    pub fn identity_dir(&self) -> PathBuf {
        self.data_dir.join("identity")
    }
}

/// Where things lie, all absolute.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The folder of the daemon's state.
    pub(crate) data: PathBuf,
    /// One folder per session.
    pub(crate) sessions: PathBuf,
    /// The holder's program.
    pub(crate) holder: PathBuf,
}

impl Places {
    /// The folder of a session: its socket, its record, its holder's log.
    pub(crate) fn session(&self, id: &SessionId) -> PathBuf {
        self.sessions.join(id.to_string())
    }

    /// The socket of a session's holder.
    pub(crate) fn socket(&self, id: &SessionId) -> PathBuf {
        self.session(id).join("holder.sock")
    }

    /// What a session is started again with; missing when it is not.
    pub(crate) fn spec(&self, id: &SessionId) -> PathBuf {
        self.session(id).join("spec.pb")
    }

    /// The last screen that a session's holder saved.
    pub(crate) fn screen(&self, id: &SessionId) -> PathBuf {
        self.session(id).join("screen.pb")
    }

    /// What a session's holder keeps on disk.
    pub(crate) fn record(&self, id: &SessionId) -> PathBuf {
        self.session(id).join("record.pb")
    }
}

fn beside_this_program() -> Result<PathBuf, ConfigError> {
    let own = std::env::current_exe()
        .map_err(|source| ConfigError::Io { path: "/proc/self/exe".into(), source })?;
    Ok(own.with_file_name("chatcode-holder"))
}

fn absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(data_dir: PathBuf) -> Config {
        Config { data_dir, holder: Some("/bin/sh".into()), ..Config::default() }
    }

    #[test]
    fn a_socket_path_that_the_kernel_would_cut_is_refused_with_the_way_out() {
        let long = config(PathBuf::from("/").join("x".repeat(80)));
        let error = long.places().expect_err("is too long").to_string();
        assert!(error.contains("--runtime-dir"), "{error}");
        let moved = Config { runtime_dir: Some("/run/user/1000/cc".into()), ..long };
        let places = moved.places().expect("is short enough");
        assert_eq!(places.sessions, Path::new("/run/user/1000/cc/sessions"));
    }

    #[test]
    fn sizes_out_of_bounds_and_a_missing_holder_are_refused() {
        let small = Config { log_bytes: 1, ..config("/tmp/x".into()) };
        assert!(matches!(small.places(), Err(ConfigError::LogBytes(1))));
        let long = Config { history_lines: 200_001, ..config("/tmp/x".into()) };
        assert!(matches!(long.places(), Err(ConfigError::HistoryLines(200_001))));
        let without = Config { holder: Some("/no/such/holder".into()), ..config("/tmp/x".into()) };
        assert!(matches!(without.places(), Err(ConfigError::NoHolder(_))));
    }

    #[test]
    fn a_proxy_with_a_password_stands_in_a_private_file_and_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let plain = Config { proxy: Some("http://proxy:3128".into()), ..Config::default() };
        assert_eq!(plain.proxy().expect("is one").expect("is one").place(), "proxy:3128");
        assert!(
            Config { proxy: Some(String::new()), ..Config::default() }.proxy().expect("is none").is_none()
        );
        let open = Config { proxy: Some("http://me:secret@proxy:3128".into()), ..Config::default() };
        let error = open.proxy().expect_err("is in a file that others read");
        assert!(matches!(error, ConfigError::ProxyPassword) && !error.to_string().contains("secret"));
        let path = folder.path().join("proxy");
        let kept = Config { proxy_file: Some(path.clone()), ..Config::default() };
        assert!(matches!(kept.proxy(), Err(ConfigError::NoProxyFile(_))));
        files::write_private(&path, b"http://me:secret@proxy:3128\n").expect("is written");
        assert_eq!(kept.proxy().expect("is one").expect("is one").place(), "proxy:3128");
        files::write_private(&path, b"me:secret@proxy").expect("is written");
        let error = kept.proxy().expect_err("is no proxy").to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    /// No flag.
    #[derive(Serialize)]
    struct None {}

    #[test]
    fn the_example_can_be_read_and_has_every_key() {
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/gateway.toml"));
        let example: Config = chatcode_process::load("gateway", Some(file), None {}).expect("can be read");
        let text = std::fs::read_to_string(file).expect("is there");
        let update = serde_json::to_value(&example.update).expect("is one");
        let whole = serde_json::to_value(&example).expect("is one");
        let keys = [whole, update].into_iter().flat_map(|value| value.as_object().cloned().expect("is one"));
        for (key, _) in keys {
            assert!(text.contains(&format!("{key} = ")) || text.contains(&format!("[{key}]")), "{key}");
        }
    }

    #[test]
    fn all_paths_become_absolute_since_holders_live_in_the_root() {
        // The working folder may have a long name, so the sockets lie elsewhere.
        let short = Config { runtime_dir: Some("/r".into()), ..config("relative/data".into()) };
        let places = short.places().expect("is fine");
        assert!(places.data.is_absolute() && places.data.ends_with("relative/data"));
        assert_eq!(places.sessions, Path::new("/r/sessions"));
    }
}
