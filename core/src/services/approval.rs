//! Machines that wait for a person: shown, decided on, forgotten in time.

use std::{sync::Arc, time::Duration};

use chatcode_proto::{
    code::Refusal,
    name,
    pb::{Code, FleetDecidePendingRequest, PendingGateway},
};

use crate::{clock, shared::Shared, store::audit::Entry};

/// Shows a machine that waits, until somebody decides or its time is over.
pub fn show(shared: &Arc<Shared>, pending: PendingGateway) {
    let (id, expires_ms) = (pending.id.clone(), pending.expires_unix_ms);
    shared.hub.add_pending(pending);
    let left = Duration::from_millis(expires_ms.saturating_sub(clock::unix_ms()));
    let (stop, shared) = (shared.stop.clone(), Arc::clone(shared));
    shared.tasks.clone().spawn(async move {
        if stop.run_until_cancelled(tokio::time::sleep(left)).await.is_some() {
            gone(&shared, &id);
        }
    });
}

/// A machine waits no more: those who wait look whether it was theirs.
pub fn gone(shared: &Shared, id: &str) {
    shared.hub.remove_pending(id);
    shared.decided.notify_waiters();
}

/// Lets a machine in or refuses it; `act` is completed and written to the audit.
///
/// # Errors
/// `INVALID` when it does not wait any more or has another fingerprint than the
/// person saw, `INTERNAL` when the store fails.
pub async fn decide(shared: &Shared, wish: &FleetDecidePendingRequest, act: Entry) -> Result<(), Refusal> {
    let no_more = || {
        let words = "no machine waits under this id; it was decided, its time is over, or it never did";
        Refusal::new(Code::Invalid, words)
    };
    let pending = shared.hub.pending(&wish.id).ok_or_else(no_more)?;
    if wish.fingerprint != pending.fingerprint {
        let words = "the machine that waits has another fingerprint; look at it again before you decide";
        return Err(Refusal::new(Code::Invalid, words));
    }
    let act = Entry { detail: detail(&pending), ..act };
    if !shared.store.decide(&wish.id, wish.approve, &act).await? {
        return Err(no_more());
    }
    gone(shared, &wish.id);
    Ok(())
}

fn detail(pending: &PendingGateway) -> String {
    let host = pending.host.as_ref().map_or("", |host| &host.hostname);
    let host = name::display_safe(host, 64);
    format!("{} {} from {} by token {}", pending.fingerprint, host, pending.address, pending.token)
}
