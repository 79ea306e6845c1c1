//! A machine and what one may ask of it.

use std::time::Duration;

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
