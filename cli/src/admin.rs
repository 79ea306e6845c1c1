//! `chatcode admin`: joining a core from another machine, and operating it.

use std::{io::Read as _, path::Path};

use anyhow::Context as _;
use chatcode_certs::JoinToken;
use chatcode_link::enroll::{self, CoreAddress};
use chatcode_process::exit::{self, Exit};
use chatcode_proto::pb::{AdminCertificate, AdminDrainRequest, AdminStatusRequest, MemberKind};
use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    api_tokens::ApiTokens,
    audit::verify::AuditOrder,
    backup::Backup,
    ca::Ca,
    client::{Client, refused, unary},
    members::Members,
    people::People,
    print::{self, say},
    roles::Roles,
    table::{Table, ago, now_ms, until},
    teams::Teams,
    tokens::{TokenWish, print_token},
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
    },
    /// Print a join token for any kind of member.
    Token {
        /// What the token enrolls.
        #[arg(long, value_enum)]
        kind: Kind,
        #[command(flatten)]
        wish: TokenWish,
    },
    /// How the core is.
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
    /// Tell every gateway to come back later and close the links.
    Drain {
        /// When they shall come back, in seconds; at most 300.
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=300))]
        retry_after: u32,
    },
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

/// The line of `status --json`.
#[derive(Debug, Serialize)]
struct Status<'a> {
    installation: &'a str,
    version: &'a str,
    started_unix_ms: u64,
    links: u32,
    calls: u32,
    core: &'a str,
    certificates: Vec<Age<'a>>,
}

/// The age of one member's certificates.
#[derive(Debug, Serialize)]
struct Age<'a> {
    member: &'a str,
    name: &'a str,
    not_after_unix_ms: u64,
    renewed_unix_ms: u64,
    failures: u32,
}

impl<'a> From<&'a AdminCertificate> for Age<'a> {
    fn from(one: &'a AdminCertificate) -> Self {
        Self {
            member: &one.member,
            name: &one.name,
            not_after_unix_ms: one.not_after_unix_ms,
            renewed_unix_ms: one.renewed_unix_ms,
            failures: one.failures,
        }
    }
}

/// Bytes of a token on standard input; more is none.
const TOKEN_BYTES: u64 = 1024;

impl Admin {
    /// Does it.
    ///
    /// # Errors
    /// When the core refuses or does not answer.
    pub(crate) async fn run(self, data_dir: &Path) -> anyhow::Result<()> {
        let dir = data_dir.join("cli");
        match self {
            Self::Enroll { core, name } => join(&dir, &core, &name).await,
            Self::Token { kind, wish } => {
                let kind = match kind {
                    Kind::Gateway => MemberKind::Gateway,
                    Kind::Edge => MemberKind::Edge,
                    Kind::Admin => MemberKind::Admin,
                };
                print_token(&Client::open(&dir)?, wish, kind).await
            }
            Self::Status { json } => status(&Client::open(&dir)?, json).await,
            Self::People(order) => order.run(data_dir).await,
            Self::Teams(order) => order.run(&Client::open(&dir)?).await,
            Self::Roles(order) => order.run(&Client::open(&dir)?).await,
            Self::ApiTokens(order) => order.run(&Client::open(&dir)?).await,
            Self::Members(order) => order.run(&Client::open(&dir)?).await,
            Self::Audit(order) => order.run(&Client::open(&dir)?).await,
            Self::Ca(order) => order.run(&dir).await,
            Self::Backup(order) => order.back_up(data_dir),
            Self::Restore(order) => order.restore(data_dir),
            Self::Drain { retry_after } => {
                let client = Client::open(&dir)?;
                let request = AdminDrainRequest { retry_after_ms: retry_after * 1000 };
                let call = client.admin().drain(unary(request)).await;
                let links = call.map_err(|status| client.error(&status))?.into_inner().links;
                say(&format!("{links} links were told to come back"));
                Ok(())
            }
        }
    }
}

async fn join(dir: &Path, core: &str, name: &str) -> anyhow::Result<()> {
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
    say(&format!("enrolled as {} of {}", print::shown(&response.name), identity.trust_domain()));
    Ok(())
}

async fn status(client: &Client, json: bool) -> anyhow::Result<()> {
    let call = client.admin().status(unary(AdminStatusRequest {})).await;
    let status = call.map_err(|status| client.error(&status))?.into_inner();
    if json {
        return Ok(print::json(&Status {
            installation: &status.installation,
            version: &status.version,
            started_unix_ms: status.started_unix_ms,
            links: status.links,
            calls: status.calls,
            core: client.core(),
            certificates: status.certificate.iter().chain(&status.members).map(Age::from).collect(),
        })?);
    }
    let mut ages = Table::new(&["MEMBER", "NAME", "CERTIFICATE ENDS", "RENEWED", "FAILURES"]);
    for one in status.certificate.iter().chain(&status.members) {
        let renewed = match one.renewed_unix_ms {
            0 => "never".to_owned(),
            at => format!("{} ago", ago(now_ms(), at)),
        };
        let (ends, failures) = (until(now_ms(), one.not_after_unix_ms), one.failures.to_string());
        ages.row([&one.member, &one.name, &ends, &renewed, &failures]);
    }
    let mut table = Table::new(&["CORE", "INSTALLATION", "VERSION", "UP", "LINKS", "CALLS"]);
    table.row([
        client.core().to_owned(),
        status.installation,
        status.version,
        ago(now_ms(), status.started_unix_ms),
        status.links.to_string(),
        status.calls.to_string(),
    ]);
    Ok(print::answer(&format!("{}\n{}", table.render(), ages.render()))?)
}
