//! The core's signed word for how far the chain goes. Kept elsewhere, it proves
//! later that rows were cut off or written anew.

use chatcode_certs::{AuditKey, AuditPublicKey, KeyError};
use chatcode_proto::pb::AuditHead;

/// What is signed: each field with its length.
fn signed(head: &AuditHead) -> Vec<u8> {
    let mut text = Vec::new();
    let mut field = |bytes: &[u8]| {
        text.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        text.extend_from_slice(bytes);
    };
    field(head.installation.as_bytes());
    field(&head.number.to_be_bytes());
    field(&head.hash);
    field(&head.unix_ms.to_be_bytes());
    text
}

/// Signs that the row `number` of this installation has this hash (0 and empty:
/// there is none), at this time in milliseconds since 1970.
///
/// # Errors
/// When the library cannot sign.
pub fn sign(
    key: &AuditKey,
    installation: &str,
    (number, hash): (u64, &[u8]),
    unix_ms: u64,
) -> Result<AuditHead, KeyError> {
    let mut head = AuditHead {
        installation: installation.to_owned(),
        number,
        hash: hash.to_vec().into(),
        unix_ms,
        key: key.public().as_spki().to_vec().into(),
        signature: bytes::Bytes::new(),
    };
    head.signature = key.sign(&signed(&head))?.into();
    Ok(head)
}

/// The key that has signed a head; `None` when the signature is not right. Whose
/// key that is says only a pin that came another way.
#[must_use]
pub fn signer(head: &AuditHead) -> Option<AuditPublicKey> {
    let key = AuditPublicKey::from_spki(&head.key)?;
    key.has_signed(&signed(head), &head.signature).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_was_changed_anywhere_is_signed_by_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let (key, _) = AuditKey::open_or_create(&folder.path().join("head.key")).unwrap();
        let head = sign(&key, "0123abcd", (7, &[1; 32]), 5).unwrap();
        assert_eq!(signer(&head), Some(key.public()));
        let (other, _) = AuditKey::open_or_create(&folder.path().join("other.key")).unwrap();
        for changed in [
            AuditHead { installation: "0123abce".to_owned(), ..head.clone() },
            AuditHead { number: 8, ..head.clone() },
            AuditHead { hash: vec![2; 32].into(), ..head.clone() },
            AuditHead { unix_ms: 6, ..head.clone() },
            AuditHead { key: other.public().as_spki().to_vec().into(), ..head.clone() },
            AuditHead { key: bytes::Bytes::new(), ..head.clone() },
            AuditHead { signature: bytes::Bytes::new(), ..head.clone() },
        ] {
            assert_eq!(signer(&changed), None, "{changed:?}");
        }
    }
}
