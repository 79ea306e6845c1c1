//! Somebody whom an identity provider vouches for.

use chatcode_proto::pb::PersonRole;

/// A person whom a provider vouches for, by the rules of its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// The provider's id in the configuration, for the audit.
    pub provider: String,
    /// Names the person for ever: issuer and subject.
    pub subject: String,
    /// What the list of a person's sign-ins shows; at most 64 characters.
    pub label: String,
    /// A name that can be shown; at most 64 characters.
    pub display_name: String,
    /// The verified address in lower case; empty: none.
    pub email: String,
    /// Whether that address is proof enough to be the person who has it here.
    pub trusted: bool,
    /// When the provider itself last asked the person who they are, milliseconds since
    /// 1970; `None`: it does not say.
    pub asked_ms: Option<u64>,
    /// Whether a person may be made, and with which role; unspecified: none.
    pub create: Option<PersonRole>,
    /// The groups that the person is in; `None`: groups do not count.
    pub groups: Option<Vec<String>>,
}

impl Vouched {
    /// Who says that: an issuer has no blank.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.subject.split_once(' ').map_or(self.subject.as_str(), |(issuer, _)| issuer)
    }
}
