//! What lets people in: one-time secrets and sessions; and how what was proven is
//! traded for a session. Only hashes are kept; every single-use secret is spent by
//! the statement that reads it.

use std::fmt::Write as _;

use chatcode_proto::{limits, pb};

use super::{
    Store, StoreError, Tx,
    audit::{self, Entry},
    from_row,
    people::{ChangeError, Changer, Person, reachable, shown},
    to_row, vouched,
};
use crate::{
    clock::{self, millis},
    people::vouched::Vouched,
};

/// SHA-256 of a secret of 256 bits.
pub type SecretHash = [u8; 32];

/// The use of a session or token is noted as seldom as this, in milliseconds: fine
/// enough for a bound of hours, and it spares a write for each call.
pub(super) const USED_EVERY_MS: u64 = 60_000;

/// A person's session that was found alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonSession {
    /// Whose it is.
    pub person: Person,
    /// When it ends in any case, milliseconds since 1970.
    pub expires_ms: u64,
    /// When the person last proved who they are, milliseconds since 1970.
    pub proven_ms: u64,
}

/// The browser that signs in, as it calls itself.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// Its name and system; cleaned.
    pub device: String,
    /// Where it comes from; empty: not known.
    pub address: String,
    /// The session that it had before, which ends.
    pub replaces: Option<SecretHash>,
    /// Only the person of that session is meant.
    pub same_person: bool,
}

/// What was proven and is traded for a session.
#[derive(Clone, Debug)]
pub enum Proven {
    /// A one-time secret is known; the trade spends it.
    Secret(SecretHash),
    /// The proof for an identity was right.
    Identity {
        /// Its id.
        id: String,
        /// Its data, by which the proof was judged.
        before: String,
        /// Its data from now on.
        now: String,
    },
    /// A provider vouches for somebody.
    Vouched(Box<Vouched>),
    /// Somebody reads the mail of this address.
    Address(String),
}

/// A session that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The session.
    pub session: PersonSession,
    /// Whose the session was that the browser had before.
    pub replaced: Replaced,
    /// The hashes of the sessions that ended with it: that one, and those beyond
    /// [`limits::SESSIONS_OF_PERSON`].
    pub ended: Vec<SecretHash>,
}

/// Whose the session was that a browser had before, and that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It had none.
    Nothing,
    /// The same person's.
    Own,
    /// Another person's, of this name.
    Other(String),
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was shown is unknown, spent, expired or changed; or its person is
    /// suspended.
    #[error("the proof is of no use")]
    Bad,
    /// Another person is meant.
    #[error("the proof is of another person")]
    OtherPerson,
    /// A provider vouches for somebody whom nobody has linked or added.
    #[error("nobody here is linked with this")]
    NoAccount,
}

impl From<sqlx::Error> for SignInError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Keeps a one-time sign-in secret of a person; says when it ends,
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// [`ChangeError`]: nobody with this id, one who is suspended, or an owner by
    /// one who is none.
    pub async fn add_sign_in(
        &self,
        hash: &SecretHash,
        person: &str,
        by: &Changer,
    ) -> Result<u64, ChangeError> {
        let now = clock::unix_ms();
        let expires = now + millis(limits::SIGN_IN);
        let mut tx = self.begin().await?;
        let person = reachable(&mut tx, person, by).await?;
        if person.suspended_unix_ms != 0 {
            return Err(ChangeError::Unknown("person who is not suspended"));
        }
        sqlx::query("DELETE FROM sign_ins WHERE expires_ms <= $1")
            .bind(to_row(now))
            .execute(&mut *tx)
            .await?;
        sqlx::query("INSERT INTO sign_ins (hash, person, expires_ms, created_by) VALUES ($1, $2, $3, $4)")
            .bind(&hash[..])
            .bind(&person.id)
            .bind(to_row(expires))
            .bind(&by.act.principal)
            .execute(&mut *tx)
            .await?;
        by.note(&mut tx, shown(&person)).await?;
        tx.commit().await?;
        Ok(expires)
    }

    /// Trades what was proven for a session under `session`, and writes it down:
    /// one transaction, and `act` is a row of the audit only when it is done.
    ///
    /// # Errors
    /// [`SignInError`]; then nothing is changed and nothing is spent.
    pub async fn sign_in(
        &self,
        proven: &Proven,
        session: &SecretHash,
        browser: &Browser,
        act: &Entry,
    ) -> Result<SignedIn, SignInError> {
        let now = clock::unix_ms();
        let mut tx = self.begin().await?;
        let Spent { person: id, by, created_by } = spend(&mut tx, proven, now, act).await?;
        let display_name: Option<String> =
            sqlx::query_scalar("SELECT display_name FROM people WHERE id = $1 AND suspended_ms IS NULL")
                .bind(&id)
                .fetch_optional(&mut *tx)
                .await?;
        let display_name = display_name.ok_or(SignInError::Bad)?;
        let replaced = match &browser.replaces {
            Some(before) => replace(&mut tx, &id, before, now).await?,
            None => Replaced::Nothing,
        };
        if browser.same_person && replaced != Replaced::Own {
            return Err(SignInError::OtherPerson);
        }
        let expires_ms = now + millis(limits::PERSON_SESSION);
        let proven_ms = proven_at(&mut tx, proven, &id, now).await?;
        sqlx::query("DELETE FROM person_sessions WHERE expires_ms <= $1 OR used_ms <= $2")
            .bind(to_row(now))
            .bind(to_row(now.saturating_sub(millis(limits::PERSON_IDLE))))
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO person_sessions (hash, person, created_ms, used_ms, proven_ms, expires_ms, device, address,
                                          created_by)
             VALUES ($1, $2, $3, $3, $8, $4, $5, $6, $7)",
        )
        .bind(&session[..])
        .bind(&id)
        .bind(to_row(now))
        .bind(to_row(expires_ms))
        .bind(&browser.device)
        .bind(&browser.address)
        .bind(&created_by)
        .bind(to_row(proven_ms))
        .execute(&mut *tx)
        .await?;
        let mut ended = forget_oldest(&mut tx, &id).await?;
        ended.extend(browser.replaces.filter(|_| replaced != Replaced::Nothing));
        let row = Entry { principal: format!("person/{id}"), detail: by, ..act.clone() };
        audit::append(&mut tx, &row).await?;
        tx.commit().await?;
        Ok(SignedIn {
            session: PersonSession { person: Person { id, display_name }, expires_ms, proven_ms },
            replaced,
            ended,
        })
    }

    /// The session with this hash, when it is neither idle for too long nor at
    /// its end; and notes that it was used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn person_session(&self, hash: &SecretHash) -> Result<Option<PersonSession>, StoreError> {
        let now = clock::unix_ms();
        let found: Option<(String, String, i64, i64, i64)> = sqlx::query_as(
            "SELECT people.id, people.display_name, person_sessions.expires_ms, person_sessions.used_ms,
                    person_sessions.proven_ms
             FROM person_sessions JOIN people ON people.id = person_sessions.person
             WHERE hash = $1 AND expires_ms > $2 AND used_ms > $3 AND people.suspended_ms IS NULL",
        )
        .bind(&hash[..])
        .bind(to_row(now))
        .bind(to_row(now.saturating_sub(millis(limits::PERSON_IDLE))))
        .fetch_optional(&self.read)
        .await?;
        let Some((id, display_name, expires_ms, used_ms, proven_ms)) = found else { return Ok(None) };
        if now.saturating_sub(from_row(used_ms)) > USED_EVERY_MS {
            let noted = sqlx::query("UPDATE person_sessions SET used_ms = $2 WHERE hash = $1")
                .bind(&hash[..])
                .bind(to_row(now));
            not_needed(noted.execute(&self.write).await);
        }
        Ok(Some(PersonSession {
            person: Person { id, display_name },
            expires_ms: from_row(expires_ms),
            proven_ms: from_row(proven_ms),
        }))
    }

    /// The addresses from which the sessions of a person that are alive came.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn addresses_of(&self, person: &str) -> Result<Vec<String>, StoreError> {
        let now = clock::unix_ms();
        let addresses = sqlx::query_scalar(
            "SELECT address FROM person_sessions WHERE person = $1 AND expires_ms > $2 AND used_ms > $3 LIMIT $4",
        )
        .bind(person)
        .bind(to_row(now))
        .bind(to_row(now.saturating_sub(millis(limits::PERSON_IDLE))))
        .bind(limits::SESSIONS_OF_PERSON)
        .fetch_all(&self.read)
        .await?;
        Ok(addresses)
    }

    /// The sessions of a person that are alive, the one used last first; `current`
    /// is marked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sessions_of(
        &self,
        person: &str,
        current: &SecretHash,
    ) -> Result<Vec<pb::PersonSession>, StoreError> {
        let now = clock::unix_ms();
        type Row = (Vec<u8>, String, String, i64, i64, i64, String);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT hash, device, address, created_ms, used_ms, expires_ms, created_by FROM person_sessions
             WHERE person = $1 AND expires_ms > $2 AND used_ms > $3 ORDER BY used_ms DESC, created_ms DESC LIMIT $4",
        )
        .bind(person)
        .bind(to_row(now))
        .bind(to_row(now.saturating_sub(millis(limits::PERSON_IDLE))))
        .bind(limits::SESSIONS_OF_PERSON)
        .fetch_all(&self.read)
        .await?;
        let message = |(hash, device, address, created, used, expires, created_by): Row| pb::PersonSession {
            id: session_id(&hash),
            device,
            address,
            created_unix_ms: from_row(created),
            used_unix_ms: from_row(used),
            expires_unix_ms: from_row(expires),
            current: hash == current[..],
            created_by,
        };
        Ok(rows.into_iter().map(message).collect())
    }

    /// Ends sessions of a person: the one of this id, or all but `current`
    /// (`None`). Says the hashes of those that have ended.
    ///
    /// # Errors
    /// [`ChangeError::Unknown`] when there is none of this id; the store's.
    pub async fn end_sessions(
        &self,
        person: &str,
        id: Option<&str>,
        current: &SecretHash,
        act: &Entry,
    ) -> Result<Vec<SecretHash>, ChangeError> {
        let mut tx = self.begin().await?;
        let is_meant = |hash: &SecretHash| match id {
            Some(id) => session_id(hash) == id,
            None => hash != current,
        };
        let ended = forget_sessions(&mut tx, person, is_meant).await?;
        if id.is_some() && ended.is_empty() {
            return Err(ChangeError::Unknown("session"));
        }
        let detail = format!("{} of person/{person}", ended.len());
        audit::append(&mut tx, &Entry { detail, ..act.clone() }).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Ends a session and forgets its tickets.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_person_session(&self, hash: &SecretHash) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        forget_session(&mut tx, hash).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// A note of a use that could not be made ends nobody's reading.
pub(super) fn not_needed<T>(noted: Result<T, sqlx::Error>) {
    if let Err(error) = noted {
        tracing::warn!(error = &error as &dyn std::error::Error, "a use is not noted");
    }
}

/// The public id of a session: half of its hash, which says nothing of the token.
fn session_id(hash: &[u8]) -> String {
    let mut id = String::new();
    for byte in hash.iter().take(16) {
        let _ = write!(id, "{byte:02x}");
    }
    id
}

async fn forget_session(tx: &mut Tx, hash: &SecretHash) -> Result<(), StoreError> {
    for statement in
        ["DELETE FROM tickets WHERE person_session = $1", "DELETE FROM person_sessions WHERE hash = $1"]
    {
        sqlx::query(statement).bind(&hash[..]).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Ends those sessions of a person; says their hashes.
async fn forget_sessions(
    tx: &mut Tx,
    person: &str,
    which: impl Fn(&SecretHash) -> bool,
) -> Result<Vec<SecretHash>, StoreError> {
    let sql = "SELECT hash FROM person_sessions WHERE person = $1 ORDER BY used_ms DESC, created_ms DESC";
    let hashes: Vec<Vec<u8>> = sqlx::query_scalar(sql).bind(person).fetch_all(&mut **tx).await?;
    let mut ended = Vec::new();
    for hash in hashes {
        let hash = hash.try_into().map_err(|_| StoreError::Corrupt("person_sessions.hash"))?;
        if which(&hash) {
            forget_session(tx, &hash).await?;
            ended.push(hash);
        }
    }
    Ok(ended)
}

/// Ends the sessions of a person but this one; says their hashes.
pub(super) async fn forget_others(
    tx: &mut Tx,
    person: &str,
    session: &SecretHash,
) -> Result<Vec<SecretHash>, StoreError> {
    forget_sessions(tx, person, |hash| hash != session).await
}

/// Refuses what somebody asked for who was shut out meanwhile.
pub(super) async fn going_on(tx: &mut Tx, session: &SecretHash) -> Result<(), ChangeError> {
    let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM person_sessions WHERE hash = $1")
        .bind(&session[..])
        .fetch_optional(&mut **tx)
        .await?;
    found.map(|_| ()).ok_or(ChangeError::Ended)
}

/// A proof that was spent.
struct Spent {
    /// Whose it is.
    person: String,
    /// By what, for the audit.
    by: String,
    /// Who made the one-time URL; empty: it was none.
    created_by: String,
}

/// Since when a proof counts as fresh. A provider may vouch for whoever sits at a browser
/// without asking them: it is as fresh as the provider says, and one that does not say is
/// fresh only for those who have no other way to prove who they are.
async fn proven_at(tx: &mut Tx, proven: &Proven, person: &str, now: u64) -> Result<u64, StoreError> {
    let Proven::Vouched(vouched) = proven else { return Ok(now) };
    let other: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM identities WHERE person = $1 AND kind IN ('passkey', 'password', 'mail') LIMIT 1",
    )
    .bind(person)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(match other {
        None => now,
        Some(_) => vouched.asked_ms.unwrap_or(0).min(now),
    })
}

/// Takes what was proven, once.
async fn spend(tx: &mut Tx, proven: &Proven, now: u64, act: &Entry) -> Result<Spent, SignInError> {
    match proven {
        Proven::Secret(hash) => {
            let spent: Option<(String, i64, String)> = sqlx::query_as(
                "DELETE FROM sign_ins WHERE hash = $1 RETURNING person, expires_ms, created_by",
            )
            .bind(&hash[..])
            .fetch_optional(&mut **tx)
            .await?;
            let alive = spent.filter(|(_, expires, _)| from_row(*expires) > now);
            let (person, _, created_by) = alive.ok_or(SignInError::Bad)?;
            Ok(Spent { person, by: "one-time URL".to_owned(), created_by })
        }
        Proven::Identity { id, before, now: data } => {
            // Only if it is as it was judged: a counter goes up once, and who
            // changes a password meanwhile is not overtaken.
            let used: Option<(String, String, String)> = sqlx::query_as(
                "UPDATE identities SET used_ms = $3, data = $4 WHERE id = $1 AND data = $2
                 RETURNING person, kind, label",
            )
            .bind(id)
            .bind(before)
            .bind(to_row(now))
            .bind(data)
            .fetch_optional(&mut **tx)
            .await?;
            let (person, kind, label) = used.ok_or(SignInError::Bad)?;
            Ok(Spent { person, by: format!("{kind} {label}"), created_by: String::new() })
        }
        Proven::Vouched(vouched) => {
            let person = vouched::find(tx, vouched, act).await?;
            Ok(Spent { person, by: format!("provider {}", vouched.label), created_by: String::new() })
        }
        Proven::Address(address) => {
            let person = vouched::of_address(tx, address).await?;
            Ok(Spent { person, by: format!("mail {address}"), created_by: String::new() })
        }
    }
}

/// Forgets the session that a new one of this person replaces, whosever it was.
async fn replace(tx: &mut Tx, person: &str, before: &SecretHash, now: u64) -> Result<Replaced, StoreError> {
    let theirs: Option<(String, String)> = sqlx::query_as(
        "SELECT people.id, people.display_name
         FROM person_sessions JOIN people ON people.id = person_sessions.person
         WHERE hash = $1 AND expires_ms > $2 AND used_ms > $3",
    )
    .bind(&before[..])
    .bind(to_row(now))
    .bind(to_row(now.saturating_sub(millis(limits::PERSON_IDLE))))
    .fetch_optional(&mut **tx)
    .await?;
    let Some((id, display_name)) = theirs else { return Ok(Replaced::Nothing) };
    forget_session(tx, before).await?;
    Ok(if id == person { Replaced::Own } else { Replaced::Other(display_name) })
}

/// Ends sessions of the person beyond [`limits::SESSIONS_OF_PERSON`]; says their hashes.
async fn forget_oldest(tx: &mut Tx, person: &str) -> Result<Vec<SecretHash>, StoreError> {
    let sql = "SELECT hash FROM person_sessions WHERE person = $1
               ORDER BY used_ms DESC, created_ms DESC LIMIT -1 OFFSET $2";
    let beyond: Vec<Vec<u8>> =
        sqlx::query_scalar(sql).bind(person).bind(limits::SESSIONS_OF_PERSON).fetch_all(&mut **tx).await?;
    forget_sessions(tx, person, |hash| beyond.iter().any(|old| old == hash)).await
}
