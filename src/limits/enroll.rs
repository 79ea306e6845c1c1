//! Joining: tokens, approval, copies of an identity.

use std::time::Duration;

/// Life of a join token: the default, and its bounds.
pub const JOIN_TOKEN: Duration = Duration::from_secs(15 * 60);
/// The shortest and the longest life of a join token that may be asked for.
pub const JOIN_TOKEN_RANGE: std::ops::RangeInclusive<u64> = 60..=24 * 3600;
/// How long the same key may ask again for a lost enrollment answer.
pub const ENROLL_AGAIN: Duration = Duration::from_secs(5 * 60);
/// Bytes of a signing request; more is `TOO_LARGE`.
pub const CSR_BYTES: usize = 4096;
/// Uses of one join token.
pub const TOKEN_USES: std::ops::RangeInclusive<u32> = 1..=1000;
/// Join tokens that can be used at one time; one more is not made (`LIMIT`).
pub const JOIN_TOKENS: usize = 256;
/// Labels of one join token, and so of one gateway; more is `INVALID`.
pub const LABELS: usize = 16;
/// Characters of a label's key.
pub const LABEL_KEY_CHARS: usize = 32;
/// Characters of a label's value.
pub const LABEL_VALUE_CHARS: usize = 64;
/// Characters of the network of a join token: the longest IPv6 address with its
/// prefix; more is `INVALID`.
pub const NETWORK_CHARS: usize = 43;
/// How long a person may take to approve a machine; then it is turned away.
pub const APPROVAL: Duration = Duration::from_secs(3600);
/// How long an approved machine may take to ask for its certificate.
pub const APPROVED: Duration = Duration::from_secs(3600);
/// Machines that wait for approval at once; one more is told `LIMIT`, and its
/// token is not used up.
pub const PENDING_GATEWAYS: usize = 64;
/// How long one call of a waiting machine is held; then it asks again.
pub const PENDING_CALL: Duration = Duration::from_secs(15);
/// New enrollments in a minute from one address; more is `RATE_LIMITED`. Who
/// asks again with the key of before is not counted.
pub const ENROLL_PER_MINUTE: u32 = 5;
/// New enrollments in a minute from everywhere; more is `RATE_LIMITED`.
pub const ENROLL_WHOLE_PER_MINUTE: u32 = 60;
/// Calls of `Enroll` in a minute from one address, those that ask again
/// included; more is `RATE_LIMITED`.
pub const ENROLL_CALLS_PER_MINUTE: u32 = 300;
/// How long a live link may take to answer when another machine shows its
/// identity: four of its round trips, but at least and at most this. One that
/// does not answer has lost its place.
pub const DUPLICATE_PROBE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));
/// Alarms about an identity that two machines use, of one gateway in a minute:
/// one, and another at once when a person has acknowledged that. More are told to
/// the copy only.
pub const DUPLICATE_ALARMS_PER_MINUTE: u32 = 2;
/// How long a gateway that is taken off its machine tries to tell the core; then
/// it goes without, and a person revokes it.
pub const LEAVE: Duration = Duration::from_secs(10);
/// Tries of one enrollment with the same key, when the answer is lost.
pub const ENROLL_TRIES: u32 = 3;
