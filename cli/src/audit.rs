//! `chatcode audit`: who did what, newest first.

use std::path::Path;

use chatcode_proto::pb::{AuditListRequest, AuditRow, Code};
use serde::Serialize;

use crate::{
    client::{Client, unary},
    print,
    table::{Table, ago, now_ms},
};

/// List who did what, newest first. A call that was let_in and refused later
/// has a row for each, with one request id.
#[derive(Debug, clap::Args)]
pub(crate) struct Audit {
    /// How many rows.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only rows before this number.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    before: u64,
    /// Print one line of JSON for each row.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    number: u64,
    unix_ms: u64,
    principal: &'a str,
    action: &'a str,
    gateway: &'a str,
    session: &'a str,
    result: &'static str,
    request_id: &'a str,
    peer: &'a str,
    detail: &'a str,
}

impl Audit {
    /// Prints the rows.
    ///
    /// # Errors
    /// When the core refuses or does not answer.
    pub(crate) async fn run(self, data_dir: &Path) -> anyhow::Result<()> {
        let client = Client::open(&data_dir.join("cli"))?;
        let request = AuditListRequest { before: self.before, limit: self.limit };
        let call = client.audit().list(unary(request)).await;
        let rows = call.map_err(|status| client.error(&status))?.into_inner().rows;
        if self.json {
            for row in &rows {
                print::json(&row_of(row))?;
            }
            return Ok(());
        }
        let now = now_ms();
        let mut table =
            Table::new(&["NUMBER", "AGO", "WHO", "WHAT", "RESULT", "MACHINE", "SESSION", "FROM", "DETAIL"]);
        for row in rows.iter().map(row_of) {
            table.row([
                row.number.to_string().as_str(),
                &ago(now, row.unix_ms),
                row.principal,
                row.action,
                row.result,
                short(row.gateway),
                short(row.session),
                row.peer,
                row.detail,
            ]);
        }
        Ok(print::answer(&table.render())?)
    }
}

fn row_of(row: &AuditRow) -> Row<'_> {
    Row {
        number: row.number,
        unix_ms: row.unix_ms,
        principal: &row.principal,
        action: row.action.strip_prefix("/chatcode.v1.").unwrap_or(&row.action),
        gateway: &row.gateway,
        session: &row.session,
        result: match row.result() {
            // Only a refusal after it has a row of its own.
            Code::Unspecified => "let_in",
            code => code.name(),
        },
        request_id: &row.request_id,
        peer: &row.peer,
        detail: &row.detail,
    }
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
