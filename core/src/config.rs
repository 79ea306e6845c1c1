//! What an operator may choose. Everything has a default that works.

pub mod mail;
pub mod provider;
pub mod secrets;

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
};

use chatcode_proto::limits;
use serde::{Deserialize, Serialize};

/// The configuration of a core.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder of all its files; made when it is missing, refused when
    /// others may look into it.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// The filter of the log, where `CHATCODE_LOG` does not say.
    #[serde(default)]
    pub log: Option<String>,
    /// Where gRPC is served (TCP). Port 0: the port of the last run when it is
    /// free, else any.
    #[serde(default = "any_port")]
    pub listen: SocketAddr,
    /// Where links come in (UDP). Port 0: as for `listen`.
    #[serde(default = "any_port")]
    pub link: SocketAddr,
    /// New enrollments in a minute from one address.
    #[serde(default = "enroll_per_minute")]
    pub enroll_per_minute: u32,
    /// New enrollments in a minute from everywhere.
    #[serde(default = "enroll_whole_per_minute")]
    pub enroll_whole_per_minute: u32,
    /// Life of a gateway's certificate, seconds; within
    /// [`limits::GATEWAY_CERTIFICATE_RANGE`].
    #[serde(default = "gateway_certificate_s")]
    pub gateway_certificate_s: u64,
    /// The same of an edge's.
    #[serde(default = "edge_certificate_s")]
    pub edge_certificate_s: u64,
    /// Life of an administrator's certificate, seconds; within
    /// [`limits::ADMIN_CERTIFICATE_RANGE`].
    #[serde(default = "admin_certificate_s")]
    pub admin_certificate_s: u64,
    /// Life of the core's own certificate, seconds; within
    /// [`limits::ADMIN_CERTIFICATE_RANGE`].
    #[serde(default = "core_certificate_s")]
    pub core_certificate_s: u64,
    /// Life of the intermediates that it makes, seconds; within
    /// [`limits::INTERMEDIATE_RANGE`].
    #[serde(default = "intermediate_s")]
    pub intermediate_s: u64,
    /// Rows of the audit that are older than so many days move into archive files in
    /// the folder `audit`; within [`limits::AUDIT_KEEP_DAYS`], 0: they stay in the
    /// store for ever.
    #[serde(default)]
    pub audit_keep_days: u32,
    /// For tests alone: lives of seconds are taken.
    #[serde(default)]
    pub short_lives: bool,
    /// The file with the passphrase of the CA's keys; without it the systemd
    /// credential `ca-passphrase`; without that they are kept as they are.
    #[serde(default)]
    pub ca_passphrase_file: Option<PathBuf>,
    /// Where metrics, `/healthz` and `/readyz` are served; without it nowhere. Off
    /// loopback a `metrics_token_file` is needed. Port 0: any free one.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// A private file with the token that readers of metrics show.
    #[serde(default)]
    pub metrics_token_file: Option<PathBuf>,
    /// The collector on this machine that gets traces of calls (OTLP over gRPC), such as
    /// `http://127.0.0.1:4317`; without it there are none.
    #[serde(default)]
    pub otlp: Option<String>,
    /// How people sign in.
    #[serde(default)]
    pub sign_in: SignInConfig,
}

/// How people sign in besides one-time URLs; the table `[sign_in]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignInConfig {
    /// The origin of the page, as its edge has it (`https://code.example.org`).
    /// Passkeys are bound to its host. Without it they are for pages at
    /// `localhost`, whatever their port.
    pub origin: Option<String>,
    /// Whether people may sign in by passkeys.
    pub passkeys: bool,
    /// Whether people may sign in by passwords.
    pub passwords: bool,
    /// The server that sends sign-in mails; without it nobody signs in by mail.
    pub mail: Option<mail::MailConfig>,
    /// Identity providers, in the order in which the page shows them.
    pub providers: Vec<provider::ProviderConfig>,
}

impl Default for SignInConfig {
    fn default() -> Self {
        Self { origin: None, passkeys: true, passwords: false, mail: None, providers: Vec::new() }
    }
}

impl Config {
    /// The folder of the core's own certificate.
    #[must_use]
    pub fn own_folder(&self) -> PathBuf {
        self.data_dir.join("identity")
    }

    /// The folder of the key that signs the audit's heads, and of its archives.
    #[must_use]
    pub fn audit_folder(&self) -> PathBuf {
        self.data_dir.join("audit")
    }

    /// Each life of a certificate by its key: what it is and what it may be,
    /// seconds.
    #[must_use]
    pub fn lives(&self) -> [(&'static str, u64, RangeInclusive<u64>); 5] {
        let from = |range: RangeInclusive<u64>| {
            if self.short_lives { limits::SHORT_LIFE_S..=*range.end() } else { range }
        };
        let (member, long) = (limits::GATEWAY_CERTIFICATE_RANGE, limits::ADMIN_CERTIFICATE_RANGE);
        [
            ("gateway_certificate_s", self.gateway_certificate_s, from(member.clone())),
            ("edge_certificate_s", self.edge_certificate_s, from(member)),
            ("admin_certificate_s", self.admin_certificate_s, from(long.clone())),
            ("core_certificate_s", self.core_certificate_s, from(long)),
            ("intermediate_s", self.intermediate_s, from(limits::INTERMEDIATE_RANGE)),
        ]
    }

    /// The defaults, with this folder.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            log: None,
            listen: any_port(),
            link: any_port(),
            enroll_per_minute: enroll_per_minute(),
            enroll_whole_per_minute: enroll_whole_per_minute(),
            gateway_certificate_s: gateway_certificate_s(),
            edge_certificate_s: edge_certificate_s(),
            admin_certificate_s: admin_certificate_s(),
            core_certificate_s: core_certificate_s(),
            intermediate_s: intermediate_s(),
            audit_keep_days: 0,
            short_lives: false,
            ca_passphrase_file: None,
            metrics: None,
            metrics_token_file: None,
            otlp: None,
            sign_in: SignInConfig::default(),
        }
    }
}

fn default_data_dir() -> PathBuf {
    chatcode_process::default_data_dir().join("core")
}

const fn any_port() -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

const fn gateway_certificate_s() -> u64 {
    limits::GATEWAY_CERTIFICATE.as_secs()
}

const fn edge_certificate_s() -> u64 {
    limits::EDGE_CERTIFICATE.as_secs()
}

const fn admin_certificate_s() -> u64 {
    limits::ADMIN_CERTIFICATE.as_secs()
}

const fn core_certificate_s() -> u64 {
    limits::CORE_CERTIFICATE.as_secs()
}

const fn intermediate_s() -> u64 {
    limits::INTERMEDIATE_LIFE.as_secs()
}

const fn enroll_whole_per_minute() -> u32 {
    limits::ENROLL_WHOLE_PER_MINUTE
}

const fn enroll_per_minute() -> u32 {
    limits::ENROLL_PER_MINUTE
}

#[cfg(test)]
mod tests {
    use chatcode_process::config::NoFlags;

    use super::*;

    #[test]
    fn the_example_has_every_key_an_operator_sets_and_the_defaults() {
        let file = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/core.toml"));
        let example: Config =
            chatcode_process::config::peek("core", Some(file), NoFlags {}).expect("can be read");
        let text = std::fs::read_to_string(file).expect("is there");
        let mut default = Config::new("/var/lib/chatcode-core");
        (default.listen, default.link) = (example.listen, example.link);
        default.sign_in.origin.clone_from(&example.sign_in.origin);
        let value = |config: &Config| serde_json::to_value(config).expect("is one");
        assert_eq!(value(&example), value(&default));
        for key in value(&default).as_object().expect("is one").keys().filter(|key| *key != "short_lives") {
            let is_there = text.contains(&format!("{key} = ")) || text.contains(&format!("[{key}]"));
            assert!(is_there, "{key}");
        }
    }
}
