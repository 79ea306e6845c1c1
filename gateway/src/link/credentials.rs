//! The gateway's certificate: renewed over the link, brought back by the
//! durable key when it has ended, and kept on the disk.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use chatcode_certs::{Identity, IdentityError, Key, MachineKey, csr};
use chatcode_link::enroll::{self, EnrollError};
use chatcode_proto::{code::Refusal, pb};

use super::renewal::Renewal;
use crate::grant::CoreClock;

/// What the gateway proves itself by.
#[derive(Debug)]
pub(super) struct Credentials {
    identity: Identity,
    machine: Option<MachineKey>,
    /// The folder in which both are kept.
    home: PathBuf,
    /// Where the core enrolls: `host:port`.
    core: Option<String>,
    renewal: Renewal,
    /// The key of the request that is under way.
    asked: Option<Key>,
}

impl Credentials {
    pub(super) fn new(
        identity: Identity,
        machine: Option<MachineKey>,
        home: PathBuf,
        core: Option<String>,
    ) -> Self {
        let renewal = Renewal::of(&identity.validity_unix_s(), rand::random());
        Self { identity, machine, home, core, renewal, asked: None }
    }

    pub(super) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Waits until it is time to renew, and makes the request.
    pub(super) async fn renewal(&mut self, clock: CoreClock) -> pb::RenewRequest {
        loop {
            tokio::time::sleep(self.renewal.wait(clock.unix_ms())).await;
            if !self.renewal.is_due(clock.unix_ms()) {
                continue;
            }
            let made = Key::generate().map_err(|error| error.to_string());
            let made = made.and_then(|key| match csr::create(&key) {
                Ok(csr) => Ok((key, csr)),
                Err(error) => Err(error.to_string()),
            });
            match made {
                Ok((key, csr)) => {
                    self.asked = Some(key);
                    return pb::RenewRequest { csr: csr.into() };
                }
                Err(error) => tracing::error!("no request for a new certificate could be made: {error}"),
            }
        }
    }

    /// The core's answer to a request. What cannot be used changes nothing; the
    /// next request comes in time.
    pub(super) async fn take(&mut self, renewed: &pb::Renewed) {
        let Some(key) = self.asked.take() else { return };
        let (chain, roots) = (enroll::certificates(&renewed.chain), enroll::certificates(&renewed.roots));
        match self.identity.renewed(key, chain, roots) {
            Ok(identity) => self.put(identity, "renewed").await,
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the certificate that the core sent cannot be used"
            ),
        }
    }

    /// Whether the certificate has ended, by the machine's clock.
    pub(super) fn has_ended(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.as_secs() >= self.identity.validity_unix_s().end
    }

    /// Asks for a new certificate with the durable key.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn revive(&mut self) -> Result<(), Refusal> {
        let (Some(machine), Some(core)) = (&self.machine, &self.core) else {
            let words =
                "this gateway's certificate has ended, and it has no durable key; enroll the machine anew";
            return Err(Refusal::new(pb::Code::Unauthenticated, words));
        };
        let revived = enroll::revive(core, &self.identity, machine).await;
        let identity = revived.map_err(|error| Refusal::new(error.code(), words(&error)))?;
        self.put(identity, "revived").await;
        Ok(())
    }

    /// From now on it counts; also when the disk does not take it.
    async fn put(&mut self, identity: Identity, how: &str) {
        let (home, kept) = (self.home.clone(), identity.clone());
        let kept = tokio::task::spawn_blocking(move || kept.save(&home));
        match kept.await {
            Ok(Ok(())) => tracing::info!(serial = %identity.serial(), "the certificate is {how}"),
            Ok(Err(error)) => note(&error),
            Err(error) => note(&error),
        }
        self.renewal = Renewal::of(&identity.validity_unix_s(), rand::random());
        self.identity = identity;
    }
}

fn note(error: &(dyn std::error::Error + 'static)) {
    tracing::error!(error, "the new certificate is not on the disk: it is lost when the daemon ends");
}

/// A faulty answer has its cause within.
fn words(error: &EnrollError) -> String {
    match error {
        EnrollError::Identity(IdentityError::NotTrusted(cause)) => {
            format!("{error}: {cause}; is this machine's clock right?")
        }
        _ => error.to_string(),
    }
}
