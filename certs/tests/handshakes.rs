//! What every listener and every client of ours takes and refuses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{sync::Arc, time::Duration};

use chatcode_certs::{Identity, IdentityCell, Peer, tls};
use common::{HOUR, Installation, handshake, id};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose as Usage, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SigningKey,
};
use rustls::{
    CertificateError, ClientConfig, Error, HandshakeKind, NamedGroup, RootCertStore, ServerConfig,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::ServerSessionMemoryCache,
};

fn cell(identity: &Identity) -> Arc<IdentityCell> {
    IdentityCell::new(identity.clone()).unwrap()
}

fn listeners(core: &Identity) -> [(&'static str, Arc<ServerConfig>); 2] {
    [("core", tls::core_listener(&cell(core)).unwrap()), ("link", tls::link_listener(&cell(core)).unwrap())]
}

fn client(identity: &Identity, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    tls::core_client(identity, alpn).unwrap()
}

const BOTH: &[&[u8]] = &[b"h2", b"chatcode-link/1"];

#[test]
fn members_and_the_core_know_each_other_by_name() {
    let one = Installation::new();
    let core = one.core();
    for member in [one.gateway(), one.edge(), one.admin()] {
        let pair =
            handshake(&client(&member, &[b"h2"]), &tls::core_listener(&cell(&core)).unwrap(), &one.dns())
                .pair();
        let seen = Peer::from_chain(pair.server.peer_certificates().unwrap()).unwrap();
        assert_eq!((&seen.name, &seen.serial), (member.name(), member.serial()));
        let seen = Peer::from_chain(pair.client.peer_certificates().unwrap()).unwrap();
        assert_eq!(&seen.name, core.name());
        assert_eq!(pair.client.alpn_protocol(), Some(b"h2".as_slice()));
    }
}

#[test]
fn the_group_is_post_quantum_on_every_listener() {
    let one = Installation::new();
    let core = one.core();
    let mut pairs = vec![];
    for (_, listener) in listeners(&core) {
        pairs.push(handshake(&client(&one.gateway(), BOTH), &listener, &one.dns()).pair());
    }
    let pinned = tls::pinned_client(one.ca.root_pin());
    pairs.push(handshake(&pinned, &tls::core_listener(&cell(&core)).unwrap(), tls::UNKNOWN_CORE).pair());
    for pair in pairs {
        let group = pair.server.negotiated_key_exchange_group().unwrap();
        assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
        assert_eq!(pair.client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    }
}

#[test]
fn a_browser_listener_is_post_quantum_too_and_its_key_is_private() {
    use std::{fs, os::unix::fs::PermissionsExt as _};
    let one = Installation::new();
    let (cert, key) = (one.folder.path().join("web.pem"), one.folder.path().join("web.key"));
    let pair = rcgen::generate_simple_self_signed(vec!["chat.example".to_owned()]).unwrap();
    fs::write(&cert, pair.cert.pem()).unwrap();
    fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(tls::browser_listener(&cert, &key).unwrap_err().to_string().contains("chmod 600"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let listener = tls::browser_listener(&cert, &key).unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    let mut browser = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    browser.alpn_protocols = vec![b"http/1.1".to_vec()];
    let pair = handshake(&Arc::new(browser), &listener, "chat.example").pair();
    let group = pair.server.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
    assert!(tls::browser_listener(&key, &cert).is_err());
}

/// A client of ours that, against our rules, keeps tickets and sends early.
fn eager(member: &Identity) -> Arc<ClientConfig> {
    let mut config = (*client(member, BOTH)).clone();
    config.resumption = Resumption::in_memory_sessions(8);
    config.enable_early_data = true;
    Arc::new(config)
}

#[test]
fn no_listener_that_reads_certificates_ever_resumes() {
    let one = Installation::new();
    let (core, gateway) = (one.core(), one.gateway());
    for (which, listener) in listeners(&core) {
        assert!(!listener.session_storage.can_cache() && !listener.ticketer.enabled(), "{which}");
        let eager = eager(&gateway);
        for round in 0..3 {
            let mut pair = handshake(&eager, &listener, &one.dns()).pair();
            assert_eq!(pair.server.handshake_kind(), Some(HandshakeKind::Full), "{which} {round}");
            assert_eq!(pair.client.tls13_tickets_received(), 0, "{which} {round}");
            assert!(pair.client.early_data().is_none() && pair.server.early_data().is_none());
        }
    }
}

#[test]
fn the_test_above_would_see_a_resumption() {
    let one = Installation::new();
    let mut careless = (*tls::core_listener(&cell(&one.core())).unwrap()).clone();
    careless.session_storage = ServerSessionMemoryCache::new(8);
    careless.send_tls13_tickets = 2;
    careless.max_early_data_size = u32::MAX;
    let (careless, eager) = (Arc::new(careless), eager(&one.gateway()));
    handshake(&eager, &careless, &one.dns()).pair();
    let pair = handshake(&eager, &careless, &one.dns()).pair();
    assert_eq!(pair.server.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn clients_of_ours_never_resume_whatever_the_server_offers() {
    let one = Installation::new();
    let mut careless = (*tls::core_listener(&cell(&one.core())).unwrap()).clone();
    careless.session_storage = ServerSessionMemoryCache::new(8);
    careless.send_tls13_tickets = 2;
    let careless = Arc::new(careless);
    let clients = [
        (client(&one.gateway(), BOTH), one.dns()),
        (tls::pinned_client(one.ca.root_pin()), tls::UNKNOWN_CORE.to_owned()),
    ];
    for (client, name) in clients {
        for _ in 0..2 {
            let pair = handshake(&client, &careless, &name).pair();
            assert_eq!(pair.client.handshake_kind(), Some(HandshakeKind::Full));
        }
    }
}

#[test]
fn links_are_for_gateways_only_and_the_core_also_takes_those_without_a_certificate() {
    let one = Installation::new();
    let core = one.core();
    let (grpc, link) = (tls::core_listener(&cell(&core)).unwrap(), tls::link_listener(&cell(&core)).unwrap());
    for member in [one.edge(), one.admin(), one.core()] {
        let refused = handshake(&client(&member, BOTH), &link, &one.dns()).refused_by_server();
        assert!(matches!(refused, Error::InvalidCertificate(_)), "{refused}");
    }
    let mut nobody = ClientConfig::builder().with_root_certificates(roots_of(&one)).with_no_client_auth();
    nobody.alpn_protocols = BOTH.iter().map(|p| p.to_vec()).collect();
    let nobody = Arc::new(nobody);
    let refused = handshake(&nobody, &link, &one.dns()).refused_by_server();
    assert_eq!(refused, Error::NoCertificatesPresented);
    let pair = handshake(&nobody, &grpc, &one.dns()).pair();
    assert!(pair.server.peer_certificates().is_none());
}

fn roots_of(one: &Installation) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(one.ca.roots()[0].clone()).unwrap();
    roots
}

/// The parameters of a leaf as the CA would sign it.
fn leaf(one: &Installation, kind: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + (now - Duration::from_secs(60));
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + (now + HOUR);
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![Usage::ClientAuth];
    params.subject_alt_names = vec![uri(&format!("spiffe://{}/{kind}/{}", one.ca.trust_domain(), id()))];
    params
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.to_owned().try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.to_owned().try_into().unwrap())
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

/// A client with this chain, as an attacker would write one.
fn attacker(one: &Installation, chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots_of(one))
        .with_client_auth_cert(chain, private(key))
        .unwrap();
    config.alpn_protocols = BOTH.iter().map(|p| p.to_vec()).collect();
    Arc::new(config)
}

/// Signs these parameters for a new key, by the true intermediate.
fn signed(one: &Installation, params: &CertificateParams) -> (Vec<CertificateDer<'static>>, KeyPair) {
    signed_by(one, params, &one.stolen_issuer())
}

fn signed_by(
    one: &Installation,
    params: &CertificateParams,
    issuer: &Issuer<'_, impl SigningKey>,
) -> (Vec<CertificateDer<'static>>, KeyPair) {
    let key = key();
    let leaf = params.signed_by(&key, issuer).unwrap();
    (vec![leaf.into(), one.intermediate()], key)
}

#[track_caller]
fn refused_everywhere(what: &str, one: &Installation, (chain, key): (Vec<CertificateDer<'static>>, KeyPair)) {
    let core = one.core();
    for (which, listener) in listeners(&core) {
        let outcome = handshake(&attacker(one, chain.clone(), &key), &listener, &one.dns());
        let refused = outcome.refused_by_server();
        assert!(matches!(refused, Error::InvalidCertificate(_)), "{what} at {which}: {refused}");
    }
}

#[test]
fn the_attacks_below_fail_for_their_reason_and_not_for_another() {
    let one = Installation::new();
    let core = one.core();
    let (chain, key) = signed(&one, &leaf(&one, "gateway"));
    for (_, listener) in listeners(&core) {
        handshake(&attacker(&one, chain.clone(), &key), &listener, &one.dns()).pair();
    }
}

#[test]
fn chains_that_do_not_lead_to_our_root_are_refused() {
    let (one, other) = (Installation::new(), Installation::new());
    // Right name, signed by itself.
    let own = key();
    let alone = leaf(&one, "gateway").self_signed(&own).unwrap();
    refused_everywhere("self-signed", &one, (vec![alone.into()], own));
    // The same, with our intermediate behind it and the issuer's name copied.
    let mut copied = leaf(&one, "gateway");
    copied.distinguished_name = rcgen::DistinguishedName::new();
    copied.distinguished_name.push(
        rcgen::DnType::CommonName,
        format!("chatcode {} intermediate", one.ca.trust_domain().installation()),
    );
    let own = key();
    let alone = copied.self_signed(&own).unwrap();
    refused_everywhere("copied name", &one, (vec![alone.into(), one.intermediate()], own));
    // Right name, signed by another installation.
    let foreign = signed_by(&other, &leaf(&one, "gateway"), &other.stolen_issuer());
    refused_everywhere("foreign CA", &one, foreign);
    // Right name, signed by a root with the same names and another key.
    let mut fake_root = CertificateParams::default();
    fake_root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fake_root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let fake_key = key();
    let fake_der = fake_root.self_signed(&fake_key).unwrap();
    let own = key();
    let fake = leaf(&one, "gateway").signed_by(&own, &Issuer::new(fake_root, fake_key)).unwrap();
    refused_everywhere("fake root", &one, (vec![fake.into(), fake_der.into()], own));
}

#[test]
fn a_member_cannot_sign_for_others() {
    let one = Installation::new();
    // The leaf and its key are the attacker's own and genuine.
    let (genuine, member_key) = signed(&one, &leaf(&one, "gateway"));
    let issuer = Issuer::from_ca_cert_der(&genuine[0], member_key).unwrap();
    let own = key();
    let forged = leaf(&one, "gateway").signed_by(&own, &issuer).unwrap();
    let chain = [vec![CertificateDer::from(forged)], genuine].concat();
    refused_everywhere("leaf as issuer", &one, (chain, own));

    // The intermediate may sign members, no further intermediates.
    let mut sub = CertificateParams::default();
    sub.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    sub.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let sub_key = key();
    let sub_der = sub.signed_by(&sub_key, &one.stolen_issuer()).unwrap();
    let own = key();
    let deep = leaf(&one, "gateway").signed_by(&own, &Issuer::new(sub, sub_key)).unwrap();
    refused_everywhere("too deep", &one, (vec![deep.into(), sub_der.into(), one.intermediate()], own));
}

#[test]
fn certificates_for_another_use_or_time_are_refused() {
    let one = Installation::new();
    let mut server_only = leaf(&one, "gateway");
    server_only.extended_key_usages = vec![Usage::ServerAuth];
    refused_everywhere("server only", &one, signed(&one, &server_only));
    let mut is_ca = leaf(&one, "gateway");
    is_ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    refused_everywhere("a CA as member", &one, signed(&one, &is_ca));
    let mut ended = leaf(&one, "gateway");
    ended.not_after = ended.not_before + Duration::from_secs(30);
    refused_everywhere("ended", &one, signed(&one, &ended));
    let mut early = leaf(&one, "gateway");
    early.not_before = early.not_after - Duration::from_secs(30);
    refused_everywhere("not yet", &one, signed(&one, &early));
}

#[test]
fn certificates_without_exactly_one_name_of_ours_are_refused() {
    let one = Installation::new();
    let domain = one.ca.trust_domain().to_string();
    let good = format!("spiffe://{domain}/gateway/{}", id());
    let email = SanType::Rfc822Name("a@b.example".to_owned().try_into().unwrap());
    for (what, names) in [
        ("no name", vec![]),
        ("DNS only", vec![dns("gateway.example")]),
        ("two URIs", vec![uri(&good), uri(&good)]),
        ("a second URI", vec![uri(&good), uri(&format!("spiffe://{domain}/admin/{}", id()))]),
        ("a DNS name more", vec![uri(&good), dns("gateway.example")]),
        ("the core's DNS name", vec![uri(&good), dns(&one.dns())]),
        ("an address more", vec![uri(&good), SanType::IpAddress([127, 0, 0, 1].into())]),
        ("an e-mail more", vec![uri(&good), email]),
        ("another installation", vec![uri(&good.replace(&domain, "00000000.chatcode.internal"))]),
        ("another scheme", vec![uri(&good.replace("spiffe", "https"))]),
        ("an unknown kind", vec![uri(&good.replace("gateway", "root"))]),
        ("upper case", vec![uri(&good.to_uppercase())]),
        ("a path more", vec![uri(&format!("{good}/x"))]),
        ("a core without its DNS name", vec![uri(&good.replace("gateway", "core"))]),
    ] {
        let mut params = leaf(&one, "gateway");
        params.subject_alt_names = names;
        refused_everywhere(what, &one, signed(&one, &params));
    }
}

/// A server with this chain, as an attacker would write one.
fn impostor(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Arc<ServerConfig> {
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private(key)).unwrap();
    config.alpn_protocols = BOTH.iter().map(|p| p.to_vec()).collect();
    Arc::new(config)
}

fn core_leaf(one: &Installation) -> CertificateParams {
    let mut params = leaf(one, "core");
    params.extended_key_usages = vec![Usage::ServerAuth, Usage::ClientAuth];
    params.subject_alt_names.push(dns(&one.dns()));
    params
}

#[test]
fn clients_take_only_a_core_of_their_installation() {
    let (one, other) = (Installation::new(), Installation::new());
    let root = one.ca.roots()[0].clone();
    let pinned = tls::pinned_client(one.ca.root_pin());
    let mine = client(&one.gateway(), BOTH);
    // A program that knows the roots and has no certificate.
    let rooted = tls::rooted_client(&one.ca.roots(), one.ca.trust_domain()).unwrap();

    let (mut chain, key) = signed(&one, &core_leaf(&one));
    chain.push(root.clone());
    for client in [&mine, &rooted] {
        handshake(client, &impostor(chain.clone(), &key), &one.dns()).pair();
    }
    handshake(&pinned, &impostor(chain, &key), tls::UNKNOWN_CORE).pair();

    let gateway = leaf(&one, "gateway");
    let mut gateway_as_server = core_leaf(&one);
    gateway_as_server.subject_alt_names =
        vec![uri(&format!("spiffe://{}/gateway/{}", one.ca.trust_domain(), id())), dns(&one.dns())];
    let mut client_only = core_leaf(&one);
    client_only.extended_key_usages = vec![Usage::ClientAuth];
    let mut elsewhere = core_leaf(&one);
    elsewhere.subject_alt_names[1] = dns("core.00000000.chatcode.internal");
    let mut ended = core_leaf(&one);
    ended.not_after = ended.not_before + Duration::from_secs(30);
    let own = common_self_signed(&core_leaf(&one));
    for (what, (mut chain, key)) in [
        ("a gateway", signed(&one, &gateway)),
        ("a gateway with the core's DNS name", signed(&one, &gateway_as_server)),
        ("a core that may not serve", signed(&one, &client_only)),
        ("a core under another name", signed(&one, &elsewhere)),
        ("an ended core", signed(&one, &ended)),
        ("another CA", signed_by(&other, &core_leaf(&one), &other.stolen_issuer())),
        ("self-signed", own),
    ] {
        chain.push(root.clone());
        let server = impostor(chain, &key);
        let pinned = (&pinned, tls::UNKNOWN_CORE.to_owned());
        for (client, name) in [(&mine, one.dns()), (&rooted, one.dns()), pinned] {
            let refused = handshake(client, &server, &name).refused_by_client();
            assert!(matches!(refused, Error::InvalidCertificate(_)), "{what}: {refused}");
        }
    }
    // A genuine core of another installation.
    let foreign = tls::core_listener(&cell(&other.core())).unwrap();
    for client in [&mine, &rooted] {
        handshake(client, &foreign, &one.dns()).refused_by_client();
        handshake(client, &foreign, &other.dns()).refused_by_client();
    }
    // One that knows its root, but means another installation.
    let mixed = tls::rooted_client(&other.ca.roots(), one.ca.trust_domain()).unwrap();
    handshake(&mixed, &foreign, &other.dns()).refused_by_client();
}

#[test]
fn a_page_is_trusted_by_the_file_that_a_person_names_and_by_no_other() {
    let one = Installation::new();
    let files = ["mine.pem", "other.pem", "none.pem"].map(|name| one.folder.path().join(name));
    let made = || rcgen::generate_simple_self_signed(vec!["chat.example".to_owned()]).unwrap();
    let (mine, other) = (made(), made());
    for (file, text) in files.iter().zip([mine.cert.pem(), other.cert.pem(), "nothing".to_owned()]) {
        std::fs::write(file, text).unwrap();
    }
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(mine.signing_key.serialize_der()));
    let mut server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![mine.cert.der().clone()], key)
        .unwrap();
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    let server = Arc::new(server);
    let trusting = |file: &std::path::Path| tls::web_client_by(file);
    handshake(&trusting(&files[0]).unwrap(), &server, "chat.example").pair();
    handshake(&trusting(&files[0]).unwrap(), &server, "other.example").refused_by_client();
    handshake(&trusting(&files[1]).unwrap(), &server, "chat.example").refused_by_client();
    assert!(trusting(&files[2]).unwrap_err().to_string().contains("no certificate"));
    assert!(trusting(&one.folder.path().join("missing.pem")).is_err());
}

fn common_self_signed(params: &CertificateParams) -> (Vec<CertificateDer<'static>>, KeyPair) {
    let key = key();
    let leaf = params.self_signed(&key).unwrap();
    (vec![leaf.into()], key)
}

#[test]
fn a_pin_of_another_core_is_noticed_before_anything_is_sent() {
    let (one, other) = (Installation::new(), Installation::new());
    let pinned = tls::pinned_client(one.ca.root_pin());
    let listener = tls::core_listener(&cell(&other.core())).unwrap();
    let refused = handshake(&pinned, &listener, tls::UNKNOWN_CORE).refused_by_client();
    let Error::InvalidCertificate(CertificateError::Other(why)) = refused else { panic!("{refused}") };
    assert_eq!(why.0.downcast_ref(), Some(&tls::PinMismatch));

    // The listener of links does not show its root: nothing to pin.
    let link = tls::link_listener(&cell(&one.core())).unwrap();
    let mut with_alpn = (*pinned).clone();
    with_alpn.alpn_protocols = vec![tls::LINK_ALPN.to_vec()];
    handshake(&Arc::new(with_alpn), &link, tls::UNKNOWN_CORE).refused_by_client();
}
