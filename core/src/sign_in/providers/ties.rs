//! What ties a sign-in to the browser that began it. All of it is derived from the
//! secret in that browser's cookie, of which the core keeps a hash: a stolen store
//! finishes no sign-in.

use chatcode_certs::secret::{self, Secret};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// What a sign-in at a provider is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To come in.
    SignIn,
    /// To be linked to the person who is in already.
    Add,
}

impl Purpose {
    /// How a state begins that is for this, so that the page knows what to go on
    /// with.
    const fn word(self) -> &'static str {
        match self {
            Self::SignIn => "in",
            Self::Add => "add",
        }
    }
}

/// The values of one sign-in, each of which only the holder of its secret can make.
pub(super) struct Ties {
    /// Comes back with the browser (RFC 6749, 10.12).
    pub(super) state: String,
    /// Comes back in the identity token.
    pub(super) nonce: String,
    /// Proves that who trades the code has asked for it (RFC 7636).
    pub(super) verifier: Zeroizing<String>,
}

impl Ties {
    /// Those of a browser's secret.
    pub(super) fn of(browser: &Secret, purpose: Purpose) -> Self {
        let word = purpose.word();
        let part = |name: &str| {
            let mut hash = Sha256::new();
            hash.update(b"chatcode sign-in ");
            hash.update(word);
            hash.update(name);
            hash.update([0]);
            hash.update(browser.expose_bytes());
            Secret::from_bytes(hash.finalize().into()).expose()
        };
        Self {
            state: format!("{word}.{}", &*part(" state")),
            nonce: part(" nonce").to_string(),
            verifier: part(" verifier"),
        }
    }

    /// Whether a browser came back with its own state; in constant time.
    pub(super) fn is_state(&self, text: &str) -> bool {
        secret::equal(self.state.as_bytes(), text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_of_one_browser_and_one_purpose() {
        let (one, other) = (Secret::from_bytes([1; 32]), Secret::from_bytes([2; 32]));
        let ties = Ties::of(&one, Purpose::SignIn);
        assert!(ties.is_state(&Ties::of(&one, Purpose::SignIn).state));
        assert!(!ties.is_state(&Ties::of(&other, Purpose::SignIn).state));
        assert!(!ties.is_state(&Ties::of(&one, Purpose::Add).state));
        assert!(!ties.is_state(""));
        let all = [ties.state.trim_start_matches("in."), &ties.nonce, &ties.verifier];
        assert!(all.iter().all(|part| part.len() == 43));
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    }
}
