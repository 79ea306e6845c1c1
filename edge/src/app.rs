//! What all requests of the edge share.

use std::sync::{Arc, PoisonError, RwLock, atomic::AtomicU64};

use chatcode_certs::IdentityCell;
use chatcode_proto::limits;
use tokio::sync::Semaphore;

use crate::{
    admit::Admission, cookie::Cookie, forwarded::Proxies, meters::EdgeMeters, release::Releases,
    sockets::Sockets, tries::Tries, upstream::Upstream,
};

/// The state of one edge.
#[derive(Debug)]
pub(crate) struct App {
    /// Who may ask.
    pub(crate) admission: Admission,
    /// What a reload of the settings changes.
    settings: RwLock<Arc<Live>>,
    /// Where calls go.
    pub(crate) upstream: Arc<Upstream>,
    /// Who this edge is, and which roots it trusts.
    pub(crate) identity: Arc<IdentityCell>,
    /// Names the installation: 8 hex digits.
    pub(crate) installation: String,
    /// The cookie that holds a person's session token.
    pub(crate) cookie: Cookie,
    /// The cookie that holds the challenge of a sign-in that has begun.
    pub(crate) challenge: Cookie,
    /// The same of one by mail.
    pub(crate) mail_challenge: Cookie,
    /// The same of one by an identity provider.
    pub(crate) provider_challenge: Cookie,
    /// Who began to lately.
    pub(crate) challenges: Tries,
    /// Who looked at links or came in by one lately.
    pub(crate) shares: Tries,
    /// The WebSockets.
    pub(crate) sockets: Sockets,
    /// What is counted.
    pub(crate) meters: EdgeMeters,
    /// Places for requests.
    pub(crate) requests: Semaphore,
    /// Numbers the requests in the log.
    pub(crate) number: AtomicU64,
}

/// What a reload of the settings changes.
#[derive(Debug)]
pub(crate) struct Live {
    /// Of whom it is believed where a request comes from.
    pub(crate) proxies: Proxies,
    /// Who tried to sign in lately.
    pub(crate) sign_ins: Tries,
    /// What new machines install.
    pub(crate) releases: Releases,
}

impl App {
    /// The edge with this identity for the page that `admission` admits.
    pub(crate) fn new(
        admission: Admission,
        settings: Live,
        upstream: Arc<Upstream>,
        identity: Arc<IdentityCell>,
        sockets: Sockets,
        meters: EdgeMeters,
    ) -> Self {
        let installation = identity.identity().trust_domain().installation().to_owned();
        Self {
            admission,
            settings: RwLock::new(Arc::new(settings)),
            upstream,
            cookie: Cookie::new(&installation),
            challenge: Cookie::of_challenge(&installation, "challenge"),
            mail_challenge: Cookie::of_challenge(&installation, "mail"),
            provider_challenge: Cookie::of_challenge(&installation, "provider"),
            installation,
            identity,
            challenges: Tries::per_minute(limits::CHALLENGES_PER_ADDRESS_PER_MINUTE),
            shares: Tries::per_minute(limits::SHARE_TRIES_PER_ADDRESS_PER_MINUTE),
            sockets,
            meters,
            requests: Semaphore::new(limits::HTTP_REQUESTS),
            number: AtomicU64::new(0),
        }
    }

    /// What counts now of what a reload changes.
    pub(crate) fn settings(&self) -> Arc<Live> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Requests that come from now on have these settings.
    pub(crate) fn reload(&self, settings: Live) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }
}
