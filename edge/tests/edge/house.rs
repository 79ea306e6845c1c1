//! A stub core, an edge in front of it, and the folder of both.

use std::time::Duration;

use chatcode_certs::{Authority, Identity, MemberName, tls};
use chatcode_edge::{Config, Edge, IDENTITY_FOLDER};
use chatcode_proto::{id::MemberId, limits};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::stub::Core;

/// Ends a test that would hang; nothing waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Certificates of one installation, in a folder of the test's own.
pub(crate) struct Ground {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) core: Identity,
    pub(crate) edge: Identity,
}

impl Ground {
    pub(crate) fn new() -> Self {
        tls::install_provider();
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::open_or_create(&folder.path().join("ca")).expect("a CA");
        let identity = |name| authority.identity(&name, limits::EDGE_CERTIFICATE).expect("an identity");
        let core = identity(MemberName::Core(MemberId::from_random([1; 16])));
        let edge = identity(MemberName::Edge(MemberId::from_random([2; 16])));
        chatcode_certs::files::private_dir(folder.path().join("edge")).expect("a folder");
        edge.save(&folder.path().join("edge").join(IDENTITY_FOLDER)).expect("is saved");
        Self { folder, core, edge }
    }

    /// An edge of this ground before the core at `core`.
    pub(crate) fn config(&self, core: String) -> Config {
        Config {
            log: None,
            data_dir: self.folder.path().join("edge"),
            core: Some(core),
            listen: ([127, 0, 0, 1], 0).into(),
            origin: None,
            tls_cert: None,
            tls_key: None,
            release_dir: None,
            public_certificate: false,
            core_for_gateways: None,
            trusted_proxies: Vec::new(),
            sign_in_per_minute: limits::SIGN_IN_PER_ADDRESS_PER_MINUTE,
            metrics: None,
            metrics_token_file: None,
            otlp: None,
        }
    }
}

/// An edge that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) origin: String,
    pub(crate) authority: String,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: AbortOnDropHandle<()>,
}

pub(crate) async fn run(config: &Config) -> Running {
    let edge = Edge::build(config).await.expect("an edge");
    let stop = CancellationToken::new();
    let (origin, authority) = (edge.origin().to_string(), edge.origin().authority().to_owned());
    let address = edge.address();
    let serving = AbortOnDropHandle::new(tokio::spawn(edge.run(stop.clone())));
    Running { origin, authority, address, stop, serving }
}

/// The usual house: one core, one edge.
pub(crate) struct House {
    pub(crate) ground: Ground,
    pub(crate) core: Core,
    pub(crate) edge: Running,
}

impl House {
    pub(crate) async fn new() -> Self {
        let ground = Ground::new();
        let core = Core::start(&ground.core, "127.0.0.1:0").await;
        let edge = run(&ground.config(core.address.to_string())).await;
        Self { ground, core, edge }
    }

    /// The name of the session cookie.
    pub(crate) fn cookie_name(&self) -> String {
        format!("__Host-chatcode-{}", self.ground.edge.trust_domain().installation())
    }

    /// The cookie of a signed-in person.
    pub(crate) fn cookie(&self) -> String {
        format!("{}={}", self.cookie_name(), self.core.seen.token)
    }

    /// The cookie of a sign-in that has begun in this way.
    pub(crate) fn challenge(&self, way: &str) -> String {
        format!("{}-{way}={}", self.cookie_name(), self.core.seen.challenge)
    }
}

/// Waits for what must come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("comes in time")
}

/// The number that `count` has when it has stopped to grow: above zero and the
/// same for half a second.
pub(crate) async fn eventually_still(count: impl Fn() -> usize) -> usize {
    soon(async {
        let (mut last, mut same) = (0, 0);
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while same < 10 {
            tick.tick().await;
            let now = count();
            same = if now > 0 && now == last { same + 1 } else { 0 };
            last = now;
        }
        last
    })
    .await
}
