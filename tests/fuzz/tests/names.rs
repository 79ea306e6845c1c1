//! Any text as a name: of a member in a certificate, of an installation, a network, a
//! label, or of something that people call by it. What is taken has one spelling, and
//! what is shown steers nothing.
#![expect(clippy::expect_used, reason = "what a target needs and does not get fails it")]

use chatcode_certs::{MemberName, TrustDomain};
use chatcode_fuzz::{Target, lines, sight, size};
use chatcode_link::network::Network;
use chatcode_proto::{
    id::{GatewayId, MemberId, SessionId},
    install_line::{Voucher, install_line},
    label, name,
};

const TARGET: Target = Target { name: "names", words: WORDS, usual: 10_000, case };
const WORDS: &[&[u8]] = &[
    b"spiffe://",
    b"0a1b2c3d.chatcode.internal",
    b"/gateway/",
    b"/edge/",
    b"/core/",
    b"/admin/",
    b"6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11",
    b"/",
    b"//",
    b"..",
    b"%2e",
    b"?",
    b"#",
    b"@",
    b":",
    b"=",
    b"\n",
    b"\0",
    b" ",
    b"\xe2\x80\xae",
    b"\xe2\x81\xa6",
    b"\xc2\x9b",
    b"\x1b[2J",
    b"\xc3\xa9",
    b"10.0.0.0/8",
    b"::ffff:192.0.2.1",
    b"2001:db8::/32",
    b"/33",
    b"/129",
    b"https://",
    b"$(id)",
    b"'",
];

#[test]
fn any_text_is_a_name_in_one_spelling_or_none() {
    chatcode_fuzz::run(&TARGET, Vec::new());
}

fn case(input: &[u8]) -> Vec<u64> {
    let lines = lines(input);
    let mut sights: Vec<u64> = lines.iter().flat_map(|line| one(line)).collect();
    if let [origin, release, core, ..] = lines.as_slice() {
        sights.push(sight(("line", line_of(origin, release, core))));
    }
    sights
}

fn one(text: &str) -> Vec<u64> {
    vec![
        sight(("member", member(text))),
        sight(("id", ids(text))),
        sight(("network", network(text))),
        sight(("label", labels(text))),
        sight(("name", shown(text))),
    ]
}

fn member(text: &str) -> Option<&'static str> {
    if let Ok(domain) = text.parse::<TrustDomain>() {
        assert_eq!(domain.to_string(), text, "an installation has another spelling: see");
        assert_eq!(TrustDomain::of_installation(domain.installation()), Ok(domain), "another: see");
    }
    let (domain, name) = MemberName::from_uri(text).ok()?;
    assert_eq!(name.uri(&domain), text, "a member's name has another spelling: see");
    Some(name.kind())
}

fn ids(text: &str) -> bool {
    let same = |found: Option<String>| found.is_some_and(|found| found == text);
    let gateway = text.parse::<GatewayId>().ok().map(|id| id.to_string());
    let session = text.parse::<SessionId>().ok().map(|id| id.to_string());
    let member = text.parse::<MemberId>().ok().map(|id| id.to_string());
    assert_eq!(gateway, session, "an id is one of a kind only: see");
    assert_eq!(gateway, member, "an id is one of a kind only: see");
    assert!(gateway.is_none() || same(gateway.clone()), "an id has another spelling: {text}");
    gateway.is_some()
}

fn network(text: &str) -> Option<bool> {
    let network: Network = text.parse().ok()?;
    assert_eq!(network.to_string().parse(), Ok(network), "a network is another when it is written: see");
    let first = text.split('/').next().and_then(|address| address.parse().ok()).expect("it has an address");
    assert!(network.contains(first), "a network does not hold its own address: {text}");
    Some(network.to_string().contains(':'))
}

fn labels(text: &str) -> Option<u32> {
    let (key, value) = label::parse(text).ok()?;
    assert_eq!(format!("{key}={value}"), text, "a label is another when it is written: see");
    let labels = label::Labels::from([(key, value)]);
    assert_eq!(label::from_text(&label::to_text(&labels)), Some(labels), "a label is not kept: see");
    Some(size(text.len()))
}

fn shown(text: &str) -> (bool, bool, bool) {
    for most in [0, 1, 3, 16, 64] {
        let shown = name::display_safe(text, most);
        assert!(shown.chars().count() <= most, "more is shown than may be: {shown:?}");
        assert!(!shown.chars().any(char::is_control), "what is shown can steer: {shown:?}");
        assert_eq!(name::display_safe(&shown, most), shown, "shown twice it is another: see");
        let end = name::end_of(text, most);
        assert!(end.len() <= most.max(3), "an end is longer than it may be: {end:?}");
        assert!(text.ends_with(end.trim_start_matches('…')), "an end is none: {end:?}");
    }
    let is_name = name::check("name", text, 64).is_ok();
    if is_name {
        assert_eq!(name::display_safe(text, 64), text, "a name is not shown as it is: see");
        assert!(!text.is_empty() && text.trim() == text, "a name has blanks around it: {text:?}");
    }
    let is_provider = name::is_provider_id(text);
    assert!(!is_provider || !text.contains(['/', '.', '%', '?', '#']), "an id leads elsewhere: {text}");
    (is_name, is_provider, text.is_ascii())
}

/// What the line for new machines is to a shell: these words and no others.
fn line_of(origin: &str, release: &str, core: &str) -> Option<usize> {
    let line = install_line(origin, release, core, &Voucher::PublicCertificate).ok()?;
    let words = shlex::split(&line).expect("a line is words");
    let (script, from) = (format!("{origin}/install.sh"), format!("{origin}{release}"));
    let wanted = ["curl", "-fsS", &script, "|", "sh", "-s", "--", "--from", &from, "--core", core];
    assert_eq!(words, wanted, "a shell reads a line otherwise: see");
    Some(words.len())
}
