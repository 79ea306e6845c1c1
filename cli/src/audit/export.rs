//! `chatcode audit export`: everything as JSON lines, checked while it comes.

use chatcode_audit::{FileCheck, FileFault, Line};
use chatcode_process::exit::{self, Exit};
use chatcode_proto::pb::{AuditExportRequest, audit_export_response::Part};

use super::filter::Which;
use crate::{
    client::Client,
    print::{self, say},
};

/// Print all rows as JSON lines, oldest first: the begin, each row, and the head
/// that the core signs. Without a filter `chatcode audit verify` proves that nothing
/// is missing.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// From the row of this number on; left out: from the oldest that is kept.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    from: u64,
    #[command(flatten)]
    which: Which,
}

impl Export {
    /// Does it.
    ///
    /// # Errors
    /// When the core refuses or does not answer, and when what it sent is not whole.
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let filter = self.which.filter(client).await?;
        let request = AuditExportRequest { from_number: self.from, filter: Some(filter) };
        let call = client.audit_stream().export(request).await;
        let mut parts = call.map_err(|status| client.error(&status))?.into_inner();
        let (mut check, mut found, mut count) = (FileCheck::default(), Ok(()), 0);
        let mut is_chosen = false;
        while let Some(part) = parts.message().await.map_err(|status| client.error(&status))? {
            let lines: Vec<Line> = match part.part {
                Some(Part::Begin(begin)) => {
                    is_chosen = begin.chosen;
                    vec![Line::Begin(begin.into())]
                }
                Some(Part::Rows(rows)) => {
                    count += rows.rows.len();
                    rows.rows.into_iter().map(Line::Row).collect()
                }
                Some(Part::Head(head)) => vec![Line::Head(head)],
                None => Vec::new(),
            };
            if !is_chosen && found.is_ok() {
                found = judge(&mut check, &lines);
            }
            print::json_lines(lines)?;
        }
        if is_chosen {
            say(&format!("{count} chosen rows; an export without a filter is what `audit verify` can check"));
            return Ok(());
        }
        let end = found.and_then(|()| check.end_of_file()).and_then(|()| check.end());
        let found = end.map_err(|fault| exit::with(Exit(exit::FAILURE), fault))?;
        say(&format!("{count} rows, up to row {}, whole", found.last));
        Ok(())
    }
}

fn judge(check: &mut FileCheck, lines: &[Line]) -> Result<(), FileFault> {
    lines.iter().try_for_each(|line| {
        let text = line.to_text().unwrap_or_default();
        check.line(&text)
    })
}
