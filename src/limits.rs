//! Every bound of chatcode: value, unit, reason, and what happens beyond it.
//! No limit stands anywhere else, and no library default counts as one.

use std::time::Duration;

// --- frames of an attachment ---

/// Bytes of one encoded client frame. A paste is cut into inputs of
/// [`INPUT_BYTES`]; more ends the attachment with `TOO_LARGE`.
pub const CLIENT_FRAME_BYTES: usize = 64 * 1024;
/// Bytes of one encoded server frame: [`OUTPUT_BYTES`] and its head. A peer
/// that sends more ends the call with `TOO_LARGE`.
pub const SERVER_FRAME_BYTES: usize = 128 * 1024;
/// Bytes of one output frame: 4 to 16 PTY reads in one, small enough that a
/// key's echo never waits behind more than one.
pub const OUTPUT_BYTES: usize = 64 * 1024;
/// The last offset of output and of input, which JavaScript's numbers still
/// count to exactly. A viewer refuses what goes beyond with `PROTOCOL`.
pub const LAST_OFFSET: u64 = (1 << 53) - 1;
/// The last offset at which a holder may let a viewer's input begin, far from
/// [`LAST_OFFSET`]; one that forgot a viewer begins a little beyond the half at
/// most. Beyond it as beyond that.
pub const LAST_INPUT: u64 = 3 << 51;

/// Bytes of one input frame. More ends the attachment with `INVALID`.
pub const INPUT_BYTES: usize = 32 * 1024;
/// Bytes of input that a viewer keeps until they are confirmed: a paste of
/// this size goes without waiting. Beyond it the viewer stops taking input.
pub const INPUT_UNCONFIRMED_BYTES: usize = 1024 * 1024;
/// Bytes of input that a viewer sends before they are confirmed, so that a
/// paste into a program that does not read never fills the holder's queue, and
/// credit is always read. Beyond it the viewer keeps them.
pub const INPUT_IN_FLIGHT_BYTES: usize = INPUT_QUEUE_BYTES / 2;
/// Bytes of input of all viewers that wait for the PTY in a holder. Beyond it
/// the holder stops reading from the viewer that types.
pub const INPUT_QUEUE_BYTES: usize = 256 * 1024;

/// Runs of one viewer's input that wait for the PTY in a holder: viewers that
/// hand the lease to and fro make a run each time. Beyond it the holder stops
/// reading from the viewer that types.
pub const INPUT_RUNS: usize = 1024;

// --- credit and pace ---

/// The smallest window of a viewer, bytes; less is raised to it.
pub const WINDOW_MIN_BYTES: u32 = 32 * 1024;
/// The largest window of a viewer, bytes; more is cut to it. It is also the
/// most that one attachment can have in flight at any hop.
pub const WINDOW_MAX_BYTES: u32 = 1024 * 1024;
/// Added to the round trip when a window is computed: two frames of a screen.
pub const WINDOW_SLACK: Duration = Duration::from_millis(20);
/// The PTY waits for the writer's viewer only while its backlog clears within
/// this time at its measured rate; beyond it the PTY runs on and the viewer
/// falls behind.
pub const PACE_BACKLOG: Duration = Duration::from_millis(50);

// --- a session and its holder ---

/// Bytes of output that a holder keeps. A viewer that falls out of it is drawn
/// anew.
pub const LOG_BYTES: usize = 1024 * 1024;
/// Bounds of the configured log size, bytes; outside of them the daemon
/// refuses to start.
pub const LOG_BYTES_RANGE: std::ops::RangeInclusive<usize> = 64 * 1024..=64 * 1024 * 1024;
/// Output that a viewer that comes back may have missed, bytes; one that missed
/// more gets a snapshot.
pub const RESUME_BYTES: u64 = 256 * 1024;
/// Output that waits for a viewer that does not write, bytes, beside its
/// window; with more it is moved to the present.
pub const LOOKER_BACKLOG: u64 = 256 * 1024;
/// Output that waits for a viewer that interrupts the program, bytes; with more
/// it is moved to the present.
pub const INTERRUPT_BACKLOG: u64 = 16 * 1024;
/// Lines of history that a session may keep and a snapshot may bring.
pub const HISTORY_LINES: u32 = 200_000;
/// Lines that a session keeps and a viewer asks for where nobody says another
/// number.
pub const DEFAULT_HISTORY_LINES: u32 = 10_000;
/// A snapshot, bytes; a larger one brings fewer lines of history. The screen
/// alone always comes whole.
pub const SNAPSHOT_BYTES: usize = 32 * 1024 * 1024;
/// While output goes on, a holder saves the screen at most this often; so much
/// of it is lost with the machine's power.
pub const SCREEN_SAVE: Duration = Duration::from_secs(30);
/// The same for the first time, from the first output on.
pub const SCREEN_FIRST_SAVE: Duration = Duration::from_secs(2);
/// How long the end of a session waits until its last screen is on disk; then
/// it is told without, and the screen saved before stands.
pub const LAST_SAVE: Duration = Duration::from_secs(5);
/// Bytes of a saved screen's file; a larger one is not read.
pub const SCREEN_FILE_BYTES: usize = SNAPSHOT_BYTES + 48 * 1024 * 1024;
/// Saved screens that one gateway shows at once, each in memory as a whole; one
/// more is refused with `LIMIT`.
pub const SAVED_SCREENS_SHOWN: usize = 8;
/// Sizes that a viewer has still to be told; one that would have to be told
/// more is drawn anew.
pub const RESIZES_UNTOLD: usize = 64;
/// Answers of the terminal that wait for the PTY, bytes, and those to one read
/// of it; more are dropped. All colours of the palette are 7 KiB.
pub const ANSWERS_BYTES: usize = 64 * 1024;
/// An answer waits for the end of a paste as long as the paste goes on: once
/// all that came of it was written, and nothing more came for this long, the
/// answer no longer waits.
pub const PASTE_STALL: Duration = Duration::from_secs(1);
/// Attachments of one session at once; one more is refused with `LIMIT`.
pub const VIEWERS_PER_SESSION: usize = 32;
/// Viewer ids that a holder remembers for exactly-once input; beyond it the
/// one that was away longest is forgotten (its unconfirmed input is unknown).
pub const REMEMBERED_VIEWERS: usize = 256;
/// How long a confirmation waits for output to travel with: a key's echo is
/// there long before, and one wake-up of every hop is spared.
pub const CONFIRM_DELAY: Duration = Duration::from_millis(20);
/// Refusals that one attachment may have untold; beyond it the attachment ends
/// with `NOT_WRITER`.
pub const REFUSALS_UNTOLD: usize = 64;
/// Pongs that wait for one attachment; beyond it the oldest is not sent.
pub const PONGS: usize = 8;
/// A viewer measures the way to the holder and back this often.
pub const PING: Duration = Duration::from_secs(5);
/// A viewer that heard nothing for this time, two pings and some, connects
/// anew.
pub const VIEWER_SILENCE: Duration = Duration::from_secs(12);
/// Ranges of refused input that are remembered for one viewer; beyond it the
/// two oldest become one.
pub const REMEMBERED_REFUSALS: usize = 8;
/// How long the lease waits for a writer whose connection broke.
pub const LEASE_GRACE: Duration = Duration::from_secs(10);
/// Rows of a terminal; more is cut.
pub const ROWS: std::ops::RangeInclusive<u32> = 1..=1000;
/// Columns of a terminal; more is cut.
pub const COLS: std::ops::RangeInclusive<u32> = 1..=1000;
/// The PTY's size changes at most once in this time; the last one wins.
pub const RESIZE_INTERVAL: Duration = Duration::from_millis(50);
/// How long each step of the ladder that ends a session may take: HUP, then
/// TERM, then KILL.
pub const END_STEP: Duration = Duration::from_secs(2);
/// How long a holder stays after its shell ended, so that viewers that were
/// away still see the last output.
pub const LINGER: Duration = Duration::from_secs(60);
/// Silence on a holder's connection before its first message; it is closed
/// then.
pub const HOLDER_HELLO: Duration = Duration::from_secs(5);
/// How long a holder reads on after its shell ended while another program
/// still holds the terminal open; then the output counts as complete.
pub const HOLDER_TAIL: Duration = Duration::from_secs(1);
/// How often a holder looks again at a terminal that no program has open while
/// the shell still runs.
pub const HOLDER_REOPEN: Duration = Duration::from_millis(100);
/// How long a connection that is being closed may take to read what waits for
/// it; then it is cut.
pub const HOLDER_FAREWELL: Duration = Duration::from_secs(2);
/// Bytes of a holder's log file; beyond it the file begins anew.
pub const HOLDER_LOG_FILE_BYTES: u64 = 64 * 1024;
/// Bytes that a holder takes from its terminal in one turn: one full output
/// frame, then viewers and keys have theirs.
pub const HOLDER_TURN_BYTES: usize = OUTPUT_BYTES;
/// Connections to one holder: its viewers, the daemon's watch and short
/// requests. One more is closed at once.
pub const HOLDER_CONNECTIONS: usize = VIEWERS_PER_SESSION + 16;
/// Bytes that wait to be sent on one connection of a holder; a frame is made
/// only when less is waiting.
pub const HOLDER_SEND_BYTES: usize = 128 * 1024;

// --- restarts of a session ---

/// The first and the longest pause before a session is started again; each
/// restart within [`RESTARTS_WITHIN`] doubles it.
pub const RESTART_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Restarts of one session within [`RESTARTS_WITHIN`]; then it stays ended.
pub const RESTARTS: usize = 5;
/// The time in which restarts are counted.
pub const RESTARTS_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How long `chatcode attach` waits for a session to be started again: longer
/// than the pause before the last of [`RESTARTS`] and its start. Then it ends.
pub const RESTART_AWAITED: Duration = Duration::from_secs(60);

// --- a machine ---

/// Living sessions of one gateway; one more is refused with `LIMIT`.
pub const SESSIONS_PER_GATEWAY: usize = 256;
/// How long a machine's tmux may take to tell its sessions; later it has none.
pub const TMUX: Duration = Duration::from_secs(2);
/// What is read of its answer, bytes; more is ignored.
pub const TMUX_BYTES: usize = 64 * 1024;
/// tmux sessions that are told of; more are ignored.
pub const TMUX_SESSIONS: usize = 64;
/// Ended sessions that a gateway remembers; beyond it the oldest is forgotten.
pub const ENDED_SESSIONS: usize = 64;
/// How long a new holder may take until it answers; then `SPAWN_FAILED`.
pub const HOLDER_START: Duration = Duration::from_secs(10);
/// How long a holder may take to answer a request; then `HOLDER_UNREACHABLE`.
pub const HOLDER_ANSWER: Duration = Duration::from_secs(5);
/// Bounds of the memory that the settings may give a session, bytes: below, a
/// shell with its holder hardly starts.
pub const SESSION_MEMORY_BYTES: std::ops::RangeInclusive<u64> = 32 << 20..=1 << 50;
/// Bounds of its processors' time, percent of one; systemd cuts below 1 %.
pub const SESSION_CPU_PERCENT: std::ops::RangeInclusive<u64> = 1..=1_000_000;
/// Bounds of its processes and threads; the kernel numbers no more.
pub const SESSION_TASKS: std::ops::RangeInclusive<u64> = 8..=4 << 20;
/// Bytes of a request to the spawner, an id and its head; more is refused.
pub const SPAWNER_REQUEST_BYTES: usize = 256;
/// Environment variables of one request; more is `INVALID`.
pub const ENVIRONMENT_VARIABLES: usize = 64;
/// Bytes of an environment variable's name.
pub const ENVIRONMENT_NAME_BYTES: usize = 128;
/// Bytes of a command argument, a folder or an environment value.
pub const ARGUMENT_BYTES: usize = 4096;
/// Arguments of one command; more is `INVALID`.
pub const ARGUMENTS: usize = 64;

/// Bytes of the command that is shown to people; a longer one is shown cut, so
/// that a list of all sessions stays small. It is run whole.
pub const SHOWN_COMMAND_BYTES: usize = 1024;

/// Bytes of the folder that is shown to people; of a longer one the end is
/// shown. The shell starts in it all the same.
pub const SHOWN_FOLDER_BYTES: usize = 1024;
/// Bytes of the resume command that is shown to people, as
/// [`SHOWN_COMMAND_BYTES`].
pub const SHOWN_RESUME_BYTES: usize = 128;
/// Bytes of one session as it is told at most, encoded; a gateway at its limits
/// lists all of them in one answer.
pub const SESSION_BYTES: usize = 3 * 1024;

// --- words ---

/// Characters of a session's name; more is `INVALID`.
pub const SESSION_NAME_CHARS: usize = 128;
/// Characters of a member's or a person's name; more is `INVALID`.
pub const NAME_CHARS: usize = 64;
/// Bytes of a grant's principal; more is `INVALID`.
pub const PRINCIPAL_BYTES: usize = 160;
/// Bytes of a message for people; more is cut.
pub const MESSAGE_BYTES: usize = 256;
/// Versions or features in one first message; more is `INVALID`.
pub const VERSIONS: usize = 8;
/// Features in one first message; more is `INVALID`.
pub const FEATURES: usize = 32;
/// Bytes of a feature's name; longer is `INVALID`.
pub const FEATURE_BYTES: usize = 64;

// --- gRPC, every hop ---

/// Bytes of one unary message, both ways; more is refused with `TOO_LARGE`.
pub const UNARY_BYTES: usize = 1024 * 1024;
/// Bytes of the Unix socket's framed messages other than attachment frames.
pub const HOLDER_MESSAGE_BYTES: usize = 1024 * 1024;
/// Streams of one HTTP/2 connection: unary calls share one, a terminal has its
/// own. More wait at the client.
pub const HTTP2_STREAMS: u32 = 256;
/// Window of one HTTP/2 stream, bytes: above [`WINDOW_MAX_BYTES`], so a viewer
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
/// A TLS, QUIC or WebSocket handshake that takes longer is dropped.
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

// --- links ---

/// Version of the link protocol that this program speaks.
pub const LINK_VERSIONS: &[u32] = &[1];
/// Version of the frames of an attachment.
pub const FRAME_VERSIONS: &[u32] = &[1];
/// Version of the holder's socket.
pub const HOLDER_VERSIONS: &[u32] = &[1];
/// Version of the WebSocket's first message.
pub const EDGE_VERSIONS: &[u32] = &[1];
/// Bytes of one message of `Link.Control`; more ends the link.
pub const CONTROL_BYTES: usize = 16 * 1024;
/// Bidirectional QUIC streams that either end may open: terminals, watches and
/// the pooled one. More wait.
pub const LINK_STREAMS: u32 = 1024;
/// Window of one QUIC stream, bytes.
pub const LINK_STREAM_WINDOW: u32 = 2 * 1024 * 1024;
/// Bytes of a link that may be unacknowledged.
pub const LINK_SEND_WINDOW: u64 = 16 * 1024 * 1024;
/// Window of a whole link, bytes: [`LINK_STREAM_WINDOW`] for 32 terminals at
/// full flood; beyond it all wait. A viewer that stalls has no share in it: HTTP/2
/// on its stream takes at most [`HTTP2_STREAM_WINDOW`] off the link, at once.
pub const LINK_CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;
/// Window of the one HTTP/2 connection that all unary calls of a link share,
/// bytes: the sum of its streams, so that callers who do not read their answers
/// hold up nobody else. Beyond it all wait, at most [`UNARY_DEADLINE`].
pub const LINK_UNARY_WINDOW: u32 = HTTP2_STREAMS * HTTP2_STREAM_WINDOW;
/// The core's heartbeat on every link.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// Silence after which either end gives a link up.
pub const LINK_SILENCE: Duration = Duration::from_secs(15);
/// QUIC packets go out at least this often, also through NAT.
pub const LINK_KEEPALIVE: Duration = Duration::from_secs(4);
/// From the QUIC handshake to Hello; then the link is closed with `TIMEOUT`.
pub const HELLO: Duration = Duration::from_secs(5);
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
/// QUIC handshakes that wait for the core; more are ignored.
pub const LINK_INCOMING: usize = 1024;

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
/// Between two stateless resets: small, since after a restart thousands of
/// gateways wait for theirs; each is shorter than the packet that it answers.
pub const LINK_RESET_INTERVAL: Duration = Duration::from_micros(200);
/// Bytes of kernel buffers asked for a link's UDP socket, each way; the system
/// may give less (`net.core.rmem_max`), and a burst is lost then and sent again.
pub const UDP_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Tries of one enrollment with the same key, when the answer is lost.
pub const ENROLL_TRIES: u32 = 3;

// --- identity ---

/// Life of the root certificate. A browser never sees it; it can be kept
/// offline.
pub const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Life of an intermediate certificate, which signs all others, unless the
/// core's settings say otherwise; none of them outlives it. The core makes the
/// next one long before.
pub const INTERMEDIATE_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
/// What the settings may say, seconds. Below a day is for tests.
pub const INTERMEDIATE_RANGE: std::ops::RangeInclusive<u64> = 10..=5 * 365 * 24 * 3600;
/// The next intermediate is made when this part of the life of the one in use is
/// over: time enough to fetch an offline root.
pub const INTERMEDIATE_PREPARE: f64 = 0.5;
/// It is used from here on. What is left of the old one's life is as long as the
/// longest certificate that it signed.
pub const INTERMEDIATE_ACTIVATE: f64 = 2.0 / 3.0;
/// Intermediates that signed before and are kept; an older one is forgotten.
pub const OLD_INTERMEDIATES: usize = 4;
/// Cost of a guess at the passphrase of the CA's keys: scrypt with 2 to this
/// power, blocks of 8 (16 MiB of memory); more is beyond what openssl opens.
pub const PASSPHRASE_LOG_N: u8 = 14;
/// Bytes of a passphrase.
pub const PASSPHRASE_BYTES: std::ops::RangeInclusive<usize> = 8..=1024;
/// Members that are named when a rotation waits for them, and certificates that
/// `Admin.Status` lists.
pub const MEMBERS_NAMED: usize = 256;
/// Certificates begin this long before they are made, for clocks that are
/// behind.
pub const BACKDATE: Duration = Duration::from_secs(60);
/// Bytes of a private file (key, chain, token); a larger one is refused.
pub const PRIVATE_FILE_BYTES: u64 = 64 * 1024;
/// Life of a join token: the default, and its bounds.
pub const JOIN_TOKEN: Duration = Duration::from_secs(15 * 60);
/// The shortest and the longest life of a join token that may be asked for.
pub const JOIN_TOKEN_RANGE: std::ops::RangeInclusive<u64> = 60..=24 * 3600;
/// How long the same key may ask again for a lost enrollment answer.
pub const ENROLL_AGAIN: Duration = Duration::from_secs(5 * 60);
/// Bytes of a signing request; more is `TOO_LARGE`.
pub const CSR_BYTES: usize = 4096;
/// Uses of one join token.
pub const TOKEN_USES: std::ops::RangeInclusive<u32> = 1..=1000;
/// Join tokens that can be used at one time; one more is not made (`LIMIT`).
pub const JOIN_TOKENS: usize = 256;
/// Labels of one join token, and so of one gateway; more is `INVALID`.
pub const LABELS: usize = 16;
/// Characters of a label's key.
pub const LABEL_KEY_CHARS: usize = 32;
/// Characters of a label's value.
pub const LABEL_VALUE_CHARS: usize = 64;
/// Characters of the network of a join token: the longest IPv6 address with its
/// prefix; more is `INVALID`.
pub const NETWORK_CHARS: usize = 43;
/// How long a person may take to approve a machine; then it is turned away.
pub const APPROVAL: Duration = Duration::from_secs(3600);
/// How long an approved machine may take to ask for its certificate.
pub const APPROVED: Duration = Duration::from_secs(3600);
/// Machines that wait for approval at once; one more is told `LIMIT`, and its
/// token is not used up.
pub const PENDING_GATEWAYS: usize = 64;
/// How long one call of a waiting machine is held; then it asks again.
pub const PENDING_CALL: Duration = Duration::from_secs(15);
/// New enrollments in a minute from one address; more is `RATE_LIMITED`. Who
/// asks again with the key of before is not counted.
pub const ENROLL_PER_MINUTE: u32 = 5;
/// New enrollments in a minute from everywhere; more is `RATE_LIMITED`.
pub const ENROLL_WHOLE_PER_MINUTE: u32 = 60;
/// Calls of `Enroll` in a minute from one address, those that ask again
/// included; more is `RATE_LIMITED`.
pub const ENROLL_CALLS_PER_MINUTE: u32 = 300;
/// How long a live link may take to answer when another machine shows its
/// identity: four of its round trips, but at least and at most this. One that
/// does not answer has lost its place.
pub const DUPLICATE_PROBE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));
/// For how long people are shown that two machines used one identity.
pub const DUPLICATE_SHOWN: Duration = Duration::from_secs(24 * 3600);
/// Life of a one-time sign-in secret.
pub const SIGN_IN: Duration = Duration::from_secs(10 * 60);
/// Wrong sign-ins in a minute from one edge, since each is a row of the audit;
/// more is `RATE_LIMITED`. Right ones do not count and always pass.
pub const SIGN_IN_PER_MINUTE: u32 = 30;
/// Sign-ins in a minute from one address at one edge, before the core is asked:
/// enough for a person's mistakes, and one address takes up little of the core;
/// more is `RATE_LIMITED`.
pub const SIGN_IN_PER_ADDRESS_PER_MINUTE: u32 = 10;
/// Addresses whose sign-ins one edge counts apart (an IPv6 /64 is one); those
/// beyond share the tries of one.
pub const SIGN_IN_ADDRESSES: usize = 4096;
/// Life of a ticket.
pub const TICKET: Duration = Duration::from_secs(15);
/// Tickets in a minute for one person; more is `RATE_LIMITED`.
pub const TICKETS_PER_MINUTE: u32 = 600;
/// A person's session ends after this time without use.
pub const PERSON_IDLE: Duration = Duration::from_secs(12 * 3600);
/// A person's session ends after this time in any case.
pub const PERSON_SESSION: Duration = Duration::from_secs(7 * 24 * 3600);
/// Life of a grant that goes with a call; streams are judged anew by the core.
pub const GRANT: Duration = Duration::from_secs(60);
/// Life of a gateway's certificate, unless the core's settings say otherwise; it
/// is renewed over the link long before.
pub const GATEWAY_CERTIFICATE: Duration = Duration::from_secs(24 * 3600);
/// What the settings may say, seconds. Below five minutes is for tests: a
/// gateway that is away for so long needs its durable key to come back.
pub const GATEWAY_CERTIFICATE_RANGE: std::ops::RangeInclusive<u64> = 5..=7 * 24 * 3600;
/// A gateway asks for a new certificate when this part of the old one's life is
/// over, less up to [`RENEW_SPREAD`] of it by chance.
pub const RENEW_AT: f64 = 2.0 / 3.0;
/// See [`RENEW_AT`].
pub const RENEW_SPREAD: f64 = 0.1;
/// It asks again after this part of the life, until it is answered.
pub const RENEW_AGAIN: f64 = 1.0 / 30.0;
/// It looks at the clock at least this often, because clocks jump and machines
/// sleep.
pub const RENEW_LOOK: Duration = Duration::from_secs(30);
/// Certificates of one member that count at once; a newer one puts the oldest
/// out.
pub const CERTIFICATES_OF_MEMBER: i64 = 8;
/// Revivals in a minute of one gateway; more is `RATE_LIMITED`.
pub const REVIVALS_PER_MINUTE: u32 = 4;
/// Tries to revive in a minute from one address, behind which a whole fleet may
/// wake; more is `RATE_LIMITED`.
pub const REVIVALS_PER_ADDRESS: u32 = 120;
/// How long a gateway that is taken off its machine tries to tell the core; then
/// it goes without, and a person revokes it.
pub const LEAVE: Duration = Duration::from_secs(10);
/// How often a program that waits for a daemon's link looks at what it tells.
pub const STATE_LOOK: Duration = Duration::from_millis(100);
/// Bytes of the proof of a revival or a leave.
pub const PROOF_BYTES: usize = 128;
/// Life of an edge's certificate, unless the core's settings say otherwise; the
/// edge renews it long before.
pub const EDGE_CERTIFICATE: Duration = Duration::from_secs(24 * 3600);
/// Life of an administrator's certificate, unless the core's settings say
/// otherwise; renewed when it is used. One that was not used for so long has to
/// be enrolled anew.
pub const ADMIN_CERTIFICATE: Duration = Duration::from_secs(30 * 24 * 3600);
/// What the settings may say of it, seconds.
pub const ADMIN_CERTIFICATE_RANGE: std::ops::RangeInclusive<u64> = 5..=90 * 24 * 3600;
/// Life of the core's own certificate, unless its settings say otherwise; it
/// makes the next one by itself.
pub const CORE_CERTIFICATE: Duration = Duration::from_secs(7 * 24 * 3600);
/// An administrator's program asks at least this often what to trust, when it is
/// used.
pub const TRUST_LOOK: Duration = Duration::from_secs(24 * 3600);
/// Renewals in a minute of one member; more is refused.
pub const RENEWALS_PER_MINUTE: u32 = 30;
/// Running calls of people are judged anew at least this often: one whose
/// session ended is cut.
pub const JUDGE: Duration = Duration::from_secs(30);
/// Refusals of unknown callers that are written to the audit in a minute, for
/// one address; more are only logged, so that nobody can fill the disk.
pub const REFUSALS_AUDITED_PER_MINUTE: u32 = 60;

// --- edge ---

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

// --- fleet ---

/// Events that wait for one watcher; a watcher that falls behind starts anew.
pub const WATCH_EVENTS: usize = 1024;
/// A watch without news says that it is alive.
pub const WATCH_ALIVE: Duration = Duration::from_secs(10);

// --- programs that `chatcode up` keeps running ---

/// Bytes of one program's log; beyond it the log becomes `<role>.log.1` and
/// the one before is lost.
pub const ROLE_LOG_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of a ready line; a program that prints a longer one is not ours.
pub const READY_LINE_BYTES: usize = 4 * 1024;
/// How long a program may take at its first start until it is ready; then `up`
/// fails with the end of its log.
pub const ROLE_START: Duration = Duration::from_secs(30);
/// The first and the longest pause before a program that ended is started
/// again; full jitter.
pub const ROLE_RESTART: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// A program that ran this long begins its pauses anew.
pub const ROLE_STEADY: Duration = Duration::from_secs(10);
/// Gateways of one installation; one more is not enrolled (`LIMIT`).
pub const GATEWAYS: usize = 10_000;
/// Bytes of one gateway as it is told at most, encoded.
pub const GATEWAY_BYTES: usize = 5120;
/// Gateways in one answer of `Fleet.List`; more are on the next page.
pub const FLEET_PAGE: usize = 200;
/// Sessions of one gateway that the core keeps in its directory: all of a
/// gateway at its limits, and some; more are not shown.
pub const DIRECTORY_SESSIONS: usize = 340;
/// Sessions of all gateways in the directory, so that the first picture of a
/// watch stays below half a GiB; more are not shown.
pub const DIRECTORY_SESSIONS_ALL: usize = 100_000;
/// From telling a gateway that it is revoked to closing its link.
pub const REVOKED_FAREWELL: Duration = Duration::from_millis(500);

// --- releases and updates ---

/// Bytes of a release's manifest; a longer one is none.
pub const RELEASE_MANIFEST_BYTES: usize = 64 * 1024;
/// Bytes of one file of a release; a manifest that names a larger one is none, and
/// an edge gives none out.
pub const RELEASE_FILE_BYTES: u64 = 512 * 1024 * 1024;
/// Bytes that an archive of a release unpacks to; a larger one is refused.
pub const RELEASE_UNPACKED_BYTES: u64 = 1024 * 1024 * 1024;
/// Files in an archive of a release; one with more is refused.
pub const RELEASE_ENTRIES: usize = 256;
/// Bytes of a version's text, of a channel's name, of a file's name; a manifest
/// with a longer one is none.
pub const RELEASE_VERSION_BYTES: usize = 64;
/// See [`RELEASE_VERSION_BYTES`].
pub const RELEASE_CHANNEL_BYTES: usize = 32;
/// See [`RELEASE_VERSION_BYTES`].
pub const RELEASE_NAME_BYTES: usize = 128;
/// How long a server of releases may be silent; then the download fails.
pub const RELEASE_SILENCE: Duration = Duration::from_secs(30);
/// How long a whole download may take; then it fails.
pub const RELEASE_DOWNLOAD: Duration = Duration::from_secs(30 * 60);
/// How long a new program may take to say its version; then it is not used.
pub const UPDATE_VERSION: Duration = Duration::from_secs(10);
/// How long a new daemon may take until the core has welcomed it, seconds; then
/// the one before goes on. The setting `update_trial_s` is within the range.
pub const UPDATE_TRIAL_S: u32 = 60;
/// See [`UPDATE_TRIAL_S`].
pub const UPDATE_TRIAL_RANGE: std::ops::RangeInclusive<u32> = 2..=600;
/// How long a daemon on trial may take to end when it is told to; then it is
/// killed.
pub const UPDATE_END: Duration = Duration::from_secs(10);
/// Between two looks for a newer release; each is later by up to as much again.
pub const UPDATE_LOOK: Duration = Duration::from_secs(6 * 3600);
/// The first look after the start of a daemon comes within this.
pub const UPDATE_FIRST_LOOK: Duration = Duration::from_secs(10 * 60);
/// How often a gateway that updates by itself looks at the clock; each is later by
/// up to as much again.
pub const UPDATE_TICK: Duration = Duration::from_secs(10 * 60);
/// How long the helper that installs releases may take for one order.
pub const UPDATE_HELPER: Duration = Duration::from_secs(120);

// --- backups ---

/// Bytes of one sealed piece of a backup.
pub const BACKUP_PIECE_BYTES: usize = 64 * 1024;
/// Bytes of a backup's passphrase; a shorter or longer one is refused.
pub const BACKUP_PASSPHRASE_RANGE: std::ops::RangeInclusive<usize> = 8..=1024;

// How the bounds hang together; a change that breaks one does not compile.
const _: () = assert!(OUTPUT_BYTES + 1024 <= SERVER_FRAME_BYTES);
const _: () = assert!(INPUT_BYTES + 1024 <= CLIENT_FRAME_BYTES);
const _: () = assert!(WINDOW_MAX_BYTES < HTTP2_STREAM_WINDOW);
const _: () = assert!(WINDOW_MAX_BYTES < LINK_STREAM_WINDOW);
const _: () = assert!(HTTP2_STREAM_WINDOW <= HTTP2_CONNECTION_WINDOW);
const _: () = assert!(WINDOW_MAX_BYTES as usize <= WEBSOCKET_WRITE_BYTES);
const _: () = assert!(OUTPUT_BYTES < HTTP2_FRAME_BYTES as usize);
// A list of all that there may be is one answer.
const _: () = assert!(SESSIONS_PER_GATEWAY + ENDED_SESSIONS <= DIRECTORY_SESSIONS);
const _: () = assert!(DIRECTORY_SESSIONS * SESSION_BYTES <= UNARY_BYTES);
const _: () = assert!(FLEET_PAGE * GATEWAY_BYTES + 64 <= UNARY_BYTES);
// An edge at its limits, with what it needs besides, leaves room for others.
const _: () = assert!(WEBSOCKETS + WEBSOCKETS_REFUSED + HTTP_REQUESTS <= CORE_CONNECTIONS);
const _: () = assert!(CORE_ANONYMOUS_PER_ADDRESS < CORE_ANONYMOUS);
// Those who wait for approval leave room for others, and their call is answered
// in time.
const _: () = assert!(PENDING_GATEWAYS < CORE_ANONYMOUS_PER_ADDRESS);
const _: () = assert!(PENDING_CALL.as_secs() < UNARY_DEADLINE.as_secs());
const _: () = assert!(CORE_HANDSHAKES_PER_ADDRESS < CORE_HANDSHAKES);
// Nobody who stalls takes another's share of a window.
const _: () = assert!(32 * LINK_STREAM_WINDOW <= LINK_CONNECTION_WINDOW);
const _: () = assert!(HTTP2_STREAM_WINDOW <= LINK_STREAM_WINDOW);
const _: () = assert!(UNARY_BYTES < HTTP2_STREAM_WINDOW as usize);
const _: () = assert!(LINK_UNARY_WINDOW / HTTP2_STREAM_WINDOW == HTTP2_STREAMS);
const _: () = assert!(LINK_SEND_WINDOW <= LINK_CONNECTION_WINDOW as u64);
const _: () = assert!(VIEWER_SILENCE.as_secs() > 2 * PING.as_secs());
const _: () = assert!(WEBSOCKET_SILENCE.as_secs() >= 3 * WEBSOCKET_PING.as_secs());
const _: () = assert!(WEBSOCKET_CLOSE.as_secs() < SHUTDOWN.as_secs());

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::pb;

    /// Text of so many characters, each as long as can be.
    fn long(chars: usize) -> String {
        "\u{10ffff}".repeat(chars)
    }

    fn largest_session() -> pb::Session {
        let mut command = vec![String::new(); ARGUMENTS - 1];
        command.push("x".repeat(SHOWN_COMMAND_BYTES));
        pb::Session {
            id: "x".repeat(36),
            name: long(SESSION_NAME_CHARS),
            state: i32::MAX,
            created_unix_ms: u64::MAX,
            command,
            folder: "x".repeat(SHOWN_FOLDER_BYTES),
            winsize: Some(pb::Winsize { rows: *ROWS.end(), cols: *COLS.end() }),
            exit: Some(pb::Exit {
                code: -1,
                signal: -1,
                duration_ms: u64::MAX,
                ended_unix_ms: u64::MAX,
                out_of_memory: true,
            }),
            viewers: u32::MAX,
            epoch: u64::MAX,
            lost_reason: i32::MAX,
            restart: i32::MAX,
            resume_command: vec!["x".repeat(SHOWN_RESUME_BYTES)],
            restarts: u32::MAX,
            restarts_over: true,
        }
    }

    fn largest_gateway() -> pb::Gateway {
        pb::Gateway {
            id: "x".repeat(36),
            name: long(NAME_CHARS),
            link_state: i32::MAX,
            since_unix_ms: u64::MAX,
            link_ended: i32::MAX,
            link_rtt_us: u64::MAX,
            holder_rtt_us: u64::MAX,
            host: Some(pb::HostFacts {
                hostname: long(253),
                os: long(NAME_CHARS),
                arch: long(NAME_CHARS),
                user: long(NAME_CHARS),
                kernel: long(NAME_CHARS),
            }),
            program_version: long(NAME_CHARS),
            enrolled_unix_ms: u64::MAX,
            link_epoch: u64::MAX,
            labels: largest_labels(),
            duplicate_unix_ms: u64::MAX,
        }
    }

    fn largest_labels() -> std::collections::BTreeMap<String, String> {
        let key = |number: usize| format!("{number:0width$}", width = LABEL_KEY_CHARS);
        (0..LABELS).map(|number| (key(number), "x".repeat(LABEL_VALUE_CHARS))).collect()
    }

    #[test]
    fn the_largest_lists_are_within_the_limit_of_an_answer() {
        let sessions = pb::SessionsListResponse { sessions: vec![largest_session(); DIRECTORY_SESSIONS] };
        assert!(sessions.encoded_len() <= UNARY_BYTES, "{}", sessions.encoded_len());
        let gateways = vec![largest_gateway(); FLEET_PAGE];
        let gateways = pb::FleetListResponse { gateways, next: "x".repeat(36) };
        assert!(gateways.encoded_len() <= UNARY_BYTES, "{}", gateways.encoded_len());
        let token = pb::TokenInfo {
            id: "x".repeat(64),
            kind: i32::MAX,
            name: long(NAME_CHARS),
            expires_unix_ms: u64::MAX,
            uses: u32::MAX,
            used: u32::MAX,
            labels: largest_labels(),
            approval: true,
            network: "x".repeat(NETWORK_CHARS),
            created_unix_ms: u64::MAX,
            created_by: "x".repeat(PRINCIPAL_BYTES),
        };
        let tokens = pb::FleetListTokensResponse { tokens: vec![token; JOIN_TOKENS] };
        assert!(tokens.encoded_len() <= UNARY_BYTES, "{}", tokens.encoded_len());
        let row = pb::AuditRow {
            number: u64::MAX,
            unix_ms: u64::MAX,
            principal: "x".repeat(PRINCIPAL_BYTES),
            action: "x".repeat(64),
            gateway: "x".repeat(36),
            session: "x".repeat(36),
            result: i32::MAX,
            request_id: "x".repeat(32),
            peer: "x".repeat(64),
            detail: "x".repeat(256),
            hash: vec![0; 32].into(),
        };
        let rows = pb::AuditListResponse { rows: vec![row; 1000] };
        assert!(rows.encoded_len() <= UNARY_BYTES, "{}", rows.encoded_len());
    }
}
