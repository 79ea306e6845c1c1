//! The gateway's certificate: renewed over the link, brought back by the
//! durable key when it has ended, and kept on the disk.

use std::{path::PathBuf, sync::Arc};

use chatcode_certs::{Identity, IdentityCell, IdentityError, Key, MachineKey, Renewal, csr, tls::TlsError};
use chatcode_link::{Target, enroll, renew};
use chatcode_proto::{code::Refusal, limits, name::display_safe, pb};
use tokio::task::JoinHandle;

use crate::{grant::CoreClock, meters::GatewayMeters};

/// What the gateway proves itself by.
#[derive(Debug)]
pub(super) struct Credentials {
    identity: Identity,
    /// The same, for the next handshake.
    shown: Arc<IdentityCell>,
    machine: Option<MachineKey>,
    /// The folder in which both are kept.
    home: PathBuf,
    /// Where the core enrolls.
    core: Option<Target>,
    renewal: Renewal,
    /// The key of the request that is under way.
    asked: Option<Key>,
    /// The identity on its way to the disk.
    saving: Option<JoinHandle<Result<(), IdentityError>>>,
    meters: GatewayMeters,
}

impl Credentials {
    /// # Errors
    /// When no TLS can be made of the identity.
    pub(super) fn new(
        (identity, machine): (Identity, Option<MachineKey>),
        home: PathBuf,
        core: Option<Target>,
        meters: GatewayMeters,
    ) -> Result<Self, TlsError> {
        let renewal = Renewal::of(&identity.validity_unix_s(), rand::random());
        let shown = IdentityCell::new(identity.clone())?;
        meters.certificate_ends(identity.validity_unix_s().end);
        Ok(Self { identity, shown, machine, home, core, renewal, asked: None, saving: None, meters })
    }

    /// What each handshake shows.
    pub(super) const fn shown(&self) -> &Arc<IdentityCell> {
        &self.shown
    }

    /// Waits until it is time to renew, and makes the request. May be dropped at
    /// any time and called again.
    pub(super) async fn renewal(&mut self, clock: CoreClock) -> pb::RenewRequest {
        loop {
            if let Some(saving) = &mut self.saving {
                match saving.await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => note(&error),
                    Err(error) => note(&error),
                }
                self.saving = None;
            }
            tokio::time::sleep(self.renewal.wait(clock.unix_ms())).await;
            if self.renewal.is_due(clock.unix_ms())
                && let Some(request) = self.request()
            {
                return request;
            }
        }
    }

    fn request(&mut self) -> Option<pb::RenewRequest> {
        let made = Key::generate().ok().and_then(|key| csr::create(&key).ok().map(|csr| (key, csr)));
        let Some((key, csr)) = made else {
            tracing::error!("no key or no request for a new certificate could be made");
            return None;
        };
        self.asked = Some(key);
        Some(pb::RenewRequest { csr: csr.into() })
    }

    /// The core's answer to a request. What cannot be used, such as a late answer
    /// to an older request, changes nothing; the next request comes in time. Gives
    /// what is trusted now, when that has changed.
    pub(super) fn take(&mut self, renewed: &pb::Renewed) -> Option<pb::Trusts> {
        let (key, before) = (self.asked.clone()?, self.identity.pins());
        let trust = renew::trust(renewed.trust.as_ref());
        match self.identity.renewed(key, enroll::certificates(&renewed.chain), &trust) {
            Ok(identity) => {
                self.asked = None;
                self.put(identity, "renewed");
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the certificate that the core sent cannot be used"
            ),
        }
        (self.identity.pins() != before).then(|| self.trusts())
    }

    /// The core made no certificate. The next request comes in time.
    pub(super) fn refused(&mut self, refused: &pb::RenewRefused) {
        self.asked = None;
        let (code, words) = (refused.code().name(), display_safe(&refused.message, limits::MESSAGE_BYTES));
        let ends_unix_s = self.identity.validity_unix_s().end;
        tracing::warn!(code, ends_unix_s, "the core gave no new certificate, and is asked again: {words}");
    }

    /// What the core says of trust; gives what is trusted now, when that has
    /// changed. A root that no trusted one has signed changes nothing.
    pub(super) fn follow(&mut self, told: Option<&pb::Trust>) -> Option<pb::Trusts> {
        match self.identity.trusting(&renew::trust(told)) {
            Ok(None) => None,
            Ok(Some(identity)) => {
                tracing::info!(roots = identity.roots().len(), "what to trust has changed");
                self.save(&identity);
                self.show(identity);
                Some(self.trusts())
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "what the core says of trust is not believed"
                );
                None
            }
        }
    }

    /// What is trusted now.
    pub(super) fn trusts(&self) -> pb::Trusts {
        pb::Trusts { pins: renew::pins(&self.identity) }
    }

    /// Asks for a new certificate with the durable key.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn revive(&mut self) -> Result<(), Refusal> {
        let (Some(machine), Some(core)) = (&self.machine, &self.core) else {
            let missing = if self.machine.is_none() { "machine.key" } else { "core.json" };
            let words = format!(
                "the core does not take this gateway's certificate any more, and without {missing} in {} no \
                 other can be asked for; enroll the machine anew",
                self.home.display()
            );
            return Err(Refusal::new(pb::Code::Unauthenticated, words));
        };
        let revived = renew::revive(core, &self.identity, machine).await;
        let identity = revived.map_err(|error| Refusal::new(error.code(), error.to_string()))?;
        self.put(identity, "revived");
        Ok(())
    }

    /// From now on it counts; also while the disk takes its time for it, or does
    /// not take it.
    fn put(&mut self, identity: Identity, how: &str) {
        tracing::info!(serial = %identity.serial(), "the certificate is {how}");
        self.save(&identity);
        self.renewal = Renewal::of(&identity.validity_unix_s(), rand::random());
        self.meters.certificate_ends(identity.validity_unix_s().end);
        self.show(identity);
    }

    fn show(&mut self, identity: Identity) {
        if let Err(error) = self.shown.put(identity.clone()) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "no TLS can be made of the new certificate; handshakes show the old one"
            );
        }
        self.identity = identity;
    }

    /// After what is on its way already, so that the newest stays.
    fn save(&mut self, identity: &Identity) {
        let (home, kept, before) = (self.home.clone(), identity.clone(), self.saving.take());
        self.saving = Some(tokio::spawn(async move {
            if let Some(before) = before {
                match before.await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => note(&error),
                    Err(error) => note(&error),
                }
            }
            let saving = tokio::task::spawn_blocking(move || kept.save(&home));
            saving.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        }));
    }
}

fn note(error: &(dyn std::error::Error + 'static)) {
    tracing::error!(error, "the new certificate is not on the disk: it is lost when the daemon ends");
}
