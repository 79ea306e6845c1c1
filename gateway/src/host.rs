//! Facts of this machine, as the Hello tells them to the core.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use chatcode_proto::{name::display_safe, pb};

/// Characters of a host name, of a system's or user's name; more is cut.
const HOSTNAME_CHARS: usize = 253;
const FACT_CHARS: usize = 64;
/// Of the kernel's name of a boot, a UUID.
const KERNEL_CHARS: usize = 36;

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

/// Names this life of the machine, from its start to its shutdown; empty where
/// the system does not tell.
pub(crate) fn boot_id() -> String {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    life(&read("/proc/sys/kernel/random/boot_id"), &read("/proc/1/stat"))
}

/// A container that is started again has the kernel of before, whose name stays,
/// but another first process: so its start, in clock ticks, is part of the name.
fn life(kernel: &str, first_process: &str) -> String {
    let kernel = display_safe(kernel.trim(), KERNEL_CHARS);
    match started(first_process) {
        Some(ticks) if !kernel.is_empty() => format!("{kernel}/{ticks}"),
        _ => kernel,
    }
}

/// When this life of the machine began; `None` where the system does not tell.
pub(crate) fn booted_at() -> Option<SystemTime> {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    SystemTime::now().checked_sub(age(&read("/proc/uptime"), &read("/proc/1/stat"), ticks_per_second)?)
}

/// For how long the first process runs; the kernel, where that is hidden or told
/// by another clock.
fn age(uptime: &str, first_process: &str, ticks_per_second: u64) -> Option<Duration> {
    let kernel = Duration::from_secs(uptime.split('.').next()?.parse().ok()?);
    let start = started(first_process).and_then(|ticks| ticks.checked_div(ticks_per_second));
    Some(start.and_then(|start| kernel.checked_sub(Duration::from_secs(start))).unwrap_or(kernel))
}

/// Reads the start of a process from its `pid (name) state parent ...`; the name
/// may hold anything.
fn started(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
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

    const KERNEL: &str = "773d0fae-cb5c-431d-94d0-9edb0b65246f\n";

    fn first_process(name: &str, ticks: u64) -> String {
        format!("1 ({name}) S 0 1 1 0 -1 4194560 9 9 9 9 7 7 7 7 20 0 1 0 {ticks} 172032 3300 184467\n")
    }

    #[test]
    fn a_container_that_was_started_again_has_another_life_though_its_kernel_is_the_same() {
        let first = life(KERNEL, &first_process("systemd", 4_894_320));
        assert_eq!(first, life(KERNEL, &first_process("a) b (c", 4_894_320)), "the same life");
        assert_ne!(first, life(KERNEL, &first_process("systemd", 4_894_527)));
        assert!(life(KERNEL, &first_process("systemd", u64::MAX)).len() <= FACT_CHARS);
    }

    #[test]
    fn a_life_is_as_old_as_the_first_process_also_in_a_container_that_was_started_again() {
        let age = |uptime, stat: &str| age(uptime, stat, 100);
        assert_eq!(age("60000.42 90.0\n", &first_process("systemd", 31)), Some(Duration::from_secs(60_000)));
        assert_eq!(
            age("60000.42 90.0\n", &first_process("a) b (c", 5_990_000)),
            Some(Duration::from_secs(100))
        );
        assert_eq!(age("60000.42 90.0\n", ""), Some(Duration::from_secs(60_000)), "hidden");
        let other_clock = age("50.0 9.0\n", &first_process("systemd", 5_990_000));
        assert_eq!(other_clock, Some(Duration::from_secs(50)));
        assert_eq!(age("", &first_process("systemd", 31)), None);
    }

    #[test]
    fn a_life_is_named_by_the_kernel_alone_where_the_first_process_is_hidden_and_not_at_all_without() {
        assert_eq!(life(KERNEL, ""), KERNEL.trim());
        assert_eq!(life("", &first_process("systemd", 1)), "");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_a_life_and_it_stays_the_same() {
        assert!(!boot_id().is_empty());
        assert_eq!(boot_id(), boot_id());
        let first = fs::read_to_string("/proc/1/stat").unwrap_or_default();
        assert!(first.is_empty() || started(&first).is_some(), "{first}");
    }
}
