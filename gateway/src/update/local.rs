//! An update that is asked for on the machine itself: made ready by this
//! process, with its rights, and tried by the running daemon.

use std::time::Duration;

use chatcode_proto::{limits, pb};
use chatcode_release::{PlaceError, Wish};
use rustix::process::{Signal, kill_process};
use semver::Version;

use super::{InstallError, Machine, UpdateError, last};
use crate::{
    config::Config,
    lock::{DataLock, LockError},
};

/// Between two looks for what became of a trial.
const LOOK: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Only look.
    pub look_only: bool,
    /// This channel instead of the one of the settings.
    pub channel: Option<String>,
    /// This version.
    pub version: Option<Version>,
    /// The release in this folder or at this address.
    pub from: Option<String>,
    /// Go back to the version before.
    pub rollback: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// This version is installed, and there is none newer.
    Current(Version),
    /// This one may be installed.
    Available(Version),
    /// It runs.
    Updated(Version),
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// No release, or none that may be installed.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// No daemon that could try the new version.
    #[error(
        "no chatcode-gateway runs with the data folder {0}, and only a running one can tell whether a new \
         version works; start it first. (An enrollment that is under way has to end before.)"
    )]
    NoDaemon(std::path::PathBuf),
    /// The lock of the data folder cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The daemon could not be told.
    #[error("the running chatcode-gateway (process {0}) could not be told")]
    Signal(i32, #[source] std::io::Error),
    /// The new version was tried and not taken.
    #[error("version {to} was not taken, version {from} goes on: {reason}")]
    RolledBack {
        /// What runs.
        from: String,
        /// What was tried.
        to: String,
        /// Why.
        reason: String,
    },
    /// Nobody said what became of it.
    #[error("the daemon did not say in time what became of version {0}; its log knows")]
    Silent(Version),
}

/// Does what was asked for; `tell` is told each step in words.
///
/// # Errors
/// [`LocalError`]; the version that ran before goes on then.
pub async fn update(config: &Config, order: &Order, mut tell: impl FnMut(&str)) -> Result<Done, LocalError> {
    let mut settings = config.update.clone();
    if let Some(channel) = &order.channel {
        settings.channel.clone_from(channel);
    }
    settings.check().map_err(UpdateError::from)?;
    let program = std::env::current_exe().unwrap_or_default();
    let machine = Machine { settings, data: config.data_dir.clone(), program };
    let version = if order.rollback {
        let place = machine.place().map_err(UpdateError::from)?;
        let earlier = place.lock().and_then(|lock| place.stage_previous(&lock));
        earlier.map_err(UpdateError::from)?
    } else {
        match made_ready(&machine, order, &mut tell).await? {
            Ok(version) => version,
            Err(done) => return Ok(done),
        }
    };
    tell(&format!("version {version} is on trial"));
    prove(&machine, version).await
}

/// The version that is ready now, or what there is to say instead.
async fn made_ready(
    machine: &Machine,
    order: &Order,
    tell: &mut impl FnMut(&str),
) -> Result<Result<Version, Done>, UpdateError> {
    let wish = match (&order.version, &order.from) {
        (Some(version), _) => Wish::Version(version.clone()),
        (None, Some(_)) => Wish::Any,
        (None, None) => Wish::Channel(machine.settings.channel.clone()),
    };
    let found = machine.look(order.from.as_deref(), &wish).await?;
    match machine.judge(&wish, &found.manifest) {
        Err(InstallError::Current(version)) => return Ok(Err(Done::Current(version))),
        Err(error) => return Err(error.into()),
        Ok(_) if order.look_only => return Ok(Err(Done::Available(found.manifest.version))),
        Ok(_) => tell(&format!("downloading version {}", found.manifest.version)),
    }
    machine.make_ready(&found, &wish, |_, _, _| {}).await.map(Ok)
}

/// Has the running daemon try the version that is ready, and waits for what
/// becomes of it.
async fn prove(machine: &Machine, version: Version) -> Result<Done, LocalError> {
    let no_daemon = || LocalError::NoDaemon(machine.data.clone());
    let before = last(&machine.data).map_or(0, |last| last.ended_unix_ms);
    let pid = DataLock::holder(&machine.data)?.ok_or_else(no_daemon)?;
    kill_process(pid, Signal::USR1)
        .map_err(|errno| LocalError::Signal(pid.as_raw_nonzero().get(), errno.into()))?;
    let patience =
        Duration::from_secs(machine.settings.trial_s.into()) + limits::SHUTDOWN + limits::UPDATE_END;
    let outcome = async {
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            if let Some(last) = last(&machine.data).filter(|last| last.ended_unix_ms > before) {
                return last;
            }
        }
    };
    let outcome = tokio::time::timeout(patience, outcome).await;
    match outcome.map_err(|_| LocalError::Silent(version.clone()))? {
        pb::UpdateOutcome { done: true, .. } => Ok(Done::Updated(version)),
        pb::UpdateOutcome { from, to, reason, .. } => Err(LocalError::RolledBack { from, to, reason }),
    }
}

/// The folder of versions that this program is in.
///
/// # Errors
/// When it was not installed from a release.
pub fn place_of_this_program() -> Result<chatcode_release::Place, PlaceError> {
    chatcode_release::Place::of_program(&std::env::current_exe().unwrap_or_default())
}
