//! The way between a gateway and the core, and every gRPC connection beside
//! it: gRPC both ways over one QUIC connection, or over TCP where UDP does not get
//! through; plain gRPC over TCP and TLS, and what all need.
//!
//! - [`LinkListener`], [`Switchboard`], [`LinkDialer`]: the ends of a link being
//!   made.
//! - [`Link`]: one connection. Either end opens channels on it and serves what
//!   the other opens. Each channel is a stream of its own with an HTTP/2
//!   connection on it, so that no call waits for another's lost packet.
//! - [`Target`], [`Proxy`]: where the core's TCP listener is, and what is on the
//!   way.
//! - [`tcp`]: the same channel to the core's gRPC listener; [`serve`]: the
//!   server with all limits set; [`codec`]: messages passed on unopened.
//! - [`enroll`]: how a machine gets its certificate; [`renew`]: how it keeps one and
//!   follows what to trust; [`exit`]: the cause behind
//!   a status; [`subscriber`]: who is counted when addresses are limited;
//!   [`network`]: addresses that begin alike.
//!
//! Nothing outside this crate names quinn, and nothing here knows sessions or
//! people.

pub mod codec;
mod config;
mod connection_id;
mod doubt;
mod end;
mod endpoint;
pub mod enroll;
pub mod exit;
mod http2;
mod keys;
mod link;
pub mod network;
mod nudge;
mod over_tcp;
mod quiet;
pub mod renew;
mod runtime;
pub mod serve;
mod stream;
mod subscriber;
mod target;
pub mod tcp;

pub use doubt::Doubt;
pub use end::{LinkEnd, LinkError};
pub use endpoint::{Incoming, LinkDialer, LinkListener};
pub use keys::{LinkKeys, LinkKeysError};
pub use link::{Link, Pulse};
pub use over_tcp::switchboard::{Joining, Opened, Switchboard};
pub use quiet::QuietStream;
pub use stream::{LinkPeer, LinkStream};
pub use subscriber::subscriber;
pub use target::{Proxy, ProxyError, Target};
