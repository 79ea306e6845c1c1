//! What proves who somebody is: passkeys and passwords. Rules and cryptography;
//! what is kept of them is the store's.

pub mod passkeys;
pub mod passwords;

use chatcode_proto::{code::Refusal, pb::Code};

use crate::{
    config::SignInConfig,
    sign_in::{
        passkeys::{OriginError, Passkeys},
        passwords::Passwords,
    },
};

/// The ways to sign in that are open.
#[derive(Debug)]
pub struct SignIn {
    passkeys: Option<Passkeys>,
    passwords: Option<Passwords>,
}

impl SignIn {
    /// As the settings say.
    ///
    /// # Errors
    /// When `origin` is none.
    pub fn new(config: &SignInConfig) -> Result<Self, OriginError> {
        let passkeys = Passkeys::new(config.origin.as_deref())?;
        Ok(Self {
            passkeys: config.passkeys.then_some(passkeys),
            passwords: config.passwords.then(Passwords::new),
        })
    }

    /// Whether passkeys are open at the page with this origin.
    #[must_use]
    pub fn has_passkeys(&self, origin: &str) -> bool {
        self.passkeys.as_ref().is_some_and(|passkeys| passkeys.are_for(origin))
    }

    /// Whether passwords are open.
    #[must_use]
    pub const fn has_passwords(&self) -> bool {
        self.passwords.is_some()
    }

    /// Passkeys.
    ///
    /// # Errors
    /// `FORBIDDEN` when they are not open.
    pub fn passkeys(&self) -> Result<&Passkeys, Refusal> {
        self.passkeys.as_ref().ok_or_else(|| closed("passkeys"))
    }

    /// Passwords.
    ///
    /// # Errors
    /// `FORBIDDEN` when they are not open.
    pub fn passwords(&self) -> Result<&Passwords, Refusal> {
        self.passwords.as_ref().ok_or_else(|| closed("passwords"))
    }
}

fn closed(what: &str) -> Refusal {
    let words = format!(
        "{what} are not in use here; sign in in another way, or set `{what} = true` under [sign_in] of the core"
    );
    Refusal::new(Code::Forbidden, words)
}
