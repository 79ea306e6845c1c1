//! `chatcode gateway`: machines and the tokens by which they join.

use chatcode_proto::pb::{FleetAcknowledgeDuplicateRequest, FleetRevokeRequest, MemberKind};
use clap::Subcommand;
use serde_json::json;

use crate::{
    client::{Client, unary},
    fleet::{Fleet, link_state},
    home::{Home, typed},
    line::LineWish,
    ls::{gateway_row, gateways_table},
    pending,
    print::{self, Tell, say, shown},
    tokens::{self, TokenWish},
    update::Update,
};

/// Machines.
#[derive(Debug, Subcommand)]
pub(crate) enum Gateway {
    /// List machines.
    Ls {
        /// Print one line of JSON for each machine.
        #[arg(long)]
        json: bool,
    },
    /// Print a join token: good once, unless --uses says otherwise, for another
    /// machine's `chatcode-gateway enroll`.
    Token {
        #[command(flatten)]
        wish: TokenWish,
        #[command(flatten)]
        line: LineWish,
        #[command(flatten)]
        tell: Tell,
    },
    /// List the join tokens that can still be used; their secrets are not shown.
    Tokens {
        /// Print one line of JSON for each token.
        #[arg(long)]
        json: bool,
    },
    /// Take a join token back; what was enrolled by it stays.
    TokenRevoke {
        /// The token, by its id or its machine's name.
        #[arg(allow_hyphen_values = true)]
        token: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// List the machines that wait for approval.
    Pending {
        /// Print one line of JSON for each machine.
        #[arg(long)]
        json: bool,
    },
    /// Let a machine in that waits.
    Approve {
        /// The machine, by its id there or by the fingerprint of its key.
        #[arg(allow_hyphen_values = true)]
        machine: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// Refuse a machine that waits.
    Refuse {
        /// The machine, by its id there or by the fingerprint of its key.
        #[arg(allow_hyphen_values = true)]
        machine: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// Update a machine's programs; it goes back by itself when the new ones do not
    /// reach the core. Sessions go on.
    Update(Update),
    /// Take the alarm off a machine whose identity another machine has used; it comes
    /// back when that happens again.
    Acknowledge {
        /// The machine, by name or id.
        gateway: String,
        #[command(flatten)]
        tell: Tell,
    },
    /// Throw a machine out: its certificates at once, its link within a second.
    Revoke {
        /// The machine, by name or id.
        gateway: String,
        #[command(flatten)]
        tell: Tell,
    },
}

impl Gateway {
    /// Does it.
    ///
    /// # Errors
    /// When the core refuses or does not answer.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        let client = home.client()?;
        match self {
            Self::Ls { json } => {
                let fleet = Fleet::ask(&client).await?;
                if json {
                    for gateway in &fleet.gateways {
                        print::json(&gateway_row(gateway))?;
                    }
                    return Ok(());
                }
                Ok(print::answer(&gateways_table(&fleet))?)
            }
            Self::Token { wish, line, tell } => {
                let line = line.text(client.core())?;
                let token = tokens::create(&client, wish, MemberKind::Gateway).await?;
                if tell.json {
                    return Ok(print::json(&json!({ "token": token.as_str(), "line": line }))?);
                }
                print::answer(&format!("{}\n", shown(&token)))?;
                let port = client.core().rsplit(':').next().unwrap_or("PORT");
                if let Some(line) = line {
                    say(&format!("on the other machine; it asks for the token:\n  {line}"));
                    return Ok(());
                }
                say(&format!(
                    "on the other machine, with the token on standard input:\n  \
                     chatcode-gateway enroll --core HOST:{port}"
                ));
                if home.addresses()?.is_local_only() {
                    let up =
                        typed("up --core-listen 0.0.0.0:7421 --link-listen 0.0.0.0:7422", home.data_dir());
                    say(&format!("this core listens on this machine only; others reach it after:\n  {up}"));
                }
                Ok(())
            }
            Self::Tokens { json } => tokens::list(&client, json).await,
            Self::TokenRevoke { token, tell } => tokens::revoke(&client, &token, tell).await,
            Self::Pending { json } => pending::list(&client, json).await,
            Self::Approve { machine, tell } => pending::decide(&client, &machine, true, tell).await,
            Self::Refuse { machine, tell } => pending::decide(&client, &machine, false, tell).await,
            Self::Update(update) => update.run(&client).await,
            Self::Acknowledge { gateway, tell } => acknowledge(&client, &gateway, tell).await,
            Self::Revoke { gateway, tell } => {
                let fleet = Fleet::ask(&client).await?;
                let gateway = fleet.gateway(&gateway)?.id.clone();
                let call = client.fleet().revoke(unary(FleetRevokeRequest { gateway })).await;
                let response = call.map_err(|status| client.error(&status))?.into_inner();
                let gateway = response.gateway.unwrap_or_default();
                tell.done(
                    &format!("{}: {}", shown(&gateway.name), link_state(&gateway)),
                    &gateway_row(&gateway),
                )
            }
        }
    }
}

/// Takes an alarm off that is listed now.
async fn acknowledge(client: &Client, gateway: &str, tell: Tell) -> anyhow::Result<()> {
    let fleet = Fleet::ask(client).await?;
    let known = fleet.gateway(gateway)?;
    let name = shown(&known.name);
    if known.duplicate_unix_ms == 0 {
        let what = json!({ "gateway": known.id, "acknowledged": false });
        return tell.done(&format!("{name}: there is no alarm"), &what);
    }
    let request = FleetAcknowledgeDuplicateRequest {
        gateway: known.id.clone(),
        duplicate_unix_ms: known.duplicate_unix_ms,
    };
    client.fleet().acknowledge_duplicate(unary(request)).await.map_err(|status| client.error(&status))?;
    let words = format!(
        "{name}: the alarm is off; it was {} from {}",
        shown(&known.duplicate_hostname),
        shown(&known.duplicate_address)
    );
    tell.done(&words, &json!({ "gateway": known.id, "acknowledged": true }))
}
