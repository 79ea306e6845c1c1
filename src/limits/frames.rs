//! Frames of an attachment, credit and pace.

use std::time::Duration;

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
/// Bytes of input that a viewer keeps until they are confirmed: the largest
/// paste. Beyond it the page refuses a paste whole; the CLI says how many bytes
/// it did not take.
pub const INPUT_UNCONFIRMED_BYTES: usize = 16 * 1024 * 1024;
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
