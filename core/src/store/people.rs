//! The people of the installation. What a change must not do, it does not do:
//! each is one transaction with its row of the audit.

use chatcode_proto::{code::Refusal, limits, pb, pb::Code};

use super::{
    Store, StoreError, Tx,
    audit::{self, Entry},
    from_row, to_row,
};
use crate::clock;

/// A person as others see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// A random UUID.
    pub id: String,
    /// The name that others see.
    pub display_name: String,
}

/// Why a change of people, teams, bindings or API tokens is not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such thing.
    #[error("no such {0}; list them to see which there are")]
    Unknown(&'static str),
    /// Another one has it.
    #[error("another {0} has this already; choose another one")]
    Taken(&'static str),
    /// There is no room for one more.
    #[error("there are {most} {what} already, and there may be no more; remove one first")]
    Full {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: u32,
    },
    /// Only an owner may.
    #[error("this concerns an owner, and only owners may do it; ask one")]
    OwnersOnly,
    /// It lets another person in.
    #[error(
        "somebody else signs in by this; nothing was changed. Use another one, or sign in by it and remove it there"
    )]
    Elsewhere,
    /// The session in which it was asked for has ended.
    #[error("this sign-in has ended meanwhile, and nothing was changed; sign in again")]
    Ended,
    /// An owner would have no way in.
    #[error("this is the only way in of an owner; add another one first, then remove this")]
    LastIdentity,
    /// It is not done unless it is said to be meant.
    #[error("{0}; say that you mean it (force)")]
    Unsaid(&'static str),
    /// Nobody would be left.
    #[error("nobody would own the installation any more; make somebody else an owner first")]
    LastOwner,
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        let code = match error {
            ChangeError::Store(error) => return error.into(),
            ChangeError::Unknown(_)
            | ChangeError::Taken(_)
            | ChangeError::Elsewhere
            | ChangeError::LastIdentity
            | ChangeError::Unsaid(_) => Code::Invalid,
            ChangeError::Full { .. } => Code::Limit,
            ChangeError::OwnersOnly => Code::Forbidden,
            ChangeError::Ended => Code::Unauthenticated,
            ChangeError::LastOwner => Code::LastOwner,
        };
        Self::new(code, error.to_string())
    }
}

/// Who changes something.
#[derive(Clone, Debug)]
pub struct Changer {
    /// The row of the audit; what was changed is added.
    pub act: Entry,
    /// Whether they may change what concerns owners.
    pub manages_owners: bool,
}

impl Changer {
    /// Writes what was changed.
    pub(super) async fn note(&self, tx: &mut Tx, detail: String) -> Result<(), StoreError> {
        audit::append(tx, &Entry { detail, ..self.act.clone() }).await
    }
}

type Row = (String, String, Option<String>, Option<i64>, i64);

impl Store {
    /// The person who has owned the installation longest; made with the id
    /// `fresh` when nobody does, as at the first start.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn owner(&self, fresh: &str) -> Result<Person, StoreError> {
        let mut tx = self.begin().await?;
        let known: Option<(String, String)> = sqlx::query_as(
            "SELECT people.id, people.display_name FROM people JOIN bindings ON bindings.person = people.id
             WHERE bindings.role = 'owner' AND people.suspended_ms IS NULL
             ORDER BY bindings.created_ms, people.id LIMIT 1",
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some((id, display_name)) = known {
            return Ok(Person { id, display_name });
        }
        let owner = Person { id: fresh.to_owned(), display_name: "Owner".to_owned() };
        for statement in [
            "INSERT INTO people (id, display_name, created_ms) VALUES ($1, 'Owner', $2)",
            "INSERT INTO bindings (id, person, role, place, created_ms, created_by)
             VALUES ($1, $1, 'owner', '', $2, 'core')",
        ] {
            sqlx::query(statement).bind(&owner.id).bind(to_row(clock::unix_ms())).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(owner)
    }

    /// Whether this changer may change this person.
    ///
    /// # Errors
    /// [`ChangeError`]: nobody with this id, or an owner by one who is none.
    pub async fn check_reachable(&self, id: &str, by: &Changer) -> Result<(), ChangeError> {
        reachable(&mut self.begin().await?, id, by).await.map(drop)
    }

    /// The people after one of them (empty: the first ones), in the order in
    /// which they were added, and whether there are more.
    ///
    /// # Errors
    /// [`ChangeError::Unknown`] when that one is not known; [`StoreError`].
    pub async fn people_page(&self, after: &str) -> Result<(Vec<pb::Person>, bool), ChangeError> {
        let from = match after {
            "" => -1,
            id => {
                let created = sqlx::query_scalar("SELECT created_ms FROM people WHERE id = $1").bind(id);
                created.fetch_optional(&self.read).await?.ok_or(ChangeError::Unknown("person"))?
            }
        };
        let sql = "SELECT id, display_name, email, suspended_ms, created_ms FROM people
             WHERE created_ms > $1 OR (created_ms = $1 AND id > $2) ORDER BY created_ms, id LIMIT $3";
        let rows: Vec<Row> = sqlx::query_as(sql)
            .bind(from)
            .bind(after)
            .bind(i64::from(limits::PEOPLE_PAGE) + 1)
            .fetch_all(&self.read)
            .await?;
        let more = rows.len() > limits::PEOPLE_PAGE as usize;
        Ok((rows.into_iter().take(limits::PEOPLE_PAGE as usize).map(message).collect(), more))
    }

    /// Adds a person who may do nothing yet. The e-mail address is in lower case;
    /// empty: none.
    ///
    /// # Errors
    /// [`ChangeError`]: too many, or the address is another's.
    pub async fn create_person(
        &self,
        fresh: &str,
        display_name: &str,
        email: &str,
        by: &Changer,
    ) -> Result<pb::Person, ChangeError> {
        let mut tx = self.begin().await?;
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM people").fetch_one(&mut *tx).await?;
        if count >= i64::from(limits::PEOPLE) {
            return Err(ChangeError::Full { what: "people", most: limits::PEOPLE });
        }
        free(&mut tx, fresh, email).await?;
        sqlx::query("INSERT INTO people (id, display_name, email, created_ms) VALUES ($1, $2, $3, $4)")
            .bind(fresh)
            .bind(display_name)
            .bind((!email.is_empty()).then_some(email))
            .bind(to_row(clock::unix_ms()))
            .execute(&mut *tx)
            .await?;
        let person = person(&mut tx, fresh).await?;
        by.note(&mut tx, shown(&person)).await?;
        tx.commit().await?;
        Ok(person)
    }

    /// Gives a person another name and address.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn update_person(
        &self,
        id: &str,
        display_name: &str,
        email: &str,
        by: &Changer,
    ) -> Result<pb::Person, ChangeError> {
        let mut tx = self.begin().await?;
        let before = reachable(&mut tx, id, by).await?;
        free(&mut tx, id, email).await?;
        sqlx::query("UPDATE people SET display_name = $2, email = $3 WHERE id = $1")
            .bind(id)
            .bind(display_name)
            .bind((!email.is_empty()).then_some(email))
            .execute(&mut *tx)
            .await?;
        let now = person(&mut tx, id).await?;
        by.note(&mut tx, format!("{}, before {}", shown(&now), before.display_name)).await?;
        tx.commit().await?;
        Ok(now)
    }

    /// Shuts a person out and ends their sessions, or lets them in again.
    ///
    /// # Errors
    /// [`ChangeError`]; the last owner stays.
    pub async fn suspend_person(
        &self,
        id: &str,
        suspended: bool,
        by: &Changer,
    ) -> Result<pb::Person, ChangeError> {
        let mut tx = self.begin().await?;
        reachable(&mut tx, id, by).await?;
        sqlx::query("UPDATE people SET suspended_ms = $2 WHERE id = $1")
            .bind(id)
            .bind(suspended.then(|| to_row(clock::unix_ms())))
            .execute(&mut *tx)
            .await?;
        if suspended {
            shut_out(&mut tx, id).await?;
            keep_an_owner(&mut tx).await?;
        }
        let person = person(&mut tx, id).await?;
        by.note(&mut tx, shown(&person)).await?;
        tx.commit().await?;
        Ok(person)
    }

    /// Removes a person with their sessions, API tokens, bindings and places in
    /// teams.
    ///
    /// # Errors
    /// [`ChangeError`]; the last owner stays.
    pub async fn remove_person(&self, id: &str, by: &Changer) -> Result<(), ChangeError> {
        let mut tx = self.begin().await?;
        let gone = reachable(&mut tx, id, by).await?;
        shut_out(&mut tx, id).await?;
        sqlx::query("DELETE FROM people WHERE id = $1").bind(id).execute(&mut *tx).await?;
        keep_an_owner(&mut tx).await?;
        by.note(&mut tx, shown(&gone)).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Who is meant, as the audit shows it: the id first, so that no name is long
/// enough to push it out.
pub(super) fn shown(person: &pb::Person) -> String {
    format!("person/{} {}", person.id, person.display_name)
}

/// A person.
pub(super) async fn person(tx: &mut Tx, id: &str) -> Result<pb::Person, ChangeError> {
    let sql = "SELECT id, display_name, email, suspended_ms, created_ms FROM people WHERE id = $1";
    let row: Option<Row> = sqlx::query_as(sql).bind(id).fetch_optional(&mut **tx).await?;
    row.map(message).ok_or(ChangeError::Unknown("person"))
}

/// A person whom this changer may change.
pub(super) async fn reachable(tx: &mut Tx, id: &str, by: &Changer) -> Result<pb::Person, ChangeError> {
    let person = person(tx, id).await?;
    let owns: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM bindings WHERE person = $1 AND role = 'owner' LIMIT 1")
            .bind(id)
            .fetch_optional(&mut **tx)
            .await?;
    if owns.is_some() && !by.manages_owners { Err(ChangeError::OwnersOnly) } else { Ok(person) }
}

/// Refuses a change after which nobody owns the installation.
pub(super) async fn keep_an_owner(tx: &mut Tx) -> Result<(), ChangeError> {
    let owner: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM bindings JOIN people ON people.id = bindings.person
         WHERE bindings.role = 'owner' AND people.suspended_ms IS NULL LIMIT 1",
    )
    .fetch_optional(&mut **tx)
    .await?;
    owner.map(|_| ()).ok_or(ChangeError::LastOwner)
}

/// Ends all that lets a person in at a page.
pub(super) async fn shut_out(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM tickets WHERE person_session IN (SELECT hash FROM person_sessions WHERE person = $1)",
        "DELETE FROM person_sessions WHERE person = $1",
        "DELETE FROM sign_ins WHERE person = $1",
        "DELETE FROM device_codes WHERE person = $1",
    ] {
        sqlx::query(statement).bind(id).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Ends all that lets a person in, what they sign in by too, and all that may yet
/// become such.
pub(super) async fn begin_anew(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    shut_out(tx, id).await?;
    for statement in [
        "DELETE FROM challenges WHERE person = $1",
        "DELETE FROM mail_sign_ins WHERE person = $1",
        "DELETE FROM identities WHERE person = $1",
    ] {
        sqlx::query(statement).bind(id).execute(&mut **tx).await?;
    }
    Ok(())
}

async fn free(tx: &mut Tx, id: &str, email: &str) -> Result<(), ChangeError> {
    let other: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM people WHERE email = $2 AND id <> $1
         UNION SELECT 1 FROM identities WHERE kind = 'mail' AND subject = $2 AND person <> $1 LIMIT 1",
    )
    .bind(id)
    .bind(email)
    .fetch_optional(&mut **tx)
    .await?;
    if other.is_some() { Err(ChangeError::Taken("person")) } else { Ok(()) }
}

fn message((id, display_name, email, suspended, created): Row) -> pb::Person {
    pb::Person {
        id,
        display_name,
        email: email.unwrap_or_default(),
        suspended_unix_ms: from_row(suspended.unwrap_or_default()),
        created_unix_ms: from_row(created),
    }
}
