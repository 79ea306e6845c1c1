//! `chatcode gateway`: machines and the tokens by which they join.

use std::path::Path;

use chatcode_process::exit::{self, Exit};
use chatcode_proto::{
    limits,
    pb::{FleetCreateTokenRequest, FleetRevokeRequest, MemberKind},
};
use clap::Subcommand;
use zeroize::Zeroizing;

use crate::{
    addresses::Addresses,
    client::{Client, unary},
    fleet::{Fleet, link_state},
    ls::{gateway_row, gateways_table},
    print::{self, say, shown},
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
    /// Print a join token: good once, for another machine's `chatcode-gateway
    /// enroll`.
    Token(TokenWish),
    /// Update a machine's programs; it goes back by itself when the new ones do not
    /// reach the core. Sessions go on.
    Update(Update),
    /// Throw a machine out: its certificates at once, its link within a second.
    Revoke {
        /// The machine, by name or id.
        gateway: String,
    },
}

/// What a token is for.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenWish {
    /// The name of the new member; left out: its own wish.
    #[arg(long, default_value = "")]
    name: String,
    /// How long the token may be used, such as 15m, 2h or 90s; at most 24h.
    #[arg(long, value_parser = chatcode_process::seconds, default_value = "15m")]
    ttl: u32,
}

impl Gateway {
    /// Does it.
    ///
    /// # Errors
    /// When the core refuses or does not answer.
    pub(crate) async fn run(self, data_dir: &Path) -> anyhow::Result<()> {
        let client = Client::open(&data_dir.join("cli"))?;
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
            Self::Token(wish) => {
                print_token(&client, wish, MemberKind::Gateway).await?;
                let port = client.core().rsplit(':').next().unwrap_or("PORT");
                say(&format!(
                    "on the other machine, with the token on standard input:\n  \
                     chatcode-gateway enroll --data-dir DIR --core HOST:{port}"
                ));
                if Addresses::load(&data_dir.join("up")).is_local_only() {
                    say("this core listens on this machine only; others reach it after:\n  \
                         chatcode up --core-listen 0.0.0.0:7421 --link-listen 0.0.0.0:7422");
                }
                Ok(())
            }
            Self::Update(update) => update.run(&client).await,
            Self::Revoke { gateway } => {
                let fleet = Fleet::ask(&client).await?;
                let gateway = fleet.gateway(&gateway)?.id.clone();
                let call = client.fleet().revoke(unary(FleetRevokeRequest { gateway })).await;
                let response = call.map_err(|status| client.error(&status))?.into_inner();
                if let Some(gateway) = response.gateway {
                    say(&format!("{}: {}", shown(&gateway.name), link_state(&gateway)));
                }
                Ok(())
            }
        }
    }
}

/// Makes a token and prints it, alone on its line, to standard output.
///
/// # Errors
/// When the core refuses or does not answer.
pub(crate) async fn print_token(client: &Client, wish: TokenWish, kind: MemberKind) -> anyhow::Result<()> {
    if !limits::JOIN_TOKEN_RANGE.contains(&u64::from(wish.ttl)) {
        let (low, high) = (limits::JOIN_TOKEN_RANGE.start(), limits::JOIN_TOKEN_RANGE.end());
        return Err(anyhow::anyhow!("--ttl is {} s, it must be {low} to {high} s", wish.ttl)
            .context(Exit(exit::USAGE)));
    }
    let request = FleetCreateTokenRequest { kind: kind.into(), name: wish.name, ttl_s: wish.ttl };
    let call = client.fleet().create_token(unary(request)).await;
    let response = call.map_err(|status| client.error(&status))?.into_inner();
    let token = Zeroizing::new(response.token);
    Ok(print::answer(&format!("{}\n", shown(&token)))?)
}
