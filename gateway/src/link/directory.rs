//! `Link.Directory`: tells the core of the sessions for as long as a link lives.

use std::{sync::Arc, time::Instant};

use chatcode_proto::{backoff::Backoff, code::Refusal, limits, pb::link_client::LinkClient};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::sessions::{Registry, watch};

/// Tells until `draining`; a call that ends before is begun anew.
pub(super) async fn tell(
    mut client: LinkClient<Channel>,
    registry: Arc<Registry>,
    draining: CancellationToken,
) {
    let mut pauses = Backoff::new(limits::RECONNECT.0, limits::RECONNECT.1);
    while !draining.is_cancelled() {
        let begun = Instant::now();
        if let Err(status) = client.directory(watch::events(Arc::clone(&registry), draining.clone())).await {
            let refusal = Refusal::from(&status);
            tracing::debug!(
                code = refusal.code.name(),
                "the core takes no sessions now: {}",
                refusal.message
            );
        }
        if begun.elapsed() >= limits::LINK_LASTED {
            pauses.reset();
        }
        draining.run_until_cancelled(tokio::time::sleep(pauses.next(rand::random()))).await;
    }
}
