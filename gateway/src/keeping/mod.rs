//! Where holders live, so that nothing that ends the daemon ends them: as
//! detached processes, or each in a transient service of systemd, which can
//! limit it too: of the user's, or of the machine's by the spawner.

mod spawner;
mod surroundings;
mod user_manager;

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use chatcode_certs::files;
use chatcode_proto::{
    id::SessionId,
    limits,
    unit::{self, UnitLimits},
};
use serde::{Deserialize, Serialize};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use self::user_manager::UserManager;
pub(crate) use self::{spawner::Spawner, surroundings::Surroundings};
use crate::{
    BuildError,
    config::{Config, Places},
};

/// How holders are started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Holders {
    /// As `systemd-user` when the daemon is a service of the user's systemd,
    /// else as `detached`.
    #[default]
    Auto,
    /// Each in a transient service of the user's systemd.
    SystemdUser,
    /// Each in a transient service of the machine's systemd, as the user
    /// `session_user`, by the spawner.
    SystemdSystem,
    /// As processes that leave the daemon's session. A service manager that
    /// ends all processes of the daemon's service ends them too.
    Detached,
}

/// What one session may use at most, its holder included. Unset: no limit of
/// its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionLimits {
    /// Memory, bytes, and no swap besides; within
    /// [`limits::SESSION_MEMORY_BYTES`]. Beyond it the kernel ends the
    /// session's largest process.
    pub memory_bytes: Option<u64>,
    /// Time of processors, 100 for each; within
    /// [`limits::SESSION_CPU_PERCENT`]. Beyond it the session waits.
    pub cpu_percent: Option<u32>,
    /// Processes and threads; within [`limits::SESSION_TASKS`]. Beyond it no
    /// more are begun.
    pub tasks: Option<u32>,
}

impl SessionLimits {
    fn check(self) -> Result<Self, KeepingError> {
        self.faults().into_iter().next().map_or(Ok(self), |(_, error)| Err(error))
    }

    /// Those that are out of their bounds, by their keys.
    pub(crate) fn faults(self) -> Vec<(&'static str, KeepingError)> {
        let each = [
            ("memory_bytes", self.memory_bytes, limits::SESSION_MEMORY_BYTES),
            ("cpu_percent", self.cpu_percent.map(u64::from), limits::SESSION_CPU_PERCENT),
            ("tasks", self.tasks.map(u64::from), limits::SESSION_TASKS),
        ];
        each.into_iter()
            .filter_map(|(key, value, range)| Some((key, check(key, value, range).err()?)))
            .collect()
    }

    fn is_any(self) -> bool {
        self != Self::default()
    }

    const fn of_unit(self) -> UnitLimits {
        let Self { memory_bytes, cpu_percent, tasks } = self;
        UnitLimits { memory_bytes, cpu_percent, tasks }
    }
}

fn check(
    key: &'static str,
    value: Option<u64>,
    range: std::ops::RangeInclusive<u64>,
) -> Result<(), KeepingError> {
    match value.filter(|value| !range.contains(value)) {
        Some(value) => Err(KeepingError::Limit { key, value, low: *range.start(), high: *range.end() }),
        None => Ok(()),
    }
}

/// Holders cannot be started as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum KeepingError {
    /// A limit is out of its bounds.
    #[error("session_limits.{key} is {value}, it must be {low} to {high}; correct the setting")]
    Limit {
        /// The limit's name.
        key: &'static str,
        /// What is set.
        value: u64,
        /// The least that is allowed.
        low: u64,
        /// The most that is allowed.
        high: u64,
    },
    /// The user's systemd does not answer.
    #[error(
        "holders is systemd-user, but the user's systemd and its bus do not answer at {0:?} (XDG_RUNTIME_DIR); \
         start the daemon as a service of `systemctl --user`, or set holders to detached"
    )]
    NoUserManager(Option<PathBuf>),
    /// A program of systemd is not there.
    #[error(
        "holders is systemd-user, but {0} is not in PATH; install systemd's programs, or set holders to detached"
    )]
    NoProgram(&'static str),
    /// Nobody is named whose shells are started.
    #[error(
        "holders is systemd-system, which needs session_user, the user whose shells are started; name one"
    )]
    NoSessionUser,
    /// The user is not known.
    #[error("session_user is {0}, and /etc/passwd has no such user; correct the setting")]
    UnknownUser(String),
    /// The sessions would lie where their user cannot go.
    #[error(
        "holders is systemd-system, and session_user cannot reach {0}, where the sessions lie; \
         name a folder of mode 0711 with runtime_dir"
    )]
    Closed(PathBuf),
    /// The folder of the sessions cannot be made.
    #[error("the folder of the sessions {0} cannot be used")]
    Folder(PathBuf, #[source] io::Error),
}

/// How this daemon starts holders.
#[derive(Debug)]
pub(crate) enum Keeping {
    /// As processes of its own.
    Detached,
    /// In services of the user's systemd.
    UserManager(UserManager),
    /// By the spawner, as another user.
    Spawner(Spawner),
}

/// The way to a new holder's standard input and output.
#[derive(Debug)]
pub(crate) enum Way<'a> {
    /// They are those of this program.
    Child(Command),
    /// They are the connection to the spawner.
    Spawner(&'a Spawner),
}

impl Keeping {
    /// Decides by the settings and by what is around the daemon; says in the
    /// log what follows from it.
    ///
    /// # Errors
    /// [`KeepingError`].
    pub(crate) fn choose(config: &Config, around: &Surroundings) -> Result<Self, KeepingError> {
        let limits = config.session_limits.check()?;
        let keeping = match config.holders {
            Holders::Detached => Self::Detached,
            Holders::SystemdSystem => Self::Spawner(Spawner::find(config)?),
            Holders::SystemdUser => Self::UserManager(UserManager::find(around, limits.of_unit())?),
            Holders::Auto if around.is_service_of_user_manager() => UserManager::find(around, limits.of_unit())
                .map_or_else(
                    |error| {
                        tracing::warn!(%error, "holders are detached; a stop of the daemon's service may end them");
                        Self::Detached
                    },
                    Self::UserManager,
                ),
            Holders::Auto => Self::Detached,
        };
        match keeping {
            Self::Detached if limits.is_any() => {
                tracing::warn!(
                    "session_limits have no effect: holders are detached, and limits need systemd"
                );
            }
            Self::Spawner(_) if limits.is_any() => {
                tracing::warn!(
                    "session_limits have no effect: the spawner's own unit says what sessions may use"
                );
            }
            Self::UserManager(_) if !around.lingers() => tracing::warn!(
                "sessions end when this user logs out; `loginctl enable-linger` lets them live on"
            ),
            _ => {}
        }
        Ok(keeping)
    }

    /// The word for it in settings and logs.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Detached => "detached",
            Self::UserManager(_) => "systemd-user",
            Self::Spawner(_) => "systemd-system",
        }
    }

    /// The spawner, where shells are another user's.
    pub(crate) const fn spawner(&self) -> Option<&Spawner> {
        match self {
            Self::Spawner(spawner) => Some(spawner),
            _ => None,
        }
    }

    /// Makes the folder of all sessions for those who have to reach it.
    ///
    /// # Errors
    /// When it cannot be made, or others could look into it, or the session
    /// user could not.
    pub(crate) fn make_sessions(&self, sessions: &Path) -> Result<(), BuildError> {
        if self.spawner().is_some() {
            return Ok(spawner::make_sessions(sessions)?);
        }
        if let Some(parent) = sessions.parent() {
            files::private_dir(parent)?;
        }
        Ok(files::private_dir(sessions)?)
    }

    /// How the holder of a session is started.
    pub(crate) fn way(&self, places: &Places, session: &SessionId) -> Way<'_> {
        let mut command = match self {
            Self::Detached => Command::new(&places.holder),
            Self::UserManager(manager) => Command::new(manager.run_program()),
            Self::Spawner(spawner) => return Way::Spawner(spawner),
        };
        // What the shell gets is in the spec, and the holder itself needs none.
        command.env_clear();
        if let Self::UserManager(manager) = self {
            command.args(manager.run_arguments(places, session)).envs(manager.environment());
        }
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Way::Child(command)
    }

    /// What is left to wait for once the holder has answered: the holder, where
    /// it is the daemon's child.
    pub(crate) async fn release(&self, mut child: Child) -> Option<Child> {
        match self {
            Self::Detached | Self::Spawner(_) => Some(child),
            Self::UserManager(_) => {
                // It would wait as long as the service lives, which does not
                // need it any more.
                if let Err(error) = child.kill().await {
                    tracing::debug!(%error, "systemd-run was not ended");
                }
                None
            }
        }
    }

    /// The sessions in the folder `sessions` whose services run, by systemd; none
    /// where holders are in no service, or it does not answer in time.
    pub(crate) async fn running(&self, sessions: &Path) -> Vec<SessionId> {
        let mut command = match self {
            Self::Detached => return Vec::new(),
            Self::UserManager(manager) => manager.list(),
            Self::Spawner(_) => Command::new("systemctl"),
        };
        command.args(["list-units", "--plain", "--no-legend", "--full", "--state=active,activating"]);
        command
            .arg("chatcode-session-*.service")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        match timeout(limits::HOLDER_ANSWER, command.output()).await {
            Ok(Ok(output)) => {
                of_folder(&String::from_utf8_lossy(&output.stdout), &sessions.to_string_lossy())
            }
            other => {
                tracing::debug!(?other, "systemd did not tell which sessions run");
                Vec::new()
            }
        }
    }

    /// What ends the service of a session, for people.
    pub(crate) fn stop_words(&self, session: &SessionId) -> String {
        let manager = if matches!(self, Self::UserManager(_)) { "systemctl --user" } else { "systemctl" };
        format!("{manager} stop {}", unit::name(session))
    }

    /// Ends what a failed start may have left beside its child.
    pub(crate) async fn clear(&self, session: &SessionId) {
        if let Self::UserManager(manager) = self {
            manager.clear(session).await;
        }
    }
}

/// The sessions of one folder among lines of `systemctl list-units`: name, three
/// states, description.
fn of_folder(lines: &str, sessions: &str) -> Vec<SessionId> {
    let of_line = |line: &str| {
        let (name, rest) = line.trim_start().split_once(' ')?;
        let session = unit::session(name)?;
        rest.trim_end().ends_with(&unit::description(&session, sessions)).then_some(session)
    };
    lines.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixListener};

    use super::*;

    /// A service of a user's systemd that answers, with its programs beside its
    /// sockets.
    fn in_a_service(folder: &Path) -> (Surroundings, [UnixListener; 2]) {
        fs::create_dir(folder.join("systemd")).expect("is made");
        for program in ["systemd-run", "systemctl"] {
            fs::write(folder.join(program), b"").expect("is written");
        }
        let sockets =
            ["systemd/private", "bus"].map(|name| UnixListener::bind(folder.join(name)).expect("binds"));
        let around = Surroundings {
            uid: 7,
            cgroups: "0::/user.slice/user-7.slice/user@7.service/app.slice/gw.service\n".into(),
            runtime_dir: Some(folder.into()),
            path: folder.into(),
            linger: folder.join("no-linger"),
        };
        (around, sockets)
    }

    fn chosen(holders: Holders, around: &Surroundings) -> Result<&'static str, KeepingError> {
        let config = Config { holders, ..Config::default() };
        Keeping::choose(&config, around).map(|keeping| keeping.name())
    }

    #[test]
    fn a_service_of_the_user_s_systemd_gives_its_holders_to_it_unless_it_shall_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (around, sockets) = in_a_service(folder.path());
        assert_eq!(chosen(Holders::Auto, &around).ok(), Some("systemd-user"));
        assert_eq!(chosen(Holders::Detached, &around).ok(), Some("detached"));
        let elsewhere = Surroundings { cgroups: "0::/\n".into(), ..around.clone() };
        assert_eq!(chosen(Holders::Auto, &elsewhere).ok(), Some("detached"));
        assert_eq!(chosen(Holders::SystemdUser, &elsewhere).ok(), Some("systemd-user"));
        drop(sockets);
        assert_eq!(chosen(Holders::Auto, &around).ok(), Some("detached"), "nobody answers");
        let asked = chosen(Holders::SystemdUser, &around).expect_err("nobody answers");
        assert!(matches!(asked, KeepingError::NoUserManager(_)));
    }

    #[test]
    fn a_program_of_systemd_that_is_missing_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let (around, _sockets) = in_a_service(folder.path());
        fs::remove_file(folder.path().join("systemctl")).expect("is removed");
        let error = chosen(Holders::SystemdUser, &around).expect_err("one is missing");
        assert!(error.to_string().contains("systemctl is not in PATH"), "{error}");
    }

    #[test]
    fn of_the_services_that_run_only_those_of_the_own_folder_count() {
        let [mine, other] = [1, 2].map(|byte| SessionId::from_random([byte; 16]));
        let line = |id: &SessionId, folder: &str| {
            let description = unit::description(id, folder);
            format!("chatcode-session-{id}.service loaded active running {description}\n")
        };
        let lines = line(&mine, "/a/sessions") + &line(&other, "/b/sessions") + "x.service loaded\n\n";
        assert_eq!(of_folder(&lines, "/a/sessions"), [mine]);
        assert_eq!(of_folder("", "/a/sessions"), []);
    }

    #[test]
    fn limits_out_of_their_bounds_are_refused_by_name() {
        let refused = |limits: SessionLimits| limits.check().expect_err("is refused").to_string();
        let memory = SessionLimits { memory_bytes: Some(1), ..Default::default() };
        assert!(refused(memory).contains("session_limits.memory_bytes is 1"));
        let cpu = SessionLimits { cpu_percent: Some(0), ..Default::default() };
        assert!(refused(cpu).contains("session_limits.cpu_percent is 0"));
        let tasks = SessionLimits { tasks: Some(7), ..Default::default() };
        assert!(refused(tasks).contains("session_limits.tasks is 7"));
        assert!(SessionLimits::default().check().is_ok());
    }
}
