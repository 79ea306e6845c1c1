//! Join tokens: made, listed, taken back.

use chatcode_process::exit::{self, Exit};
use chatcode_proto::{
    label, limits,
    pb::{FleetCreateTokenRequest, FleetListTokensRequest, FleetRevokeTokenRequest, MemberKind, TokenInfo},
};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    client::{Client, unary},
    names::Kind,
    print::{self, Tell, shown},
    table::{Table, ago, now_ms},
};

const TOKEN: Kind = Kind { what: "join token", list: "gateway tokens" };

/// What a token is for.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenWish {
    /// The name of the new member; left out: its own wish.
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// How long the token may be used, such as 15m, 2h or 90s; at most 24h.
    #[arg(long, value_parser = chatcode_process::seconds, default_value = "15m")]
    ttl: u32,
    /// How many machines it enrolls; at most 1000.
    #[arg(long, default_value_t = 1)]
    uses: u32,
    /// A label for every machine that it enrolls; may be given 16 times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label::parse)]
    labels: Vec<(String, String)>,
    /// A person has to approve each machine (`chatcode gateway pending`).
    #[arg(long)]
    approval: bool,
    /// The addresses from which it may be used, such as 192.0.2.0/24.
    #[arg(long, value_name = "NETWORK", default_value = "", hide_default_value = true)]
    from: String,
}

/// A token as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    kind: &'static str,
    name: &'a str,
    created_unix_ms: u64,
    created_by: &'a str,
    expires_unix_ms: u64,
    uses: u32,
    used: u32,
    labels: &'a label::Labels,
    approval: bool,
    from: &'a str,
}

/// Makes a token.
///
/// # Errors
/// When the core refuses or does not answer.
pub(crate) async fn create(
    client: &Client,
    wish: TokenWish,
    kind: MemberKind,
) -> anyhow::Result<Zeroizing<String>> {
    let out_of_bounds = |words: String| Err(anyhow::anyhow!(words).context(Exit(exit::USAGE)));
    if !limits::JOIN_TOKEN_RANGE.contains(&u64::from(wish.ttl)) {
        let (low, high) = (limits::JOIN_TOKEN_RANGE.start(), limits::JOIN_TOKEN_RANGE.end());
        return out_of_bounds(format!("--ttl is {} s, it must be {low} to {high} s", wish.ttl));
    }
    if !limits::TOKEN_USES.contains(&wish.uses) {
        let (low, high) = (limits::TOKEN_USES.start(), limits::TOKEN_USES.end());
        return out_of_bounds(format!("--uses is {}, it must be {low} to {high}", wish.uses));
    }
    let request = FleetCreateTokenRequest {
        kind: kind.into(),
        name: wish.name,
        ttl_s: wish.ttl,
        uses: wish.uses,
        labels: wish.labels.into_iter().collect(),
        approval: wish.approval,
        network: wish.from,
    };
    let call = client.fleet().create_token(unary(request)).await;
    let response = call.map_err(|status| client.error(&status))?.into_inner();
    Ok(Zeroizing::new(response.token))
}

/// Prints the tokens that can still be used; never a secret.
///
/// # Errors
/// When the core refuses or does not answer.
pub(crate) async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let tokens = ask(client).await?;
    if json {
        for token in &tokens {
            print::json(&row(token))?;
        }
        return Ok(());
    }
    let now = now_ms();
    let mut table = Table::new(&["TOKEN", "KIND", "NAME", "USED", "ENDS IN", "APPROVAL", "FROM", "LABELS"]);
    for token in &tokens {
        table.row([
            token.id.clone(),
            kind(token).to_owned(),
            token.name.clone(),
            format!("{} of {}", token.used, token.uses),
            ago(token.expires_unix_ms, now),
            if token.approval { "yes" } else { "no" }.to_owned(),
            if token.network.is_empty() { "anywhere" } else { &token.network }.to_owned(),
            label::line(&token.labels),
        ]);
    }
    Ok(print::answer(&table.render())?)
}

/// Takes a token back.
///
/// # Errors
/// When there is none, several, or the core refuses or does not answer.
pub(crate) async fn revoke(client: &Client, wanted: &str, tell: Tell) -> anyhow::Result<()> {
    let tokens = ask(client).await?;
    let found = TOKEN.pick(wanted, &tokens, |token| (&token.id, &token.name));
    // One that machines wait by may be used up, and is not listed.
    let id = found.map_or_else(|_| wanted.to_owned(), |token| token.id.clone());
    let call = client.fleet().revoke_token(unary(FleetRevokeTokenRequest { id: id.clone() })).await;
    call.map_err(|status| client.error(&status))?;
    let words = format!("{}: taken back; what was enrolled by it stays", shown(&id));
    tell.done(&words, &json!({ "id": id, "done": "revoked" }))
}

async fn ask(client: &Client) -> anyhow::Result<Vec<TokenInfo>> {
    let call = client.fleet().list_tokens(unary(FleetListTokensRequest {})).await;
    Ok(call.map_err(|status| client.error(&status))?.into_inner().tokens)
}

fn row(token: &TokenInfo) -> Row<'_> {
    Row {
        id: &token.id,
        kind: kind(token),
        name: &token.name,
        created_unix_ms: token.created_unix_ms,
        created_by: &token.created_by,
        expires_unix_ms: token.expires_unix_ms,
        uses: token.uses,
        used: token.used,
        labels: &token.labels,
        approval: token.approval,
        from: &token.network,
    }
}

fn kind(token: &TokenInfo) -> &'static str {
    match token.kind() {
        MemberKind::Edge => "edge",
        MemberKind::Admin => "admin",
        MemberKind::Gateway | MemberKind::Unspecified => "gateway",
    }
}
