//! Join tokens: what may be asked for, made, taken back.

use std::time::Duration;

use chatcode_certs::{Authority, JoinToken};
use chatcode_link::network::{InvalidNetwork, Network};
use chatcode_proto::{
    code::Refusal,
    label::{self, Labels},
    limits, name,
    pb::{Code, MemberKind},
};

use crate::{
    clock,
    store::{
        Store,
        audit::Entry,
        members::kind_text,
        tokens::{NewToken, Terms},
    },
};

/// A wish for a join token.
#[derive(Clone, Debug, Default)]
pub struct TokenWish {
    /// What it enrolls; unspecified: a gateway.
    pub kind: MemberKind,
    /// The name of the member; empty: its own wish.
    pub name: String,
    /// Seconds; 0: the default.
    pub ttl_s: u64,
    /// How many it enrolls; 0: one.
    pub uses: u32,
    /// The labels of every gateway that it enrolls.
    pub labels: Labels,
    /// A person has to approve each gateway.
    pub approval: bool,
    /// From where it may be used, as CIDR; empty: from everywhere.
    pub network: String,
}

/// Makes a join token and keeps its hash; says when it ends, milliseconds
/// since 1970. `act` is written to the audit with it, and with what the token
/// is for.
///
/// # Errors
/// `INVALID` for a wish out of bounds or a name that a machine has, `LIMIT` when
/// there are too many tokens, `INTERNAL` when the store fails.
pub async fn create_token(
    store: &Store,
    authority: &Authority,
    wish: &TokenWish,
    act: &Entry,
) -> Result<(JoinToken, u64), Refusal> {
    let terms = terms(wish)?;
    let (ttl, uses) = (ttl(wish.ttl_s)?, uses(wish)?);
    let network = network(&wish.network)?;
    if !terms.name.is_empty() && store.has_member(terms.kind, &terms.name).await? {
        let words = format!(
            "there is a {} called {} already; choose another name, or revoke that one first",
            kind_text(terms.kind),
            terms.name
        );
        return Err(Refusal::new(Code::Invalid, words));
    }
    let token = JoinToken::generate(authority.root_pin());
    let expires_ms = clock::unix_ms() + clock::millis(ttl);
    let detail = detail(token.id(), &terms, uses, network.as_ref());
    let (id, secret_hash) = (token.id().to_owned(), token.secret_hash());
    let row = NewToken { id, secret_hash, terms, uses, network, expires_ms };
    if !store.add_join_token(&row, &Entry { detail, ..act.clone() }).await? {
        let words = format!(
            "there are {} join tokens that can be used; take some back (`chatcode gateway tokens` lists them), or \
             wait until they end",
            limits::JOIN_TOKENS
        );
        return Err(Refusal::new(Code::Limit, words));
    }
    Ok((token, expires_ms))
}

/// What the audit says of a token; never its secret.
fn detail(id: &str, terms: &Terms, uses: u32, network: Option<&Network>) -> String {
    let mut detail = format!("{} {id}", kind_text(terms.kind));
    if uses != 1 {
        detail += &format!(", {uses} uses");
    }
    if terms.approval {
        detail += ", with approval";
    }
    if let Some(network) = network {
        detail += &format!(", from {network}");
    }
    if !terms.labels.is_empty() {
        detail += &format!(", {}", label::line(&terms.labels));
    }
    detail
}

fn invalid(words: impl Into<String>) -> Refusal {
    Refusal::new(Code::Invalid, words)
}

fn terms(wish: &TokenWish) -> Result<Terms, Refusal> {
    let kind = match wish.kind {
        MemberKind::Unspecified => MemberKind::Gateway,
        kind => kind,
    };
    if !wish.name.is_empty() {
        name::check("name", &wish.name, limits::NAME_CHARS)?;
    }
    label::check(&wish.labels)?;
    if kind != MemberKind::Gateway && (wish.approval || !wish.labels.is_empty()) {
        return Err(invalid("labels and approval are for gateways; leave them out"));
    }
    Ok(Terms { kind, name: wish.name.clone(), labels: wish.labels.clone(), approval: wish.approval })
}

fn ttl(seconds: u64) -> Result<Duration, Refusal> {
    match seconds {
        0 => Ok(limits::JOIN_TOKEN),
        seconds if limits::JOIN_TOKEN_RANGE.contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => {
            let (least, most) = (limits::JOIN_TOKEN_RANGE.start(), limits::JOIN_TOKEN_RANGE.end());
            Err(invalid(format!("a join token lives {least} to {most} seconds")))
        }
    }
}

fn uses(wish: &TokenWish) -> Result<u32, Refusal> {
    let uses = wish.uses.max(1);
    if !limits::TOKEN_USES.contains(&uses) {
        return Err(invalid(format!("a join token enrolls {} machines at most", limits::TOKEN_USES.end())));
    }
    if uses != 1 && !wish.name.is_empty() {
        return Err(invalid("a token with a name enrolls one machine; leave out the name, or the uses"));
    }
    Ok(uses)
}

fn network(text: &str) -> Result<Option<Network>, Refusal> {
    let parsed = (!text.is_empty()).then(|| text.parse()).transpose();
    parsed.map_err(|error: InvalidNetwork| invalid(error.to_string()))
}
