//! Finds out who makes a call: by the certificate, or by the credential that
//! an edge passes on.

use std::sync::Arc;

use chatcode_certs::{ApiToken, MemberName, secret::Secret};
use chatcode_proto::{code::Refusal, pb::Code};
use http::HeaderMap;

use crate::{
    caller::{
        Caller, PeerInfo, Standing,
        directory::Directory,
        life::{Life, Lives, Proof},
        not_listed, revoked,
    },
    store::{Store, sign_ins::SecretHash, tickets::TicketBinding},
};

/// Where callers are looked up.
#[derive(Clone, Copy, Debug)]
pub struct Books<'a> {
    /// Sessions, tickets and API tokens.
    pub store: &'a Store,
    /// Those of them that have calls running.
    pub lives: &'a Lives,
    /// What everybody was given.
    pub directory: &'a Arc<Directory>,
}

/// The words of a call by which a ticket is judged.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The full method.
    pub method: &'a str,
    /// The metadata `chatcode-gateway`; empty: none.
    pub gateway: &'a str,
    /// The metadata `chatcode-session`; empty: none.
    pub session: &'a str,
}

/// Who makes a call that is not public.
///
/// # Errors
/// `UNAUTHENTICATED` (also for a wrong API token), `BAD_TOKEN` for a ticket, or
/// `INTERNAL`.
pub async fn identify(
    books: Books<'_>,
    peer: &PeerInfo,
    headers: &HeaderMap,
    shown: Shown<'_>,
) -> Result<Caller, Refusal> {
    match &peer.who {
        Standing::Revoked => Err(revoked()),
        Standing::Unknown => Err(not_listed()),
        Standing::Member(MemberName::Admin(id), name) => Ok(Caller::Admin { id: *id, name: name.clone() }),
        Standing::Member(MemberName::Edge(edge), _) => {
            let Some(value) = headers.get(http::header::AUTHORIZATION) else {
                return Ok(Caller::Unknown(Some(MemberName::Edge(*edge))));
            };
            let text = value.to_str().unwrap_or_default();
            match text.split_once(' ') {
                Some(("Bearer", token)) => by_token(books, token).await,
                Some(("Guest", token)) => by_guest_token(books, token).await,
                Some(("Ticket", ticket)) => by_ticket(books, ticket, headers, shown).await,
                _ => Err(signed_out()),
            }
        }
        Standing::Member(other, _) => Ok(Caller::Unknown(Some(*other))),
        Standing::Anonymous => match headers.get(http::header::AUTHORIZATION) {
            None => Ok(Caller::Unknown(None)),
            Some(value) => {
                let token = value.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
                let (caller, life) = by_api_token(books, token.unwrap_or_default()).await?;
                peer.vouched.by(&life);
                Ok(caller)
            }
        },
    }
}

/// A program without a certificate, by its API token; and that token's life.
async fn by_api_token(books: Books<'_>, token: &str) -> Result<(Caller, Arc<Life>), Refusal> {
    let wrong = || {
        let words =
            "the API token is unknown, expired or revoked, or its person may not sign in; make another one";
        Refusal::new(Code::Unauthenticated, words)
    };
    // The checksum spares the store those that were never tokens.
    let hash = ApiToken::from_text(token).map_err(|_| wrong())?.hash();
    loop {
        let since = books.lives.moment();
        let found = books.store.api_token(&hash).await?.ok_or_else(wrong)?;
        let life = books.lives.of(Proof::ApiToken(hash), &found.person.id, found.expires_ms, since);
        let Some(life) = life else { continue };
        let caller = Caller::ApiToken {
            id: found.id,
            person: found.person,
            life: Arc::clone(&life),
            bounds: found.bounds,
            directory: Arc::clone(books.directory),
        };
        return Ok((caller, life));
    }
}

async fn by_token(books: Books<'_>, token: &str) -> Result<Caller, Refusal> {
    let token = Secret::from_text(token).map_err(|_| signed_out())?;
    person(books, token.hash()).await?.ok_or_else(signed_out)
}

async fn by_guest_token(books: Books<'_>, token: &str) -> Result<Caller, Refusal> {
    let token = Secret::from_text(token).map_err(|_| shown_out())?;
    guest(books, token.hash()).await?.ok_or_else(shown_out)
}

/// Spends a ticket; it is gone also when it does not fit.
async fn by_ticket(
    books: Books<'_>,
    ticket: &str,
    headers: &HeaderMap,
    shown: Shown<'_>,
) -> Result<Caller, Refusal> {
    let bad = || {
        Refusal::new(
            Code::BadToken,
            "the ticket is unknown, used, expired or for another call; get a new one",
        )
    };
    let ticket = Secret::from_text(ticket).map_err(|_| bad())?;
    let bound = books.store.take_ticket(&ticket.hash()).await?.ok_or_else(bad)?;
    let origin = origin(headers);
    let TicketBinding { holder, .. } = bound;
    let wanted = TicketBinding {
        holder,
        origin: origin.to_owned(),
        method: shown.method.to_owned(),
        gateway: shown.gateway.to_owned(),
        session: shown.session.to_owned(),
    };
    if bound != wanted {
        return Err(bad());
    }
    match person(books, holder).await? {
        Some(person) => Ok(person),
        None => guest(books, holder).await?.ok_or_else(bad),
    }
}

async fn person(books: Books<'_>, session: SecretHash) -> Result<Option<Caller>, Refusal> {
    loop {
        let since = books.lives.moment();
        let Some(found) = books.store.person_session(&session).await? else { return Ok(None) };
        let life = books.lives.of(Proof::Session(session), &found.person.id, found.expires_ms, since);
        let Some(life) = life else { continue };
        return Ok(Some(Caller::Person {
            life,
            person: found.person,
            proven_ms: found.proven_ms,
            directory: Arc::clone(books.directory),
        }));
    }
}

async fn guest(books: Books<'_>, token: SecretHash) -> Result<Option<Caller>, Refusal> {
    loop {
        let since = books.lives.moment();
        let Some(found) = books.store.guest(&token).await? else { return Ok(None) };
        let ends = found.shared.expires_ms;
        let life = books.lives.of(Proof::Guest(token), &found.person, ends, since);
        let Some(life) = life else { continue };
        let directory = Arc::clone(books.directory);
        return Ok(Some(Caller::Guest { guest: Arc::new(found), life, directory }));
    }
}

/// The page that a call comes from, as the edge reports it; empty: none.
#[must_use]
pub fn origin(headers: &HeaderMap) -> &str {
    headers.get(http::header::ORIGIN).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn shown_out() -> Refusal {
    let words = "the link by which you came in was taken back or has ended, or you left; ask for another one";
    Refusal::new(Code::Unauthenticated, words)
}

fn signed_out() -> Refusal {
    Refusal::new(Code::Unauthenticated, "the session has ended or was never there; sign in again")
}
