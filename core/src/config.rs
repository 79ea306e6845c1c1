//! What an operator may choose. Everything has a default that works.

use std::{
    net::{Ipv4Addr, SocketAddr},
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
}

impl Config {
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
        }
    }
}

const fn any_port() -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

const fn gateway_certificate_s() -> u64 {
    limits::GATEWAY_CERTIFICATE.as_secs()
}

const fn enroll_whole_per_minute() -> u32 {
    limits::ENROLL_WHOLE_PER_MINUTE
}

const fn enroll_per_minute() -> u32 {
    limits::ENROLL_PER_MINUTE
}
