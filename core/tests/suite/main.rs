//! The core from outside: real TLS, real QUIC, one process.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod admission;
mod api_tokens;
mod archiving;
mod auditing;
mod authenticator;
mod beyond;
mod common;
mod devices;
mod directory;
mod doors;
mod enrollment;
mod gateway;
mod grouping;
mod identities;
mod keeping;
mod linking;
mod mailing;
mod members;
mod over_tcp;
mod passing;
mod passwords;
mod people;
mod permitting;
mod provider;
mod redeeming;
mod renewing;
mod revival;
mod rights;
mod rotating;
mod schema;
mod sharing;
mod sharing_long;
mod signing_in;
mod slow;
mod taking_over;
mod tokens;
mod tries;
mod vouching;
mod vouching_beyond;
mod watching;
