//! The rule of every method, read from the option `(chatcode.v1.rule)` of the
//! schema at build time.

use crate::pb::{AuditPolicy, Permission, Scope};

/// What the core has to know of a method before it lets a call through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What the caller must be allowed to do.
    pub permission: Permission,
    /// When a call is written to the audit.
    pub audit: AuditPolicy,
    /// What the method acts on, and so where it is served.
    pub scope: Scope,
    /// Whether a person at a page must have proven who they are within
    /// [`crate::limits::STEP_UP`].
    pub step_up: bool,
    /// Whether the client sends many messages.
    pub client_streaming: bool,
    /// Whether the server sends many messages.
    pub server_streaming: bool,
}

impl Rule {
    /// The rule of the method with this full path ("/chatcode.v1.Fleet/Watch");
    /// `None` for a method that the contract does not know.
    #[must_use]
    pub fn of(path: &str) -> Option<&'static Self> {
        RULES.iter().find(|(known, _)| *known == path).map(|(_, rule)| rule)
    }

    /// The name of the method with this full path without its package, such as
    /// "Fleet/Watch"; `None` for a method that the contract does not know.
    #[must_use]
    pub fn name_of(path: &str) -> Option<&'static str> {
        let (known, _) = RULES.iter().find(|(known, _)| *known == path)?;
        Some(known.trim_start_matches("/chatcode.v1."))
    }
}

include!(concat!(env!("OUT_DIR"), "/rules.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_schema_has_exactly_one_rule() {
        assert!(RULES.len() >= 20, "the table is there");
        for (path, rule) in RULES {
            assert_eq!(Rule::of(path), Some(rule), "{path} is listed once");
        }
        assert_eq!(Rule::of("/chatcode.v1.Terminal/Nothing"), None);
        assert_eq!(Rule::name_of("/chatcode.v1.Terminal/Nothing"), None);
        assert_eq!(Rule::name_of(crate::metadata::ATTACH), Some("Terminal/Attach"));
    }

    #[test]
    fn attach_is_a_bidirectional_call_on_a_session() {
        let rule = Rule::of(crate::metadata::ATTACH).expect("is in the contract");
        assert_eq!(rule.scope, Scope::Session);
        assert!(rule.client_streaming && rule.server_streaming);
    }
}
