//! People: how they sign in, and how long that counts.

use std::time::Duration;

/// Life of a one-time sign-in secret.
pub const SIGN_IN: Duration = Duration::from_secs(10 * 60);
/// Wrong sign-ins in a minute from one edge, since each is a row of the audit;
/// more is `RATE_LIMITED`. Right ones do not count and always pass.
pub const SIGN_IN_PER_MINUTE: u32 = 30;
/// Sign-ins in a minute from one address at one edge, before the core is asked:
/// enough for a person's mistakes, and one address takes up little of the core;
/// more is `RATE_LIMITED`.
pub const SIGN_IN_PER_ADDRESS_PER_MINUTE: u32 = 10;
/// Addresses whose sign-ins one edge counts apart (an IPv6 /64 is one); those
/// beyond share the tries of one.
pub const SIGN_IN_ADDRESSES: usize = 4096;
/// Life of a ticket.
pub const TICKET: Duration = Duration::from_secs(15);
/// Tickets in a minute for one person; more is `RATE_LIMITED`.
pub const TICKETS_PER_MINUTE: u32 = 600;
/// A person's session ends after this time without use.
pub const PERSON_IDLE: Duration = Duration::from_secs(12 * 3600);
/// A person's session ends after this time in any case.
pub const PERSON_SESSION: Duration = Duration::from_secs(7 * 24 * 3600);
/// Life of a grant that goes with a call; streams are judged anew by the core.
pub const GRANT: Duration = Duration::from_secs(60);
/// Running calls of people are judged anew at least this often: one whose
/// session ended is cut.
pub const JUDGE: Duration = Duration::from_secs(30);
/// Refusals of unknown callers that are written to the audit in a minute, for
/// one address; more are only logged, so that nobody can fill the disk.
pub const REFUSALS_AUDITED_PER_MINUTE: u32 = 60;
