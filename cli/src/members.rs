//! `chatcode admin members`: edges and administrators' programs, and throwing one
//! out.

use chatcode_process::exit::{self, Exit};
use chatcode_proto::pb::{AdminListMembersRequest, AdminMember, AdminRevokeMemberRequest, MemberKind};
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use crate::{
    client::{Client, unary},
    names::Kind,
    print::{self, Tell, shown},
    table::{Table, ago, now_ms, until},
};

const MEMBER: Kind = Kind { what: "edge or administrator", list: "admin members list" };

/// Edges and administrators' programs. Machines are in `chatcode gateway`.
#[derive(Debug, Subcommand)]
pub(crate) enum Members {
    /// List them, those that were enrolled last first.
    List {
        /// Print one line of JSON for each.
        #[arg(long)]
        json: bool,
    },
    /// Revoke one: its certificates at once, its connections within a second.
    Revoke {
        /// Its id or name.
        member: String,
        /// Also when it is this command line itself, or the last administrator.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        tell: Tell,
    },
}

/// A member as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    kind: &'static str,
    name: &'a str,
    enrolled_unix_ms: u64,
    created_by: &'a str,
    not_after_unix_ms: u64,
    revoked_unix_ms: u64,
    own: bool,
    connections: u32,
    version: &'a str,
}

impl Members {
    /// Does it.
    ///
    /// # Errors
    /// When the core refuses or does not answer.
    pub(crate) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::List { json } => list(client, json).await,
            Self::Revoke { member, force, tell } => revoke(client, &member, force, tell).await,
        }
    }
}

/// All members, revoked ones too.
///
/// # Errors
/// When the core refuses or does not answer.
pub(crate) async fn all(client: &Client) -> anyhow::Result<Vec<AdminMember>> {
    let (mut members, mut after) = (Vec::new(), String::new());
    loop {
        let call = client.admin().list_members(unary(AdminListMembersRequest { after })).await;
        let page = call.map_err(|status| client.error(&status))?.into_inner();
        members.extend(page.members);
        after = page.next;
        if after.is_empty() {
            return Ok(members);
        }
    }
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let all = all(client).await?;
    if json {
        return Ok(print::json_lines(all.iter().map(row))?);
    }
    let now = now_ms();
    let mut table = Table::new(&[
        "ID",
        "KIND",
        "NAME",
        "ENROLLED",
        "TOKEN BY",
        "CERTIFICATE ENDS",
        "CONNECTIONS",
        "VERSION",
    ]);
    for one in &all {
        let ends = match (one.revoked_unix_ms, one.not_after_unix_ms) {
            (0, ends) => until(now, ends),
            (at, _) => format!("revoked {} ago", ago(now, at)),
        };
        let own = if one.own { format!("{} (this)", one.name) } else { one.name.clone() };
        let enrolled = format!("{} ago", ago(now, one.enrolled_unix_ms));
        let connections = one.connections.to_string();
        let row =
            [&one.id, kind(one.kind()), &own, &enrolled, &one.created_by, &ends, &connections, &one.version];
        table.row(row);
    }
    Ok(print::answer(&table.render())?)
}

async fn revoke(client: &Client, wanted: &str, force: bool, tell: Tell) -> anyhow::Result<()> {
    let all = all(client).await?;
    let counting: Vec<&AdminMember> = all.iter().filter(|one| one.revoked_unix_ms == 0).collect();
    let picked = MEMBER.pick(wanted, &counting, |one| (&one.id, &one.name));
    let member = picked.map_err(|error| exit::with(Exit(exit::USAGE), error))?;
    let request = AdminRevokeMemberRequest { id: member.id.clone(), force };
    let call = client.admin().revoke_member(unary(request)).await;
    call.map_err(|status| client.error(&status))?;
    let words = format!("{} {} is revoked", kind(member.kind()), shown(&member.name));
    tell.done(&words, &json!({ "id": member.id, "done": "revoked" }))
}

fn row(one: &AdminMember) -> Row<'_> {
    Row {
        id: &one.id,
        kind: kind(one.kind()),
        name: &one.name,
        enrolled_unix_ms: one.enrolled_unix_ms,
        created_by: &one.created_by,
        not_after_unix_ms: one.not_after_unix_ms,
        revoked_unix_ms: one.revoked_unix_ms,
        own: one.own,
        connections: one.connections,
        version: &one.version,
    }
}

const fn kind(kind: MemberKind) -> &'static str {
    match kind {
        MemberKind::Edge => "edge",
        MemberKind::Admin => "admin",
        MemberKind::Gateway => "gateway",
        MemberKind::Unspecified => "unknown",
    }
}
