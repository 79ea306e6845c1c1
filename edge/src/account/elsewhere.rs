//! Signing in by what comes from elsewhere: a mail, or an identity provider. Each has
//! a challenge cookie of its own, so that a sign-in page that is opened meanwhile, and
//! asks for a passkey, takes no other's away.
//!
//! All of them are `SameSite=Strict`: a provider sends the browser to a page of ours
//! (`/auth/callback/ID`), and it is that page, of our own site, that posts what it was
//! given. So no request from elsewhere ever carries a cookie or changes anything.

use chatcode_proto::{
    code::Refusal,
    pb::{Code, MailProof, ProviderProof, accounts_sign_in_request::Proof, mail_proof::What},
};
use serde::Deserialize;
use zeroize::Zeroizing;

/// What came in a mail: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mail {
    link: Option<String>,
    code: Option<String>,
    /// The person was told that another browser asked, and goes on.
    #[serde(default)]
    anywhere: bool,
}

/// What a provider sent back with the browser.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Provider {
    /// Whose address it was sent back to.
    id: String,
    code: String,
    state: String,
    #[serde(default)]
    issuer: String,
}

impl Mail {
    /// The proof, with the challenge of the browser that sends it, if it has one.
    pub(super) fn proof(self, challenge: Option<&Zeroizing<String>>) -> Result<Proof, Refusal> {
        let what = match (self.link, self.code) {
            (Some(link), None) => What::Link(link),
            (None, Some(code)) => What::Code(code),
            _ => return Err(Refusal::new(Code::Invalid, "the request must hold either a link or a code")),
        };
        let challenge = challenge.map(|challenge| challenge.to_string()).unwrap_or_default();
        Ok(Proof::Mail(MailProof { challenge, what: Some(what), anywhere: self.anywhere }))
    }
}

impl Provider {
    /// The proof, with the challenge of the browser that sends it.
    pub(super) fn proof(self, challenge: &str) -> Proof {
        Proof::Provider(ProviderProof {
            challenge: challenge.to_owned(),
            code: self.code,
            state: self.state,
            issuer: self.issuer,
            provider_id: self.id,
        })
    }
}
