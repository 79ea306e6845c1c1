//! Who came in by a link: let in by spending a use, found again by their token, gone.

use chatcode_proto::{limits, pb};

use super::{LeadsTo, Shared, counts, leads_to, note, role_text, shared};
use crate::{
    clock,
    store::{Store, StoreError, Tx, audit::Entry, from_row, sign_ins::SecretHash, to_row},
};

/// A guest who may stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundGuest {
    /// A random UUID.
    pub id: String,
    /// The name that others see.
    pub display_name: String,
    /// The id of their account; empty: they have none here.
    pub person: String,
    /// What they are let into.
    pub shared: Shared,
}

/// Somebody who comes in.
#[derive(Clone, Debug)]
pub struct NewGuest<'a> {
    /// A random UUID.
    pub id: &'a str,
    /// The hash of their token.
    pub hash: SecretHash,
    /// The name that others see.
    pub display_name: &'a str,
    /// The id of their account; `None`: they have none here.
    pub person: Option<&'a str>,
    /// The browser, as it calls itself; cleaned.
    pub device: &'a str,
    /// Where it comes from; empty: not known.
    pub address: &'a str,
    /// The hash of the token that the browser has already.
    pub again: Option<SecretHash>,
}

/// A guest who came in: the id, which an earlier stay gave, and the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// The guest's id.
    pub id: String,
    /// The name that others see.
    pub display_name: String,
}

impl Store {
    /// Lets a guest in by this link: back in with the token of an earlier stay, or by
    /// spending a use. `None`: it does not count, or is used up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn enter(
        &self,
        to: &Shared,
        guest: &NewGuest<'_>,
        act: &Entry,
    ) -> Result<Option<Entered>, StoreError> {
        let now = to_row(clock::unix_ms());
        let mut tx = self.begin().await?;
        let counts: Option<i64> =
            sqlx::query_scalar(concat!("SELECT 1 FROM shares WHERE ", counts!(), " AND id = $2"))
                .bind(now)
                .bind(&to.share)
                .fetch_optional(&mut *tx)
                .await?;
        if counts.is_none() {
            return Ok(None);
        }
        let entered = match back(&mut tx, to, guest).await? {
            Some(entered) => entered,
            None => {
                let spent = sqlx::query("UPDATE shares SET used = used + 1 WHERE id = $1 AND used < uses")
                    .bind(&to.share)
                    .execute(&mut *tx)
                    .await?;
                if spent.rows_affected() == 0 {
                    return Ok(None);
                }
                sqlx::query(
                    "INSERT INTO guests (id, hash, share, display_name, person, device, address, entered_ms)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                )
                .bind(guest.id)
                .bind(&guest.hash[..])
                .bind(&to.share)
                .bind(guest.display_name)
                .bind(guest.person)
                .bind(guest.device)
                .bind(guest.address)
                .bind(now)
                .execute(&mut *tx)
                .await?;
                Entered { id: guest.id.to_owned(), display_name: guest.display_name.to_owned() }
            }
        };
        let act = Entry { principal: format!("guest/{}", entered.id), ..act.clone() };
        let whose = guest.person.map(|person| format!(", person/{person}")).unwrap_or_default();
        let detail = format!("{} as {}: {}{whose}", to.share, role_text(to.role), entered.display_name);
        note(&mut tx, &act, to, detail).await?;
        tx.commit().await?;
        Ok(Some(entered))
    }

    /// The guest with this token, as long as they may stay.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn guest(&self, hash: &SecretHash) -> Result<Option<FoundGuest>, StoreError> {
        let now = to_row(clock::unix_ms());
        let guest: Option<(String, String, Option<String>, String)> = sqlx::query_as(
            "SELECT guests.id, guests.display_name, guests.person, guests.share FROM guests
             LEFT JOIN people ON people.id = guests.person
             WHERE guests.hash = $1 AND guests.left_ms IS NULL AND people.suspended_ms IS NULL",
        )
        .bind(&hash[..])
        .fetch_optional(&self.read)
        .await?;
        let Some((id, display_name, person, share)) = guest else { return Ok(None) };
        let leads: Option<LeadsTo> =
            sqlx::query_as(concat!("SELECT ", leads_to!(), " FROM shares WHERE ", counts!(), " AND id = $2"))
                .bind(now)
                .bind(share)
                .fetch_optional(&self.read)
                .await?;
        let Some(leads) = leads else { return Ok(None) };
        let person = person.unwrap_or_default();
        Ok(Some(FoundGuest { id, display_name, person, shared: shared(leads)? }))
    }

    /// Ends the stay of a guest, and writes it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_guest(&self, hash: &SecretHash, of: &Shared, act: &Entry) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE guests SET left_ms = $2 WHERE hash = $1 AND left_ms IS NULL")
            .bind(&hash[..])
            .bind(to_row(clock::unix_ms()))
            .execute(&mut *tx)
            .await?;
        note(&mut tx, act, of, of.share.clone()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Those who came in by this link and may still, the newest first.
    pub(super) async fn guests_of(&self, share: &str) -> Result<Vec<pb::ShareGuest>, StoreError> {
        type Row = (String, String, i64, String, String, Option<String>);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT guests.id, guests.display_name, entered_ms, device, address, guests.person FROM guests
             LEFT JOIN people ON people.id = guests.person
             WHERE share = $1 AND left_ms IS NULL AND people.suspended_ms IS NULL
             ORDER BY entered_ms DESC, guests.id LIMIT $2",
        )
        .bind(share)
        .bind(limits::SHARE_USES.end())
        .fetch_all(&self.read)
        .await?;
        let message = |(id, display_name, entered, device, address, person): Row| pb::ShareGuest {
            principal: format!("guest/{id}"),
            display_name,
            entered_unix_ms: from_row(entered),
            device,
            address,
            person: person.map(|id| format!("person/{id}")).unwrap_or_default(),
        };
        Ok(rows.into_iter().map(message).collect())
    }
}

/// A browser that has a token of this link comes in again and gets another token.
async fn back(tx: &mut Tx, to: &Shared, guest: &NewGuest<'_>) -> Result<Option<Entered>, StoreError> {
    let Some(again) = guest.again else { return Ok(None) };
    let row: Option<(String, String)> = sqlx::query_as(
        "UPDATE guests SET hash = $3 WHERE hash = $1 AND share = $2 AND left_ms IS NULL AND person IS NOT DISTINCT FROM $4
         RETURNING id, display_name",
    )
    .bind(&again[..])
    .bind(&to.share)
    .bind(&guest.hash[..])
    .bind(guest.person)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|(id, display_name)| Entered { id, display_name }))
}
