//! Which rows of the audit a person means.

use chatcode_proto::pb::{AuditFilter, Code};

use crate::{client::Client, fleet::Fleet, moment, people, table::now_ms};

/// Which rows; all that is said has to be true.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Which {
    /// Done by whom: a person by id, name or e-mail address (with their API tokens),
    /// or a principal as it is shown, such as core, or admin/6f1c0a52-...
    #[arg(long, value_name = "WHO")]
    who: Option<String>,
    /// Done to which machine, by id or name.
    #[arg(long, value_name = "MACHINE")]
    machine: Option<String>,
    /// Done to which session, by its whole id.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// What was done begins so, such as gateway. or Fleet/Revoke.
    #[arg(long, value_name = "WORDS")]
    action: Option<String>,
    /// With this result, such as done or forbidden.
    #[arg(long, value_name = "CODE", value_parser = code)]
    result: Option<Code>,
    /// Only what was refused, for whatever reason.
    #[arg(long)]
    refused: bool,
    /// Not before this moment: 2h or 7d (so long ago), or 2026-11-27T09:30 (UTC).
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<u64>,
    /// Before this moment.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<u64>,
    /// These words stand in the detail.
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// Of the call of this request id.
    #[arg(long, value_name = "ID")]
    request: Option<String>,
}

fn code(text: &str) -> Result<Code, String> {
    Code::from_name(text).ok_or_else(|| format!("{text} is no result; write it as the audit shows it"))
}

fn time(text: &str) -> Result<u64, String> {
    moment::unix_ms(text, now_ms())
}

impl Which {
    /// As it crosses the wire; names are looked up.
    ///
    /// # Errors
    /// When nobody, or several, have a name; when the core refuses or does not
    /// answer.
    pub(crate) async fn filter(self, client: &Client) -> anyhow::Result<AuditFilter> {
        let mut filter = AuditFilter {
            session: self.session.unwrap_or_default(),
            action: self.action.unwrap_or_default(),
            result: self.result.unwrap_or_default().into(),
            refused: self.refused,
            from_unix_ms: self.since.unwrap_or(0),
            until_unix_ms: self.until.unwrap_or(0),
            text: self.text.unwrap_or_default(),
            request_id: self.request.unwrap_or_default(),
            ..AuditFilter::default()
        };
        match self.who {
            Some(who) if is_principal(&who) => filter.principal = who,
            Some(who) => filter.person = people::named(client, &who).await?.id,
            None => {}
        }
        if let Some(machine) = self.machine {
            filter.gateway = Fleet::ask(client).await?.gateway(&machine)?.id.clone();
        }
        Ok(filter)
    }
}

/// Whether somebody means a principal and no person: "admin/...", or one of those
/// without an id.
fn is_principal(who: &str) -> bool {
    who.contains('/') || ["anonymous", "core", "local"].contains(&who)
}
