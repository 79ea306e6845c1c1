//! Dialling the core: names are looked up at each try, every address is tried, and
//! where UDP does not get through, TCP.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use chatcode_certs::{
    IdentityCell,
    tls::{self, TlsError},
};
use chatcode_link::{Link, LinkDialer, LinkError, Target};
use chatcode_proto::{code::Refusal, limits, pb::Code};
use tokio::{
    net::lookup_host,
    time::{sleep, timeout},
};
use tokio_rustls::rustls::ClientConfig;

use super::ways::{Way, Ways};

/// Why nothing can be dialled at all.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No UDP port.
    #[error("no UDP port could be had")]
    Link(#[from] LinkError),
    /// The identity does not make a TLS config.
    #[error("the gateway's identity cannot be used")]
    Tls(#[from] TlsError),
}

/// The ways to the core.
#[derive(Debug)]
pub(super) struct Route {
    dialer: LinkDialer,
    /// Host and UDP port.
    link: String,
    /// Where TCP goes; `None`: it is not known.
    tcp: Option<Target>,
    server_name: String,
    tls: Arc<ClientConfig>,
}

impl Route {
    /// The ways to the core, for who is in `shown` at each handshake. Must be called
    /// inside a tokio runtime.
    ///
    /// # Errors
    /// No UDP port, or no TLS.
    pub(super) fn new(
        link: String,
        tcp: Option<Target>,
        shown: &Arc<IdentityCell>,
    ) -> Result<Self, DialError> {
        let server_name = shown.identity().trust_domain().core_dns();
        let tls = tls::living_client(shown, &[tls::LINK_ALPN])?;
        Ok(Self { dialer: LinkDialer::bind()?, link, tcp, server_name, tls })
    }

    /// Waits until the core was told of the ends of all links, or is given up. Bound it
    /// in time.
    pub(super) async fn told(&self) {
        self.dialer.wait_idle().await;
    }

    /// A link by the first way that leads to the core: one alone at first, then both.
    ///
    /// # Errors
    /// Why none did.
    pub(super) async fn dial(&self, ways: &Ways) -> Result<Link, Refusal> {
        let (first, second) = match (&self.tcp, ways.first(Instant::now())) {
            (None, _) => return self.by(Way::Quic).await,
            (_, Way::Quic) => (Way::Quic, Way::Tcp),
            (_, Way::Tcp) => (Way::Tcp, Way::Quic),
        };
        let heard = self.dialer.heard();
        let mut one = std::pin::pin!(self.by(first));
        let patient = async {
            sleep(limits::LINK_TCP_AFTER).await;
            // A core that has answered over UDP only takes its time.
            if first == Way::Quic && self.dialer.heard() != heard {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            link = &mut one => return match link {
                Err(refusal) if !is_said(&refusal) => {
                    self.by(second).await.map_err(|other| both(&refusal, &other))
                }
                link => link,
            },
            () = patient => {}
        }
        let mut other = std::pin::pin!(self.by(second));
        tokio::select! {
            link = &mut one => match link {
                Err(refusal) if !is_said(&refusal) => other.await.map_err(|other| both(&refusal, &other)),
                link => link,
            },
            link = &mut other => match link {
                Err(refusal) if !is_said(&refusal) => one.await.map_err(|one| both(&one, &refusal)),
                link => link,
            },
        }
    }

    /// A link by this way.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn by(&self, way: Way) -> Result<Link, Refusal> {
        match way {
            Way::Quic => self.by_quic().await,
            Way::Tcp => self.by_tcp().await,
        }
    }

    /// Whether there is this way at all.
    pub(super) const fn has(&self, way: Way) -> bool {
        matches!(way, Way::Quic) || self.tcp.is_some()
    }

    /// Looks the name up and tries each address, until one answers that is the
    /// core of the identity's trust domain.
    async fn by_quic(&self) -> Result<Link, Refusal> {
        let mut problem = self.refusal(Code::CoreUnreachable, "its name has no address");
        for address in self.look_up().await? {
            let (name, tls) = (&self.server_name, Arc::clone(&self.tls));
            match self.dialer.dial(address, name, tls).await {
                Ok(link) => return Ok(link),
                Err(error) => {
                    tracing::debug!(%address, %error, "no link");
                    problem = self.refusal(error.code(), &error.to_string());
                }
            }
        }
        Err(problem)
    }

    async fn by_tcp(&self) -> Result<Link, Refusal> {
        let Some(target) = &self.tcp else {
            return Err(self.refusal(Code::CoreUnreachable, "its TCP address is not known"));
        };
        let dialled = self.dialer.dial_tcp(target.clone(), &self.server_name, Arc::clone(&self.tls)).await;
        dialled.map_err(|error| {
            tracing::debug!(address = target.address(), %error, "no link over TCP");
            Refusal::new(error.code(), format!("the core at {} over TCP: {error}", target.address()))
        })
    }

    async fn look_up(&self) -> Result<Vec<SocketAddr>, Refusal> {
        match timeout(limits::HANDSHAKE, lookup_host(&self.link)).await {
            Ok(Ok(addresses)) => Ok(addresses.collect()),
            Ok(Err(error)) => Err(self.refusal(Code::CoreUnreachable, &error.to_string())),
            Err(_) => Err(self.refusal(Code::CoreUnreachable, "its name was not found in time")),
        }
    }

    fn refusal(&self, code: Code, why: &str) -> Refusal {
        Refusal::new(code, format!("the core at {}: {why}", self.link))
    }
}

/// Whether the core itself said so: the other way leads to the same answer.
const fn is_said(refusal: &Refusal) -> bool {
    !matches!(refusal.code, Code::CoreUnreachable | Code::Timeout | Code::Internal)
}

/// Neither way led to the core.
fn both(one: &Refusal, other: &Refusal) -> Refusal {
    if is_said(other) {
        return other.clone();
    }
    Refusal::new(one.code, format!("{}; {}", one.message, other.message))
}
