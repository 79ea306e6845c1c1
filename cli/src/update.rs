//! `chatcode gateway update`: asks a machine to update itself, and tells what
//! becomes of it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use chatcode_process::exit::{self, Exit};
use chatcode_proto::{
    limits,
    pb::{Code, HostUpdateRequest, HostUpdateStatusRequest, UpdateState, UpdateStatus},
};

use crate::{
    client::{Client, refused, target, unary},
    fleet::Fleet,
    print::{answer, json, say, shown},
};

/// Between two questions how far it is.
const ASK: Duration = Duration::from_millis(250);

/// Update a machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    /// The machine, by name or id.
    gateway: String,
    /// Only look whether there is a newer version.
    #[arg(long)]
    check: bool,
    /// This version; left out: the newest of the machine's channel.
    #[arg(long, value_name = "VERSION", default_value = "", hide_default_value = true)]
    release: String,
    /// Print the last status as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// The status for scripts.
#[derive(serde::Serialize)]
struct Row<'a> {
    gateway: &'a str,
    installed: &'a str,
    available: &'a str,
    problem: &'a str,
    pin: &'a str,
}

impl Update {
    /// Does it.
    ///
    /// # Errors
    /// When the machine does not answer, cannot update itself, or goes on with its
    /// old version.
    pub(crate) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let fleet = Fleet::ask(client).await?;
        let gateway = fleet.gateway(&self.gateway)?;
        let request = HostUpdateRequest { version: self.release.clone(), look_only: self.check };
        let request = target(unary(request), &gateway.id, "")?;
        let call = client.host().update(request).await.map_err(|status| client.error(&status))?;
        let begun = call.into_inner().status.unwrap_or_default();
        let status = follow(client, &gateway.id, &begun).await?;
        if self.json {
            let UpdateStatus { installed, available, problem, pin, .. } = &status;
            json(&Row { gateway: &gateway.id, installed, available, problem, pin })?;
        }
        self.judge(&begun, &status)
    }

    /// What came of it, in words.
    fn judge(&self, begun: &UpdateStatus, status: &UpdateStatus) -> anyhow::Result<()> {
        if !status.problem.is_empty() {
            return Err(anyhow::anyhow!("{}", shown(&status.problem)).context(Exit(exit::FAILURE)));
        }
        let is_new = |last: &&chatcode_proto::pb::UpdateOutcome| Some(*last) != begun.last.as_ref();
        let words = match status.last.as_ref().filter(is_new) {
            Some(last) if last.done => format!("version {} runs", shown(&last.to)),
            Some(last) => {
                bail!(
                    "version {} was not taken, version {} goes on: {}",
                    shown(&last.to),
                    shown(&last.from),
                    shown(&last.reason)
                )
            }
            None if status.available.is_empty() => {
                let held = if status.pin.is_empty() {
                    String::new()
                } else {
                    format!(" for a machine that is held at {}", shown(&status.pin))
                };
                format!("version {} is installed; there is none newer{held}", shown(&status.installed))
            }
            None => format!("version {} is available", shown(&status.available)),
        };
        if !self.json {
            answer(&format!("{words}\n"))?;
        }
        Ok(())
    }
}

/// Asks until no update is under way; over the break of the link, too.
async fn follow(client: &Client, gateway: &str, begun: &UpdateStatus) -> anyhow::Result<UpdateStatus> {
    let mut told = String::new();
    let mut tick = tokio::time::interval(ASK);
    let mut away = None;
    loop {
        tick.tick().await;
        let request = target(unary(HostUpdateStatusRequest {}), gateway, "")?;
        let status = match client.host().update_status(request).await {
            Ok(answer) => answer.into_inner().status.unwrap_or_default(),
            Err(status) => {
                // The machine is away for as long as the trial takes.
                let refusal = client.refusal(&status);
                let since = *away.get_or_insert_with(tokio::time::Instant::now);
                let passes = matches!(
                    refusal.code,
                    Code::GatewayOffline
                        | Code::Timeout
                        | Code::Draining
                        | Code::CoreUnreachable
                        | Code::Internal
                );
                if !passes || since.elapsed() > longest() {
                    return Err(refused(&refusal)).context("what became of the update is not known");
                }
                continue;
            }
        };
        away = None;
        let words = progress(&status);
        if !words.is_empty() && words != told {
            say(&words);
            told = words;
        }
        if status.state() == UpdateState::Unspecified || status.last != begun.last {
            return Ok(status);
        }
    }
}

/// How long a machine may be away: the longest trial, and the way there and back.
fn longest() -> Duration {
    Duration::from_secs(u64::from(*limits::UPDATE_TRIAL_RANGE.end())) + 2 * limits::RECONNECT.1
}

/// Where it is, in words.
fn progress(status: &UpdateStatus) -> String {
    match status.state() {
        UpdateState::Unspecified => String::new(),
        UpdateState::Looking => "looking for a newer version".to_owned(),
        UpdateState::Downloading => {
            let percent = (status.done_bytes * 100).checked_div(status.total_bytes).unwrap_or_default();
            format!("downloading: {} %", percent / 10 * 10)
        }
        UpdateState::Unpacking => "checking and unpacking".to_owned(),
        UpdateState::Trial => "the new version is on trial".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_steps_and_never_divides_by_nothing() {
        let mut status = UpdateStatus { done_bytes: 57, total_bytes: 100, ..Default::default() };
        assert_eq!(progress(&status), "");
        status.set_state(UpdateState::Downloading);
        assert_eq!(progress(&status), "downloading: 50 %");
        status.total_bytes = 0;
        assert_eq!(progress(&status), "downloading: 0 %");
    }
}
