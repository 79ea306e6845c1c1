//! The contract of chatcode: what may cross a process border, and the pure
//! rules of a session.
//!
//! Nothing here does I/O, reads a clock, draws a random number or starts a
//! task: time, randomness and bytes are passed in. `tests/house.rs` keeps it so.
//!
//! - [`pb`]: the generated schema; [`rules`]: the rule of every method.
//! - [`id`], [`name`], [`label`], [`negotiate`]: what identifies things, and how ends agree.
//! - [`code`]: one vocabulary of causes; [`limits`]: one page of bounds.
//! - [`metadata`], [`framing`], `codec`: how calls name their target, how bytes are cut, and messages become bytes.
//! - [`backoff`]: when to come back; [`unit`]: a holder as systemd sees it.
//! - [`restart`]: which sessions are started again; [`roomy`]: a large buffer.
//! - [`session`]: the rules of the holder's end; [`viewer`]: of the viewer's.

pub mod backoff;
pub mod code;
#[cfg(feature = "grpc")]
pub mod codec;
pub mod framing;
pub mod id;
pub mod install_line;
pub mod label;
pub mod limits;
pub mod metadata;
pub mod name;
pub mod negotiate;
pub mod pb;
pub mod restart;
pub mod roomy;
pub mod rules;
pub mod session;
pub mod unit;
pub mod viewer;

/// The serialized `FileDescriptorSet` of the whole schema, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
