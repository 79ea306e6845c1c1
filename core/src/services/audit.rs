//! The audit, for those who may read it.

use std::sync::Arc;

use chatcode_proto::{
    code::Refusal,
    pb::{AuditListRequest, AuditListResponse, Code, audit_server::Audit},
};
use tonic::{Request, Response, Status};

use crate::shared::Shared;

/// Rows of an answer: unless asked otherwise, and at most.
const ROWS: (u32, u32) = (100, 1000);

/// `service Audit`.
#[derive(Clone, Debug)]
pub struct AuditService {
    shared: Arc<Shared>,
}

impl AuditService {
    /// The service over what the core shares.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[tonic::async_trait]
impl Audit for AuditService {
    async fn list(&self, request: Request<AuditListRequest>) -> Result<Response<AuditListResponse>, Status> {
        let AuditListRequest { before, limit } = request.into_inner();
        let (usual, most) = ROWS;
        let limit = match limit {
            0 => usual,
            rows if rows <= most => rows,
            _ => return Err(Refusal::new(Code::Invalid, format!("at most {most} rows at once")).into()),
        };
        let rows = self.shared.store.audit_rows(before, limit).await.map_err(Refusal::from)?;
        Ok(Response::new(AuditListResponse { rows }))
    }
}
