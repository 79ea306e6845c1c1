//! The core's own look at its certificates, again and again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chatcode_certs::{Due, Renewal, RotationError};
use chatcode_proto::{
    limits,
    pb::{CaPart, CaStep},
};

use super::{UpkeepError, renew_own, rotate};
use crate::{clock, shared::Shared, store::audit::Entry};

/// Looks of a short intermediate in its life; only tests have such.
const LOOKS: u32 = 60;
/// The shortest pause between two of them.
const SHORTEST: Duration = Duration::from_millis(200);

/// Makes, uses and retires intermediates, and renews the core's own certificate,
/// for ever. Looks at the wall clock every [`limits::RENEW_LOOK`] at least: clocks
/// jump and machines sleep.
pub async fn keep(shared: &Arc<Shared>) {
    let of_life = shared.certificates().intermediate / LOOKS;
    let look = of_life.clamp(SHORTEST, limits::RENEW_LOOK);
    let mut own = Own::of(shared);
    let mut told = None;
    loop {
        if let Err(error) = rotate_when_due(shared).await {
            // Said once, not at every look.
            let words = error.to_string();
            if told.as_ref() != Some(&words) {
                tracing::error!(error = &error as &dyn std::error::Error, "the CA needs somebody");
            }
            told = Some(words);
        } else {
            told = None;
        }
        if let Err(error) = retire(shared).await {
            tracing::error!(error = &error as &dyn std::error::Error, "an old intermediate is not retired");
        }
        own.look(shared).await;
        tokio::time::sleep(look.min(own.renewal.wait(clock::unix_ms())).max(SHORTEST)).await;
    }
}

/// When the core's own certificate is renewed.
struct Own {
    serial: chatcode_certs::Serial,
    renewal: Renewal,
}

impl Own {
    fn of(shared: &Shared) -> Self {
        let identity = shared.own.identity();
        Self { serial: identity.serial().clone(), renewal: Renewal::of(&identity.validity_unix_s(), 0.5) }
    }

    async fn look(&mut self, shared: &Arc<Shared>) {
        // A rotation makes it anew too.
        if *shared.own.identity().serial() != self.serial {
            *self = Self::of(shared);
        }
        if !self.renewal.is_due(clock::unix_ms()) {
            return;
        }
        match renew_own(shared).await {
            Ok(()) => {
                shared.own_failures.store(0, Ordering::Relaxed);
                *self = Self::of(shared);
                tracing::debug!(serial = %self.serial, "the core's own certificate is renewed");
            }
            Err(error) => {
                shared.own_failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the core's own certificate is not renewed"
                );
            }
        }
    }
}

async fn rotate_when_due(shared: &Arc<Shared>) -> Result<(), UpkeepError> {
    let step = match shared.authority.due(clock::unix_ms() / 1000) {
        Due::Nothing => return Ok(()),
        Due::Prepare => CaStep::Prepare,
        Due::Activate => CaStep::Activate,
    };
    rotate(shared, (CaPart::Intermediate, step), false, Entry::new("core", "ca.rotated")).await
}

/// Retires old intermediates of which no certificate is good any more. While a
/// root is on its way out its intermediates stay: one may have to go back to it.
async fn retire(shared: &Arc<Shared>) -> Result<(), UpkeepError> {
    if shared.authority.old_root().is_some() {
        return Ok(());
    }
    let now_s = clock::unix_ms() / 1000;
    for (pin, ends_s) in shared.authority.old_intermediates()? {
        if now_s < ends_s && shared.store.is_needed(&pin).await? {
            continue;
        }
        let ca = Arc::clone(shared);
        let retired = tokio::task::spawn_blocking(move || ca.authority.retire_intermediate(&pin));
        match retired.await.map_err(|_| UpkeepError::BrokeOff)? {
            Ok(()) => {}
            Err(RotationError::NothingOld(_)) => continue,
            Err(error) => return Err(error.into()),
        }
        tracing::info!("an old intermediate is retired");
        let detail = "intermediate retired".to_owned();
        shared.store.audit(&Entry { detail, ..Entry::new("core", "ca.rotated") }).await?;
    }
    Ok(())
}
