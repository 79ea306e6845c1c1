//! Passwords: argon2id, a few at once. A guess for an account that there is not
//! costs the same and is answered the same.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::SaltString,
};
use chatcode_certs::random;
use chatcode_proto::{code::Refusal, limits, pb::Code};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// A hash that no password has: of the same cost as every other.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes passwords: [`limits::PASSWORD_HASHES`] at once, and
/// [`limits::PASSWORD_QUEUE`] wait.
#[derive(Debug)]
pub struct Passwords {
    at_work: Arc<Semaphore>,
    places: Arc<Semaphore>,
    hashed: AtomicU64,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self {
            at_work: Arc::new(Semaphore::new(limits::PASSWORD_HASHES)),
            places: Arc::new(Semaphore::new(limits::PASSWORD_HASHES + limits::PASSWORD_QUEUE)),
            hashed: AtomicU64::new(0),
        }
    }

    /// The hash of a password with a salt of its own, as a PHC string.
    ///
    /// # Errors
    /// `RATE_LIMITED` when too many wait; `INTERNAL`.
    pub async fn hash(&self, password: Zeroizing<String>) -> Result<String, Refusal> {
        let hashed = self.work(move || {
            let salt = SaltString::encode_b64(&random::bytes::<16>()).ok()?;
            Some(argon2()?.hash_password(password.as_bytes(), &salt).ok()?.to_string())
        });
        hashed.await?.ok_or_else(broken)
    }

    /// Whether a password has this hash; `None`: nobody's, which is as much work.
    ///
    /// # Errors
    /// As [`Self::hash`].
    pub async fn is_of(&self, password: Zeroizing<String>, hash: Option<&str>) -> Result<bool, Refusal> {
        let hash = hash.unwrap_or(NOBODY).to_owned();
        let judged = self.work(move || {
            let known = PasswordHash::new(&hash).ok()?;
            Some(argon2()?.verify_password(password.as_bytes(), &known).is_ok())
        });
        judged.await?.ok_or_else(broken)
    }

    /// How many were hashed since the core's start.
    #[must_use]
    pub fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    /// Does this when it is its turn. It goes on when nobody waits for it any more,
    /// and keeps its place until it is done.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            Refusal::new(Code::RateLimited, "too many passwords are being checked; wait and try again")
        })?;
        let turn = Arc::clone(&self.at_work).acquire_owned().await.map_err(|_| broken())?;
        self.hashed.fetch_add(1, Ordering::Relaxed);
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turn, place));
            done
        });
        done.await.map_err(|_| broken())
    }
}

/// Whether a password may be set by the person with these words about them: name
/// and e-mail address.
///
/// # Errors
/// `INVALID`, with what to change.
pub fn check(password: &str, own_words: &[&str]) -> Result<(), Refusal> {
    let range = limits::PASSWORD_CHARS;
    let (least, most) = (range.start(), range.end());
    let length = password.chars().count();
    if !range.contains(&length) {
        let words =
            format!("a password has {least} to {most} characters, this one {length}; choose another one");
        return Err(Refusal::new(Code::Invalid, words));
    }
    let plain = simple(password);
    let is_own = own_words.iter().map(|word| simple(word)).any(|word| {
        // Their name with a year behind it is as easy to guess.
        word.len() >= 3 && plain.starts_with(&word) && plain.len() <= word.len() + 6
    });
    let first = password.chars().next();
    if is_own || password.chars().all(|letter| Some(letter) == first) {
        let words =
            "this password is easy to guess: it is your name or address, or one letter; choose another one";
        return Err(Refusal::new(Code::Invalid, words));
    }
    Ok(())
}

/// Letters and digits, in lower case.
fn simple(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn argon2() -> Option<Argon2<'static>> {
    let params = Params::new(limits::PASSWORD_HASH_KIB, limits::PASSWORD_HASH_PASSES, 1, Some(32)).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn broken() -> Refusal {
    Refusal::new(Code::Internal, "the password cannot be checked")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_has_its_hash_and_no_other() {
        let passwords = Passwords::new();
        let hash = passwords.hash(secret("correct horse battery")).await.expect("is hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(passwords.hash(secret("correct horse battery")).await.expect("is hashed"), hash, "salted");
        let is_of = async |password: &str, hash| passwords.is_of(secret(password), hash).await;
        assert_eq!(is_of("correct horse battery", Some(&hash)).await, Ok(true));
        assert_eq!(is_of("correct horse batterz", Some(&hash)).await, Ok(false));
        assert_eq!(is_of("correct horse battery", None).await, Ok(false));
    }

    #[test]
    fn nobodys_hash_costs_what_every_hash_costs() {
        let nobody = PasswordHash::new(NOBODY).expect("is a hash");
        let params = Params::try_from(&nobody).expect("has its cost");
        assert_eq!(
            (params.m_cost(), params.t_cost(), params.p_cost()),
            (limits::PASSWORD_HASH_KIB, limits::PASSWORD_HASH_PASSES, 1)
        );
        assert_eq!(nobody.hash.map(|hash| hash.len()), Some(32));
    }

    #[tokio::test]
    async fn beyond_the_queue_nobody_waits() {
        let passwords = Passwords::new();
        let most = limits::PASSWORD_HASHES + limits::PASSWORD_QUEUE;
        let all = u32::try_from(most).expect("is small");
        let taken = Arc::clone(&passwords.places).acquire_many_owned(all).await.expect("are free");
        let refused = passwords.is_of(secret("correct horse battery"), None).await;
        assert_eq!(refused.expect_err("has no place").code, Code::RateLimited);
        drop(taken);
        assert_eq!(passwords.is_of(secret("correct horse battery"), None).await, Ok(false));
    }

    #[test]
    fn passwords_that_are_easy_to_guess_are_refused() {
        let own = ["Ada Lovelace", "ada.lovelace@example.org"];
        assert_eq!(check("correct horse battery", &own), Ok(()));
        assert_eq!(check(&"ä".repeat(127).replacen('ä', "b", 1), &own), Ok(()), "characters, not bytes");
        for password in [
            "short",
            "elevenchars",
            &"x".repeat(129),
            "ada lovelace",
            "Ada-Lovelace-1815",
            "ada.lovelace@example.org",
            "aaaaaaaaaaaaaaaa",
        ] {
            assert_eq!(check(password, &own).expect_err(password).code, Code::Invalid);
        }
    }
}
