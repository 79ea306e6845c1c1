//! Facts that machines tell of themselves.

use chatcode_proto::{limits, name, pb::HostFacts};

/// Characters of a host name.
const HOSTNAME_CHARS: usize = 253;

/// Facts of a machine, made harmless for those who read them.
#[must_use]
pub fn shown(facts: &HostFacts) -> HostFacts {
    let short = |text: &str| name::display_safe(text, limits::NAME_CHARS);
    HostFacts {
        hostname: name::display_safe(&facts.hostname, HOSTNAME_CHARS),
        os: short(&facts.os),
        arch: short(&facts.arch),
        user: short(&facts.user),
        kernel: short(&facts.kernel),
    }
}
