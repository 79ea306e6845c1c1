//! API tokens: made, listed, revoked, found again by their hash.

use chatcode_proto::{limits, pb};

use super::{
    Store, StoreError, Tx,
    bindings::given,
    from_row,
    people::{ChangeError, Changer, Person, reachable, shown},
    sign_ins::{SecretHash, USED_EVERY_MS, not_needed},
    to_row,
};
use crate::{
    clock,
    people::{Given, role_text},
};

/// A token that was found alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundToken {
    /// Its id.
    pub id: String,
    /// For whom it acts.
    pub person: Person,
    /// The most that it may do, and where.
    pub bounds: Given,
    /// When it ends, milliseconds since 1970.
    pub expires_ms: u64,
}

/// A new token.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    /// Its id.
    pub id: &'a str,
    /// The hash of its secret.
    pub hash: SecretHash,
    /// The id of the person for whom it acts.
    pub person: &'a str,
    /// What it is for.
    pub name: &'a str,
    /// The most that it may do, and where.
    pub bounds: &'a Given,
    /// When it ends, milliseconds since 1970.
    pub expires_ms: u64,
}

type Row = (String, String, String, String, String, i64, i64, i64, Option<i64>, String);

impl Store {
    /// Keeps a token.
    ///
    /// # Errors
    /// [`ChangeError`]: too many of this person, nobody with this id, or an owner's
    /// by one who is none. The person's own is made with `manages_owners`.
    pub async fn add_api_token(&self, new: &NewToken<'_>, by: &Changer) -> Result<pb::ApiToken, ChangeError> {
        let mut tx = self.begin().await?;
        let made = add(&mut tx, new, by).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// The tokens of a person: those that count, then the others, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn api_tokens(&self, person: &str) -> Result<Vec<pb::ApiToken>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, person, name, role, place, created_ms, expires_ms, used_ms, revoked_ms, created_by
             FROM api_tokens WHERE person = $1
             ORDER BY (revoked_ms IS NOT NULL OR expires_ms <= $3), created_ms DESC, id LIMIT $2",
        )
        .bind(person)
        .bind(limits::API_TOKENS_OF_PERSON)
        .bind(to_row(clock::unix_ms()))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().map(message).collect()
    }

    /// Revokes a token: of this person, or of anybody (`None`). Says the hash of
    /// its secret.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn revoke_api_token(
        &self,
        id: &str,
        of: Option<&str>,
        by: &Changer,
    ) -> Result<SecretHash, ChangeError> {
        let mut tx = self.begin().await?;
        let row: Option<(Vec<u8>, String, String)> = sqlx::query_as(
            "UPDATE api_tokens SET revoked_ms = COALESCE(revoked_ms, $2) WHERE id = $1
             RETURNING hash, person, name",
        )
        .bind(id)
        .bind(to_row(clock::unix_ms()))
        .fetch_optional(&mut *tx)
        .await?;
        let found = row.filter(|(_, person, _)| of.is_none_or(|of| of == person));
        let (hash, person, name) = found.ok_or(ChangeError::Unknown("API token"))?;
        let person = if of.is_some() {
            super::people::person(&mut tx, &person).await?
        } else {
            reachable(&mut tx, &person, by).await?
        };
        by.note(&mut tx, format!("{id} of {}, {name}", shown(&person))).await?;
        tx.commit().await?;
        Ok(hash.try_into().map_err(|_| StoreError::Corrupt("api_tokens.hash"))?)
    }

    /// The token with this hash, when it is neither revoked nor at its end and its
    /// person is not suspended; and notes that it was used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn api_token(&self, hash: &SecretHash) -> Result<Option<FoundToken>, StoreError> {
        let now = clock::unix_ms();
        let row: Option<(String, String, String, String, String, i64, i64)> = sqlx::query_as(
            "SELECT api_tokens.id, people.id, people.display_name, api_tokens.role, api_tokens.place,
                    api_tokens.expires_ms, api_tokens.used_ms
             FROM api_tokens JOIN people ON people.id = api_tokens.person
             WHERE hash = $1 AND expires_ms > $2 AND revoked_ms IS NULL AND people.suspended_ms IS NULL",
        )
        .bind(&hash[..])
        .bind(to_row(now))
        .fetch_optional(&self.read)
        .await?;
        let Some((id, person, display_name, role, place, expires, used)) = row else { return Ok(None) };
        if now.saturating_sub(from_row(used)) > USED_EVERY_MS {
            let noted =
                sqlx::query("UPDATE api_tokens SET used_ms = $2 WHERE id = $1").bind(&id).bind(to_row(now));
            not_needed(noted.execute(&self.write).await);
        }
        let person = Person { id: person, display_name };
        Ok(Some(FoundToken { id, person, bounds: given(&role, &place)?, expires_ms: from_row(expires) }))
    }
}

/// Keeps a token and writes which, as [`Store::add_api_token`].
pub(super) async fn add(tx: &mut Tx, new: &NewToken<'_>, by: &Changer) -> Result<pb::ApiToken, ChangeError> {
    let now = clock::unix_ms();
    let person = reachable(tx, new.person, by).await?;
    // Those that are of no use any more are listed for a while, as long as
    // there is room.
    sqlx::query(
        "DELETE FROM api_tokens WHERE person = $1 AND (expires_ms <= $2 OR revoked_ms IS NOT NULL)
           AND id NOT IN (SELECT id FROM api_tokens WHERE person = $1 ORDER BY created_ms DESC LIMIT $3)",
    )
    .bind(new.person)
    .bind(to_row(now))
    .bind(limits::API_TOKENS_OF_PERSON / 2)
    .execute(&mut **tx)
    .await?;
    let count: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM api_tokens WHERE person = $1 AND expires_ms > $2 AND revoked_ms IS NULL",
    )
    .bind(new.person)
    .bind(to_row(now))
    .fetch_one(&mut **tx)
    .await?;
    if count >= i64::from(limits::API_TOKENS_OF_PERSON) {
        return Err(ChangeError::Full {
            what: "API tokens of this person",
            most: limits::API_TOKENS_OF_PERSON,
        });
    }
    let row: Row = sqlx::query_as(
        "INSERT INTO api_tokens (id, hash, person, name, role, place, created_ms, expires_ms, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         RETURNING id, person, name, role, place, created_ms, expires_ms, used_ms, revoked_ms, created_by",
    )
    .bind(new.id)
    .bind(&new.hash[..])
    .bind(new.person)
    .bind(new.name)
    .bind(role_text(new.bounds.role))
    .bind(new.bounds.place.text())
    .bind(to_row(now))
    .bind(to_row(new.expires_ms))
    .bind(&by.act.principal)
    .fetch_one(&mut **tx)
    .await?;
    let (role, place) = (role_text(new.bounds.role), &new.bounds.place);
    let detail = format!("{}: {role} on {place} for {}, {}", new.id, shown(&person), new.name);
    by.note(tx, detail).await?;
    Ok(message(row)?)
}

fn message(row: Row) -> Result<pb::ApiToken, StoreError> {
    let (id, person, name, role, place, created, expires, used, revoked, created_by) = row;
    let Given { role, place } = given(&role, &place)?;
    Ok(pb::ApiToken {
        id,
        person,
        name,
        role: role.into(),
        place: Some(place.message()),
        created_unix_ms: from_row(created),
        expires_unix_ms: from_row(expires),
        used_unix_ms: from_row(used),
        revoked_unix_ms: from_row(revoked.unwrap_or_default()),
        created_by,
    })
}
