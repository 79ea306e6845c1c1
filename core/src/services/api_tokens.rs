//! API tokens: who may make, see and revoke whose.

use std::time::Duration;

use chatcode_certs::ApiToken;
use chatcode_proto::{
    code::Refusal,
    limits, name,
    pb::{self, Code, PeopleCreateApiTokenRequest, PeopleCreateApiTokenResponse, Permission, PersonRole},
};

use crate::{
    caller::{CallInfo, Caller},
    clock,
    people::{Place, Rights},
    services::people::{fresh, given},
    shared::Shared,
    store::{api_tokens::NewToken, people::Changer},
};

/// The newest tokens of a person (empty: the caller).
///
/// # Errors
/// `FORBIDDEN` for another's without the right to manage people.
pub async fn list(shared: &Shared, info: &CallInfo, person: &str) -> Result<Vec<pb::ApiToken>, Refusal> {
    let (person, _) = whose(info, person)?;
    Ok(shared.store.api_tokens(&person).await?)
}

/// Makes a token.
///
/// # Errors
/// `FORBIDDEN` for more than its person may, for another's without the right to
/// manage people, and by a token; `INVALID`, `LIMIT`.
pub async fn create(
    shared: &Shared,
    info: &CallInfo,
    wanted: PeopleCreateApiTokenRequest,
) -> Result<PeopleCreateApiTokenResponse, Refusal> {
    no_token(info)?;
    let (person, is_own) = whose(info, &wanted.person)?;
    name::check("name", &wanted.name, limits::NAME_CHARS)?;
    let everywhere = Place::Everything.message();
    let bounds = given(wanted.role(), wanted.place.as_ref().or(Some(&everywhere)))?;
    let highest = shared.directory.with(&person, |given| Rights { given, bounds: None }.highest());
    if bounds.role > highest || highest == PersonRole::Unspecified {
        let words = "an API token may not do more than its person; choose a lower role";
        return Err(Refusal::new(Code::Forbidden, words));
    }
    let life = life(wanted.ttl_s)?;
    let token = ApiToken::generate();
    let (id, expires_ms) = (fresh(), clock::unix_ms() + clock::millis(life));
    let new = NewToken {
        id: &id,
        hash: token.hash(),
        person: &person,
        name: &wanted.name,
        bounds: &bounds,
        expires_ms,
    };
    let by = info.changer("api_token.created");
    let by = Changer { manages_owners: by.manages_owners || is_own, ..by };
    let made = shared.store.add_api_token(&new, &by).await?;
    Ok(PeopleCreateApiTokenResponse { secret: token.expose().to_string(), token: Some(made) })
}

/// Revokes a token, and cuts the calls that it has running.
///
/// # Errors
/// `INVALID` when there is none with this id that the caller may revoke;
/// `FORBIDDEN` by a token that is another one.
pub async fn revoke(shared: &Shared, info: &CallInfo, id: &str) -> Result<(), Refusal> {
    let manages = info.caller.may(Permission::PeopleManage);
    let own = info.caller.person().map(|person| person.id.as_str());
    let itself = matches!(&info.caller, Caller::ApiToken { id: itself, .. } if itself == id);
    if matches!(&info.caller, Caller::ApiToken { .. }) && !manages && !itself {
        return Err(Refusal::new(Code::Forbidden, "an API token may only revoke itself; sign in to do more"));
    }
    let of = match (manages && !itself, own) {
        (true, _) => None,
        (false, Some(own)) => Some(own),
        (false, None) => return Err(not_yours()),
    };
    let hash = shared.store.revoke_api_token(id, of, &info.changer("api_token.revoked")).await?;
    shared.lives.end(&hash);
    Ok(())
}

/// Refuses a call by an API token: what it would make outlives it.
///
/// # Errors
/// `FORBIDDEN`.
pub fn no_token(info: &CallInfo) -> Result<(), Refusal> {
    match &info.caller {
        Caller::ApiToken { .. } => {
            let words = "an API token may not make what lets somebody in; sign in, or use an administrator's certificate";
            Err(Refusal::new(Code::Forbidden, words))
        }
        _ => Ok(()),
    }
}

/// The id of the person that is meant, and whether it is the caller.
fn whose(info: &CallInfo, person: &str) -> Result<(String, bool), Refusal> {
    let own = info.caller.person().map(|own| own.id.as_str());
    match (person, own) {
        ("", None) => Err(Refusal::new(Code::Invalid, "API tokens are people's; name the person")),
        ("", Some(own)) => Ok((own.to_owned(), true)),
        (other, Some(own)) if other == own => Ok((own.to_owned(), true)),
        (other, _) if info.caller.may(Permission::PeopleManage) => Ok((other.to_owned(), false)),
        _ => Err(not_yours()),
    }
}

fn not_yours() -> Refusal {
    Refusal::new(Code::Forbidden, "these API tokens are another person's; ask an administrator")
}

/// The life of a token that is asked for so; 0: as long as is usual.
///
/// # Errors
/// `INVALID` for one that is out of bounds.
pub(super) fn life(seconds: u32) -> Result<Duration, Refusal> {
    match u64::from(seconds) {
        0 => Ok(limits::API_TOKEN),
        seconds if limits::API_TOKEN_RANGE.contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => {
            let (least, most) = (limits::API_TOKEN_RANGE.start(), limits::API_TOKEN_RANGE.end());
            Err(Refusal::new(Code::Invalid, format!("an API token lives {least} to {most} seconds")))
        }
    }
}
