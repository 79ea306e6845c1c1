//! `chatcode admin drain`: sends every machine's link away for a while, and with
//! `--wait` stays until they are back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Context as _;
use chatcode_process::exit::{self, Exit};
use chatcode_proto::{
    limits,
    pb::{
        AdminDrainRequest, FleetWatchRequest, FleetWatchResponse, Gateway, LinkState,
        fleet_watch_response::Event,
    },
};
use serde_json::json;
use tokio::time::timeout;
use tonic::Streaming;

use crate::{
    client::{Client, unary},
    print::{self, Tell, say, shown},
};

/// Tell every gateway to come back later, and close the links. Sessions go on, and the
/// core keeps running; each machine links again by itself, so there is nothing to undo.
#[derive(Debug, clap::Args)]
pub(crate) struct Drain {
    /// When they shall come back, in seconds; at most 300.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=300))]
    retry_after: u32,
    /// Wait until all links are closed, and then until all are back.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    tell: Tell,
}

/// Machines that had a link: the epoch of that, and the name.
type Linked = BTreeMap<String, (u64, String)>;

impl Drain {
    /// Does it.
    ///
    /// # Errors
    /// When the core refuses or does not answer; with `--wait` when machines do not come
    /// back in time.
    pub(crate) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let mut watched = if self.wait { Some(Watched::begin(client).await?) } else { None };
        let request = AdminDrainRequest { retry_after_ms: self.retry_after * 1000 };
        let call = client.admin().drain(unary(request)).await;
        let links = call.map_err(|status| client.error(&status))?.into_inner().links;
        let words = format!("{links} links were told to come back");
        let Some(watched) = &mut watched else {
            return self.tell.done(&words, &json!({ "links": links }));
        };
        say(&words);
        let patience = patience(self.retry_after);
        let waited = timeout(patience, watched.until_back(client)).await;
        let missing = watched.machines.missing();
        if self.tell.json && !matches!(waited, Ok(Err(_))) {
            print::json(&json!({ "links": links, "missing": missing }))?;
        }
        match waited {
            Ok(done) => done,
            Err(_) => Err(late(patience, &missing)),
        }
    }
}

/// How long machines are waited for that were told to come back after so many seconds.
fn patience(retry_after: u32) -> Duration {
    Duration::from_secs(retry_after.into()) + limits::DRAIN_BACK
}

/// Somebody is not back.
fn late(patience: Duration, missing: &[String]) -> anyhow::Error {
    anyhow::anyhow!(
        "not back within {} s: {}; look at `chatcode admin status`",
        patience.as_secs(),
        missing.join(", ")
    )
    .context(Exit(exit::TEMPFAIL))
}

/// The machines that had a link, and the news of them.
struct Watched {
    events: Streaming<FleetWatchResponse>,
    machines: Machines,
}

/// The machines that had a link, and what became of it.
#[derive(Default)]
struct Machines {
    linked: Linked,
    /// Those whose link has ended.
    closed: BTreeSet<String>,
    /// Those that have another one.
    back: BTreeSet<String>,
}

impl Watched {
    async fn begin(client: &Client) -> anyhow::Result<Self> {
        let call = client.fleet_watch().watch(FleetWatchRequest {}).await;
        let mut events = call.map_err(|status| client.error(&status))?.into_inner();
        let mut linked = Linked::new();
        while let Some(event) = events.message().await.map_err(|status| client.error(&status))? {
            match event.event {
                Some(Event::GatewayChanged(one)) if one.link_state() == LinkState::Online => {
                    linked.insert(one.id, (one.link_epoch, one.name));
                }
                Some(Event::Synced(_)) => break,
                _ => {}
            }
        }
        Ok(Self { events, machines: Machines { linked, ..Machines::default() } })
    }

    async fn until_back(&mut self, client: &Client) -> anyhow::Result<()> {
        let machines = &mut self.machines;
        let all = machines.linked.len();
        let mut is_told = false;
        while machines.back.len() < all {
            let event = self.events.message().await.map_err(|status| client.error(&status))?;
            let event = event.context("the core went away").context(Exit(exit::UNAVAILABLE))?;
            match event.event {
                Some(Event::GatewayChanged(gateway)) => machines.look(&gateway),
                Some(Event::GatewayRemoved(id)) => machines.forget(&id),
                _ => {}
            }
            if machines.closed.len() == all && !is_told {
                is_told = true;
                say(&format!("all {all} links are closed; waiting until the machines are back"));
            }
        }
        say(&format!("{all} of {all} machines are back"));
        Ok(())
    }
}

impl Machines {
    fn look(&mut self, gateway: &Gateway) {
        let Some((epoch, _)) = self.linked.get(&gateway.id) else { return };
        let is_online = gateway.link_state() == LinkState::Online;
        if !is_online || gateway.link_epoch != *epoch {
            self.closed.insert(gateway.id.clone());
        }
        if is_online && gateway.link_epoch != *epoch {
            self.back.insert(gateway.id.clone());
        }
        if gateway.link_state() == LinkState::Revoked {
            self.forget(&gateway.id.clone());
        }
    }

    /// Nobody waits for a machine that was thrown out meanwhile.
    fn forget(&mut self, id: &str) {
        if self.linked.contains_key(id) {
            self.closed.insert(id.to_owned());
            self.back.insert(id.to_owned());
        }
    }

    fn missing(&self) -> Vec<String> {
        let away = self.linked.iter().filter(|(id, _)| !self.back.contains(*id));
        away.map(|(_, (_, name))| shown(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(id: &str, epoch: u64, state: LinkState) -> Gateway {
        Gateway { id: id.to_owned(), link_epoch: epoch, link_state: state.into(), ..Gateway::default() }
    }

    #[test]
    fn machines_that_are_not_back_in_time_are_named_and_those_that_are_gone_for_good_are_not() {
        let linked = ["box", "attic", "lost"].map(|name| (name.to_owned(), (1, name.to_owned())));
        let mut machines = Machines { linked: linked.into(), ..Machines::default() };
        machines.look(&gateway("box", 1, LinkState::Offline));
        machines.look(&gateway("box", 2, LinkState::Online));
        machines.look(&gateway("attic", 1, LinkState::Offline));
        machines.look(&gateway("lost", 1, LinkState::Revoked));
        let late = late(patience(300), &machines.missing());
        assert_eq!(late.downcast_ref::<Exit>().map(|exit| exit.0), Some(exit::TEMPFAIL));
        let waited = limits::DRAIN_BACK.as_secs() + 300;
        let words = format!("not back within {waited} s: attic;");
        assert!(format!("{late:#}").contains(&words), "{late:#}");
    }
}
