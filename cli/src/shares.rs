//! `chatcode shares`: links that let guests into one session.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chatcode_process::exit::{self, Exit};
use chatcode_proto::pb::{
    Role, Share, ShareGuest, SharesCreateRequest, SharesListRequest, SharesRevokeRequest,
};
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    client::{Client, unary},
    fleet::Fleet,
    home::Home,
    login_url::{self, origin},
    names::Kind,
    print::{self, Tell, say, shown},
    table::{Table, now_ms, until},
};

const SHARE: Kind = Kind { what: "link", list: "shares list" };

/// Share one session by a link: others look or type in it, with or without an
/// account, and see nothing else.
#[derive(Debug, Subcommand)]
pub(crate) enum Shares {
    /// Make a link and print it, once.
    Create(Create),
    /// List the links that count, and who is in by them; never a secret.
    List {
        /// Print one line of JSON for each.
        #[arg(long)]
        json: bool,
    },
    /// Take a link back: who is in by it is out within a second.
    Revoke {
        /// Its id.
        id: String,
        #[command(flatten)]
        tell: Tell,
    },
}

/// What the link shall be.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// The session, by name or id.
    session: String,
    /// Its machine, by name or id; left out: any.
    #[arg(long, short, value_name = "MACHINE")]
    gateway: Option<String>,
    /// Guests may type, which is as much as your shell may; left out: they look.
    #[arg(long)]
    writer: bool,
    /// How long it counts, such as 1h or 7d; 5m to 30d.
    #[arg(long, value_parser = chatcode_process::seconds, default_value = "1d")]
    ttl: u32,
    /// How many guests it lets in; at most 100.
    #[arg(long, default_value_t = 1)]
    uses: u32,
    /// A private file with a passphrase in its first line, for which the link asks.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// It lets in only people with an account here.
    #[arg(long)]
    accounts_only: bool,
    /// Where the page is, such as https://code.example.org; left out: the page of
    /// the login, or of this machine's `chatcode up`.
    #[arg(long, value_parser = origin)]
    origin: Option<String>,
    #[command(flatten)]
    tell: Tell,
}

/// A link as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    gateway: &'a str,
    session: &'a str,
    role: &'static str,
    expires_unix_ms: u64,
    uses: u32,
    used: u32,
    passphrase: bool,
    accounts_only: bool,
    created_unix_ms: u64,
    created_by: &'a str,
    guests: Vec<Guest<'a>>,
}

#[derive(Debug, Serialize)]
struct Guest<'a> {
    principal: &'a str,
    display_name: &'a str,
    entered_unix_ms: u64,
    device: &'a str,
    address: &'a str,
    person: &'a str,
}

impl Shares {
    /// Does it.
    ///
    /// # Errors
    /// When the core refuses or does not answer.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        let client = home.client()?;
        match self {
            Self::Create(wish) => create(&client, home, wish).await,
            Self::List { json } => list(&client, json).await,
            Self::Revoke { id, tell } => {
                let shares = ask(&client).await?;
                let share = SHARE.pick(&id, &shares, |share| (&share.id, "")).context(Exit(exit::USAGE))?;
                let request = SharesRevokeRequest { id: share.id.clone() };
                let call = client.shares().revoke(unary(request)).await;
                call.map_err(|status| client.error(&status))?;
                let words = format!("{}: taken back; its guests are out", shown(&share.id));
                tell.done(&words, &json!({ "id": share.id, "done": "revoked" }))
            }
        }
    }
}

async fn create(client: &Client, home: &Home, wish: Create) -> anyhow::Result<()> {
    let origin = login_url::place(wish.origin, home)?;
    let passphrase = wish.passphrase_file.as_deref().map(passphrase).transpose()?.unwrap_or_default();
    let fleet = Fleet::ask(client).await?;
    let (gateway, session) = fleet.session(&wish.session, wish.gateway.as_deref())?;
    let request = SharesCreateRequest {
        gateway: gateway.to_owned(),
        session: session.id.clone(),
        role: if wish.writer { Role::Writer } else { Role::Viewer }.into(),
        ttl_s: wish.ttl,
        uses: wish.uses,
        passphrase: passphrase.to_string(),
        accounts_only: wish.accounts_only,
    };
    let call = client.shares().create(unary(request)).await;
    let made = call.map_err(|status| client.error(&status))?.into_inner();
    let secret = Zeroizing::new(made.secret);
    let url = Zeroizing::new(format!("{origin}/#share={}\n", shown(&secret)));
    let id = made.share.unwrap_or_default().id;
    if wish.tell.json {
        return Ok(print::json(&json!({ "id": id, "url": url.trim_end() }))?);
    }
    print::answer(&url)?;
    say(&format!("shown only now; `chatcode shares revoke {}` takes it back", shown(&id)));
    Ok(())
}

/// The first line of a file that nobody else may read.
fn passphrase(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let bytes = chatcode_certs::files::read_private(file).context(Exit(exit::CONFIG))?;
    let bytes =
        bytes.with_context(|| format!("there is no {}", file.display())).context(Exit(exit::USAGE))?;
    let line = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    let text = std::str::from_utf8(line).context("the passphrase is no text").context(Exit(exit::USAGE))?;
    Ok(Zeroizing::new(text.to_owned()))
}

async fn ask(client: &Client) -> anyhow::Result<Vec<Share>> {
    let call = client.shares().list(unary(SharesListRequest::default())).await;
    Ok(call.map_err(|status| client.error(&status))?.into_inner().shares)
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let shares = ask(client).await?;
    if json {
        return Ok(print::json_lines(shares.iter().map(row))?);
    }
    let fleet = Fleet::ask(client).await?;
    let mut table = Table::new(&["ID", "SESSION", "MACHINE", "GUESTS MAY", "USED", "ENDS", "BY", "IN NOW"]);
    for share in &shares {
        let known = fleet.sessions.iter().find(|(_, session)| session.id == share.session);
        let session = known.map_or(&share.session, |(_, session)| &session.name).clone();
        let guests: Vec<&str> = share.guests.iter().map(|guest| guest.display_name.as_str()).collect();
        table.row([
            share.id.clone(),
            session,
            fleet.gateway_name(&share.gateway).to_owned(),
            may(share).to_owned(),
            format!("{} of {}", share.used, share.uses),
            until(now_ms(), share.expires_unix_ms),
            share.created_by_name.clone(),
            guests.join(", "),
        ]);
    }
    Ok(print::answer(&table.render())?)
}

fn may(share: &Share) -> &'static str {
    if share.role() == Role::Writer { "type" } else { "look" }
}

fn row(share: &Share) -> Row<'_> {
    Row {
        id: &share.id,
        gateway: &share.gateway,
        session: &share.session,
        role: if share.role() == Role::Writer { "writer" } else { "viewer" },
        expires_unix_ms: share.expires_unix_ms,
        uses: share.uses,
        used: share.used,
        passphrase: share.passphrase,
        accounts_only: share.accounts_only,
        created_unix_ms: share.created_unix_ms,
        created_by: &share.created_by,
        guests: share.guests.iter().map(guest).collect(),
    }
}

fn guest(guest: &ShareGuest) -> Guest<'_> {
    let ShareGuest { principal, display_name, entered_unix_ms, device, address, person } = guest;
    Guest { principal, display_name, entered_unix_ms: *entered_unix_ms, device, address, person }
}
