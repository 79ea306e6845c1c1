//! What one edge is told: where the core is, where to listen, and which origin
//! its page has.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use chatcode_certs::{files, tls};
use chatcode_link::network::{InvalidNetwork, Network};
use chatcode_process::{
    config::{Fault, Setting, Settings},
    observe::settings,
};
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
    /// The filter of the log, where `CHATCODE_LOG` does not say.
    #[serde(default)]
    pub log: Option<String>,
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
    /// The folder of releases is not there.
    #[error("there is no folder {0}; make it, or take release_dir out of the settings")]
    NoReleases(PathBuf),
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

impl Settings for Config {
    const ROLE: &'static str = "edge";
    const SETTINGS: &'static [Setting] = SETTINGS;

    fn faults(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = Fault::of_log(self.log.as_deref()).into_iter().collect();
        if let Err(error) = files::look_at_dir(&self.data_dir) {
            faults.push(Fault::caused("data_dir", &error));
        }
        self.faults_of_tls(&mut faults);
        match self.page_origin(self.listen) {
            Err(error @ UnfitConfig::NoOrigin(_)) => faults.push(Fault::of(&["listen", "origin"], error)),
            Err(error) => faults.push(Fault::caused("origin", &error)),
            Ok(_) => {}
        }
        for (key, address) in [("core", &self.core), ("core_for_gateways", &self.core_for_gateways)] {
            faults.extend(address.as_deref().and_then(|text| Fault::of_address(key, text)));
        }
        self.faults_of_proxies(&mut faults);
        let (token_file, otlp) = (self.metrics_token_file.as_deref(), self.otlp.as_deref());
        faults.extend(settings::faults(self.metrics, token_file, otlp, |file| files::read_private(file)));
        faults
    }

    fn lacks(&self) -> Vec<Fault> {
        let folder = self.release_dir.iter().filter(|folder| !folder.is_dir());
        folder.map(|folder| Fault::new("release_dir", UnfitConfig::NoReleases(folder.clone()))).collect()
    }

    fn log(&self) -> Option<&str> {
        self.log.as_deref()
    }
}

impl Config {
    fn faults_of_tls(&self, faults: &mut Vec<Fault>) {
        let plain =
            || Fault::of(&["listen", "tls_cert", "tls_key"], UnfitConfig::PlainOffLoopback(self.listen));
        match self.tls() {
            Ok(_) => {}
            Err(error @ UnfitConfig::HalfTls) => {
                faults.push(Fault { keys: both(), ..Fault::new("", error) });
                faults.extend((!self.listen.ip().is_loopback()).then(plain));
            }
            Err(_) => faults.push(plain()),
        }
        let before = faults.len();
        let chain = self.tls_cert.as_deref().and_then(|file| tls::browser_chain(file).err());
        let key = self.tls_key.as_deref().and_then(|file| tls::browser_key(file).err());
        for (name, error) in [("tls_cert", chain), ("tls_key", key)] {
            faults.extend(error.map(|error| Fault::caused(name, &error)));
        }
        // What is wrong with them together.
        if faults.len() == before
            && let Ok(Some((cert, key))) = self.tls()
            && let Err(error) = tls::browser_listener(cert, key)
        {
            faults.push(Fault { keys: both(), ..Fault::caused("", &error) });
        }
    }

    fn faults_of_proxies(&self, faults: &mut Vec<Fault>) {
        let proxies = &self.trusted_proxies;
        if proxies.len() > limits::TRUSTED_PROXIES {
            faults.push(Fault::new("trusted_proxies", UnfitConfig::TooManyProxies(proxies.len())));
        }
        for (number, text) in proxies.iter().enumerate() {
            if let Err(why) = text.parse::<Network>() {
                let error = UnfitConfig::Proxy(text.clone(), why);
                faults.push(Fault::new(format!("trusted_proxies[{number}]"), error));
            }
        }
    }
}

fn both() -> Vec<String> {
    ["tls_cert", "tls_key"].map(str::to_owned).to_vec()
}

const SETTINGS: &[Setting] = &[
    Setting::restart("data_dir", "a folder", "`<data>/edge`", "where `enroll` put the certificate"),
    Setting::live(
        "log",
        "a filter such as \"info\" or \"warn,chatcode=debug\"",
        "`warn,chatcode=info`",
        "what is logged; `CHATCODE_LOG` wins",
    ),
    Setting::restart("core", "HOST:PORT", "the one of the enrollment", "the core's gRPC address"),
    Setting::restart(
        "listen",
        "an address and a port, such as \"0.0.0.0:443\"",
        "`127.0.0.1:0`",
        "the page; off loopback only with TLS; port 0: any free one",
    ),
    Setting::restart(
        "origin",
        "\"https://HOST\", or \"http://localhost:PORT\"",
        "`http://localhost:PORT`",
        "the URL under which browsers open the page; nothing else is let in",
    ),
    Setting::live(
        "tls_cert",
        "a file",
        "none",
        "certificate chain for browsers, PEM; its file is read again at each reload",
    ),
    Setting::live("tls_key", "a private file", "none", "its private key, PEM; read again with it"),
    Setting::live(
        "release_dir",
        "a folder",
        "none",
        "what new machines install: a release, or a folder with `stable` in it; served as `/release/`, `/install.sh`, `/cleanup.sh` ([installing](install.md))",
    ),
    Setting::live(
        "public_certificate",
        "true or false",
        "false",
        "every machine trusts the page's certificate: the line for new machines needs no pin",
    ),
    Setting::live(
        "core_for_gateways",
        "HOST:PORT",
        "the host of `origin`, the port of `core`",
        "the core's address in that line, and for `chatcode login`",
    ),
    Setting::live(
        "trusted_proxies",
        "a list of addresses or networks, such as [\"10.0.0.0/8\"]",
        "none",
        "proxies in front, of which it is believed where people come from ([behind a proxy](proxy.md)); at most 64",
    ),
    Setting::live(
        "sign_in_per_minute",
        "a whole number from 0 on",
        "10",
        "sign-ins from one address in a minute; 0: one",
    ),
    settings::METRICS,
    settings::METRICS_TOKEN_FILE,
    settings::OTLP,
];

#[cfg(test)]
mod tests {
    use chatcode_process::config::{NoFlags, page};

    use super::*;

    fn config(listen: &str) -> Config {
        Config {
            data_dir: PathBuf::from("unused"),
            log: None,
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

    #[test]
    fn the_reference_has_every_setting_and_no_other() {
        assert_eq!(page::unlisted(&config("127.0.0.1:0")), (Vec::new(), Vec::new()));
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        page::keep_section(&file, "edge", &page::section::<Config>()).expect("is as it was generated");
    }

    #[test]
    fn all_mistakes_are_found_at_once() {
        let wrong = Config {
            log: Some("chatcode=loud".to_owned()),
            core: Some("core.example.org".to_owned()),
            trusted_proxies: vec!["10.0.0.0/8".to_owned(), "proxy".to_owned()],
            ..config("0.0.0.0:443")
        };
        let keys: Vec<String> = wrong.faults().into_iter().map(|fault| fault.keys.join(" ")).collect();
        assert_eq!(keys, ["log", "listen tls_cert tls_key", "listen origin", "core", "trusted_proxies[1]"]);
        assert!(config("127.0.0.1:0").faults().is_empty());
    }

    #[test]
    fn each_file_of_a_certificate_is_told_beside_the_other_and_beside_what_is_missing() {
        let told = |config: &Config| -> Vec<(String, String)> {
            config.faults().into_iter().map(|fault| (fault.keys.join(" "), fault.reason)).collect()
        };
        let keys = |config: &Config| told(config).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        let (cert, key) = (Some("/nowhere/cert.pem".into()), Some("/nowhere/key.pem".into()));
        let whole = Config { tls_cert: cert.clone(), tls_key: key.clone(), ..config("127.0.0.1:0") };
        assert_eq!(keys(&whole), ["tls_cert", "tls_key"]);
        for ((_, reason), file) in told(&whole).iter().zip(["/nowhere/cert.pem", "/nowhere/key.pem"]) {
            assert!(reason.contains(file), "{reason}");
        }
        let origin = Some("https://code.example.org".to_owned());
        let half = Config { tls_cert: cert, origin, ..config("0.0.0.0:443") };
        assert_eq!(keys(&half), ["tls_cert tls_key", "listen tls_cert tls_key", "tls_cert"]);
        assert_eq!(keys(&Config { tls_key: key, ..config("127.0.0.1:0") }), ["tls_cert tls_key", "tls_key"]);
    }

    #[test]
    fn a_folder_of_releases_that_is_not_there_is_told_and_keeps_no_edge_away() {
        let told = |folder: &str| {
            let config = Config { release_dir: Some(folder.into()), ..config("127.0.0.1:0") };
            assert!(config.faults().is_empty(), "the start goes on");
            config.lacks().into_iter().map(|fault| (fault.keys.join(" "), fault.reason)).collect::<Vec<_>>()
        };
        for wrong in ["/nonexistent", "/dev/null"] {
            let told = told(wrong);
            assert!(
                matches!(&told[..], [(key, why)] if key == "release_dir" && why.contains(wrong)),
                "{told:?}"
            );
        }
        assert_eq!(told("/"), Vec::new());
    }

    #[test]
    fn the_example_can_be_read_and_has_every_key() {
        let file = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/edge.toml"));
        let example: Config =
            chatcode_process::config::peek("edge", Some(file), NoFlags {}).expect("can be read");
        let text = std::fs::read_to_string(file).expect("is there");
        for key in serde_json::to_value(&example).expect("is one").as_object().expect("is one").keys() {
            assert!(text.contains(&format!("{key} = ")), "{key}");
        }
    }
}
