//! What proves who somebody is: passkeys, passwords, mails, and the word of identity
//! providers. Rules and cryptography; what is kept of them is the store's.

pub mod mail;
pub mod passkeys;
pub mod passwords;
pub mod providers;

use chatcode_proto::{code::Refusal, pb::Code};

use crate::{
    config::SignInConfig,
    sign_in::{
        mail::{MailError, Mailer},
        passkeys::{OriginError, Passkeys},
        passwords::Passwords,
        providers::{Providers, ProvidersError},
    },
};

/// The settings of signing in cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The origin is none.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The mail server cannot be used as it is written.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The providers cannot.
    #[error(transparent)]
    Providers(#[from] ProvidersError),
}

/// The ways to sign in that are open.
#[derive(Debug)]
pub struct SignIn {
    passkeys: Option<Passkeys>,
    passwords: Passwords,
    has_passwords: bool,
    mailer: Option<Mailer>,
    providers: Providers,
    /// The only page that others may send people back to; `None`: any edge's.
    origin: Option<String>,
}

impl SignIn {
    /// As the settings say.
    ///
    /// # Errors
    /// [`SetupError`], with what to change.
    pub fn new(config: &SignInConfig) -> Result<Self, SetupError> {
        let passkeys = Passkeys::new(config.origin.as_deref())?;
        Ok(Self {
            passkeys: config.passkeys.then_some(passkeys),
            passwords: Passwords::new(),
            has_passwords: config.passwords,
            mailer: config.mail.as_ref().map(Mailer::open).transpose()?,
            providers: Providers::open(&config.providers)?,
            origin: config.origin.clone(),
        })
    }

    /// The origin of the page, as the settings say; `None`: they do not.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The origin of the page to which a mail or a provider leads, which is that of
    /// the page that asks.
    ///
    /// # Errors
    /// `BAD_ORIGIN` when it is not the page of the settings, or not known.
    pub fn page<'a>(&self, origin: &'a str) -> Result<&'a str, Refusal> {
        if !origin.is_empty() && self.origin.as_ref().is_none_or(|ours| ours == origin) {
            return Ok(origin);
        }
        let words = "this page is not the one that [sign_in] origin of the core names; open that one";
        Err(Refusal::new(Code::BadOrigin, words))
    }

    /// Whether mails are sent.
    #[must_use]
    pub const fn has_mail(&self) -> bool {
        self.mailer.is_some()
    }

    /// What sends mails.
    ///
    /// # Errors
    /// `FORBIDDEN` when none are sent.
    pub fn mailer(&self) -> Result<&Mailer, Refusal> {
        self.mailer.as_ref().ok_or_else(|| {
            let words = "no mails are sent here; sign in in another way, or set [sign_in.mail] of the core";
            Refusal::new(Code::Forbidden, words)
        })
    }

    /// Sends the mails that wait, for ever.
    pub async fn send_mails(&self) {
        match &self.mailer {
            Some(mailer) => mailer.work().await,
            None => std::future::pending().await,
        }
    }

    /// The identity providers.
    #[must_use]
    pub const fn providers(&self) -> &Providers {
        &self.providers
    }

    /// Whether passkeys are open at the page with this origin.
    #[must_use]
    pub fn has_passkeys(&self, origin: &str) -> bool {
        self.passkeys.as_ref().is_some_and(|passkeys| passkeys.are_for(origin))
    }

    /// Whether passwords are open.
    #[must_use]
    pub const fn has_passwords(&self) -> bool {
        self.has_passwords
    }

    /// Passkeys.
    ///
    /// # Errors
    /// `FORBIDDEN` when they are not open.
    pub fn passkeys(&self) -> Result<&Passkeys, Refusal> {
        self.passkeys.as_ref().ok_or_else(|| closed("passkeys"))
    }

    /// What hashes the passphrases of links, whether people sign in by passwords or not.
    #[must_use]
    pub const fn passphrases(&self) -> &Passwords {
        &self.passwords
    }

    /// Passwords.
    ///
    /// # Errors
    /// `FORBIDDEN` when they are not open.
    pub fn passwords(&self) -> Result<&Passwords, Refusal> {
        if self.has_passwords { Ok(&self.passwords) } else { Err(closed("passwords")) }
    }
}

fn closed(what: &str) -> Refusal {
    let words = format!(
        "{what} are not in use here; sign in in another way, or set `{what} = true` under [sign_in] of the core"
    );
    Refusal::new(Code::Forbidden, words)
}
