//! What keeps the CA and the core's own certificate young: the steps of a
//! rotation with what follows from each, and those that the core makes by itself;
//! and what moves old rows of the audit into archives.

mod archive;
mod keep;

use std::sync::Arc;

use chatcode_certs::{AuthorityError, IdentityError, RotationError, tls::TlsError};
use chatcode_proto::{
    code::Refusal,
    pb::{CaMember, CaPart, CaStep, Code},
};

pub use self::{
    archive::{ArchiveError, archive, archive_before},
    keep::keep,
};
use crate::{
    clock,
    fleet::registry::Order,
    shared::Shared,
    store::{StoreError, audit::Entry},
};

/// Until when a join token may be shown that names the root on its way out.
const TOKENS_UNTIL: &str = "ca_tokens_until_ms";

/// Why a step was not made.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// The CA.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The core's own certificate.
    #[error("the core's own certificate could not be made")]
    Own(#[from] AuthorityError),
    /// It could not be kept.
    #[error("the core's own certificate could not be kept")]
    Kept(#[from] IdentityError),
    /// No TLS can be made of it.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The step would shut members out.
    #[error("{} {why}: {}; wait for them, or force the step", members.len(), shown(members))]
    NotReady {
        /// Which.
        members: Vec<CaMember>,
        /// What is the matter with them.
        why: &'static str,
    },
    /// Join tokens that name the old root may still be shown.
    #[error("a join token that names the old root is good for {0} s more; wait, or force the step")]
    Tokens(u64),
    /// Certificates depend on the old intermediates.
    #[error(
        "certificates of the old intermediates are still good; the core retires these by itself when none is, \
         or force the step"
    )]
    Needed,
    /// There is no such step.
    #[error("name the part (root or intermediate) and the step (prepare, activate, retire or roll back)")]
    NoStep,
    /// A task of ours broke off.
    #[error("the step broke off")]
    BrokeOff,
}

/// The first names.
fn shown(members: &[CaMember]) -> String {
    const NAMED: usize = 5;
    let names: Vec<_> = members.iter().take(NAMED).map(|member| member.name.as_str()).collect();
    let more = if members.len() > NAMED { ", ..." } else { "" };
    format!("{}{more}", names.join(", "))
}

impl From<UpkeepError> for Refusal {
    fn from(error: UpkeepError) -> Self {
        let code = match &error {
            UpkeepError::Rotation(RotationError::Authority(
                AuthorityError::NoRootKey(_) | AuthorityError::Ended,
            )) => Code::Invalid,
            UpkeepError::Rotation(RotationError::Authority(_)) => Code::Internal,
            UpkeepError::Rotation(_)
            | UpkeepError::NotReady { .. }
            | UpkeepError::Tokens(_)
            | UpkeepError::Needed
            | UpkeepError::NoStep => Code::Invalid,
            _ => Code::Internal,
        };
        if code == Code::Internal {
            tracing::error!(error = &error as &dyn std::error::Error, "a step of a rotation failed");
        }
        Self::new(code, error.to_string())
    }
}

/// Makes one step of a rotation, with what follows from it: the core's own
/// certificate is made anew, gateways with a live link are told at once, and `act`
/// is written to the audit. Without `force` a step that would shut members out is
/// not made.
///
/// # Errors
/// [`UpkeepError`]; nothing was changed then, unless what follows failed.
pub async fn rotate(
    shared: &Arc<Shared>,
    (part, step): (CaPart, CaStep),
    force: bool,
    act: Entry,
) -> Result<(), UpkeepError> {
    use {
        CaPart::{Intermediate, Root},
        CaStep::{Activate, Prepare, Retire, RollBack},
    };

    if !force {
        judge(shared, (part, step)).await?;
    }
    let dropped = dropped(shared, (part, step))?;
    if part == Root && matches!(step, Activate | RollBack) {
        let until = shared.store.tokens_until().await?;
        shared.store.set_meta(TOKENS_UNTIL, &until.to_string()).await?;
    }
    let ca = Arc::clone(shared);
    let pins = dropped.clone();
    let made = move || match (part, step) {
        (Root, Prepare) => ca.authority.prepare_root(),
        (Root, Activate) => ca.authority.activate_root(),
        (Root, Retire) => ca.authority.retire_root(),
        (Root, RollBack) => ca.authority.roll_back_root(),
        (Intermediate, Prepare) => ca.authority.prepare_intermediate(),
        (Intermediate, Activate) => ca.authority.activate_intermediate(),
        (Intermediate, Retire) => pins.iter().try_for_each(|pin| ca.authority.retire_intermediate(pin)),
        (Intermediate, RollBack) => ca.authority.roll_back_intermediate(),
        // Judged before.
        _ => Ok(()),
    };
    // Reads and writes keys, and with a passphrase takes its time.
    tokio::task::spawn_blocking(made).await.map_err(|_| UpkeepError::BrokeOff)??;
    for pin in &dropped {
        shared.store.forget_certificates(pin).await?;
    }
    if !dropped.is_empty() {
        for gateway in shared.hub.ids() {
            shared.show_certificate(gateway).await;
        }
    }
    let words = format!("{} {}{}", part_word(part), step_word(step), if force { " by force" } else { "" });
    tracing::info!("the CA: {words}");
    shared.store.audit(&Entry { detail: words, ..act }).await?;
    follow_up(shared, (part, step)).await
}

/// What follows from a step: the core shows what signs now and trusts what is
/// trusted now, and gateways with a live link are told of that at once.
async fn follow_up(shared: &Arc<Shared>, (part, step): (CaPart, CaStep)) -> Result<(), UpkeepError> {
    if part == CaPart::Root || matches!(step, CaStep::Activate | CaStep::RollBack) {
        renew_own(shared).await?;
    }
    if part == CaPart::Root {
        for live in shared.links.all() {
            live.order(Order::Trust);
        }
    }
    Ok(())
}

/// Whether nobody is shut out by a step.
async fn judge(shared: &Shared, step: (CaPart, CaStep)) -> Result<(), UpkeepError> {
    match step {
        (CaPart::Root, CaStep::Activate) => {
            let members = shared.store.followers(&shared.authority.root_pins()).await?.waiting;
            let why = "members do not trust the next root yet";
            if members.is_empty() { Ok(()) } else { Err(UpkeepError::NotReady { members, why }) }
        }
        (CaPart::Root, CaStep::Retire) => {
            let Some(old) = shared.authority.old_root() else { return Ok(()) };
            let members = shared.store.depending(&old).await?;
            if !members.is_empty() {
                let why = "members have a certificate that depends on the old root";
                return Err(UpkeepError::NotReady { members, why });
            }
            match tokens_until(shared).await?.saturating_sub(clock::unix_ms()).div_ceil(1000) {
                0 => Ok(()),
                left => Err(UpkeepError::Tokens(left)),
            }
        }
        (CaPart::Intermediate, CaStep::Retire) => {
            for (pin, _) in shared.authority.old_intermediates()? {
                if shared.store.is_needed(&pin).await? {
                    return Err(UpkeepError::Needed);
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The pins of what a step drops.
fn dropped(shared: &Shared, step: (CaPart, CaStep)) -> Result<Vec<[u8; 32]>, UpkeepError> {
    match step {
        (CaPart::Unspecified, _) | (_, CaStep::Unspecified) => Err(UpkeepError::NoStep),
        (CaPart::Root, CaStep::Retire) => Ok(shared.authority.old_root().into_iter().collect()),
        (CaPart::Intermediate, CaStep::Retire) => {
            let old = shared.authority.old_intermediates()?;
            if old.is_empty() {
                return Err(RotationError::NothingOld("intermediate").into());
            }
            Ok(old.into_iter().map(|(pin, _)| pin).collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// Until when a join token may be shown that names the root on its way out,
/// milliseconds since 1970; 0: none.
///
/// # Errors
/// [`StoreError`].
pub async fn tokens_until(shared: &Shared) -> Result<u64, StoreError> {
    if shared.authority.old_root().is_none() {
        return Ok(0);
    }
    let until = shared.store.meta(TOKENS_UNTIL).await?;
    Ok(until.and_then(|until| until.parse().ok()).unwrap_or(0))
}

/// Makes the core's own certificate anew; the next handshakes show it.
async fn renew_own(shared: &Arc<Shared>) -> Result<(), UpkeepError> {
    let name = *shared.own.identity().name();
    let identity = shared.authority.identity(&name, shared.certificates().core)?;
    shared.own.put(identity.clone())?;
    let folder = shared.own_folder.clone();
    let kept = tokio::task::spawn_blocking(move || identity.save(&folder));
    Ok(kept.await.map_err(|_| UpkeepError::BrokeOff)??)
}

const fn part_word(part: CaPart) -> &'static str {
    match part {
        CaPart::Intermediate => "intermediate",
        CaPart::Root | CaPart::Unspecified => "root",
    }
}

const fn step_word(step: CaStep) -> &'static str {
    match step {
        CaStep::Prepare => "prepared",
        CaStep::Activate => "activated",
        CaStep::Retire => "retired",
        CaStep::RollBack | CaStep::Unspecified => "rolled back",
    }
}
