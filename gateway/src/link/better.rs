//! Looks for a better way to the core while a link stands.

use std::time::Duration;

use chatcode_link::Link;
use chatcode_proto::limits;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    dial::Route,
    ways::{Way, Ways},
};

/// A link that is better than the one that stands over `way`: over QUIC as soon as
/// UDP gets through; over TCP when the core was not `heard` for a while, and TCP
/// gets through. Waits for ever where there is no other way. Dropping it gives up.
pub(super) async fn look(route: &Route, ways: &mut Ways, way: Way, heard: watch::Receiver<()>) -> Link {
    match way {
        Way::Tcp => quic(route, || ways.probe(rand::random())).await,
        Way::Quic if route.has(Way::Tcp) => tcp(route, heard).await,
        Way::Quic => std::future::pending().await,
    }
}

async fn quic(route: &Route, mut pause: impl FnMut() -> Duration) -> Link {
    loop {
        sleep(pause()).await;
        match route.by(Way::Quic).await {
            Ok(link) => return link,
            Err(refusal) => tracing::debug!("UDP does not get through: {}", refusal.message),
        }
    }
}

async fn tcp(route: &Route, mut heard: watch::Receiver<()>) -> Link {
    loop {
        match timeout(limits::LINK_DOUBT, heard.changed()).await {
            Ok(Ok(())) => continue,
            // Whoever hears has gone, and this will be dropped.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => {}
        }
        tokio::select! {
            link = route.by(Way::Tcp) => match link {
                Ok(link) => return link,
                Err(refusal) => tracing::debug!("TCP does not get through either: {}", refusal.message),
            },
            Ok(()) = heard.changed() => {}
        }
    }
}
