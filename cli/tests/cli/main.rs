//! The command line as people use it: real programs, real ports, a real
//! terminal.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod attach;
mod auditing;
mod contexts;
mod pty;
mod sharing;
mod support;
mod up;
