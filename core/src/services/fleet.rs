//! The machines for those who may see them: list, watch, enroll, revoke.

use std::sync::Arc;

use chatcode_proto::{
    code::Refusal,
    id::GatewayId,
    pb::{
        Code, FleetCreateTokenRequest, FleetCreateTokenResponse, FleetListRequest, FleetListResponse,
        FleetRevokeRequest, FleetRevokeResponse, FleetWatchRequest, Gateway, MemberKind, Permission,
        fleet_server::Fleet,
    },
};
use tonic::{Request, Response, Status};

use crate::{
    caller::CallInfo,
    fleet::{
        registry::Order,
        watch::{WatchStream, watch},
    },
    services::enrollment::{self, TokenWish},
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
        let after = request.into_inner().after;
        let after = if after.is_empty() { None } else { Some(after.parse().map_err(|_| unknown_gateway())?) };
        let (gateways, more) = self.shared.hub.page(after).ok_or_else(unknown_gateway)?;
        let next = gateways.last().filter(|_| more).map(|last| last.id.clone()).unwrap_or_default();
        Ok(Response::new(FleetListResponse { gateways, next }))
    }

    async fn watch(&self, _: Request<FleetWatchRequest>) -> Result<Response<WatchStream>, Status> {
        Ok(Response::new(watch(Arc::clone(&self.shared.hub))))
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
            // Who may add a machine may not thereby make itself the operator.
            Ok(other) if caller.may(Permission::Admin) => other,
            Ok(_) => return Err(Refusal::new(Code::Forbidden, "you may enroll gateways only").into()),
            Err(_) => return Err(Refusal::new(Code::Invalid, "no such kind of member").into()),
        };
        let wish = TokenWish { kind, name: wanted.name, ttl_s: u64::from(wanted.ttl_s) };
        let act = info.act("token.created");
        let (token, expires_unix_ms) =
            enrollment::create_token(&self.shared.store, &self.shared.authority, &wish, &act).await?;
        Ok(Response::new(FleetCreateTokenResponse { token: token.expose().to_string(), expires_unix_ms }))
    }

    async fn revoke(
        &self,
        request: Request<FleetRevokeRequest>,
    ) -> Result<Response<FleetRevokeResponse>, Status> {
        let id: GatewayId = request.get_ref().gateway.parse().map_err(|_| unknown_gateway())?;
        let act = Entry { gateway: id.to_string(), ..CallInfo::of(&request)?.act("gateway.revoked") };
        // Carried through also when the caller goes away half-way.
        let work = self.shared.tasks.spawn(revoke(Arc::clone(&self.shared), id, act));
        let gateway = work.await.map_err(|_| Refusal::new(Code::Internal, "the revocation broke off"))??;
        Ok(Response::new(FleetRevokeResponse { gateway: Some(gateway) }))
    }
}

/// Revokes a gateway: first what it could come back with, then what is known of
/// its sessions, then its live link.
///
/// # Errors
/// `UNKNOWN_GATEWAY`; `INTERNAL` when nothing can be kept.
pub(crate) async fn revoke(shared: Arc<Shared>, id: GatewayId, act: Entry) -> Result<Gateway, Refusal> {
    let since = shared.store.revoke_gateway(id.into(), &act).await?.ok_or_else(unknown_gateway)?;
    shared.hub.revoke_gateway(id, since);
    if let Some(live) = shared.links.get(id) {
        live.order(Order::Revoke);
    }
    tracing::warn!(gateway = %id, "revoked");
    shared.hub.gateway(id).ok_or_else(unknown_gateway)
}
