//! Who calls: what the connection proved, and what the call adds to it.

use std::{net::SocketAddr, sync::Arc};

use chatcode_certs::{MemberName, secret::Secret};
use chatcode_proto::{
    code::Refusal,
    id::MemberId,
    pb::{Code, Permission, Role},
};
use http::HeaderMap;

use crate::{
    accounts::Life,
    shared::Shared,
    store::people::{Person, TicketBinding},
};

/// What a connection proved, once, at its handshake.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Where it comes from.
    pub address: SocketAddr,
    /// Who it is.
    pub who: Standing,
}

/// Who a connection is.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It showed no certificate.
    Anonymous,
    /// Its certificate is on the allow-list, under this name of the member.
    Member(MemberName, String),
    /// Its certificate is of this installation and not on the allow-list.
    Revoked,
}

/// Who makes a call.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Nobody is known, or only the machine that passes the call on.
    Unknown(Option<MemberName>),
    /// An administrator's program.
    Admin {
        /// The member.
        id: MemberId,
        /// Its name.
        name: String,
    },
    /// A person, through an edge.
    Person {
        /// Who.
        person: Person,
        /// The session that vouches for the person; calls end with it.
        life: Arc<Life>,
    },
}

impl Caller {
    /// As in grants and in the audit.
    #[must_use]
    pub fn principal(&self) -> String {
        match self {
            Self::Unknown(None) => "anonymous".to_owned(),
            Self::Unknown(Some(member)) => member.to_string(),
            Self::Admin { id, .. } => format!("admin/{id}"),
            Self::Person { person, .. } => format!("person/{}", person.id),
        }
    }

    /// The name that others see.
    #[must_use]
    pub fn display_name(&self) -> &str {
        match self {
            Self::Unknown(_) => "",
            Self::Admin { name, .. } => name,
            Self::Person { person, .. } => &person.display_name,
        }
    }

    /// The edge that the call came through; also known when nobody else is.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }

    /// The whole permission table: the owner and administrators may do
    /// everything but be a gateway. Listed one by one, so that a new
    /// permission does not compile until somebody decides who has it.
    #[must_use]
    pub const fn may(&self, permission: Permission) -> bool {
        match permission {
            Permission::Unspecified | Permission::Link => false,
            Permission::Public => true,
            Permission::Authenticated
            | Permission::FleetView
            | Permission::GatewayEnroll
            | Permission::GatewayRevoke
            | Permission::SessionView
            | Permission::SessionCreate
            | Permission::SessionWrite
            | Permission::SessionEnd
            | Permission::AuditRead
            | Permission::Admin => self.is_known(),
        }
    }

    /// The most that an attachment of this caller may do.
    #[must_use]
    pub const fn role(&self) -> Role {
        if self.may(Permission::SessionWrite) { Role::Writer } else { Role::Viewer }
    }
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
/// `UNAUTHENTICATED`, `BAD_TOKEN` for a ticket, or `INTERNAL`.
pub async fn identify(
    shared: &Shared,
    peer: &PeerInfo,
    headers: &HeaderMap,
    shown: Shown<'_>,
) -> Result<Caller, Refusal> {
    match &peer.who {
        Standing::Revoked => Err(revoked()),
        Standing::Member(MemberName::Admin(id), name) => Ok(Caller::Admin { id: *id, name: name.clone() }),
        Standing::Member(MemberName::Edge(edge), _) => {
            let Some(value) = headers.get(http::header::AUTHORIZATION) else {
                return Ok(Caller::Unknown(Some(MemberName::Edge(*edge))));
            };
            let text = value.to_str().unwrap_or_default();
            match text.split_once(' ') {
                Some(("Bearer", token)) => by_token(shared, token).await,
                Some(("Ticket", ticket)) => by_ticket(shared, ticket, headers, shown).await,
                _ => Err(signed_out()),
            }
        }
        Standing::Member(other, _) => Ok(Caller::Unknown(Some(*other))),
        Standing::Anonymous => Ok(Caller::Unknown(None)),
    }
}

async fn by_token(shared: &Shared, token: &str) -> Result<Caller, Refusal> {
    let token = Secret::from_text(token).map_err(|_| signed_out())?;
    person(shared, token.hash()).await?.ok_or_else(signed_out)
}

/// Spends a ticket; it is gone also when it does not fit.
async fn by_ticket(
    shared: &Shared,
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
    let bound = shared.store.take_ticket(&ticket.hash()).await?.ok_or_else(bad)?;
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
    person(shared, person_session).await?.ok_or_else(bad)
}

async fn person(shared: &Shared, session: [u8; 32]) -> Result<Option<Caller>, Refusal> {
    let found = shared.store.person_session(&session).await?;
    Ok(found.map(|found| Caller::Person {
        person: found.person,
        life: shared.lives.of(session, found.expires_ms),
    }))
}

/// The page that a call comes from, as the edge reports it; empty: none.
#[must_use]
pub fn origin(headers: &HeaderMap) -> &str {
    headers.get(http::header::ORIGIN).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The refusal of a certificate that is not on the allow-list.
#[must_use]
pub fn revoked() -> Refusal {
    Refusal::new(Code::Revoked, "this certificate is revoked or unknown to the core; enroll anew")
}

fn signed_out() -> Refusal {
    Refusal::new(Code::Unauthenticated, "the session has ended or was never there; sign in again")
}
