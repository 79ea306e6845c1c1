//! `chatcode audit --follow`: each row as it comes.

use chatcode_proto::pb::{AuditFilter, AuditRow, AuditWatchRequest, audit_watch_response::Event};

use super::{row_of, short};
use crate::{
    client::Client,
    moment,
    print::{self, say, shown},
};

/// Prints rows until the core ends it, or Ctrl-C.
///
/// # Errors
/// When the core refuses, does not answer, or goes away.
pub(super) async fn run(client: &Client, filter: AuditFilter, json: bool) -> anyhow::Result<()> {
    let call = client.audit_stream().watch(AuditWatchRequest { filter: Some(filter) }).await;
    let mut events = call.map_err(|status| client.error(&status))?.into_inner();
    let mut begun = false;
    while let Some(event) = events.message().await.map_err(|status| client.error(&status))? {
        match event.event {
            Some(Event::Row(row)) if json => print::json(&row_of(&row))?,
            Some(Event::Row(row)) => print::answer(&line(&row))?,
            Some(Event::AliveUnixMs(_)) if !begun => {
                begun = true;
                say("following; Ctrl-C ends it");
            }
            Some(Event::AliveUnixMs(_)) | None => {}
        }
    }
    Ok(())
}

/// One row in one line.
fn line(row: &AuditRow) -> String {
    let row = row_of(row);
    let mut words = vec![row.principal, row.action, &row.result];
    let (machine, session) =
        (format!("machine {}", short(row.gateway)), format!("session {}", short(row.session)));
    words.extend((!row.gateway.is_empty()).then_some(machine.as_str()));
    words.extend((!row.session.is_empty()).then_some(session.as_str()));
    words.extend([row.peer, row.detail].into_iter().filter(|word| !word.is_empty()));
    let words: Vec<String> = words.into_iter().map(shown).collect();
    format!("{} {}  {}\n", row.number, moment::shown(row.unix_ms), words.join("  "))
}
