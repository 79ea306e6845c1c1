//! What a program tells of itself to those who run it: [`meters`] and readiness at an
//! address of its own, and [`trace`]s to a collector. Both are off unless the settings
//! name an address.

mod listener;
pub mod meters;
pub mod settings;
pub mod trace;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    pin::Pin,
};

use chatcode_proto::limits;
use zeroize::Zeroizing;

pub use self::{
    meters::{Counter, Counters, Histogram, Meters, look},
    trace::TraceError,
};

/// Why a program cannot be observed as its settings say.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// Anybody in the network could read the metrics.
    #[error(
        "metrics = {0} is not an address of this machine alone: name one of 127.0.0.1, or a token file \
         (metrics_token_file) that readers must know"
    )]
    Open(SocketAddr),
    /// The token file is not there.
    #[error("there is no metrics_token_file; make one: openssl rand -hex 32, in a file of mode 0600")]
    NoToken,
    /// The token is too short to be a secret, or too long.
    #[error(
        "the token in metrics_token_file has {bytes} bytes, and must have {low} to {high}, in one line; make one: openssl rand -hex 32",
        low = limits::METRICS_TOKEN_BYTES.start(),
        high = limits::METRICS_TOKEN_BYTES.end()
    )]
    Token {
        /// Its bytes.
        bytes: usize,
    },
    /// The address cannot be had.
    #[error("cannot listen at {address} for readers of metrics")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// The future of an answer to whether a program is ready: `Err` says why not, in a
/// few words without a secret.
pub type Readiness = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Where metrics, `/healthz` and `/readyz` of one program are read; bound and not
/// served yet.
#[derive(Debug)]
pub struct Observer {
    tcp: TcpListener,
    address: SocketAddr,
    token: Option<Zeroizing<Vec<u8>>>,
}

impl Observer {
    /// Listens at `address`. Off loopback a `token` is needed, which readers of metrics
    /// show as `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`ObserveError`].
    pub fn bind(address: SocketAddr, token: Option<Zeroizing<Vec<u8>>>) -> Result<Self, ObserveError> {
        let token = fit(address, token)?;
        let bind = || {
            let tcp = TcpListener::bind(address)?;
            tcp.set_nonblocking(true)?;
            let address = tcp.local_addr()?;
            Ok(Self { tcp, address, token })
        };
        bind().map_err(|source| ObserveError::Listen { address, source })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until dropped. Must be polled in a tokio runtime.
    pub async fn serve(self, meters: Meters, ready: impl Fn() -> Readiness + Send + Sync + 'static) {
        listener::serve(self, meters, ready).await;
    }
}

/// The token without the white space around it, when readers at `address` may come
/// with it, or without one.
fn fit(
    address: SocketAddr,
    token: Option<Zeroizing<Vec<u8>>>,
) -> Result<Option<Zeroizing<Vec<u8>>>, ObserveError> {
    let token = token.map(|text| Zeroizing::new(text.trim_ascii().to_vec()));
    match &token {
        None if !address.ip().is_loopback() => Err(ObserveError::Open(address)),
        Some(token)
            if !limits::METRICS_TOKEN_BYTES.contains(&token.len())
                || token.iter().any(|byte| !byte.is_ascii_graphic()) =>
        {
            Err(ObserveError::Token { bytes: token.len() })
        }
        _ => Ok(token),
    }
}
