//! The generated code, and nothing else.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic
)]
include!(concat!(env!("OUT_DIR"), "/chatcode.v1.rs"));
