//! Machines that wait for a person: listed, let in, refused.

use anyhow::Context as _;
use chatcode_process::exit::{self, Exit};
use chatcode_proto::{
    label,
    pb::{FleetDecidePendingRequest, FleetListPendingRequest, PendingGateway},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    client::{Client, unary},
    names::Kind,
    print::{self, Tell, say, shown},
    table::{Table, ago, now_ms},
};

const PENDING: Kind = Kind { what: "waiting machine", list: "gateway pending" };

/// A waiting machine as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    name: &'a str,
    fingerprint: &'a str,
    address: &'a str,
    hostname: &'a str,
    os: &'a str,
    arch: &'a str,
    kernel: &'a str,
    user: &'a str,
    asked_unix_ms: u64,
    expires_unix_ms: u64,
    token: &'a str,
    labels: &'a label::Labels,
}

/// Prints the machines that wait.
///
/// # Errors
/// When the core refuses or does not answer.
pub(crate) async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let pending = ask(client).await?;
    if json {
        for one in &pending {
            print::json(&row(one))?;
        }
        return Ok(());
    }
    if pending.is_empty() {
        say("no machine waits for approval");
        return Ok(());
    }
    let now = now_ms();
    let mut table = Table::new(&["ID", "HOST", "SYSTEM", "USER", "FROM", "WAITS", "LEFT", "KEY"]);
    for one in &pending {
        let Row { id, hostname, user, address, fingerprint, .. } = row(one);
        table.row([
            id,
            hostname,
            &system(one),
            user,
            address,
            &ago(now, one.asked_unix_ms),
            &ago(one.expires_unix_ms, now),
            fingerprint,
        ]);
    }
    print::answer(&table.render())?;
    say("the machine tells its host, system and user by itself; its key is proven: compare it with what \
         chatcode-gateway printed there, then `chatcode gateway approve ID`");
    Ok(())
}

/// Lets a machine in, or refuses it. It is named by its id or by the fingerprint
/// of its key.
///
/// # Errors
/// When there is none, several, or the core refuses or does not answer.
pub(crate) async fn decide(client: &Client, wanted: &str, approve: bool, tell: Tell) -> anyhow::Result<()> {
    let pending = ask(client).await?;
    // Not by a name, which the machine chose itself.
    let found =
        PENDING.pick(wanted, &pending, |one| (&one.id, &one.fingerprint)).context(Exit(exit::USAGE))?;
    let request =
        FleetDecidePendingRequest { id: found.id.clone(), approve, fingerprint: found.fingerprint.clone() };
    let call = client.fleet().decide_pending(unary(request)).await;
    call.map_err(|status| client.error(&status))?;
    let what = if approve { "let in" } else { "refused" };
    let host = row(found).hostname;
    let words =
        format!("{} from {}, {}: {what}", shown(host), shown(&found.address), shown(&found.fingerprint));
    tell.done(&words, &json!({ "id": found.id, "approved": approve }))
}

async fn ask(client: &Client) -> anyhow::Result<Vec<PendingGateway>> {
    let call = client.fleet().list_pending(unary(FleetListPendingRequest {})).await;
    Ok(call.map_err(|status| client.error(&status))?.into_inner().pending)
}

fn system(one: &PendingGateway) -> String {
    let Row { os, arch, kernel, .. } = row(one);
    [os, kernel, arch].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn row(one: &PendingGateway) -> Row<'_> {
    let host = one.host.as_ref();
    Row {
        id: &one.id,
        name: &one.name,
        fingerprint: &one.fingerprint,
        address: &one.address,
        hostname: host.map_or("", |host| &host.hostname),
        os: host.map_or("", |host| &host.os),
        arch: host.map_or("", |host| &host.arch),
        kernel: host.map_or("", |host| &host.kernel),
        user: host.map_or("", |host| &host.user),
        asked_unix_ms: one.asked_unix_ms,
        expires_unix_ms: one.expires_unix_ms,
        token: &one.token,
        labels: &one.labels,
    }
}
