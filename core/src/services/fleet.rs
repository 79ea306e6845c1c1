//! The machines for those who may see them: list, watch, enroll, revoke.

use std::sync::Arc;

use chatcode_proto::{
    code::Refusal,
    id::GatewayId,
    label::Labels,
    limits,
    name::display_safe,
    pb::{
        Code, FleetAcknowledgeDuplicateRequest, FleetAcknowledgeDuplicateResponse, FleetCreateTokenRequest,
        FleetCreateTokenResponse, FleetDecidePendingRequest, FleetDecidePendingResponse,
        FleetListPendingRequest, FleetListPendingResponse, FleetListRequest, FleetListResponse,
        FleetListTokensRequest, FleetListTokensResponse, FleetRevokeRequest, FleetRevokeResponse,
        FleetRevokeTokenRequest, FleetRevokeTokenResponse, FleetWatchRequest, Gateway, MemberKind,
        Permission, fleet_server::Fleet,
    },
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::{
    caller::{CallInfo, Caller},
    fleet::{
        registry::Order,
        watch::{View, WatchStream, watch},
    },
    judge::check,
    people::Machine,
    services::{
        api_tokens::no_token,
        approval,
        tokens::{self, TokenWish},
    },
    shared::Shared,
    store::audit::Entry,
    target::unknown_gateway,
};

/// `service Fleet`.
#[derive(Clone, Debug)]
pub struct FleetService {
    shared: Arc<Shared>,
}

impl FleetService {
    /// The service over what the core shares.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[tonic::async_trait]
impl Fleet for FleetService {
    type WatchStream = WatchStream;

    async fn list(&self, request: Request<FleetListRequest>) -> Result<Response<FleetListResponse>, Status> {
        let caller = CallInfo::of(&request)?.caller;
        let after = request.into_inner().after;
        let after = if after.is_empty() { None } else { Some(after.parse().map_err(|_| unknown_gateway())?) };
        let (gateways, more) = self
            .shared
            .hub
            .page(after, |id, labels| sees(&caller, id, labels))
            .ok_or_else(unknown_gateway)?;
        let next = gateways.last().filter(|_| more).map(|last| last.id.clone()).unwrap_or_default();
        Ok(Response::new(FleetListResponse { gateways, next }))
    }

    async fn watch(&self, request: Request<FleetWatchRequest>) -> Result<Response<WatchStream>, Status> {
        let view = CallerView(CallInfo::of(&request)?.caller);
        Ok(Response::new(watch(Arc::clone(&self.shared.hub), view)))
    }

    async fn create_token(
        &self,
        request: Request<FleetCreateTokenRequest>,
    ) -> Result<Response<FleetCreateTokenResponse>, Status> {
        let info = CallInfo::of(&request)?;
        let caller = &info.caller;
        let wanted = request.into_inner();
        let kind = match MemberKind::try_from(wanted.kind) {
            Ok(MemberKind::Unspecified | MemberKind::Gateway) => MemberKind::Gateway,
            // Who may add a machine may not thereby make itself more than it is.
            Ok(MemberKind::Edge) if caller.may(Permission::Admin) => MemberKind::Edge,
            Ok(MemberKind::Admin) if caller.may(Permission::OwnersManage) => MemberKind::Admin,
            Ok(_) => return Err(Refusal::new(Code::Forbidden, "you may enroll gateways only").into()),
            Err(_) => return Err(Refusal::new(Code::Invalid, "no such kind of member").into()),
        };
        if kind != MemberKind::Gateway {
            // Its certificate would outlive the token, and its person's rights.
            no_token(&info)?;
        }
        let wish = TokenWish {
            kind,
            name: wanted.name,
            ttl_s: u64::from(wanted.ttl_s),
            uses: wanted.uses,
            labels: wanted.labels,
            approval: wanted.approval,
            network: wanted.network,
        };
        let act = info.act("token.created");
        let (token, expires_unix_ms) =
            tokens::create_token(&self.shared.store, &self.shared.authority, &wish, &act).await?;
        self.shared.hub.tokens_changed();
        Ok(Response::new(FleetCreateTokenResponse {
            token: token.expose().to_string(),
            expires_unix_ms,
            id: token.id().to_owned(),
        }))
    }

    async fn list_tokens(
        &self,
        _: Request<FleetListTokensRequest>,
    ) -> Result<Response<FleetListTokensResponse>, Status> {
        let tokens = self.shared.store.join_tokens().await.map_err(Refusal::from)?;
        Ok(Response::new(FleetListTokensResponse { tokens }))
    }

    async fn revoke_token(
        &self,
        request: Request<FleetRevokeTokenRequest>,
    ) -> Result<Response<FleetRevokeTokenResponse>, Status> {
        let mut by = CallInfo::of(&request)?.changer("token.revoked");
        let id = request.into_inner().id;
        by.act.detail = display_safe(&id, limits::NAME_CHARS);
        for id in self.shared.store.revoke_token(&id, &by).await.map_err(Refusal::from)? {
            approval::gone(&self.shared, &id);
        }
        self.shared.hub.tokens_changed();
        Ok(Response::new(FleetRevokeTokenResponse {}))
    }

    async fn list_pending(
        &self,
        _: Request<FleetListPendingRequest>,
    ) -> Result<Response<FleetListPendingResponse>, Status> {
        Ok(Response::new(FleetListPendingResponse { pending: self.shared.hub.all_pending() }))
    }

    async fn decide_pending(
        &self,
        request: Request<FleetDecidePendingRequest>,
    ) -> Result<Response<FleetDecidePendingResponse>, Status> {
        let action = if request.get_ref().approve { "pending.approved" } else { "pending.refused" };
        let act = CallInfo::of(&request)?.act(action);
        approval::decide(&self.shared, request.get_ref(), act).await?;
        Ok(Response::new(FleetDecidePendingResponse {}))
    }

    async fn acknowledge_duplicate(
        &self,
        request: Request<FleetAcknowledgeDuplicateRequest>,
    ) -> Result<Response<FleetAcknowledgeDuplicateResponse>, Status> {
        let info = CallInfo::of(&request)?;
        let wanted = request.get_ref();
        let id: GatewayId = wanted.gateway.parse().map_err(|_| unknown_gateway())?;
        info.about.is(id);
        check(&info.caller, Permission::GatewayRevoke, Some(id), &self.shared.hub)?;
        let act = Entry { gateway: id.to_string(), ..info.act("duplicate.acknowledged") };
        let gateway = acknowledge(&self.shared, id, wanted.duplicate_unix_ms, act).await?;
        Ok(Response::new(FleetAcknowledgeDuplicateResponse { gateway: Some(gateway) }))
    }

    async fn revoke(
        &self,
        request: Request<FleetRevokeRequest>,
    ) -> Result<Response<FleetRevokeResponse>, Status> {
        let info = CallInfo::of(&request)?;
        let id: GatewayId = request.get_ref().gateway.parse().map_err(|_| unknown_gateway())?;
        info.about.is(id);
        check(&info.caller, Permission::GatewayRevoke, Some(id), &self.shared.hub)?;
        let act = Entry { gateway: id.to_string(), ..info.act("gateway.revoked") };
        // Carried through also when the caller goes away half-way.
        let work = self.shared.tasks.spawn(revoke(Arc::clone(&self.shared), id, act));
        let gateway = work.await.map_err(|_| Refusal::new(Code::Internal, "the revocation broke off"))??;
        Ok(Response::new(FleetRevokeResponse { gateway: Some(gateway) }))
    }
}

/// Takes the alarm of this moment (milliseconds since 1970) off a gateway.
async fn acknowledge(shared: &Shared, id: GatewayId, unix_ms: u64, act: Entry) -> Result<Gateway, Refusal> {
    let known = shared.hub.gateway(id).ok_or_else(unknown_gateway)?;
    if known.duplicate_unix_ms == 0 {
        return Ok(known);
    }
    let detail = format!("used by {} from {}", known.duplicate_hostname, known.duplicate_address);
    if !shared.store.acknowledge_duplicate(id, unix_ms, &Entry { detail, ..act }).await? {
        let words = "another machine has used this identity again since; look at the machine once more";
        return Err(Refusal::new(Code::Invalid, words));
    }
    shared.hub.change_gateway(id, |gateway| {
        let is_the_same = gateway.duplicate_unix_ms == unix_ms;
        if is_the_same {
            gateway.duplicate_unix_ms = 0;
            gateway.duplicate_hostname.clear();
            gateway.duplicate_address.clear();
        }
        is_the_same
    });
    shared.hub.gateway(id).ok_or_else(unknown_gateway)
}

/// What a caller may see of the fleet.
struct CallerView(Caller);

impl View for CallerView {
    fn sees(&self, gateway: GatewayId, labels: &Labels) -> bool {
        sees(&self.0, gateway, labels)
    }

    fn sees_pending(&self) -> bool {
        self.0.may(Permission::GatewayEnroll)
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        self.0.directory().map(|directory| directory.changes())
    }
}

fn sees(caller: &Caller, id: GatewayId, labels: &Labels) -> bool {
    caller.may_on(Permission::FleetView, &Machine { id, labels })
}

/// Revokes a gateway: first what it could come back with, then what is known of
/// its sessions, then its live link.
///
/// # Errors
/// `UNKNOWN_GATEWAY`; `INTERNAL` when nothing can be kept.
pub(crate) async fn revoke(shared: Arc<Shared>, id: GatewayId, act: Entry) -> Result<Gateway, Refusal> {
    let since = shared.store.revoke_gateway(id.into(), &act).await?.ok_or_else(unknown_gateway)?;
    shared.hub.revoke_gateway(id, since);
    shared.connections.end(id.into());
    if let Some(live) = shared.links.get(id) {
        live.order(Order::Revoke);
    }
    tracing::warn!(gateway = %id, "revoked");
    shared.hub.gateway(id).ok_or_else(unknown_gateway)
}
