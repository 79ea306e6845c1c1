//! Who has which role where.

use std::collections::HashMap;

use chatcode_proto::{
    limits,
    pb::{self, PersonRole, binding::Holder},
};

use super::{
    Store, StoreError, Tx, from_row,
    people::{ChangeError, Changer, begin_anew, keep_an_owner, person, shown},
    teams, to_row,
};
use crate::{
    clock,
    people::{Given, Place, role_of, role_text},
};

type Row = (String, Option<String>, Option<String>, String, String, i64, String);

/// What everybody who is not suspended was given, by themselves and through
/// their teams, by the ids of people.
pub type AllGiven = HashMap<String, Vec<Given>>;

impl Store {
    /// All that anybody was given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn all_given(&self) -> Result<AllGiven, StoreError> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT people.id, bindings.role, bindings.place
             FROM bindings JOIN people ON people.id = bindings.person
             WHERE people.suspended_ms IS NULL
             UNION
             SELECT people.id, bindings.role, bindings.place
             FROM bindings JOIN team_members ON team_members.team = bindings.team
             JOIN people ON people.id = team_members.person
             WHERE people.suspended_ms IS NULL
             ORDER BY 1, 2, 3",
        )
        .fetch_all(&self.read)
        .await?;
        let mut all = AllGiven::new();
        for (person, role, place) in rows {
            all.entry(person).or_default().push(given(&role, &place)?);
        }
        Ok(all)
    }

    /// The bindings after one of them (empty: the first ones), in the order in
    /// which they were given, and whether there are more.
    ///
    /// # Errors
    /// [`ChangeError::Unknown`] when that one is not known; the store's.
    pub async fn bindings_page(&self, after: &str) -> Result<(Vec<pb::Binding>, bool), ChangeError> {
        let from = match after {
            "" => -1,
            id => {
                let created = sqlx::query_scalar("SELECT created_ms FROM bindings WHERE id = $1").bind(id);
                created.fetch_optional(&self.read).await?.ok_or(ChangeError::Unknown("binding"))?
            }
        };
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, person, team, role, place, created_ms, created_by FROM bindings
             WHERE created_ms > $1 OR (created_ms = $1 AND id > $2) ORDER BY created_ms, id LIMIT $3",
        )
        .bind(from)
        .bind(after)
        .bind(i64::from(limits::BINDINGS_PAGE) + 1)
        .fetch_all(&self.read)
        .await?;
        let more = rows.len() > limits::BINDINGS_PAGE as usize;
        let page = rows.into_iter().take(limits::BINDINGS_PAGE as usize);
        Ok((page.map(message).collect::<Result<_, _>>()?, more))
    }

    /// Gives a role, with the id `fresh`; one that is there already is answered
    /// as it is. Who becomes owner loses every way in of before.
    ///
    /// # Errors
    /// [`ChangeError`]: too many, nobody with this id, or owner by one who is
    /// none.
    pub async fn create_binding(
        &self,
        fresh: &str,
        holder: &Holder,
        wanted: &Given,
        by: &Changer,
    ) -> Result<pb::Binding, ChangeError> {
        let mut tx = self.begin().await?;
        if wanted.role == PersonRole::Owner && !by.manages_owners {
            return Err(ChangeError::OwnersOnly);
        }
        let whom = holder_shown(&mut tx, holder).await?;
        let (person, team) = columns(holder);
        let known: Option<Row> = sqlx::query_as(
            "SELECT id, person, team, role, place, created_ms, created_by FROM bindings
             WHERE (person = $1 OR team = $2) AND role = $3 AND place = $4",
        )
        .bind(person)
        .bind(team)
        .bind(role_text(wanted.role))
        .bind(wanted.place.text())
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(known) = known {
            return Ok(message(known)?);
        }
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM bindings").fetch_one(&mut *tx).await?;
        if count >= i64::from(limits::BINDINGS) {
            return Err(ChangeError::Full { what: "bindings", most: limits::BINDINGS });
        }
        let of_holder: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM bindings WHERE person = $1 OR team = $2")
                .bind(person)
                .bind(team)
                .fetch_one(&mut *tx)
                .await?;
        if of_holder >= i64::from(limits::BINDINGS_OF_HOLDER) {
            let what = "roles given to the same person or team";
            return Err(ChangeError::Full { what, most: limits::BINDINGS_OF_HOLDER });
        }
        let row: Row = sqlx::query_as(
            "INSERT INTO bindings (id, person, team, role, place, created_ms, created_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             RETURNING id, person, team, role, place, created_ms, created_by",
        )
        .bind(fresh)
        .bind(person)
        .bind(team)
        .bind(role_text(wanted.role))
        .bind(wanted.place.text())
        .bind(to_row(clock::unix_ms()))
        .bind(&by.act.principal)
        .fetch_one(&mut *tx)
        .await?;
        if let (PersonRole::Owner, Some(person)) = (wanted.role, person) {
            // Whoever made a one-time URL of theirs may have opened it, and added a
            // passkey of their own: nothing of before becomes an owner's.
            begin_anew(&mut tx, person).await?;
        }
        by.note(&mut tx, format!("{} on {} to {whom}", role_text(wanted.role), wanted.place)).await?;
        tx.commit().await?;
        Ok(message(row)?)
    }

    /// Takes a role away.
    ///
    /// # Errors
    /// [`ChangeError`]; the last owner stays.
    pub async fn remove_binding(&self, id: &str, by: &Changer) -> Result<(), ChangeError> {
        let mut tx = self.begin().await?;
        let row: Option<Row> = sqlx::query_as(
            "DELETE FROM bindings WHERE id = $1
             RETURNING id, person, team, role, place, created_ms, created_by",
        )
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
        let gone = message(row.ok_or(ChangeError::Unknown("binding"))?)?;
        if gone.role() == PersonRole::Owner {
            if !by.manages_owners {
                return Err(ChangeError::OwnersOnly);
            }
            keep_an_owner(&mut tx).await?;
        }
        let holder = gone.holder.as_ref().ok_or(StoreError::Corrupt("bindings.person"))?;
        let whom = holder_shown(&mut tx, holder).await?;
        let place = gone.place.as_ref().and_then(|place| Place::try_from(place).ok());
        let place = place.map(|place| place.to_string()).unwrap_or_default();
        by.note(&mut tx, format!("{} on {place} from {whom}", role_text(gone.role()))).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// A role somewhere, as it is kept.
pub(super) fn given(role: &str, place: &str) -> Result<Given, StoreError> {
    Ok(Given {
        role: role_of(role).ok_or(StoreError::Corrupt("a role"))?,
        place: Place::of_text(place).ok_or(StoreError::Corrupt("a place"))?,
    })
}

async fn holder_shown(tx: &mut Tx, holder: &Holder) -> Result<String, ChangeError> {
    Ok(match holder {
        Holder::Person(id) => shown(&person(tx, id).await?),
        Holder::Team(id) => format!("team/{id} {}", teams::name_of(tx, id).await?),
    })
}

fn columns(holder: &Holder) -> (Option<&str>, Option<&str>) {
    match holder {
        Holder::Person(id) => (Some(id), None),
        Holder::Team(id) => (None, Some(id)),
    }
}

fn message((id, person, team, role, place, created, created_by): Row) -> Result<pb::Binding, StoreError> {
    let Given { role, place } = given(&role, &place)?;
    Ok(pb::Binding {
        id,
        holder: person.map(Holder::Person).or(team.map(Holder::Team)),
        role: role.into(),
        place: Some(place.message()),
        created_unix_ms: from_row(created),
        created_by,
    })
}
