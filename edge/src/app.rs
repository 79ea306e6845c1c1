//! What all requests of the edge share.

use std::sync::{Arc, atomic::AtomicU64};

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
    /// Of whom it is believed where a request comes from.
    pub(crate) proxies: Proxies,
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
    /// Who tried to sign in lately.
    pub(crate) sign_ins: Tries,
    /// Who began to lately.
    pub(crate) challenges: Tries,
    /// Who looked at links or came in by one lately.
    pub(crate) shares: Tries,
    /// The WebSockets.
    pub(crate) sockets: Sockets,
    /// What is counted.
    pub(crate) meters: EdgeMeters,
    /// What new machines install.
    pub(crate) releases: Releases,
    /// Places for requests.
    pub(crate) requests: Semaphore,
    /// Numbers the requests in the log.
    pub(crate) number: AtomicU64,
}

impl App {
    /// The edge with this identity for the page that `admission` admits.
    pub(crate) fn new(
        admission: Admission,
        proxies: Proxies,
        upstream: Arc<Upstream>,
        identity: Arc<IdentityCell>,
        sockets: Sockets,
        releases: Releases,
        (sign_in_per_minute, meters): (u32, EdgeMeters),
    ) -> Self {
        let installation = identity.identity().trust_domain().installation().to_owned();
        Self {
            admission,
            proxies,
            upstream,
            cookie: Cookie::new(&installation),
            challenge: Cookie::of_challenge(&installation, "challenge"),
            mail_challenge: Cookie::of_challenge(&installation, "mail"),
            provider_challenge: Cookie::of_challenge(&installation, "provider"),
            installation,
            identity,
            sign_ins: Tries::per_minute(sign_in_per_minute),
            challenges: Tries::per_minute(limits::CHALLENGES_PER_ADDRESS_PER_MINUTE),
            shares: Tries::per_minute(limits::SHARE_TRIES_PER_ADDRESS_PER_MINUTE),
            sockets,
            meters,
            releases,
            requests: Semaphore::new(limits::HTTP_REQUESTS),
            number: AtomicU64::new(0),
        }
    }
}
