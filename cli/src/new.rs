//! `chatcode new`: a new session.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chatcode_proto::{
    id::SessionId,
    pb::{Gateway, Role, SessionsCreateRequest, SessionsListTmuxRequest},
};

use crate::{
    addresses::Addresses,
    attach::{self, winsize},
    client::{Client, target, unary},
    fleet::Fleet,
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
    /// Print one line of JSON.
    #[arg(long, conflicts_with = "attach")]
    json: bool,
    /// The command and its arguments; left out: the login shell.
    #[arg(last = true)]
    command: Vec<String>,
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
    pub(crate) async fn run(self, data_dir: &Path) -> anyhow::Result<()> {
        let client = Client::open(&data_dir.join("cli"))?;
        let fleet = Fleet::ask(&client).await?;
        let home = Addresses::load(&data_dir.join("up")).gateway;
        let gateway = match &self.gateway {
            Some(wanted) => fleet.gateway(wanted)?,
            None => fleet.usual_gateway(home.as_deref())?,
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
            return attach::attach(&client, target, Role::Writer).await;
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
