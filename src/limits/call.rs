//! Calls over gRPC, on every hop, and what a program of ours needs to serve them.

use std::time::Duration;

/// Bytes of a configuration file; a larger one is refused.
pub const CONFIG_BYTES: u64 = 1 << 20;

/// Mistakes of a configuration that are told at once; those beyond are told when these are
/// corrected.
pub const CONFIG_PROBLEMS: usize = 100;

/// Bytes of one unary message, both ways; more is refused with `TOO_LARGE`.
pub const UNARY_BYTES: usize = 1024 * 1024;
/// Bytes of the Unix socket's framed messages other than attachment frames.
pub const HOLDER_MESSAGE_BYTES: usize = 1024 * 1024;
/// Streams of one HTTP/2 connection: unary calls share one, a terminal has its
/// own. More wait at the client.
pub const HTTP2_STREAMS: u32 = 256;
/// Window of one HTTP/2 stream, bytes: above [`WINDOW_MAX_BYTES`](super::WINDOW_MAX_BYTES), so a viewer
/// without credit never closes it.
pub const HTTP2_STREAM_WINDOW: u32 = 2 * 1024 * 1024;
/// Window of one HTTP/2 connection, bytes: several streams' worth, since only
/// unary calls and watches share one.
pub const HTTP2_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Largest HTTP/2 frame that is taken, bytes: one output frame goes in one.
pub const HTTP2_FRAME_BYTES: u32 = 128 * 1024;
/// Bytes of all headers of a call; more ends it.
pub const HEADER_BYTES: u32 = 16 * 1024;
/// Calls that wait for an HTTP/2 connection to be made; one more waits at its
/// caller.
pub const HTTP2_WAITING: usize = 256;
/// Streams of an HTTP/2 connection that the peer opened and reset before we
/// looked at them; more ends it (CVE-2023-44487).
pub const HTTP2_RESETS: usize = 64;
/// HTTP/2 pings go out after this silence.
pub const HTTP2_KEEPALIVE: Duration = Duration::from_secs(10);
/// A connection without an answer to a ping for this time is dead.
pub const HTTP2_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// A unary call ends after this time with `TIMEOUT`.
pub const UNARY_DEADLINE: Duration = Duration::from_secs(20);
/// Connections of members at the core's gRPC listener: the WebSockets of an edge
/// have one each, whatever ticket they show. One more is closed after its
/// handshake. Nobody without a certificate takes one of them.
pub const CORE_CONNECTIONS: usize = 8192;
/// Handshakes under way at the core's gRPC listener; more wait in the kernel.
pub const CORE_HANDSHAKES: usize = 1024;
/// The same from one address, half of them, so that nobody alone shuts the
/// others out; one more is closed.
pub const CORE_HANDSHAKES_PER_ADDRESS: usize = 512;
/// Connections without a certificate (enrollment, health); one more is closed
/// after its handshake.
pub const CORE_ANONYMOUS: usize = 512;
/// The same from one address (an IPv6 /64 is one).
pub const CORE_ANONYMOUS_PER_ADDRESS: usize = 128;
/// Life of a connection without a certificate, several times that of an
/// enrollment; then it is cut.
pub const CORE_ANONYMOUS_LIFE: Duration = Duration::from_secs(120);
/// Connections of the core's gRPC listener that are through with their
/// handshake and wait to be served; more wait with their handshake done.
pub const CORE_READY: usize = 64;
/// A TLS, QUIC or WebSocket handshake that takes longer is dropped, and so is a
/// connection on which HTTP does not begin in this time.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long after the first signal to stop another one counts as the same wish;
/// a later one ends the program at once.
pub const SIGNAL_REPEAT: Duration = Duration::from_secs(1);
/// Lines of a program's log that wait to be written to a standard error that
/// nobody reads just now; more are lost, and counted.
pub const LOG_LINES: usize = 1024;
/// How long the end of a program waits for its last lines to be written; then
/// they are lost.
pub const LOG_FLUSH: Duration = Duration::from_millis(500);
/// How long a part drains its calls when it is told to stop; then it cuts.
pub const SHUTDOWN: Duration = Duration::from_secs(5);
