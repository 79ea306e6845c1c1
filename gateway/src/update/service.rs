//! The service `Host`, for one link.

use std::sync::Arc;

use chatcode_proto::pb::{
    HostUpdateRequest, HostUpdateResponse, HostUpdateStatusRequest, HostUpdateStatusResponse, host_server,
};
use tonic::{Request, Response, Status};

use super::Updates;
use crate::grant::{self, CoreClock};

/// The service, for one link.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// What it serves.
    pub(crate) updates: Arc<Updates>,
    /// The clock that grants are judged by.
    pub(crate) clock: CoreClock,
}

#[tonic::async_trait]
impl host_server::Host for Host {
    async fn update_status(
        &self,
        request: Request<HostUpdateStatusRequest>,
    ) -> Result<Response<HostUpdateStatusResponse>, Status> {
        grant::of_gateway(request.metadata(), self.clock)?;
        Ok(Response::new(HostUpdateStatusResponse { status: Some(self.updates.status()) }))
    }

    async fn update(
        &self,
        request: Request<HostUpdateRequest>,
    ) -> Result<Response<HostUpdateResponse>, Status> {
        let grant = grant::of_gateway(request.metadata(), self.clock)?;
        let request = request.into_inner();
        let status = self.updates.begin(&request.version, request.look_only)?;
        let (call, principal) = (grant.request_id.as_str(), grant.principal.as_str());
        tracing::info!(call, principal, look_only = request.look_only, "update");
        Ok(Response::new(HostUpdateResponse { status: Some(status) }))
    }
}
