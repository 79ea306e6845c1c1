//! Fuzzing on the stable toolchain: the corpus is replayed, then inputs are
//! made of it by a seeded mutator, and what shows something new is kept.

mod campaign;
mod corpus;
mod minimise;
mod mutate;

pub use campaign::{Case, Target, run};
