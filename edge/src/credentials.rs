//! The edge's certificate: renewed long before its end, brought back by the
//! durable key when it has ended, and kept on the disk. Connections that stand are
//! not touched; the next ones show the new certificate.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chatcode_certs::{Identity, IdentityCell, MachineKey, Renewal};
use chatcode_link::{enroll::EnrollError, renew};
use chatcode_proto::{code::Refusal, limits, pb::Code};

/// What the edge proves itself by.
#[derive(Debug)]
pub(crate) struct Credentials {
    cell: Arc<IdentityCell>,
    /// Missing where the edge was enrolled before edges had one, until the core
    /// has learned one at a renewal.
    machine: Option<MachineKey>,
    /// The folder in which both are kept.
    home: PathBuf,
    /// Where the core enrolls: `host:port`.
    core: String,
    renewal: Renewal,
    /// The last look at what to trust, milliseconds since 1970.
    followed_ms: u64,
}

impl Credentials {
    /// The credentials in `home`, of an edge of the core at `core`.
    pub(crate) fn new(
        cell: Arc<IdentityCell>,
        machine: Option<MachineKey>,
        home: PathBuf,
        core: String,
    ) -> Self {
        let renewal = Renewal::of(&cell.identity().validity_unix_s(), rand::random());
        Self { cell, machine, home, core, renewal, followed_ms: 0 }
    }

    /// Keeps them young, for ever. Looks at the wall clock every
    /// [`limits::RENEW_LOOK`]: clocks jump and machines sleep.
    pub(crate) async fn keep(&mut self) {
        loop {
            let now = unix_ms();
            // One that has ended is brought back as soon as the core answers.
            if self.renewal.is_due(now) || is_over(&self.cell.identity(), now) {
                self.renew(now).await;
            } else if now.abs_diff(self.followed_ms)
                >= u64::try_from(limits::RENEW_LOOK.as_millis()).unwrap_or(0)
            {
                self.followed_ms = now;
                self.follow().await;
            }
            tokio::time::sleep(self.renewal.wait(unix_ms()).max(SHORTEST)).await;
        }
    }

    async fn renew(&mut self, now_ms: u64) {
        let identity = self.cell.identity();
        let renewed = if is_over(&identity, now_ms) {
            self.revive(&identity).await
        } else {
            match self.ask(&identity).await {
                Err(error) if error.code() == Code::Unauthenticated => self.revive(&identity).await,
                renewed => renewed,
            }
        };
        self.take(&identity, renewed);
    }

    fn take(&mut self, before: &Identity, renewed: Result<Identity, EnrollError>) {
        match renewed {
            Ok(identity) => {
                tracing::info!(target: "chatcode", serial = %identity.serial(), "the certificate is renewed");
                self.renewal = Renewal::of(&identity.validity_unix_s(), rand::random());
                self.put(identity);
            }
            Err(error) => {
                let advice = match error.code() {
                    Code::BadToken | Code::Revoked => {
                        "; the core knows no way back for this edge: enroll it anew (chatcode-edge enroll)"
                    }
                    _ => ", and is asked for again",
                };
                tracing::warn!(
                    target: "chatcode",
                    code = error.code().name(),
                    ends_unix_s = before.validity_unix_s().end,
                    "the certificate is not renewed{advice}: {error}"
                );
            }
        }
    }

    /// By the certificate, and with a durable key that the core may not know yet.
    async fn ask(&mut self, identity: &Identity) -> Result<Identity, EnrollError> {
        if self.machine.is_some() {
            return renew::renew(&self.core, identity, self.machine.as_ref()).await;
        }
        let machine = MachineKey::generate()?;
        let renewed = renew::renew(&self.core, identity, Some(&machine)).await?;
        if let Err(error) = machine.save(&self.home) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(target: "chatcode", error, "the durable key is not on the disk: it is lost when the edge ends");
        }
        self.machine = Some(machine);
        Ok(renewed)
    }

    /// By the durable key.
    async fn revive(&self, identity: &Identity) -> Result<Identity, EnrollError> {
        tracing::warn!(
            target: "chatcode",
            "the certificate has ended or is not known any more; asking by the machine's key"
        );
        let Some(machine) = &self.machine else {
            let words = "this edge was enrolled before edges had a durable key";
            return Err(EnrollError::Refused(Refusal::new(Code::BadToken, words)));
        };
        renew::revive(&self.core, identity, machine).await
    }

    /// Asks what to trust. A core that does not know the certificate any more is
    /// asked for another one.
    async fn follow(&mut self) {
        let identity = self.cell.identity();
        match renew::follow(&self.core, &identity).await {
            Ok(Some(identity)) => {
                tracing::info!(target: "chatcode", roots = identity.roots().len(), "what to trust has changed");
                self.put(identity);
            }
            Ok(None) => {}
            Err(error) if error.code() == Code::Unauthenticated => {
                let revived = self.revive(&identity).await;
                self.take(&identity, revived);
            }
            Err(error) => {
                tracing::debug!(target: "chatcode", code = error.code().name(), "not told what to trust: {error}");
            }
        }
    }

    /// From now on it counts, also when the disk does not take it.
    fn put(&self, identity: Identity) {
        if let Err(error) = self.cell.put(identity.clone()) {
            tracing::error!(target: "chatcode", error = &error as &dyn std::error::Error, "the certificate cannot be used");
            return;
        }
        let home = self.home.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = identity.save(&home) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(target: "chatcode", error, "the certificate is not on the disk: it is lost when the edge ends");
            }
        });
    }
}

fn is_over(identity: &Identity, now_ms: u64) -> bool {
    identity.validity_unix_s().end.saturating_mul(1000) <= now_ms
}

/// The shortest pause between two looks.
const SHORTEST: Duration = Duration::from_millis(100);

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
