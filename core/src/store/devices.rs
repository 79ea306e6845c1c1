//! Logins of programs that wait for a person: begun, looked at, decided, fetched
//! once.

use chatcode_proto::{limits, pb};

use super::{
    Store, StoreError, Tx, api_tokens,
    audit::{self, Entry},
    from_row,
    people::{ChangeError, Changer},
    sign_ins::SecretHash,
    to_row,
};
use crate::{
    clock::{self, millis},
    people::{Given, Place, role_of, role_text},
    store::api_tokens::NewToken,
};

/// What a program asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it calls itself.
    pub program: String,
    /// What its machine calls itself.
    pub hostname: String,
    /// Where it asks from.
    pub address: String,
    /// The most that its token shall be able to do.
    pub role: pb::PersonRole,
    /// How long its token shall live, seconds.
    pub ttl_s: u32,
}

/// A login that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What asks.
    pub asked: Asked,
    /// When it asked, milliseconds since 1970.
    pub asked_ms: u64,
    /// When it expires, milliseconds since 1970.
    pub expires_ms: u64,
}

/// What a decision is about, and who makes it.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    /// The hash of the user code.
    pub user_code: SecretHash,
    /// The role of the token; `None`: it is refused.
    pub role: Option<pb::PersonRole>,
    /// The id of the person who decides.
    pub person: &'a str,
    /// The row of the audit; what was decided on is added.
    pub act: Entry,
}

/// What became of a login.
#[derive(Clone, Debug, PartialEq)]
pub enum Polled {
    /// There is none with this code, or its token was fetched.
    Unknown,
    /// Nobody has decided yet.
    Pending,
    /// Nobody decided in time.
    Expired,
    /// A person has refused it.
    Denied,
    /// A person has let it in, and this is the token.
    Approved {
        /// The token.
        token: Box<pb::ApiToken>,
        /// The name of the person.
        display_name: String,
    },
}

type Row = (String, String, String, String, i64, i64, i64);

impl Store {
    /// Keeps a login that waits, of a subscriber of whom fewer than
    /// [`limits::DEVICES_OF_ADDRESS`] wait; says when it expires, milliseconds since
    /// 1970, or `None` when too many do.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_device(
        &self,
        (device, user_code): (&SecretHash, &SecretHash),
        asked: &Asked,
        subscriber: &str,
    ) -> Result<Option<u64>, StoreError> {
        let now = clock::unix_ms();
        let expires = now + millis(limits::DEVICE);
        let mut tx = self.begin().await?;
        // Those that have expired are told so for a while.
        sqlx::query("DELETE FROM device_codes WHERE expires_ms <= $1")
            .bind(to_row(now.saturating_sub(millis(limits::DEVICE))))
            .execute(&mut *tx)
            .await?;
        let waiting: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM device_codes WHERE subscriber = $1 AND state = 'pending' AND expires_ms > $2",
        )
        .bind(subscriber)
        .bind(to_row(now))
        .fetch_one(&mut *tx)
        .await?;
        if waiting >= i64::from(limits::DEVICES_OF_ADDRESS) {
            return Ok(None);
        }
        // Nobody can keep the others from beginning: a flood pushes out its own.
        sqlx::query(
            "DELETE FROM device_codes WHERE device IN
               (SELECT device FROM device_codes WHERE state = 'pending'
                ORDER BY expires_ms DESC LIMIT -1 OFFSET $1)",
        )
        .bind(limits::DEVICES - 1)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO device_codes
               (device, user_code, program, hostname, address, subscriber, role, ttl_s, asked_ms, expires_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(&device[..])
        .bind(&user_code[..])
        .bind(&asked.program)
        .bind(&asked.hostname)
        .bind(&asked.address)
        .bind(subscriber)
        .bind(role_text(asked.role))
        .bind(i64::from(asked.ttl_s))
        .bind(to_row(now))
        .bind(to_row(expires))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Some(expires))
    }

    /// The login that waits under this user code.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn waiting_device(&self, user_code: &SecretHash) -> Result<Option<Waiting>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT program, hostname, address, role, ttl_s, asked_ms, expires_ms FROM device_codes
             WHERE user_code = $1 AND state = 'pending' AND expires_ms > $2",
        )
        .bind(&user_code[..])
        .bind(to_row(clock::unix_ms()))
        .fetch_optional(&self.read)
        .await?;
        row.map(waiting).transpose()
    }

    /// Lets a login in or refuses it, once; says whether there was one that waited.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn decide_device(&self, decision: Decision<'_>) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let role = decision.role.map(role_text);
        let row: Option<Row> = sqlx::query_as(
            "UPDATE device_codes SET state = $3, person = $4, principal = $5, role = COALESCE($6, role)
             WHERE user_code = $1 AND state = 'pending' AND expires_ms > $2
             RETURNING program, hostname, address, role, ttl_s, asked_ms, expires_ms",
        )
        .bind(&decision.user_code[..])
        .bind(to_row(clock::unix_ms()))
        .bind(if role.is_some() { APPROVED } else { DENIED })
        .bind(decision.person)
        .bind(&decision.act.principal)
        .bind(role)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(false) };
        let Asked { program, hostname, address, role, ttl_s } = waiting(row)?.asked;
        let detail =
            format!("{} for {ttl_s} s, asked from {address} by {program} on {hostname}", role_text(role));
        audit::append(&mut tx, &Entry { detail, ..decision.act }).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// What became of a login. The token of one that was let in is made now, with
    /// this id and the hash of its secret, in the name of who decided; `act` is
    /// completed.
    ///
    /// # Errors
    /// [`ChangeError`]: too many tokens of this person; then it can be asked again.
    pub async fn poll_device(
        &self,
        device: &SecretHash,
        (id, hash): (&str, SecretHash),
        act: Entry,
    ) -> Result<Polled, ChangeError> {
        let state: Option<(String, i64)> =
            sqlx::query_as("SELECT state, expires_ms FROM device_codes WHERE device = $1")
                .bind(&device[..])
                .fetch_optional(&self.read)
                .await?;
        let Some((state, expires)) = state else { return Ok(Polled::Unknown) };
        let is_over = from_row(expires) <= clock::unix_ms();
        match state.as_str() {
            DENIED => {}
            _ if is_over => {}
            APPROVED => return self.fetch(device, (id, hash), act).await,
            _ => return Ok(Polled::Pending),
        }
        sqlx::query("DELETE FROM device_codes WHERE device = $1")
            .bind(&device[..])
            .execute(&self.write)
            .await?;
        Ok(if state == DENIED { Polled::Denied } else { Polled::Expired })
    }

    /// The token of a login that was let in.
    async fn fetch(
        &self,
        device: &SecretHash,
        (id, hash): (&str, SecretHash),
        act: Entry,
    ) -> Result<Polled, ChangeError> {
        let mut tx = self.begin().await?;
        let Some(let_in) = spend(&mut tx, device).await? else { return Ok(Polled::Unknown) };
        let Some(display_name) = let_in.display_name else { return Ok(Polled::Denied) };
        let new = NewToken {
            id,
            hash,
            person: &let_in.person,
            name: &let_in.name,
            bounds: &Given { role: let_in.role, place: Place::Everything },
            expires_ms: clock::unix_ms() + u64::from(let_in.ttl_s) * 1000,
        };
        let act = Entry { principal: let_in.principal, ..act };
        // It is the person's own.
        let token = api_tokens::add(&mut tx, &new, &Changer { act, manages_owners: true }).await?;
        tx.commit().await?;
        Ok(Polled::Approved { token: Box::new(token), display_name })
    }
}

const APPROVED: &str = "approved";
const DENIED: &str = "denied";

/// A login that was let in and is of no use any more.
struct LetIn {
    person: String,
    principal: String,
    /// The name of the token.
    name: String,
    role: pb::PersonRole,
    ttl_s: u32,
    /// The name of the person; `None`: they are shut out by now.
    display_name: Option<String>,
}

async fn spend(tx: &mut Tx, device: &SecretHash) -> Result<Option<LetIn>, StoreError> {
    let row: Option<(String, String, String, String, String, i64)> = sqlx::query_as(
        "DELETE FROM device_codes WHERE device = $1 AND state = 'approved' AND expires_ms > $2
         RETURNING person, principal, program, hostname, role, ttl_s",
    )
    .bind(&device[..])
    .bind(to_row(clock::unix_ms()))
    .fetch_optional(&mut **tx)
    .await?;
    let Some((person, principal, program, hostname, role, ttl_s)) = row else { return Ok(None) };
    let display_name: Option<String> =
        sqlx::query_scalar("SELECT display_name FROM people WHERE id = $1 AND suspended_ms IS NULL")
            .bind(&person)
            .fetch_optional(&mut **tx)
            .await?;
    let name: String = format!("{program} on {hostname}").chars().take(limits::NAME_CHARS).collect();
    Ok(Some(LetIn {
        person,
        principal,
        name: name.trim().to_owned(),
        role: role_of(&role).ok_or(StoreError::Corrupt("device_codes.role"))?,
        ttl_s: seconds(ttl_s)?,
        display_name,
    }))
}

fn waiting((program, hostname, address, role, ttl_s, asked, expires): Row) -> Result<Waiting, StoreError> {
    let role = role_of(&role).ok_or(StoreError::Corrupt("device_codes.role"))?;
    Ok(Waiting {
        asked: Asked { program, hostname, address, role, ttl_s: seconds(ttl_s)? },
        asked_ms: from_row(asked),
        expires_ms: from_row(expires),
    })
}

fn seconds(row: i64) -> Result<u32, StoreError> {
    u32::try_from(row).map_err(|_| StoreError::Corrupt("device_codes.ttl_s"))
}
