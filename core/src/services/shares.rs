//! Sharing: who may make and take back links to which session, and how guests come
//! in by them and leave.

use std::{sync::Arc, time::Duration};

use chatcode_certs::{MemberName, secret::Secret};
use chatcode_proto::{
    code::Refusal,
    id::{GatewayId, SessionId},
    limits, name,
    name::display_safe,
    pb::{
        Code, GuestOf, Permission, Role, Share, SharesCreateRequest, SharesCreateResponse,
        SharesEnterRequest, SharesEnterResponse, SharesListRequest, SharesListResponse, SharesLookRequest,
        SharesLookResponse, SharesRevokeRequest, SharesRevokeResponse, shares_server::Shares,
    },
};
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use crate::{
    caller::{CallInfo, Caller, life::Life},
    clock,
    judge::check,
    people::Machine,
    services::{
        api_tokens::no_token,
        device,
        people::fresh,
        sign_in::{from, through_edge},
    },
    shared::Shared,
    store::{
        audit::Entry,
        people::Person,
        shares::{FoundGuest, FoundShare, NewGuest, NewShare, Shared as LeadsTo, Sharer},
    },
    target::unknown_session,
};

/// `service Shares`.
#[derive(Clone, Debug)]
pub struct SharesService {
    shared: Arc<Shared>,
}

impl SharesService {
    /// The service over what the core shares.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[tonic::async_trait]
impl Shares for SharesService {
    async fn create(
        &self,
        request: Request<SharesCreateRequest>,
    ) -> Result<Response<SharesCreateResponse>, Status> {
        let info = CallInfo::of(&request)?;
        Ok(Response::new(create(&self.shared, &info, request.into_inner()).await?))
    }

    async fn list(
        &self,
        request: Request<SharesListRequest>,
    ) -> Result<Response<SharesListResponse>, Status> {
        let caller = CallInfo::of(&request)?.caller;
        if matches!(caller, Caller::Guest { .. }) {
            return Err(Refusal::new(Code::Forbidden, "links are not for guests to see").into());
        }
        let SharesListRequest { gateway, session } = request.into_inner();
        let mut shares = self.shared.store.shares(&gateway, &session).await.map_err(Refusal::from)?;
        shares.retain(|share| sees(&self.shared, &caller, share));
        Ok(Response::new(SharesListResponse { shares }))
    }

    async fn revoke(
        &self,
        request: Request<SharesRevokeRequest>,
    ) -> Result<Response<SharesRevokeResponse>, Status> {
        let info = CallInfo::of(&request)?;
        revoke(&self.shared, &info, &request.get_ref().id).await?;
        Ok(Response::new(SharesRevokeResponse {}))
    }

    async fn look(
        &self,
        request: Request<SharesLookRequest>,
    ) -> Result<Response<SharesLookResponse>, Status> {
        let info = CallInfo::of(&request)?;
        through_edge(&info)?;
        let SharesLookRequest { secret, address: _ } = request.into_inner();
        let (_, found) = find(&self.shared, &info, secret).await?;
        Ok(Response::new(SharesLookResponse {
            guest_of: Some(guest_of(&self.shared, &found.shared)),
            passphrase: found.passphrase.is_some(),
            accounts_only: found.accounts_only,
        }))
    }

    async fn enter(
        &self,
        request: Request<SharesEnterRequest>,
    ) -> Result<Response<SharesEnterResponse>, Status> {
        let info = CallInfo::of(&request)?;
        Ok(Response::new(enter(&self.shared, &info, request.into_inner()).await?))
    }
}

/// Makes a link.
///
/// # Errors
/// `UNKNOWN_GATEWAY`, `UNKNOWN_SESSION`, `FORBIDDEN` where the caller may not share
/// or not do what guests shall, `INVALID`, `LIMIT`.
async fn create(
    shared: &Shared,
    info: &CallInfo,
    wanted: SharesCreateRequest,
) -> Result<SharesCreateResponse, Refusal> {
    no_token(info)?;
    let gateway: GatewayId = wanted.gateway.parse().map_err(|_| crate::target::unknown_gateway())?;
    info.about.is(gateway);
    let role = match wanted.role() {
        Role::Writer => Role::Writer,
        Role::Viewer | Role::Unspecified => Role::Viewer,
    };
    let needed = if role == Role::Writer { Permission::SessionWrite } else { Permission::SessionView };
    for permission in [Permission::SessionShare, needed] {
        check(&info.caller, permission, Some(gateway), &shared.hub)?;
    }
    let session: SessionId = wanted.session.parse().map_err(|_| unknown_session())?;
    if shared.hub.session(gateway, session).is_none() {
        return Err(unknown_session());
    }
    let (life, uses) = (life(wanted.ttl_s)?, uses(wanted.uses)?);
    let passphrase = passphrase(shared, Zeroizing::new(wanted.passphrase)).await?;
    let secret = Secret::generate();
    let leads_to = LeadsTo {
        share: fresh(),
        gateway,
        session,
        role,
        sharer: sharer(info)?,
        sharer_name: info.caller.display_name().to_owned(),
        expires_ms: clock::unix_ms() + clock::millis(life),
    };
    let id = leads_to.share.clone();
    let new = NewShare {
        hash: secret.hash(),
        shared: leads_to,
        uses,
        passphrase: &passphrase,
        accounts_only: wanted.accounts_only,
    };
    shared.store.add_share(&new, &info.changer("share.created")).await?;
    shared.shares_changed.notify_one();
    let made = shared.store.shares(&wanted.gateway, &wanted.session).await?;
    Ok(SharesCreateResponse {
        share: made.into_iter().find(|share| share.id == id),
        secret: secret.expose().to_string(),
    })
}

/// Who shares by this call.
fn sharer(info: &CallInfo) -> Result<Sharer, Refusal> {
    match &info.caller {
        Caller::Person { person, .. } => Ok(Sharer::Person(person.id.clone())),
        Caller::Admin { id, .. } => Ok(Sharer::Admin(id.to_string())),
        Caller::ApiToken { .. } | Caller::Guest { .. } | Caller::Unknown(_) => {
            Err(Refusal::new(Code::Forbidden, "only people and administrators' programs share sessions"))
        }
    }
}

fn life(seconds: u32) -> Result<Duration, Refusal> {
    match u64::from(seconds) {
        0 => Ok(limits::SHARE),
        seconds if limits::SHARE_RANGE.contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => {
            let (least, most) = (limits::SHARE_RANGE.start(), limits::SHARE_RANGE.end());
            Err(Refusal::new(Code::Invalid, format!("a link counts for {least} to {most} seconds")))
        }
    }
}

fn uses(wanted: u32) -> Result<u32, Refusal> {
    match wanted {
        0 => Ok(1),
        uses if limits::SHARE_USES.contains(&uses) => Ok(uses),
        _ => {
            let (least, most) = (limits::SHARE_USES.start(), limits::SHARE_USES.end());
            Err(Refusal::new(Code::Invalid, format!("a link lets in {least} to {most} guests")))
        }
    }
}

/// The hash of a passphrase; empty: the link asks for none.
async fn passphrase(shared: &Shared, passphrase: Zeroizing<String>) -> Result<String, Refusal> {
    if passphrase.is_empty() {
        return Ok(String::new());
    }
    let range = limits::SHARE_PASSPHRASE_CHARS;
    if !range.contains(&passphrase.chars().count()) {
        let words =
            format!("a passphrase has {} to {} characters; choose another", range.start(), range.end());
        return Err(Refusal::new(Code::Invalid, words));
    }
    shared.sign_in.passphrases().hash(passphrase).await
}

/// Whether the caller may see the session that the link leads to.
fn sees(shared: &Shared, caller: &Caller, share: &Share) -> bool {
    let Ok(id) = share.gateway.parse() else { return false };
    shared
        .hub
        .labels(id)
        .is_some_and(|labels| caller.may_on(Permission::SessionView, &Machine { id, labels: &labels }))
}

/// Takes a link back, and ends the calls of its guests.
///
/// # Errors
/// `INVALID` when there is none with this id that the caller may take back.
async fn revoke(shared: &Shared, info: &CallInfo, id: &str) -> Result<(), Refusal> {
    let none = || Refusal::new(Code::Invalid, "no such link; list them to see which there are");
    let found = shared.store.share_of(id).await?.ok_or_else(none)?;
    check(&info.caller, Permission::SessionShare, Some(found.gateway), &shared.hub).map_err(|_| none())?;
    info.about.is(found.gateway);
    let guests = shared.store.revoke_share(&found, &info.act("share.revoked")).await?;
    shared.lives.end_each(&guests);
    shared.shares_changed.notify_one();
    Ok(())
}

/// The link with this secret.
///
/// # Errors
/// `BAD_TOKEN` for one that does not count, which is written down; `RATE_LIMITED`.
async fn find(shared: &Shared, info: &CallInfo, secret: String) -> Result<(Secret, FoundShare), Refusal> {
    let secret = Zeroizing::new(secret);
    let Ok(secret) = Secret::from_text(&secret) else {
        return Err(wrong(shared, info, does_not_count()).await);
    };
    match shared.store.share(&secret.hash()).await? {
        Some(found) => Ok((secret, found)),
        None => Err(wrong(shared, info, does_not_count()).await),
    }
}

fn does_not_count() -> Refusal {
    Refusal::new(Code::BadToken, "this link does not count, or not any more; ask for a new one")
}

/// Writes a wrong link or passphrase down. Only wrong ones count.
async fn wrong(shared: &Shared, info: &CallInfo, refusal: Refusal) -> Refusal {
    let edge = match through_edge(info) {
        Ok(edge) => edge,
        Err(refusal) => return refusal,
    };
    if let Err(limited) = shared.rates.shares_wrong.check(&edge) {
        return limited;
    }
    let principal = MemberName::Edge(edge).to_string();
    let row = Entry { principal, result: refusal.code, detail: refusal.message.clone(), ..info.act(ENTERED) };
    match shared.store.audit(&row).await {
        Ok(()) => refusal,
        Err(error) => error.into(),
    }
}

/// The act of coming in.
const ENTERED: &str = "guest.entered";

/// Lets a guest in.
///
/// # Errors
/// `BAD_TOKEN` for a link that does not count or a wrong passphrase, `FORBIDDEN` past
/// an edge or without an account where one is needed, `INVALID`, `RATE_LIMITED`.
async fn enter(
    shared: &Shared,
    info: &CallInfo,
    wanted: SharesEnterRequest,
) -> Result<SharesEnterResponse, Refusal> {
    through_edge(info)?;
    let (account, given) = (Zeroizing::new(wanted.account), Zeroizing::new(wanted.passphrase));
    let again = Zeroizing::new(wanted.again);
    let (_, found) = find(shared, info, wanted.secret).await?;
    let person = account_of(shared, &account).await?;
    if found.accounts_only && person.is_none() {
        let words = "this link is for people with an account here; sign in, then open it again";
        return Err(Refusal::new(Code::Forbidden, words));
    }
    let again = Secret::from_text(&again).ok().map(|token| token.hash());
    if let Some(hash) = &found.passphrase
        && !is_in(shared, &found.shared.share, again.as_ref()).await?
    {
        let (link, address) = (found.shared.share.clone(), from(info, &wanted.address));
        shared.rates.passphrases_from.check(&(link.clone(), address))?;
        shared.rates.passphrases.check(&link)?;
        if !fits(&given) || !shared.sign_in.passphrases().is_of(given, Some(hash)).await? {
            let words = "the passphrase is wrong; ask who gave you the link, and try again";
            return Err(wrong(shared, info, Refusal::new(Code::BadToken, words)).await);
        }
    }
    let display_name = match &person {
        Some(person) => person.display_name.clone(),
        None => {
            name::check("name", &wanted.display_name, limits::GUEST_NAME_CHARS)?;
            wanted.display_name
        }
    };
    let display_name = format!("{} (guest)", display_safe(&display_name, limits::GUEST_NAME_CHARS));
    let (token, id) = (Secret::generate(), fresh());
    let guest = NewGuest {
        id: &id,
        hash: token.hash(),
        display_name: &display_name,
        person: person.as_ref().map(|person| person.id.as_str()),
        device: &device::shown(&wanted.device),
        address: &display_safe(&wanted.address, limits::NAME_CHARS),
        again,
    };
    let Some(entered) = shared.store.enter(&found.shared, &guest, &info.act(ENTERED)).await? else {
        return Err(wrong(shared, info, does_not_count()).await);
    };
    if let Some(before) = again {
        shared.lives.end(&before);
    }
    Ok(SharesEnterResponse {
        guest_token: token.expose().to_string(),
        guest_of: Some(guest_of(shared, &found.shared)),
        display_name: entered.display_name,
    })
}

fn fits(passphrase: &str) -> bool {
    passphrase.chars().count() <= *limits::SHARE_PASSPHRASE_CHARS.end()
}

/// The person of a session token; `None`: nobody's.
async fn account_of(shared: &Shared, token: &str) -> Result<Option<Person>, Refusal> {
    let Ok(token) = Secret::from_text(token) else { return Ok(None) };
    Ok(shared.store.person_session(&token.hash()).await?.map(|session| session.person))
}

/// Whether this token is of a guest who is in by this link: they have given the
/// passphrase already.
async fn is_in(shared: &Shared, link: &str, token: Option<&[u8; 32]>) -> Result<bool, Refusal> {
    let Some(token) = token else { return Ok(false) };
    Ok(shared.store.guest(token).await?.is_some_and(|guest| guest.shared.share == link))
}

/// A guest leaves.
///
/// # Errors
/// When it cannot be written.
pub async fn leave(shared: &Shared, info: &CallInfo, guest: &FoundGuest, life: &Life) -> Result<(), Refusal> {
    shared.store.end_guest(life.hash(), &guest.shared, &info.act("guest.left")).await?;
    shared.lives.end(life.hash());
    Ok(())
}

/// What a guest learns of what they are let into.
#[must_use]
pub fn guest_of(shared: &Shared, to: &LeadsTo) -> GuestOf {
    let session = shared.hub.session(to.gateway, to.session);
    GuestOf {
        share: to.share.clone(),
        gateway: to.gateway.to_string(),
        session: to.session.to_string(),
        session_name: session.map(|session| session.name).unwrap_or_default(),
        role: to.role.into(),
        expires_unix_ms: to.expires_ms,
        shared_by: to.sharer_name.clone(),
    }
}

/// Shows watchers how many links lead to each session, for ever: when some are made
/// or taken back, and when they end by themselves.
pub async fn show_links(shared: &Shared) {
    let mut rights = shared.directory.changes();
    loop {
        let wait = match shared.store.live_shares().await {
            Ok(live) => {
                shared.hub.set_links(live.links);
                let left = live.next_end_ms.map(|end| end.saturating_sub(clock::unix_ms()));
                left.map_or(limits::SHARE_LOOK, Duration::from_millis).min(limits::SHARE_LOOK)
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "links cannot be counted");
                limits::SHARE_LOOK
            }
        };
        if let Err(error) = shared.store.forget_shares().await {
            tracing::error!(error = &error as &dyn std::error::Error, "old links are kept on");
        }
        // Made, taken back, other rights of who shares, or late: it is looked at anew.
        tokio::select! {
            () = shared.shares_changed.notified() => {}
            _ = rights.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
