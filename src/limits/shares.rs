//! Sharing: links to one session, and their guests.

use std::{ops::RangeInclusive, time::Duration};

/// How long a link counts that says nothing else.
pub const SHARE: Duration = Duration::from_secs(24 * 3600);
/// How long a link may count, seconds; others are `INVALID`.
pub const SHARE_RANGE: RangeInclusive<u64> = 300..=30 * 24 * 3600;
/// How many guests a link may let in; others are `INVALID`.
pub const SHARE_USES: RangeInclusive<u32> = 1..=100;
/// Links that count of one session; one more is `LIMIT`.
pub const SHARES_OF_SESSION: u32 = 16;
/// Links that count of one person or program; one more is `LIMIT`.
pub const SHARES_OF_CREATOR: u32 = 64;
/// Links in one answer, the newest ones.
pub const SHARES_LISTED: u32 = 256;
/// Characters of a link's passphrase; others are `INVALID`.
pub const SHARE_PASSPHRASE_CHARS: RangeInclusive<usize> = 8..=128;
/// Passphrases in an hour for one link from one address, right ones too; more is
/// `RATE_LIMITED`.
pub const SHARE_PASSPHRASES_PER_ADDRESS: u32 = 20;
/// The same for one link from everywhere.
pub const SHARE_PASSPHRASES_PER_LINK: u32 = 200;
/// Wrong links in a minute from one edge, since each is a row of the audit; more is
/// `RATE_LIMITED`. Right ones do not count and always pass.
pub const SHARE_WRONG_PER_MINUTE: u32 = 30;
/// Looks at links, and tries to come in by one, in a minute from one address at one
/// edge; more is `RATE_LIMITED`.
pub const SHARE_TRIES_PER_ADDRESS_PER_MINUTE: u32 = 30;
/// Characters of the name that a guest gives; more is `INVALID`.
pub const GUEST_NAME_CHARS: usize = 48;
/// Links and their guests are kept for so long after their end.
pub const SHARE_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often it is looked for links that have ended, unless one is about to.
pub const SHARE_LOOK: Duration = Duration::from_secs(60);
