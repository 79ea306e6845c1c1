//! Links of gateways to the core.

use std::time::Duration;

use super::{HTTP2_STREAM_WINDOW, HTTP2_STREAMS};

/// Version of the link protocol that this program speaks.
pub const LINK_VERSIONS: &[u32] = &[1];
/// Version of the frames of an attachment.
pub const FRAME_VERSIONS: &[u32] = &[1];
/// Version of the holder's socket.
pub const HOLDER_VERSIONS: &[u32] = &[1];
/// Version of the WebSocket's first message.
pub const EDGE_VERSIONS: &[u32] = &[1];
/// Version of the signals of a link over TCP.
pub const TCP_LINK_VERSIONS: &[u32] = &[1];
/// How long a gateway waits for anything to come over UDP before it dials over TCP as
/// well. A core that thousands dial at once says at once that it is there.
pub const LINK_TCP_AFTER: Duration = Duration::from_secs(2);
/// How long nothing that was asked of the core over QUIC may be answered, until the gateway looks
/// whether TCP gets through; three round trips where they are longer.
pub const LINK_DOUBT: Duration = Duration::from_secs(2);
/// How often it looks whether it was answered; so it may take so much longer.
pub const LINK_DOUBT_LOOK: Duration = Duration::from_millis(500);
/// First and longest time after which a gateway on TCP looks whether UDP gets
/// through again; twice as long each time, less a half by chance.
pub const LINK_UDP_PROBE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));
/// How long TCP is dialled first after a link over QUIC fell silent or never came
/// to its Welcome.
pub const LINK_UDP_AVOIDED: Duration = Duration::from_secs(60);
/// Connections of all links over TCP at one core: one for each link and one for
/// each of its streams. One more is closed after its handshake.
pub const LINK_TCP_CONNECTIONS: usize = 16_384;
/// The same from one address (an IPv6 /64 is one), a quarter of them, so that no
/// machine alone shuts the others out.
pub const LINK_TCP_CONNECTIONS_PER_ADDRESS: usize = 4096;
/// Signals of a link over TCP that wait to be sent; one more waits at its caller.
pub const LINK_TCP_SIGNALS: usize = 64;
/// Handshakes for streams of one link over TCP that a gateway does at once; more
/// wait for one to end.
pub const LINK_TCP_DIALS: usize = 16;
/// The kernel asks after this silence whether the other end of a link's TCP
/// connection is there, also through NAT, and so often again.
pub const LINK_TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// Bytes that a proxy may answer to `CONNECT`; more is no answer of a proxy. (The
/// library's own bound.)
pub const PROXY_ANSWER_BYTES: usize = 8 * 1024;
/// Bytes of one message of `Link.Control`, where more ends the link, and of
/// `Link.Directory`, where more ends the call.
pub const CONTROL_BYTES: usize = 16 * 1024;
/// Bidirectional QUIC streams that the core may open to a gateway: terminals, other
/// streaming calls and the pooled one; over TCP streams of both ends. More wait.
pub const LINK_STREAMS: u32 = 1024;
/// Bidirectional QUIC streams that a gateway may open to the core: that of `Link.Control` and
/// `Link.Directory`, and room for later. More wait. Each that is allowed takes 80 bytes for every link.
pub const LINK_STREAMS_TO_CORE: u32 = 16;
/// Window of one QUIC stream, bytes.
pub const LINK_STREAM_WINDOW: u32 = 2 * 1024 * 1024;
/// Bytes of a link that may be unacknowledged.
pub const LINK_SEND_WINDOW: u64 = 16 * 1024 * 1024;
/// Window of a whole link, bytes: [`LINK_STREAM_WINDOW`] for 32 terminals at
/// full flood; beyond it all wait. A viewer that stalls has no share in it: HTTP/2
/// on its stream takes at most [`HTTP2_STREAM_WINDOW`] off the link, at once.
pub const LINK_CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;
/// Window of `Link.Control` and of `Link.Directory`, bytes each: what a gateway tells of
/// its sessions does not wait in front of a heartbeat for long. More waits in the gateway.
pub const LINK_CONTROL_WINDOW: u32 = 64 * 1024;
/// Window of the one HTTP/2 connection that all unary calls of a link share,
/// bytes: the sum of its streams, so that callers who do not read their answers
/// hold up nobody else. Beyond it all wait, at most [`UNARY_DEADLINE`](super::UNARY_DEADLINE).
pub const LINK_UNARY_WINDOW: u32 = HTTP2_STREAMS * HTTP2_STREAM_WINDOW;
/// The core's heartbeat on every link.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// Silence after which either end gives a link up.
pub const LINK_SILENCE: Duration = Duration::from_secs(15);
/// QUIC packets go out at least this often, also through NAT.
pub const LINK_KEEPALIVE: Duration = Duration::from_secs(4);
/// How long either end of a link may wait before it acknowledges a lone packet: as
/// short as QUIC takes it. It is a part of the time after which a lost one is missed.
pub const LINK_ACK_DELAY: Duration = Duration::from_millis(1);
/// Round trips after which a packet is lost when a later one was acknowledged: a little
/// more than one, for packets that overtake each other.
pub const LINK_LOSS_ROUND_TRIPS: f32 = 1.05;
/// Round trip from which the last packet on a stream is followed by an empty datagram,
/// whose acknowledgement tells of its loss; on shorter ways nobody feels it.
pub const LINK_NUDGE_FROM: Duration = Duration::from_millis(20);
/// That datagram goes out this share of the round trip after the packet, unless
/// something else does.
pub const LINK_NUDGE_SHARE: u32 = 25;
/// Bytes of datagrams that a link keeps in each direction; they are empty, and count as
/// what the library needs for one. Older ones are dropped.
pub const LINK_DATAGRAM_BYTES: usize = 256;
/// From the QUIC handshake to Hello; then the link is closed with `TIMEOUT`.
pub const HELLO: Duration = Duration::from_secs(5);
/// Links over QUIC whose handshake and Hello are under way at once; more wait with
/// their first packet, up to [`LINK_INCOMING`]. So many as a core greets within QUIC's
/// first patience of a second, after which every packet comes twice; and so many
/// that those with long ways do not keep each other waiting.
pub const LINK_GREETINGS: usize = 256;
/// So long one of them has its turn; then it goes on beside the next ones, so that
/// those who say nothing hold up nobody for long.
pub const LINK_GREETING: Duration = Duration::from_secs(1);
/// A link that was live this long resets the back-off.
pub const LINK_LASTED: Duration = Duration::from_secs(10);
/// First and longest pause before a gateway or viewer dials again; full
/// jitter.
pub const RECONNECT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// Pause of a gateway that was fenced by a newer link of the same identity,
/// which only another live machine makes: at least this, at most twice. Short
/// enough that the core notices the two, long enough not to fight.
pub const FENCED_PAUSE: Duration = Duration::from_secs(60);
/// The longest time for which a drain may send a gateway away; more is cut.
pub const DRAIN_LONGEST: Duration = Duration::from_secs(300);
/// Messages of `Link.Control` that wait to be sent; a link that takes none is
/// given up.
pub const CONTROL_QUEUE: usize = 16;
/// How long a gateway that stops waits for the core to have read its goodbye.
pub const GOODBYE: Duration = Duration::from_secs(1);
/// QUIC handshakes that wait for their turn with their first packets, each for
/// [`LINK_TURN`] at most: a whole fleet, which a core that starts again has before its
/// door at once. More are left without an answer and knock again.
pub const LINK_INCOMING: usize = 10_000;
/// The same for one address, which an IPv6 /64 is, too. Addresses have their turns one
/// after the other, so that one which knocks thousands of times waits for itself.
pub const LINK_INCOMING_PER_ADDRESS: usize = 5_000;
/// How long a handshake waits for its turn: less than [`HANDSHAKE`](super::HANDSHAKE), so
/// that who has one at last has time left for it.
pub const LINK_TURN: Duration = Duration::from_secs(8);
/// Bytes that wait for one link before its handshake is taken on: one client's
/// first flight. More is dropped, and sent again.
pub const LINK_FIRST_BYTES: u64 = 16 * 1024;
/// The same for all of them together.
pub const LINK_FIRST_BYTES_ALL: u64 = 16 * 1024 * 1024;
/// QUIC handshakes under way above which a client must first prove its address
/// (one round trip more), so that forged addresses cost us no memory.
pub const LINK_UNPROVEN: usize = 64;
/// Bytes of TLS messages of one link that may come out of order; more ends it.
pub const LINK_CRYPTO_BYTES: usize = 16 * 1024;
/// Between two stateless resets: nothing. After a restart the packets of thousands of
/// gateways lie in one batch, and who got no answer asks ever more seldom. Each reset is
/// shorter than the packet that it answers (RFC 9000, section 10.3.3): none goes round
/// for ever, and nobody else is sent more than was sent here.
pub const LINK_RESET_INTERVAL: Duration = Duration::ZERO;
/// Bytes of kernel buffers asked for a link's UDP socket, each way; the system
/// may give less (`net.core.rmem_max`), and a burst is lost then and sent again.
pub const UDP_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// How long a writer whose socket is full waits where the process has no descriptor
/// left to be told of room by.
pub const ROOM_AGAIN: Duration = Duration::from_millis(1);
/// Reads of a link's UDP socket that may fail one after the other.
pub const LINK_READ_FAILURES: u32 = 64;
