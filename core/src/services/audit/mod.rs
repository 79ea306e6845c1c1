//! The audit, for those who may read it: all of it, or the rows of their machines.

mod export;
mod list;
mod view;
mod watch;

use std::{pin::Pin, sync::Arc};

use chatcode_audit::head::signer;
use chatcode_proto::{
    code::Refusal,
    limits,
    pb::{
        AuditExportRequest, AuditExportResponse, AuditFilter, AuditHead, AuditHeadRequest, AuditHeadResponse,
        AuditListRequest, AuditListResponse, AuditVerifyRequest, AuditVerifyResponse, AuditWatchRequest,
        AuditWatchResponse, Code, Permission, audit_server::Audit,
    },
};
use futures_util::Stream;
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Request, Response, Status};

use self::view::View;
use crate::{caller::CallInfo, shared::Shared};

/// `service Audit`.
#[derive(Clone, Debug)]
pub struct AuditService {
    shared: Arc<Shared>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl AuditService {
    /// The service over what the core shares.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// A place for one more export or watch.
    fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.shared.audit.streams).try_acquire_owned().map_err(|_| {
            let words =
                "too many read the audit at once; end another export or `--follow`, or try again later";
            Refusal::new(Code::Limit, words)
        })
    }
}

#[tonic::async_trait]
impl Audit for AuditService {
    type ExportStream = Answers<AuditExportResponse>;
    type WatchStream = Answers<AuditWatchResponse>;

    async fn list(&self, request: Request<AuditListRequest>) -> Result<Response<AuditListResponse>, Status> {
        let view = View::of(&CallInfo::of(&request)?, &self.shared);
        let AuditListRequest { before, limit, filter } = request.into_inner();
        let limit = match limit {
            0 => limits::AUDIT_ROWS,
            rows if rows <= limits::AUDIT_ROWS_MOST => rows,
            _ => {
                let words = format!("at most {} rows at once", limits::AUDIT_ROWS_MOST);
                return Err(Refusal::new(Code::Invalid, words).into());
            }
        };
        let filter = checked(filter)?;
        let page = list::page(&self.shared.store, &view, &filter, before, limit).await;
        Ok(Response::new(page.map_err(Refusal::from)?))
    }

    async fn export(
        &self,
        request: Request<AuditExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let view = View::of(&CallInfo::of(&request)?, &self.shared);
        let AuditExportRequest { from_number, filter } = request.into_inner();
        let filter = checked(filter)?;
        let place = self.place()?;
        let export = export::begin(Arc::clone(&self.shared), view, filter, from_number, place).await?;
        Ok(Response::new(Box::pin(export)))
    }

    async fn watch(
        &self,
        request: Request<AuditWatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let view = View::of(&CallInfo::of(&request)?, &self.shared);
        let AuditWatchRequest { filter, from_number } = request.into_inner();
        let filter = checked(filter)?;
        let place = self.place()?;
        let store = self.shared.store.clone();
        let watch = watch::begin(store, view, filter, from_number, place).await.map_err(Refusal::from)?;
        Ok(Response::new(Box::pin(watch)))
    }

    async fn head(&self, request: Request<AuditHeadRequest>) -> Result<Response<AuditHeadResponse>, Status> {
        whole(&CallInfo::of(&request)?)?;
        let (number, hash) = self.shared.store.audit_head().await.map_err(Refusal::from)?;
        Ok(Response::new(AuditHeadResponse { head: Some(self.shared.sign_head(number, &hash)?) }))
    }

    async fn verify(
        &self,
        request: Request<AuditVerifyRequest>,
    ) -> Result<Response<AuditVerifyResponse>, Status> {
        whole(&CallInfo::of(&request)?)?;
        let kept = request.into_inner().kept;
        self.trusted(&kept)?;
        let busy = |_| Refusal::new(Code::Limit, "the audit is checked just now; try again in a moment");
        let _one = self.shared.audit.check.try_acquire().map_err(busy)?;
        let (archived, _) = self.shared.store.audit_archived().await.map_err(Refusal::from)?;
        let answer = match self.shared.store.check_audit(&kept).await.map_err(Refusal::from)? {
            Ok(checker) => AuditVerifyResponse {
                first: checker.first(),
                last: checker.last(),
                head: Some(self.shared.sign_head(checker.last(), checker.hash())?),
                ..AuditVerifyResponse::default()
            },
            Err(fault) => {
                tracing::error!(row = fault.row(), %fault, "the audit is not as it was written");
                let (last, _) = self.shared.store.audit_head().await.map_err(Refusal::from)?;
                let (broken, reason) = (fault.row(), fault.to_string());
                AuditVerifyResponse { first: archived + 1, last, broken, reason, head: None }
            }
        };
        Ok(Response::new(answer))
    }
}

impl AuditService {
    /// Refuses heads that this core has not signed: they would prove nothing.
    fn trusted(&self, kept: &[AuditHead]) -> Result<(), Refusal> {
        if kept.len() > limits::AUDIT_HEADS {
            let words = format!("at most {} heads at once", limits::AUDIT_HEADS);
            return Err(Refusal::new(Code::Invalid, words));
        }
        let ours = self.shared.audit.key.public();
        for head in kept {
            let is_ours =
                head.installation == self.shared.installation() && signer(head).as_ref() == Some(&ours);
            if !is_ours {
                let words = format!(
                    "the head of row {} is not signed by this core's key of now; compare it by `chatcode audit verify`",
                    head.number
                );
                return Err(Refusal::new(Code::Invalid, words));
            }
        }
        Ok(())
    }
}

/// Refuses those who may read the rows of some machines only.
fn whole(info: &CallInfo) -> Result<(), Refusal> {
    if info.caller.may_everywhere(Permission::AuditRead) {
        return Ok(());
    }
    let words = "you may read the rows of your machines; this is for those who may read the whole audit";
    Err(Refusal::new(Code::Forbidden, words))
}

/// A filter whose words are within their bounds.
fn checked(filter: Option<AuditFilter>) -> Result<AuditFilter, Refusal> {
    let filter = filter.unwrap_or_default();
    for (what, text, most) in [
        ("principal", &filter.principal, limits::PRINCIPAL_BYTES),
        ("person", &filter.person, limits::AUDIT_ID_BYTES),
        ("action", &filter.action, limits::AUDIT_ACTION_BYTES),
        ("gateway", &filter.gateway, limits::AUDIT_ID_BYTES),
        ("session", &filter.session, limits::AUDIT_ID_BYTES),
        ("request id", &filter.request_id, limits::AUDIT_ID_BYTES),
        ("text", &filter.text, limits::MESSAGE_BYTES),
    ] {
        if text.len() > most {
            return Err(Refusal::new(
                Code::Invalid,
                format!("the {what} of a filter has at most {most} bytes"),
            ));
        }
    }
    Ok(filter)
}
