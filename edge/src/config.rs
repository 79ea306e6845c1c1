//! What one edge is told: where the core is, where to listen, and which origin
//! its page has.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use chatcode_link::network::InvalidNetwork;
use chatcode_proto::limits;
use serde::{Deserialize, Serialize};

use crate::{
    admit::{Origin, OriginError},
    forwarded::Proxies,
};

/// The configuration of an edge. Keys of the TOML file and, as
/// `CHATCODE_EDGE_<KEY>`, of the environment.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where `enroll` put the certificate.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// The core's gRPC address, HOST:PORT; without it the one that `enroll`
    /// noted.
    #[serde(default)]
    pub core: Option<String>,
    /// Where browsers connect. Port 0: any free one.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// The only origin that the page has, such as `https://code.example.org`;
    /// without it `localhost` and the port of `listen`.
    #[serde(default)]
    pub origin: Option<String>,
    /// Certificate chain for browsers, PEM. Together with `tls_key`.
    #[serde(default)]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[serde(default)]
    pub tls_key: Option<PathBuf>,
    /// A release, or a folder of releases with `stable` among them: what new
    /// machines install, and the page's line for them. Without it there is none.
    #[serde(default)]
    pub release_dir: Option<PathBuf>,
    /// Whether every machine trusts the certificate of `origin` by itself; the
    /// line for new machines pins its key otherwise.
    #[serde(default)]
    pub public_certificate: bool,
    /// Where gateways and programs elsewhere reach the core's gRPC, HOST:PORT; without it the host of
    /// `origin` with the port of `core`.
    #[serde(default)]
    pub core_for_gateways: Option<String>,
    /// Proxies in front, as networks such as `10.0.0.0/8`: of them it is believed from
    /// where a request comes (`X-Forwarded-For`).
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// Sign-ins in a minute from one address; 0: one. More for many people behind
    /// one address.
    #[serde(default = "sign_in_per_minute")]
    pub sign_in_per_minute: u32,
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
}

const fn sign_in_per_minute() -> u32 {
    limits::SIGN_IN_PER_ADDRESS_PER_MINUTE
}

fn default_data_dir() -> PathBuf {
    chatcode_process::default_data_dir().join("edge")
}

const fn default_listen() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0)
}

/// The configuration does not make a safe edge.
#[derive(Debug, thiserror::Error)]
pub enum UnfitConfig {
    /// Browsers would send their cookies in the clear.
    #[error("listening on {0} needs TLS: give tls_cert and tls_key, or listen on 127.0.0.1")]
    PlainOffLoopback(SocketAddr),
    /// Half of a certificate.
    #[error("tls_cert and tls_key belong together: give both or none")]
    HalfTls,
    /// A proxy is none.
    #[error("trusted_proxies has {0:?}, which is no network: {1}")]
    Proxy(String, InvalidNetwork),
    /// Too many to look at for each request.
    #[error("trusted_proxies names {0} networks, and may name {most}; name larger ones", most = limits::TRUSTED_PROXIES)]
    TooManyProxies(usize),
    /// The origin is not one.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// Off loopback nobody knows the edge as localhost.
    #[error("listening on {0} needs an origin: the URL under which browsers open the page")]
    NoOrigin(SocketAddr),
}

impl Config {
    /// Whether this edge speaks TLS itself, and with which files.
    ///
    /// # Errors
    /// Without TLS off loopback; with half of it.
    pub fn tls(&self) -> Result<Option<(&PathBuf, &PathBuf)>, UnfitConfig> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Ok(Some((cert, key))),
            (None, None) if self.listen.ip().is_loopback() => Ok(None),
            (None, None) => Err(UnfitConfig::PlainOffLoopback(self.listen)),
            _ => Err(UnfitConfig::HalfTls),
        }
    }

    /// The proxies that are believed.
    ///
    /// # Errors
    /// When one is no network, or there are more than [`limits::TRUSTED_PROXIES`].
    pub(crate) fn proxies(&self) -> Result<Proxies, UnfitConfig> {
        if self.trusted_proxies.len() > limits::TRUSTED_PROXIES {
            return Err(UnfitConfig::TooManyProxies(self.trusted_proxies.len()));
        }
        let read = |text: &String| text.parse().map_err(|error| UnfitConfig::Proxy(text.clone(), error));
        Ok(Proxies::new(self.trusted_proxies.iter().map(read).collect::<Result<_, _>>()?))
    }

    /// The origin of the page when the edge listens on `bound`.
    ///
    /// # Errors
    /// When it is missing off loopback, or not an origin.
    pub fn page_origin(&self, bound: SocketAddr) -> Result<Origin, UnfitConfig> {
        if let Some(text) = &self.origin {
            return Ok(text.parse()?);
        }
        if !bound.ip().is_loopback() {
            return Err(UnfitConfig::NoOrigin(bound));
        }
        let scheme = if self.tls_cert.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://localhost:{}", bound.port()).parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str) -> Config {
        Config {
            data_dir: PathBuf::from("unused"),
            core: None,
            listen: listen.parse().expect("an address"),
            origin: None,
            tls_cert: None,
            tls_key: None,
            release_dir: None,
            public_certificate: false,
            core_for_gateways: None,
            trusted_proxies: Vec::new(),
            sign_in_per_minute: sign_in_per_minute(),
            metrics: None,
            metrics_token_file: None,
            otlp: None,
        }
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for (listen, plain) in [
            ("127.0.0.1:0", true),
            ("[::1]:0", true),
            ("0.0.0.0:0", false),
            ("[::]:80", false),
            ("192.0.2.1:80", false),
        ] {
            let refused = matches!(config(listen).tls(), Err(UnfitConfig::PlainOffLoopback(_)));
            assert_eq!(refused, !plain, "{listen}");
        }
    }

    #[test]
    fn what_is_no_network_is_no_proxy() {
        let with = |proxies: &[&str]| Config {
            trusted_proxies: proxies.iter().map(|&text| text.to_owned()).collect(),
            ..config("127.0.0.1:0")
        };
        assert!(with(&["127.0.0.1", "10.0.0.0/8", "::1"]).proxies().is_ok());
        assert!(matches!(with(&["proxy.example.org"]).proxies(), Err(UnfitConfig::Proxy(..))));
        let many = vec!["::1"; limits::TRUSTED_PROXIES + 1];
        assert!(matches!(with(&many).proxies(), Err(UnfitConfig::TooManyProxies(_))));
    }

    #[test]
    fn half_of_a_certificate_is_refused() {
        let mut half = config("127.0.0.1:0");
        half.tls_cert = Some("cert.pem".into());
        assert!(matches!(half.tls(), Err(UnfitConfig::HalfTls)));
    }

    #[test]
    fn on_loopback_the_page_is_localhost_and_elsewhere_it_must_be_said() {
        let bound = "127.0.0.1:4321".parse().expect("an address");
        let origin = config("127.0.0.1:0").page_origin(bound).expect("has a default");
        assert_eq!(origin.to_string(), "http://localhost:4321");
        let public = "0.0.0.0:443".parse().expect("an address");
        assert!(matches!(config("0.0.0.0:443").page_origin(public), Err(UnfitConfig::NoOrigin(_))));
    }

    /// No flag.
    #[derive(Serialize)]
    struct None {}

    #[test]
    fn the_example_can_be_read_and_has_every_key() {
        let file = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/edge.toml"));
        let example: Config = chatcode_process::load("edge", Some(file), None {}).expect("can be read");
        let text = std::fs::read_to_string(file).expect("is there");
        for key in serde_json::to_value(&example).expect("is one").as_object().expect("is one").keys() {
            assert!(text.contains(&format!("{key} = ")), "{key}");
        }
    }
}
