//! Whether a caller may do something to a machine: asked when a call begins, and
//! for as long as it runs.

use std::sync::Arc;

use chatcode_proto::{
    code::Refusal,
    id::GatewayId,
    limits,
    pb::{Code, Permission, Role},
};

use crate::{
    caller::Caller,
    fleet::hub::Hub,
    people::Machine,
    target::{Target, unknown_gateway, unknown_session},
};

/// A call that may be made, for as long as that is so.
#[derive(Clone, Debug)]
pub struct Verdict {
    caller: Caller,
    permission: Permission,
    target: Target,
    hub: Arc<Hub>,
    role: Role,
}

impl Verdict {
    /// Judges a call with this permission on its target. Takes no time that tells whether there is a machine that the caller may
    /// not see.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for callers who are not known, `FORBIDDEN`, and
    /// `UNKNOWN_GATEWAY` or `UNKNOWN_SESSION` for what the caller may not see.
    pub fn of(
        caller: &Caller,
        permission: Permission,
        target: Target,
        hub: &Arc<Hub>,
    ) -> Result<Self, Refusal> {
        check(caller, permission, target.gateway, hub)?;
        if target.session.is_some_and(|session| !caller.knows_of(session)) {
            return Err(unknown_session());
        }
        let role = role(caller, target.gateway, hub);
        Ok(Self { caller: caller.clone(), permission, target, hub: Arc::clone(hub), role })
    }

    /// Who calls.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The most that an attachment of this call may do.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Waits until the call may not go on as it began, and says why. What the
    /// caller was given is looked at when it changes, and every
    /// [`limits::JUDGE`].
    pub async fn over(&self) -> Refusal {
        let Some(directory) = self.caller.directory() else { return std::future::pending().await };
        let mut changes = directory.changes();
        loop {
            if let Err(refusal) = check(&self.caller, self.permission, self.target.gateway, &self.hub) {
                return refusal;
            }
            if role(&self.caller, self.target.gateway, &self.hub) != self.role {
                let words = "what you may do here has changed; come back, and it counts";
                return Refusal::new(Code::Draining, words);
            }
            // Never an error: the caller keeps the directory.
            let _ = tokio::time::timeout(limits::JUDGE, changes.changed()).await;
        }
    }
}

/// Whether the caller may do this to a gateway.
///
/// # Errors
/// As [`Verdict::of`].
pub fn check(
    caller: &Caller,
    permission: Permission,
    gateway: Option<GatewayId>,
    hub: &Hub,
) -> Result<(), Refusal> {
    if !caller.may(permission) {
        return Err(match caller {
            Caller::Unknown(_) => unauthenticated(),
            Caller::Guest { .. } => not_for_guests(),
            _ => forbidden(),
        });
    }
    let Some(id) = gateway else { return Ok(()) };
    let labels = hub.labels(id);
    let machine = labels.as_ref().map(|labels| Machine { id, labels });
    match machine {
        Some(machine) if caller.may_on(permission, &machine) => Ok(()),
        Some(machine) if caller.may_on(Permission::FleetView, &machine) => Err(forbidden()),
        _ => Err(unknown_gateway()),
    }
}

fn role(caller: &Caller, gateway: Option<GatewayId>, hub: &Hub) -> Role {
    match gateway {
        Some(_) if check(caller, Permission::SessionWrite, gateway, hub).is_ok() => Role::Writer,
        _ => Role::Viewer,
    }
}

fn forbidden() -> Refusal {
    Refusal::new(Code::Forbidden, "you may not do this; ask an owner of the installation")
}

fn not_for_guests() -> Refusal {
    let words =
        "guests see the one session that is shared with them, for as long as who shares it may; ask them";
    Refusal::new(Code::Forbidden, words)
}

fn unauthenticated() -> Refusal {
    Refusal::new(Code::Unauthenticated, "the core does not know who calls; sign in or enroll first")
}
