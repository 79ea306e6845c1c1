//! Links that let guests into one session: made, spent, taken back; and who came in
//! by them. Only hashes of secrets are kept, and a use is spent by the statement that
//! reads it.

mod guests;

use std::collections::BTreeMap;

use chatcode_proto::{
    id::{GatewayId, SessionId},
    limits,
    pb::{self, Role},
};

pub use self::guests::{Entered, FoundGuest, NewGuest};
use super::{
    Store, StoreError, Tx,
    audit::{self, Entry},
    from_row,
    people::{ChangeError, Changer},
    sign_ins::SecretHash,
    to_row,
};
use crate::clock;

/// Who shares a session: guests may never do more than they.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharer {
    /// The person with this id.
    Person(String),
    /// The administrator's program with this id, which counts as long as it is not
    /// revoked.
    Admin(String),
}

/// What a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// The link's id.
    pub share: String,
    /// The gateway.
    pub gateway: GatewayId,
    /// The session.
    pub session: SessionId,
    /// The most that guests may do.
    pub role: Role,
    /// Who shares.
    pub sharer: Sharer,
    /// Their name.
    pub sharer_name: String,
    /// When it ends, milliseconds since 1970.
    pub expires_ms: u64,
}

/// A link that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundShare {
    /// What it leads to.
    pub shared: Shared,
    /// The hash of its passphrase; `None`: it asks for none.
    pub passphrase: Option<String>,
    /// It lets in only people of this installation.
    pub accounts_only: bool,
    /// It lets nobody in any more, only back.
    pub is_used_up: bool,
}

/// A new link.
#[derive(Clone, Debug)]
pub struct NewShare<'a> {
    /// The hash of its secret.
    pub hash: SecretHash,
    /// What it leads to.
    pub shared: Shared,
    /// How many guests it lets in.
    pub uses: u32,
    /// The hash of its passphrase; empty: it asks for none.
    pub passphrase: &'a str,
    /// It lets in only people of this installation.
    pub accounts_only: bool,
}

/// How many links lead to each session, and when the next of them ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveShares {
    /// By session; none with 0.
    pub links: BTreeMap<(GatewayId, SessionId), u32>,
    /// Milliseconds since 1970; `None`: there is none.
    pub next_end_ms: Option<u64>,
}

/// A link is out while this holds; `$1` is the time.
macro_rules! is_out {
    () => {
        "shares.revoked_ms IS NULL AND shares.expires_ms > $1"
    };
}

/// A link that is out counts while who shares may sign in, or is not revoked.
macro_rules! counts {
    () => {
        "shares.revoked_ms IS NULL AND shares.expires_ms > $1
         AND (shares.person IS NULL OR EXISTS
              (SELECT 1 FROM people WHERE people.id = shares.person AND people.suspended_ms IS NULL))
         AND (shares.admin IS NULL OR EXISTS
              (SELECT 1 FROM members WHERE members.id = shares.admin AND members.revoked_ms IS NULL))"
    };
}
use counts;

/// What a link leads to, in the order of [`LeadsTo`].
macro_rules! leads_to {
    () => {
        "shares.id, shares.gateway, shares.session, shares.role, shares.person, shares.admin,
         shares.created_by_name, shares.expires_ms"
    };
}
use leads_to;

type LeadsTo = (String, String, String, String, Option<String>, Option<String>, String, i64);

impl Store {
    /// Keeps a link, and writes that it was made.
    ///
    /// # Errors
    /// [`ChangeError::Full`] when the session or its creator has too many.
    pub async fn add_share(&self, new: &NewShare<'_>, by: &Changer) -> Result<(), ChangeError> {
        let now = to_row(clock::unix_ms());
        let (shared, principal) = (&new.shared, &by.act.principal);
        let (gateway, session) = (shared.gateway.to_string(), shared.session.to_string());
        let mut tx = self.begin().await?;
        let of_session: i64 = sqlx::query_scalar(concat!(
            "SELECT COUNT(*) FROM shares WHERE ",
            is_out!(),
            " AND gateway = $2 AND session = $3"
        ))
        .bind(now)
        .bind(&gateway)
        .bind(&session)
        .fetch_one(&mut *tx)
        .await?;
        full(of_session, "links to this session", limits::SHARES_OF_SESSION)?;
        let of_creator: i64 = sqlx::query_scalar(concat!(
            "SELECT COUNT(*) FROM shares WHERE ",
            is_out!(),
            " AND created_by = $2"
        ))
        .bind(now)
        .bind(principal)
        .fetch_one(&mut *tx)
        .await?;
        full(of_creator, "links of yours", limits::SHARES_OF_CREATOR)?;
        let (person, admin) = match &shared.sharer {
            Sharer::Person(id) => (Some(id), None),
            Sharer::Admin(id) => (None, Some(id)),
        };
        sqlx::query(
            "INSERT INTO shares (id, hash, gateway, session, role, person, admin, created_by, created_by_name,
                                 created_ms, expires_ms, uses, passphrase, accounts_only)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        )
        .bind(&shared.share)
        .bind(&new.hash[..])
        .bind(&gateway)
        .bind(&session)
        .bind(role_text(shared.role))
        .bind(person)
        .bind(admin)
        .bind(principal)
        .bind(&shared.sharer_name)
        .bind(now)
        .bind(to_row(shared.expires_ms))
        .bind(new.uses)
        .bind(new.passphrase)
        .bind(i64::from(new.accounts_only))
        .execute(&mut *tx)
        .await?;
        let seconds = shared.expires_ms.saturating_sub(from_row(now)) / 1000;
        let (role, uses) = (role_text(shared.role), new.uses);
        let detail = format!("{}: {role}, {uses} guests, for {seconds} s", shared.share);
        note(&mut tx, &by.act, shared, detail).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The link with this secret, as long as it counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn share(&self, hash: &SecretHash) -> Result<Option<FoundShare>, StoreError> {
        type Row = (
            String,
            String,
            String,
            String,
            Option<String>,
            Option<String>,
            String,
            i64,
            String,
            i64,
            i64,
            i64,
        );
        let row: Option<Row> = sqlx::query_as(concat!(
            "SELECT ",
            leads_to!(),
            ", passphrase, accounts_only, uses, used FROM shares WHERE ",
            counts!(),
            " AND hash = $2"
        ))
        .bind(to_row(clock::unix_ms()))
        .bind(&hash[..])
        .fetch_optional(&self.read)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let (id, gateway, session, role, person, admin, name, expires, passphrase, accounts_only, uses, used) =
            row;
        let leads = (id, gateway, session, role, person, admin, name, expires);
        Ok(Some(FoundShare {
            shared: shared(leads)?,
            passphrase: Some(passphrase).filter(|hash| !hash.is_empty()),
            accounts_only: accounts_only != 0,
            is_used_up: used >= uses,
        }))
    }

    /// The links to this session that are out, this gateway's sessions or all (both
    /// empty), the newest first, each with its guests.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn shares(&self, gateway: &str, session: &str) -> Result<Vec<pb::Share>, StoreError> {
        type Row = (String, String, String, String, i64, i64, i64, String, i64, i64, String, String);
        let rows: Vec<Row> = sqlx::query_as(concat!(
            "SELECT id, gateway, session, role, expires_ms, uses, used, passphrase, accounts_only, created_ms,
                    created_by, created_by_name
             FROM shares WHERE ",
            is_out!(),
            " AND ($2 = '' OR gateway = $2) AND ($3 = '' OR session = $3)
             ORDER BY created_ms DESC, id LIMIT $4"
        ))
        .bind(to_row(clock::unix_ms()))
        .bind(gateway)
        .bind(session)
        .bind(limits::SHARES_LISTED)
        .fetch_all(&self.read)
        .await?;
        let mut shares = Vec::with_capacity(rows.len());
        for (id, gateway, session, role, expires, uses, used, passphrase, accounts_only, made, by, name) in
            rows
        {
            shares.push(pb::Share {
                guests: self.guests_of(&id).await?,
                id,
                gateway,
                session,
                role: role_of(&role)?.into(),
                expires_unix_ms: from_row(expires),
                uses: u32::try_from(uses).unwrap_or(u32::MAX),
                used: u32::try_from(used).unwrap_or(u32::MAX),
                passphrase: !passphrase.is_empty(),
                accounts_only: accounts_only != 0,
                created_unix_ms: from_row(made),
                created_by: by,
                created_by_name: name,
            });
        }
        Ok(shares)
    }

    /// What a link leads to that is out, by its id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn share_of(&self, id: &str) -> Result<Option<Shared>, StoreError> {
        let leads: Option<LeadsTo> =
            sqlx::query_as(concat!("SELECT ", leads_to!(), " FROM shares WHERE ", is_out!(), " AND id = $2"))
                .bind(to_row(clock::unix_ms()))
                .bind(id)
                .fetch_optional(&self.read)
                .await?;
        leads.map(shared).transpose()
    }

    /// Takes a link back, and writes it. Says the hashes of the tokens of its guests.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_share(&self, of: &Shared, act: &Entry) -> Result<Vec<SecretHash>, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE shares SET revoked_ms = $2 WHERE id = $1 AND revoked_ms IS NULL")
            .bind(&of.share)
            .bind(to_row(clock::unix_ms()))
            .execute(&mut *tx)
            .await?;
        let hashes: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT hash FROM guests WHERE share = $1 AND left_ms IS NULL")
                .bind(&of.share)
                .fetch_all(&mut *tx)
                .await?;
        note(&mut tx, act, of, of.share.clone()).await?;
        tx.commit().await?;
        let hash = |hash: Vec<u8>| hash.try_into().map_err(|_| StoreError::Corrupt("guests.hash"));
        hashes.into_iter().map(hash).collect()
    }

    /// How many links lead to each session now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn live_shares(&self) -> Result<LiveShares, StoreError> {
        let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(concat!(
            "SELECT gateway, session, COUNT(*), MIN(expires_ms) FROM shares WHERE ",
            counts!(),
            " GROUP BY gateway, session"
        ))
        .bind(to_row(clock::unix_ms()))
        .fetch_all(&self.read)
        .await?;
        let mut live =
            LiveShares { next_end_ms: rows.iter().map(|row| from_row(row.3)).min(), ..Default::default() };
        for (gateway, session, count, _) in rows {
            live.links.insert((place(&gateway)?, place(&session)?), u32::try_from(count).unwrap_or(u32::MAX));
        }
        Ok(live)
    }

    /// Forgets links and guests that ended long ago.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_shares(&self) -> Result<(), StoreError> {
        let before = to_row(clock::unix_ms().saturating_sub(clock::millis(limits::SHARE_KEPT)));
        sqlx::query("DELETE FROM shares WHERE expires_ms < $1 OR revoked_ms < $1")
            .bind(before)
            .execute(&self.write)
            .await?;
        Ok(())
    }
}

/// Writes an act on a shared session.
async fn note(tx: &mut Tx, act: &Entry, of: &Shared, detail: String) -> Result<(), StoreError> {
    let (gateway, session) = (of.gateway.to_string(), of.session.to_string());
    audit::append(tx, &Entry { gateway, session, detail, ..act.clone() }).await
}

fn full(count: i64, what: &'static str, most: u32) -> Result<(), ChangeError> {
    if count >= i64::from(most) { Err(ChangeError::Full { what, most }) } else { Ok(()) }
}

fn shared(row: LeadsTo) -> Result<Shared, StoreError> {
    let (share, gateway, session, role, person, admin, sharer_name, expires) = row;
    let sharer = match (person, admin) {
        (Some(id), None) => Sharer::Person(id),
        (None, Some(id)) => Sharer::Admin(id),
        _ => return Err(StoreError::Corrupt("shares.person")),
    };
    Ok(Shared {
        share,
        gateway: place(&gateway)?,
        session: place(&session)?,
        role: role_of(&role)?,
        sharer,
        sharer_name,
        expires_ms: from_row(expires),
    })
}

fn place<T: std::str::FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt("shares.session"))
}

const fn role_text(role: Role) -> &'static str {
    match role {
        Role::Writer => "writer",
        Role::Viewer | Role::Unspecified => "viewer",
    }
}

fn role_of(text: &str) -> Result<Role, StoreError> {
    [Role::Viewer, Role::Writer]
        .into_iter()
        .find(|role| role_text(*role) == text)
        .ok_or(StoreError::Corrupt("shares.role"))
}
