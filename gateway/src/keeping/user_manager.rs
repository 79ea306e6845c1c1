//! One transient service of the user's systemd for each holder, by
//! `systemd-run`: it hands its own standard files to the service, so the spec
//! never stands in an argument or a property.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Stdio,
};

use chatcode_proto::{
    id::SessionId,
    limits,
    unit::{self, UnitLimits},
};
use tokio::{process::Command, time::timeout};

use super::{KeepingError, Surroundings};
use crate::config::Places;

/// The user's systemd, as it answered at the daemon's start.
#[derive(Debug)]
pub(crate) struct UserManager {
    run: PathBuf,
    control: PathBuf,
    runtime_dir: PathBuf,
    limits: UnitLimits,
}

impl UserManager {
    /// Looks for it and for its programs.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn find(around: &Surroundings, limits: UnitLimits) -> Result<Self, KeepingError> {
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
    pub(super) fn run_arguments(&self, places: &Places, session: &SessionId) -> Vec<OsString> {
        let options = unit::run_options(session, &places.sessions.to_string_lossy(), self.limits);
        let mut arguments: Vec<OsString> = vec!["--user".into()];
        arguments.extend(options.into_iter().map(OsString::from));
        arguments.push("--".into());
        arguments.push(places.holder.clone().into());
        arguments
    }

    /// Asks for the services of sessions that run.
    pub(super) fn list(&self) -> Command {
        let mut command = Command::new(&self.control);
        command.arg("--user").env_clear().envs(self.environment());
        command
    }

    /// Ends the service of a start that failed, whatever is left of it.
    pub(super) async fn clear(&self, session: &SessionId) {
        let unit = unit::name(session);
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
