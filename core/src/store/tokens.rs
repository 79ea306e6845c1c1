//! Join tokens: made, shown, counted, taken back.

use std::net::IpAddr;

use chatcode_certs::secret;
use chatcode_link::network::Network;
use chatcode_proto::{
    label::{self, Labels},
    limits,
    pb::{self, Code, MemberKind},
};
use prost::Message as _;

use super::{
    Store, StoreError, Tx,
    audit::{self, Entry},
    from_row,
    members::{NewMember, add_member, kind_of, kind_text},
    pending::{self, Decision},
    people::{ChangeError, Changer},
    to_row,
};
use crate::clock::{self, millis};

/// What a member that comes by a token gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What it is enrolled as.
    pub kind: MemberKind,
    /// Its name; empty: its own wish.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// A person has to approve it.
    pub approval: bool,
}

/// A join token to be kept; the secret itself is not.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The public id.
    pub id: String,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// What it gives.
    pub terms: Terms,
    /// How many it enrolls.
    pub uses: u32,
    /// From where it may be used; `None`: from everywhere.
    pub network: Option<Network>,
    /// When it ends, milliseconds since 1970.
    pub expires_ms: u64,
}

/// A join token as it was shown, and who shows it.
#[derive(Clone, Debug)]
pub struct ShownToken<'a> {
    /// The public id.
    pub id: &'a str,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// SHA-256 of the public key of the request that came with it.
    pub spki: [u8; 32],
    /// Where it comes from.
    pub address: IpAddr,
    /// The name that it wishes; checked.
    pub name: &'a str,
    /// What it tells of itself; made harmless.
    pub host: pb::HostFacts,
}

/// Why a join token was refused. Told to the audit, never to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// No token has this id.
    #[error("unknown")]
    Unknown,
    /// The id is right, the secret is not.
    #[error("wrong secret")]
    WrongSecret,
    /// It may not be used from there.
    #[error("address")]
    Address,
    /// It was taken back.
    #[error("revoked")]
    Revoked,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// It was good once, and another key used it.
    #[error("other key")]
    OtherKey,
    /// All its uses are taken, or the key that took one asks again too late.
    #[error("used up")]
    UsedUp,
}

/// What became of a join token that was shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Redeemed {
    /// A use of it was counted; the member is new.
    New(Vec<u8>, Labels),
    /// The same key asks again for a lost answer; this is it.
    Again(Vec<u8>),
    /// A use of it was counted; a person has to approve.
    Asked(Box<pb::PendingGateway>),
    /// The same key asks again, and nobody has decided yet; until when somebody
    /// may, milliseconds since 1970.
    Waits(u64),
    /// A person refused the machine.
    TurnedAway,
    /// Nobody approved the machine in time, or it came too late for its
    /// certificate.
    TooLate,
    /// So many machines wait that no other may; the token is not used.
    Full,
    /// It is refused.
    Refused(TokenFault),
}

impl Store {
    /// Keeps a join token and writes the act to the audit; `false` when there are
    /// [`limits::JOIN_TOKENS`] already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_join_token(&self, token: &NewToken, act: &Entry) -> Result<bool, StoreError> {
        let now = clock::unix_ms();
        let mut tx = self.begin().await?;
        forget_old(&mut tx, now).await?;
        let outstanding: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM join_tokens WHERE expires_ms > $1 AND revoked_ms IS NULL AND used < uses",
        )
        .bind(to_row(now))
        .fetch_one(&mut *tx)
        .await?;
        if from_row(outstanding) >= limits::JOIN_TOKENS as u64 {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO join_tokens (id, secret_hash, kind, name, expires_ms, uses, labels, approval, network,
                                      created_ms, created_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(&token.id)
        .bind(&token.secret_hash[..])
        .bind(kind_text(token.terms.kind))
        .bind(&token.terms.name)
        .bind(to_row(token.expires_ms))
        .bind(i64::from(token.uses))
        .bind(label::to_text(&token.terms.labels))
        .bind(i64::from(token.terms.approval))
        .bind(token.network.map(|network| network.to_string()).unwrap_or_default())
        .bind(to_row(now))
        .bind(&act.principal)
        .execute(&mut *tx)
        .await?;
        audit::append(&mut tx, act).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The join tokens that can still be used, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn join_tokens(&self) -> Result<Vec<pb::TokenInfo>, StoreError> {
        type Row = (String, String, String, i64, i64, i64, String, i64, String, i64, String);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, kind, name, expires_ms, uses, used, labels, approval, network, created_ms, created_by
             FROM join_tokens WHERE expires_ms > $1 AND revoked_ms IS NULL AND used < uses
             ORDER BY created_ms DESC, id LIMIT $2",
        )
        .bind(to_row(clock::unix_ms()))
        .bind(to_row(limits::JOIN_TOKENS as u64))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter()
            .map(|(id, kind, name, expires, uses, used, labels, approval, network, created, created_by)| {
                Ok(pb::TokenInfo {
                    id,
                    kind: kind_of(&kind)?.into(),
                    name,
                    expires_unix_ms: from_row(expires),
                    uses: u32::try_from(uses).unwrap_or_default(),
                    used: u32::try_from(used).unwrap_or_default(),
                    labels: labels_of(&labels)?,
                    approval: approval != 0,
                    network,
                    created_unix_ms: from_row(created),
                    created_by,
                })
            })
            .collect()
    }

    /// Takes a join token back and refuses the machines that wait by it, and
    /// writes `by` with it; the ids under which they waited.
    ///
    /// # Errors
    /// [`ChangeError::Unknown`] when no such token can be used,
    /// [`ChangeError::OwnersOnly`] for one of an administrator, who may do all that
    /// an owner may; the store's.
    pub async fn revoke_token(&self, id: &str, by: &Changer) -> Result<Vec<String>, ChangeError> {
        let now = to_row(clock::unix_ms());
        let mut tx = self.begin().await?;
        let waiting = pending::refuse_all_of(&mut tx, id, now).await?;
        let revoked: Option<String> = sqlx::query_scalar(
            "UPDATE join_tokens SET revoked_ms = $2
             WHERE id = $1 AND revoked_ms IS NULL AND (expires_ms > $2 AND used < uses OR $3) RETURNING kind",
        )
        .bind(id)
        .bind(now)
        .bind(!waiting.is_empty())
        .fetch_optional(&mut *tx)
        .await?;
        let kind = kind_of(&revoked.ok_or(ChangeError::Unknown("join token that can be used"))?)?;
        if kind == MemberKind::Admin && !by.manages_owners {
            return Err(ChangeError::OwnersOnly);
        }
        audit::append(&mut tx, &by.act).await?;
        tx.commit().await?;
        Ok(waiting)
    }

    /// Whether this key has taken a use of this token already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_used(&self, token: &ShownToken<'_>) -> Result<bool, StoreError> {
        let one: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM token_uses JOIN join_tokens ON join_tokens.id = token_uses.token
             WHERE join_tokens.id = $1 AND join_tokens.secret_hash = $2 AND token_uses.spki = $3",
        )
        .bind(token.id)
        .bind(&token.secret_hash[..])
        .bind(&token.spki[..])
        .fetch_optional(&self.read)
        .await?;
        Ok(one.is_some())
    }

    /// Counts a use of a join token, makes the member of it by `make` unless a
    /// person has to approve first, and writes what happened to the audit, all or
    /// nothing. `act` is completed with the member or the fault; that somebody
    /// still waits is not written.
    ///
    /// # Errors
    /// [`StoreError`], and whatever `make` fails with.
    pub async fn redeem<E: From<StoreError>>(
        &self,
        token: &ShownToken<'_>,
        act: &Entry,
        make: impl FnOnce(&Terms) -> Result<NewMember, E> + Send,
    ) -> Result<Redeemed, E> {
        let now = clock::unix_ms();
        let mut tx = self.begin().await?;
        let (redeemed, act) = match claim(&mut tx, token, now).await? {
            Claim::Waits(until) => return Ok(Redeemed::Waits(until)),
            Claim::Fault(fault, gateway) => {
                let act = Entry { result: Code::BadToken, detail: fault.to_string(), gateway, ..act.clone() };
                (Redeemed::Refused(fault), act)
            }
            Claim::Again(answer) => {
                (Redeemed::Again(answer), Entry { detail: "again".to_owned(), ..act.clone() })
            }
            Claim::TurnedAway => {
                let detail = "refused by a person".to_owned();
                (Redeemed::TurnedAway, Entry { result: Code::Forbidden, detail, ..act.clone() })
            }
            Claim::TooLate => {
                let detail = "not approved in time".to_owned();
                (Redeemed::TooLate, Entry { result: Code::Timeout, detail, ..act.clone() })
            }
            Claim::Fresh(terms) if terms.approval => {
                let Some(asked) = pending::add(&mut tx, token, &terms, now).await? else {
                    return Ok(Redeemed::Full);
                };
                let detail = format!("pending {} by token {}", asked.id, token.id);
                (Redeemed::Asked(Box::new(asked)), Entry { detail, ..act.clone() })
            }
            Claim::Fresh(terms) | Claim::Approved(terms) => {
                let member = make(&terms)?;
                let id = member.certificate.member;
                add_member(&mut tx, (terms.kind, &terms.labels), &member, token.id, now).await?;
                keep_answer(&mut tx, token, &member, now).await?;
                let who = format!("{}/{id}", kind_text(terms.kind));
                let detail = format!("token {}", token.id);
                (Redeemed::New(member.answer, terms.labels), Entry { principal: who, detail, ..act.clone() })
            }
        };
        audit::append(&mut tx, &act).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(redeemed)
    }
}

enum Claim {
    /// The fault, and the gateway that the token was used for, if any.
    Fault(TokenFault, String),
    Again(Vec<u8>),
    Waits(u64),
    TurnedAway,
    TooLate,
    /// A use was counted now.
    Fresh(Terms),
    /// A use was counted before, and a person has approved.
    Approved(Terms),
}

/// A token as it is kept.
struct Kept {
    secret_hash: Vec<u8>,
    kind: String,
    name: String,
    uses: i64,
    used: i64,
    labels: String,
    approval: i64,
    network: String,
    revoked_ms: Option<i64>,
}

impl Kept {
    async fn find(tx: &mut Tx, id: &str) -> Result<Option<Self>, StoreError> {
        type Row = (Vec<u8>, String, String, i64, i64, String, i64, String, Option<i64>);
        let row: Option<Row> = sqlx::query_as(
            "SELECT secret_hash, kind, name, uses, used, labels, approval, network, revoked_ms
             FROM join_tokens WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?;
        Ok(row.map(|(secret_hash, kind, name, uses, used, labels, approval, network, revoked_ms)| Self {
            secret_hash,
            kind,
            name,
            uses,
            used,
            labels,
            approval,
            network,
            revoked_ms,
        }))
    }

    fn terms(&self) -> Result<Terms, StoreError> {
        Ok(Terms {
            kind: kind_of(&self.kind)?,
            name: self.name.clone(),
            labels: labels_of(&self.labels)?,
            approval: self.approval != 0,
        })
    }

    fn reaches(&self, address: IpAddr) -> bool {
        self.network.is_empty()
            || self.network.parse::<Network>().is_ok_and(|network| network.contains(address))
    }
}

/// Judges a token and, when it is good for this key for the first time, counts a
/// use of it in one statement.
async fn claim(tx: &mut Tx, token: &ShownToken<'_>, now: u64) -> Result<Claim, StoreError> {
    let kept = Kept::find(tx, token.id).await?;
    // An unknown id takes the same path as a wrong secret.
    let hash = kept.as_ref().map_or(&[0; 32][..], |kept| &kept.secret_hash);
    let is_right = secret::equal(hash, &token.secret_hash);
    let fault = |fault| Ok(Claim::Fault(fault, String::new()));
    let Some(kept) = kept else { return fault(TokenFault::Unknown) };
    if !is_right {
        return fault(TokenFault::WrongSecret);
    }
    if !kept.reaches(token.address) {
        return fault(TokenFault::Address);
    }
    if let Some(claim) = again(tx, token, &kept, now).await? {
        return Ok(claim);
    }
    let counted: Option<i64> = sqlx::query_scalar(
        "UPDATE join_tokens SET used = used + 1
         WHERE id = $1 AND secret_hash = $2 AND used < uses AND revoked_ms IS NULL AND expires_ms > $3
         RETURNING used",
    )
    .bind(token.id)
    .bind(&token.secret_hash[..])
    .bind(to_row(now))
    .fetch_optional(&mut **tx)
    .await?;
    if counted.is_some() {
        sqlx::query("INSERT INTO token_uses (token, spki, used_ms) VALUES ($1, $2, $3)")
            .bind(token.id)
            .bind(&token.spki[..])
            .bind(to_row(now))
            .execute(&mut **tx)
            .await?;
        return Ok(Claim::Fresh(kept.terms()?));
    }
    let why = if kept.revoked_ms.is_some() {
        TokenFault::Revoked
    } else if kept.used < kept.uses {
        TokenFault::Expired
    } else if kept.uses == 1 {
        TokenFault::OtherKey
    } else {
        TokenFault::UsedUp
    };
    Ok(Claim::Fault(why, used_for(tx, token.id, why).await?))
}

/// What a key hears that has taken a use of the token before; `None`: it has not.
async fn again(
    tx: &mut Tx,
    token: &ShownToken<'_>,
    kept: &Kept,
    now: u64,
) -> Result<Option<Claim>, StoreError> {
    let row: Option<(i64, Option<Vec<u8>>)> =
        sqlx::query_as("SELECT used_ms, answer FROM token_uses WHERE token = $1 AND spki = $2")
            .bind(token.id)
            .bind(&token.spki[..])
            .fetch_optional(&mut **tx)
            .await?;
    let Some((used, answer)) = row else { return Ok(None) };
    if let Some(answer) = answer {
        let in_time = now <= from_row(used) + millis(limits::ENROLL_AGAIN);
        let late = || Claim::Fault(TokenFault::UsedUp, String::new());
        return Ok(Some(if in_time { Claim::Again(answer) } else { late() }));
    }
    Ok(Some(match pending::decision(tx, token, now).await? {
        Decision::Waits(until) => Claim::Waits(until),
        Decision::Approved(name) => Claim::Approved(Terms { name, ..kept.terms()? }),
        Decision::Refused => Claim::TurnedAway,
        Decision::TooLate => Claim::TooLate,
    }))
}

/// The gateway that a token was used for, when another key shows it.
async fn used_for(tx: &mut Tx, token: &str, why: TokenFault) -> Result<String, StoreError> {
    if why != TokenFault::OtherKey {
        return Ok(String::new());
    }
    let member: Option<Option<String>> = sqlx::query_scalar("SELECT member FROM token_uses WHERE token = $1")
        .bind(token)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(member.flatten().unwrap_or_default())
}

/// The key may ask for its answer again from now on.
async fn keep_answer(
    tx: &mut Tx,
    token: &ShownToken<'_>,
    member: &NewMember,
    now: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE token_uses SET member = $3, answer = $4, used_ms = $5 WHERE token = $1 AND spki = $2",
    )
    .bind(token.id)
    .bind(&token.spki[..])
    .bind(member.certificate.member.to_string())
    .bind(&member.answer)
    .bind(to_row(now))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Tokens are kept for a while after their end, so that the audit can tell an
/// expired one from one that never was.
async fn forget_old(tx: &mut Tx, now: u64) -> Result<(), StoreError> {
    let remembered = limits::JOIN_TOKEN_RANGE.end() * 1000;
    let before = to_row(now.saturating_sub(remembered));
    for statement in [
        "DELETE FROM pending WHERE token IN (SELECT id FROM join_tokens WHERE expires_ms <= $1)",
        "DELETE FROM token_uses WHERE token IN (SELECT id FROM join_tokens WHERE expires_ms <= $1)",
        "DELETE FROM join_tokens WHERE expires_ms <= $1",
    ] {
        sqlx::query(statement).bind(before).execute(&mut **tx).await?;
    }
    Ok(())
}

pub(super) fn labels_of(text: &str) -> Result<Labels, StoreError> {
    label::from_text(text).ok_or(StoreError::Corrupt("labels"))
}

/// Encoded facts, as they are kept.
pub(super) fn facts_of(bytes: &[u8]) -> Result<pb::HostFacts, StoreError> {
    pb::HostFacts::decode(bytes).map_err(|_| StoreError::Corrupt("pending.facts"))
}
