//! The edge: browsers on one side, the core on the other.

use std::time::Duration;

use super::CLIENT_FRAME_BYTES;

/// WebSockets of one edge; one more is refused with `LIMIT`.
pub const WEBSOCKETS: usize = 4096;
/// Files of a release that an edge gives out at once; one more is refused with
/// `LIMIT`.
pub const RELEASE_DOWNLOADS: usize = 64;
/// How long one of them may take; then it is cut, and its reader sees that.
pub const RELEASE_TIME: Duration = Duration::from_secs(900);
/// Time from the WebSocket's handshake to its first message.
pub const WEBSOCKET_OPEN: Duration = Duration::from_secs(5);
/// Bytes of one WebSocket message: a client frame and its head.
pub const WEBSOCKET_MESSAGE_BYTES: usize = CLIENT_FRAME_BYTES;
/// Bytes that wait in the write buffer of one WebSocket; beyond it the edge
/// stops reading from the core, and credit stops the holder.
pub const WEBSOCKET_WRITE_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of a request's body at the edge.
pub const HTTP_BODY_BYTES: usize = 64 * 1024;
/// HTTP requests that one edge serves at once; one more is refused with
/// `LIMIT`.
pub const HTTP_REQUESTS: usize = 1024;
/// TCP connections of one edge besides its WebSockets; more wait in the
/// kernel.
pub const EDGE_CONNECTIONS: usize = 2048;
/// Sockets beyond [`WEBSOCKETS`] that are taken only to be told `LIMIT`; more
/// get an HTTP 503.
pub const WEBSOCKETS_REFUSED: usize = 64;
/// Pause after the system refused to accept a connection (no descriptors, no
/// memory).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for the body of a request to arrive; then `TIMEOUT`.
pub const HTTP_BODY: Duration = Duration::from_secs(10);
/// A browser that takes nothing of what is written to it for this time is cut.
pub const HTTP_TAKEN: Duration = Duration::from_secs(20);
/// Bytes of a text message on a WebSocket: a ping. More is `PROTOCOL`.
pub const WEBSOCKET_TEXT_BYTES: usize = 256;
/// Pings of one page that wait for their answer; more are not answered.
pub const WEBSOCKET_PINGS: usize = 8;
/// Bytes of the read buffer of one WebSocket: a paste comes in few reads, and
/// an idle page costs little.
pub const WEBSOCKET_READ_BYTES: usize = 16 * 1024;
/// Messages that are written to a WebSocket before it is flushed: one system
/// call for what is there already, and a page's ping never waits long.
pub const WEBSOCKET_BATCH: usize = 16;
/// The edge pings a browser this often.
pub const WEBSOCKET_PING: Duration = Duration::from_secs(5);
/// A browser that was silent for this time is gone: three pings.
pub const WEBSOCKET_SILENCE: Duration = Duration::from_secs(15);
/// From one end's close of a WebSocket to the other's; then it is cut. Also
/// how long a call may take to end after its browser left.
pub const WEBSOCKET_CLOSE: Duration = Duration::from_secs(2);
/// The edge asks the core this often whether it is there.
pub const CORE_PROBE: Duration = Duration::from_secs(2);
/// How often while it is not there: the page shows the return at once.
pub const CORE_PROBE_DOWN: Duration = Duration::from_millis(500);
/// A core that does not answer a probe in this time is down.
pub const CORE_PROBE_ANSWER: Duration = Duration::from_secs(2);
/// Characters of what a browser calls itself that an edge passes on; more is cut.
pub const USER_AGENT_CHARS: usize = 512;
/// Addresses of `X-Forwarded-For` that are read, from its end; those before them count
/// for nothing.
pub const FORWARDED_HOPS: usize = 16;
/// Networks of proxies that one edge believes; more is refused at its start.
pub const TRUSTED_PROXIES: usize = 64;
