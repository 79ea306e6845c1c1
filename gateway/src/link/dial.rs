//! Dialling the core: names are looked up at each try, every address is tried.

use std::{net::SocketAddr, sync::Arc};

use chatcode_certs::{
    Identity,
    tls::{self, TlsError},
};
use chatcode_link::{Link, LinkDialer, LinkError};
use chatcode_proto::{code::Refusal, limits, pb::Code};
use tokio::{net::lookup_host, time::timeout};

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

/// The way to the core.
#[derive(Debug)]
pub(super) struct Route {
    address: String,
}

impl Route {
    /// The way to the core at `address` (host and UDP port).
    pub(super) const fn new(address: String) -> Self {
        Self { address }
    }

    /// Looks the name up and tries each address, until one answers that is the
    /// core of the identity's trust domain.
    ///
    /// # Errors
    /// Why the last one did not.
    pub(super) async fn dial(&self, dialer: &LinkDialer, identity: &Identity) -> Result<Link, Refusal> {
        let tls = tls::core_client(identity, &[tls::LINK_ALPN])
            .map_err(|error| self.refusal(Code::Internal, &error.to_string()))?;
        let server_name = identity.trust_domain().core_dns();
        let mut problem = self.refusal(Code::CoreUnreachable, "its name has no address");
        for address in self.look_up().await? {
            match dialer.dial(address, &server_name, Arc::clone(&tls)).await {
                Ok(link) => return Ok(link),
                Err(error) => {
                    tracing::debug!(%address, %error, "no link");
                    problem = self.refusal(error.code(), &error.to_string());
                }
            }
        }
        Err(problem)
    }

    async fn look_up(&self) -> Result<Vec<SocketAddr>, Refusal> {
        match timeout(limits::HANDSHAKE, lookup_host(&self.address)).await {
            Ok(Ok(addresses)) => Ok(addresses.collect()),
            Ok(Err(error)) => Err(self.refusal(Code::CoreUnreachable, &error.to_string())),
            Err(_) => Err(self.refusal(Code::CoreUnreachable, "its name was not found in time")),
        }
    }

    fn refusal(&self, code: Code, why: &str) -> Refusal {
        Refusal::new(code, format!("the core at {}: {why}", self.address))
    }
}
