//! What the audit gets to know of one call.
//!
//! A call that the rules want written is written before it is made: if that
//! fails, it is not made. That row says that the call was let in and nothing of
//! its end; a refusal after that, by the service itself or by the machine, is a
//! second row under the same request id.

use std::net::SocketAddr;

use chatcode_link::subscriber;
use chatcode_proto::{
    code::Refusal,
    pb::{AuditPolicy, Code, Permission},
    rules::Rule,
};

use crate::{
    caller::{About, Caller},
    shared::Shared,
    store::audit::Entry,
    target::Target,
};

/// The row of one call as far as it is known.
#[derive(Debug)]
pub(super) struct Trail {
    entry: Entry,
    policy: AuditPolicy,
    /// Public methods carry their own proof; their service writes the row,
    /// since only it knows who that proof belongs to.
    by_service: bool,
    known: bool,
    peer: SocketAddr,
    about: About,
}

impl Trail {
    pub(super) fn new(path: &str, rule: &Rule, request_id: String, peer: SocketAddr) -> Self {
        let entry = Entry { request_id, peer: peer.to_string(), ..Entry::new("anonymous", path) };
        let by_service = rule.permission == Permission::Public;
        Self { entry, policy: rule.audit, by_service, known: false, peer, about: About::default() }
    }

    pub(super) fn request_id(&self) -> &str {
        &self.entry.request_id
    }

    /// Where the service says which gateway the body names.
    pub(super) fn about(&self) -> &About {
        &self.about
    }

    pub(super) fn by(&mut self, caller: &Caller) {
        self.entry.principal = caller.principal();
        self.known = caller.is_known();
    }

    pub(super) fn at(&mut self, target: &Target) {
        self.entry.gateway = target.gateway_text();
        self.entry.session = target.session_text();
    }

    /// # Errors
    /// `UNWRITABLE` when the row must be written and cannot be.
    pub(super) async fn admitted(&self, shared: &Shared) -> Result<(), Refusal> {
        if self.policy == AuditPolicy::Always && !self.by_service {
            let entry = Entry { result: Code::Unspecified, ..self.entry.clone() };
            shared.store.audit(&entry).await?;
        }
        Ok(())
    }

    /// A refusal by the gate. It stands whether or not it can be written.
    pub(super) async fn refused(&self, shared: &Shared, refusal: &Refusal) {
        if self.policy == AuditPolicy::Never {
            return;
        }
        // Callers that are known pay with their name; others could fill the
        // disk.
        if !self.known && shared.rates.refusals.check(&subscriber(self.peer.ip())).is_err() {
            return;
        }
        self.write(shared, refusal).await;
    }

    /// A refusal after the gate had let the call in. That a proof is refused,
    /// the service has written itself.
    pub(super) async fn refused_later(&self, shared: &Shared, refusal: &Refusal) {
        if !(self.by_service && refusal.code == Code::BadToken) {
            self.refused(shared, refusal).await;
        }
    }

    async fn write(&self, shared: &Shared, refusal: &Refusal) {
        let mut entry = Entry { result: refusal.code, ..self.entry.clone() };
        if let Some(gateway) = self.about.gateway() {
            entry.gateway = gateway.to_string();
        }
        if let Err(error) = shared.store.audit(&entry).await {
            tracing::error!(error = &error as &dyn std::error::Error, "a refusal is not in the audit");
        }
    }
}
