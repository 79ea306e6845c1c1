//! The hash of a row.

use chatcode_proto::pb::AuditRow;
use sha2::{Digest as _, Sha256};

/// The hash of a row: over the hash before it (empty for the first row of all) and
/// its fields, each with its length, so that no two rows have the same bytes.
#[must_use]
pub fn chained(before: &[u8], row: &AuditRow) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    field(before);
    field(&row.number.to_be_bytes());
    field(&row.unix_ms.to_be_bytes());
    for text in [&row.principal, &row.action, &row.gateway, &row.session] {
        field(text.as_bytes());
    }
    field(&row.result.to_be_bytes());
    for text in [&row.request_id, &row.peer, &row.detail] {
        field(text.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    #[test]
    fn the_hash_of_a_row_never_changes_since_chains_of_old_rest_on_it() {
        let row = AuditRow {
            number: 7,
            unix_ms: 1_700_000_000_000,
            principal: "person/p".to_owned(),
            action: "/chatcode.v1.Fleet/Revoke".to_owned(),
            gateway: "g".to_owned(),
            session: String::new(),
            result: 1,
            request_id: "r".to_owned(),
            peer: "127.0.0.1:1".to_owned(),
            detail: "ü".to_owned(),
            hash: bytes::Bytes::new(),
        };
        let first = hex(&chained(&[], &row));
        assert_eq!(first, "d7c7b5c792252431b1e749555af10599c42a9207ae6be4eb5e06e8b7177149bb");
        assert_ne!(first, hex(&chained(&[0], &row)));
        // A byte that moves from one field to the next is another row.
        let moved = AuditRow { principal: "person/".to_owned(), action: format!("p{}", row.action), ..row };
        assert_ne!(first, hex(&chained(&[], &moved)));
    }
}
