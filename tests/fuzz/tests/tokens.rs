//! Any text as a secret: a join token, an API token, a session token or a ticket. What
//! is taken has one spelling, and neither it nor its refusal shows it to a log.

use chatcode_certs::{ApiToken, JoinToken, secret::Secret};
use chatcode_fuzz::{Target, lines, sight};

const TARGET: Target = Target { name: "tokens", words: WORDS, usual: 10_000, case };
const WORDS: &[&[u8]] = &[
    b"chatcode1.",
    b"chatcode2.",
    b".",
    b"..",
    b"cc_",
    b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    b"BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB",
    b"________-__________________________________8",
    b"=",
    b"+",
    b"/",
    b" ",
    b"\n",
    b"\r",
    b"\xc3\xa9",
    b"\0",
];

#[test]
fn any_text_is_a_token_in_one_spelling_or_none_and_debug_shows_no_secret() {
    chatcode_fuzz::run(&TARGET, seeds());
}

fn seeds() -> Vec<Vec<u8>> {
    let text = |byte: u8| Secret::from_bytes([byte; 32]).expose().to_string();
    vec![
        text(0xa5).into_bytes(),
        format!("chatcode1.0123456789abcdef.{}.{}", text(0x5a), text(0xff)).into_bytes(),
        format!("chatcode1.-_.{}.{}\n{}", text(0), text(1), text(2)).into_bytes(),
    ]
}

fn case(input: &[u8]) -> Vec<u64> {
    lines(input).iter().map(|line| sight(one(line))).collect()
}

fn one(text: &str) -> (bool, bool, bool) {
    let join = text.parse::<JoinToken>();
    match &join {
        Ok(token) => {
            assert_eq!(token.expose().as_str(), text, "a join token has another spelling: see");
            assert!((1..=64).contains(&token.id().len()), "an id of no length that it may have: see");
            // An id is public, also one that somebody made of a secret.
            if !token.id().contains(token.secret().expose().as_str()) {
                hidden(&format!("{token:?}"), &token.secret().expose());
            }
        }
        Err(error) => hidden(&format!("{error} {error:?}"), text),
    }
    let api = ApiToken::from_text(text);
    match &api {
        Ok(token) => {
            assert_eq!(token.expose().as_str(), text, "an API token has another spelling: see");
            hidden(&format!("{token:?}"), &text[3..]);
        }
        Err(error) => hidden(&format!("{error} {error:?}"), text),
    }
    let secret = Secret::from_text(text);
    match &secret {
        Ok(secret) => {
            assert_eq!(secret.expose().as_str(), text, "a secret has another spelling: see");
            assert_eq!(&Secret::from_bytes(*secret.expose_bytes()), secret, "it is another: see");
            hidden(&format!("{secret:?}"), text);
        }
        Err(error) => hidden(&format!("{error} {error:?}"), text),
    }
    let taken = (join.is_ok(), api.is_ok(), secret.is_ok());
    let count = [taken.0, taken.1, taken.2].into_iter().filter(|is| *is).count();
    assert!(count <= 1, "a text is two kinds of token at once: see");
    taken
}

/// Words of an error have up to some letters in common with anything.
fn hidden(words: &str, secret: &str) {
    let is_shown = secret.len() >= 20 && words.contains(secret);
    assert!(!is_shown, "a token is shown: {words}");
}
