//! One transient service of the user's systemd for each holder, by
//! `systemd-run`: it hands its own standard files to the service, so the spec
//! never stands in an argument or a property.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Stdio,
};

use chatcode_proto::{id::SessionId, limits};
use tokio::{process::Command, time::timeout};

use super::{KeepingError, SessionLimits, Surroundings};

/// The slice of all sessions, a place to limit them together.
const SLICE: &str = "chatcode-sessions.slice";

/// The user's systemd, as it answered at the daemon's start.
#[derive(Debug)]
pub(crate) struct UserManager {
    run: PathBuf,
    control: PathBuf,
    runtime_dir: PathBuf,
    limits: SessionLimits,
}

impl UserManager {
    /// Looks for it and for its programs.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn find(around: &Surroundings, limits: SessionLimits) -> Result<Self, KeepingError> {
        let program = |name| around.program(name).ok_or(KeepingError::NoProgram(name));
        let runtime_dir = around
            .answering_runtime_dir()
            .ok_or_else(|| KeepingError::NoUserManager(around.runtime_dir.clone()))?
            .to_owned();
        Ok(Self { run: program("systemd-run")?, control: program("systemctl")?, runtime_dir, limits })
    }

    pub(super) fn run_program(&self) -> &Path {
        &self.run
    }

    /// What systemd's programs need to find the manager.
    pub(super) fn environment(&self) -> [(&'static str, &OsStr); 1] {
        [("XDG_RUNTIME_DIR", self.runtime_dir.as_os_str())]
    }

    /// The arguments of `systemd-run` for one holder.
    pub(super) fn run_arguments(&self, holder: &Path, session: &SessionId) -> Vec<OsString> {
        let options = ["--user", "--quiet", "--collect", "--pipe", "--service-type=exec"];
        let mut arguments: Vec<OsString> = options.map(OsString::from).into();
        arguments.push(format!("--unit={}", unit(session)).into());
        arguments.push(format!("--slice={SLICE}").into());
        arguments.push(format!("--description=Session {session} of chatcode").into());
        arguments.extend(properties(self.limits).into_iter().map(|set| format!("--property={set}").into()));
        arguments.push("--".into());
        arguments.push(holder.into());
        arguments
    }

    /// Ends the service of a start that failed, whatever is left of it.
    pub(super) async fn clear(&self, session: &SessionId) {
        let unit = unit(session);
        // A stop also takes back a start that still waits.
        for order in [["kill", "--signal=KILL"], ["stop", "--no-block"]] {
            let mut command = Command::new(&self.control);
            command.arg("--user").args(order).arg(&unit).env_clear().envs(self.environment());
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
            // It fails when there is no such service, which is well.
            let ended = timeout(limits::HOLDER_FAREWELL, command.status()).await;
            tracing::debug!(unit, order = order[0], ?ended, "clearing a holder's service");
        }
    }
}

/// The service's name.
fn unit(session: &SessionId) -> String {
    format!("chatcode-session-{session}.service")
}

fn properties(limits: SessionLimits) -> Vec<String> {
    let fixed = [
        // A stop is told to the holder, which ends its session by the ladder;
        // what a shell left running on purpose (tmux, nohup) outlives it.
        "KillMode=process",
        // The end of one process for want of memory is told by the holder.
        "OOMPolicy=continue",
    ];
    let mut properties: Vec<String> = fixed.map(str::to_owned).into();
    if let Some(bytes) = limits.memory_bytes {
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

    fn arguments(limits: SessionLimits) -> Vec<String> {
        let manager = UserManager {
            run: "/usr/bin/systemd-run".into(),
            control: "/usr/bin/systemctl".into(),
            runtime_dir: "/run/user/1000".into(),
            limits,
        };
        let made = manager.run_arguments(Path::new("/opt/holder"), &SessionId::from_random([7; 16]));
        made.into_iter().map(|argument| argument.into_string().expect("is text")).collect()
    }

    #[test]
    fn a_service_is_named_after_its_session_and_runs_the_holder_without_an_argument() {
        let made = arguments(SessionLimits::default());
        let session = SessionId::from_random([7; 16]);
        assert!(made.contains(&format!("--unit=chatcode-session-{session}.service")), "{made:?}");
        assert_eq!(made[made.len() - 2..], ["--", "/opt/holder"]);
        assert!(!made.iter().any(|argument| argument.contains("Max=") || argument.contains("Quota")));
    }

    #[test]
    fn each_limit_is_a_property_of_the_service() {
        let limits = SessionLimits { memory_bytes: Some(1 << 30), cpu_percent: Some(150), tasks: Some(200) };
        let made = arguments(limits);
        for set in ["MemoryMax=1073741824", "MemorySwapMax=0", "CPUQuota=150%", "TasksMax=200"] {
            assert!(made.contains(&format!("--property={set}")), "{set}: {made:?}");
        }
    }
}
