//! The system install: the spawner, the only part with root, starts each holder
//! in a transient service as another user. It is asked on its socket, passes
//! the connection on, and the holder answers on it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use bytes::BytesMut;
use chatcode_proto::{
    code::Refusal,
    framing,
    id::SessionId,
    pb::{self, Code},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::KeepingError;
use crate::{config::Config, shell::user::User};

/// The spawner's socket, and whose shells it starts.
#[derive(Clone, Debug)]
pub(crate) struct Spawner {
    socket: PathBuf,
    user: User,
}

impl Spawner {
    /// By the settings.
    ///
    /// # Errors
    /// When the session user is not set, or not known.
    pub(super) fn find(config: &Config) -> Result<Self, KeepingError> {
        let name = config.session_user.as_ref().ok_or(KeepingError::NoSessionUser)?;
        let user = User::named(name).ok_or_else(|| KeepingError::UnknownUser(name.clone()))?;
        Ok(Self { socket: config.spawner.clone(), user })
    }

    /// Whose shells it starts.
    pub(crate) const fn user(&self) -> &User {
        &self.user
    }

    /// Asks for the holder of a session; what is written next is the holder's to
    /// read, and what is read is its answer, or the spawner's in its place.
    ///
    /// # Errors
    /// `SPAWN_FAILED`, when nobody listens.
    pub(crate) async fn ask(&self, session: &SessionId) -> Result<(OwnedReadHalf, OwnedWriteHalf), Refusal> {
        let broken = |error: std::io::Error| {
            let socket = self.socket.display();
            let words =
                format!("the spawner does not answer at {socket} ({error}); start chatcode-spawner.socket");
            Refusal::new(Code::SpawnFailed, words)
        };
        let mut stream = UnixStream::connect(&self.socket).await.map_err(broken)?;
        let mut request = BytesMut::new();
        framing::put(&mut request, &pb::SpawnerRequest { session: session.to_string() });
        stream.write_all(&request).await.map_err(broken)?;
        Ok(stream.into_split())
    }
}

/// Makes the folder of all sessions, which the session user may pass but not
/// read: 0711. Its parent has to be such a folder.
///
/// # Errors
/// What the system says.
pub(super) fn make_sessions(sessions: &Path) -> Result<(), KeepingError> {
    let failed = |error| KeepingError::Folder(sessions.to_owned(), error);
    let parent = sessions.parent().unwrap_or(sessions);
    let mode = fs::metadata(parent).map_err(failed)?.permissions().mode();
    if mode & 0o001 == 0 {
        return Err(KeepingError::Closed(parent.to_owned()));
    }
    fs::create_dir_all(sessions).map_err(failed)?;
    fs::set_permissions(sessions, Permissions::from_mode(0o711)).map_err(failed)
}
