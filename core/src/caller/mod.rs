//! Who calls: what the connection proved, and what the call adds to it.

pub mod connections;
pub mod directory;
pub mod identify;
pub mod life;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use chatcode_certs::MemberName;
use chatcode_proto::{
    code::Refusal,
    id::{GatewayId, MemberId, SessionId},
    pb::{Code, Permission, PersonRole, Role},
};

use crate::{
    caller::{
        directory::Directory,
        life::{Life, Vouched},
    },
    people::{Given, Machine, Rights, permissions},
    store::{
        audit::Entry,
        people::{Changer, Person},
        shares::{FoundGuest, Sharer},
    },
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
    /// The API token that a call has shown: for as long as it counts, the connection
    /// may stay longer than those that prove nothing.
    pub vouched: Arc<Vouched>,
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
        /// When the person last proved who they are, milliseconds since 1970.
        proven_ms: u64,
        /// Knows what they were given.
        directory: Arc<Directory>,
    },
    /// A program that acts for a person.
    ApiToken {
        /// The token's id.
        id: String,
        /// For whom.
        person: Person,
        /// The token; calls end with it.
        life: Arc<Life>,
        /// The most that it may do, and where.
        bounds: Given,
        /// Knows what the person was given.
        directory: Arc<Directory>,
    },
    /// Somebody who came by a link to one session.
    Guest {
        /// Who, and what they are let into.
        guest: Arc<FoundGuest>,
        /// Their token; calls end with it.
        life: Arc<Life>,
        /// Knows what the person was given who shares.
        directory: Arc<Directory>,
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
            Self::ApiToken { id, person, .. } => format!("person/{}/api-token/{id}", person.id),
            Self::Guest { guest, .. } => format!("guest/{}", guest.id),
        }
    }

    /// The name that others see.
    #[must_use]
    pub fn display_name(&self) -> &str {
        match self {
            Self::Unknown(_) => "",
            Self::Admin { name, .. } => name,
            Self::Person { person, .. } | Self::ApiToken { person, .. } => &person.display_name,
            Self::Guest { guest, .. } => &guest.display_name,
        }
    }

    /// Whether somebody vouched for who calls.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }

    /// The person who calls, or for whom a program does.
    #[must_use]
    pub const fn person(&self) -> Option<&Person> {
        match self {
            Self::Person { person, .. } | Self::ApiToken { person, .. } => Some(person),
            Self::Unknown(_) | Self::Admin { .. } | Self::Guest { .. } => None,
        }
    }

    /// What lets the caller in while its calls run.
    #[must_use]
    pub const fn life(&self) -> Option<&Arc<Life>> {
        match self {
            Self::Person { life, .. } | Self::ApiToken { life, .. } | Self::Guest { life, .. } => Some(life),
            Self::Unknown(_) | Self::Admin { .. } => None,
        }
    }

    /// Whether the caller has a permission now: for the installation, or for
    /// machines somewhere. Listed one by one, so that a new permission does not
    /// compile until somebody decides who has it.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        match permission {
            Permission::Unspecified | Permission::Link => false,
            Permission::Public => true,
            Permission::Member => matches!(self, Self::Unknown(Some(_)) | Self::Admin { .. }),
            Permission::Present => self.is_known(),
            Permission::Authenticated => self.is_known() && !matches!(self, Self::Guest { .. }),
            Permission::FleetView
            | Permission::GatewayEnroll
            | Permission::GatewayRevoke
            | Permission::GatewayUpdate
            | Permission::SessionView
            | Permission::SessionCreate
            | Permission::SessionWrite
            | Permission::SessionEnd
            | Permission::SessionShare
            | Permission::AuditRead
            | Permission::Admin
            | Permission::PeopleManage
            | Permission::CaManage
            | Permission::OwnersManage => {
                self.is_let_into(permission)
                    && self.with_rights(self.is_program(), |rights| rights.may(permission))
            }
        }
    }

    /// Whether the caller has a permission on this machine now.
    #[must_use]
    pub fn may_on(&self, permission: Permission, machine: &Machine<'_>) -> bool {
        let is_there = match self {
            Self::Guest { guest, .. } => guest.shared.gateway == machine.id,
            _ => true,
        };
        is_there
            && self.is_let_into(permission)
            && self.with_rights(self.is_program(), |rights| rights.may_on(permission, machine))
    }

    /// Whether the caller may know of this session, on a machine that it may see. A
    /// guest knows of one.
    #[must_use]
    pub fn knows_of(&self, session: SessionId) -> bool {
        match self {
            Self::Guest { guest, .. } => guest.shared.session == session,
            _ => true,
        }
    }

    /// Whether somebody let the caller in for this: a guest looks, and types where the
    /// link says so; all others are bound by their rights alone.
    fn is_let_into(&self, permission: Permission) -> bool {
        match self {
            Self::Guest { guest, .. } => match permission {
                Permission::SessionView => true,
                Permission::SessionWrite => guest.shared.role == Role::Writer,
                _ => false,
            },
            _ => true,
        }
    }

    /// Whether it is an administrator's program, or a guest of one: there is nothing
    /// that they may not.
    fn is_program(&self) -> bool {
        match self {
            Self::Admin { .. } => true,
            Self::Guest { guest, .. } => matches!(guest.shared.sharer, Sharer::Admin(_)),
            Self::Unknown(_) | Self::Person { .. } | Self::ApiToken { .. } => false,
        }
    }

    /// Whether the caller has a permission for everything there is now.
    #[must_use]
    pub fn may_everywhere(&self, permission: Permission) -> bool {
        !matches!(self, Self::Guest { .. })
            && self.with_rights(self.is_program(), |rights| rights.may_everywhere(permission))
    }

    /// The highest role that the caller has anywhere; unspecified: none. A
    /// program with an administrator's certificate is as an owner.
    #[must_use]
    pub fn highest(&self) -> PersonRole {
        match self {
            Self::Admin { .. } => PersonRole::Owner,
            Self::Guest { .. } => PersonRole::Unspecified,
            _ => self.with_rights(PersonRole::Unspecified, |rights| rights.highest()),
        }
    }

    /// All that the caller may, for the installation or somewhere.
    #[must_use]
    pub fn permissions(&self) -> Vec<Permission> {
        permissions(PersonRole::Owner).into_iter().filter(|permission| self.may(*permission)).collect()
    }

    /// Looks at the rights that the caller has as a person, or the person who shares
    /// with a guest; `other` for callers that are neither.
    fn with_rights<T>(&self, other: T, look: impl FnOnce(Rights<'_>) -> T) -> T {
        match self {
            Self::Unknown(_) | Self::Admin { .. } => other,
            Self::Person { person, directory, .. } => {
                directory.with(&person.id, |given| look(Rights { given, bounds: None }))
            }
            Self::ApiToken { person, bounds, directory, .. } => {
                directory.with(&person.id, |given| look(Rights { given, bounds: Some(bounds) }))
            }
            Self::Guest { guest, directory, .. } => match &guest.shared.sharer {
                Sharer::Person(id) => directory.with(id, |given| look(Rights { given, bounds: None })),
                Sharer::Admin(_) => other,
            },
        }
    }

    /// Where changes of the caller's rights are told; `None` when they never
    /// change.
    #[must_use]
    pub fn directory(&self) -> Option<&Arc<Directory>> {
        match self {
            Self::Person { directory, .. }
            | Self::ApiToken { directory, .. }
            | Self::Guest { directory, .. } => Some(directory),
            Self::Unknown(_) | Self::Admin { .. } => None,
        }
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
    /// The gateway that the body names, once the service has read it.
    pub about: About,
}

/// The gateway that a call of the core's own is about; the gate writes it to the
/// row of a refusal.
#[derive(Clone, Debug, Default)]
pub struct About(Arc<OnceLock<GatewayId>>);

impl About {
    /// Says which it is; the first word counts.
    pub fn is(&self, gateway: GatewayId) {
        // Nothing is lost by a second word: there is one gateway in a body.
        let _ = self.0.set(gateway);
    }

    /// Which it is; `None`: none, or nobody has read it.
    #[must_use]
    pub fn gateway(&self) -> Option<GatewayId> {
        self.0.get().copied()
    }
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

    /// Who changes something by this call.
    #[must_use]
    pub fn changer(&self, action: &str) -> Changer {
        Changer { act: self.act(action), manages_owners: self.caller.may(Permission::OwnersManage) }
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
