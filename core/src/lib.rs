//! The core: where edges, programs and gateways meet. It knows who may do
//! what, keeps the links, and passes calls on; it never looks into a
//! terminal's bytes and keeps none of them.
//!
//! Its rooms, from the top; each uses only rooms further down:
//!
//! - [`observe`]: what is shown to those who run it.
//! - [`links`]: the way of a gateway in, by [`listener`]'s look at who it is.
//! - [`listener`]: the way of a call in, to the gate.
//! - [`gate`]: who may do what; then to a service or by the pass-through.
//! - [`services`]: what the core answers itself; [`pass`]: a call on to a machine.
//! - [`upkeep`]: what keeps the CA and the core's own certificate young.
//! - [`shared`]: what outlives a call; [`cut`]: what ends one early.
//! - [`judge`]: whether a caller may do something to a machine.
//! - [`backup`]: all that is kept, sealed in one file; [`check`]: whether a core can start
//!   with its settings.
//! - [`caller`]: who calls; [`fleet`]: what is known of machines.
//! - [`store`]: all that is kept; [`room`]: places for those who are unknown;
//!   [`sign_in`]: what proves who somebody is.
//! - [`people`]: the rules of roles and places, and nothing else.
//! - [`clock`], [`config`], [`meters`], [`rate`], [`target`], `lock`: these use no other room.

pub mod backup;
pub mod caller;
pub mod check;
pub mod clock;
pub mod config;
pub mod cut;
pub mod fleet;
pub mod gate;
pub mod judge;
pub mod links;
pub mod listener;
mod lock;
pub mod meters;
pub mod observe;
pub mod pass;
pub mod people;
pub mod rate;
pub mod room;
pub mod services;
pub mod shared;
pub mod sign_in;
pub mod store;
pub mod target;
pub mod upkeep;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chatcode_certs::{
    AuditKey, Authority, AuthorityError, CaOptions, Identity, IdentityCell, IdentityError, MemberName,
    Passphrase, SealError,
    files::{self, FilesError},
    random, tls,
};
use chatcode_link::{LinkKeys, LinkKeysError};
use chatcode_process::observe::{ObserveError, Observer, settings};
use chatcode_proto::{
    DESCRIPTORS,
    id::MemberId,
    limits,
    pb::{
        CaPart, CaUse, accounts_server::AccountsServer, admin_server::AdminServer, audit_server::AuditServer,
        devices_server::DevicesServer, enrollment_server::EnrollmentServer, fleet_server::FleetServer,
        identities_server::IdentitiesServer, people_server::PeopleServer, shares_server::SharesServer,
    },
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::{
    caller::directory::Directory,
    config::Config,
    fleet::{hub::Hub, registry::Order},
    gate::Gate,
    links::Links,
    listener::GrpcListener,
    lock::DataLock,
    services::{
        accounts::AccountsService,
        admin::AdminService,
        approval,
        audit::AuditService,
        devices::DevicesService,
        enrollment::EnrollmentService,
        fleet::FleetService,
        identities::IdentitiesService,
        people::PeopleService,
        shares::{self, SharesService},
    },
    shared::{Parts, Shared},
    sign_in::{SetupError, SignIn},
    store::{Store, StoreError},
};

/// The core could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file or folder cannot be used, or others may look into it.
    #[error("a file of the core cannot be used")]
    Files(#[from] FilesError),
    /// Another core runs on the folder.
    #[error("another chatcode-core runs on {0}; stop it first, or choose another --data-dir")]
    Taken(PathBuf),
    /// The folder's lock cannot be used.
    #[error("the lock in {folder} cannot be used")]
    Lock {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No core was ever started on the folder.
    #[error("{0} is no folder of a core; name that of `chatcode-core run` with --data-dir")]
    NoCore(PathBuf),
    /// A setting is out of bounds.
    #[error("{key} is {seconds}, and may be {} to {} seconds", range.start(), range.end())]
    CertificateLife {
        /// Its name.
        key: &'static str,
        /// What it says.
        seconds: u64,
        /// What it may say.
        range: std::ops::RangeInclusive<u64>,
    },
    /// The setting `audit_keep_days` is out of bounds.
    #[error("audit_keep_days is {days}, and may be {} to {}, or 0 for ever", range.start(), range.end())]
    KeepDays {
        /// What it says.
        days: u32,
        /// What it may say.
        range: std::ops::RangeInclusive<u32>,
    },
    /// The passphrase of the CA's keys cannot be had.
    #[error("the passphrase of the CA's keys cannot be used")]
    Passphrase(#[from] SealError),
    /// The settings of signing in cannot be used.
    #[error(transparent)]
    SignIn(#[from] SetupError),
    /// No TLS can be made of the core's own certificate.
    #[error("the core's own certificate cannot be used")]
    Tls(#[from] tls::TlsError),
    /// The CA cannot be used.
    #[error("the CA cannot be used")]
    Authority(#[from] AuthorityError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key or certificate of the core's own cannot be kept.
    #[error("a key or certificate of the core's own cannot be used")]
    Identity(#[from] IdentityError),
    /// The keys of the links cannot be used.
    #[error("the keys of the links cannot be used")]
    LinkKeys(#[from] LinkKeysError),
    /// It cannot be observed as the settings say.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// An address cannot be had.
    #[error("cannot listen at {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The schema makes no reflection service: a fault of the build.
    #[error("the schema in this program is broken")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Where a core listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// gRPC, TCP.
    pub grpc: SocketAddr,
    /// Links, UDP.
    pub link: SocketAddr,
    /// Metrics, TCP.
    pub metrics: Option<SocketAddr>,
    /// Names the installation: 8 lower-case hex digits.
    pub installation: String,
}

/// A core that listens and does not serve yet.
#[derive(Debug)]
pub struct Core {
    shared: Arc<Shared>,
    listener: GrpcListener,
    links: Links,
    gate: Gate,
    observer: Option<Observer>,
    bound: Bound,
    lock: DataLock,
}

impl Core {
    /// Takes the folder for itself, opens what is kept (the first start makes
    /// CA, store and owner), and listens. Calls wait until [`Core::run`].
    ///
    /// # Errors
    /// [`BuildError`]; a folder that another core has and files that others may
    /// read are refused.
    pub async fn build(config: Config) -> Result<Self, BuildError> {
        tls::install_provider();
        for (key, seconds, range) in config.lives() {
            if !range.contains(&seconds) {
                return Err(BuildError::CertificateLife { key, seconds, range });
            }
        }
        let sign_in = SignIn::new(&config.sign_in)?;
        if config.audit_keep_days != 0 && !limits::AUDIT_KEEP_DAYS.contains(&config.audit_keep_days) {
            let (days, range) = (config.audit_keep_days, limits::AUDIT_KEEP_DAYS);
            return Err(BuildError::KeepDays { days, range });
        }
        files::private_dir(&config.data_dir)?;
        let lock = take(&config.data_dir)?;
        let options = CaOptions {
            passphrase: passphrase(&config)?,
            intermediate_life: Duration::from_secs(config.intermediate_s),
        };
        let authority = Authority::open_or_create_with(&config.data_dir.join("ca"), options)?;
        let store = open_store(&config.data_dir, &authority).await?;
        adopt(&store, &authority).await?;
        store.owner(&MemberId::from_random(random::bytes()).to_string()).await?;
        let own = own_identity(&authority, &config)?;
        let keys = LinkKeys::open_or_create(&config.data_dir.join("link.keys"))?;
        let hub = Hub::new(store.gateways().await?, store.sessions().await?);
        let directory = Directory::load(&store).await?;
        let audit_key = audit_key(&store, &config.audit_folder()).await?;
        let parts = Parts { store, authority, own, hub, directory, sign_in, audit_key };
        let shared = Arc::new(Shared::new(&config, parts));
        for pending in shared.store.pending().await? {
            approval::show(&shared, pending);
        }

        let (listener, grpc) = listen_grpc(&shared, config.listen).await?;
        let (links, link) = listen_links(&shared, &keys, config.link).await?;
        shared.set_link_port(link.port());
        let gate = Gate::new(Arc::clone(&shared), routes(&shared).await?);
        let token_file = config.metrics_token_file.as_deref();
        let observer = settings::observer::<_, BuildError>(config.metrics, token_file, |file| {
            files::read_private(file)
        })?;
        let metrics = observer.as_ref().map(Observer::address);
        observe::show(&shared);
        let bound = Bound { grpc, link, metrics, installation: shared.installation().to_owned() };
        Ok(Self { shared, listener, links, gate, observer, bound, lock })
    }

    /// Where it listens.
    #[must_use]
    pub const fn bound(&self) -> &Bound {
        &self.bound
    }

    /// What its rooms share; for tests and tools in the same process.
    #[must_use]
    pub const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Serves until `stop`. Then no new call and link comes in, streaming calls
    /// are told to come back, gateways are sent away for a moment, and what is
    /// left after [`limits::SHUTDOWN`] is cut.
    pub async fn run(self, stop: CancellationToken) {
        let Self { shared, listener, links, gate, observer, bound: _, lock } = self;
        let cut = CancellationToken::new();
        let ending = async {
            stop.cancelled().await;
            tracing::info!("stopping");
            shared.stop.cancel();
            for live in shared.links.all() {
                live.order(Order::Drain { retry_after_ms: 0 });
            }
            tokio::time::sleep(limits::SHUTDOWN).await;
            cut.cancel();
            // The services below end by this; only they end the whole.
            std::future::pending::<()>().await;
        };
        let serving = async {
            let (of_links, over_tcp) = mpsc::channel(limits::CORE_READY);
            tokio::join!(
                listener.serve(gate, of_links, stop.clone(), cut.clone()),
                links.serve(over_tcp, stop.clone(), cut.clone())
            );
        };
        let observed = async {
            if let Some(observer) = observer {
                let of = Arc::clone(&shared);
                observer.serve(shared.meters.all.clone(), move || observe::ready(&of)).await;
            }
            std::future::pending().await
        };
        tokio::select! {
            () = serving => {}
            () = ending => {}
            () = Box::pin(observed) => {}
            () = Box::pin(shared.lives.judge(&shared.store, &shared.directory)) => {}
            () = upkeep::keep(&shared) => {}
            () = Box::pin(upkeep::archive(&shared)) => {}
            () = Box::pin(shared.sign_in.send_mails()) => {}
            () = Box::pin(shares::show_links(&shared)) => {}
        }
        shared.tasks.close();
        let _ = tokio::time::timeout(limits::SHUTDOWN, shared.tasks.wait()).await;
        shared.store.close().await;
        drop(lock);
    }
}

fn take(data_dir: &Path) -> Result<DataLock, BuildError> {
    let lock = DataLock::take(data_dir)
        .map_err(|source| BuildError::Lock { folder: data_dir.to_owned(), source })?;
    lock.ok_or_else(|| BuildError::Taken(data_dir.to_owned()))
}

/// Opens the CA and the store in the folder of a core that was started before,
/// also beside the running one.
///
/// # Errors
/// [`BuildError::NoCore`] where there is none, and the others.
pub async fn open_existing(data_dir: &Path) -> Result<(Store, Authority), BuildError> {
    if !data_dir.join("core.db").is_file() || !data_dir.join("ca").is_dir() {
        return Err(BuildError::NoCore(data_dir.to_owned()));
    }
    files::private_dir(data_dir)?;
    let authority = Authority::open_to_read(&data_dir.join("ca"))?;
    let store = open_store(data_dir, &authority).await?;
    Ok((store, authority))
}

/// Opens the store beside a CA; the first start makes it.
async fn open_store(data_dir: &Path, authority: &Authority) -> Result<Store, StoreError> {
    let store = Store::open(&data_dir.join("core.db")).await?;
    store.belongs_to(authority.trust_domain().installation()).await?;
    Ok(store)
}

/// Certificates of the time before rotations depend on the first root and
/// intermediate, which are in use then.
async fn adopt(store: &Store, authority: &Authority) -> Result<(), BuildError> {
    let certificates = authority.view()?.certificates;
    let active = |part| {
        let found = certificates.iter().find(|one| one.part == part && one.used == CaUse::Active);
        found.map_or([0; 32], |one| one.pin)
    };
    Ok(store.adopt_certificates(&active(CaPart::Intermediate), &active(CaPart::Root)).await?)
}

/// What the CA's keys are encrypted with: from the file of the settings, or the
/// credential that systemd gives.
///
/// # Errors
/// When the file cannot be used.
pub fn passphrase(config: &Config) -> Result<Option<Passphrase>, SealError> {
    let credential = std::env::var_os("CREDENTIALS_DIRECTORY")
        .map(|folder| PathBuf::from(folder).join(PASSPHRASE_CREDENTIAL))
        .filter(|file| file.exists());
    config.ca_passphrase_file.clone().or(credential).map(|file| Passphrase::read(&file)).transpose()
}

/// The name of the systemd credential.
const PASSPHRASE_CREDENTIAL: &str = "ca-passphrase";

/// The key that signs the audit's heads. That it is a new one is in the audit.
async fn audit_key(store: &Store, folder: &Path) -> Result<AuditKey, BuildError> {
    files::private_dir(folder)?;
    let (key, _) = AuditKey::open_or_create(&folder.join(AUDIT_KEY))?;
    store.note_audit_key(&key.public().pin()).await?;
    Ok(key)
}

/// The key that signs the audit's heads, in its folder.
pub const AUDIT_KEY: &str = "head.key";

/// The core's own certificate: a new key at every start, the same name.
fn own_identity(authority: &Authority, config: &Config) -> Result<Arc<IdentityCell>, BuildError> {
    let folder = config.own_folder();
    let name = match Identity::load(&folder)? {
        Some(before) => *before.name(),
        None => MemberName::Core(MemberId::from_random(random::bytes())),
    };
    let identity = authority.identity(&name, Duration::from_secs(config.core_certificate_s))?;
    identity.save(&folder)?;
    Ok(IdentityCell::new(identity)?)
}

async fn listen_grpc(
    shared: &Arc<Shared>,
    wanted: SocketAddr,
) -> Result<(GrpcListener, SocketAddr), BuildError> {
    let mut first = None;
    for address in addresses(shared, "grpc_port", wanted).await? {
        match GrpcListener::bind(address, Arc::clone(shared)).await {
            Ok(listener) => {
                let bound = listener.local_addr().map_err(|source| BuildError::Listen { address, source })?;
                shared.store.set_meta("grpc_port", &bound.port().to_string()).await?;
                return Ok((listener, bound));
            }
            Err(source) => first = Some(BuildError::Listen { address, source }),
        }
    }
    Err(first.unwrap_or_else(|| nowhere(wanted)))
}

async fn listen_links(
    shared: &Arc<Shared>,
    keys: &LinkKeys,
    wanted: SocketAddr,
) -> Result<(Links, SocketAddr), BuildError> {
    let mut first = None;
    for address in addresses(shared, "link_port", wanted).await? {
        match Links::bind(address, keys, Arc::clone(shared)) {
            Ok(links) => {
                let bound = links.local_addr().map_err(|source| BuildError::Listen { address, source })?;
                shared.store.set_meta("link_port", &bound.port().to_string()).await?;
                return Ok((links, bound));
            }
            Err(source) => first = Some(BuildError::Listen { address, source }),
        }
    }
    Err(first.unwrap_or_else(|| nowhere(wanted)))
}

/// Where to try to listen: with any port allowed, first that of the last run,
/// so that those who dial the core find it again after a restart.
async fn addresses(shared: &Shared, name: &str, wanted: SocketAddr) -> Result<Vec<SocketAddr>, StoreError> {
    if wanted.port() != 0 {
        return Ok(vec![wanted]);
    }
    let last = shared.store.meta(name).await?.and_then(|port| port.parse::<u16>().ok());
    let again = last.map(|port| SocketAddr::new(wanted.ip(), port));
    Ok(again.into_iter().chain([wanted]).collect())
}

fn nowhere(address: SocketAddr) -> BuildError {
    BuildError::Listen { address, source: io::ErrorKind::AddrNotAvailable.into() }
}

/// The services that the core answers by itself.
async fn routes(shared: &Arc<Shared>) -> Result<Routes, BuildError> {
    let accounts = AccountsServer::new(AccountsService::new(Arc::clone(shared)))
        .max_decoding_message_size(limits::UNARY_BYTES);
    let admin = AdminServer::new(AdminService::new(Arc::clone(shared)))
        .max_decoding_message_size(limits::UNARY_BYTES);
    let audit = AuditServer::new(AuditService::new(Arc::clone(shared)))
        .max_decoding_message_size(limits::UNARY_BYTES);
    let devices = DevicesServer::new(DevicesService::new(Arc::clone(shared)))
        .max_decoding_message_size(limits::UNARY_BYTES);
    let enrollment = EnrollmentServer::new(EnrollmentService::new(Arc::clone(shared)))
        .max_decoding_message_size(3 * limits::CSR_BYTES);
    let fleet = FleetServer::new(FleetService::new(Arc::clone(shared)))
        .max_decoding_message_size(limits::UNARY_BYTES);

    let identities = IdentitiesServer::new(IdentitiesService::new(Arc::clone(shared)))
        .max_decoding_message_size(limits::UNARY_BYTES);
    let people = PeopleServer::new(PeopleService::new(Arc::clone(shared)))
        .max_decoding_message_size(limits::UNARY_BYTES);

    let shares = SharesServer::new(SharesService::new(Arc::clone(shared)))
        .max_decoding_message_size(limits::UNARY_BYTES);

    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let reflection =
        || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
    Ok(Routes::new(accounts)
        .add_service(admin)
        .add_service(audit)
        .add_service(devices)
        .add_service(enrollment)
        .add_service(fleet)
        .add_service(identities)
        .add_service(people)
        .add_service(shares)
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}
