//! A core in this process with real TLS and QUIC on any port, and those who
//! talk to it.

use std::{path::Path, sync::Arc, time::Duration};

use chatcode_certs::{Identity, JoinToken, tls};
use chatcode_core::{
    Bound, Core,
    config::Config,
    services::tokens::{TokenWish, create_token},
    shared::Shared,
    store::audit::Entry,
};
use chatcode_link::{enroll, tcp};
use chatcode_proto::{
    code::Refusal,
    limits, metadata,
    pb::{
        AccountsCreateSignInRequest, AccountsSignInRequest, AuditRow, Code, MemberKind,
        accounts_client::AccountsClient, accounts_sign_in_request::Proof, admin_client::AdminClient,
        fleet_client::FleetClient,
    },
};
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, metadata::MetadataValue, transport::Channel};

pub(crate) const ORIGIN: &str = "http://localhost:4000";

pub(crate) struct TestCore {
    pub(crate) folder: TempDir,
    pub(crate) bound: Bound,
    pub(crate) shared: Arc<Shared>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl TestCore {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn start_in(folder: TempDir) -> Self {
        let config = config(folder.path());
        Self::start_as(folder, config).await
    }

    pub(crate) async fn start_as(folder: TempDir, config: Config) -> Self {
        let core = Core::build(config).await.unwrap();
        let (bound, shared, stop) = (core.bound().clone(), core.shared().clone(), CancellationToken::new());
        let running = tokio::spawn(core.run(stop.clone()));
        Self { folder, bound, shared, stop, running }
    }

    /// Stops it gracefully, and gives back what it kept.
    pub(crate) async fn stop(self) -> TempDir {
        self.stop.cancel();
        self.running.await.unwrap();
        self.folder
    }

    pub(crate) async fn token(&self, kind: MemberKind) -> JoinToken {
        let wish = TokenWish { kind, ..TokenWish::default() };
        let act = Entry::new("test", "token.created");
        create_token(&self.shared.store, &self.shared.authority, &wish, &act).await.unwrap().0
    }

    pub(crate) async fn enroll(&self, kind: MemberKind, name: &str) -> Identity {
        let token = self.token(kind).await;
        enroll::enroll(&self.bound.grpc.to_string(), &token, name, None).await.unwrap().0
    }

    /// A connection of its own with this identity.
    pub(crate) fn channel(&self, identity: &Identity) -> Channel {
        let tls = tls::core_client(identity, &[tls::H2_ALPN]).unwrap();
        tcp::channel(&self.bound.grpc.to_string(), tls, &identity.trust_domain().core_dns())
    }

    /// A connection without a certificate.
    pub(crate) fn anonymous(&self) -> Channel {
        let tls = tls::pinned_client(self.shared.authority.root_pin());
        tcp::channel(&self.bound.grpc.to_string(), tls, tls::UNKNOWN_CORE)
    }

    pub(crate) async fn admin(&self) -> Channel {
        self.channel(&self.enroll(MemberKind::Admin, "operator").await)
    }

    /// An edge through which a person has signed in.
    pub(crate) async fn page(&self) -> Page {
        let edge = self.channel(&self.enroll(MemberKind::Edge, "edge").await);
        let secret = AccountsClient::new(self.admin().await)
            .create_sign_in(AccountsCreateSignInRequest::default())
            .await
            .unwrap()
            .into_inner()
            .secret;
        let answer = AccountsClient::new(edge.clone())
            .sign_in(AccountsSignInRequest { proof: Some(Proof::Secret(secret)), ..Default::default() })
            .await
            .unwrap()
            .into_inner();
        Page { edge, token: answer.session_token }
    }

    /// The newest rows of the audit, newest first.
    pub(crate) async fn audit(&self) -> Vec<AuditRow> {
        self.shared.store.audit_rows(0, 1000).await.unwrap()
    }

    /// A connection of its own to the store.
    pub(crate) async fn store(&self) -> SqliteConnection {
        let file = self.folder.path().join("core/core.db");
        SqliteConnection::connect(file.to_str().unwrap()).await.unwrap()
    }

    /// Makes the last proof of everybody who they are too old for dangerous acts.
    pub(crate) async fn age_proofs(&self) {
        let older = i64::try_from(limits::STEP_UP.as_millis()).unwrap() + 1000;
        let age = sqlx::query("UPDATE person_sessions SET proven_ms = proven_ms - $1").bind(older);
        age.execute(&mut self.store().await).await.unwrap();
    }

    /// Waits for a row of the audit.
    pub(crate) async fn audited(&self, what: impl Fn(&AuditRow) -> bool) -> AuditRow {
        eventually("the row is in the audit", async || self.audit().await.into_iter().find(&what)).await
    }
}

/// Asks again and again until there is an answer; fails after a while.
pub(crate) async fn eventually<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    let asking = async {
        loop {
            looks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.unwrap_or_else(|_| panic!("never: {what}"))
}

pub(crate) fn config(folder: &Path) -> Config {
    // All of a test's members come from one address.
    Config {
        enroll_per_minute: 100_000,
        enroll_whole_per_minute: 100_000,
        short_lives: true,
        ..Config::new(folder.join("core"))
    }
}

/// A person at a page behind an edge.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) edge: Channel,
    pub(crate) token: String,
}

impl Page {
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        authorize(&mut request, &format!("Bearer {}", self.token));
        request
    }

    pub(crate) fn accounts(&self) -> AccountsClient<Channel> {
        AccountsClient::new(self.edge.clone())
    }

    pub(crate) fn fleet(&self) -> FleetClient<Channel> {
        FleetClient::new(self.edge.clone())
    }
}

/// Adds a credential, and the page's origin as an edge does.
pub(crate) fn authorize<T>(request: &mut Request<T>, credential: &str) {
    request.metadata_mut().insert("authorization", credential.parse().unwrap());
    request.metadata_mut().insert("origin", MetadataValue::from_static(ORIGIN));
}

/// Names the target of a call.
pub(crate) fn aim<T>(request: &mut Request<T>, gateway: &str, session: &str) {
    request.metadata_mut().insert(metadata::GATEWAY, gateway.parse().unwrap());
    if !session.is_empty() {
        request.metadata_mut().insert(metadata::SESSION, session.parse().unwrap());
    }
}

pub(crate) fn aimed<T>(message: T, gateway: &str, session: &str) -> Request<T> {
    let mut request = Request::new(message);
    aim(&mut request, gateway, session);
    request
}

pub(crate) fn code(status: &Status) -> Code {
    assert!(status.metadata().contains_key(metadata::CODE), "names its code: {status:?}");
    Refusal::from(status).code
}

pub(crate) fn fleet(channel: &Channel) -> FleetClient<Channel> {
    FleetClient::new(channel.clone())
}

pub(crate) fn operator(channel: &Channel) -> AdminClient<Channel> {
    AdminClient::new(channel.clone())
}
