//! What the daemon is told, and where its files lie.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use chatcode_certs::files::{self, FilesError};
use chatcode_link::{Proxy, ProxyError};
use chatcode_process::{
    config::{Fault, Setting, Settings},
    observe::settings,
};
use chatcode_proto::{id::SessionId, limits};
use serde::{Deserialize, Serialize};

use crate::{
    keeping::{Holders, KeepingError, SessionLimits},
    update::settings::{SettingsError, UpdateSettings},
};

/// Settings of the daemon. Layers: defaults, file, `CHATCODE_GATEWAY_*`,
/// flags.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder of the daemon's state; made with 0700 when missing.
    pub data_dir: PathBuf,
    /// The filter of the log, where `CHATCODE_LOG` does not say.
    pub log: Option<String>,
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
            log: None,
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
        "a log of {0} bytes is out of bounds; write {low} to {high}",
        low = limits::LOG_BYTES_RANGE.start(),
        high = limits::LOG_BYTES_RANGE.end()
    )]
    LogBytes(usize),
    /// The history would be too long.
    #[error(
        "a history of {0} lines is too long; write {most} at most",
        most = limits::HISTORY_LINES
    )]
    HistoryLines(u32),
    /// A setting of updates.
    #[error(transparent)]
    Update(#[from] SettingsError),
    /// The proxy cannot be used.
    #[error("the proxy (the setting proxy, or the file that proxy_file names) cannot be used")]
    Proxy(#[from] ProxyError),
    /// A password would be in a file that others may read.
    #[error("proxy holds a password; put it into a private file of its own and name that with proxy_file")]
    ProxyPassword,
    /// The proxy's file cannot be used, or is open to others.
    #[error("the file of the proxy cannot be used")]
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
        if let Some(error) = self.unfit_sizes().next() {
            return Err(error);
        }
        self.update.check()?;
        self.located()
    }

    /// The sizes that are out of bounds.
    fn unfit_sizes(&self) -> impl Iterator<Item = ConfigError> {
        let log = (!limits::LOG_BYTES_RANGE.contains(&self.log_bytes))
            .then_some(ConfigError::LogBytes(self.log_bytes));
        let history = (self.history_lines > limits::HISTORY_LINES)
            .then_some(ConfigError::HistoryLines(self.history_lines));
        log.into_iter().chain(history)
    }

    fn located(&self) -> Result<Places, ConfigError> {
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
        match &self.proxy_file {
            Some(path) => kept_proxy(path).map(Some),
            None => self.plain_proxy(),
        }
    }

    /// The one of the setting `proxy`; an empty text is none.
    fn plain_proxy(&self) -> Result<Option<Arc<Proxy>>, ConfigError> {
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

/// The proxy in a private file.
fn kept_proxy(path: &Path) -> Result<Arc<Proxy>, ConfigError> {
    let text = files::read_private(path)?.ok_or_else(|| ConfigError::NoProxyFile(path.to_owned()))?;
    let text = std::str::from_utf8(&text).map_err(|_| ProxyError::Form)?;
    Ok(Arc::new(Proxy::parse(text)?))
}

fn beside_this_program() -> Result<PathBuf, ConfigError> {
    let own = std::env::current_exe()
        .map_err(|source| ConfigError::Io { path: "/proc/self/exe".into(), source })?;
    Ok(own.with_file_name("chatcode-holder"))
}

fn absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })
}

impl Settings for Config {
    const ROLE: &'static str = "gateway";
    const SETTINGS: &'static [Setting] = SETTINGS;

    fn faults(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = Fault::of_log(self.log.as_deref()).into_iter().collect();
        if let Err(error) = files::look_at_dir(&self.data_dir) {
            faults.push(Fault::caused("data_dir", &error));
        }
        faults.extend(self.link.as_deref().and_then(|text| Fault::of_address("link", text)));
        if let Err(error) = self.proxy() {
            let key = if self.proxy_file.is_some() { "proxy_file" } else { "proxy" };
            faults.push(Fault::caused(key, &error));
        }
        for error in self.unfit_sizes() {
            let key = if matches!(error, ConfigError::LogBytes(_)) { "log_bytes" } else { "history_lines" };
            faults.push(Fault::new(key, error));
        }
        // The sizes are told already.
        let with_sizes = Self { log_bytes: limits::LOG_BYTES, history_lines: 0, ..self.clone() };
        if let Err(error) = with_sizes.located() {
            let key = match &error {
                ConfigError::NoHolder(_) => "holder",
                _ if self.runtime_dir.is_some() => "runtime_dir",
                _ => "data_dir",
            };
            faults.push(Fault::caused(key, &error));
        }
        for (key, error) in self.session_limits.faults() {
            faults.push(Fault::new(format!("session_limits.{key}"), error));
        }
        if self.holders == Holders::SystemdSystem && self.session_user.is_none() {
            faults.push(Fault::of(&["holders", "session_user"], KeepingError::NoSessionUser));
        }
        for (key, error) in self.update.faults() {
            faults.push(Fault::caused(format!("update.{key}"), &error));
        }
        let (token_file, otlp) = (self.metrics_token_file.as_deref(), self.otlp.as_deref());
        faults.extend(settings::faults(self.metrics, token_file, otlp, |file| files::read_private(file)));
        faults
    }

    fn lacks(&self) -> Vec<Fault> {
        // The file is what counts beside it, so nothing of it is used.
        let unused = self.proxy_file.as_ref().and_then(|_| self.plain_proxy().err());
        let proxy = unused.map(|error| Fault::caused("proxy", &error));
        let update = self.update.lacks().into_iter();
        let update = update.map(|(key, error)| Fault::caused(format!("update.{key}"), &error));
        proxy.into_iter().chain(update).collect()
    }

    fn log(&self) -> Option<&str> {
        self.log.as_deref()
    }
}

const SETTINGS: &[Setting] = &[
    Setting::restart("data_dir", "a folder", "`<data>/gateway`", "its identity and its sessions"),
    Setting::live(
        "log",
        "a filter such as \"info\" or \"warn,chatcode=debug\"",
        "`warn,chatcode=info`",
        "what is logged; `CHATCODE_LOG` wins",
    ),
    Setting::restart(
        "runtime_dir",
        "a folder",
        "`data_dir`",
        "a place for sockets where the path of `data_dir` is too long; it has to live as long as the shells",
    ),
    Setting::restart("link", "HOST:PORT", "the one of the enrollment", "the core's link address (UDP)"),
    Setting::restart(
        "proxy",
        "\"http://HOST:PORT\"",
        "none",
        "the HTTP proxy to the core's TCP port ([networks](networks.md))",
    ),
    Setting::restart(
        "proxy_file",
        "a file",
        "none",
        "a private file with the proxy, for one with a password",
    ),
    Setting::restart(
        "holder",
        "a program",
        "`chatcode-holder` beside `chatcode-gateway`",
        "what holds a session",
    ),
    Setting::live(
        "log_bytes",
        "65536 to 67108864 bytes",
        "1048576",
        "output kept per session for viewers that come back; of sessions that begin from then on",
    ),
    Setting::live(
        "history_lines",
        "0 to 200000 lines",
        "10000",
        "lines kept above the screen; of sessions that begin from then on",
    ),
    Setting::live(
        "pass_ssh_agent",
        "true or false",
        "false",
        "shells get `SSH_AUTH_SOCK`; those that begin from then on",
    ),
    Setting::restart(
        "holders",
        "\"auto\", \"systemd-user\", \"systemd-system\" or \"detached\"",
        "`auto`",
        "where holders live ([holders and limits](sessions.md))",
    ),
    Setting::restart(
        "session_user",
        "a user",
        "the daemon's user",
        "whose shells are started, with `systemd-system`",
    ),
    Setting::restart(
        "spawner",
        "a socket",
        "`/run/chatcode/spawner.sock`",
        "the spawner's socket, with `systemd-system`",
    ),
    Setting::restart(
        "session_limits.memory_bytes",
        "a number of bytes",
        "none",
        "memory that a session may use; with `systemd-user`",
    ),
    Setting::restart(
        "session_limits.cpu_percent",
        "a number, 100 for each processor",
        "none",
        "time of processors that a session may use; with `systemd-user`",
    ),
    Setting::restart(
        "session_limits.tasks",
        "a number",
        "none",
        "processes and threads that a session may have; with `systemd-user`",
    ),
    Setting::live(
        "update.policy",
        "\"off\", \"notify\" or \"automatic\"",
        "`notify`",
        "when it updates by itself ([upgrades](upgrade.md))",
    ),
    Setting::live("update.window", "\"03:00-05:00\" (UTC)", "`03:00-05:00`", "when it may"),
    Setting::live(
        "update.release_url",
        "an https address or a folder",
        "none",
        "where releases are, with a folder for each channel and version, or one release by itself; http of this machine only; written by the installation where the release came by the web",
    ),
    Setting::live("update.channel", "lower-case letters, digits and hyphens", "`stable`", "which channel"),
    Setting::live(
        "update.pin",
        "a version, or the beginning of one, such as \"0.2\"",
        "none",
        "what the machine is [held at](upgrade.md#held-at-a-version)",
    ),
    Setting::live(
        "update.release_key",
        "a file",
        "that of the program",
        "the key that releases must be signed by, for releases of your own",
    ),
    Setting::live(
        "update.look_s",
        "1 to 604800 seconds",
        "21600",
        "the shortest pause between two looks for a release; each is longer by up to as much again",
    ),
    Setting::live(
        "update.trial_s",
        "2 to 600 seconds",
        "60",
        "how long a new daemon may take until the core has welcomed it",
    ),
    Setting::live(
        "update.helper",
        "a socket",
        "`/run/chatcode/updater.sock`",
        "the helper that installs releases, where the programs are not the daemon's to change",
    ),
    settings::METRICS,
    settings::METRICS_TOKEN_FILE,
    settings::OTLP,
];

#[cfg(test)]
mod tests {
    use chatcode_process::config::{NoFlags, page};

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

    #[test]
    fn the_reference_has_every_setting_and_no_other() {
        assert_eq!(page::unlisted(&Config::default()), (Vec::new(), Vec::new()));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        page::keep_section(&file, "gateway", &page::section::<Config>()).expect("is as it was generated");
    }

    #[test]
    fn the_bounds_of_the_reference_are_those_that_are_kept() {
        let form = |key: &str| SETTINGS.iter().find(|one| one.key == key).expect("is listed").form;
        let (log, look, trial) =
            (limits::LOG_BYTES_RANGE, limits::UPDATE_LOOK_RANGE, limits::UPDATE_TRIAL_RANGE);
        assert_eq!(form("log_bytes"), format!("{} to {} bytes", log.start(), log.end()));
        assert_eq!(form("history_lines"), format!("0 to {} lines", limits::HISTORY_LINES));
        assert_eq!(form("update.look_s"), format!("{} to {} seconds", look.start(), look.end()));
        assert_eq!(form("update.trial_s"), format!("{} to {} seconds", trial.start(), trial.end()));
    }

    #[test]
    fn all_mistakes_are_found_at_once() {
        let mut wrong = Config { log_bytes: 1, link: Some("core".to_owned()), ..config("/tmp/x".into()) };
        wrong.proxy = Some("proxy:3128".to_owned());
        wrong.history_lines = limits::HISTORY_LINES + 1;
        (wrong.update.trial_s, wrong.update.channel) = (0, "No".to_owned());
        (wrong.holders, wrong.session_limits.tasks) = (Holders::SystemdSystem, Some(0));
        let keys: Vec<String> = wrong.faults().into_iter().map(|fault| fault.keys.join(" ")).collect();
        assert_eq!(
            keys,
            [
                "link",
                "proxy",
                "log_bytes",
                "history_lines",
                "session_limits.tasks",
                "holders session_user",
                "update.trial_s",
                "update.channel"
            ]
        );
        assert!(config("/tmp/x".into()).faults().is_empty());
    }

    #[test]
    fn a_proxy_and_its_file_are_told_at_once_and_each_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("proxy");
        std::fs::write(&file, "http://me:secret@proxy:3128").expect("is written");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .expect("is open");
        let proxy = Some("https://proxy:3128".to_owned());
        let wrong = Config { proxy, proxy_file: Some(file), ..config("/tmp/x".into()) };
        let told: Vec<_> = wrong
            .faults()
            .into_iter()
            .chain(wrong.lacks())
            .map(|fault| (fault.keys.join(" "), fault.reason))
            .collect();
        let [(kept, open), (plain, scheme)] = &told[..] else { panic!("{told:?}") };
        assert_eq!((&plain[..], &kept[..]), ("proxy", "proxy_file"));
        assert_eq!(wrong.faults().len(), 1, "what is not used keeps no machine away");
        assert_eq!(scheme.matches("http:// only").count(), 1, "{scheme}");
        assert_eq!(open.matches("chmod").count(), 1, "{open}");
    }

    #[test]
    fn a_key_stands_once_before_what_is_wrong_with_its_value() {
        let mut wrong = Config { log_bytes: 10, history_lines: u32::MAX, ..config("/tmp/x".into()) };
        (wrong.update.trial_s, wrong.update.look_s, wrong.update.channel) = (0, 0, "No".to_owned());
        let faults = wrong.faults();
        assert_eq!(faults.len(), 5);
        for fault in faults {
            let key = fault.keys.join(" ");
            assert!(
                !fault.reason.contains(&key) && fault.reason.contains("; write "),
                "{key}: {}",
                fault.reason
            );
        }
    }

    #[test]
    fn releases_that_no_update_can_take_are_told_and_keep_no_machine_away() {
        for (place, words) in [
            ("http://10.77.0.9/r", "use https"),
            ("ftp://localhost/r", "correct it"),
            ("/nowhere/releases", "/nowhere/releases"),
        ] {
            let mut lacking = config("/tmp/x".into());
            lacking.update.release_url = Some(place.to_owned());
            assert!(lacking.faults().is_empty(), "the start goes on");
            let told: Vec<_> =
                lacking.lacks().into_iter().map(|fault| (fault.keys.join(" "), fault.reason)).collect();
            assert!(
                matches!(&told[..], [(key, why)] if key == "update.release_url" && why.contains(words)),
                "{told:?}"
            );
        }
        for place in ["https://code.example.org/release", "http://localhost:7420/release", "/"] {
            let mut fit = config("/tmp/x".into());
            fit.update.release_url = Some(place.to_owned());
            assert_eq!(fit.lacks(), Vec::new(), "{place}");
        }
    }

    #[test]
    fn a_release_key_that_is_gone_is_told_and_keeps_no_machine_away() {
        let mut lacking = config("/tmp/x".into());
        lacking.update.release_key = Some("/nowhere/key".into());
        assert!(lacking.faults().is_empty(), "the start goes on");
        let told: Vec<_> =
            lacking.lacks().into_iter().map(|fault| (fault.keys.join(" "), fault.reason)).collect();
        assert!(
            matches!(&told[..], [(key, why)] if key == "update.release_key" && why.contains("/nowhere/key")),
            "{told:?}"
        );
    }

    #[test]
    fn the_example_can_be_read_and_has_every_key() {
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/gateway.toml"));
        let example: Config =
            chatcode_process::config::peek("gateway", Some(file), NoFlags {}).expect("can be read");
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
