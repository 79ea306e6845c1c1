//! `chatcode audit`: who did what; looked for, followed, exported and checked.

mod export;
mod filter;
pub(crate) mod follow;
pub(crate) mod verify;

use chatcode_audit::{action_word, result_word};
use chatcode_proto::pb::{AuditListRequest, AuditRow};
use clap::Subcommand;
use serde::Serialize;

use self::{export::Export, filter::Which, verify::Verify};
use crate::{
    client::unary,
    home::Home,
    print::{self, say},
    table::{Table, ago, now_ms},
};

/// List who did what, newest first. A call that was let_in and refused later
/// has a row for each, with one request id.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Audit {
    #[command(subcommand)]
    order: Option<Order>,
    /// How many rows.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only rows before this number.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    before: u64,
    /// Print each row from now on as it comes, until Ctrl-C.
    #[arg(long, conflicts_with_all = ["limit", "before", "until"])]
    follow: bool,
    /// Print one line of JSON for each row.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Order {
    Export(Export),
    Verify(Verify),
}

/// A row as `--json` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Row<'a> {
    number: u64,
    unix_ms: u64,
    principal: &'a str,
    action: &'a str,
    gateway: &'a str,
    session: &'a str,
    result: String,
    request_id: &'a str,
    peer: &'a str,
    detail: &'a str,
}

impl Audit {
    /// Whether it asks no core, and so needs no identity.
    pub(crate) const fn is_offline(&self) -> bool {
        matches!(self.order, Some(Order::Verify(_)))
    }

    /// Prints the rows.
    ///
    /// # Errors
    /// When the core refuses or does not answer.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        match self.order {
            Some(Order::Export(order)) => return order.run(&home.client()?).await,
            Some(Order::Verify(order)) => return order.run(),
            None => {}
        }
        let client = home.client()?;
        let filter = self.which.filter(&client).await?;
        if self.follow {
            return follow::run(&client, filter, self.json).await;
        }
        let mut rows = Vec::new();
        let mut request = AuditListRequest { before: self.before, limit: self.limit, filter: Some(filter) };
        // A search answers after so many rows that it has looked at.
        loop {
            let call = client.audit().list(unary(request.clone())).await;
            let page = call.map_err(|status| client.error(&status))?.into_inner();
            rows.extend(page.rows);
            let missing = self.limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
            if page.next == 0 || missing == 0 {
                break;
            }
            (request.before, request.limit) = (page.next, missing);
        }
        if self.json {
            return Ok(print::json_lines(rows.iter().map(row_of))?);
        }
        print::answer(&table(&rows).render())?;
        if rows.is_empty() {
            say("no such rows");
        }
        Ok(())
    }
}

fn table(rows: &[AuditRow]) -> Table {
    let now = now_ms();
    let mut table =
        Table::new(&["NUMBER", "AGO", "WHO", "WHAT", "RESULT", "MACHINE", "SESSION", "FROM", "DETAIL"]);
    for row in rows.iter().map(row_of) {
        table.row([
            row.number.to_string().as_str(),
            &ago(now, row.unix_ms),
            row.principal,
            row.action,
            &row.result,
            short(row.gateway),
            short(row.session),
            row.peer,
            row.detail,
        ]);
    }
    table
}

/// A row as `--json` shows it.
pub(crate) fn row_of(row: &AuditRow) -> Row<'_> {
    Row {
        number: row.number,
        unix_ms: row.unix_ms,
        principal: &row.principal,
        action: action_word(&row.action),
        gateway: &row.gateway,
        session: &row.session,
        // "let_in": only a refusal after it has a row of its own.
        result: result_word(row.result),
        request_id: &row.request_id,
        peer: &row.peer,
        detail: &row.detail,
    }
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
