//! The CA and identities in their folders.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use chatcode_certs::{
    Authority, AuthorityError, Identity, IdentityError, Key, MemberName, Peer, csr, files::FilesError, tls,
};
use chatcode_proto::limits;
use common::{HOUR, Installation, id};
use x509_parser::prelude::{FromDer as _, X509Certificate};

fn chmod(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_ca_stays_the_same_when_it_is_opened_again() {
    let first = Installation::new();
    let again = Authority::open_or_create(&first.home()).unwrap();
    assert_eq!(again.root_pin(), first.ca.root_pin());
    assert_eq!(again.roots(), first.ca.roots());
    assert_eq!(again.trust_domain(), first.ca.trust_domain());
    assert_ne!(Installation::new().ca.root_pin(), first.ca.root_pin());
}

#[test]
fn the_root_key_can_be_taken_away() {
    let one = Installation::new();
    fs::remove_file(one.home().join("root.key")).unwrap();
    let again = Authority::open_or_create(&one.home()).unwrap();
    again.identity(&MemberName::Gateway(id()), HOUR).unwrap().verify().unwrap();
}

#[test]
fn every_file_of_the_ca_is_private_and_a_looser_one_stops_the_start() {
    let one = Installation::new();
    let files = ["root.key", "root.pem", "intermediate.key", "intermediate.pem", "installation", "state.pb"];
    assert_eq!(fs::read_dir(one.home()).unwrap().count(), files.len());
    for name in files {
        let file = one.home().join(name);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600, "{name}");
        chmod(&file, 0o644);
        let said = Authority::open_or_create(&one.home()).unwrap_err().to_string();
        assert!(said.ends_with(&format!("chmod 600 {}", file.display())), "{said}");
        chmod(&file, 0o600);
    }
    chmod(&one.home(), 0o755);
    let said = Authority::open_or_create(&one.home()).unwrap_err().to_string();
    assert!(said.ends_with(&format!("chmod 700 {}", one.home().display())), "{said}");
}

#[test]
fn a_ca_is_never_made_anew_over_remains() {
    for name in ["root.pem", "intermediate.key", "intermediate.pem", "installation"] {
        let one = Installation::new();
        fs::remove_file(one.home().join(name)).unwrap();
        let error = Authority::open_or_create(&one.home()).unwrap_err();
        assert!(matches!(error, AuthorityError::NotWhole { ref missing, .. } if missing == name), "{error}");

        fs::write(one.home().join(name), "garbage").unwrap();
        chmod(&one.home().join(name), 0o600);
        let error = Authority::open_or_create(&one.home()).unwrap_err();
        assert!(matches!(error, AuthorityError::Damaged { .. }), "{name}: {error}");
    }
}

#[test]
fn a_ca_whose_making_was_cut_off_is_made_anew() {
    tls::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("ca");
    fs::create_dir(folder.path().join("ca.new")).unwrap();
    fs::write(folder.path().join("ca.new/root.key"), "half").unwrap();
    Authority::open_or_create(&home).unwrap();
    assert!(!folder.path().join("ca.new").exists());
}

#[test]
fn a_certificate_says_what_its_member_may_be_and_no_more() {
    let one = Installation::new();
    for (name, is_server) in [
        (MemberName::Core(id()), true),
        (MemberName::Gateway(id()), false),
        (MemberName::Edge(id()), false),
        (MemberName::Admin(id()), false),
    ] {
        let key = Key::generate().unwrap();
        let request = csr::verify(&csr::create(&key).unwrap()).unwrap();
        let issued = one.ca.issue(&name, &request, HOUR).unwrap();
        let peer = Peer::from_chain(&issued.chain).unwrap();
        assert_eq!((peer.name, &peer.trust_domain), (name, one.ca.trust_domain()));
        assert_eq!((&peer.serial, peer.spki_sha256), (&issued.serial, key.spki_sha256()));
        assert_eq!(issued.serial.as_str().len(), 32);

        let (_, leaf) = X509Certificate::from_der(&issued.chain[0]).unwrap();
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert_eq!((usage.client_auth, usage.server_auth, usage.any), (true, is_server, false));
        assert!(!leaf.is_ca());
        let validity = leaf.validity();
        let length = validity.not_after.timestamp() - validity.not_before.timestamp();
        assert_eq!(length as u64, HOUR.as_secs() + limits::BACKDATE.as_secs());
        assert_eq!(validity.not_after.timestamp() as u64, issued.not_after_unix_s);
    }
}

#[test]
fn no_two_certificates_share_a_serial_and_none_outlives_the_intermediate() {
    let one = Installation::new();
    let request = csr::verify(&csr::create(&Key::generate().unwrap()).unwrap()).unwrap();
    let name = MemberName::Edge(id());
    let first = one.ca.issue(&name, &request, Duration::from_secs(u64::MAX)).unwrap();
    let second = one.ca.issue(&name, &request, HOUR).unwrap();
    assert_ne!(first.serial, second.serial);
    let (_, intermediate) = X509Certificate::from_der(&first.chain[1]).unwrap();
    assert_eq!(first.not_after_unix_s, intermediate.validity().not_after.timestamp() as u64);
    assert!(one.ca.issue(&name, &request, Duration::ZERO).is_err());
}

#[test]
fn an_identity_survives_its_folder() {
    let one = Installation::new();
    let home = one.folder.path().join("identity");
    assert!(Identity::load(&home).unwrap().is_none());
    let mine = one.gateway();
    mine.save(&home).unwrap();
    let back = Identity::load(&home).unwrap().unwrap();
    assert_eq!((back.name(), back.trust_domain()), (mine.name(), mine.trust_domain()));
    assert_eq!((back.chain(), back.roots(), back.serial()), (mine.chain(), mine.roots(), mine.serial()));
    back.verify().unwrap();
    assert!(back.trusts(&one.ca.root_pin()) && !back.trusts(&[0; 32]));

    let other = one.gateway();
    other.save(&home).unwrap();
    assert_eq!(Identity::load(&home).unwrap().unwrap().name(), other.name());
}

#[test]
fn an_identity_that_others_can_read_is_refused() {
    let one = Installation::new();
    let home = one.folder.path().join("identity");
    one.gateway().save(&home).unwrap();
    let file = home.join("identity.pem");
    chmod(&file, 0o660);
    let error = Identity::load(&home).unwrap_err();
    assert!(matches!(error, IdentityError::Files(FilesError::Loose { .. })), "{error}");
    chmod(&file, 0o600);
    chmod(&home, 0o711);
    assert!(Identity::load(&home).unwrap_err().to_string().contains("chmod 700 "));
}

#[test]
fn an_identity_that_does_not_hold_together_is_refused() {
    let (one, other) = (Installation::new(), Installation::new());
    let chain = one.gateway().chain().to_vec();
    let foreign_key = Identity::new(Key::generate().unwrap(), chain, one.ca.roots()).unwrap_err();
    assert!(matches!(foreign_key, IdentityError::ForeignKey));

    let key = Key::generate().unwrap();
    let request = csr::verify(&csr::create(&key).unwrap()).unwrap();
    let chain = one.ca.issue(&MemberName::Gateway(id()), &request, HOUR).unwrap().chain;
    let foreign_roots = Identity::new(key.clone(), chain.clone(), other.ca.roots()).unwrap();
    assert!(matches!(foreign_roots.verify(), Err(IdentityError::NotTrusted(_))));
    assert!(matches!(Identity::new(key.clone(), chain, vec![]), Err(IdentityError::Count)));
    assert!(matches!(Identity::new(key, vec![], one.ca.roots()), Err(IdentityError::Count)));
}

#[test]
fn debug_never_shows_a_key() {
    let one = Installation::new();
    let home = one.folder.path().join("identity");
    let mine = one.gateway();
    mine.save(&home).unwrap();
    let text = fs::read_to_string(home.join("identity.pem")).unwrap();
    let body: String = text.lines().skip(1).take_while(|line| !line.starts_with("--")).collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap();
    // The private scalar stands at the same place in every P-256 key of PKCS #8.
    let scalar = &der[36..68];
    let shown = format!("{mine:?} {:?} {:?}", one.ca, Key::generate().unwrap());
    assert!(shown.contains("Key(..)"), "{shown}");
    let list = scalar.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let hex: String = scalar.iter().map(|b| format!("{b:02x}")).collect();
    assert!(!shown.contains(&list) && !shown.contains(&hex));
}
