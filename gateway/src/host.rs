//! Facts of this machine, as the Hello tells them to the core.

use std::fs;

use chatcode_proto::{name::display_safe, pb};

/// Characters of a host name, of a system's or user's name; more is cut.
const HOSTNAME_CHARS: usize = 253;
const FACT_CHARS: usize = 64;

/// Facts for people; `user` is whose shells are started.
pub(crate) fn facts(user: &str) -> pb::HostFacts {
    let system = rustix::system::uname();
    pb::HostFacts {
        hostname: display_safe(&system.nodename().to_string_lossy(), HOSTNAME_CHARS),
        os: display_safe(&system.sysname().to_string_lossy().to_lowercase(), FACT_CHARS),
        arch: display_safe(&system.machine().to_string_lossy(), FACT_CHARS),
        user: display_safe(user, FACT_CHARS),
        kernel: display_safe(&system.release().to_string_lossy(), FACT_CHARS),
    }
}

/// Names this run of the kernel; empty where the system does not tell.
pub(crate) fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    display_safe(text.trim(), FACT_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_are_there_and_harmless() {
        let facts = facts("ada\u{1b}[2J");
        assert!(!facts.os.is_empty() && !facts.arch.is_empty());
        assert!(!facts.user.contains('\u{1b}'));
        assert!(boot_id().len() <= FACT_CHARS);
    }
}
