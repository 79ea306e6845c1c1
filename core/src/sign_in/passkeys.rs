//! Passkeys: WebAuthn (Level 3) with discoverable credentials that verify their
//! user. Nobody is asked for a name, so nobody learns who has an account.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chatcode_proto::{code::Refusal, limits, pb::Code};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use webauthn_rs::prelude::{
    CreationChallengeResponse, DiscoverableAuthentication, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Url, Uuid, Webauthn, WebauthnBuilder, WebauthnError,
};

/// What authenticators show as the name of the page.
const PAGE: &str = "chatcode";
/// The one name that is a page's without TLS, at any port.
const THIS_MACHINE: &str = "localhost";

/// The setting is not the origin of a page.
#[derive(Debug, thiserror::Error)]
#[error(
    "[sign_in] origin is `{0}`: write it as https://host or https://host:port, as the edge has it; \
     only localhost may begin with http://"
)]
pub struct OriginError(String);

/// Passkeys of one page. A passkey is bound to the host of the page for ever, and
/// an answer to its whole origin.
#[derive(Debug)]
pub struct Passkeys {
    /// The page's; `None`: pages of this machine, at any port.
    origin: Option<Url>,
}

/// A challenge and what its answer is judged by.
#[derive(Debug)]
pub struct Begun {
    /// JSON for the page.
    pub options: String,
    /// To be kept.
    pub state: String,
}

/// A person as an authenticator shows them.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// The id, a UUID.
    pub id: &'a str,
    /// What tells accounts apart: the e-mail address, when there is one.
    pub account: &'a str,
    /// The name.
    pub display_name: &'a str,
}

/// A passkey that was made: what it is kept under, and its public half.
#[derive(Debug)]
pub struct Made {
    /// The id of the credential.
    pub subject: String,
    /// Its public key, counter and flags, as JSON.
    pub data: String,
}

/// An answer to a challenge, not yet judged.
#[derive(Debug)]
pub struct Answer {
    credential: PublicKeyCredential,
    subject: String,
    person: Uuid,
}

impl Answer {
    /// The id of the credential that it claims to be of.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl Passkeys {
    /// Passkeys of the page with this origin; without it, of this machine's pages.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(origin: Option<&str>) -> Result<Self, OriginError> {
        let read = |text: &str| {
            let url = Url::parse(text).ok().filter(|url| url.origin().ascii_serialization() == text);
            let is_safe = |url: &Url| url.scheme() == "https" || is_this_machine(url);
            url.filter(is_safe).ok_or_else(|| OriginError(text.to_owned()))
        };
        Ok(Self { origin: origin.map(read).transpose()? })
    }

    /// Whether the page with this origin can use them.
    #[must_use]
    pub fn are_for(&self, origin: &str) -> bool {
        self.at(origin).is_ok()
    }

    /// A challenge for a new passkey of this person, in none of the authenticators
    /// that have one of `known` (ids of credentials).
    ///
    /// # Errors
    /// `BAD_ORIGIN` when the page has none; `INTERNAL`.
    pub fn begin_adding(&self, origin: &str, person: Named<'_>, known: &[String]) -> Result<Begun, Refusal> {
        let id = person.id.parse::<Uuid>().map_err(|_| broken("a person's id"))?;
        let (options, state) = self
            .at(origin)?
            .start_passkey_registration(id, person.account, person.display_name, None)
            .map_err(|_| broken("the settings of passkeys"))?;
        let CreationChallengeResponse { public_key } = options;
        let mut options = serde_json::to_value(public_key).map_err(|_| broken("the options"))?;
        // The library leaves it to the authenticator whether a passkey can be found
        // without a name.
        let selection = &mut options["authenticatorSelection"];
        selection["residentKey"] = "required".into();
        selection["requireResidentKey"] = true.into();
        // It would refuse them in the answer, too, but without a word of its own.
        let known = known.iter().map(|subject| json!({ "type": "public-key", "id": subject }));
        options["excludeCredentials"] = known.collect();
        Ok(Begun { options: options.to_string(), state: text(&state)? })
    }

    /// The passkey of an answer to a challenge of [`Self::begin_adding`].
    ///
    /// # Errors
    /// `BAD_TOKEN` when the answer is wrong, `INVALID` or `TOO_LARGE` when it is
    /// none.
    pub fn finish_adding(&self, origin: &str, state: &str, answer: &str) -> Result<Made, Refusal> {
        let state: PasskeyRegistration = serde_json::from_str(state).map_err(|_| broken("a challenge"))?;
        let answer: RegisterPublicKeyCredential = read(answer)?;
        let made = self.at(origin)?.finish_passkey_registration(&answer, &state).map_err(|error| {
            tracing::debug!(%error, "a new passkey is not taken");
            Refusal::new(
                Code::BadToken,
                "the new passkey was not accepted: it has to know who uses it (a PIN, finger or face); try again",
            )
        })?;
        Ok(Made { subject: URL_SAFE_NO_PAD.encode(made.cred_id()), data: text(&made)? })
    }

    /// A challenge for anybody's passkey.
    ///
    /// # Errors
    /// `BAD_ORIGIN` when the page has none; `INTERNAL`.
    pub fn begin_sign_in(&self, origin: &str) -> Result<Begun, Refusal> {
        let (options, state) = self
            .at(origin)?
            .start_discoverable_authentication()
            .map_err(|_| broken("the settings of passkeys"))?;
        Ok(Begun { options: text(&options.public_key)?, state: text(&state)? })
    }

    /// An answer to a challenge of [`Self::begin_sign_in`], to be looked up.
    ///
    /// # Errors
    /// `INVALID` or `TOO_LARGE` when it is none, `BAD_TOKEN` when it does not say
    /// whose it is.
    pub fn answer(&self, answer: &str) -> Result<Answer, Refusal> {
        let credential: PublicKeyCredential = read(answer)?;
        let person = credential.get_user_unique_id().and_then(|bytes| Uuid::from_slice(bytes).ok());
        let person = person.ok_or_else(wrong)?;
        let subject = URL_SAFE_NO_PAD.encode(credential.get_credential_id());
        Ok(Answer { credential, subject, person })
    }

    /// Judges an answer by the passkey of this person that is kept. Says what is to
    /// be kept from now on: its counter goes up.
    ///
    /// # Errors
    /// `BAD_TOKEN` when the answer is wrong, or its counter did not go up: then a
    /// copy of the passkey is in use.
    pub fn finish_sign_in(
        &self,
        origin: &str,
        state: &str,
        answer: &Answer,
        person: &str,
        data: &str,
    ) -> Result<String, Refusal> {
        if person.parse::<Uuid>() != Ok(answer.person) {
            return Err(wrong());
        }
        let state: DiscoverableAuthentication =
            serde_json::from_str(state).map_err(|_| broken("a challenge"))?;
        let mut passkey: Passkey = serde_json::from_str(data).map_err(|_| broken("a passkey"))?;
        let result = self
            .at(origin)?
            .finish_discoverable_authentication_v2(&answer.credential, state, &passkey)
            .map_err(|error| match error {
                WebauthnError::CredentialPossibleCompromise => copied(),
                error => {
                    tracing::debug!(%error, "a passkey is not accepted");
                    wrong()
                }
            })?;
        if passkey.update_credential(&result) == Some(true) { text(&passkey) } else { Ok(data.to_owned()) }
    }

    /// The rules for the page with this origin.
    fn at(&self, origin: &str) -> Result<Webauthn, Refusal> {
        let page = Url::parse(origin).ok().filter(|page| match &self.origin {
            Some(ours) => page.origin() == ours.origin(),
            None => is_this_machine(page),
        });
        let (page, host) = page
            .and_then(|page| page.domain().map(str::to_owned).map(|host| (page, host)))
            .ok_or_else(|| other_page(self.origin.as_ref()))?;
        WebauthnBuilder::new(&host, &page)
            .and_then(|builder| builder.rp_name(PAGE).timeout(limits::CHALLENGE).build())
            .map_err(|_| other_page(self.origin.as_ref()))
    }
}

fn is_this_machine(page: &Url) -> bool {
    page.domain() == Some(THIS_MACHINE)
}

fn other_page(ours: Option<&Url>) -> Refusal {
    let ours = ours.map_or_else(
        || "localhost; set `origin` under [sign_in] of the core to the page's".to_owned(),
        |ours| format!("{}; open that page", ours.origin().ascii_serialization()),
    );
    Refusal::new(Code::BadOrigin, format!("passkeys are not for this page but for {ours}"))
}

fn wrong() -> Refusal {
    let words = "the passkey was not accepted: it is not known here, or the challenge is another one; try again, or sign in in another way";
    Refusal::new(Code::BadToken, words)
}

fn copied() -> Refusal {
    let words = "the passkey was not accepted: a copy of it has been used. Sign in in another way, remove it and add a new one";
    Refusal::new(Code::BadToken, words)
}

fn broken(what: &str) -> Refusal {
    Refusal::new(Code::Internal, format!("{what} cannot be used"))
}

fn text(value: &impl Serialize) -> Result<String, Refusal> {
    serde_json::to_string(value).map_err(|_| broken("what is kept of a passkey"))
}

fn read<T: DeserializeOwned>(answer: &str) -> Result<T, Refusal> {
    if answer.len() > limits::PASSKEY_JSON_BYTES {
        let words = format!("the passkey's answer is larger than {} bytes", limits::PASSKEY_JSON_BYTES);
        return Err(Refusal::new(Code::TooLarge, words));
    }
    serde_json::from_str(answer)
        .map_err(|_| Refusal::new(Code::Invalid, "the passkey's answer is not of the form of WebAuthn"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_origin_passkeys_are_for_localhost_at_any_port() {
        let passkeys = Passkeys::new(None).expect("needs none");
        for page in ["http://localhost:7420", "http://localhost:1", "https://localhost:8443"] {
            assert!(passkeys.are_for(page), "{page}");
        }
        for page in [
            "",
            "null",
            "http://127.0.0.1:7420",
            "http://[::1]:7420",
            "https://code.example.org",
            "http://localhost.example.org",
            "http://evil-localhost",
        ] {
            assert!(!passkeys.are_for(page), "{page}");
        }
    }

    #[test]
    fn with_an_origin_passkeys_are_for_exactly_this_page() {
        let passkeys = Passkeys::new(Some("https://code.example.org")).expect("is one");
        assert!(passkeys.are_for("https://code.example.org"));
        for page in [
            "https://code.example.org:8443",
            "http://code.example.org",
            "https://example.org",
            "https://a.code.example.org",
            "http://localhost:7420",
        ] {
            assert!(!passkeys.are_for(page), "{page}");
        }
        let refused = passkeys.begin_sign_in("http://localhost:7420").expect_err("is another page");
        assert_eq!(refused.code, Code::BadOrigin);
        assert!(refused.message.contains("https://code.example.org"), "{}", refused.message);
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "code.example.org",
            "http://code.example.org",
            "https://code.example.org/",
            "https://code.example.org/page",
            "https://Code.example.org",
            "ftp://code.example.org",
        ] {
            assert!(Passkeys::new(Some(text)).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_passkey_must_be_found_without_a_name_and_know_its_user() {
        let passkeys = Passkeys::new(None).expect("needs none");
        let person = Named {
            id: "6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11",
            account: "ada@example.org",
            display_name: "Ada",
        };
        let begun = passkeys.begin_adding("http://localhost:7420", person, &["AQID".to_owned()]);
        let options: serde_json::Value =
            serde_json::from_str(&begun.expect("begins").options).expect("is JSON");
        assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
        assert_eq!(options["authenticatorSelection"]["requireResidentKey"], true);
        assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
        assert_eq!(options["excludeCredentials"][0]["id"], "AQID");
        assert_eq!(options["rp"]["id"], "localhost");
        let begun = passkeys.begin_sign_in("http://localhost:7420").expect("begins");
        let options: serde_json::Value = serde_json::from_str(&begun.options).expect("is JSON");
        assert_eq!(options["userVerification"], "required");
        assert_eq!(options["allowCredentials"], json!([]), "asks for nobody");
    }
}
