//! `chatcode context`, `logout` and `whoami`: what one is logged in to, and as whom.

use anyhow::Context as _;
use chatcode_certs::Identity;
use chatcode_process::exit::{self, Exit};
use chatcode_proto::pb::{AccountsWhoAmIRequest, AccountsWhoAmIResponse, Code, PeopleRevokeApiTokenRequest};
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use super::{Context, LOCAL};
use crate::{
    client::{Client, refused, unary},
    home::Home,
    print::{self, Tell, say, shown},
    roles::text as role_word,
    table::{Table, now_ms, until},
};

/// Manage the logins of this machine. `local` is its administrator's certificate.
#[derive(Debug, Subcommand)]
pub(crate) enum Order {
    /// List them; the one in use has a star.
    List {
        /// Print one line of JSON for each.
        #[arg(long)]
        json: bool,
    },
    /// Use one from now on.
    Use {
        /// Its name, or local.
        name: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// Forget one; its token counts on at the core. `chatcode logout` ends that, too.
    Remove {
        /// Its name.
        name: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// Show one; never its token.
    Show {
        /// Its name; left out: the one in use.
        name: Option<String>,
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
}

/// End a login: its token at the core, and what is kept of it here.
#[derive(Debug, clap::Args)]
pub(crate) struct Logout {
    /// The context; left out: the one in use.
    name: Option<String>,
    /// Forget it here also when the core cannot be told.
    #[arg(long)]
    forget: bool,
    #[command(flatten)]
    tell: Tell,
}

/// Say who commands act for, where, and until when.
#[derive(Debug, clap::Args)]
pub(crate) struct WhoAmI {
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// A context as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    current: bool,
    installation: &'a str,
    core: &'a str,
    page: Option<&'a str>,
    person: &'a str,
    role: &'a str,
    expires_unix_ms: u64,
}

impl<'a> Row<'a> {
    fn of(context: &'a Context, current: bool) -> Self {
        Self {
            name: &context.name,
            current,
            installation: &context.installation,
            core: &context.core,
            page: context.page.as_deref(),
            person: &context.display_name,
            role: &context.role,
            expires_unix_ms: context.expires_unix_ms,
        }
    }
}

impl Order {
    /// Does it; asks no core.
    ///
    /// # Errors
    /// When a context is not there or its file cannot be used.
    pub(crate) fn run(self, home: &Home) -> anyhow::Result<()> {
        let contexts = home.contexts();
        match self {
            Self::List { json } => list(home, json),
            Self::Use { name, tell } => {
                contexts.select(&name)?;
                tell.done(&format!("in use from now on: {name}"), &json!({ "name": name, "done": "in_use" }))
            }
            Self::Remove { name, tell } => {
                let context = contexts.named(&name)?;
                contexts.remove(&name)?;
                let words = format!(
                    "forgotten; its API token {} counts on at the core ({}), until somebody revokes it there",
                    shown(&context.token_id),
                    until(now_ms(), context.expires_unix_ms)
                );
                tell.done(&words, &json!({ "name": name, "done": "forgotten", "token": context.token_id }))
            }
            Self::Show { name, json } => {
                let context = match name {
                    Some(name) => contexts.named(&name)?,
                    None => home.context()?.ok_or_else(no_login)?,
                };
                let current = home.context()?.is_some_and(|one| one.name == context.name);
                let row = Row::of(&context, current);
                if json { Ok(print::json(&row)?) } else { Ok(print::answer(&table(&[row]).render())?) }
            }
        }
    }
}

fn list(home: &Home, json: bool) -> anyhow::Result<()> {
    let contexts = home.contexts();
    let current = home.context()?.map(|context| context.name);
    let mut all = Vec::new();
    for name in contexts.names()? {
        match contexts.load(&name) {
            Ok(context) => all.extend(context),
            Err(error) => say(&format!("{error:#}")),
        }
    }
    let rows: Vec<Row<'_>> =
        all.iter().map(|one| Row::of(one, current.as_deref() == Some(one.name.as_str()))).collect();
    let local = Identity::load(&home.cli_dir()).ok().flatten();
    let local = local.map(|identity| {
        let core = Client::open(&home.cli_dir()).map(|client| client.core().to_owned()).unwrap_or_default();
        (identity.trust_domain().installation().to_owned(), core, identity.validity_unix_s().end * 1000)
    });
    let local = local.as_ref().map(|(installation, core, ends)| Row {
        name: LOCAL,
        current: current.is_none(),
        installation,
        core,
        page: None,
        person: "",
        role: "certificate",
        expires_unix_ms: *ends,
    });
    let rows: Vec<Row<'_>> = local.into_iter().chain(rows).collect();
    if json {
        return Ok(print::json_lines(rows)?);
    }
    print::answer(&table(&rows).render())?;
    if rows.is_empty() {
        say("no login and no certificate is here; `chatcode login https://HOST` makes a login");
    }
    Ok(())
}

fn table(rows: &[Row<'_>]) -> Table {
    let mut table = Table::new(&["", "NAME", "INSTALLATION", "CORE", "PERSON", "ROLE", "ENDS"]);
    for row in rows {
        let star = if row.current { "*" } else { "" };
        let ends = until(now_ms(), row.expires_unix_ms);
        table.row([star, row.name, row.installation, row.core, row.person, row.role, &ends]);
    }
    table
}

fn no_login() -> anyhow::Error {
    anyhow::anyhow!(
        "no login is in use here, but the administrator's certificate of this machine; `chatcode admin members revoke` throws that one out"
    )
    .context(Exit(exit::USAGE))
}

impl Logout {
    /// Revokes the token and forgets the context.
    ///
    /// # Errors
    /// When the core does not answer, unless `--forget` is given; when there is no
    /// such login.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        let context = match &self.name {
            Some(name) if name == LOCAL => return Err(no_login()),
            Some(name) => home.contexts().named(name)?,
            None => home.context()?.ok_or_else(no_login)?,
        };
        let name = &context.name;
        match revoke(&context).await {
            Ok(()) => {
                home.contexts().remove(name)?;
                self.tell.done(&format!("logged out of {name}"), &json!({ "name": name, "done": "logged_out" }))
            }
            Err(error) if self.forget => {
                home.contexts().remove(name)?;
                let words = format!(
                    "forgotten; but the core was not told, and the API token {} counts on there: {error:#}",
                    shown(&context.token_id)
                );
                let what = json!({ "name": name, "done": "forgotten", "token": context.token_id });
                self.tell.done(&words, &what)
            }
            Err(error) => Err(error.context(format!(
                "not logged out of {name}, since the core was not told; try again, or forget it here alone with `chatcode logout {name} --forget`"
            ))),
        }
    }
}

/// Revokes the token of a context. One that is of no use any more is as good.
///
/// # Errors
/// When the core refuses otherwise or does not answer.
pub(crate) async fn revoke(context: &Context) -> anyhow::Result<()> {
    let client = Client::of_context(context)?;
    let request = PeopleRevokeApiTokenRequest { id: context.token_id.clone() };
    match client.people().revoke_api_token(unary(request)).await {
        Ok(_) => Ok(()),
        Err(status) => match client.refusal(&status) {
            refusal if refusal.code == Code::Unauthenticated => Ok(()),
            refusal => Err(refused(&refusal)),
        },
    }
}

/// `whoami --json`.
#[derive(Debug, Serialize)]
struct Who<'a> {
    principal: &'a str,
    name: &'a str,
    role: &'a str,
    installation: &'a str,
    core: &'a str,
    core_version: &'a str,
    context: &'a str,
    expires_unix_ms: u64,
}

impl WhoAmI {
    /// Asks the core.
    ///
    /// # Errors
    /// When it refuses or does not answer.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        let context = home.context()?;
        let client = home.client()?;
        let me = who(&client).await?;
        let (name, ends) = match &context {
            Some(context) => (context.name.as_str(), context.expires_unix_ms),
            None => {
                let identity = Identity::load(&home.cli_dir()).context(Exit(exit::CONFIG))?;
                let ends = identity.map_or(0, |identity| identity.validity_unix_s().end * 1000);
                (LOCAL, ends)
            }
        };
        let who = Who {
            principal: &me.principal,
            name: &me.display_name,
            role: role_word(me.role()),
            installation: &me.installation,
            core: client.core(),
            core_version: &me.core_version,
            context: name,
            expires_unix_ms: ends,
        };
        if self.json {
            return Ok(print::json(&who)?);
        }
        let mut table = Table::new(&["WHO", "ROLE", "INSTALLATION", "CORE", "CONTEXT", "ENDS", "PRINCIPAL"]);
        let ends = until(now_ms(), ends);
        table.row([who.name, who.role, who.installation, who.core, who.context, &ends, who.principal]);
        Ok(print::answer(&table.render())?)
    }
}

/// Who the caller is.
///
/// # Errors
/// When the core refuses or does not answer.
pub(crate) async fn who(client: &Client) -> anyhow::Result<AccountsWhoAmIResponse> {
    let call = client.accounts().who_am_i(unary(AccountsWhoAmIRequest {})).await;
    Ok(call.map_err(|status| client.error(&status))?.into_inner())
}
