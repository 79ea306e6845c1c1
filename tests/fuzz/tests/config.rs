//! Any text as the configuration of a role: taken, or refused in words that name what
//! is wrong. A mistyped key is never passed over.
#![expect(clippy::expect_used, reason = "what a target needs and does not get fails it")]

use std::{fs, path::Path};

use chatcode_fuzz::{Target, sight};
use chatcode_process::config::{self, NoFlags};
use serde::{Serialize, de::DeserializeOwned};

const TARGET: Target = Target { name: "config", words: WORDS, usual: 3_000, case };
/// A key that no role has.
const STRANGER: &str = "a_key_that_no_role_has";
const WORDS: &[&[u8]] = &[
    b"data_dir = \"/tmp/x\"\n",
    b"listen = \"127.0.0.1:0\"\n",
    b"link = \"127.0.0.1:0\"\n",
    b"origin = \"https://code.example.org\"\n",
    b"core = \"localhost:7421\"\n",
    b"enroll_per_minute = 1\n",
    b"gateway_certificate_s = 86400\n",
    b"audit_keep_days = 30\n",
    b"trusted_proxies = [\"10.0.0.0/8\"]\n",
    b"tls_cert = \"c\"\n",
    b"tls_key = \"k\"\n",
    b"log_bytes = 1048576\n",
    b"history_lines = 100\n",
    b"holders = \"auto\"\n",
    b"[sign_in]\n",
    b"[sign_in.mail]\n",
    b"[[sign_in.providers]]\n",
    b"[session_limits]\n",
    b"[update]\n",
    b"passkeys = false\n",
    b"[",
    b"]",
    b"{",
    b"}",
    b"=",
    b"\"\"\"",
    b"'",
    b"-1",
    b"9223372036854775808",
    b"nan",
    b"true",
    b"1979-05-27",
    b"\n",
    b"#",
    b"\0",
    b"\xff",
];

#[test]
fn any_text_is_a_configuration_or_refused_by_its_name() {
    chatcode_fuzz::run(&TARGET, Vec::new());
}

fn case(input: &[u8]) -> Vec<u64> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fuzz.toml");
    vec![
        sight(("core", of_role::<chatcode_core::config::Config>("core", &file, input))),
        sight(("edge", edge(&file, input))),
        sight(("gateway", of_role::<chatcode_gateway::config::Config>("gateway", &file, input))),
    ]
}

/// What comes of it; and that one key more is never passed over.
fn of_role<C: Serialize + DeserializeOwned>(role: &'static str, file: &Path, input: &[u8]) -> String {
    match read::<C>(role, file, input) {
        Err(words) => kind_of(&words),
        Ok(config) => {
            let kept = serde_json::to_value(&config).expect("it can be written");
            let again: C = serde_json::from_value(kept.clone()).expect("it can be read again");
            let again = serde_json::to_value(&again).expect("it can be written again");
            assert_eq!(kept, again, "a configuration is another when it is written: see");
            let with_more = [format!("{STRANGER} = 1\n").as_bytes(), input].concat();
            let refused = read::<C>(role, file, &with_more).err().expect("one key more is refused");
            assert!(refused.contains(STRANGER), "a key is refused without its name: {refused}");
            String::new()
        }
    }
}

/// An edge judges more of it without starting.
fn edge(file: &Path, input: &[u8]) -> String {
    use chatcode_edge::Config;
    let kind = of_role::<Config>("edge", file, input);
    if let Ok(config) = read::<Config>("edge", file, input) {
        let tls = config.tls();
        if let Ok(None) = tls {
            assert!(config.listen.ip().is_loopback(), "cookies go in the clear");
        }
        if let Ok(origin) = config.page_origin(config.listen) {
            let again = origin.as_str().parse();
            assert_eq!(again.ok(), Some(origin), "an origin has another spelling: see");
        }
        return format!("{kind}{}", tls.is_ok());
    }
    kind
}

fn read<C: DeserializeOwned>(role: &'static str, file: &Path, input: &[u8]) -> Result<C, String> {
    fs::write(file, input).expect("is written");
    config::peek(role, Some(file), NoFlags {}).map_err(|error| {
        assert!(!error.problems.is_empty(), "refused without a mistake");
        let words = error.to_string();
        assert!(words.contains(role), "{words}");
        words
    })
}

/// An error without what the text holds: the kinds of its words.
fn kind_of(words: &str) -> String {
    let beginning = words.split(['`', '"', '\'', '\n']).next().unwrap_or_default();
    beginning.chars().filter(|letter| !letter.is_ascii_digit()).take(100).collect()
}
