//! The machine's sessions, and the service `Sessions` that a core calls on its
//! link.

mod fate;
#[cfg(target_os = "linux")]
mod kill;
mod record;
mod registry;
mod restart;
mod start;
mod table;
pub(crate) mod watch;

/// Where nothing proves which process a holder is.
#[cfg(not(target_os = "linux"))]
mod kill {
    use std::{future, io, sync::Arc};

    use chatcode_proto::{
        code::Refusal,
        pb::{Code, HolderRecord},
    };

    #[derive(Debug)]
    pub(super) struct Proof;

    impl Proof {
        pub(super) fn of(_: &tokio::net::UnixStream, _: u32) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    pub(super) fn kill(
        _: Option<Arc<Proof>>,
        _: Option<&HolderRecord>,
    ) -> future::Ready<Result<(), Refusal>> {
        let words =
            "this system does not prove which process the holder is; end that chatcode-holder by hand";
        future::ready(Err(Refusal::new(Code::HolderUnreachable, words)))
    }
}

use std::{pin::Pin, sync::Arc};

use chatcode_proto::pb::{
    self, SessionsCreateRequest, SessionsCreateResponse, SessionsEndRequest, SessionsEndResponse,
    SessionsGetRequest, SessionsGetResponse, SessionsListRequest, SessionsListResponse,
    SessionsListTmuxRequest, SessionsListTmuxResponse, SessionsRenameRequest, SessionsRenameResponse,
    SessionsWatchRequest, SessionsWatchResponse, sessions_server,
};
use futures_util::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{
    grant::{self, CoreClock},
    shell::{order, user::User},
    tmux,
};

pub(crate) use self::{
    registry::Registry,
    start::{Sizes, Starter},
};

/// The service, for one link.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    /// What it serves.
    pub(crate) registry: Arc<Registry>,
    /// Whose shells are started.
    pub(crate) user: User,
    /// The clock that grants are judged by.
    pub(crate) clock: CoreClock,
    /// Cancelled when the link is being left.
    pub(crate) draining: CancellationToken,
}

/// Notes who did what; `what` is one word.
fn note(what: &'static str, grant: &pb::Grant, session: &str) {
    let (call, principal) = (grant.request_id.as_str(), grant.principal.as_str());
    tracing::info!(call, principal, session, "{what}");
}

#[tonic::async_trait]
impl sessions_server::Sessions for Sessions {
    async fn create(
        &self,
        request: Request<SessionsCreateRequest>,
    ) -> Result<Response<SessionsCreateResponse>, Status> {
        let grant = grant::of_gateway(request.metadata(), self.clock)?;
        let order = order::check(request.into_inner(), &self.user)?;
        let session = self.registry.create(order).await?;
        note("create", &grant, &session.id);
        Ok(Response::new(SessionsCreateResponse { session: Some(session) }))
    }

    async fn list(
        &self,
        request: Request<SessionsListRequest>,
    ) -> Result<Response<SessionsListResponse>, Status> {
        grant::of_gateway(request.metadata(), self.clock)?;
        Ok(Response::new(SessionsListResponse { sessions: self.registry.list() }))
    }

    async fn list_tmux(
        &self,
        request: Request<SessionsListTmuxRequest>,
    ) -> Result<Response<SessionsListTmuxResponse>, Status> {
        grant::of_gateway(request.metadata(), self.clock)?;
        Ok(Response::new(SessionsListTmuxResponse { sessions: tmux::sessions(&self.user).await }))
    }

    async fn get(
        &self,
        request: Request<SessionsGetRequest>,
    ) -> Result<Response<SessionsGetResponse>, Status> {
        let (id, _) = grant::of_session(request.metadata(), self.clock)?;
        Ok(Response::new(SessionsGetResponse { session: Some(self.registry.get(&id)?) }))
    }

    async fn rename(
        &self,
        request: Request<SessionsRenameRequest>,
    ) -> Result<Response<SessionsRenameResponse>, Status> {
        let (id, grant) = grant::of_session(request.metadata(), self.clock)?;
        let name = request.into_inner().name;
        order::check_name(&name)?;
        let session = self.registry.rename(id, name).await?;
        note("rename", &grant, &session.id);
        Ok(Response::new(SessionsRenameResponse { session: Some(session) }))
    }

    async fn end(
        &self,
        request: Request<SessionsEndRequest>,
    ) -> Result<Response<SessionsEndResponse>, Status> {
        let (id, grant) = grant::of_session(request.metadata(), self.clock)?;
        let session = self.registry.end(id, request.into_inner().force).await?;
        note("end", &grant, &id.to_string());
        Ok(Response::new(SessionsEndResponse { session }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<SessionsWatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<SessionsWatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        grant::of_gateway(request.metadata(), self.clock)?;
        let events = watch::watch(Arc::clone(&self.registry), self.draining.clone());
        Ok(Response::new(Box::pin(events)))
    }
}
