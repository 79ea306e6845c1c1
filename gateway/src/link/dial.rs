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
    server_name: String,
    tls: Arc<rustls::ClientConfig>,
    identity: Identity,
}

impl Route {
    /// The way to the core at `address` (host and UDP port), who must be the
    /// core of the identity's trust domain.
    pub(super) fn new(identity: &Identity, address: String) -> Result<Self, TlsError> {
        Ok(Self {
            address,
            server_name: identity.trust_domain().core_dns(),
            tls: tls::core_client(identity, &[tls::LINK_ALPN])?,
            identity: identity.clone(),
        })
    }

    /// Looks the name up and tries each address, until one answers.
    ///
    /// # Errors
    /// Why the last one did not.
    pub(super) async fn dial(&self, dialer: &LinkDialer) -> Result<Link, Refusal> {
        let mut problem = self.refusal(Code::CoreUnreachable, "its name has no address");
        for address in self.look_up().await? {
            match dialer.dial(address, &self.server_name, Arc::clone(&self.tls)).await {
                Ok(link) => return Ok(link),
                Err(error) => {
                    tracing::debug!(%address, %error, "no link");
                    problem = self.judge(&error);
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

    fn judge(&self, error: &LinkError) -> Refusal {
        let code = error.code();
        if code == Code::Unauthenticated && self.identity.verify().is_err() {
            return self.refusal(code, "this gateway's certificate has ended; enroll the machine anew");
        }
        self.refusal(code, &error.to_string())
    }

    fn refusal(&self, code: Code, why: &str) -> Refusal {
        Refusal::new(code, format!("the core at {}: {why}", self.address))
    }
}
