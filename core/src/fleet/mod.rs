//! The machines: which there are, which are linked, and what runs on them.

pub mod facts;
pub mod hub;
pub mod registry;
pub mod watch;
