//! By what a person signs in, and where: when a device was lost.

use chatcode_proto::pb::{
    IdentitiesListOfRequest, IdentitiesRemoveOfRequest, IdentitiesSignOutOfRequest, IdentityKind,
};
use serde::Serialize;
use serde_json::json;

use super::{named, words};
use crate::{
    client::{Client, unary},
    print::{self, Tell},
    table::{Table, ago, now_ms},
};

/// A way in or a browser as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    what: &'static str,
    id: &'a str,
    label: &'a str,
    address: &'a str,
    used_unix_ms: u64,
    created_unix_ms: u64,
}

pub(super) async fn list(client: &Client, who: &str, json: bool) -> anyhow::Result<()> {
    let person = named(client, who).await?.id;
    let call = client.identities().list_of(unary(IdentitiesListOfRequest { person })).await;
    let told = call.map_err(|status| client.error(&status))?.into_inner();
    let ways = told.identities.iter().map(|way| Row {
        what: kind(way.kind()),
        id: &way.id,
        label: &way.label,
        address: "",
        used_unix_ms: way.used_unix_ms,
        created_unix_ms: way.created_unix_ms,
    });
    let browsers = told.sessions.iter().map(|session| Row {
        what: "browser",
        id: &session.id,
        label: &session.device,
        address: &session.address,
        used_unix_ms: session.used_unix_ms,
        created_unix_ms: session.created_unix_ms,
    });
    let rows: Vec<Row<'_>> = ways.chain(browsers).collect();
    if json {
        return Ok(print::json_lines(&rows)?);
    }
    let mut table = Table::new(&["ID", "WHAT", "CALLED", "FROM", "USED"]);
    for row in &rows {
        let used = match row.used_unix_ms {
            0 => "never".to_owned(),
            at => format!("{} ago", ago(now_ms(), at)),
        };
        table.row([row.id, row.what, row.label, row.address, &used]);
    }
    Ok(print::answer(&table.render())?)
}

pub(super) async fn remove(client: &Client, who: &str, id: String, tell: Tell) -> anyhow::Result<()> {
    let person = named(client, who).await?;
    let request = IdentitiesRemoveOfRequest { person: person.id.clone(), id: id.clone() };
    client.identities().remove_of(unary(request)).await.map_err(|status| client.error(&status))?;
    let words = words(&person, "it lets nobody in any more, and all browsers are signed out");
    tell.done(&words, &json!({ "person": person.id, "id": id, "done": "removed" }))
}

pub(super) async fn sign_out(client: &Client, who: &str, session: String, tell: Tell) -> anyhow::Result<()> {
    let person = named(client, who).await?;
    let request = IdentitiesSignOutOfRequest { person: person.id.clone(), session };
    let call = client.identities().sign_out_of(unary(request)).await;
    let ended = call.map_err(|status| client.error(&status))?.into_inner().ended;
    let words = words(&person, &format!("{ended} browsers are signed out"));
    tell.done(&words, &json!({ "person": person.id, "ended": ended }))
}

fn kind(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::Passkey => "passkey",
        IdentityKind::Password => "password",
        IdentityKind::Mail => "mail",
        IdentityKind::Provider => "provider",
        IdentityKind::Unspecified => "way in",
    }
}
