//! Who somebody is whom a provider vouches for, or who has proven an address; and
//! what a provider says of their teams. All in the transaction of the sign-in.

use std::collections::BTreeSet;

use chatcode_proto::{
    id::MemberId,
    limits,
    pb::{IdentityKind, PersonRole},
};
use sqlx::SqliteConnection;

use super::{
    Store, StoreError, Tx,
    audit::{self, Entry},
    identities::text,
    sign_ins::SignInError,
    to_row,
};
use crate::{clock, people::vouched::Vouched};

/// The person who was given this address and may be found by it alone. An owner may
/// not: whoever manages people can write an address down, so an owner has to add it.
pub(super) async fn given(
    connection: &mut SqliteConnection,
    address: &str,
) -> Result<Option<String>, sqlx::Error> {
    let sql = "SELECT id FROM people WHERE email = $1 AND suspended_ms IS NULL
         AND NOT EXISTS (SELECT 1 FROM bindings WHERE person = people.id AND role = 'owner')";
    sqlx::query_scalar(sql).bind(address).fetch_optional(connection).await
}

/// The person whom a provider vouches for: linked before, or now by a trusted
/// address, or made now. Each is written down; nobody is moved from one person to
/// another.
///
/// # Errors
/// [`SignInError::NoAccount`] when it is nobody of this installation.
pub(super) async fn find(tx: &mut Tx, vouched: &Vouched, act: &Entry) -> Result<String, SignInError> {
    let now = to_row(clock::unix_ms());
    let known: Option<String> = sqlx::query_scalar(
        "UPDATE identities SET used_ms = $3 WHERE kind = $1 AND subject = $2 RETURNING person",
    )
    .bind(text(IdentityKind::Provider))
    .bind(&vouched.subject)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    let person = match known {
        Some(person) => person,
        None => link(tx, vouched, act).await?,
    };
    if let Some(groups) = &vouched.groups {
        set_teams(tx, &person, &vouched.provider, groups, act).await?;
    }
    Ok(person)
}

async fn link(tx: &mut Tx, vouched: &Vouched, act: &Entry) -> Result<String, SignInError> {
    let person = match named(tx, vouched).await? {
        // The address was given to somebody else there, who is not this person.
        Some(person) if has_account(tx, &person, vouched.issuer()).await? => {
            return Err(SignInError::NoAccount);
        }
        Some(person) => person,
        None => make(tx, vouched, act).await?,
    };
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM identities WHERE person = $1")
        .bind(&person)
        .fetch_one(&mut **tx)
        .await?;
    if count >= i64::from(limits::IDENTITIES_OF_PERSON) {
        return Err(SignInError::NoAccount);
    }
    sqlx::query(
        "INSERT INTO identities (id, person, kind, subject, data, label, created_ms, used_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
    )
    .bind(fresh())
    .bind(&person)
    .bind(text(IdentityKind::Provider))
    .bind(&vouched.subject)
    .bind(&vouched.provider)
    .bind(&vouched.label)
    .bind(to_row(clock::unix_ms()))
    .execute(&mut **tx)
    .await?;
    let detail = format!("provider {} of person/{person}", vouched.label);
    note(tx, act, &person, "identity.added", detail).await?;
    Ok(person)
}

/// The person who has the trusted address here.
async fn named(tx: &mut Tx, vouched: &Vouched) -> Result<Option<String>, SignInError> {
    if !vouched.trusted || vouched.email.is_empty() {
        return Ok(None);
    }
    Ok(given(tx, &vouched.email).await?)
}

/// Whether a person has an account of this issuer already.
async fn has_account(tx: &mut Tx, person: &str, issuer: &str) -> Result<bool, SignInError> {
    let sql = "SELECT 1 FROM identities
         WHERE person = $1 AND kind = $2 AND substr(subject, 1, length($3)) = $3 LIMIT 1";
    let found: Option<i64> = sqlx::query_scalar(sql)
        .bind(person)
        .bind(text(IdentityKind::Provider))
        .bind(format!("{issuer} "))
        .fetch_optional(&mut **tx)
        .await?;
    Ok(found.is_some())
}

/// Makes a person with the address, when the provider's rules say so and nobody has
/// that address.
async fn make(tx: &mut Tx, vouched: &Vouched, act: &Entry) -> Result<String, SignInError> {
    let Some(role) = vouched.create else { return Err(SignInError::NoAccount) };
    let taken: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM people WHERE email = $1
         UNION SELECT 1 FROM identities WHERE kind = 'mail' AND subject = $1 LIMIT 1",
    )
    .bind(&vouched.email)
    .fetch_optional(&mut **tx)
    .await?;
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM people").fetch_one(&mut **tx).await?;
    if taken.is_some() || vouched.email.is_empty() || count >= i64::from(limits::PEOPLE) {
        return Err(SignInError::NoAccount);
    }
    let (id, now) = (fresh(), to_row(clock::unix_ms()));
    sqlx::query("INSERT INTO people (id, display_name, email, created_ms) VALUES ($1, $2, $3, $4)")
        .bind(&id)
        .bind(&vouched.display_name)
        .bind(&vouched.email)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    let detail = format!("person/{} {}, by provider {}", id, vouched.display_name, vouched.provider);
    note(tx, act, &id, "person.created", detail).await?;
    let role = match role {
        PersonRole::Viewer => "viewer",
        PersonRole::Operator => "operator",
        // No other one is enough to be given by a provider's word.
        _ => return Ok(id),
    };
    sqlx::query(
        "INSERT INTO bindings (id, person, role, place, created_ms, created_by) VALUES ($1, $2, $3, '', $4, $5)",
    )
    .bind(fresh())
    .bind(&id)
    .bind(role)
    .bind(now)
    .bind(format!("provider/{}", vouched.provider))
    .execute(&mut **tx)
    .await?;
    let detail = format!("{role} to person/{}, everywhere, by provider {}", id, vouched.provider);
    note(tx, act, &id, "role.given", detail).await?;
    Ok(id)
}

/// Sets anew which teams a person is in on this provider's word: those whose external
/// group is `PROVIDER:GROUP`, so that no provider speaks for another one's groups. Who
/// was taken into a team by hand stays there.
pub(super) async fn set_teams(
    tx: &mut Tx,
    person: &str,
    provider: &str,
    groups: &[String],
    act: &Entry,
) -> Result<(), StoreError> {
    let teams: Vec<(String, String)> =
        sqlx::query_as("SELECT id, external_group FROM teams WHERE external_group <> ''")
            .fetch_all(&mut **tx)
            .await?;
    let is_told = |named: &str| {
        let of_ours = named.split_once(':').filter(|(whose, _)| *whose == provider);
        of_ours.is_some_and(|(_, group)| groups.iter().any(|told| told == group))
    };
    let wanted: BTreeSet<String> =
        teams.into_iter().filter(|(_, named)| is_told(named)).map(|(id, _)| id).collect();
    let sql = "SELECT team FROM team_members WHERE person = $1 AND provider = $2";
    let before: Vec<String> =
        sqlx::query_scalar(sql).bind(person).bind(provider).fetch_all(&mut **tx).await?;
    let before: BTreeSet<String> = before.into_iter().collect();
    for team in before.difference(&wanted) {
        sqlx::query("DELETE FROM team_members WHERE team = $1 AND person = $2 AND provider = $3")
            .bind(team)
            .bind(person)
            .bind(provider)
            .execute(&mut **tx)
            .await?;
        let detail = format!("out of team/{team}: person/{person}, by provider {provider}");
        note(tx, act, person, "team.member", detail).await?;
    }
    for team in wanted.difference(&before) {
        let added = sqlx::query(
            "INSERT INTO team_members (team, person, provider) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(team)
        .bind(person)
        .bind(provider)
        .execute(&mut **tx)
        .await?;
        if added.rows_affected() > 0 {
            let detail = format!("into team/{team}: person/{person}, by provider {provider}");
            note(tx, act, person, "team.member", detail).await?;
        }
    }
    Ok(())
}

/// The person who has proven this address: who has added it, else who was given it
/// and is no owner.
///
/// # Errors
/// [`SignInError::Bad`] when nobody has it any more.
pub(super) async fn of_address(tx: &mut Tx, address: &str) -> Result<String, SignInError> {
    let added: Option<String> = sqlx::query_scalar(
        "UPDATE identities SET used_ms = $3 WHERE kind = $1 AND subject = $2 RETURNING person",
    )
    .bind(text(IdentityKind::Mail))
    .bind(address)
    .bind(to_row(clock::unix_ms()))
    .fetch_optional(&mut **tx)
    .await?;
    if let Some(person) = added {
        return Ok(person);
    }
    given(tx, address).await?.ok_or(SignInError::Bad)
}

impl Store {
    /// Whether another person than this one has the address.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_address_of_another(&self, address: &str, person: &str) -> Result<bool, StoreError> {
        let other: Option<i64> = sqlx::query_scalar("SELECT 1 FROM people WHERE email = $1 AND id <> $2")
            .bind(address)
            .bind(person)
            .fetch_optional(&self.read)
            .await?;
        Ok(other.is_some())
    }
}

/// A new UUID.
fn fresh() -> String {
    MemberId::from_random(chatcode_certs::random::bytes()).to_string()
}

async fn note(
    tx: &mut Tx,
    act: &Entry,
    person: &str,
    action: &str,
    detail: String,
) -> Result<(), StoreError> {
    let row =
        Entry { principal: format!("person/{person}"), action: action.to_owned(), detail, ..act.clone() };
    audit::append(tx, &row).await
}
