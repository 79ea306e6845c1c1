//! `link`: `echo` where the network is 100 ms long and loses packets on the gateway's
//! link, on the browser's, or on both. Browser, core with edge, and gateway are each in
//! a network namespace of their own, joined by lines that delay and drop single IP packets.
//! Beside it on the same lines a shell behind plain TCP, as the peers have it.

mod line;
mod space;
mod world;

use std::{thread, time::Duration};

use anyhow::anyhow;
use serde_json::json;

use crate::figures::Row;
use world::World;

/// Round trip from the browser to the machine without what computers add,
/// milliseconds.
const ROUND_TRIP_MS: u64 = 100;
/// Losses that are measured, in percent of the packets of each direction.
const LOSSES_PERCENT: [u32; 3] = [0, 1, 3];

/// Where the delay and the loss are.
#[derive(Clone, Copy, Debug)]
enum Place {
    Gateway,
    Browser,
    /// Half of the round trip, and the whole loss, on each.
    Both,
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Browser => "browser",
            Self::Both => "both",
        }
    }

    /// Delay of each direction of the gateway's line, and of the browser's.
    const fn one_way(self) -> (Duration, Duration) {
        let (half, none) = (Duration::from_millis(ROUND_TRIP_MS / 2), Duration::ZERO);
        let quarter = Duration::from_millis(ROUND_TRIP_MS / 4);
        match self {
            Self::Gateway => (half, none),
            Self::Browser => (none, half),
            Self::Both => (quarter, quarter),
        }
    }
}

/// All places at once, each in a world of its own, as many samples as asked for each loss.
///
/// # Errors
/// When a world does not come up, or an echo does not come back.
pub(crate) fn measure(samples: usize) -> anyhow::Result<Vec<Row>> {
    if let Some(why) = space::missing() {
        return Ok(vec![Row::new("link", "chatcode", json!({ "not_measured": why }))]);
    }
    thread::scope(|scope| {
        let places = [Place::Gateway, Place::Browser, Place::Both].map(|place| {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(at(place, samples))
            })
        });
        let mut rows = Vec::new();
        for place in places {
            rows.extend(place.join().map_err(|_| anyhow!("the thread of a place ended"))??);
        }
        Ok(rows)
    })
}

async fn at(place: Place, samples: usize) -> anyhow::Result<Vec<Row>> {
    let (to_gateway, to_browser) = place.one_way();
    let mut world = World::start(to_gateway, to_browser).await?;
    let mut rows = Vec::new();
    for percent in LOSSES_PERCENT {
        world.lose(10 * percent);
        let (plain, chain) = world.echo(samples).await?;
        let scenario = format!("link_{}_{percent}", place.name());
        rows.push(Row::new(&scenario, "bare-tcp", plain));
        rows.push(Row::new(&scenario, "chatcode", chain));
    }
    Ok(rows)
}
