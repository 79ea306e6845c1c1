//! Links over real sockets of this machine.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod both_ways;
mod enrolling;
mod moves;
mod over_tcp;
mod refused;
mod world;
