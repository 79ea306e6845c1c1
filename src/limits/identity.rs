//! The CA, certificates and what renews them.

use std::time::Duration;

/// Life of the root certificate. A browser never sees it; it can be kept
/// offline.
pub const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Life of an intermediate certificate, which signs all others, unless the
/// core's settings say otherwise; none of them outlives it. The core makes the
/// next one long before.
pub const INTERMEDIATE_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
/// What the settings may say, seconds.
pub const INTERMEDIATE_RANGE: std::ops::RangeInclusive<u64> = 24 * 3600..=5 * 365 * 24 * 3600;
/// The next intermediate is made when this part of the life of the one in use is
/// over: time enough to fetch an offline root.
pub const INTERMEDIATE_PREPARE: f64 = 0.5;
/// It is used from here on. What is left of the old one's life is as long as the
/// longest certificate that it signed.
pub const INTERMEDIATE_ACTIVATE: f64 = 2.0 / 3.0;
/// Intermediates that signed before and are kept; an older one is forgotten.
pub const OLD_INTERMEDIATES: usize = 4;
/// Cost of a guess at the passphrase of the CA's keys: scrypt with 2 to this
/// power, blocks of 8 (16 MiB of memory); more is beyond what openssl opens.
pub const PASSPHRASE_LOG_N: u8 = 14;
/// Bytes of a passphrase.
pub const PASSPHRASE_BYTES: std::ops::RangeInclusive<usize> = 8..=1024;
/// Members that are named when a rotation waits for them, and certificates that
/// `Admin.Status` lists.
pub const MEMBERS_NAMED: usize = 256;
/// Edges and administrators in one answer; the rest is on the next page.
pub const MEMBERS_PAGE: u32 = 200;
/// How long a program that revokes itself may still read the answer.
pub const OWN_REVOCATION: Duration = Duration::from_millis(300);
/// Certificates begin this long before they are made, for clocks that are
/// behind.
pub const BACKDATE: Duration = Duration::from_secs(60);
/// Bytes of a private file (key, chain, token); a larger one is refused.
pub const PRIVATE_FILE_BYTES: u64 = 64 * 1024;
/// Life of a gateway's certificate, unless the core's settings say otherwise; it
/// is renewed over the link long before.
pub const GATEWAY_CERTIFICATE: Duration = Duration::from_secs(24 * 3600);
/// What the settings may say, seconds. A gateway that is away for longer than a
/// third of it needs its durable key to come back.
pub const GATEWAY_CERTIFICATE_RANGE: std::ops::RangeInclusive<u64> = 5 * 60..=7 * 24 * 3600;
/// The shortest life of any certificate where the setting `short_lives` says that
/// the core is a test's, seconds.
pub const SHORT_LIFE_S: u64 = 5;
/// A gateway asks for a new certificate when this part of the old one's life is
/// over, less up to [`RENEW_SPREAD`] of it by chance.
pub const RENEW_AT: f64 = 2.0 / 3.0;
/// See [`RENEW_AT`].
pub const RENEW_SPREAD: f64 = 0.1;
/// It asks again after this part of the life, until it is answered.
pub const RENEW_AGAIN: f64 = 1.0 / 30.0;
/// It looks at the clock at least this often, because clocks jump and machines
/// sleep.
pub const RENEW_LOOK: Duration = Duration::from_secs(30);
/// Certificates of one member that count at once; a newer one puts the oldest
/// out.
pub const CERTIFICATES_OF_MEMBER: i64 = 8;
/// Revivals in a minute of one gateway; more is `RATE_LIMITED`.
pub const REVIVALS_PER_MINUTE: u32 = 4;
/// Tries to revive in a minute from one address, behind which a whole fleet may
/// wake; more is `RATE_LIMITED`.
pub const REVIVALS_PER_ADDRESS: u32 = 120;
/// How often a program that waits for a daemon's link looks at what it tells.
pub const STATE_LOOK: Duration = Duration::from_millis(100);
/// Bytes of the proof of a revival or a leave.
pub const PROOF_BYTES: usize = 128;
/// Life of an edge's certificate, unless the core's settings say otherwise; the
/// edge renews it long before.
pub const EDGE_CERTIFICATE: Duration = Duration::from_secs(24 * 3600);
/// Life of an administrator's certificate, unless the core's settings say
/// otherwise; renewed when it is used. One that was not used for so long has to
/// be enrolled anew.
pub const ADMIN_CERTIFICATE: Duration = Duration::from_secs(30 * 24 * 3600);
/// What the settings may say of it, and of the core's own, seconds.
pub const ADMIN_CERTIFICATE_RANGE: std::ops::RangeInclusive<u64> = 5 * 60..=90 * 24 * 3600;
/// Life of the core's own certificate, unless its settings say otherwise; it
/// makes the next one by itself.
pub const CORE_CERTIFICATE: Duration = Duration::from_secs(7 * 24 * 3600);
/// An administrator's program asks at least this often what to trust, when it is
/// used.
pub const TRUST_LOOK: Duration = Duration::from_secs(24 * 3600);
/// Renewals in a minute of one member; more is refused.
pub const RENEWALS_PER_MINUTE: u32 = 30;
