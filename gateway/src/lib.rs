//! The gateway: the daemon on a user's machine. It dials the core, serves the
//! machine's services on that link, and looks after one holder per session.
//! It trusts the core for who may call, and for nothing else; its key and its
//! addresses never reach a shell.
//!
//! - [`config`], [`enroll`], [`leave`]: what it is told; how it gets its identity,
//!   and how it takes its leave.
//! - [`state`]: what it tells other programs of this machine.
//! - `link`: the link, kept for ever; `serve`: the services on it.
//! - `meters`: what is counted; `observe`: what is shown to those who run it.
//! - `grant`: what a caller may do, judged here.
//! - `sessions`, `terminal`: the services; `tmux`: the machine's own sessions.
//! - `shell`: user, environment and order of a shell; `keeping`: where its
//!   holder lives; [`update`]: new versions of the programs; `spawn`, `holder_client`: the only two ways to a holder.

pub mod config;
pub mod enroll;
mod grant;
mod holder_client;
mod host;
mod keeping;
mod last_screen;
pub mod leave;
mod link;
mod lock;
mod meters;
mod observe;
mod serve;
mod sessions;
mod shell;
mod spawn;
pub mod state;
mod terminal;
mod tmux;
pub mod update;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, RwLock},
};

use chatcode_certs::{
    Identity, IdentityError, MachineKey, MemberName,
    files::{self, FilesError},
    tls,
};
use chatcode_link::{
    Target,
    enroll::{CoreAddress, CoreAddressError},
};
use chatcode_process::observe::{ObserveError, Observer, settings};
use chatcode_proto::id::GatewayId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use crate::{
    config::{Config, ConfigError},
    keeping::{Holders, KeepingError, SessionLimits},
    link::Revoked,
    lock::LockError,
    state::StateError,
};
use crate::{
    keeping::{Keeping, Surroundings},
    link::{DialError, Keeper, Me},
    lock::DataLock,
    sessions::{Registry, Sizes, Starter},
    shell::user::User,
    state::{State, Teller},
    update::{Handover, Updates},
};

/// The daemon could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Holders cannot be started as the settings say.
    #[error(transparent)]
    Keeping(#[from] KeepingError),
    /// Another daemon runs.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file or folder cannot be used, or others may look into it.
    #[error("a file of the gateway cannot be used")]
    Files(#[from] FilesError),
    /// An identity that was half replaced could not be put back.
    #[error("the folder of the identity could not be put in its place")]
    Place(#[from] io::Error),
    /// The machine is not enrolled.
    #[error("the machine is not enrolled: {0} holds no identity; run chatcode-gateway enroll first")]
    NotEnrolled(PathBuf),
    /// The identity is not a gateway's.
    #[error("the identity in {0} is not a gateway's; enroll with a token for a gateway")]
    NotAGateway(PathBuf),
    /// The identity cannot be used.
    #[error("the gateway's identity cannot be used")]
    Identity(#[from] IdentityError),
    /// The core's address is not known.
    #[error("the core's address is not known; name it with --link, or enroll anew")]
    NoAddress,
    /// The core's address cannot be read.
    #[error("the core's address cannot be read")]
    Address(#[from] CoreAddressError),
    /// The core cannot be dialled at all.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// It cannot be observed as the settings say.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The daemon's state cannot be told.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The daemon stopped for a reason.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It was revoked.
    #[error(transparent)]
    Revoked(#[from] Revoked),
    /// The sessions that are there could not be found.
    #[error("the folder of the sessions cannot be read")]
    Sessions(#[source] io::Error),
}

/// A daemon that does not dial yet. It holds the lock on its data folder.
#[derive(Debug)]
pub struct Gateway {
    id: GatewayId,
    registry: Arc<Registry>,
    keeper: Keeper,
    updates: Arc<Updates>,
    observer: Option<Observer>,
    state: watch::Receiver<State>,
    lock: DataLock,
}

/// Why a daemon ended that was not thrown out.
#[derive(Debug)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// A new version is ready to be tried; link and data folder are free for it.
    Update(Box<Handover>),
}

impl Gateway {
    /// Takes the data folder, reads identity and addresses. Must be called
    /// inside a tokio runtime.
    ///
    /// # Errors
    /// [`BuildError`]; files that others may read are refused.
    pub fn build(config: &Config) -> Result<Self, BuildError> {
        tls::install_provider();
        let places = config.places()?;
        let home = config.identity_dir();
        // Before anything is made.
        if !home.exists() && !enroll::can_be_mended(&home) {
            return Err(BuildError::NotEnrolled(home));
        }
        files::private_dir(&places.data)?;
        let mut lock = DataLock::take(&places.data)?;
        let signed = lock.sign().map_err(|source| LockError::Io { path: places.data.join("lock"), source });
        signed?;
        enroll::mend(&home)?;
        let identity = Identity::load(&home)?.ok_or_else(|| BuildError::NotEnrolled(home.clone()))?;
        let MemberName::Gateway(id) = *identity.name() else { return Err(BuildError::NotAGateway(home)) };
        let address = CoreAddress::load(&home)?;
        let proxy = config.proxy()?;
        let link = config.link.clone().or_else(|| address.as_ref().map(|address| address.link.clone()));
        let me = Me {
            identity,
            machine: MachineKey::load(&home)?,
            home,
            link: link.ok_or(BuildError::NoAddress)?,
            core: address.map(|address| Target::from(&address.grpc).by(proxy)),
        };
        let own = User::current();
        let keeping = Keeping::choose(config, &Surroundings::of_this_process(&own.name))?;
        keeping.make_sessions(&places.sessions)?;
        let user = keeping.spawner().map_or(own, |spawner| spawner.user().clone());
        let starter = Starter { user: user.clone(), keeping, sizes: RwLock::new(Sizes::from(config)) };
        let token_file = config.metrics_token_file.as_deref();
        let observer = settings::observer::<_, BuildError>(config.metrics, token_file, |file| {
            files::read_private(file)
        })?;
        let teller = Teller::begin(&places.data, id.to_string(), me.link.clone())?;
        for (_, error) in config.update.lacks() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "no release can be taken until this is mended"
            );
        }
        let updates = Updates::new(config.update.clone(), places.data.clone());
        let registry = Registry::new(places, starter);
        let state = teller.seen();
        observe::show(&registry, &state);
        let serves = link::Serves { registry: Arc::clone(&registry), updates: Arc::clone(&updates), user };
        let keeper = Keeper::new(me, id.into(), serves, teller)?;
        Ok(Self { id: id.into(), registry, keeper, updates, observer, state, lock })
    }

    /// Where its metrics are read, if they are.
    #[must_use]
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.observer.as_ref().map(Observer::address)
    }

    /// The gateway's id.
    #[must_use]
    pub const fn id(&self) -> GatewayId {
        self.id
    }

    /// What takes over settings while the daemon runs.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        Reloader { registry: Arc::clone(&self.registry), updates: Arc::clone(&self.updates) }
    }

    /// Takes on the sessions that are there, then keeps the link until `stop`;
    /// or until a new version is ready; `welcomed` is called at the first Welcome.
    /// Holders live on.
    ///
    /// # Errors
    /// [`RunError`].
    pub async fn run(
        self,
        stop: CancellationToken,
        welcomed: impl FnOnce(GatewayId),
    ) -> Result<Ended, RunError> {
        let Self { registry, keeper, updates, observer, state, lock, .. } = self;
        registry.adopt().await.map_err(RunError::Sessions)?;
        let leaving = stop.child_token();
        let mut next = None;
        let ended = {
            let observed = async {
                if let Some(observer) = observer {
                    let meters = registry.meters.all.clone();
                    observer.serve(meters, move || observe::ready(&state)).await;
                }
                std::future::pending().await
            };
            let mut keeping = std::pin::pin!(async {
                tokio::select! {
                    ended = keeper.run(leaving.clone(), welcomed) => ended,
                    never = observed => never,
                }
            });
            tokio::select! {
                ended = &mut keeping => ended,
                version = updates.next() => {
                    next = Some(version);
                    leaving.cancel();
                    keeping.await
                }
            }
        };
        registry.close().await;
        drop(lock);
        ended?;
        Ok(next
            .filter(|_| !stop.is_cancelled())
            .map_or(Ended::Stopped, |version| Ended::Update(Box::new(Handover::new(&updates, version)))))
    }
}

/// Takes over settings while a daemon runs.
#[derive(Debug)]
pub struct Reloader {
    registry: Arc<Registry>,
    updates: Arc<Updates>,
}

impl Reloader {
    /// Takes over what a reload can ([`Config`] lists it): for sessions that begin from
    /// now on, and for updates.
    pub fn reload(&self, config: &Config) {
        self.registry.reload(Sizes::from(config));
        self.updates.reload(config.update.clone());
    }
}
