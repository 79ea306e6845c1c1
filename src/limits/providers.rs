//! Identity providers and mail: what others are asked when a person signs in.

use std::time::Duration;

/// Identity providers of one installation; more stop the core's start.
pub const PROVIDERS: usize = 16;
/// Characters of the id of an identity provider; a longer one stops the core's start.
pub const PROVIDER_ID_CHARS: usize = 32;
/// Domains that one provider may be held to; more stop the core's start.
pub const PROVIDER_DOMAINS: usize = 64;
/// Bytes of one answer of a provider, its keys or a token; a longer one counts as
/// no answer.
pub const PROVIDER_ANSWER_BYTES: usize = 256 * 1024;
/// Time for one answer of a provider, from the connection to the last byte.
pub const PROVIDER_ANSWER: Duration = Duration::from_secs(10);
/// Time for all that a provider is asked for one sign-in, below the deadline of
/// the call: token, keys, claims.
pub const PROVIDER_SIGN_IN: Duration = Duration::from_secs(15);
/// Sign-ins for which one provider is asked at once; one more is `LIMIT`.
pub const PROVIDER_CALLS: usize = 32;
/// A provider that did not say what it is, or not as it should, is not asked for this
/// time; whoever wants to sign in by it is told at once.
pub const PROVIDER_FAILED: Duration = Duration::from_secs(10);
/// What a provider says of itself, its keys too, is asked for anew after this time.
pub const PROVIDER_FACTS: Duration = Duration::from_secs(3600);
/// A key that is not known makes the facts be asked for anew, as seldom as this.
pub const PROVIDER_FACTS_AGAIN: Duration = Duration::from_secs(60);
/// Keys of one provider; with more it counts as one without an answer.
pub const PROVIDER_KEYS: usize = 64;
/// Bytes of an identity token; a longer one is refused.
pub const ID_TOKEN_BYTES: usize = 64 * 1024;
/// Bytes of the code that a provider gives, and of what else it sends back with the
/// browser; more is `INVALID`.
pub const PROVIDER_CODE_BYTES: usize = 4096;
/// Groups of one person that count; those beyond are not looked at.
pub const PROVIDER_GROUPS: usize = 256;
/// Life of a sign-in that waits for its provider.
pub const PROVIDER_WAIT: Duration = Duration::from_secs(10 * 60);

/// Life of a sign-in mail: of its link and of its code.
pub const MAIL: Duration = Duration::from_secs(10 * 60);
/// Mails in an hour to one address that one asks for: a person who is in, or an
/// address of the network (an IPv6 /64 is one); more is `RATE_LIMITED`, whether
/// anybody has the address or not.
pub const MAILS_PER_ADDRESS: u32 = 5;
/// Mails in an hour to one address that all ask for together; more is `RATE_LIMITED`.
/// So many that a few who ask for another's mail do not shut them out, and so few
/// that nobody's mailbox is filled.
pub const MAILS_TO_ADDRESS: u32 = 40;
/// Mails in an hour that one asks for, as above; more is `RATE_LIMITED`.
pub const MAILS_PER_CLIENT: u32 = 20;
/// Mails that wait to be sent; one more is `LIMIT` for whoever asks.
pub const MAILS_WAITING: usize = 64;
/// Time to hand one mail to the mail server; then it is tried once more.
pub const MAIL_SEND: Duration = Duration::from_secs(20);
/// Sign-ins by mail that wait to be proven; of more the oldest goes.
pub const MAIL_SIGN_INS: u32 = 4096;
/// Decimal digits of the code in a mail.
pub const MAIL_CODE_DIGITS: usize = 8;
/// Wrong codes for one mail; the last one takes link and code back.
pub const MAIL_CODE_TRIES: u32 = 5;
/// How old what a provider knows of a person may be before it has to ask them again: as
/// long as our own session lasts, so that it asks nobody more often than without.
pub const PROVIDER_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
