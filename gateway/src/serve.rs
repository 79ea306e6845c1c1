//! The machine's services on one link: whatever stream the core opens.

use std::sync::Arc;

use chatcode_link::{Link, serve};
use chatcode_proto::{
    limits,
    pb::{host_server::HostServer, sessions_server::SessionsServer},
};
use tokio_util::sync::CancellationToken;

use crate::{
    grant::CoreClock,
    observe::Observed,
    sessions::{Registry, Sessions},
    shell::user::User,
    terminal::Terminal,
    update::{Host, Updates},
};

/// Serves until the link ends, or until `draining`: then no new call is taken,
/// streaming calls end with `DRAINING`, and the others come to their end.
///
/// # Errors
/// When the HTTP/2 server fails as a whole.
pub(crate) async fn run(
    link: Link,
    (registry, updates): (Arc<Registry>, Arc<Updates>),
    user: User,
    clock: CoreClock,
    draining: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let sessions = Sessions { registry: Arc::clone(&registry), user, clock, draining: draining.clone() };
    let sessions = SessionsServer::new(sessions).max_decoding_message_size(limits::UNARY_BYTES);
    let terminal = Terminal { registry, clock, draining: draining.clone() };
    let host = HostServer::new(Host { updates, clock }).max_decoding_message_size(limits::UNARY_BYTES);
    let meters = terminal.registry.meters.clone();
    serve::link_builder()
        .layer(tower::layer::layer_fn(move |inner| Observed::new(inner, meters.clone())))
        .add_service(host)
        .add_service(sessions)
        .add_service(terminal)
        .serve_with_incoming_shutdown(link.incoming(), draining.cancelled_owned())
        .await
}
