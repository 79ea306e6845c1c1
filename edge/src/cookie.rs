//! The cookies that keep a person's session token, and the challenge of a sign-in,
//! where no script can read them; and secrets as credentials of calls.

use std::time::Duration;

use chatcode_proto::{code::Refusal, metadata::GUEST, pb::Code};
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

    /// The one of a guest who came in by this link: a browser may have several, beside
    /// an account.
    pub(crate) fn of_guest(installation: &str, share: &str) -> Self {
        let short: String = share.chars().take(GUEST_CHARS).collect();
        Self { name: format!("{}{short}", guest_prefix(installation)) }
    }

    /// Whether there is a cookie of any guest.
    pub(crate) fn has_guest(installation: &str, headers: &HeaderMap) -> bool {
        let prefix = guest_prefix(installation);
        let mut lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        lines.any(|line| line.split(';').any(|pair| pair.trim().starts_with(&prefix)))
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

/// Hex digits of a link's id in the name of its guests' cookie.
const GUEST_CHARS: usize = 8;

fn guest_prefix(installation: &str) -> String {
    format!("__Host-chatcode-{installation}-guest-")
}

/// As whom a page calls: as its account, or as the guest whom it names. Never the one
/// for the other.
pub(crate) enum Credential<'a> {
    /// The account.
    Account(&'a Cookie),
    /// The guest of a link.
    Guest(Cookie),
}

impl<'a> Credential<'a> {
    /// What the page says: `account` unless it names a guest.
    ///
    /// # Errors
    /// `INVALID` when it names a guest twice, or by no link.
    pub(crate) fn of(account: &'a Cookie, installation: &str, headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(GUEST).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self::Account(account)),
            (Some(value), None) => {
                let share = value.to_str().ok().filter(|text| is_link(text));
                let share = share.ok_or_else(|| Refusal::new(Code::Invalid, "the page names no link"))?;
                Ok(Self::Guest(Cookie::of_guest(installation, share)))
            }
            _ => Err(Refusal::new(Code::Invalid, format!("the header {GUEST} is there twice"))),
        }
    }

    /// The cookie.
    pub(crate) const fn cookie(&self) -> &Cookie {
        match self {
            Self::Account(cookie) => cookie,
            Self::Guest(cookie) => cookie,
        }
    }

    /// The value of the cookie as the credential of a call.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` without it.
    pub(crate) fn authorization(&self, headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
        match self {
            Self::Account(cookie) => cookie.bearer(headers),
            Self::Guest(cookie) => {
                let token = cookie.token(headers).ok_or_else(|| {
                    let words = "this browser is no guest here any more; open the link again";
                    Refusal::new(Code::Unauthenticated, words)
                })?;
                credential("Guest", token)
            }
        }
    }
}

/// Whether the text may be the id of a link: a UUID.
pub(crate) fn is_link(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(at, letter)| match at {
            8 | 13 | 18 | 23 => letter == '-',
            _ => letter.is_ascii_digit() || matches!(letter, 'a'..='f'),
        })
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
            &format!("__Host-chatcode-0a1b2c3d-guest-0a1b2c3d={token}"),
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
    fn each_link_has_a_cookie_of_its_own() {
        let (one, other) = ("0a1b2c3d-0000-4000-8000-000000000000", "0a1b2c3e-0000-4000-8000-000000000000");
        let (token, installation) = ("t".repeat(SECRET_CHARS), "01234567");
        let headers = cookies(&[&format!("__Host-chatcode-01234567-guest-0a1b2c3d={token}")]);
        assert_eq!(Cookie::of_guest(installation, one).token(&headers), Some(token.as_str()));
        assert_eq!(Cookie::of_guest(installation, other).token(&headers), None);
        assert!(Cookie::has_guest(installation, &headers));
        assert!(!Cookie::has_guest("76543210", &headers));
        assert!(is_link(one));
        for nonsense in [
            "",
            "0a1b2c3d",
            "0A1b2c3d-0000-4000-8000-000000000000",
            "0a1b2c3d-0000-4000-8000-00000000000=",
            &one[1..],
        ] {
            assert!(!is_link(nonsense), "{nonsense:?}");
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

/// `just fuzz cookies`.
#[cfg(test)]
mod fuzz {
    use chatcode_fuzz::{Target, lines, sight};

    use super::*;

    const TARGET: Target = Target { name: "cookies", words: WORDS, usual: 20_000, case };
    const INSTALLATION: &str = "0a1b2c3d";
    const LINK: &str = "0a1b2c3d-0000-4000-8000-000000000000";
    const WORDS: &[&[u8]] = &[
        b"__Host-chatcode-0a1b2c3d=",
        b"__Host-chatcode-0a1b2c3d",
        b"-guest-0a1b2c3d=",
        b"-challenge=",
        b"__Host-chatcode-00000000=",
        b"ttttttttttttttttttttttttttttttttttttttttttt",
        b"uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu",
        b"0a1b2c3d-0000-4000-8000-000000000000",
        b"; ",
        b";",
        b"=",
        b"\"",
        b",",
        b" ",
        b"\t",
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
    ];

    #[test]
    fn any_cookies_give_the_one_secret_of_the_one_name_or_none() {
        chatcode_fuzz::run(&TARGET, Vec::new());
    }

    /// The first line is what the page says of a guest, the others are cookies.
    fn case(input: &[u8]) -> Vec<u64> {
        let lines = lines(input);
        let Some((guest, cookies)) = lines.split_first() else { return Vec::new() };
        let mut headers = HeaderMap::new();
        for line in cookies {
            if let Ok(value) = HeaderValue::from_str(line) {
                headers.append(COOKIE, value);
            }
        }
        if !guest.is_empty()
            && let Ok(value) = HeaderValue::from_str(guest)
        {
            headers.append(GUEST, value);
        }
        let account = Cookie::new(INSTALLATION);
        let token = read(&account, cookies, &headers);
        let of_guest = read(&Cookie::of_guest(INSTALLATION, LINK), cookies, &headers);
        assert!(of_guest.is_none() || Cookie::has_guest(INSTALLATION, &headers), "a guest is not seen");
        vec![sight((token.is_some(), of_guest.is_some())), sight(credential_of(&account, &headers))]
    }

    /// The secret stands in the header as a pair of this very name.
    fn read(cookie: &Cookie, lines: &[String], headers: &HeaderMap) -> Option<String> {
        let token = cookie.token(headers)?.to_owned();
        assert!(is_secret(&token), "no secret: {token:?}");
        let pair = format!("{}={token}", cookie.name);
        let stands = |line: &String| line.split(';').any(|part| part.trim() == pair);
        assert!(lines.iter().any(stands), "the secret of another name: see");
        let set = cookie.set(&token, Duration::from_secs(1)).expect("a secret is text");
        let (kept, _) = set.to_str().expect("is text").split_once(';').expect("has attributes");
        let sent_back = HeaderMap::from_iter([(COOKIE, kept.parse().expect("is a header"))]);
        assert_eq!(cookie.token(&sent_back), Some(token.as_str()), "a cookie does not come back: see");
        Some(token)
    }

    /// Whose call it is; a guest's is never made by the account's secret.
    fn credential_of(account: &Cookie, headers: &HeaderMap) -> Option<&'static str> {
        let whose = Credential::of(account, INSTALLATION, headers).ok()?;
        let (is_guest, scheme) = match &whose {
            Credential::Account(_) => (false, "Bearer "),
            Credential::Guest(_) => (true, "Guest "),
        };
        assert_eq!(is_guest, headers.contains_key(GUEST), "the one is taken for the other: see");
        let shown = whose.authorization(headers).ok()?;
        let text = shown.to_str().expect("is text");
        let secret = text.strip_prefix(scheme).expect("the scheme says whose it is");
        assert_eq!(whose.cookie().token(headers), Some(secret), "another's secret: see");
        assert!(shown.is_sensitive(), "a log shows it");
        Some(scheme)
    }
}
