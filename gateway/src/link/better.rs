//! Looks for a better way to the core while a link stands.

use std::time::Duration;

use chatcode_link::{Doubt, Link};
use chatcode_proto::limits;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::{
    dial::Route,
    ways::{Way, Ways},
};

/// A link that is better than this `standing` one: over QUIC as soon as UDP gets through; over
/// TCP when the core answers nothing any more, and TCP gets through. Waits for ever
/// where there is no other way. Dropping it gives up.
pub(super) async fn look(route: &Route, ways: &mut Ways, standing: Link) -> Link {
    match Way::of(&standing) {
        Way::Tcp => quic(route, || ways.probe(rand::random())).await,
        Way::Quic if route.has(Way::Tcp) => tcp(route, &standing).await,
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

async fn tcp(route: &Route, standing: &Link) -> Link {
    let mut looks = interval(limits::LINK_DOUBT_LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let doubted = silent(standing, &mut looks).await;
        tokio::select! {
            dialled = route.by(Way::Tcp) => match dialled {
                // After a silence of all ways UDP works again, too.
                Ok(_) if lives(standing, doubted).await => {}
                Ok(link) => return link,
                Err(refusal) => tracing::debug!("TCP does not get through either: {}", refusal.message),
            },
            () = answers(standing, doubted, &mut looks) => {}
        }
    }
}

/// Waits until the core has not answered for too long; says how often it had.
async fn silent(standing: &Link, looks: &mut Interval) -> u64 {
    let mut doubt = Doubt::new(standing.pulse());
    loop {
        looks.tick().await;
        let pulse = standing.pulse();
        if doubt.look(pulse) {
            return pulse.answered;
        }
    }
}

/// Asks at each look, and waits until it answers again.
async fn answers(standing: &Link, doubted: u64, looks: &mut Interval) {
    while standing.pulse().answered == doubted {
        standing.ask();
        looks.tick().await;
    }
}

/// Asks once more, and says whether it answers in two round trips, at most a look.
async fn lives(standing: &Link, doubted: u64) -> bool {
    standing.ask();
    sleep((2 * standing.pulse().round_trip).min(limits::LINK_DOUBT_LOOK)).await;
    standing.pulse().answered != doubted
}
