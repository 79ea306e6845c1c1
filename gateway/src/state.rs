//! What the daemon tells other programs of this machine: whether its link is up,
//! and if not, why. A private file, written at each change, and a lock that the
//! kernel frees with the daemon.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chatcode_certs::files::{self, FilesError};
use chatcode_proto::{code::Refusal, limits, name::display_safe};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::update::units::Unit;

const FILE: &str = "state.json";
const LOCK: &str = "state.lock";

/// How the link is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkWord {
    /// It was not up yet, or is down, and is dialled.
    #[default]
    Connecting,
    /// It is up: the core said Welcome.
    Online,
    /// The core said never again.
    Revoked,
}

/// What the daemon tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Whether a daemon runs; what else is told is of the last one otherwise.
    pub running: bool,
    /// How its link is.
    pub link: LinkWord,
    /// Its process.
    pub pid: u32,
    /// The gateway's id.
    pub gateway: String,
    /// The name that the core calls it; empty until the first Welcome.
    pub name: String,
    /// The core's link address, host and UDP port.
    pub core: String,
    /// What the link runs over, or ran over last: "quic" or "tcp"; empty until the
    /// first Welcome.
    pub over: String,
    /// Since when the link is so, in milliseconds since 1970.
    pub since_unix_ms: u64,
    /// The name of the code by which the last link, or the last try, ended; empty
    /// when none did.
    pub code: String,
    /// The same in words.
    pub reason: String,
    /// Where its settings hold it, which is not the daemon's to tell; empty: nowhere.
    pub pin: String,
    /// Files of the service manager that are not those of the installed version;
    /// looked at by whoever asks.
    pub units: Vec<Unit>,
}

/// The state cannot be told or read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file cannot be used.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The lock cannot be used.
    #[error("the lock file {0} cannot be used")]
    Lock(PathBuf, #[source] io::Error),
    /// What the last daemon told cannot be taken away.
    #[error("{0} cannot be removed; see whose file and folder it is")]
    Old(PathBuf, #[source] io::Error),
    /// The file holds something else.
    #[error("{0} cannot be read; remove it, the daemon writes it anew")]
    Damaged(PathBuf, #[source] serde_json::Error),
}

/// Tells the state of a running daemon, until dropped.
#[derive(Debug)]
pub(crate) struct Teller {
    state: watch::Sender<State>,
    writing: JoinHandle<()>,
    _lock: File,
}

impl Teller {
    /// Begins with a link that is not up yet. In a tokio runtime, and for one
    /// daemon of the folder `data` at a time.
    pub(crate) fn begin(data: &Path, gateway: String, core: String) -> Result<Self, StateError> {
        let lock = lock(data, FlockOperation::LockExclusive)?;
        let first = State {
            running: true,
            pid: std::process::id(),
            gateway,
            core,
            since_unix_ms: unix_ms(),
            ..State::default()
        };
        let path = data.join(FILE);
        // With the lock taken the last daemon's state would pass for this one's.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StateError::Old(path, error));
            }
            _ => {}
        }
        write(&path, &first)?;
        let (state, mut seen) = watch::channel(first);
        let writing = tokio::spawn(async move {
            loop {
                let (path, state) = (path.clone(), seen.borrow_and_update().clone());
                let written = tokio::task::spawn_blocking(move || write(&path, &state)).await;
                if let Ok(Err(error)) = written {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the state is not told");
                }
                if seen.changed().await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { state, writing, _lock: lock })
    }

    /// What is told, for whoever asks within this process.
    pub(crate) fn seen(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// The core said Welcome over this way, and calls this machine so.
    pub(crate) fn online(&self, name: &str, over: &str) {
        self.state.send_modify(|state| {
            state.link = LinkWord::Online;
            state.name = display_safe(name, limits::NAME_CHARS);
            over.clone_into(&mut state.over);
            state.since_unix_ms = unix_ms();
            (state.code, state.reason) = (String::new(), String::new());
        });
    }

    /// The link ended or did not come about.
    pub(crate) fn ended(&self, link: LinkWord, why: &Refusal) {
        self.state.send_modify(|state| {
            if state.link != link {
                state.since_unix_ms = unix_ms();
            }
            state.link = link;
            state.code = why.code.name().to_owned();
            state.reason = display_safe(&why.message, limits::MESSAGE_BYTES);
        });
    }

    /// Waits until the last state is on the disk.
    pub(crate) async fn close(self) {
        drop(self.state);
        if self.writing.await.is_err() {
            tracing::warn!("the last state is not told");
        }
    }
}

/// What the daemon on the folder `data` tells now, or after at most `patience`
/// if it is not online before.
///
/// # Errors
/// [`StateError`].
pub async fn read(data: &Path, patience: Duration) -> Result<State, StateError> {
    let end = Instant::now() + patience;
    loop {
        let state = now(data)?;
        let is_over = state.link == LinkWord::Revoked || state.running && state.link == LinkWord::Online;
        if is_over || Instant::now() >= end {
            return Ok(state);
        }
        tokio::time::sleep(limits::STATE_LOOK).await;
    }
}

fn now(data: &Path) -> Result<State, StateError> {
    // Whoever cannot have the lock is not alone. Looked at first: what is read then is
    // of the one that has it, or of one that came later.
    let running = match lock(data, FlockOperation::NonBlockingLockShared) {
        Ok(_) => false,
        Err(StateError::Lock(_, error)) if error.kind() == io::ErrorKind::WouldBlock => true,
        Err(error) => return Err(error),
    };
    let path = data.join(FILE);
    let Some(bytes) = files::read_private(&path)? else { return Ok(State::default()) };
    let state: State =
        serde_json::from_slice(&bytes).map_err(|error| StateError::Damaged(path.clone(), error))?;
    Ok(State { running, ..state })
}

fn write(path: &Path, state: &State) -> Result<(), FilesError> {
    let text = serde_json::to_vec(state).unwrap_or_default();
    files::write_private(path, &text)
}

fn lock(data: &Path, how: FlockOperation) -> Result<File, StateError> {
    let path = data.join(LOCK);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let locked = file.and_then(|file| Ok(flock(&file, how).map(|()| file)?));
    locked.map_err(|error| StateError::Lock(path, error))
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use chatcode_proto::pb::Code;

    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn what_the_daemon_tells_is_read_until_it_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!read(folder.path(), AT_ONCE).await.expect("is read").running, "there was none yet");
        let teller = Teller::begin(folder.path(), "id".into(), "core:1".into()).expect("begins");
        teller.ended(LinkWord::Connecting, &Refusal::new(Code::CoreUnreachable, "no\nway"));
        teller.online("box", "quic");
        let online = read(folder.path(), LONG).await.expect("is read");
        assert!(online.running && online.link == LinkWord::Online);
        assert_eq!((online.name.as_str(), online.pid), ("box", std::process::id()));
        assert_eq!(online.reason, "");
        teller.ended(LinkWord::Revoked, &Refusal::new(Code::Revoked, "out"));
        teller.close().await;
        let last = read(folder.path(), LONG).await.expect("is read");
        assert_eq!((last.running, last.link), (false, LinkWord::Revoked));
        assert_eq!((last.code.as_str(), last.reason.as_str()), ("revoked", "out"));
    }

    #[tokio::test]
    async fn a_daemon_that_begins_is_not_online_by_the_word_of_the_last_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let last = Teller::begin(folder.path(), "id".into(), "core:1".into()).expect("begins");
        last.online("box", "quic");
        last.close().await;
        let next = Teller::begin(folder.path(), "id".into(), "core:1".into()).expect("begins");
        // Nothing else has run since.
        let state = now(folder.path()).expect("is read");
        assert_eq!((state.running, state.link), (true, LinkWord::Connecting));
        next.close().await;
    }

    #[tokio::test]
    async fn a_reader_never_keeps_a_daemon_from_beginning() {
        let folder = tempfile::tempdir().expect("a folder");
        let reader = lock(folder.path(), FlockOperation::NonBlockingLockShared).expect("is free");
        let data = folder.path().to_owned();
        let beginning = tokio::task::spawn_blocking(move || lock(&data, FlockOperation::LockExclusive));
        drop(reader);
        beginning.await.expect("does not panic").expect("waits for the reader");
    }

    #[tokio::test]
    async fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        files::write_private(folder.path().join(FILE), b"{").expect("is written");
        let error = read(folder.path(), AT_ONCE).await.expect_err("is damaged");
        assert!(error.to_string().contains(FILE), "{error}");
    }
}
