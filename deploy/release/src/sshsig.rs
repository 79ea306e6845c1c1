//! The signature in OpenSSH's format, for machines that have `ssh-keygen` and
//! no OpenSSL that knows Ed25519.

use aws_lc_rs::digest::{SHA512, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::key::{KeyError, PublicKey, SigningKey};

/// What signatures of releases are for; `ssh-keygen` is told the same.
pub const NAMESPACE: &str = "chatcode-release";
const MAGIC: &[u8] = b"SSHSIG";
const KIND: &[u8] = b"ssh-ed25519";
/// Characters of a line.
const LINE: usize = 70;

/// The signature over `message`, armoured.
///
/// # Errors
/// Never, for a key of this kind.
pub fn sign(key: &SigningKey, message: &[u8]) -> Result<String, KeyError> {
    let hash = digest(&SHA512, message);
    let mut signed = MAGIC.to_vec();
    for part in [NAMESPACE.as_bytes(), b"", b"sha512", hash.as_ref()] {
        put(&mut signed, part);
    }
    let signature = blob(&key.sign(&signed));
    let mut whole = MAGIC.to_vec();
    whole.extend(1_u32.to_be_bytes());
    for part in [&*blob(key.public()?.bytes()), NAMESPACE.as_bytes(), b"", b"sha512", &signature] {
        put(&mut whole, part);
    }
    let text = STANDARD.encode(whole);
    let lines: Vec<&str> =
        text.as_bytes().chunks(LINE).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    Ok(format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n")))
}

/// The line of the key for a file of allowed signers.
#[must_use]
pub fn allowed_signer(key: &PublicKey) -> String {
    format!("release namespaces=\"{NAMESPACE}\" ssh-ed25519 {}\n", STANDARD.encode(blob(key.bytes())))
}

/// The key's kind and what is the key's.
fn blob(bytes: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    put(&mut blob, KIND);
    put(&mut blob, bytes);
    blob
}

fn put(into: &mut Vec<u8>, part: &[u8]) {
    // Nothing here comes near 4 GiB.
    into.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    into.extend(part);
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Write as _,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn ssh_keygen_takes_the_signature_and_refuses_it_for_other_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (key, _) = SigningKey::generate().expect("a key");
        let (signature, signers) = (folder.path().join("sig"), folder.path().join("signers"));
        fs::write(&signature, sign(&key, b"the manifest\n").expect("signs")).expect("is written");
        fs::write(&signers, allowed_signer(&key.public().expect("is one"))).expect("is written");
        let verify = |message: &[u8]| {
            let mut child = Command::new("ssh-keygen")
                .args(["-Y", "verify", "-I", "release", "-n", NAMESPACE, "-f"])
                .arg(&signers)
                .arg("-s")
                .arg(&signature)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("ssh-keygen (openssh-client) is installed");
            child.stdin.take().expect("is piped").write_all(message).expect("is written");
            child.wait().expect("ends").success()
        };
        assert!(verify(b"the manifest\n"));
        assert!(!verify(b"another manifest\n"));
    }
}
