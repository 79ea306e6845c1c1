//! `chatcode audit verify` and `chatcode admin audit`: whether every row is as it was
//! written.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chatcode_audit::{FileCheck, FileFault, Line, head::signer, hex, unhex};
use chatcode_process::exit::{self, Exit};
use chatcode_proto::{
    limits,
    pb::{AuditHead, AuditHeadRequest, AuditVerifyRequest},
};
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use tonic::Request;

use crate::{
    client::{Client, unary},
    moment,
    print::{self, Tell, say, shown},
    table::Table,
};

/// Check exports and archives, without a core: names the first row that is changed,
/// missing or out of place, and a cut end.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Archives first, in their order, an export last.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The pin of the key that has to have signed the heads; may be said again.
    /// `chatcode admin audit head` shows it: keep it from the first day.
    #[arg(long, value_name = "PIN", value_parser = pin)]
    key: Vec<[u8; 32]>,
    /// An older export, archive or head: its rows have to be there as they were.
    #[arg(long, value_name = "FILE")]
    against: Vec<PathBuf>,
    #[command(flatten)]
    tell: Tell,
}

fn pin(text: &str) -> Result<[u8; 32], String> {
    let bytes = unhex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "a pin has 64 hex digits".to_owned())
}

/// The audit of the core: whether it is whole, and how far it goes.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditOrder {
    /// Let the core check its whole chain.
    Verify {
        /// An older export, archive or head: its rows have to be there as they were.
        #[arg(long, value_name = "FILE")]
        against: Vec<PathBuf>,
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// The last row, signed, and the pin of the key.
    Head {
        /// Print the line that `--against` takes.
        #[arg(long)]
        json: bool,
    },
}

/// The line of `verify --json`.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    first: u64,
    last: u64,
    broken: u64,
    reason: &'a str,
}

impl Verify {
    /// Does it.
    ///
    /// # Errors
    /// When a file cannot be read, or is not whole.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut check = FileCheck::new(self.key.clone());
        for file in &self.against {
            for head in heads_of(file)? {
                check.keep(head).map_err(|fault| broken(file, fault))?;
            }
        }
        for file in &self.files {
            for line in lines(file)? {
                check.line(&line?).map_err(|fault| broken(file, fault))?;
            }
            check.end_of_file().map_err(|fault| broken(file, fault))?;
        }
        let found = check.end().map_err(|fault| exit::with(Exit(exit::FAILURE), fault))?;
        if self.tell.json {
            return Ok(print::json(&json!({
                "first": found.first,
                "last": found.last,
                "installation": found.installation,
                "signed_unix_ms": found.head.unix_ms,
                "key": hex(&found.key),
                "key_checked": !self.key.is_empty(),
            }))?);
        }
        print::answer(&format!(
            "whole: rows {} to {} of installation {}; signed {} UTC by the key {}\n",
            found.first,
            found.last,
            shown(&found.installation),
            moment::shown(found.head.unix_ms),
            hex(&found.key)
        ))?;
        if self.key.is_empty() {
            say("that this is the core's key was not checked; say --key with the pin that you have kept");
        }
        if found.first > 1 {
            say(&format!("rows 1 to {} are in archives; name those files first", found.first - 1));
        }
        Ok(())
    }
}

fn broken(file: &Path, fault: FileFault) -> anyhow::Error {
    exit::with(Exit(exit::FAILURE), fault).context(shown(&file.display().to_string()))
}

/// The lines of a file; a longer one than ours is none.
fn lines(file: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<String>>> {
    let name = shown(&file.display().to_string());
    let opened = File::open(file).with_context(|| name.clone()).context(Exit(exit::USAGE))?;
    let mut reader = BufReader::new(opened);
    Ok(std::iter::from_fn(move || {
        let mut line = String::new();
        let read = (&mut reader).take(limits::AUDIT_LINE_BYTES).read_line(&mut line);
        match read {
            Ok(0) => None,
            Ok(_) => {
                line.truncate(line.trim_end_matches('\n').len());
                Some(Ok(line))
            }
            Err(error) => Some(Err(anyhow::Error::new(error).context(name.clone()))),
        }
    }))
}

/// The signed heads that a file holds.
fn heads_of(file: &Path) -> anyhow::Result<Vec<AuditHead>> {
    let mut heads = Vec::new();
    for line in lines(file)? {
        if let Ok(Line::Head(head)) = Line::of_text(&line?) {
            heads.push(head);
        }
    }
    if heads.is_empty() {
        let words = format!("{} holds no signed head", shown(&file.display().to_string()));
        return Err(anyhow::anyhow!(words).context(Exit(exit::USAGE)));
    }
    Ok(heads)
}

impl AuditOrder {
    /// Does it.
    ///
    /// # Errors
    /// When the core refuses or does not answer, and when the chain is broken.
    pub(crate) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::Verify { against, json } => verify(client, &against, json).await,
            Self::Head { json } => head(client, json).await,
        }
    }
}

async fn verify(client: &Client, against: &[PathBuf], json: bool) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    for file in against {
        kept.extend(heads_of(file)?);
    }
    let call = client.audit().verify(asked(kept)).await;
    let found = call.map_err(|status| client.error(&status))?.into_inner();
    let (first, last, broken) = (found.first, found.last, found.broken);
    if json {
        print::json(&Checked { first, last, broken, reason: &found.reason })?;
    }
    if broken != 0 {
        let words = format!("the audit is not as it was written: {}", shown(&found.reason));
        return Err(anyhow::anyhow!(words).context(Exit(exit::FAILURE)));
    }
    if !json {
        print::answer(&format!("whole: rows {first} to {last}\n"))?;
    }
    if first > 1 {
        say(&format!(
            "rows 1 to {} are in archives in the core's folder; `chatcode audit verify` checks those",
            first - 1
        ));
    }
    Ok(())
}

/// It reads every row that there is, and so may take longer than other calls.
fn asked(kept: Vec<AuditHead>) -> Request<AuditVerifyRequest> {
    let mut request = Request::new(AuditVerifyRequest { kept });
    request.set_timeout(limits::AUDIT_CHECK);
    request
}

async fn head(client: &Client, json: bool) -> anyhow::Result<()> {
    let call = client.audit().head(unary(AuditHeadRequest {})).await;
    let head = call.map_err(|status| client.error(&status))?.into_inner().head.unwrap_or_default();
    let key =
        signer(&head).context("the core's signature of the head is wrong").context(Exit(exit::FAILURE))?;
    if json {
        return Ok(print::json(&Line::Head(head))?);
    }
    let mut table = Table::new(&["INSTALLATION", "ROW", "HASH", "SIGNED", "KEY"]);
    table.row([
        head.installation.clone(),
        head.number.to_string(),
        hex(&head.hash),
        moment::shown(head.unix_ms),
        hex(&key.pin()),
    ]);
    Ok(print::answer(&table.render())?)
}

#[cfg(test)]
mod tests {
    use chatcode_proto::pb::AuditRow;

    use super::*;

    #[test]
    fn a_line_of_an_export_that_is_longer_than_any_is_none_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("export.jsonl");
        let most = usize::try_from(limits::AUDIT_LINE_BYTES).unwrap();
        let row = |detail: usize| {
            let row = AuditRow { detail: "x".repeat(detail), result: 1, ..AuditRow::default() };
            Line::Row(row).to_text().unwrap()
        };
        let own = row(0).len() + 1;
        let read = |text: String| {
            std::fs::write(&file, format!("{text}\n")).unwrap();
            lines(&file).unwrap().map(|line| Line::of_text(&line.unwrap()).is_ok()).collect::<Vec<_>>()
        };
        assert_eq!(read(row(most - own)), [true]);
        let longer = read(row(most - own + 1));
        assert!(longer.contains(&false), "{longer:?}");
    }

    #[test]
    fn a_check_of_the_whole_chain_is_waited_for_as_long_as_the_limit_says() {
        let request = asked(Vec::new());
        let told = request.metadata().get("grpc-timeout").unwrap().to_str().unwrap().to_owned();
        let (number, unit) = told.split_at(told.len() - 1);
        let in_microseconds = match unit {
            "S" => 1_000_000,
            "m" => 1_000,
            "u" => 1,
            unit => panic!("{unit}"),
        };
        let waits = number.parse::<u64>().unwrap() * in_microseconds;
        assert_eq!(u128::from(waits), limits::AUDIT_CHECK.as_micros(), "{told}");
    }
}
