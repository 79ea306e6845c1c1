//! The cookies that keep a person's session token, and the challenge of a sign-in,
//! where no script can read them; and secrets as credentials of calls.

use std::time::Duration;

use chatcode_proto::{code::Refusal, pb::Code};
use http::{HeaderMap, HeaderValue, header::COOKIE};
use zeroize::Zeroizing;

/// Characters of a secret, session token or ticket: 32 bytes as base64url.
const SECRET_CHARS: usize = 43;

/// A cookie of one installation. Cookies ignore ports, so the name tells
/// installations on one machine apart; `__Host-` keeps siblings from setting it.
#[derive(Debug)]
pub(crate) struct Cookie {
    name: String,
}

impl Cookie {
    /// The cookie of this installation.
    pub(crate) fn new(installation: &str) -> Self {
        Self { name: format!("__Host-chatcode-{installation}") }
    }

    /// The one that binds a sign-in that has begun in this way to its browser.
    pub(crate) fn of_challenge(installation: &str, way: &str) -> Self {
        Self { name: format!("__Host-chatcode-{installation}-{way}") }
    }

    /// The value of the cookie as the credential of a call.
    pub(crate) fn bearer(&self, headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
        let token = self
            .token(headers)
            .ok_or_else(|| Refusal::new(Code::Unauthenticated, "sign in first: open the sign-in link"))?;
        credential("Bearer", token)
    }

    /// The value of the cookie.
    pub(crate) fn token<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.name)
            .map(|(_, value)| value)
            .filter(|value| is_secret(value))
    }

    /// The header that sets it for this long; zero removes it.
    pub(crate) fn set(&self, token: &str, lasts: Duration) -> Result<HeaderValue, Refusal> {
        let text = Zeroizing::new(format!(
            "{}={token}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={}",
            self.name,
            lasts.as_secs()
        ));
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| Refusal::new(Code::Internal, "the core's secret is not text"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// Whether the text has the form of a secret.
pub(crate) fn is_secret(text: &str) -> bool {
    text.len() == SECRET_CHARS && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// "<scheme> <secret>" as a header that no log shows.
pub(crate) fn credential(scheme: &str, secret: &str) -> Result<HeaderValue, Refusal> {
    let text = Zeroizing::new(format!("{scheme} {secret}"));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Refusal::new(Code::Unauthenticated, "the credential is not text"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_str(line).expect("a header"))).collect()
    }

    #[test]
    fn only_the_cookie_of_this_installation_is_read() {
        let cookie = Cookie::new("0a1b2c3d");
        let token = "t".repeat(SECRET_CHARS);
        let ours = format!("a=b; __Host-chatcode-0a1b2c3d={token}; c=d");
        let bearer = cookie.bearer(&cookies(&["x=y", &ours])).expect("is there");
        assert_eq!(bearer.to_str().expect("is text"), format!("Bearer {token}"));
        for line in [
            "",
            "a=b",
            &format!("__Host-chatcode-00000000={token}"),
            &format!("__Host-chatcode-0a1b2c3d-challenge={token}"),
            &format!("chatcode-0a1b2c3d={token}"),
            "__Host-chatcode-0a1b2c3d=short",
            &format!("__Host-chatcode-0a1b2c3d={token}x"),
            &format!("__Host-chatcode-0a1b2c3d={}", " ".repeat(SECRET_CHARS)),
        ] {
            let refused = cookie.bearer(&cookies(&[line])).expect_err("is not ours");
            assert_eq!(refused.code, Code::Unauthenticated, "{line:?}");
        }
    }

    #[test]
    fn credentials_are_not_shown_by_debug() {
        let bearer = credential("Bearer", &"s".repeat(SECRET_CHARS)).expect("is text");
        assert!(!format!("{bearer:?}").contains("ssss"));
        let set = Cookie::new("0a1b2c3d").set("ssss", Duration::from_secs(1)).expect("is text");
        assert!(!format!("{set:?}").contains("ssss"));
    }
}
