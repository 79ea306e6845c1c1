//! `chatcode admin`: joining a core from another machine, and operating it.

use std::{io::Read as _, path::Path};

use anyhow::Context as _;
use chatcode_certs::JoinToken;
use chatcode_link::enroll::{self, CoreAddress};
use chatcode_process::exit::{self, Exit};
use chatcode_proto::pb::MemberKind;
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    api_tokens::ApiTokens,
    audit::verify::AuditOrder,
    backup::Backup,
    ca::Ca,
    client::refused,
    context::LOCAL,
    drain::Drain,
    home::Home,
    members::Members,
    people::People,
    print::{self, Tell, say},
    roles::Roles,
    status,
    teams::Teams,
    tokens::{self, TokenWish},
};

/// Operate the installation.
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Make this command line an administrator of a core; the join token comes
    /// on standard input.
    Enroll {
        /// The core's gRPC address.
        #[arg(long, value_name = "HOST:PORT")]
        core: String,
        /// What the core shall call it.
        #[arg(long, default_value = "cli")]
        name: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// Print a join token for any kind of member.
    Token {
        /// What the token enrolls.
        #[arg(long, value_enum)]
        kind: Kind,
        #[command(flatten)]
        wish: TokenWish,
        #[command(flatten)]
        tell: Tell,
    },
    /// How the installation is: links, sessions, versions, certificates, disk, and
    /// limits near their edge.
    Status {
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// People: who is known, and letting them in.
    #[command(subcommand)]
    People(People),
    /// Teams: named sets of people.
    #[command(subcommand)]
    Teams(Teams),
    /// Roles: what each may do, and who has which where.
    #[command(subcommand)]
    Roles(Roles),
    /// API tokens: what programs show instead of a certificate.
    #[command(subcommand)]
    ApiTokens(ApiTokens),
    /// Edges and administrators' programs: who there is, and throwing one out.
    #[command(subcommand)]
    Members(Members),
    /// The audit of the core: whether it is whole, and how far it goes.
    #[command(subcommand)]
    Audit(AuditOrder),
    /// The CA: how it is, its rotation, and an offline root.
    #[command(subcommand)]
    Ca(Ca),
    /// Back up the core on this machine, store, CA and keys, into one file that a
    /// passphrase opens.
    Backup(Backup),
    /// Put a backup into place on a machine that has no core yet.
    Restore(Backup),
    Drain(Drain),
}

/// A kind of member.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// A machine with sessions.
    Gateway,
    /// What browsers speak to.
    Edge,
    /// A command line such as this.
    Admin,
}

/// Bytes of a token on standard input; more is none.
const TOKEN_BYTES: u64 = 1024;

impl Admin {
    /// Does it.
    ///
    /// # Errors
    /// When the core refuses or does not answer.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        match self {
            Self::Enroll { core, name, tell } => {
                join(&home.cli_dir(), &core, &name, tell).await?;
                if let Some(context) = home.context()? {
                    say(&format!(
                        "commands go on acting by the login {}; `chatcode context use {LOCAL}` uses this certificate",
                        context.name
                    ));
                }
                Ok(())
            }
            Self::Token { kind, wish, tell } => {
                let kind = match kind {
                    Kind::Gateway => MemberKind::Gateway,
                    Kind::Edge => MemberKind::Edge,
                    Kind::Admin => MemberKind::Admin,
                };
                let token = tokens::create(&home.client()?, wish, kind).await?;
                tell.answer(&print::shown(&token), &json!({ "token": token.as_str() }))
            }
            Self::Status { json } => Box::pin(status::run(&home.client()?, json)).await,
            Self::People(order) => order.run(home).await,
            Self::Teams(order) => order.run(&home.client()?).await,
            Self::Roles(order) => order.run(&home.client()?).await,
            Self::ApiTokens(order) => order.run(&home.client()?).await,
            Self::Members(order) => order.run(&home.client()?).await,
            Self::Audit(order) => order.run(&home.client()?).await,
            Self::Ca(order) => order.run(home).await,
            Self::Backup(order) => order.back_up(home.data_dir()),
            Self::Restore(order) => order.restore(home.data_dir()),
            Self::Drain(order) => order.run(&home.client()?).await,
        }
    }
}

async fn join(dir: &Path, core: &str, name: &str, tell: Tell) -> anyhow::Result<()> {
    if rustix::termios::isatty(std::io::stdin()) {
        say("paste the join token, then Enter and Ctrl-D:");
    }
    let mut text = Zeroizing::new(String::new());
    std::io::stdin()
        .take(TOKEN_BYTES)
        .read_to_string(&mut text)
        .context("the join token on standard input")?;
    let token: JoinToken = text.trim().parse().context(Exit(exit::USAGE))?;
    let (identity, response) = enroll::enroll(core, &token, name, None)
        .await
        .map_err(|error| refused(&chatcode_proto::code::Refusal::new(error.code(), error.to_string())))?;
    identity.save(dir)?;
    CoreAddress::of(core, &response)?.save(dir)?;
    let installation = identity.trust_domain();
    let words = format!("enrolled as {} of {installation}", print::shown(&response.name));
    tell.done(&words, &json!({ "enrolled": response.name, "installation": installation.installation() }))
}
