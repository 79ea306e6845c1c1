//! A real edge in front of a stub of the core, spoken to as browsers and
//! strangers do.
#![expect(clippy::expect_used, reason = "what a test needs and does not get fails it")]

mod core_down;
mod crowd;
mod exhausted;
mod gate;
mod house;
mod http;
mod origins;
mod proxies;
mod reload;
mod secrets;
mod sharing;
mod sign_in;
mod slow;
mod sockets;
mod stalls;
mod stub;
mod tls;
mod ws;
