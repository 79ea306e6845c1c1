//! Operating the installation: how the core is, and sending machines away for
//! a while.

use std::sync::Arc;

use chatcode_proto::{
    limits,
    pb::{
        AdminDrainRequest, AdminDrainResponse, AdminStatusRequest, AdminStatusResponse, admin_server::Admin,
    },
};
use tonic::{Request, Response, Status};

use crate::{
    clock,
    fleet::registry::Order,
    shared::{Shared, VERSION},
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
        Ok(Response::new(AdminStatusResponse {
            version: VERSION.to_owned(),
            started_unix_ms: self.shared.started_unix_ms,
            links: count(self.shared.links.all().len()),
            calls: self.shared.calls.now(),
            installation: self.shared.installation().to_owned(),
        }))
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
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
