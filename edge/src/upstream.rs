//! The way to the core: one shared connection for unary calls, one of its own
//! for every attachment, and the truth about whether the core is there.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use chatcode_certs::{IdentityCell, tls};
use chatcode_proto::{limits, metadata};
use rustls::ClientConfig;
use serde::Serialize;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{metadata::MetadataValue, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::meters::EdgeMeters;

/// Whether the core answers: [`chatcode_proto::pb::CoreHealth`] as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CoreHealth {
    /// Whether the last probe was answered.
    pub(crate) up: bool,
    /// Since when that is so, milliseconds since 1970 (UTC).
    pub(crate) since_unix_ms: u64,
    /// Round trip of the last answered probe, microseconds; 0: none yet.
    pub(crate) rtt_us: u64,
}

/// The core as this edge reaches it, under this edge's certificate.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: String,
    server_name: String,
    tls: Arc<ClientConfig>,
    shared: Channel,
    health: watch::Sender<CoreHealth>,
    meters: EdgeMeters,
}

impl Upstream {
    /// The core at `address` (HOST:PORT). Dials nothing yet. Each new connection
    /// shows the certificate that the cell has then.
    pub(crate) fn new(
        address: String,
        identity: &Arc<IdentityCell>,
        meters: EdgeMeters,
    ) -> Result<Self, tls::TlsError> {
        let tls = tls::living_client(identity, &[b"h2"])?;
        let server_name = identity.identity().trust_domain().core_dns();
        let shared = chatcode_link::tcp::channel(&address, tls.clone(), &server_name);
        let unknown = CoreHealth { up: false, since_unix_ms: unix_ms(), rtt_us: 0 };
        Ok(Self { address, server_name, tls, shared, health: watch::Sender::new(unknown), meters })
    }

    /// The connection that unary calls share.
    pub(crate) fn shared(&self) -> Channel {
        self.shared.clone()
    }

    /// A new connection for one streaming call, so that no other holds it up.
    pub(crate) fn attachment(&self) -> Channel {
        chatcode_link::tcp::channel(&self.address, self.tls.clone(), &self.server_name)
    }

    /// Whether the core answers, and since when.
    pub(crate) fn health(&self) -> CoreHealth {
        *self.health.borrow()
    }

    /// Asks the core again and again whether it is there, until `stop`.
    pub(crate) async fn watch(&self, stop: &CancellationToken) {
        loop {
            let rtt = self.probe().await;
            self.note(rtt);
            let pause = if rtt.is_some() { limits::CORE_PROBE } else { limits::CORE_PROBE_DOWN };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One health check; `None` when it is not answered in time. Any answer
    /// counts: a core that refuses is there.
    async fn probe(&self) -> Option<Duration> {
        let mut client = HealthClient::new(self.shared());
        let begun = Instant::now();
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        request
            .metadata_mut()
            .insert(metadata::VERSION, MetadataValue::from_static(env!("CARGO_PKG_VERSION")));
        let answer = timeout(limits::CORE_PROBE_ANSWER, client.check(request)).await;
        match answer {
            Ok(Ok(_)) => Some(begun.elapsed()),
            Ok(Err(status)) if std::error::Error::source(&status).is_none() => Some(begun.elapsed()),
            Ok(Err(status)) => {
                let cause = chatcode_link::exit::causes(&status).last().map(ToString::to_string);
                tracing::debug!(target: "chatcode", cause, "the core does not answer");
                None
            }
            Err(_) => None,
        }
    }

    fn note(&self, rtt: Option<Duration>) {
        match rtt {
            Some(rtt) => self.meters.core_rtt.took(rtt),
            None => self.meters.probes_failed.inc(),
        }
        self.health.send_modify(|health| {
            if health.up != rtt.is_some() {
                health.up = rtt.is_some();
                health.since_unix_ms = unix_ms();
                if health.up {
                    tracing::info!(target: "chatcode", core = %self.address, "the core answers");
                } else {
                    tracing::warn!(target: "chatcode", core = %self.address, "the core does not answer any more");
                }
            }
            if let Some(rtt) = rtt {
                health.rtt_us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
            }
        });
    }
}

/// Milliseconds since 1970 (UTC) by this machine's clock.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
