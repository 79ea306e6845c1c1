//! The CA's rotation: what is trusted in each phase, by whom, and why.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use chatcode_certs::{
    Authority, AuthorityError, CaOptions, Due, Identity, IdentityCell, IdentityError, Key, MemberName,
    Passphrase, RotationError, SealError, Trust, TrustError, change_passphrase, csr, export_root,
    import_root, sign_intermediate, snapshot, tls,
};
use chatcode_proto::{
    limits,
    pb::{CaPart, CaUse},
};
use common::{HOUR, Installation, handshake, id};

fn names(ca: &Authority) -> Vec<(CaPart, CaUse)> {
    ca.view().unwrap().certificates.iter().map(|one| (one.part, one.used)).collect()
}

/// A member and the core, each as it is, meet.
#[track_caller]
fn meet(one: &Installation, core: &Identity, member: &Identity) {
    let core = IdentityCell::new(core.clone()).unwrap();
    let client = tls::core_client(member, &[b"h2"]).unwrap();
    handshake(&client, &tls::core_listener(&core).unwrap(), &one.dns()).pair();
}

fn renew(one: &Installation, member: &Identity) -> Identity {
    let key = Key::generate().unwrap();
    let request = csr::verify(&csr::create(&key).unwrap()).unwrap();
    let issued = one.ca.issue(member.name(), &request, HOUR).unwrap();
    member.renewed(key, issued.chain, &one.ca.trust()).unwrap()
}

#[test]
fn every_member_meets_the_core_in_every_phase_also_one_that_was_away() {
    let one = Installation::new();
    let (first, away, old_core) = (one.ca.root_pin(), one.gateway(), one.core());
    one.ca.prepare_root().unwrap();
    assert_eq!(one.ca.root_pin(), first, "it is not used yet");
    let follows = renew(&one, &one.edge());
    assert_eq!(follows.pins(), one.ca.root_pins());
    meet(&one, &old_core, &follows);

    one.ca.activate_root().unwrap();
    assert_ne!(one.ca.root_pin(), first);
    let (core, enrolled) = (one.core(), one.admin());
    for member in [&away, &follows, &enrolled] {
        meet(&one, &core, member);
    }
    let pinned = tls::pinned_client(first);
    let cell = IdentityCell::new(core.clone()).unwrap();
    handshake(&pinned, &tls::core_listener(&cell).unwrap(), tls::UNKNOWN_CORE).pair();
    let back = renew(&one, &away);
    meet(&one, &core, &back);

    one.ca.retire_root().unwrap();
    let core = one.core();
    let follows = renew(&one, &follows);
    assert_eq!(follows.pins(), [one.ca.root_pin()], "the old root is trusted no more");
    meet(&one, &core, &follows);
    // One that slept through all of it trusts the old root alone: it knows the
    // core by the bridge, and its own certificate is not taken any more.
    let client = tls::nameless_client(&away).unwrap();
    let cell = IdentityCell::new(core).unwrap();
    handshake(&client, &tls::core_listener(&cell).unwrap(), &one.dns()).pair();
    let client = tls::core_client(&away, &[b"h2"]).unwrap();
    handshake(&client, &tls::core_listener(&cell).unwrap(), &one.dns()).refused_by_server();
    meet(&one, &one.core(), &renew(&one, &away));
}

#[test]
fn a_root_counts_only_when_a_trusted_one_has_signed_it() {
    let (one, other) = (Installation::new(), Installation::new());
    let member = one.gateway();
    other.ca.prepare_root().unwrap();
    one.ca.prepare_root().unwrap();
    let good = one.ca.trust();
    let unproven = |trust: &Trust| matches!(trust.judge(member.roots()), Err(TrustError::Unproven));
    assert!(unproven(&other.ca.trust()));
    assert!(unproven(&Trust { bridges: vec![], ..good.clone() }));
    assert!(unproven(&Trust { bridges: other.ca.trust().bridges, ..good.clone() }));
    let foreign = other.ca.trust().roots[1].clone();
    assert!(unproven(&Trust { roots: vec![good.roots[0].clone(), foreign], ..good.clone() }));
    // The intermediate signs members, not roots.
    let intermediate = member.chain()[1].clone();
    assert!(unproven(&Trust { roots: vec![intermediate.clone()], bridges: vec![intermediate] }));
    let many = Trust { roots: vec![good.roots[0].clone(); 3], bridges: vec![] };
    assert_eq!(many.judge(member.roots()), Err(TrustError::Count(3)));

    assert_eq!(good.judge(member.roots()).unwrap(), good.roots);
    assert_eq!(Trust::default().judge(member.roots()).unwrap(), member.roots());
    assert!(member.trusting(&Trust::default()).unwrap().is_none());
    assert_eq!(member.trusting(&good).unwrap().unwrap().pins(), one.ca.root_pins());
    let error = member.trusting(&other.ca.trust()).unwrap_err();
    assert!(matches!(error, IdentityError::Trust(TrustError::Unproven)));
}

#[test]
fn a_rotation_of_the_root_can_be_taken_back_until_it_is_retired() {
    let one = Installation::new();
    let (first, member) = (one.ca.root_pin(), one.gateway());
    one.ca.prepare_root().unwrap();
    assert!(matches!(one.ca.prepare_root(), Err(RotationError::Prepared(_))));
    one.ca.roll_back_root().unwrap();
    assert_eq!(one.ca.root_pins(), [first]);

    one.ca.prepare_root().unwrap();
    one.ca.activate_root().unwrap();
    assert!(matches!(one.ca.prepare_root(), Err(RotationError::NotRetired)));
    let (between, second) = (one.edge(), one.ca.root_pin());
    one.ca.roll_back_root().unwrap();
    assert_eq!((one.ca.root_pin(), one.ca.old_root()), (first, Some(second)));
    for member in [&member, &between, &one.admin()] {
        meet(&one, &one.core(), member);
    }
    one.ca.retire_root().unwrap();
    meet(&one, &one.core(), &renew(&one, &between));
    assert!(matches!(one.ca.roll_back_root(), Err(RotationError::NoWayBack(_))));
    assert!(matches!(one.ca.retire_root(), Err(RotationError::NothingOld(_))));
    assert!(matches!(one.ca.activate_root(), Err(RotationError::NotPrepared(_))));
}

#[test]
fn intermediates_follow_each_other_and_certificates_of_the_old_one_stay_good() {
    let one = Installation::new();
    let (before, pin) = (one.gateway(), one.ca.view().unwrap().certificates[1].pin);
    one.ca.prepare_intermediate().unwrap();
    one.ca.activate_intermediate().unwrap();
    assert_eq!(
        names(&one.ca),
        [
            (CaPart::Root, CaUse::Active),
            (CaPart::Intermediate, CaUse::Active),
            (CaPart::Intermediate, CaUse::Old)
        ]
    );
    let after = one.gateway();
    assert_ne!(before.chain()[1], after.chain()[1]);
    for member in [&before, &after] {
        meet(&one, &one.core(), member);
    }
    one.ca.roll_back_intermediate().unwrap();
    assert_eq!(one.gateway().chain()[1], before.chain()[1]);
    one.ca.roll_back_intermediate().unwrap();
    assert_eq!(one.gateway().chain()[1], after.chain()[1]);
    assert_eq!(one.ca.old_intermediates().unwrap().len(), 1);
    one.ca.retire_intermediate(&pin).unwrap();
    assert!(one.ca.old_intermediates().unwrap().is_empty());
    for _ in 0..limits::OLD_INTERMEDIATES + 2 {
        one.ca.prepare_intermediate().unwrap();
        one.ca.activate_intermediate().unwrap();
    }
    assert_eq!(one.ca.old_intermediates().unwrap().len(), limits::OLD_INTERMEDIATES);
}

#[test]
fn what_was_rotated_is_found_again_and_no_file_is_left_behind() {
    let one = Installation::new();
    one.ca.prepare_intermediate().unwrap();
    one.ca.prepare_root().unwrap();
    one.ca.activate_root().unwrap();
    let again = Authority::open_or_create(&one.home()).unwrap();
    assert_eq!((again.trust(), again.view().unwrap()), (one.ca.trust(), one.ca.view().unwrap()));
    one.ca.retire_root().unwrap();
    let again = Authority::open_or_create(&one.home()).unwrap();
    assert_eq!(names(&again), [(CaPart::Root, CaUse::Active), (CaPart::Intermediate, CaUse::Active)]);
    let ends: Vec<_> = fs::read_dir(one.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(ends.len(), 2 * 2 + 3, "two keys, two certificates, bridge, state, installation: {ends:?}");
}

#[test]
fn what_a_step_that_broke_off_left_behind_is_removed_and_a_lost_state_is_never_guessed() {
    let one = Installation::new();
    for left in ["root-9.key", "intermediate-9.pem", "root-9.bridge.pem"] {
        chatcode_certs::files::write_private(one.home().join(left), b"x").unwrap();
    }
    chatcode_certs::files::write_private(one.home().join("root-mine.txt"), b"x").unwrap();
    Authority::open_to_read(&one.home()).unwrap();
    let key = fs::read(one.home().join("root.key")).unwrap();
    chatcode_certs::files::write_private(one.home().join("root-9.key"), &key).unwrap();
    Authority::open_or_create(&one.home()).unwrap();
    assert_eq!(fs::read_dir(one.home()).unwrap().count(), 2 * 2 + 2 + 1, "and the file that is not ours");

    // A folder from before rotations has no state.
    fs::remove_file(one.home().join("state.pb")).unwrap();
    let ca = Authority::open_or_create(&one.home()).unwrap();
    ca.prepare_root().unwrap();
    ca.activate_root().unwrap();
    fs::remove_file(one.home().join("state.pb")).unwrap();
    let error = Authority::open_or_create(&one.home()).unwrap_err();
    assert!(
        matches!(error, AuthorityError::NotWhole { ref missing, .. } if missing == "state.pb"),
        "{error}"
    );
}

#[test]
fn an_intermediate_is_due_for_the_next_one_long_before_its_end() {
    let one = Installation::new();
    let now = one.gateway().validity_unix_s().start + limits::BACKDATE.as_secs();
    let half = limits::INTERMEDIATE_LIFE.as_secs() / 2 + 1;
    assert_eq!((one.ca.due(now), one.ca.due(now + half)), (Due::Nothing, Due::Prepare));
    one.ca.prepare_intermediate().unwrap();
    assert_eq!(one.ca.due(now + half), Due::Nothing);
    assert_eq!(one.ca.due(now + half * 4 / 3), Due::Activate);
}

#[test]
fn with_the_root_kept_elsewhere_an_intermediate_is_asked_for_by_a_file() {
    let (one, other) = (Installation::new(), Installation::new());
    let file = one.folder.path().join("root-offline");
    export_root(&one.home(), &file, true).unwrap();
    assert!(matches!(export_root(&one.home(), &file, true), Err(AuthorityError::NoRootKey(_))));
    let error = one.ca.prepare_intermediate().unwrap_err();
    assert!(error.to_string().contains("chatcode admin ca request"), "{error}");

    let request = one.ca.request_intermediate().unwrap();
    let again = csr::verify(&one.ca.request_intermediate().unwrap()).unwrap();
    assert_eq!(csr::verify(&request).unwrap().spki_sha256(), again.spki_sha256());
    let made = sign_intermediate(&file, None, &request).unwrap();
    let foreign = other.folder.path().join("root-offline");
    export_root(&other.home(), &foreign, false).unwrap();
    let unfit = |der| matches!(one.ca.import_intermediate(&der), Err(RotationError::Unfit(_)));
    assert!(unfit(sign_intermediate(&foreign, None, &request).unwrap()));
    let of_another = csr::create(&Key::generate().unwrap()).unwrap();
    assert!(unfit(sign_intermediate(&file, None, &of_another).unwrap()));
    let leaf = one.ca.issue(&MemberName::Edge(id()), &csr::verify(&request).unwrap(), HOUR).unwrap();
    assert!(unfit(leaf.chain[0].clone()));
    one.ca.import_intermediate(&made).unwrap();
    one.ca.activate_intermediate().unwrap();
    assert_eq!(one.gateway().chain()[1], made);
    assert!(matches!(one.ca.import_intermediate(&made), Err(RotationError::NotRequested)));

    assert!(matches!(import_root(&one.home(), &foreign, None), Err(AuthorityError::OtherRoot(_))));
    import_root(&one.home(), &file, None).unwrap();
    one.ca.prepare_intermediate().unwrap();
}

fn passphrase(folder: &Path, words: &str) -> Result<Passphrase, SealError> {
    let file = folder.join("passphrase");
    chatcode_certs::files::write_private(&file, words.as_bytes()).unwrap();
    Passphrase::read(&file)
}

fn open(one: &Installation, passphrase: Option<Passphrase>) -> Result<Authority, AuthorityError> {
    Authority::open_or_create_with(&one.home(), CaOptions { passphrase, ..CaOptions::default() })
}

#[test]
fn with_a_passphrase_no_key_of_the_ca_lies_open_also_none_that_did_before() {
    let one = Installation::new();
    let right = passphrase(one.folder.path(), "correct horse\n").unwrap();
    let ca = open(&one, Some(right.clone())).unwrap();
    ca.prepare_root().unwrap();
    ca.activate_root().unwrap();
    for entry in fs::read_dir(one.home()).unwrap() {
        let path = entry.unwrap().path();
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert!(!text.contains("-BEGIN PRIVATE"), "{}", path.display());
        assert_eq!(path.extension().is_some_and(|end| end == "key"), text.contains("ENCRYPTED"));
    }
    ca.identity(&MemberName::Gateway(id()), HOUR).unwrap().verify().unwrap();
    open(&one, Some(right)).unwrap();

    let without = open(&one, None).unwrap_err().to_string();
    assert!(without.contains("ca_passphrase_file"), "{without}");
    let wrong = passphrase(one.folder.path(), "battery staple").unwrap();
    assert!(!format!("{wrong:?}").contains("staple"));
    let wrong = open(&one, Some(wrong)).unwrap_err();
    assert!(matches!(wrong, AuthorityError::Sealed { why: SealError::Wrong, .. }), "{wrong}");
    let read = Authority::open_to_read(&one.home()).unwrap();
    assert_eq!(read.root_pin(), ca.root_pin());
    let request = csr::verify(&csr::create(&Key::generate().unwrap()).unwrap()).unwrap();
    let error = read.issue(&MemberName::Edge(id()), &request, HOUR).unwrap_err();
    assert!(matches!(error, AuthorityError::ReadOnly));
}

#[test]
fn a_passphrase_is_changed_and_taken_off_also_when_that_broke_off_before() {
    let one = Installation::new();
    let first = passphrase(one.folder.path(), "correct horse").unwrap();
    let second = passphrase(one.folder.path(), "battery staple").unwrap();
    open(&one, Some(first.clone())).unwrap();
    let before = fs::read(one.home().join("root.key")).unwrap();
    change_passphrase(&one.home(), Some(first.clone()), Some(second.clone())).unwrap();
    assert!(open(&one, Some(first.clone())).is_err());
    open(&one, Some(second.clone())).unwrap().prepare_intermediate().unwrap();
    // As if it had been cut off before the root's key.
    chatcode_certs::files::write_private(one.home().join("root.key"), &before).unwrap();
    change_passphrase(&one.home(), Some(first.clone()), Some(second.clone())).unwrap();
    open(&one, Some(second.clone())).unwrap().prepare_root().unwrap();
    let wrong = change_passphrase(&one.home(), Some(first), None).unwrap_err();
    assert!(matches!(wrong, AuthorityError::Sealed { .. }), "{wrong}");
    change_passphrase(&one.home(), Some(second), None).unwrap();
    open(&one, None).unwrap();
}

#[test]
fn a_passphrase_is_one_line_of_some_length_in_a_private_file() {
    let folder = tempfile::tempdir().unwrap();
    for bad in ["", "short", "two lines\nof words", &"x".repeat(1025)] {
        assert!(matches!(passphrase(folder.path(), bad), Err(SealError::Unfit(_))), "{bad:?}");
    }
    let missing = Passphrase::read(&folder.path().join("none"));
    assert!(matches!(missing, Err(SealError::NoFile(_))));
}

#[test]
fn a_cell_shows_the_new_identity_and_trust_from_the_next_handshake_on() {
    let one = Installation::new();
    let (core, member) = (one.core(), one.gateway());
    let (server, client) =
        (IdentityCell::new(core.clone()).unwrap(), IdentityCell::new(member.clone()).unwrap());
    let listener = tls::core_listener(&server).unwrap();
    let dialer = tls::living_client(&client, &[b"h2"]).unwrap();
    let seen = |chain: Option<&[rustls::pki_types::CertificateDer<'static>]>| chain.unwrap()[0].clone();
    let before = handshake(&dialer, &listener, &one.dns()).pair();
    assert_eq!(seen(before.server.peer_certificates()), member.chain()[0]);

    one.ca.prepare_root().unwrap();
    one.ca.activate_root().unwrap();
    let (core, member) = (one.core(), renew(&one, &member));
    server.put(core.clone()).unwrap();
    client.put(member.clone()).unwrap();
    let after = handshake(&dialer, &listener, &one.dns()).pair();
    assert_eq!(seen(after.server.peer_certificates()), member.chain()[0]);
    assert_eq!(seen(after.client.peer_certificates()), core.chain()[0]);
    one.ca.retire_root().unwrap();
    server.put(one.core()).unwrap();
    let stale = tls::core_client(&one.gateway(), &[b"h2"]).unwrap();
    handshake(&stale, &listener, &one.dns()).pair();
}

#[test]
fn a_short_intermediate_shortens_what_it_signs() {
    let one = Installation::new();
    let short = CaOptions { intermediate_life: Duration::from_secs(10), ..CaOptions::default() };
    let ca = Authority::open_or_create_with(&one.home(), short).unwrap();
    ca.prepare_intermediate().unwrap();
    ca.activate_intermediate().unwrap();
    let leaf = ca.identity(&MemberName::Edge(id()), HOUR).unwrap().validity_unix_s();
    assert!(leaf.end - leaf.start <= limits::BACKDATE.as_secs() + 10, "{leaf:?}");
}

#[test]
fn a_copy_of_the_folder_is_whole_whatever_step_is_made_meanwhile() {
    let one = Installation::new();
    let ca = one.folder.path().join("ca");
    let is_over = AtomicBool::new(false);
    let steps = || {
        let mut steps = 0;
        while !is_over.load(Ordering::Relaxed) {
            one.ca.prepare_root().unwrap();
            one.ca.roll_back_root().unwrap();
            one.ca.prepare_intermediate().unwrap();
            one.ca.activate_intermediate().unwrap();
            steps += 4;
        }
        steps
    };
    let copies = || {
        for _ in 0..25 {
            let files = snapshot(&ca).unwrap();
            let elsewhere = tempfile::tempdir().unwrap();
            let copy = elsewhere.path().join("ca");
            chatcode_certs::files::private_dir(&copy).unwrap();
            for (name, bytes) in &files {
                chatcode_certs::files::write_private(copy.join(name), bytes).unwrap();
            }
            // Nothing of it is missing, and nothing too much is swept away.
            let again = Authority::open_or_create(&copy).unwrap();
            assert_eq!(snapshot(&copy).unwrap().len(), files.len());
            assert_eq!(again.root_pin(), one.ca.root_pin());
            assert!(Authority::open_to_read(&ca).is_ok(), "and so is what is read beside the core");
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let steps = thread::scope(|scope| {
        let (steps, copies) = (scope.spawn(steps), scope.spawn(copies));
        let copied = copies.join();
        is_over.store(true, Ordering::Relaxed);
        copied.unwrap();
        steps.join().unwrap()
    });
    assert!(steps > 4, "steps were made meanwhile");
}
