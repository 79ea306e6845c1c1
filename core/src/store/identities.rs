//! Identities: by what people sign in. A change is one transaction with its row of
//! the audit.

use chatcode_proto::{limits, pb, pb::IdentityKind};

use super::{
    Store, StoreError, Tx,
    audit::{self, Entry},
    from_row,
    people::{ChangeError, Person},
    sign_ins::{SecretHash, forget_others, going_on},
    to_row, vouched,
};
use crate::clock;

/// An identity that was found, of a person who may sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundIdentity {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub person: Person,
    /// What the person calls it.
    pub label: String,
    /// What its proof is judged by.
    pub data: String,
}

/// A new identity.
#[derive(Clone, Copy, Debug)]
pub struct NewIdentity<'a> {
    /// Its id.
    pub id: &'a str,
    /// The id of the person.
    pub person: &'a str,
    /// Their session in which it is added.
    pub session: &'a SecretHash,
    /// What it is.
    pub kind: IdentityKind,
    /// Names it among those of its kind.
    pub subject: &'a str,
    /// What its proof is judged by.
    pub data: &'a str,
    /// What the person calls it.
    pub label: &'a str,
}

type Row = (String, String, String, i64, i64);
type FoundRow = (String, String, String, String, String);

impl Store {
    /// The identities of a person, in the order in which they were added.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn identities_of(&self, person: &str) -> Result<Vec<pb::Identity>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, kind, label, created_ms, used_ms FROM identities WHERE person = $1
             ORDER BY created_ms, id LIMIT $2",
        )
        .bind(person)
        .bind(limits::IDENTITIES_OF_PERSON)
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().map(message).collect()
    }

    /// The subjects of a person's identities of one kind.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn subjects_of(&self, person: &str, kind: IdentityKind) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT subject FROM identities WHERE person = $1 AND kind = $2";
        let subjects = sqlx::query_scalar(sql).bind(person).bind(text(kind)).fetch_all(&self.read).await?;
        Ok(subjects)
    }

    /// The identity with this subject, unless its person is suspended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn identity(
        &self,
        kind: IdentityKind,
        subject: &str,
    ) -> Result<Option<FoundIdentity>, StoreError> {
        let row: Option<FoundRow> = sqlx::query_as(
            "SELECT identities.id, people.id, people.display_name, identities.label, identities.data
             FROM identities JOIN people ON people.id = identities.person
             WHERE kind = $1 AND subject = $2 AND people.suspended_ms IS NULL",
        )
        .bind(text(kind))
        .bind(subject)
        .fetch_optional(&self.read)
        .await?;
        Ok(row.map(found))
    }

    /// The password of the account with this e-mail address (in lower case), unless
    /// its person is suspended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn password_of(&self, email: &str) -> Result<Option<FoundIdentity>, StoreError> {
        let row: Option<FoundRow> = sqlx::query_as(
            "SELECT identities.id, people.id, people.display_name, identities.label, identities.data
             FROM people JOIN identities ON identities.person = people.id AND identities.kind = $2
             WHERE people.email = $1 AND people.suspended_ms IS NULL",
        )
        .bind(email)
        .bind(text(IdentityKind::Password))
        .fetch_optional(&self.read)
        .await?;
        Ok(row.map(found))
    }

    /// The e-mail address of a person; empty: none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn email_of(&self, person: &str) -> Result<String, StoreError> {
        let sql = "SELECT COALESCE(email, '') FROM people WHERE id = $1";
        let email: Option<String> = sqlx::query_scalar(sql).bind(person).fetch_optional(&self.read).await?;
        Ok(email.unwrap_or_default())
    }

    /// Adds an identity.
    ///
    /// # Errors
    /// [`ChangeError::Ended`] when the session has ended meanwhile,
    /// [`ChangeError::Elsewhere`] when another person signs in by it,
    /// [`ChangeError::Taken`] when this one does, [`ChangeError::Full`] beyond
    /// [`limits::IDENTITIES_OF_PERSON`]; [`StoreError`].
    pub async fn add_identity(
        &self,
        new: &NewIdentity<'_>,
        act: &Entry,
    ) -> Result<pb::Identity, ChangeError> {
        let mut tx = self.begin().await?;
        going_on(&mut tx, new.session).await?;
        let theirs: Option<String> =
            sqlx::query_scalar("SELECT person FROM identities WHERE kind = $1 AND subject = $2")
                .bind(text(new.kind))
                .bind(new.subject)
                .fetch_optional(&mut *tx)
                .await?;
        match theirs {
            Some(person) if person == new.person => {
                return Err(ChangeError::Taken("of your ways to sign in"));
            }
            Some(_) => return Err(ChangeError::Elsewhere),
            None => {}
        }
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM identities WHERE person = $1")
            .bind(new.person)
            .fetch_one(&mut *tx)
            .await?;
        if count >= i64::from(limits::IDENTITIES_OF_PERSON) {
            return Err(ChangeError::Full { what: "ways to sign in", most: limits::IDENTITIES_OF_PERSON });
        }
        let row: Row = sqlx::query_as(
            "INSERT INTO identities (id, person, kind, subject, data, label, created_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id, kind, label, created_ms, used_ms",
        )
        .bind(new.id)
        .bind(new.person)
        .bind(text(new.kind))
        .bind(new.subject)
        .bind(new.data)
        .bind(new.label)
        .bind(to_row(clock::unix_ms()))
        .fetch_one(&mut *tx)
        .await?;
        note(&mut tx, act, text(new.kind), new.label, new.person).await?;
        tx.commit().await?;
        Ok(message(row)?)
    }

    /// Sets the password of a person, or another one; `new.subject` is the person.
    /// Another one ends their other sessions, whose hashes are answered.
    ///
    /// # Errors
    /// As [`Self::add_identity`].
    pub async fn set_password(
        &self,
        new: &NewIdentity<'_>,
        act: &Entry,
    ) -> Result<(pb::Identity, Vec<SecretHash>), ChangeError> {
        let mut tx = self.begin().await?;
        going_on(&mut tx, new.session).await?;
        let changed: Option<Row> = sqlx::query_as(
            "UPDATE identities SET data = $3, created_ms = $4, used_ms = 0 WHERE kind = $1 AND subject = $2
             RETURNING id, kind, label, created_ms, used_ms",
        )
        .bind(text(IdentityKind::Password))
        .bind(new.person)
        .bind(new.data)
        .bind(to_row(clock::unix_ms()))
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = changed else {
            drop(tx);
            return Ok((self.add_identity(new, act).await?, Vec::new()));
        };
        let ended = forget_others(&mut tx, new.person, new.session).await?;
        note(&mut tx, act, text(new.kind), new.label, new.person).await?;
        tx.commit().await?;
        Ok((message(row)?, ended))
    }

    /// Gives an identity of a person another name.
    ///
    /// # Errors
    /// [`ChangeError::Unknown`] when the person has none of this id; [`StoreError`].
    pub async fn rename_identity(
        &self,
        person: &str,
        id: &str,
        label: &str,
        act: &Entry,
    ) -> Result<(), ChangeError> {
        let mut tx = self.begin().await?;
        let kind: Option<String> = sqlx::query_scalar(
            "UPDATE identities SET label = $3 WHERE id = $1 AND person = $2 RETURNING kind",
        )
        .bind(id)
        .bind(person)
        .bind(label)
        .fetch_optional(&mut *tx)
        .await?;
        let kind = kind.ok_or(ChangeError::Unknown(WAY))?;
        note(&mut tx, act, &kind, label, person).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Removes an identity of a person, and ends their sessions but this one: whoever
    /// came in by it is out. With an account at a provider goes what the person was
    /// given by its word of their groups. Says the hashes of those that have ended.
    ///
    /// # Errors
    /// [`ChangeError::Unknown`] when the person has none of this id,
    /// [`ChangeError::LastIdentity`] when it is the last one of an owner;
    /// [`StoreError`].
    pub async fn remove_identity(
        &self,
        person: &str,
        id: &str,
        session: &SecretHash,
        act: &Entry,
    ) -> Result<Vec<SecretHash>, ChangeError> {
        let mut tx = self.begin().await?;
        let sql = "DELETE FROM identities WHERE id = $1 AND person = $2 RETURNING kind, label, data";
        let gone: Option<(String, String, String)> =
            sqlx::query_as(sql).bind(id).bind(person).fetch_optional(&mut *tx).await?;
        let (kind, label, data) = gone.ok_or(ChangeError::Unknown(WAY))?;
        let is_locked_out: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM bindings WHERE person = $1 AND role = 'owner'
               AND NOT EXISTS (SELECT 1 FROM identities WHERE person = $1) LIMIT 1",
        )
        .bind(person)
        .fetch_optional(&mut *tx)
        .await?;
        if is_locked_out.is_some() {
            return Err(ChangeError::LastIdentity);
        }
        let ended = forget_others(&mut tx, person, session).await?;
        note(&mut tx, act, &kind, &label, person).await?;
        if kind == text(IdentityKind::Provider) {
            // Its word counts for no team any more.
            vouched::set_teams(&mut tx, person, &data, &[], act).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }
}

/// What an identity is called in refusals.
const WAY: &str = "way to sign in";

/// The kind as it is kept.
pub(super) const fn text(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::Unspecified => "",
        IdentityKind::Passkey => "passkey",
        IdentityKind::Password => "password",
        IdentityKind::Mail => "mail",
        IdentityKind::Provider => "provider",
    }
}

fn kind(known: &str) -> Result<IdentityKind, StoreError> {
    [IdentityKind::Passkey, IdentityKind::Password, IdentityKind::Mail, IdentityKind::Provider]
        .into_iter()
        .find(|kind| text(*kind) == known)
        .ok_or(StoreError::Corrupt("identities.kind"))
}

/// Writes which identity of whom was changed.
async fn note(tx: &mut Tx, act: &Entry, kind: &str, label: &str, person: &str) -> Result<(), StoreError> {
    let detail = format!("{kind} {label} of person/{person}");
    audit::append(tx, &Entry { detail, ..act.clone() }).await
}

fn found((id, person, display_name, label, data): FoundRow) -> FoundIdentity {
    FoundIdentity { id, person: Person { id: person, display_name }, label, data }
}

fn message((id, known, label, created, used): Row) -> Result<pb::Identity, StoreError> {
    Ok(pb::Identity {
        id,
        kind: kind(&known)?.into(),
        label,
        created_unix_ms: from_row(created),
        used_unix_ms: from_row(used),
    })
}
