//! `chatcode events`: what happens on the installation, as it happens: machines,
//! sessions, machines that wait, and for those who may read it the audit.

mod change;

use anyhow::Context as _;
use chatcode_process::exit::{self, Exit};
use chatcode_proto::{
    code::Refusal,
    pb::{AuditFilter, FleetWatchRequest, Permission, fleet_watch_response::Event},
};
use serde::Serialize;

use self::change::{Change, Known};
use crate::{
    audit::follow::{Rows, words},
    audit::row_of,
    client::{Client, refused},
    context::order::who,
    fleet::Fleet,
    follow,
    home::Home,
    moment,
    print::{self, say, shown},
    table::now_ms,
};

/// Print what happens, as it happens, until Ctrl-C: machines come and go, sessions
/// begin and end, machines wait for approval; and the audit, for those who may read it.
#[derive(Debug, clap::Args)]
pub(crate) struct Events {
    /// Only what concerns this machine, by name or id.
    #[arg(short, long, value_name = "MACHINE")]
    gateway: Option<String>,
    /// Without the audit.
    #[arg(long)]
    no_audit: bool,
    /// Print one line of JSON for each.
    #[arg(long)]
    json: bool,
}

/// A change of the fleet as `--json` shows it; rows of the audit are as those of
/// `chatcode audit --json`, under "audit".
#[derive(Debug, Serialize)]
struct Row<'a> {
    unix_ms: u64,
    event: &'static str,
    gateway: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    session: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
}

impl Events {
    /// Follows until Ctrl-C.
    ///
    /// # Errors
    /// When the core refuses, or does not answer at first.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        let client = home.client()?;
        let me = who(&client).await?;
        let may_read = me.permissions().any(|one| one == Permission::AuditRead);
        let gateway = match &self.gateway {
            Some(wanted) => Fleet::ask(&client).await?.gateway(wanted)?.id.clone(),
            None => String::new(),
        };
        let audit = async {
            if may_read && !self.no_audit {
                self.follow_audit(&client, &gateway).await?;
            }
            std::future::pending().await
        };
        follow::until_interrupted(async {
            tokio::select! {
                done = self.follow_fleet(&client, &gateway) => done,
                done = audit => done,
            }
        })
        .await
    }

    async fn follow_fleet(&self, client: &Client, gateway: &str) -> anyhow::Result<()> {
        let mut known = Known::new(gateway);
        follow::again_and_again("following the machines", async |began| {
            watch(client, &mut known, began, |change| self.show(change)).await
        })
        .await
    }

    /// The rows of the audit; whoever may not read them any more is told so once.
    async fn follow_audit(&self, client: &Client, gateway: &str) -> anyhow::Result<()> {
        let filter = AuditFilter { gateway: gateway.to_owned(), ..AuditFilter::default() };
        let rows = Rows::from_now_on(client, filter).await;
        let mut rows = rows.map_err(|refusal| refused(&refusal))?;
        let followed = follow::again_and_again("following the audit", async |began| {
            rows.once(client, began, |row| {
                if self.json {
                    print::json(&serde_json::json!({ "unix_ms": row.unix_ms, "event": "audit", "audit": row_of(row) }))
                } else {
                    print::answer(&format!("{}  audit {}  {}\n", moment::shown(row.unix_ms), row.number, words(row)))
                }
            })
            .await
        })
        .await;
        let error = followed.err().context("the audit ended")?;
        let is_forbidden = error.downcast_ref::<Exit>().is_some_and(|exit| exit.0 == exit::NOPERM);
        if !is_forbidden {
            return Err(error);
        }
        say(&format!("without the audit from now on: {error:#}"));
        Ok(())
    }

    fn show(&self, change: &Change) -> std::io::Result<()> {
        let now = now_ms();
        if self.json {
            return print::json(&Row {
                unix_ms: now,
                event: change.event,
                gateway: &change.gateway,
                name: &change.name,
                session: &change.session,
                detail: &change.detail,
            });
        }
        let said = [change.event, &change.name, &change.detail];
        let said: Vec<String> = said.into_iter().filter(|word| !word.is_empty()).map(shown).collect();
        print::answer(&format!("{}  {}\n", moment::shown(now), said.join("  ")))
    }
}

/// Tells changes until the connection ends, and says why it did. What was there when it
/// began the first time is no change; what changed while the core was away is.
async fn watch(
    client: &Client,
    known: &mut Known,
    began: &mut dyn FnMut(),
    mut show: impl FnMut(&Change) -> std::io::Result<()>,
) -> std::io::Result<Refusal> {
    let mut events = match client.fleet_watch().watch(FleetWatchRequest {}).await {
        Ok(response) => response.into_inner(),
        Err(status) => return Ok(follow::ended(client, Some(status))),
    };
    known.begin();
    loop {
        let event = match events.message().await {
            Ok(Some(event)) => event.event,
            Ok(None) => return Ok(follow::ended(client, None)),
            Err(status) => return Ok(follow::ended(client, Some(status))),
        };
        let Some(event) = event else { continue };
        if matches!(event, Event::Synced(_)) {
            began();
        }
        for change in known.learn(event) {
            show(&change)?;
        }
    }
}
