//! Join tokens: what a new machine is given once, to enroll.

use std::{fmt, str::FromStr};

use zeroize::Zeroizing;

use crate::secret::{self, Secret};

const PREFIX: &str = "chatcode1";
/// Characters of a token's id.
const ID_CHARS: std::ops::RangeInclusive<usize> = 1..=64;

/// A public id, a secret of 256 bit, and the pin of the root key by which the
/// machine recognizes the core *before* it shows the secret. As text:
/// `chatcode1.<id>.<secret>.<pin>`, all of it in `A-Za-z0-9_.-`.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    id: String,
    secret: Secret,
    pin: [u8; 32],
}

/// The text is not a join token. The error does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a join token: one begins with `chatcode1.` and has three more parts; copy the whole line that the core printed"
)]
pub struct InvalidJoinToken;

impl JoinToken {
    /// A new token for the installation whose root key has this SHA-256.
    #[must_use]
    pub fn generate(pin: [u8; 32]) -> Self {
        Self { id: crate::random::text_id(), secret: Secret::generate(), pin }
    }

    /// The public id, by which the core finds the row.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secret.
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// What the core keeps of the secret: SHA-256.
    #[must_use]
    pub fn secret_hash(&self) -> [u8; 32] {
        self.secret.hash()
    }

    /// SHA-256 of the SubjectPublicKeyInfo of the root that the core must show.
    #[must_use]
    pub const fn pin(&self) -> [u8; 32] {
        self.pin
    }

    /// The text, to be given to the one who enrolls and nobody else.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "{PREFIX}.{}.{}.{}",
            self.id,
            *self.secret.expose(),
            secret::encode(&self.pin)
        ))
    }
}

impl FromStr for JoinToken {
    type Err = InvalidJoinToken;

    fn from_str(text: &str) -> Result<Self, InvalidJoinToken> {
        let mut parts = text.split('.');
        let (Some(PREFIX), Some(id), Some(secret), Some(pin), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidJoinToken);
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !ID_CHARS.contains(&id.len()) || !id.chars().all(plain) {
            return Err(InvalidJoinToken);
        }
        let secret = Secret::from_text(secret).map_err(|_| InvalidJoinToken)?;
        let pin = *secret::decode(pin).ok_or(InvalidJoinToken)?;
        Ok(Self { id: id.to_owned(), secret, pin })
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text() {
        let token = JoinToken::generate([7; 32]);
        let text = token.expose();
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')));
        let back: JoinToken = text.parse().unwrap();
        assert_eq!((back.id(), back.secret_hash(), back.pin()), (token.id(), token.secret_hash(), [7; 32]));
    }

    #[test]
    fn what_is_not_whole_is_no_token() {
        let text = JoinToken::generate([7; 32]).expose().to_string();
        for other in [
            String::new(),
            text[1..].to_owned(),
            text[..text.len() - 1].to_owned(),
            format!("{text}."),
            format!("{text}\n"),
            text.replacen("chatcode1", "chatcode2", 1),
            "chatcode1..x.y".to_owned(),
            format!("chatcode1.{}.{}", "a".repeat(65), &text[33..]),
        ] {
            assert_eq!(other.parse::<JoinToken>(), Err(InvalidJoinToken), "{other:?}");
        }
    }

    #[test]
    fn debug_never_shows_the_secret() {
        let token = JoinToken::generate([7; 32]);
        assert!(!format!("{token:?}").contains(token.secret().expose().as_str()));
    }
}
