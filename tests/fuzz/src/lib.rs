//! Fuzzing on the stable toolchain: the corpus is replayed, then inputs are
//! made of it by a seeded mutator, and what shows something new is kept. Targets of what
//! a package shows to nobody stand in that package's own tests, beside the door.

mod campaign;
mod corpus;
mod minimise;
mod mutate;
mod sight;

pub use campaign::{Case, Target, run};
pub use sight::{lines, sight, size};
