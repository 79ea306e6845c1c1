//! The core's connection ids: it knows its own again after a restart, and those that it
//! makes then are others (in a thousand restarts of a large fleet once not).

use std::time::Duration;

use aws_lc_rs::hmac;
use chatcode_certs::random;
use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid};

/// Random bytes of an id. The library's own generator has three: among the ids of 5,000
/// gateways one or two then have one of the core before, whose gateway is not told of the
/// restart, since its packets come to the new link of another one.
const NONCE: usize = 5;
/// Bytes that tell our ids from others: who sends a foreign one gets no answer, but for
/// one in 16 million.
const MARK: usize = 3;

/// Makes ids that a core with the same key knows as its own.
pub(crate) struct ConnectionIds {
    key: hmac::Key,
}

impl ConnectionIds {
    pub(crate) fn new(key: u64) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key.to_be_bytes()) }
    }

    fn id(&self, nonce: &[u8]) -> ConnectionId {
        let mark = hmac::sign(&self.key, nonce);
        ConnectionId::new(&[nonce, &mark.as_ref()[..MARK]].concat())
    }
}

impl ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        self.id(&random::bytes::<NONCE>())
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        let own = id.get(..NONCE).is_some_and(|nonce| self.id(nonce) == *id);
        own.then_some(()).ok_or(InvalidCid)
    }

    fn cid_len(&self) -> usize {
        NONCE + MARK
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_core_knows_the_ids_of_the_run_before_and_no_others() {
        let (mut before, after, other) =
            (ConnectionIds::new(7), ConnectionIds::new(7), ConnectionIds::new(8));
        for _ in 0..100 {
            let id = before.generate_cid();
            assert_eq!(id.len(), before.cid_len());
            assert!(after.validate(&id).is_ok());
            assert!(other.validate(&id).is_err());
            assert!(after.validate(&ConnectionId::new(&id[1..])).is_err());
        }
        assert!(after.validate(&ConnectionId::new(&[])).is_err());
    }

    #[test]
    fn the_ids_of_a_fleet_differ() {
        let mut ids = ConnectionIds::new(7);
        let all: HashSet<Vec<u8>> = (0..50_000).map(|_| ids.generate_cid().to_vec()).collect();
        // Two alike come once in 880 runs; the library's would have been 75.
        assert!(all.len() >= 49_997, "{}", all.len());
    }
}
