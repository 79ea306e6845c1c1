//! The edge: what browsers talk to. It shows the page, and turns WebSockets
//! and gRPC-Web into gRPC to the core under its own certificate, on behalf of
//! whom the browser's cookie or ticket names. It keeps nothing, decides nothing
//! about rights, and opens no message of a terminal; run as many as you like.
//!
//! Its rooms, from the top; each uses only rooms further down:
//!
//! - `observe`: what is shown to those who run it.
//! - `router`: what is answered, and what every request passes.
//! - `share`: guests coming in; `grpc_web`: unary calls; `socket`: a streaming call.
//! - `account`: signing in and out.
//! - `app`: what they share.
//! - `page`: the files of the page; `release`: the files that a new machine
//!   installs.
//! - [`config`]: what an edge is told; `credentials`: its certificate, renewed and
//!   brought back; `refuse`: how a cause is told to a browser;
//!   `listener`: connections of browsers.
//! - [`admit`]: which requests may be from our page; `cookie`: the session token;
//!   `forwarded`: where a request comes from; `tries`: how often somebody may sign in; `sockets`: how many are open;
//!   `upstream`: the way to the core; `body`: what a request brings; `meters`: what is counted.

mod account;
pub mod admit;
mod app;
mod body;
pub mod config;
mod cookie;
mod credentials;
mod forwarded;
mod grpc_web;
mod listener;
mod meters;
mod observe;
mod page;
mod refuse;
mod release;
mod router;
mod share;
mod socket;
mod sockets;
mod tries;
mod upstream;

use std::{fmt, io, net::SocketAddr, sync::Arc};

use chatcode_certs::{
    Identity, IdentityCell, IdentityError, MachineKey,
    files::{self, FilesError},
    tls,
};
use chatcode_link::enroll::{CoreAddress, CoreAddressError};
use chatcode_process::observe::{ObserveError, Observer, settings};
use chatcode_proto::limits;
use tokio::{net::TcpListener, sync::watch, time::timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use crate::config::Config;
use crate::{
    admit::{Admission, Origin},
    app::{App, Live},
    config::UnfitConfig,
    credentials::Credentials,
    meters::EdgeMeters,
    release::Releases,
    sockets::Sockets,
    tries::Tries,
    upstream::Upstream,
};

/// Why an edge did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration does not make a safe edge.
    #[error(transparent)]
    Config(#[from] UnfitConfig),
    /// There is no certificate yet.
    #[error("this edge is not enrolled; run `chatcode-edge enroll --core HOST:PORT` with a join token first")]
    NotEnrolled,
    /// The certificate cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The core's address cannot be read.
    #[error(transparent)]
    CoreAddress(#[from] CoreAddressError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// The metrics token cannot be read.
    #[error("a file of the edge cannot be used")]
    Files(#[from] FilesError),
    /// It cannot be observed as the settings say.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// A reload cannot begin or end TLS: the page has one origin.
    #[error("whether the edge speaks TLS itself is settled at its start; restart it to change that")]
    TlsSettled,
    /// The address is taken or not of this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// An edge that listens and does not serve yet.
pub struct Edge {
    listener: TcpListener,
    address: SocketAddr,
    reloader: Reloader,
    credentials: Credentials,
    observer: Option<Observer>,
    drain: CancellationToken,
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Edge {
    /// Reads the certificate, binds the port. Connections wait in the kernel
    /// until [`Edge::run`].
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn build(config: &Config) -> Result<Self, StartError> {
        tls::install_provider();
        let (acceptor, pin) = browser_tls(config)?;
        let folder = config.data_dir.join(IDENTITY_FOLDER);
        let identity = Identity::load(&folder)?.ok_or(StartError::NotEnrolled)?;
        let core = match &config.core {
            Some(core) => core.clone(),
            None => CoreAddress::load(&folder)?.ok_or(StartError::NotEnrolled)?.grpc,
        };
        let bind = async {
            let listener = TcpListener::bind(config.listen).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) =
            bind.await.map_err(|source| StartError::Listen { address: config.listen, source })?;
        let admission = Admission::new(config.page_origin(address)?);
        let live = live(config, admission.origin(), &core, pin)?;
        let cell = IdentityCell::new(identity)?;
        let token_file = config.metrics_token_file.as_deref();
        let observer = settings::observer::<_, StartError>(config.metrics, token_file, |file| {
            files::read_private(file)
        })?;
        let meters = EdgeMeters::default();
        let upstream = Arc::new(Upstream::new(core.clone(), &cell, meters.clone())?);
        let machine = MachineKey::load(&folder)?;
        let credentials = Credentials::new(Arc::clone(&cell), machine, folder, core.clone());
        let drain = CancellationToken::new();
        let sockets = Sockets::new(limits::WEBSOCKETS, limits::WEBSOCKETS_REFUSED, drain.clone());
        let app = Arc::new(App::new(admission, live, upstream, cell, sockets, meters));
        observe::show(&app);
        let reloader = Reloader { app, tls: watch::Sender::new(acceptor), core };
        Ok(Self { listener, address, reloader, credentials, observer, drain })
    }

    /// The origin of the page.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.reloader.app.admission.origin()
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its metrics are read, if they are.
    #[must_use]
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.observer.as_ref().map(Observer::address)
    }

    /// What takes over settings while the edge serves.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Serves until `stop`, then tells every socket to come back later, lets
    /// requests end, and after [`limits::SHUTDOWN`] cuts what is left.
    pub async fn run(self, stop: CancellationToken) {
        let Self { listener, reloader, mut credentials, observer, drain, .. } = self;
        let Reloader { app, tls, .. } = reloader;
        let _cancels_all = drain.clone().drop_guard();
        let tls = (tls.subscribe(), app.meters.handshakes_failed.clone());
        let connections = listener::serve(listener, tls, router::router(app.clone()), drain.clone());
        let mut connections = std::pin::pin!(connections);
        let observed = async {
            if let Some(observer) = observer {
                let of = Arc::clone(&app);
                observer.serve(app.meters.all.clone(), move || observe::ready(&of)).await;
            }
            std::future::pending().await
        };
        let mut observed = std::pin::pin!(observed);
        tokio::select! {
            () = stop.cancelled() => {}
            () = app.upstream.watch(&stop) => {}
            () = credentials.keep() => {}
            () = connections.as_mut() => {}
            () = observed.as_mut() => {}
        }
        drain.cancel();
        let drained = async {
            tokio::join!(connections, app.sockets.closed());
        };
        // What stops is still asked whether it is ready.
        let drained = async {
            tokio::select! {
                () = drained => {}
                () = observed => {}
            }
        };
        if timeout(limits::SHUTDOWN, drained).await.is_err() {
            tracing::warn!(target: "chatcode", "some connections did not end in time and are cut");
        }
    }
}

/// Takes over settings while an edge serves.
#[derive(Clone)]
pub struct Reloader {
    app: Arc<App>,
    tls: watch::Sender<Option<TlsAcceptor>>,
    core: String,
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("core", &self.core).finish_non_exhaustive()
    }
}

impl Reloader {
    /// Takes over what a reload can ([`Config`] lists it), and reads the certificate for
    /// browsers again. Connections that are there stay as they are.
    ///
    /// # Errors
    /// When the settings cannot be used, or a file; then nothing has changed.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        let (acceptor, pin) = browser_tls(config)?;
        if acceptor.is_some() != self.tls.borrow().is_some() {
            return Err(StartError::TlsSettled);
        }
        let live = live(config, self.app.admission.origin(), &self.core, pin)?;
        self.app.reload(live);
        self.tls.send_replace(acceptor);
        Ok(())
    }
}

/// TLS for browsers and the pin of its key, where this edge speaks it itself.
fn browser_tls(config: &Config) -> Result<(Option<TlsAcceptor>, Option<String>), StartError> {
    let Some((cert, key)) = config.tls()? else { return Ok((None, None)) };
    let acceptor = TlsAcceptor::from(tls::browser_listener(cert, key)?);
    Ok((Some(acceptor), Some(tls::browser_pin(cert)?)))
}

fn live(config: &Config, origin: &Origin, core: &str, pin: Option<String>) -> Result<Live, UnfitConfig> {
    Ok(Live {
        proxies: config.proxies()?,
        sign_ins: Tries::per_minute(config.sign_in_per_minute),
        releases: Releases::new(config, origin, core, pin),
    })
}

/// The folder of the data folder in which certificate and core address lie.
pub const IDENTITY_FOLDER: &str = "identity";
