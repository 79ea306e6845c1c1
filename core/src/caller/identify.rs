//! Finds out who makes a call: by the certificate, or by the credential that
//! an edge passes on.

use chatcode_certs::{MemberName, secret::Secret};
use chatcode_proto::{code::Refusal, pb::Code};
use http::HeaderMap;

use crate::{
    caller::{Caller, PeerInfo, Standing, life::Lives, not_listed, revoked},
    store::{Store, people::TicketBinding},
};

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
/// `UNAUTHENTICATED`, `BAD_TOKEN` for a ticket, or `INTERNAL`.
pub async fn identify(
    store: &Store,
    lives: &Lives,
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
                Some(("Bearer", token)) => by_token(store, lives, token).await,
                Some(("Ticket", ticket)) => by_ticket(store, lives, ticket, headers, shown).await,
                _ => Err(signed_out()),
            }
        }
        Standing::Member(other, _) => Ok(Caller::Unknown(Some(*other))),
        Standing::Anonymous => Ok(Caller::Unknown(None)),
    }
}

async fn by_token(store: &Store, lives: &Lives, token: &str) -> Result<Caller, Refusal> {
    let token = Secret::from_text(token).map_err(|_| signed_out())?;
    person(store, lives, token.hash()).await?.ok_or_else(signed_out)
}

/// Spends a ticket; it is gone also when it does not fit.
async fn by_ticket(
    store: &Store,
    lives: &Lives,
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
    let bound = store.take_ticket(&ticket.hash()).await?.ok_or_else(bad)?;
    let origin = origin(headers);
    let TicketBinding { person_session, .. } = bound;
    let wanted = TicketBinding {
        person_session,
        origin: origin.to_owned(),
        method: shown.method.to_owned(),
        gateway: shown.gateway.to_owned(),
        session: shown.session.to_owned(),
    };
    if bound != wanted {
        return Err(bad());
    }
    person(store, lives, person_session).await?.ok_or_else(bad)
}

async fn person(store: &Store, lives: &Lives, session: [u8; 32]) -> Result<Option<Caller>, Refusal> {
    let found = store.person_session(&session).await?;
    Ok(found.map(|found| Caller::Person { person: found.person, life: lives.of(session, found.expires_ms) }))
}

/// The page that a call comes from, as the edge reports it; empty: none.
#[must_use]
pub fn origin(headers: &HeaderMap) -> &str {
    headers.get(http::header::ORIGIN).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn signed_out() -> Refusal {
    Refusal::new(Code::Unauthenticated, "the session has ended or was never there; sign in again")
}
