//! From an order to a running holder: the shell's folder, the session's
//! folder, the environment, the spec.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
    sync::{PoisonError, RwLock},
};

use chatcode_proto::{
    code::Refusal,
    id::SessionId,
    limits,
    name::display_safe,
    pb::{self, Code, holder_request::Verb},
};
use tokio::process::Child;

use super::record;
use crate::{
    config::{Config, Places},
    grant::own_unix_ms,
    holder_client::HolderConnection,
    host,
    keeping::Keeping,
    shell::{environment, order::Order, user::User},
    spawn,
};

/// What all shells of this daemon have in common.
#[derive(Debug)]
pub(crate) struct Starter {
    /// Whose shells.
    pub(crate) user: User,
    /// Where their holders live.
    pub(crate) keeping: Keeping,
    /// What those that begin from now on are given.
    pub(crate) sizes: RwLock<Sizes>,
}

/// What a session is given when it begins; a reload of the settings changes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// The size of its output log, bytes.
    pub(crate) log_bytes: usize,
    /// Lines above its screen.
    pub(crate) history_lines: u32,
    /// Whether its shell may use the SSH agent.
    pub(crate) pass_ssh_agent: bool,
}

impl From<&Config> for Sizes {
    fn from(config: &Config) -> Self {
        let Config { log_bytes, history_lines, pass_ssh_agent, .. } = *config;
        Self { log_bytes, history_lines, pass_ssh_agent }
    }
}

impl Starter {
    /// Starts a holder for an order; leaves nothing behind when it fails, but
    /// a folder that was made for the shell. The child is to be waited for.
    ///
    /// # Errors
    /// `SPAWN_FAILED`, `INVALID`.
    pub(super) async fn start(
        &self,
        places: &Places,
        id: SessionId,
        order: Order,
    ) -> Result<(Option<Child>, pb::Session), Refusal> {
        let state = places.session(&id);
        // The spawner makes the session's folder; the shell's own is not the
        // daemon's to make then.
        if self.keeping.spawner().is_none() {
            let (folder, made) = (order.folder.clone(), state.clone());
            let prepared = tokio::task::spawn_blocking(move || prepare(Path::new(&folder), &made)).await;
            prepared.map_err(|error| Refusal::new(Code::Internal, error.to_string()))??;
        }
        let spec = self.spec(&state, id, order);
        let started = spawn::start(&self.keeping, places, &id, &spec).await;
        if started.is_err() {
            // One that was only too slow.
            let end = Verb::End(pb::HolderEnd { force: true });
            let _ = HolderConnection::open(&places.socket(&id), end).await;
            record::remove_folder(&state);
        }
        started
    }

    fn spec(&self, state: &Path, id: SessionId, order: Order) -> pb::HolderSpec {
        let sizes = *self.sizes.read().unwrap_or_else(PoisonError::into_inner);
        let is_another_user = self.keeping.spawner().is_some();
        let environment = environment::of_shell(
            &self.user,
            std::env::vars_os().filter(|(name, _)| !is_another_user || !is_of_one_user(name)),
            sizes.pass_ssh_agent && !is_another_user,
            &order.environment,
            &id,
        );
        pb::HolderSpec {
            session: id.to_string(),
            name: order.name,
            command: order.command,
            arg0: order.arg0,
            folder: order.folder,
            environment,
            winsize: Some(order.winsize),
            created_unix_ms: own_unix_ms(),
            state_folder: state.to_string_lossy().into_owned(),
            log_bytes: u32::try_from(sizes.log_bytes).unwrap_or(u32::MAX),
            history_lines: sizes.history_lines,
            epoch: new_epoch(),
            shown_command: order.shown_command,
            daemon_uid: self.daemon_uid(),
            restart: order.restart.into(),
            resume_command: order.resume_command,
            shown_resume_command: order.shown_resume_command,
            restarts: 0,
            restarted_unix_ms: Vec::new(),
            boot_id: host::boot_id(),
        }
    }

    /// Starts the holder of a session anew, whose last one is gone, with what it
    /// was started with and in the same folder; `last` is what is known of it,
    /// `tried` the times of earlier restarts.
    ///
    /// # Errors
    /// `SPAWN_FAILED`, `INVALID`.
    pub(super) async fn start_again(
        &self,
        places: &Places,
        id: SessionId,
        spec: pb::HolderSpec,
        last: &pb::Session,
        tried: &[u64],
    ) -> Result<(Option<Child>, pb::Session), Refusal> {
        let spec = self.spec_again(&places.session(&id), spec, last, tried);
        if self.keeping.spawner().is_none() {
            let folder = spec.folder.clone();
            let prepared = tokio::task::spawn_blocking(move || prepare_shell(Path::new(&folder))).await;
            prepared.map_err(|error| Refusal::new(Code::Internal, error.to_string()))??;
        }
        // A holder that was killed has left it behind.
        let _ = fs::remove_file(places.socket(&id));
        let started = spawn::start(&self.keeping, places, &id, &spec).await;
        if started.is_err() {
            // One that was only too slow.
            let end = Verb::End(pb::HolderEnd { force: true });
            let _ = HolderConnection::open(&places.socket(&id), end).await;
        }
        started
    }

    fn spec_again(
        &self,
        state: &Path,
        spec: pb::HolderSpec,
        last: &pb::Session,
        tried: &[u64],
    ) -> pb::HolderSpec {
        let sizes = *self.sizes.read().unwrap_or_else(PoisonError::into_inner);
        let resumes = !spec.resume_command.is_empty();
        let now = own_unix_ms();
        let older = tried.len().saturating_sub(limits::RESTARTS - 1);
        pb::HolderSpec {
            name: last.name.clone(),
            winsize: last.winsize,
            command: if resumes { spec.resume_command.clone() } else { spec.command },
            arg0: if resumes { String::new() } else { spec.arg0 },
            // The file lies where shells can write: what is the daemon's to say
            // is said anew.
            state_folder: state.to_string_lossy().into_owned(),
            log_bytes: u32::try_from(sizes.log_bytes).unwrap_or(u32::MAX),
            history_lines: sizes.history_lines,
            epoch: new_epoch(),
            daemon_uid: self.daemon_uid(),
            boot_id: host::boot_id(),
            restarts: last.restarts.saturating_add(1),
            restarted_unix_ms: tried[older..].iter().copied().chain([now]).collect(),
            ..spec
        }
    }

    /// The daemon's user, where it is not the holder's.
    fn daemon_uid(&self) -> Option<u32> {
        self.keeping.spawner().is_some().then(|| rustix::process::geteuid().as_raw())
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        Self {
            user: User { uid: 1000, name: "ada".into(), home: "/".into(), shell: "/bin/sh".into() },
            keeping: Keeping::Detached,
            sizes: RwLock::new(Sizes::from(&Config::default())),
        }
    }
}

fn new_epoch() -> u64 {
    u64::from_ne_bytes(chatcode_certs::random::bytes()).max(1)
}

/// Whether a variable of the daemon's names folders that only its own user has.
fn is_of_one_user(name: &OsStr) -> bool {
    ["XDG_RUNTIME_DIR", "TMPDIR", "TMUX_TMPDIR"].iter().any(|own| name == *own)
}

/// Makes the shell's folder (0755) when it is missing, and the session's own.
fn prepare(folder: &Path, state: &Path) -> Result<(), Refusal> {
    prepare_shell(folder)?;
    record::make_folder(state).map_err(|error| {
        Refusal::new(Code::SpawnFailed, format!("the session's own folder could not be made ({error})"))
    })
}

fn prepare_shell(folder: &Path) -> Result<(), Refusal> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(|error| {
        let shown = display_safe(&folder.to_string_lossy(), 120);
        let words = format!("the folder {shown} could not be made ({error}); choose another");
        Refusal::new(Code::SpawnFailed, words)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_shell_s_folder_is_made_and_the_session_s_own_is_private() {
        let place = tempfile::tempdir().expect("a folder");
        let (folder, state) = (place.path().join("a/b"), place.path().join("state"));
        prepare(&folder, &state).expect("both are made");
        let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
        assert_eq!((mode(&folder) & 0o700, mode(&state)), (0o700, 0o700));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_a_failed_start_with_the_reason() {
        let place = tempfile::tempdir().expect("a folder");
        let file = place.path().join("file");
        fs::write(&file, b"").expect("is written");
        for folder in [file.clone(), file.join("below")] {
            let error = prepare(&folder, &place.path().join("state")).expect_err("is no folder");
            assert_eq!(error.code, Code::SpawnFailed);
        }
    }

    #[test]
    fn every_life_of_a_holder_has_its_own_epoch_which_is_never_0() {
        let starter = Starter::for_tests();
        let order = crate::shell::order::check(pb::SessionsCreateRequest::default(), &starter.user);
        let order = order.expect("is fine");
        let id = SessionId::from_random([1; 16]);
        let epoch = || starter.spec(Path::new("/x"), id, order.clone()).epoch;
        let (one, other) = (epoch(), epoch());
        assert!(one != 0 && other != 0 && one != other);
    }
}
