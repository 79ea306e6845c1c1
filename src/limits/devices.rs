//! Logins of programs by a device code (RFC 8628).

use std::time::Duration;

/// How long a login waits for a person; then it has expired.
pub const DEVICE: Duration = Duration::from_secs(10 * 60);
/// The least time between two polls of one login; one that is sooner is told to
/// slow down.
pub const DEVICE_POLL: Duration = Duration::from_secs(2);
/// By so much each poll that is too soon makes that time longer (RFC 8628, 3.5).
pub const DEVICE_SLOW_DOWN: Duration = Duration::from_secs(5);
/// The longest that it gets.
pub const DEVICE_POLL_LONGEST: Duration = Duration::from_secs(60);
/// Polls may come so much too soon, for what networks do to their rhythm.
pub const DEVICE_POLL_EARLY: Duration = Duration::from_millis(500);
/// Logins that are begun in a minute from one address; more is `RATE_LIMITED`.
pub const DEVICES_PER_MINUTE: u32 = 10;
/// Logins of one address that wait; one more is `RATE_LIMITED`.
pub const DEVICES_OF_ADDRESS: u32 = 8;
/// Logins that wait in all; with one more the oldest that nobody has decided on
/// goes, so that no flood keeps anybody from beginning.
pub const DEVICES: u32 = 1024;
/// Unknown device codes in a minute from one address; more is `RATE_LIMITED`.
pub const DEVICES_UNKNOWN_PER_MINUTE: u32 = 30;
/// Wrong user codes in a minute of one person; more is `RATE_LIMITED`: nobody
/// finds one of the codes that wait among 20 to the power of 8.
pub const USER_CODES_WRONG_PER_MINUTE: u32 = 10;
/// Letters of a user code.
pub const USER_CODE_CHARS: usize = 8;
/// Characters of a user code as a person may type it; a longer text is none.
pub const USER_CODE_TYPED_CHARS: usize = 32;
/// Life of the API token of a login, unless asked otherwise.
pub const DEVICE_TOKEN: Duration = Duration::from_secs(30 * 24 * 3600);
/// Characters that are shown of what a program and its machine call themselves.
pub const DEVICE_NAME_CHARS: usize = 64;
/// Bytes of what an edge tells of its installation, of which a program reads no
/// more.
pub const WELL_KNOWN_BYTES: usize = 64 * 1024;
/// How long a program waits for that.
pub const WELL_KNOWN_WAIT: Duration = Duration::from_secs(15);
/// Contexts of one person on one machine; one more is refused.
pub const CONTEXTS: usize = 64;
/// Characters of a context's name.
pub const CONTEXT_CHARS: usize = 64;
