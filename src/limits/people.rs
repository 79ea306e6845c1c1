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
/// Challenges in a minute for one address at one edge: a sign-in page that is
/// opened asks for one; more is `RATE_LIMITED`.
pub const CHALLENGES_PER_ADDRESS_PER_MINUTE: u32 = 30;
/// How long a challenge waits for its answer: as long as browsers give a person to
/// find a key; then `BAD_TOKEN`.
pub const CHALLENGE: Duration = Duration::from_secs(5 * 60);
/// Challenges of one kind that wait, and one for each person who adds a way in; with
/// one more the oldest goes (`BAD_TOKEN` when it is answered), so that no flood keeps
/// anybody from beginning.
pub const CHALLENGES: u32 = 4096;
/// Ways to sign in of one person; one more is `LIMIT`.
pub const IDENTITIES_OF_PERSON: u32 = 32;
/// Bytes of what a passkey is asked or answers, as JSON: attestations are the
/// largest; more is `TOO_LARGE`.
pub const PASSKEY_JSON_BYTES: usize = 16 * 1024;
/// Characters of a password (NIST SP 800-63B asks for at least 8, and 64 to be
/// taken); others are `INVALID`.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 12..=128;
/// Memory of one hash of a password, KiB, and its passes: what OWASP gives for
/// argon2id with one lane.
pub const PASSWORD_HASH_KIB: u32 = 19 * 1024;
/// See [`PASSWORD_HASH_KIB`].
pub const PASSWORD_HASH_PASSES: u32 = 2;
/// Passwords that are hashed at once, so that guesses take no processor from
/// terminals; more wait.
pub const PASSWORD_HASHES: usize = 2;
/// Passwords that wait to be hashed; one more is `RATE_LIMITED`.
pub const PASSWORD_QUEUE: usize = 64;
/// Tries of a password in a minute for one account from one address, right ones
/// too; more is `RATE_LIMITED`, and so is an account that there is not.
pub const PASSWORD_PER_ADDRESS_PER_MINUTE: u32 = 10;
/// The same for one account from everywhere: guesses from many addresses come to
/// nothing. Tries from an address where its person is signed in are not among them,
/// so that no flood locks them out.
pub const PASSWORD_PER_ACCOUNT_PER_MINUTE: u32 = 60;
/// Life of a ticket.
pub const TICKET: Duration = Duration::from_secs(15);
/// Tickets in a minute for one person; more is `RATE_LIMITED`.
pub const TICKETS_PER_MINUTE: u32 = 600;
/// A person's session ends after this time without use.
pub const PERSON_IDLE: Duration = Duration::from_secs(12 * 3600);
/// A person's session ends after this time in any case.
pub const PERSON_SESSION: Duration = Duration::from_secs(7 * 24 * 3600);
/// How old the proof of who a person at a page is may be for acts that need a
/// fresh one; older is `STEP_UP_REQUIRED`.
pub const STEP_UP: Duration = Duration::from_secs(5 * 60);
/// Sessions of one person; with one more the one that was used longest ago ends.
pub const SESSIONS_OF_PERSON: u32 = 64;
/// Characters of what a browser calls itself; more is cut.
pub const DEVICE_CHARS: usize = 96;
/// People of an installation, suspended ones too; one more is `LIMIT`.
pub const PEOPLE: u32 = 1000;
/// People in one answer; the rest is on the next page.
pub const PEOPLE_PAGE: u32 = 200;
/// Characters of an e-mail address (RFC 5321, 4.5.3.1.3); more is `INVALID`.
pub const EMAIL_CHARS: usize = 254;
/// Teams of an installation; one more is `LIMIT`.
pub const TEAMS: u32 = 256;
/// Teams in one answer, each with all its members; the rest is on the next page.
pub const TEAMS_PAGE: u32 = 16;
/// Characters of the name of a group at an identity provider; more is `INVALID`.
pub const EXTERNAL_GROUP_CHARS: usize = 256;
/// Bindings of an installation, all of them in the core's memory; one more is
/// `LIMIT`.
pub const BINDINGS: u32 = 4096;
/// Bindings of one person or team; one more is `LIMIT`. A judgement looks at all
/// of a person's.
pub const BINDINGS_OF_HOLDER: u32 = 64;
/// Bindings in one answer; the rest is on the next page.
pub const BINDINGS_PAGE: u32 = 200;
/// API tokens of one person that can be used; one more is `LIMIT`.
pub const API_TOKENS_OF_PERSON: u32 = 64;
/// Life of an API token, unless asked otherwise.
pub const API_TOKEN: Duration = Duration::from_secs(90 * 24 * 3600);
/// Lives of API tokens that may be asked for, seconds; others are `INVALID`.
pub const API_TOKEN_RANGE: std::ops::RangeInclusive<u64> = 60..=365 * 24 * 3600;
/// Wrong API tokens in a minute from one address; more is `RATE_LIMITED`. Right
/// ones do not count and always pass.
pub const API_TOKENS_WRONG_PER_MINUTE: u32 = 30;
/// Life of a grant that goes with a call; streams are judged anew by the core.
pub const GRANT: Duration = Duration::from_secs(60);
/// Running calls of people are judged anew at least this often: one whose
/// session ended is cut.
pub const JUDGE: Duration = Duration::from_secs(30);
/// Refusals of unknown callers that are written to the audit in a minute, for
/// one address; more are only logged, so that nobody can fill the disk.
pub const REFUSALS_AUDITED_PER_MINUTE: u32 = 60;
