//! People: signing in and out, who they are, and tickets for their pages.

use std::sync::Arc;

use chatcode_certs::secret::Secret;
use chatcode_proto::{
    code::Refusal,
    id::{GatewayId, SessionId},
    limits, metadata,
    pb::{
        AccountsBeginSignInRequest, AccountsBeginSignInResponse, AccountsCreateSignInRequest,
        AccountsCreateSignInResponse, AccountsCreateTicketRequest, AccountsCreateTicketResponse,
        AccountsEndSessionsRequest, AccountsEndSessionsResponse, AccountsListSessionsRequest,
        AccountsListSessionsResponse, AccountsSignInMethodsRequest, AccountsSignInMethodsResponse,
        AccountsSignInRequest, AccountsSignInResponse, AccountsSignOutRequest, AccountsSignOutResponse,
        AccountsWhoAmIRequest, AccountsWhoAmIResponse, Code, Scope, accounts_end_sessions_request::Which,
        accounts_server::Accounts,
    },
    rules::Rule,
};
use tonic::{Request, Response, Status};

use crate::{
    caller::{CallInfo, Caller},
    clock,
    services::{api_tokens::no_token, people::fresh, shares, sign_in},
    shared::{Shared, VERSION},
    store::{people::Person, sign_ins::SecretHash, tickets::TicketBinding},
};

/// `service Accounts`.
#[derive(Clone, Debug)]
pub struct AccountsService {
    shared: Arc<Shared>,
}

impl AccountsService {
    /// The service over what the core shares.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[tonic::async_trait]
impl Accounts for AccountsService {
    async fn sign_in_methods(
        &self,
        request: Request<AccountsSignInMethodsRequest>,
    ) -> Result<Response<AccountsSignInMethodsResponse>, Status> {
        Ok(Response::new(sign_in::methods(&self.shared, &CallInfo::of(&request)?)?))
    }

    async fn begin_sign_in(
        &self,
        request: Request<AccountsBeginSignInRequest>,
    ) -> Result<Response<AccountsBeginSignInResponse>, Status> {
        let info = CallInfo::of(&request)?;
        Ok(Response::new(sign_in::begin(&self.shared, &info, request.get_ref()).await?))
    }

    async fn sign_in(
        &self,
        request: Request<AccountsSignInRequest>,
    ) -> Result<Response<AccountsSignInResponse>, Status> {
        let info = CallInfo::of(&request)?;
        Ok(Response::new(Box::pin(sign_in::trade(&self.shared, &info, request.into_inner())).await?))
    }

    async fn sign_out(
        &self,
        request: Request<AccountsSignOutRequest>,
    ) -> Result<Response<AccountsSignOutResponse>, Status> {
        let info = CallInfo::of(&request)?;
        match &info.caller {
            Caller::Person { life, .. } => {
                self.shared.store.end_person_session(life.hash()).await.map_err(Refusal::from)?;
                self.shared.lives.end(life.hash());
            }
            Caller::Guest { guest, life, .. } => shares::leave(&self.shared, &info, guest, life).await?,
            Caller::Unknown(_) | Caller::Admin { .. } | Caller::ApiToken { .. } => {}
        }
        Ok(Response::new(AccountsSignOutResponse {}))
    }

    async fn who_am_i(
        &self,
        request: Request<AccountsWhoAmIRequest>,
    ) -> Result<Response<AccountsWhoAmIResponse>, Status> {
        let caller = CallInfo::of(&request)?.caller;
        Ok(Response::new(AccountsWhoAmIResponse {
            principal: caller.principal(),
            display_name: caller.display_name().to_owned(),
            installation: self.shared.installation().to_owned(),
            core_version: VERSION.to_owned(),
            permissions: caller.permissions().into_iter().map(i32::from).collect(),
            step_up_until_unix_ms: match &caller {
                Caller::Person { proven_ms, .. } => proven_ms + clock::millis(limits::STEP_UP),
                _ => 0,
            },
            role: caller.highest().into(),
            guest_of: match &caller {
                Caller::Guest { guest, .. } => Some(shares::guest_of(&self.shared, &guest.shared)),
                _ => None,
            },
        }))
    }

    async fn list_sessions(
        &self,
        request: Request<AccountsListSessionsRequest>,
    ) -> Result<Response<AccountsListSessionsResponse>, Status> {
        let info = CallInfo::of(&request)?;
        let (person, current) = at_page(&info)?;
        let sessions = self.shared.store.sessions_of(&person.id, current).await.map_err(Refusal::from)?;
        Ok(Response::new(AccountsListSessionsResponse { sessions }))
    }

    async fn end_sessions(
        &self,
        request: Request<AccountsEndSessionsRequest>,
    ) -> Result<Response<AccountsEndSessionsResponse>, Status> {
        let info = CallInfo::of(&request)?;
        let (person, current) = at_page(&info)?;
        let id = match &request.get_ref().which {
            Some(Which::Id(id)) => Some(id.as_str()),
            Some(Which::Others(true)) => None,
            Some(Which::Others(false)) | None => {
                return Err(Refusal::new(Code::Invalid, "name a session, or all others").into());
            }
        };
        let ended =
            self.shared.store.end_sessions(&person.id, id, current, &info.act("sessions.ended")).await;
        let ended = ended.map_err(Refusal::from)?;
        self.shared.lives.end_each(&ended);
        let ended = u32::try_from(ended.len()).unwrap_or(u32::MAX);
        Ok(Response::new(AccountsEndSessionsResponse { ended }))
    }

    async fn create_ticket(
        &self,
        request: Request<AccountsCreateTicketRequest>,
    ) -> Result<Response<AccountsCreateTicketResponse>, Status> {
        let info = CallInfo::of(&request)?;
        let (Caller::Person { life, .. } | Caller::Guest { life, .. }) = &info.caller else {
            return Err(Refusal::new(Code::Forbidden, "tickets are for pages; call the method itself").into());
        };
        self.shared.rates.tickets.check(&info.caller.principal())?;
        if info.origin.is_empty() {
            let words = "the call does not say which page it comes from (origin)";
            return Err(Refusal::new(Code::BadOrigin, words).into());
        }
        let wanted = request.into_inner();
        check_ticket(&wanted)?;
        let ticket = Secret::generate();
        let binding = TicketBinding {
            holder: *life.hash(),
            origin: info.origin.clone(),
            method: wanted.method,
            gateway: wanted.gateway,
            session: wanted.session,
        };
        self.shared.store.add_ticket(&ticket.hash(), &binding).await.map_err(Refusal::from)?;
        Ok(Response::new(AccountsCreateTicketResponse { ticket: ticket.expose().to_string() }))
    }

    async fn create_sign_in(
        &self,
        request: Request<AccountsCreateSignInRequest>,
    ) -> Result<Response<AccountsCreateSignInResponse>, Status> {
        let info = CallInfo::of(&request)?;
        no_token(&info)?;
        let person = match request.into_inner().person {
            id if id.is_empty() => self.shared.store.owner(&fresh()).await.map_err(Refusal::from)?.id,
            id => id,
        };
        let secret = Secret::generate();
        let by = info.changer("sign_in.created");
        let made = self.shared.store.add_sign_in(&secret.hash(), &person, &by).await;
        let expires = made.map_err(Refusal::from)?;
        Ok(Response::new(AccountsCreateSignInResponse {
            secret: secret.expose().to_string(),
            expires_unix_ms: expires,
        }))
    }
}

/// The person at a page, and the hash of their session's token.
///
/// # Errors
/// `FORBIDDEN` for programs.
pub(super) fn at_page(info: &CallInfo) -> Result<(&Person, &SecretHash), Refusal> {
    match &info.caller {
        Caller::Person { person, life, .. } => Ok((person, life.hash())),
        _ => Err(Refusal::new(Code::Forbidden, "this is for people at pages; sign in to one")),
    }
}

/// A ticket is for one streaming method and the target that it needs.
fn check_ticket(wanted: &AccountsCreateTicketRequest) -> Result<(), Refusal> {
    let Some(rule) = Rule::of(&wanted.method).filter(|rule| rule.server_streaming) else {
        return Err(Refusal::new(
            Code::UnknownMethod,
            "a ticket is for one streaming method of the contract",
        ));
    };
    let gateway = wanted.gateway.parse::<GatewayId>().is_ok();
    let session = wanted.session.parse::<SessionId>().is_ok();
    let fits = match rule.scope {
        Scope::Session => gateway && session,
        Scope::Gateway => gateway && wanted.session.is_empty(),
        Scope::Core | Scope::Unspecified => wanted.gateway.is_empty() && wanted.session.is_empty(),
    };
    if fits {
        return Ok(());
    }
    let words = format!("the target of the ticket does not fit {}: see {}", wanted.method, metadata::GATEWAY);
    Err(Refusal::new(Code::Invalid, words))
}
