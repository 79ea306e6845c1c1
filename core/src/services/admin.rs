//! Operating the installation: how the core is, sending machines away for a
//! while, and the CA.

use std::sync::Arc;

use chatcode_proto::{
    code::Refusal,
    limits,
    pb::{
        AdminCaImportRequest, AdminCaImportResponse, AdminCaRequestRequest, AdminCaRequestResponse,
        AdminCaRotateRequest, AdminCaRotateResponse, AdminCaStatusRequest, AdminCaStatusResponse,
        AdminDrainRequest, AdminDrainResponse, AdminListMembersRequest, AdminListMembersResponse,
        AdminRevokeMemberRequest, AdminRevokeMemberResponse, AdminStatusRequest, AdminStatusResponse, Code,
        admin_server::Admin,
    },
};
use tonic::{Request, Response, Status};

use crate::{
    caller::CallInfo,
    clock,
    fleet::registry::Order,
    services::{ca, members, status},
    shared::Shared,
    upkeep,
};

/// `service Admin`.
#[derive(Clone, Debug)]
pub struct AdminService {
    shared: Arc<Shared>,
}

impl AdminService {
    /// The service over what the core shares.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn status(&self, _: Request<AdminStatusRequest>) -> Result<Response<AdminStatusResponse>, Status> {
        Ok(Response::new(status::whole(&self.shared).await?))
    }

    async fn drain(
        &self,
        request: Request<AdminDrainRequest>,
    ) -> Result<Response<AdminDrainResponse>, Status> {
        let longest = u32::try_from(clock::millis(limits::DRAIN_LONGEST)).unwrap_or(u32::MAX);
        let retry_after_ms = request.get_ref().retry_after_ms.min(longest);
        let links = self.shared.links.all();
        for live in &links {
            live.order(Order::Drain { retry_after_ms });
        }
        Ok(Response::new(AdminDrainResponse { links: count(links.len()) }))
    }

    async fn list_members(
        &self,
        request: Request<AdminListMembersRequest>,
    ) -> Result<Response<AdminListMembersResponse>, Status> {
        let info = CallInfo::of(&request)?;
        Ok(Response::new(members::list(&self.shared, &info, &request.get_ref().after).await?))
    }

    async fn revoke_member(
        &self,
        request: Request<AdminRevokeMemberRequest>,
    ) -> Result<Response<AdminRevokeMemberResponse>, Status> {
        let info = CallInfo::of(&request)?;
        let member = members::revoke(&self.shared, &info, request.get_ref()).await?;
        Ok(Response::new(AdminRevokeMemberResponse { member: Some(member) }))
    }

    async fn ca_status(
        &self,
        _: Request<AdminCaStatusRequest>,
    ) -> Result<Response<AdminCaStatusResponse>, Status> {
        Ok(Response::new(ca::status(&self.shared).await?))
    }

    async fn ca_rotate(
        &self,
        request: Request<AdminCaRotateRequest>,
    ) -> Result<Response<AdminCaRotateResponse>, Status> {
        let act = CallInfo::of(&request)?.act("ca.rotated");
        let wish = *request.get_ref();
        let shared = Arc::clone(&self.shared);
        // Carried through also when the caller goes away half-way.
        let work = self
            .shared
            .tasks
            .spawn(async move { upkeep::rotate(&shared, (wish.part(), wish.step()), wish.force, act).await });
        let done = work.await.map_err(|_| Refusal::new(Code::Internal, "the step broke off"))?;
        done.map_err(Refusal::from)?;
        Ok(Response::new(AdminCaRotateResponse {}))
    }

    async fn ca_request(
        &self,
        _: Request<AdminCaRequestRequest>,
    ) -> Result<Response<AdminCaRequestResponse>, Status> {
        Ok(Response::new(AdminCaRequestResponse { csr: ca::request(&self.shared).await? }))
    }

    async fn ca_import(
        &self,
        request: Request<AdminCaImportRequest>,
    ) -> Result<Response<AdminCaImportResponse>, Status> {
        let act = CallInfo::of(&request)?.act("ca.rotated");
        ca::import(&self.shared, &request.get_ref().certificate, act).await?;
        Ok(Response::new(AdminCaImportResponse {}))
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
