//! The real program, its real socket, real shells.
#![expect(clippy::expect_used, reason = "helpers of tests are not seen as tests by the lint")]

mod cgroup;
mod ending;
mod hostile;
mod last_screen;
mod output;
mod starting;
mod support;
mod typing;
