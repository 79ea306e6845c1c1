//! The one table of roles and permissions.

use chatcode_proto::pb::{Permission, PersonRole};

/// All roles, from least to most. Each may do all that those before it may.
pub const ROLES: [PersonRole; 4] =
    [PersonRole::Viewer, PersonRole::Operator, PersonRole::Admin, PersonRole::Owner];

/// The least role that has a permission; `None` for those that no role gives,
/// since they are a matter of who is at the other end. Listed one by one, so
/// that a new permission does not compile until somebody decides who has it.
#[must_use]
pub const fn least(permission: Permission) -> Option<PersonRole> {
    match permission {
        Permission::Unspecified
        | Permission::Public
        | Permission::Authenticated
        | Permission::Present
        | Permission::Link
        | Permission::Member => None,
        Permission::FleetView | Permission::SessionView => Some(PersonRole::Viewer),
        Permission::SessionCreate
        | Permission::SessionWrite
        | Permission::SessionEnd
        | Permission::SessionShare => Some(PersonRole::Operator),
        Permission::GatewayEnroll
        | Permission::GatewayRevoke
        | Permission::GatewayUpdate
        | Permission::AuditRead
        | Permission::Admin
        | Permission::PeopleManage => Some(PersonRole::Admin),
        Permission::CaManage | Permission::OwnersManage => Some(PersonRole::Owner),
    }
}

/// Whether a permission counts for single machines; the others are for the
/// installation, and a role gives them only where it counts for everything.
#[must_use]
pub const fn is_for_machines(permission: Permission) -> bool {
    match permission {
        Permission::FleetView
        | Permission::SessionView
        | Permission::SessionCreate
        | Permission::SessionWrite
        | Permission::SessionEnd
        | Permission::SessionShare
        | Permission::GatewayRevoke
        | Permission::GatewayUpdate
        | Permission::AuditRead => true,
        Permission::Unspecified
        | Permission::Public
        | Permission::Authenticated
        | Permission::Present
        | Permission::Link
        | Permission::Member
        | Permission::GatewayEnroll
        | Permission::Admin
        | Permission::PeopleManage
        | Permission::CaManage
        | Permission::OwnersManage => false,
    }
}

/// All that a role may.
#[must_use]
pub fn permissions(role: PersonRole) -> Vec<Permission> {
    (0..=i32::from(u8::MAX))
        .filter_map(|number| Permission::try_from(number).ok())
        .filter(|permission| least(*permission).is_some_and(|least| least <= role))
        .collect()
}

/// The name of a role in the store and for people; empty for none.
#[must_use]
pub const fn role_text(role: PersonRole) -> &'static str {
    match role {
        PersonRole::Unspecified => "",
        PersonRole::Viewer => "viewer",
        PersonRole::Operator => "operator",
        PersonRole::Admin => "admin",
        PersonRole::Owner => "owner",
    }
}

/// The role of a name that [`role_text`] made; `None` for anything else.
#[must_use]
pub fn role_of(text: &str) -> Option<PersonRole> {
    ROLES.into_iter().find(|role| role_text(*role) == text)
}
