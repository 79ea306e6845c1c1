//! The real daemon and the real holder, before a core that the test plays.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod afterwards;
mod attaching;
mod by_itself;
mod core;
mod exhausted;
mod keeping;
mod linking;
mod machine;
mod pinned;
mod refusing;
mod renewing;
mod restarting;
mod restarts;
mod seat;
mod sessions;
mod shells;
mod spawner;
mod systemd;
mod tmux;
mod units;
mod updating;
mod versions;
mod web;
