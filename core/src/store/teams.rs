//! Teams: named sets of people.

use chatcode_proto::{limits, pb};

use super::{
    Store, Tx, from_row,
    people::{ChangeError, Changer, person, shown},
    to_row,
};
use crate::clock;

type Row = (String, String, String, i64);

impl Store {
    /// The teams that follow one of them by name (empty: the first ones), with
    /// their members, and whether there are more.
    ///
    /// # Errors
    /// [`ChangeError::Unknown`] when that one is not known; the store's.
    pub async fn teams_page(&self, after: &str) -> Result<(Vec<pb::Team>, bool), ChangeError> {
        let from: String = match after {
            "" => String::new(),
            id => {
                let name = sqlx::query_scalar("SELECT name FROM teams WHERE id = $1").bind(id);
                name.fetch_optional(&self.read).await?.ok_or(ChangeError::Unknown("team"))?
            }
        };
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, name, external_group, created_ms FROM teams WHERE name > $1 ORDER BY name LIMIT $2",
        )
        .bind(from)
        .bind(i64::from(limits::TEAMS_PAGE) + 1)
        .fetch_all(&self.read)
        .await?;
        let more = rows.len() > limits::TEAMS_PAGE as usize;
        let mut teams = Vec::new();
        for (id, name, external_group, created) in rows.into_iter().take(limits::TEAMS_PAGE as usize) {
            let members: Vec<String> =
                sqlx::query_scalar("SELECT person FROM team_members WHERE team = $1 ORDER BY person")
                    .bind(&id)
                    .fetch_all(&self.read)
                    .await?;
            teams.push(pb::Team { id, name, external_group, members, created_unix_ms: from_row(created) });
        }
        Ok((teams, more))
    }

    /// Adds a team without members.
    ///
    /// # Errors
    /// [`ChangeError`]: too many, or the name is another's.
    pub async fn create_team(&self, team: pb::Team, by: &Changer) -> Result<pb::Team, ChangeError> {
        let mut tx = self.begin().await?;
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM teams").fetch_one(&mut *tx).await?;
        if count >= i64::from(limits::TEAMS) {
            return Err(ChangeError::Full { what: "teams", most: limits::TEAMS });
        }
        free(&mut tx, &team).await?;
        let team = pb::Team { created_unix_ms: clock::unix_ms(), members: Vec::new(), ..team };
        sqlx::query("INSERT INTO teams (id, name, external_group, created_ms) VALUES ($1, $2, $3, $4)")
            .bind(&team.id)
            .bind(&team.name)
            .bind(&team.external_group)
            .bind(to_row(team.created_unix_ms))
            .execute(&mut *tx)
            .await?;
        by.note(&mut tx, described(&team)).await?;
        tx.commit().await?;
        Ok(team)
    }

    /// Gives a team another name and external group. Another group takes those out at
    /// once who are members by a provider's word.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn update_team(&self, team: &pb::Team, by: &Changer) -> Result<(), ChangeError> {
        let mut tx = self.begin().await?;
        let before = name_of(&mut tx, &team.id).await?;
        free(&mut tx, team).await?;
        let out = sqlx::query(
            "DELETE FROM team_members WHERE team = $1 AND provider <> ''
             AND (SELECT external_group FROM teams WHERE id = $1) <> $2",
        )
        .bind(&team.id)
        .bind(&team.external_group)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        sqlx::query("UPDATE teams SET name = $2, external_group = $3 WHERE id = $1")
            .bind(&team.id)
            .bind(&team.name)
            .bind(&team.external_group)
            .execute(&mut *tx)
            .await?;
        let out = if out == 0 { String::new() } else { format!(", without its {out} by a provider") };
        by.note(&mut tx, format!("{}, before {before}{out}", described(team))).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Removes a team and what it was given.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn remove_team(&self, id: &str, by: &Changer) -> Result<(), ChangeError> {
        let mut tx = self.begin().await?;
        let name = name_of(&mut tx, id).await?;
        sqlx::query("DELETE FROM teams WHERE id = $1").bind(id).execute(&mut *tx).await?;
        by.note(&mut tx, format!("team/{id} {name}")).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes a person into a team, or out of it.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn set_team_member(
        &self,
        team: &str,
        member: &str,
        is_member: bool,
        by: &Changer,
    ) -> Result<(), ChangeError> {
        let mut tx = self.begin().await?;
        let name = name_of(&mut tx, team).await?;
        let who = person(&mut tx, member).await?;
        let (statement, word) = if is_member {
            // By hand from now on, whatever a provider says of it later.
            let sql = "INSERT INTO team_members (team, person) VALUES ($1, $2)
                 ON CONFLICT (team, person) DO UPDATE SET provider = ''";
            (sql, "into")
        } else {
            ("DELETE FROM team_members WHERE team = $1 AND person = $2", "out of")
        };
        sqlx::query(statement).bind(team).bind(member).execute(&mut *tx).await?;
        by.note(&mut tx, format!("{word} team/{team}: {}, {name}", shown(&who))).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The name of a team.
pub(super) async fn name_of(tx: &mut Tx, id: &str) -> Result<String, ChangeError> {
    let name = sqlx::query_scalar("SELECT name FROM teams WHERE id = $1").bind(id);
    name.fetch_optional(&mut **tx).await?.ok_or(ChangeError::Unknown("team"))
}

async fn free(tx: &mut Tx, team: &pb::Team) -> Result<(), ChangeError> {
    let other: Option<i64> = sqlx::query_scalar("SELECT 1 FROM teams WHERE name = $2 AND id <> $1")
        .bind(&team.id)
        .bind(&team.name)
        .fetch_optional(&mut **tx)
        .await?;
    if other.is_some() { Err(ChangeError::Taken("team")) } else { Ok(()) }
}

fn described(team: &pb::Team) -> String {
    let group = match team.external_group.as_str() {
        "" => String::new(),
        group => format!(", group {group}"),
    };
    format!("team/{} {}{group}", team.id, team.name)
}
