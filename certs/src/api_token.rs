//! API tokens: what programs show to a core instead of a certificate.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::secret::{Secret, TEXT_CHARS, equal, hash};

/// By this scanners of code and logs know the text of an API token.
const PREFIX: &str = "cc_";
/// Bytes of the checksum.
const CHECK_BYTES: usize = 4;
/// Characters of the checksum.
const CHECK_CHARS: usize = 6;

/// A secret with a text that is known as one: [`PREFIX`], the 43 characters of the
/// secret, and 6 of a checksum, by which a mistyped one is told from a wrong one
/// without asking anybody.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiToken(Secret);

/// The text is not an API token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an API token: it begins with {PREFIX} and has its checksum at its end")]
pub struct InvalidApiToken;

impl ApiToken {
    /// A new token.
    #[must_use]
    pub fn generate() -> Self {
        Self(Secret::generate())
    }

    /// What is kept at rest: SHA-256 of the secret.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.0.hash()
    }

    /// The text, to be given to its owner and nobody else.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let secret = self.0.expose();
        Zeroizing::new(format!("{PREFIX}{}{}", *secret, check(&secret)))
    }

    /// The token of its text; one spelling only.
    ///
    /// # Errors
    /// When it is not the text of a token. The error does not repeat it.
    pub fn from_text(text: &str) -> Result<Self, InvalidApiToken> {
        let rest = text.strip_prefix(PREFIX).filter(|rest| rest.len() == TEXT_CHARS + CHECK_CHARS);
        let (secret, found) =
            rest.and_then(|rest| rest.split_at_checked(TEXT_CHARS)).ok_or(InvalidApiToken)?;
        if !equal(check(secret).as_bytes(), found.as_bytes()) {
            return Err(InvalidApiToken);
        }
        Secret::from_text(secret).map(Self).map_err(|_| InvalidApiToken)
    }
}

fn check(secret: &str) -> String {
    let sum = hash(format!("{PREFIX}{secret}").as_bytes());
    URL_SAFE_NO_PAD.encode(&sum[..CHECK_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_and_is_known_by_its_form() {
        let token = ApiToken::generate();
        let text = token.expose();
        assert_eq!((text.len(), &text[..3]), (52, "cc_"));
        assert_eq!(ApiToken::from_text(&text).unwrap().hash(), token.hash());
        assert!(!format!("{token:?}").contains(&text[3..]));
    }

    #[test]
    fn one_wrong_character_makes_it_none() {
        let text = ApiToken::generate().expose();
        for at in 0..text.len() {
            let other = if &text[at..=at] == "A" { "B" } else { "A" };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert_eq!(ApiToken::from_text(&changed), Err(InvalidApiToken), "character {at}");
        }
        for other in ["", "cc_", &text[3..], &text[..51], "cc_ä"] {
            assert_eq!(ApiToken::from_text(other), Err(InvalidApiToken), "{other:?}");
        }
    }
}
