//! `chatcode end` and `chatcode rename`.

use chatcode_process::exit::{self, Exit};
use chatcode_proto::{
    limits, name,
    pb::{SessionsEndRequest, SessionsRenameRequest},
};
use serde_json::json;

use crate::{
    client::{target, unary},
    fleet::{Fleet, session_state},
    home::Home,
    print::{Tell, shown},
};

/// End a session: hang up, then TERM, then KILL. One that has ended already is
/// forgotten.
#[derive(Debug, clap::Args)]
pub(crate) struct End {
    /// The session, by name or id.
    session: String,
    /// Its machine, by name or id; left out: any.
    #[arg(long, short, value_name = "MACHINE")]
    gateway: Option<String>,
    /// KILL at once.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    tell: Tell,
}

impl End {
    /// Begins to end the session.
    ///
    /// # Errors
    /// When the session is not known or the machine refuses.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        let client = home.client()?;
        let fleet = Fleet::ask(&client).await?;
        let (gateway, session) = fleet.session(&self.session, self.gateway.as_deref())?;
        let request = target(unary(SessionsEndRequest { force: self.force }), gateway, &session.id)?;
        let response = client.sessions().end(request).await.map_err(|status| client.error(&status))?;
        let name = shown(&session.name);
        let state = response.into_inner().session.map_or("forgotten".to_owned(), |one| session_state(&one));
        let what = json!({ "session": session.id, "gateway": gateway, "name": session.name, "state": state });
        self.tell.done(&format!("{name}: {state}"), &what)
    }
}

/// Give a session another name.
#[derive(Debug, clap::Args)]
pub(crate) struct Rename {
    /// The session, by name or id.
    session: String,
    /// Its machine, by name or id; left out: any.
    #[arg(long, short, value_name = "MACHINE")]
    gateway: Option<String>,
    /// Its new name.
    name: String,
    #[command(flatten)]
    tell: Tell,
}

impl Rename {
    /// Renames the session.
    ///
    /// # Errors
    /// When the name or the session is no good, or the machine refuses.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        name::check("name", &self.name, limits::SESSION_NAME_CHARS)
            .map_err(|refusal| anyhow::anyhow!(refusal.message).context(Exit(exit::USAGE)))?;
        let client = home.client()?;
        let fleet = Fleet::ask(&client).await?;
        let (gateway, session) = fleet.session(&self.session, self.gateway.as_deref())?;
        let request = target(unary(SessionsRenameRequest { name: self.name.clone() }), gateway, &session.id)?;
        client.sessions().rename(request).await.map_err(|status| client.error(&status))?;
        self.tell.done("", &json!({ "session": session.id, "gateway": gateway, "name": self.name }))
    }
}
