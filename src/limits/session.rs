//! A session, its holder, and its restarts.

use std::time::Duration;

use super::OUTPUT_BYTES;

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
/// As many may be there for a guest to come, so that guests never keep out those who
/// share with them; one more guest is refused with `LIMIT`.
pub const VIEWERS_WITH_GUESTS: usize = 24;
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
