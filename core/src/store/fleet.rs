//! What is known of gateways and their sessions while nobody is linked: the
//! last link of each, and the directory of sessions.

use std::collections::HashMap;

use chatcode_proto::{
    id::{GatewayId, SessionId},
    label, limits, name,
    pb::{self, Code, LinkState},
};
use prost::Message as _;

use super::{
    Store, StoreError,
    audit::{self, Entry},
    from_row, to_row,
    together::Write,
};
use crate::clock;

/// An epoch that a gateway reports is believed up to here, so that none can
/// push its own epochs to the end of the numbers.
const EPOCH_BELIEVED: u64 = 1 << 48;

/// The act of one that shows a gateway's identity beside it.
pub const DUPLICATE: &str = "link.duplicate";
/// What the audit says of it, before its host name.
const ALSO_USED_BY: &str = "also used by ";

/// Another live machine with a gateway's identity.
#[derive(Clone, Debug)]
pub struct Duplicate {
    /// When it showed it, milliseconds since 1970.
    pub unix_ms: u64,
    /// What it calls its host.
    pub hostname: String,
    /// The address and port that it came from.
    pub address: String,
}

/// Id, name, enrolled, revoked, labels; of the last link, if there was one: epoch,
/// since, why it ended, facts, version, duplicate.
type Row = (
    String,
    String,
    i64,
    Option<i64>,
    String,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<Vec<u8>>,
    Option<String>,
    Option<i64>,
);

/// A gateway but for its certificate.
fn gateway(row: Row) -> Result<(GatewayId, pb::Gateway), StoreError> {
    let (id, name, enrolled, revoked, labels, epoch, since, ended, facts, version, duplicate) = row;
    let link_state = match (revoked, epoch) {
        (Some(_), _) => LinkState::Revoked,
        (None, Some(_)) => LinkState::Offline,
        (None, None) => LinkState::Never,
    };
    let gateway = id.parse().map_err(|_| StoreError::Corrupt("members.id"))?;
    let host = facts.map(|bytes| pb::HostFacts::decode(&bytes[..])).transpose();
    let about = pb::Gateway {
        id,
        name,
        link_state: link_state.into(),
        since_unix_ms: from_row(revoked.or(since).unwrap_or(enrolled)),
        link_ended: ended.and_then(|code| i32::try_from(code).ok()).unwrap_or_default(),
        host: host.map_err(|_| StoreError::Corrupt("links.facts"))?,
        program_version: version.unwrap_or_default(),
        enrolled_unix_ms: from_row(enrolled),
        link_epoch: from_row(epoch.unwrap_or_default()),
        labels: label::from_text(&labels).ok_or(StoreError::Corrupt("members.labels"))?,
        duplicate_unix_ms: from_row(duplicate.unwrap_or_default()),
        ..pb::Gateway::default()
    };
    Ok((gateway, about))
}

impl Store {
    /// Every gateway that was ever enrolled, as it is without a live link.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn gateways(&self) -> Result<Vec<(GatewayId, pb::Gateway)>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT members.id, members.name, members.enrolled_ms, members.revoked_ms, members.labels,
                    links.epoch, links.since_ms, links.ended, links.facts, links.program_version,
                    links.duplicate_ms
             FROM members LEFT JOIN links ON links.gateway = members.id
             WHERE members.kind = 'gateway'",
        )
        .fetch_all(&self.read)
        .await?;
        let mut gateways = Vec::with_capacity(rows.len());
        for row in rows {
            let (id, mut gateway) = gateway(row)?;
            gateway.certificate = Some(self.certificate(id).await?);
            if gateway.duplicate_unix_ms != 0 {
                (gateway.duplicate_hostname, gateway.duplicate_address) = self.last_duplicate(id).await?;
            }
            gateways.push((id, gateway));
        }
        Ok(gateways)
    }

    /// Notes that a link came up and gives it its epoch, larger than every
    /// earlier one that the core or the gateway knows of.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_link(
        &self,
        gateway: GatewayId,
        last_epoch: u64,
        facts: &pb::HostFacts,
        program_version: &str,
    ) -> Result<u64, StoreError> {
        let begun = Write::LinkBegun {
            gateway,
            last_epoch: last_epoch.min(EPOCH_BELIEVED),
            since_ms: clock::unix_ms(),
            facts: facts.encode_to_vec(),
            program_version: program_version.to_owned(),
        };
        self.write_together(begun).await
    }

    /// Notes why and when the link of this epoch ended; a newer one is left
    /// alone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_link(&self, gateway: GatewayId, epoch: u64, code: Code) -> Result<(), StoreError> {
        let ended = Write::LinkEnded { gateway, epoch, since_ms: clock::unix_ms(), code };
        self.write_together(ended).await?;
        Ok(())
    }

    /// Notes that another live machine showed this gateway's identity, `seen`, and
    /// writes `act` with it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_duplicate(
        &self,
        gateway: GatewayId,
        seen: &Duplicate,
        act: &Entry,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE links SET duplicate_ms = $2 WHERE gateway = $1")
            .bind(gateway.to_string())
            .bind(to_row(seen.unix_ms))
            .execute(&mut *tx)
            .await?;
        let (peer, detail) = (seen.address.clone(), format!("{ALSO_USED_BY}{}", seen.hostname));
        audit::append(&mut tx, &Entry { peer, detail, ..act.clone() }).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes the alarm of this moment (milliseconds since 1970) off a gateway and
    /// writes `act` with it; `false` when that one does not stand.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn acknowledge_duplicate(
        &self,
        gateway: GatewayId,
        unix_ms: u64,
        act: &Entry,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let changed =
            sqlx::query("UPDATE links SET duplicate_ms = 0 WHERE gateway = $1 AND duplicate_ms = $2")
                .bind(gateway.to_string())
                .bind(to_row(unix_ms))
                .execute(&mut *tx)
                .await?
                .rows_affected();
        if changed == 0 {
            return Ok(false);
        }
        audit::append(&mut tx, act).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The host name and the address of the last one that showed this gateway's
    /// identity, as the audit has them.
    async fn last_duplicate(&self, gateway: GatewayId) -> Result<(String, String), StoreError> {
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT detail, peer FROM audit WHERE action = $1 AND gateway = $2 ORDER BY number DESC LIMIT 1",
        )
        .bind(DUPLICATE)
        .bind(gateway.to_string())
        .fetch_optional(&self.read)
        .await?;
        let (detail, peer) = row.unwrap_or_default();
        let hostname = detail.strip_prefix(ALSO_USED_BY).unwrap_or_default();
        Ok((name::display_safe(hostname, limits::NAME_CHARS), peer))
    }

    /// Every session that was last known, with its gateway, which is not revoked:
    /// a link that ends may write once more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sessions(&self) -> Result<Vec<(GatewayId, SessionId, pb::Session)>, StoreError> {
        let rows: Vec<(String, String, Vec<u8>)> = sqlx::query_as(
            "SELECT sessions.gateway, sessions.id, sessions.body
             FROM sessions JOIN members ON members.id = sessions.gateway
             WHERE members.revoked_ms IS NULL",
        )
        .fetch_all(&self.read)
        .await?;
        rows.into_iter()
            .map(|(gateway, id, body)| {
                let gateway = gateway.parse().map_err(|_| StoreError::Corrupt("sessions.gateway"))?;
                let id = id.parse().map_err(|_| StoreError::Corrupt("sessions.id"))?;
                let body =
                    pb::Session::decode(&body[..]).map_err(|_| StoreError::Corrupt("sessions.body"))?;
                Ok((gateway, id, body))
            })
            .collect()
    }

    /// Makes the directory of a gateway hold exactly these sessions. Nothing is written
    /// when it does already, as that of most machines that come back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replace_sessions(
        &self,
        gateway: GatewayId,
        sessions: &[pb::Session],
    ) -> Result<(), StoreError> {
        let gateway = gateway.to_string();
        let kept: Vec<(String, Vec<u8>)> = sqlx::query_as("SELECT id, body FROM sessions WHERE gateway = $1")
            .bind(&gateway)
            .fetch_all(&self.read)
            .await?;
        let kept: HashMap<_, _> = kept.into_iter().collect();
        let is_kept = |session: &pb::Session| kept.get(&session.id) == Some(&session.encode_to_vec());
        if kept.len() == sessions.len() && sessions.iter().all(is_kept) {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM sessions WHERE gateway = $1").bind(&gateway).execute(&mut *tx).await?;
        for session in sessions {
            put_session(&gateway, session).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Keeps one session of a gateway, new or changed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_session(&self, gateway: GatewayId, session: &pb::Session) -> Result<(), StoreError> {
        put_session(&gateway.to_string(), session).execute(&self.write).await?;
        Ok(())
    }

    /// Forgets one session of a gateway.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_session(&self, gateway: GatewayId, session: SessionId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE gateway = $1 AND id = $2")
            .bind(gateway.to_string())
            .bind(session.to_string())
            .execute(&self.write)
            .await?;
        Ok(())
    }
}

type Statement = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn put_session(gateway: &str, session: &pb::Session) -> Statement {
    sqlx::query(
        "INSERT INTO sessions (gateway, id, body) VALUES ($1, $2, $3)
         ON CONFLICT (gateway, id) DO UPDATE SET body = excluded.body",
    )
    .bind(gateway.to_owned())
    .bind(session.id.clone())
    .bind(session.encode_to_vec())
}
