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
use serde::Deserialize;

/// The configuration of a core.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder of all its files; made when it is missing, refused when
    /// others may look into it.
    pub data_dir: PathBuf,
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
    /// The file with the passphrase of the CA's keys; without it the systemd
    /// credential `ca-passphrase`; without that they are kept as they are.
    #[serde(default)]
    pub ca_passphrase_file: Option<PathBuf>,
    /// How people sign in.
    #[serde(default)]
    pub sign_in: SignInConfig,
}

/// How people sign in besides one-time URLs; the table `[sign_in]`.
#[derive(Clone, Debug, Deserialize)]
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

    /// Each life of a certificate by its key: what it is and what it may be,
    /// seconds.
    #[must_use]
    pub const fn lives(&self) -> [(&'static str, u64, RangeInclusive<u64>); 5] {
        [
            ("gateway_certificate_s", self.gateway_certificate_s, limits::GATEWAY_CERTIFICATE_RANGE),
            ("edge_certificate_s", self.edge_certificate_s, limits::GATEWAY_CERTIFICATE_RANGE),
            ("admin_certificate_s", self.admin_certificate_s, limits::ADMIN_CERTIFICATE_RANGE),
            ("core_certificate_s", self.core_certificate_s, limits::ADMIN_CERTIFICATE_RANGE),
            ("intermediate_s", self.intermediate_s, limits::INTERMEDIATE_RANGE),
        ]
    }

    /// The defaults, with this folder.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen: any_port(),
            link: any_port(),
            enroll_per_minute: enroll_per_minute(),
            enroll_whole_per_minute: enroll_whole_per_minute(),
            gateway_certificate_s: gateway_certificate_s(),
            edge_certificate_s: edge_certificate_s(),
            admin_certificate_s: admin_certificate_s(),
            core_certificate_s: core_certificate_s(),
            intermediate_s: intermediate_s(),
            ca_passphrase_file: None,
            sign_in: SignInConfig::default(),
        }
    }
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
