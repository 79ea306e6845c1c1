//! `chatcode new`: a new session.

use std::path::PathBuf;

use anyhow::Context as _;
use chatcode_process::exit::{self, Exit};
use chatcode_proto::{
    id::SessionId,
    pb::{Gateway, RestartPolicy, Role, SessionsCreateRequest, SessionsListTmuxRequest},
};

use crate::{
    attach::{self, winsize},
    client::{Client, target, unary},
    fleet::Fleet,
    home::Home,
    print::{self, shown},
};

/// Start a session.
#[derive(Debug, clap::Args)]
pub(crate) struct New {
    /// The machine, by name or id; left out: the only one, else this one.
    #[arg(long, short)]
    gateway: Option<String>,
    /// What people call the session.
    #[arg(long, short)]
    name: Option<String>,
    /// The folder to start in, created when missing; left out: the home.
    #[arg(long, short)]
    folder: Option<PathBuf>,
    /// Attach to it at once.
    #[arg(long, short)]
    attach: bool,
    /// Open this session of the machine's own tmux instead of a command.
    #[arg(long, value_name = "NAME", conflicts_with = "command")]
    tmux: Option<String>,
    /// Start it again when its shell crashed (a signal, out of memory, its
    /// holder vanished), or after the machine was restarted, too.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    restart: Restart,
    /// What a restart runs instead of the command: one string, split into words
    /// as a shell reads quotes.
    #[arg(long, value_name = "COMMAND", value_parser = words)]
    resume: Option<Words>,
    /// Print one line of JSON.
    #[arg(long, conflicts_with = "attach")]
    json: bool,
    /// The command and its arguments; left out: the login shell.
    #[arg(last = true)]
    command: Vec<String>,
}

/// A command with its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Words(Vec<String>);

fn words(line: &str) -> Result<Words, &'static str> {
    match shlex::split(line) {
        None => Err("a quote is not closed, or nothing follows the last backslash"),
        Some(words) if words.is_empty() => {
            Err("there is no command in it; leave --resume out for the same again")
        }
        Some(words) => Ok(Words(words)),
    }
}

/// When a session is started again.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Restart {
    /// Never.
    #[default]
    Never,
    /// After a crash.
    OnCrash,
    /// After a crash, and after a restart of the machine.
    OnBoot,
}

impl From<Restart> for RestartPolicy {
    fn from(restart: Restart) -> Self {
        match restart {
            Restart::Never => Self::Unspecified,
            Restart::OnCrash => Self::OnCrash,
            Restart::OnBoot => Self::OnBoot,
        }
    }
}

/// The line of `--json`.
#[derive(Debug, serde::Serialize)]
struct Made<'a> {
    session: &'a str,
    name: &'a str,
    gateway: &'a str,
}

impl New {
    /// Starts the session; prints its id unless it is attached to.
    ///
    /// # Errors
    /// When the machine is not known or refuses.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        if self.resume.is_some() && matches!(self.restart, Restart::Never) {
            let words = "--resume is for a session that is started again; add --restart on-crash or on-boot";
            return Err(anyhow::anyhow!(words).context(Exit(exit::USAGE)));
        }
        let client = home.client()?;
        let fleet = Fleet::ask(&client).await?;
        let here = home.addresses()?.gateway;
        let gateway = match &self.gateway {
            Some(wanted) => fleet.gateway(wanted)?,
            None => fleet.usual_gateway(here.as_deref())?,
        };
        let folder = match &self.folder {
            Some(folder) => folder.to_str().context("the folder's name is not UTF-8")?.to_owned(),
            None => String::new(),
        };
        let (name, command) = match &self.tmux {
            Some(wanted) => {
                (self.name.as_ref().unwrap_or(wanted), tmux_command(&client, gateway, wanted).await?)
            }
            None => (&self.name.clone().unwrap_or_default(), self.command.clone()),
        };
        let request = SessionsCreateRequest {
            name: name.clone(),
            command,
            folder,
            winsize: winsize(),
            // A lost answer would not leave a second shell behind.
            session: SessionId::from_random(rand::random()).to_string(),
            restart: RestartPolicy::from(self.restart).into(),
            resume_command: self.resume.clone().unwrap_or_default().0,
            ..SessionsCreateRequest::default()
        };
        let call = client.sessions().create(target(unary(request), &gateway.id, "")?).await;
        let session = call
            .map_err(|status| client.error(&status))?
            .into_inner()
            .session
            .context("the machine told nothing of the new session")?;
        if self.attach {
            let target =
                attach::Target { gateway: gateway.id.clone(), session: session.id, name: session.name };
            return attach::attach(&client, target, Role::Writer, false).await;
        }
        if self.json {
            let made = Made { session: &session.id, name: &session.name, gateway: &gateway.id };
            return Ok(print::json(&made)?);
        }
        Ok(print::answer(&format!("{}\n", shown(&session.id)))?)
    }
}

/// The command that opens a session of the machine's tmux.
async fn tmux_command(client: &Client, gateway: &Gateway, wanted: &str) -> anyhow::Result<Vec<String>> {
    let request = target(unary(SessionsListTmuxRequest {}), &gateway.id, "")?;
    let call = client.sessions().list_tmux(request).await;
    let sessions = call.map_err(|status| client.error(&status))?.into_inner().sessions;
    let names: Vec<String> = sessions.iter().map(|session| shown(&session.name).to_string()).collect();
    let known =
        if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
    let found = sessions.into_iter().find(|session| session.name == wanted);
    let found =
        found.with_context(|| format!("the machine's tmux has no session {}; {known}", shown(wanted)))?;
    Ok(found.command)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        new: New,
    }

    fn parsed(arguments: &[&str]) -> Result<New, clap::Error> {
        let line = [&["new", "--restart", "on-boot"], arguments].concat();
        Line::try_parse_from(line).map(|line| line.new)
    }

    #[test]
    fn a_resume_command_is_one_string_and_its_words_may_be_options() {
        let new = parsed(&["--resume", "claude --continue 'a b'", "--", "claude", "--model", "x"])
            .expect("is fine");
        assert_eq!(new.resume.expect("is there").0, ["claude", "--continue", "a b"]);
        assert_eq!(new.command, ["claude", "--model", "x"]);
        let new = parsed(&["--resume=top", "--json"]).expect("is fine");
        assert_eq!(new.resume.expect("is there").0, ["top"]);
        assert!(new.json && new.command.is_empty());
        let new = parsed(&["--", "top"]).expect("is fine");
        assert!(new.resume.is_none() && new.command == ["top"]);
    }

    #[test]
    fn a_resume_command_that_cannot_be_meant_is_refused_with_the_reason() {
        for (arguments, reason) in [
            (&["--resume", "claude", "--continue", "--", "claude"][..], "unexpected argument '--continue'"),
            (&["--resume", "claude", "claude"], "unexpected argument 'claude'"),
            (&["--resume", "--", "claude"], "a value is required"),
            (&["--resume"], "a value is required"),
            (&["--resume", "sh -c 'x", "--", "x"], "a quote is not closed"),
            (&["--resume", "x\\"], "a quote is not closed, or nothing follows the last backslash"),
            (&["--resume", " "], "there is no command in it"),
            (&["--resume", "a", "--resume", "b"], "cannot be used multiple times"),
        ] {
            let error = parsed(arguments).expect_err("is refused").to_string();
            assert!(error.contains(reason), "{arguments:?}: {error}");
        }
    }
}
