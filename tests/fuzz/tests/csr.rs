//! Any bytes as a signing request, as a certificate, or as what a core says of trust.
//! A request is taken whole or not at all, and only for the key that signed it; nobody
//! is believed who is not signed by one who is trusted.

use std::sync::LazyLock;

use chatcode_certs::{MemberName, Peer, Trust, csr, pem};
use chatcode_fuzz::{Target, sight, size};
use chatcode_proto::limits;
use rustls_pki_types::CertificateDer;

const TARGET: Target = Target { name: "csr", words: WORDS, usual: 10_000, case };
const WORDS: &[&[u8]] = &[
    &[0x30, 0x80],
    &[0x30, 0x82, 0x01, 0x00],
    &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
    &[0x02, 0x01, 0x00],
    &[0x05, 0x00],
    &[0xa0, 0x00],
    &[0x03, 0x42, 0x00, 0x04],
    &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01],
    &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
    &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
    &[0x06, 0x03, 0x55, 0x1d, 0x11],
    b"-----BEGIN CERTIFICATE REQUEST-----",
    b"-----END CERTIFICATE REQUEST-----",
    b"-----BEGIN CERTIFICATE-----",
    b"-----END CERTIFICATE-----",
    b"spiffe://0a1b2c3d.chatcode.internal/core/6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11",
];

/// A root that is trusted.
static TRUSTED: LazyLock<Vec<CertificateDer<'static>>> = LazyLock::new(|| {
    vec![CertificateDer::from(include_bytes!("../corpus/csr/certificate-of-a-root").to_vec())]
});

#[test]
fn any_bytes_are_a_request_of_the_one_key_that_signed_it_or_none() {
    chatcode_fuzz::run(&TARGET, Vec::new());
}

fn case(input: &[u8]) -> Vec<u64> {
    vec![request(input), text(input), certificate(input), trust(input)]
}

fn request(der: &[u8]) -> u64 {
    let verified = csr::verify(der);
    let key = match &verified {
        Err(error) => return sight(("request", format!("{error:?}"))),
        Ok(key) => key.spki_sha256(),
    };
    assert!(der.len() <= limits::CSR_BYTES, "a request that is too large is taken");
    assert!(csr::verify(&der[..der.len() - 1]).is_err(), "a request that was cut is taken");
    assert!(csr::verify(&[der, &[0]].concat()).is_err(), "a request with more behind it is taken");
    // One byte of it is another: of whatever key it is then, it is not of one that
    // did not sign.
    let at = der.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31) + usize::from(*byte)) % der.len();
    let mut changed = der.to_vec();
    changed[at] ^= 0x01;
    if let Ok(other) = csr::verify(&changed) {
        assert_eq!(other.spki_sha256(), key, "a changed request is one of another key: see");
    }
    sight(("request", size(der.len())))
}

fn text(input: &[u8]) -> u64 {
    let text = csr::to_pem(input);
    assert_eq!(csr::from_pem(text.as_bytes()).as_deref(), Some(input), "a request is not kept: see");
    let found = csr::from_pem(input);
    if let Some(der) = &found {
        let again = csr::from_pem(csr::to_pem(der).as_bytes());
        assert_eq!(again.as_ref(), Some(der), "a request is another in its file: see");
    }
    let certificates = pem::read_certificates(input);
    assert!(certificates.as_ref().is_none_or(|chain| !chain.is_empty()), "a chain of none");
    sight(("text", found.map(|der| size(der.len())), certificates.map(|chain| chain.len().min(8))))
}

fn certificate(der: &[u8]) -> u64 {
    match Peer::from_chain(&[CertificateDer::from(der)]) {
        Err(error) => sight(("certificate", format!("{error:?}"))),
        Ok(peer) => {
            let uri = peer.name.uri(&peer.trust_domain);
            assert_eq!(MemberName::from_uri(&uri), Ok((peer.trust_domain, peer.name)), "another name: see");
            let holds_it = der.windows(uri.len()).any(|part| part == uri.as_bytes());
            assert!(holds_it, "a name that is not in the certificate: {uri}");
            sight(("certificate", peer.name.kind()))
        }
    }
}

/// The bytes as a new root, and as what vouches for it.
fn trust(der: &[u8]) -> u64 {
    let told = CertificateDer::from(der.to_vec());
    let trust = Trust { roots: vec![told.clone()], bridges: vec![told.clone()] };
    let judged = trust.judge(&TRUSTED);
    // What stands around a certificate's signed part may be spelled in several ways.
    let is_same_key = pem::pins(&[told]) == pem::pins(&TRUSTED);
    assert!(judged.is_err() || is_same_key, "a root that nobody has signed is believed");
    sight(("trust", judged.is_ok()))
}
