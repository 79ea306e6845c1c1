//! The transient systemd service of a session's holder: what whoever starts it
//! by `systemd-run` says, the gateway for its own user and the spawner for
//! another. Nothing of an order for a shell is in it.

use crate::id::SessionId;

/// The slice of all sessions of one manager, a place to limit them together.
pub const SLICE: &str = "chatcode-sessions.slice";

/// What one session may use at most, holder and all programs in it together;
/// `None`: no limit of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitLimits {
    /// Bytes of memory, and no swap besides.
    pub memory_bytes: Option<u64>,
    /// Time of processors, percent of one.
    pub cpu_percent: Option<u32>,
    /// Processes and threads.
    pub tasks: Option<u32>,
}

/// The name of a session's service.
#[must_use]
pub fn name(session: &SessionId) -> String {
    format!("chatcode-session-{session}.service")
}

/// The session of a service, by its name.
#[must_use]
pub fn session(name: &str) -> Option<SessionId> {
    name.strip_prefix("chatcode-session-")?.strip_suffix(".service")?.parse().ok()
}

/// What a session's service says of itself: also in which folder of sessions it
/// is, so that each gateway of a machine knows its own.
#[must_use]
pub fn description(session: &SessionId, sessions: &str) -> String {
    format!("Session {session} of chatcode in {sessions}")
}

/// The options of `systemd-run` for the service of a session, whose folder is in
/// the folder `sessions`; it gets the standard files of `systemd-run` itself.
#[must_use]
pub fn run_options(session: &SessionId, sessions: &str, limits: UnitLimits) -> Vec<String> {
    let mut options: Vec<String> =
        ["--quiet", "--collect", "--pipe", "--service-type=exec"].map(str::to_owned).into();
    options.push(format!("--unit={}", name(session)));
    options.push(format!("--slice={SLICE}"));
    options.push(format!("--description={}", description(session, sessions)));
    options.extend(properties(limits).into_iter().map(|set| format!("--property={set}")));
    options
}

fn properties(limits: UnitLimits) -> Vec<String> {
    let fixed = [
        // A stop is told to the holder, which ends its session by the ladder;
        // what a shell left running on purpose (tmux, nohup) outlives it.
        "KillMode=process",
        // The end of one process for want of memory is told by the holder.
        "OOMPolicy=continue",
    ];
    let mut properties: Vec<String> = fixed.map(str::to_owned).into();
    if let Some(bytes) = limits.memory_bytes {
        // No MemoryHigh below it, which slows a leak to a standstill that nobody
        // explains.
        properties.push(format!("MemoryMax={bytes}"));
        // Without it the limit only moves the session into swap.
        properties.push("MemorySwapMax=0".to_owned());
    }
    properties.extend(limits.cpu_percent.map(|percent| format!("CPUQuota={percent}%")));
    properties.extend(limits.tasks.map(|tasks| format!("TasksMax={tasks}")));
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId::from_random([7; 16]);

    #[test]
    fn a_service_is_named_after_its_session_and_has_no_limit_of_itself() {
        let made = run_options(&SESSION, "/s", UnitLimits::default());
        assert!(made.contains(&format!("--unit=chatcode-session-{SESSION}.service")), "{made:?}");
        assert_eq!(session(&name(&SESSION)), Some(SESSION));
        assert_eq!(session("chatcode-session-x.service"), None);
        assert!(!made.iter().any(|option| option.contains("Max=") || option.contains("Quota")));
    }

    #[test]
    fn each_limit_is_a_property_of_the_service() {
        let limits = UnitLimits { memory_bytes: Some(1 << 30), cpu_percent: Some(150), tasks: Some(200) };
        let made = run_options(&SESSION, "/s", limits);
        for set in ["MemoryMax=1073741824", "MemorySwapMax=0", "CPUQuota=150%", "TasksMax=200"] {
            assert!(made.contains(&format!("--property={set}")), "{set}: {made:?}");
        }
    }
}
