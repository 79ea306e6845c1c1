//! The generated code, and nothing else.
#![allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
include!(concat!(env!("OUT_DIR"), "/chatcode.v1.rs"));
