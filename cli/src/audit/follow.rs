//! `chatcode audit --follow`: each row as it comes, none left out and none twice, also
//! when the core was away meanwhile.

use chatcode_proto::{
    code::Refusal,
    pb::{AuditFilter, AuditListRequest, AuditRow, AuditWatchRequest, audit_watch_response::Event},
};
use tonic::Status;

use super::{row_of, short};
use crate::{
    client::{Client, unary},
    follow, moment,
    print::{self, shown},
};

/// Prints rows until Ctrl-C.
///
/// # Errors
/// When the core refuses, or does not answer at first.
pub(super) async fn run(client: &Client, filter: AuditFilter, json: bool) -> anyhow::Result<()> {
    let mut rows =
        Rows::from_now_on(client, filter).await.map_err(|refusal| crate::client::refused(&refusal))?;
    let show = |row: &AuditRow| {
        if json { print::json(&row_of(row)) } else { print::answer(&line(row)) }
    };
    follow::until_interrupted(follow::again_and_again("following", async |began| {
        rows.once(client, began, show).await
    }))
    .await
}

/// The rows from a moment on.
#[derive(Debug)]
pub(crate) struct Rows {
    filter: AuditFilter,
    /// The number of the last row that was told, or that was there before.
    last: u64,
}

impl Rows {
    /// Those that come from now on.
    ///
    /// # Errors
    /// As the core refuses, or `CORE_UNREACHABLE`.
    pub(crate) async fn from_now_on(client: &Client, filter: AuditFilter) -> Result<Self, Refusal> {
        let newest = AuditListRequest { before: 0, limit: 1, filter: None };
        let call = client.audit().list(unary(newest)).await;
        let page = call.map_err(|status| client.refusal(&status))?.into_inner();
        // Where none is for this caller, none of those that were looked at is.
        Ok(Self { filter, last: page.rows.first().map_or(page.next, |row| row.number) })
    }

    /// Tells rows until the connection ends, and says why it did. `began` is called
    /// when nothing is missed any more.
    ///
    /// # Errors
    /// When a row cannot be shown.
    pub(crate) async fn once(
        &mut self,
        client: &Client,
        began: impl FnOnce(),
        mut show: impl FnMut(&AuditRow) -> std::io::Result<()>,
    ) -> std::io::Result<Refusal> {
        let why = |status: Option<Status>| follow::ended(client, status);
        let request = AuditWatchRequest { filter: Some(self.filter.clone()), from_number: self.last + 1 };
        let mut events = match client.audit_stream().watch(request).await {
            Ok(response) => response.into_inner(),
            Err(status) => return Ok(why(Some(status))),
        };
        let mut began = Some(began);
        loop {
            match events.message().await {
                Ok(Some(event)) => {
                    if let Some(began) = began.take() {
                        began();
                    }
                    self.tell(event.event, &mut show)?;
                }
                Ok(None) => return Ok(why(None)),
                Err(status) => return Ok(why(Some(status))),
            }
        }
    }

    fn tell(
        &mut self,
        event: Option<Event>,
        show: &mut impl FnMut(&AuditRow) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        match event {
            Some(Event::Row(row)) if row.number > self.last => {
                show(&row)?;
                self.last = row.number;
                Ok(())
            }
            Some(Event::Row(_) | Event::AliveUnixMs(_)) | None => Ok(()),
        }
    }
}

/// One row in one line, with its number and moment.
fn line(row: &AuditRow) -> String {
    format!("{} {}  {}\n", row.number, moment::shown(row.unix_ms), words(row))
}

/// Who did what, where and how it ended, in one line.
pub(crate) fn words(row: &AuditRow) -> String {
    let row = row_of(row);
    let mut words = vec![row.principal, row.action, &row.result];
    let (machine, session) =
        (format!("machine {}", short(row.gateway)), format!("session {}", short(row.session)));
    words.extend((!row.gateway.is_empty()).then_some(machine.as_str()));
    words.extend((!row.session.is_empty()).then_some(session.as_str()));
    words.extend([row.peer, row.detail].into_iter().filter(|word| !word.is_empty()));
    let words: Vec<String> = words.into_iter().map(shown).collect();
    words.join("  ")
}
