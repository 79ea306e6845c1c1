//! Updates of this machine's programs: looked for, fetched, judged by their
//! signature, made ready beside the old ones, tried, and taken or thrown away.
//! Sessions are not touched: their holders are other processes.
//!
//! - [`settings`]: what the owner decides. - `fetch`: where releases come from.
//! - [`install`]: how one gets into its place. - [`trial`]: how it is proven.
//! - [`local`]: an update that is asked for on the machine itself. - [`units`]: what
//!   an update leaves alone, and tells.

mod fetch;
pub mod install;
pub mod local;
mod outcome;
mod service;
pub mod settings;
pub mod trial;
pub mod units;

use std::{
    convert::Infallible,
    error::Error,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chatcode_certs::files::{self, FilesError};
use chatcode_proto::{
    code::Refusal,
    limits,
    name::display_safe,
    pb::{self, Code, UpdateState},
};
use chatcode_release::{
    MANIFEST, Manifest, Place, PlaceError, Refused, SIGNATURE, Wish, manifest::Archive, open,
};
use semver::Version;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use self::{
    fetch::{FetchError, Source},
    install::{ARCHIVE, InstallError, Installer, choose},
    settings::{SettingsError, UpdateSettings, installs_now, next_look, next_tick},
    trial::{OnTrial, Tried},
};
use crate::grant::own_unix_ms;

pub(crate) use self::service::Host;

/// The program's name in a release.
const PROGRAM: &str = "chatcode-gateway";

/// Why there is no update.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// A setting.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The programs cannot be updated in their place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Nobody said where releases are.
    #[error("no place of releases is set; set update.release_url, or name one with --from")]
    NoSource,
    /// It was not fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It was not installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// A folder cannot be used.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The new program is not what it should be.
    #[error("version {0} was not taken: {1}")]
    Program(Version, String),
}

/// An error with its causes, for people, bounded.
pub(super) fn words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    display_safe(&text, limits::MESSAGE_BYTES)
}

/// What an update needs to know of this machine.
#[derive(Clone, Debug)]
struct Machine {
    settings: UpdateSettings,
    /// The folder of the daemon's state.
    data: PathBuf,
    /// The program of this process.
    program: PathBuf,
}

/// A release that may be installed.
#[derive(Debug)]
struct Found {
    folder: Source,
    manifest: Manifest,
    bytes: (Vec<u8>, Vec<u8>),
}

impl Machine {
    fn place(&self) -> Result<Place, PlaceError> {
        Place::of_program(&self.program)
    }

    /// What is installed; where it was not from a release, this program's own
    /// version.
    fn installed(&self) -> Version {
        let current = self.place().ok().and_then(|place| place.current());
        current.or_else(|| Version::parse(env!("CARGO_PKG_VERSION")).ok()).unwrap_or(Version::new(0, 0, 0))
    }

    /// Whether this program is of the version that is to be proven yet: then another
    /// process watches it, and ends it in any case.
    fn is_on_trial(&self) -> bool {
        let (Ok(place), Ok(own)) = (self.place(), std::fs::canonicalize(&self.program)) else { return false };
        place.next().is_some_and(|next| own.parent() == place.program(&next, PROGRAM).parent())
    }

    /// The release that is wished for, if its key vouches for it; whether it may
    /// be installed is not judged yet.
    async fn look(&self, from: Option<&str>, wish: &Wish) -> Result<Found, UpdateError> {
        let key = self.settings.key()?;
        let (folder, manifest) = match (from, &self.settings.release_url) {
            (Some(from), _) => {
                let folder = Source::of(from)?;
                let manifest = folder.read(MANIFEST, limits::RELEASE_MANIFEST_BYTES).await?;
                (folder, manifest)
            }
            (None, None) => return Err(UpdateError::NoSource),
            (None, Some(base)) => {
                let base = Source::of(base)?;
                match (wish, &self.settings.pin) {
                    (Wish::Version(version), _) => base.find(&version.to_string()).await?,
                    (_, None) => base.find(&self.settings.channel).await?,
                    // The channel's newest may be one that the machine is held back from.
                    (_, Some(pin)) => base.find_first(&[&pin.to_string(), &self.settings.channel]).await?,
                }
            }
        };
        let signature = folder.read(SIGNATURE, 64).await?;
        let read = open(&key, &manifest, &signature).map_err(InstallError::from)?;
        Ok(Found { folder, manifest: read, bytes: (manifest, signature) })
    }

    /// The archive of a release for this machine, if the release may follow what is
    /// installed.
    fn judge<'a>(&self, wish: &Wish, manifest: &'a Manifest) -> Result<&'a Archive, InstallError> {
        choose(&self.installed(), wish, self.settings.pin.as_ref(), manifest)
    }

    /// Fetches a release, makes it ready, and looks whether it runs at all.
    async fn make_ready(
        &self,
        found: &Found,
        wish: &Wish,
        mut tell: impl FnMut(UpdateState, u64, u64),
    ) -> Result<Version, UpdateError> {
        let place = self.place()?;
        let installer = Installer::choose(&place, &self.settings.helper, self.settings.key()?)?;
        let file = &self.judge(wish, &found.manifest)?.file;
        // Never files of another user in the daemon's folder.
        let incoming =
            if place.is_ours() { place.root().join(".incoming") } else { self.data.join("update") };
        files::private_dir(&incoming)?;
        tell(UpdateState::Downloading, 0, file.size);
        let (manifest, signature) = &found.bytes;
        files::write_private(incoming.join(MANIFEST), manifest)?;
        files::write_private(incoming.join(SIGNATURE), signature)?;
        let archive = incoming.join(ARCHIVE);
        let told = |done| tell(UpdateState::Downloading, done, file.size);
        let saved = found.folder.save(&file.name, file.size, &archive, told).await;
        let staged = match saved {
            Ok(()) => {
                tell(UpdateState::Unpacking, file.size, file.size);
                installer.stage(&incoming).await.map_err(UpdateError::from)
            }
            Err(error) => Err(error.into()),
        };
        // It is in its place, or of no use.
        let _ = std::fs::remove_file(&archive);
        let version = staged?;
        let program = place.program(&version, PROGRAM);
        trial::says_version(&program, &version)
            .await
            .map_err(|why| UpdateError::Program(version.clone(), why))?;
        Ok(version)
    }
}

/// The updates of a running daemon.
#[derive(Debug)]
pub(crate) struct Updates {
    /// With the settings of the last reload.
    machine: watch::Sender<Machine>,
    status: Mutex<pb::UpdateStatus>,
    /// The update that is under way; it ends with the daemon.
    job: Mutex<Option<AbortOnDropHandle<()>>>,
    /// The version to be tried.
    ready: watch::Sender<Option<Version>>,
}

impl Updates {
    /// For a daemon with this data folder; nothing begins yet.
    pub(crate) fn new(settings: UpdateSettings, data: PathBuf) -> Arc<Self> {
        let program = std::env::current_exe().unwrap_or_default();
        let mut status = pb::UpdateStatus {
            last: outcome::load(&data),
            policy: pb::UpdatePolicy::from(settings.policy).into(),
            pin: settings.pin.as_ref().map(ToString::to_string).unwrap_or_default(),
            ..Default::default()
        };
        let machine = Machine { settings, data, program };
        // Who asks meanwhile must not take it for the end.
        if machine.is_on_trial() {
            status.set_state(UpdateState::Trial);
        }
        let (status, job) = (Mutex::new(status), Mutex::new(None));
        Arc::new(Self { machine: watch::Sender::new(machine), status, job, ready: watch::Sender::new(None) })
    }

    /// Goes by these settings from now on; an update that is under way by its own.
    pub(crate) fn reload(&self, settings: UpdateSettings) {
        let mut status = self.lock();
        status.set_policy(settings.policy.into());
        status.pin = settings.pin.as_ref().map(ToString::to_string).unwrap_or_default();
        drop(status);
        self.machine.send_modify(|machine| machine.settings = settings);
    }

    fn machine(&self) -> Machine {
        self.machine.borrow().clone()
    }

    fn lock(&self) -> MutexGuard<'_, pb::UpdateStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How things are.
    pub(crate) fn status(&self) -> pb::UpdateStatus {
        let (mut status, machine) = (self.lock().clone(), self.machine());
        status.installed = machine.installed().to_string();
        if status.available == status.installed {
            status.available.clear();
        }
        if let (true, Err(error)) = (status.problem.is_empty(), machine.place()) {
            status.problem = words(&error);
        }
        status
    }

    /// Begins an update to this version, or to the newest of the channel; while
    /// one is under way that one goes on.
    ///
    /// # Errors
    /// `INVALID` for what is no version.
    pub(crate) fn begin(
        self: &Arc<Self>,
        version: &str,
        look_only: bool,
    ) -> Result<pb::UpdateStatus, Refusal> {
        let wish = match version {
            "" => Wish::Channel(self.machine().settings.channel),
            text => Wish::Version(
                chatcode_release::manifest::read_version(text)
                    .ok_or_else(|| Refusal::new(Code::Invalid, "that is no version; write it as 0.2.0"))?,
            ),
        };
        let mut job = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lock().state() == UpdateState::Unspecified {
            let mut status = self.lock();
            status.set_state(UpdateState::Looking);
            status.problem.clear();
            (status.done_bytes, status.total_bytes) = (0, 0);
            drop(status);
            let updates = Arc::clone(self);
            let working = async move { updates.work(wish, look_only).await };
            *job = Some(AbortOnDropHandle::new(tokio::spawn(working)));
        }
        Ok(self.status())
    }

    async fn work(&self, wish: Wish, look_only: bool) {
        let outcome = self.try_work(&wish, look_only).await;
        let mut status = self.lock();
        match outcome {
            Ok(Some(version)) => {
                status.set_state(UpdateState::Trial);
                drop(status);
                self.ready.send_replace(Some(version));
                return;
            }
            Ok(None) => {}
            Err(error) => {
                if let UpdateError::Install(InstallError::Refused(refused)) = &error
                    && matches!(**refused, Refused::Pinned { .. })
                {
                    tracing::info!("no update: {refused}");
                } else {
                    tracing::warn!(error = &error as &dyn Error, "no update");
                }
                status.problem = words(&error);
            }
        }
        status.set_state(UpdateState::Unspecified);
    }

    async fn try_work(&self, wish: &Wish, look_only: bool) -> Result<Option<Version>, UpdateError> {
        let machine = self.machine();
        let look = tokio::time::timeout(fetch::LOOK, machine.look(None, wish)).await;
        let found = look.map_err(|_| FetchError::Broken {
            address: machine.settings.release_url.clone().unwrap_or_default(),
            why: "it took too long".to_owned(),
        })??;
        let judged = machine.judge(wish, &found.manifest);
        self.lock().available = match &judged {
            Ok(_) => found.manifest.version.to_string(),
            Err(_) => String::new(),
        };
        match judged {
            // There is nothing newer: no fault, but no update either.
            Err(InstallError::Current(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
            Ok(_) if look_only => return Ok(None),
            Ok(_) => {}
        }
        let tell = |state, done, total| {
            let mut status = self.lock();
            status.set_state(state);
            (status.done_bytes, status.total_bytes) = (done, total);
        };
        machine.make_ready(&found, wish, tell).await.map(Some)
    }

    /// Waits until a version is ready for its trial; looks for updates by itself
    /// as the settings say.
    pub(crate) async fn next(self: &Arc<Self>) -> Version {
        let mut ready = self.ready.subscribe();
        let waiting = async {
            loop {
                if let Some(version) = ready.borrow_and_update().clone() {
                    return version;
                }
                // The sender lives as long as this.
                let _ = ready.changed().await;
            }
        };
        tokio::select! {
            version = waiting => version,
            version = self.told_by_signal() => version,
            never = self.by_itself() => match never {},
        }
    }

    /// Someone on the machine has made a version ready, and says so.
    async fn told_by_signal(&self) -> Version {
        let Ok(mut signals) = signal(SignalKind::user_defined1()) else {
            return std::future::pending().await;
        };
        loop {
            if signals.recv().await.is_none() {
                return std::future::pending().await;
            }
            if let Some(version) = self.machine().place().ok().and_then(|place| place.next()) {
                self.lock().set_state(UpdateState::Trial);
                return version;
            }
        }
    }

    async fn by_itself(self: &Arc<Self>) -> Infallible {
        let mut machine = self.machine.subscribe();
        loop {
            let settings = machine.borrow_and_update().settings.clone();
            tokio::select! {
                never = self.by_settings(&settings) => match never {},
                // The sender lives as long as this.
                _ = machine.changed() => {}
            }
        }
    }

    async fn by_settings(self: &Arc<Self>, settings: &UpdateSettings) -> Infallible {
        if settings.policy == settings::Policy::Off || settings.release_url.is_none() {
            return std::future::pending().await;
        }
        let pause = settings.pause();
        let mut due = Instant::now() + next_look(pause, true, rand::random());
        loop {
            let tick = next_tick(pause, rand::random());
            tokio::time::sleep_until(due.min(Instant::now() + tick)).await;
            let status = self.status();
            let failed = status.last.as_ref().filter(|last| !last.done).map_or("", |last| last.to.as_str());
            if Instant::now() >= due {
                due = Instant::now() + next_look(pause, false, rand::random());
                // The name of no version is never wrong.
                let _ = self.begin("", true);
            } else if installs_now(settings, own_unix_ms() / 1000, &status.available, failed) {
                // By the channel: not every place has a folder for each version.
                let _ = self.begin("", false);
            }
        }
    }
}

/// What a daemon that made room for a new one does with it.
#[derive(Debug)]
pub struct Handover {
    machine: Machine,
    version: Version,
}

/// What came of a handover.
#[derive(Debug)]
pub enum HandedOver {
    /// The new version is current; become it, with these arguments.
    Become(PathBuf),
    /// The old one goes on.
    GoOn,
    /// The daemon was told to stop.
    Stopped,
}

impl Handover {
    pub(crate) fn new(updates: &Updates, version: Version) -> Self {
        Self { machine: updates.machine(), version }
    }

    /// Tries the new version, with the arguments of this process, and makes it
    /// current when the core has welcomed it. The outcome is kept on the disk.
    pub async fn run(self, arguments: Vec<OsString>, stop: &CancellationToken) -> HandedOver {
        let from = self.machine.installed();
        tracing::info!(%from, to = %self.version, "a new version is on trial");
        let reason = match self.attempt(arguments, stop).await {
            Ok(Some((on_trial, place))) => {
                on_trial.end().await;
                self.keep(&from, "");
                tracing::info!(version = %self.version, "the new version is proven and current");
                return HandedOver::Become(place.current_program(PROGRAM));
            }
            Ok(None) => return HandedOver::Stopped,
            Err(reason) => reason,
        };
        tracing::error!(version = %self.version, "the new version is not taken, version {from} goes on: {reason}");
        self.keep(&from, &reason);
        HandedOver::GoOn
    }

    async fn attempt(
        &self,
        arguments: Vec<OsString>,
        stop: &CancellationToken,
    ) -> Result<Option<(OnTrial, Place)>, String> {
        let settings = &self.machine.settings;
        let place = self.machine.place().map_err(|error| words(&error))?;
        let key = settings.key().map_err(|error| words(&error))?;
        let installer = Installer::choose(&place, &settings.helper, key).map_err(|error| words(&error))?;
        let within = Duration::from_secs(settings.trial_s.into());
        let program = place.program(&self.version, PROGRAM);
        let on_trial = match trial::attempt(&program, arguments, within, stop).await {
            Tried::Proven(on_trial) => on_trial,
            Tried::Failed(reason) => return Err(reason),
            Tried::Stopped => return Ok(None),
        };
        if let Err(error) = installer.activate(&self.version).await {
            on_trial.end().await;
            return Err(format!("it was proven and could not be made current: {}", words(&error)));
        }
        Ok(Some((on_trial, place)))
    }

    fn keep(&self, from: &Version, reason: &str) {
        if let Err(error) = outcome::save(&self.machine.data, from, &self.version, reason) {
            tracing::warn!(error = &error as &dyn Error, "the outcome of the update is not kept");
        }
    }
}

/// The outcome of the last update of the daemon with this data folder.
fn last(data: &Path) -> Option<pb::UpdateOutcome> {
    outcome::load(data)
}
