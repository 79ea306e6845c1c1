//! `chatcode admin api-tokens`: what programs show instead of a certificate.

use chatcode_proto::{
    limits,
    pb::{
        ApiToken, PeopleCreateApiTokenRequest, PeopleListApiTokensRequest, PeopleRevokeApiTokenRequest,
        PersonRole,
    },
};
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    client::{Client, unary},
    people,
    print::{self, Tell, say, shown},
    roles::{On, Role, place_text, text},
    table::{Table, ago, now_ms, until},
};

/// Manage API tokens. WHO is a person's id, name or e-mail address.
#[derive(Debug, Subcommand)]
pub(crate) enum ApiTokens {
    /// List the tokens of a person; never a secret.
    List {
        /// Whose.
        #[arg(long, value_name = "WHO")]
        person: String,
        /// Print one line of JSON for each.
        #[arg(long)]
        json: bool,
    },
    /// Make a token and print it, once.
    Create {
        /// What it is for.
        name: String,
        /// For whom it acts.
        #[arg(long, value_name = "WHO")]
        person: String,
        /// The most that it may do; it never may more than its person.
        #[arg(long, value_enum)]
        role: Role,
        /// How long it lives, such as 12h or 30d; at most 365d.
        #[arg(long, value_parser = chatcode_process::seconds, default_value = "90d")]
        ttl: u32,
        #[command(flatten)]
        on: On,
        #[command(flatten)]
        tell: Tell,
    },
    /// Revoke a token; its calls end within a second.
    Revoke {
        /// Its id.
        id: String,
        #[command(flatten)]
        tell: Tell,
    },
}

/// A token as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    person: &'a str,
    name: &'a str,
    role: &'static str,
    on: String,
    created_unix_ms: u64,
    expires_unix_ms: u64,
    used_unix_ms: u64,
    revoked_unix_ms: u64,
    created_by: &'a str,
}

impl ApiTokens {
    /// Does it.
    ///
    /// # Errors
    /// When the core refuses or does not answer.
    pub(crate) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::List { person, json } => list(client, &person, json).await,
            Self::Create { name, person, role, ttl, on, tell } => {
                let person = people::named(client, &person).await?.id;
                let place = Some(on.place(client).await?);
                let role = PersonRole::from(role).into();
                let request = PeopleCreateApiTokenRequest { person, name, role, place, ttl_s: ttl };
                let call = client.people().create_api_token(unary(request)).await;
                let made = call.map_err(|status| client.error(&status))?.into_inner();
                let secret = Zeroizing::new(made.secret);
                let id = made.token.unwrap_or_default().id;
                if tell.json {
                    return Ok(print::json(&json!({ "id": id, "secret": secret.as_str() }))?);
                }
                print::answer(&format!("{}\n", shown(&secret)))?;
                say(&format!(
                    "shown only now; `chatcode admin api-tokens revoke {}` takes it back",
                    shown(&id)
                ));
                Ok(())
            }
            Self::Revoke { id, tell } => {
                let request = PeopleRevokeApiTokenRequest { id: id.clone() };
                let call = client.people().revoke_api_token(unary(request)).await;
                call.map_err(|status| client.error(&status))?;
                tell.done("revoked", &json!({ "id": id, "done": "revoked" }))
            }
        }
    }
}

async fn list(client: &Client, who: &str, json: bool) -> anyhow::Result<()> {
    let person = people::named(client, who).await?.id;
    let call = client.people().list_api_tokens(unary(PeopleListApiTokensRequest { person })).await;
    let tokens = call.map_err(|status| client.error(&status))?.into_inner().tokens;
    if json {
        for token in &tokens {
            print::json(&row(token))?;
        }
        return Ok(());
    }
    let mut table = Table::new(&["ID", "NAME", "ROLE", "ON", "MADE BY", "USED", "ENDS"]);
    for token in &tokens {
        let used = match token.used_unix_ms {
            0 => "never".to_owned(),
            at => format!("{} ago", ago(now_ms(), at)),
        };
        let ends = match token.revoked_unix_ms {
            0 => until(now_ms(), token.expires_unix_ms),
            _ => "revoked".to_owned(),
        };
        let place = place_text(token.place.as_ref());
        table.row([&token.id, &token.name, text(token.role()), &place, &token.created_by, &used, &ends]);
    }
    print::answer(&table.render())?;
    if tokens.len() >= limits::API_TOKENS_OF_PERSON as usize {
        say("older ones are not shown");
    }
    Ok(())
}

fn row(token: &ApiToken) -> Row<'_> {
    Row {
        id: &token.id,
        person: &token.person,
        name: &token.name,
        role: text(token.role()),
        on: place_text(token.place.as_ref()),
        created_unix_ms: token.created_unix_ms,
        expires_unix_ms: token.expires_unix_ms,
        used_unix_ms: token.used_unix_ms,
        revoked_unix_ms: token.revoked_unix_ms,
        created_by: &token.created_by,
    }
}
