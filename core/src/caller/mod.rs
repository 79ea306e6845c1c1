//! Who calls: what the connection proved, and what the call adds to it.

pub mod identify;
pub mod life;

use std::{net::SocketAddr, sync::Arc};

use chatcode_certs::MemberName;
use chatcode_proto::{
    code::Refusal,
    id::MemberId,
    pb::{Code, Permission, Role},
};

use crate::{
    caller::life::Life,
    store::{audit::Entry, people::Person},
};

/// What a connection proved, once, at its handshake.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Where it comes from.
    pub address: SocketAddr,
    /// Who it is.
    pub who: Standing,
    /// When the certificate that it showed ends, seconds since 1970; 0: none.
    pub certificate_ends_unix_s: u64,
}

/// Who a connection is.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It showed no certificate.
    Anonymous,
    /// Its certificate is on the allow-list, under this name of the member.
    Member(MemberName, String),
    /// It or its certificate was revoked.
    Revoked,
    /// Its certificate is of this installation and has ended, or is not on the
    /// allow-list.
    Unknown,
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

    /// Whether somebody vouched for who calls.
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
            Permission::Member => matches!(self, Self::Unknown(Some(_)) | Self::Admin { .. }),
            Permission::Authenticated
            | Permission::FleetView
            | Permission::GatewayEnroll
            | Permission::GatewayRevoke
            | Permission::GatewayUpdate
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

/// What the core's own services learn of a call from the gate, as an extension
/// of the request.
#[derive(Clone, Debug)]
pub struct CallInfo {
    /// Who calls.
    pub caller: Caller,
    /// Names the call in logs and audits.
    pub request_id: String,
    /// Where the connection comes from, and what it proved.
    pub peer: PeerInfo,
    /// The page that calls; empty: none.
    pub origin: String,
}

impl CallInfo {
    /// Of a request that came through the gate.
    ///
    /// # Errors
    /// `INTERNAL` for one that did not: a fault of ours.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Self, Refusal> {
        let info = request.extensions().get::<Self>().cloned();
        info.ok_or_else(|| Refusal::new(Code::Internal, "the call did not pass the gate"))
    }

    /// A row of the audit for something that this call does: under the call's
    /// own row, with what only its service knows.
    #[must_use]
    pub fn act(&self, action: &str) -> Entry {
        Entry {
            request_id: self.request_id.clone(),
            peer: self.peer.address.to_string(),
            ..Entry::new(self.caller.principal(), action)
        }
    }
}

/// The refusal of a certificate that is not on the allow-list.
#[must_use]
pub fn revoked() -> Refusal {
    Refusal::new(Code::Revoked, "this certificate is revoked; enroll anew")
}

/// Why a certificate that has ended or is not on the list is refused.
#[must_use]
pub fn not_listed() -> Refusal {
    let words = "this certificate has ended or is unknown to the core; renew it, or enroll anew";
    Refusal::new(Code::Unauthenticated, words)
}
