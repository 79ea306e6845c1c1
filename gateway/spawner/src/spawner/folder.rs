//! The folder of a session: the session user's, open to the daemon's group and
//! to nobody else.

use std::{io, path::Path};

use chatcode_proto::{code::Refusal, id::SessionId, pb::Code};
use nix::unistd::Gid;
use rustix::{
    fs::{CWD, Mode, OFlags, fchmod, fchown, fstat, mkdirat, openat},
    io::Errno,
    process::{Gid as RawGid, Uid as RawUid, geteuid},
};

use super::user::User;

/// What the session user and the daemon's group may do: all; new files get the
/// group of the folder.
const MODE: u32 = 0o2770;

/// Makes the folder of `session` in `sessions`, which is the daemon's: so what
/// is found there is trusted only if it is what was made.
///
/// # Errors
/// `SPAWN_FAILED`, with the reason.
pub(crate) fn make(sessions: &Path, session: &SessionId, owner: &User, group: Gid) -> Result<(), Refusal> {
    make_for(sessions, session, owner.uid.as_raw(), group.as_raw()).map_err(|error| {
        let words = format!(
            "the session's folder could not be made in {} ({error}); see --sessions in the spawner's unit",
            sessions.display()
        );
        Refusal::new(Code::SpawnFailed, words)
    })
}

fn make_for(sessions: &Path, session: &SessionId, owner: u32, group: u32) -> io::Result<()> {
    let folder = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let parent = openat(CWD, sessions, folder, Mode::empty())?;
    let name = session.to_string();
    let is_there = match mkdirat(&parent, &name, Mode::from_raw_mode(0o700)) {
        Ok(()) => false,
        Err(Errno::EXIST) => true,
        Err(error) => return Err(error.into()),
    };
    let made = openat(&parent, &name, folder, Mode::empty())?;
    if is_there {
        // Of a session that is started again: used only if it is as it was made.
        let stat = fstat(&made)?;
        let is_ours = (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) == (owner, group, MODE);
        return if is_ours { Ok(()) } else { Err(Errno::EXIST.into()) };
    }
    // The daemon may have put another folder in its place, but none of root's.
    if fstat(&made)?.st_uid != geteuid().as_raw() {
        return Err(io::Error::other("another folder took its place"));
    }
    // The owner last, who could change the mode again.
    fchown(&made, None, Some(RawGid::from_raw(group)))?;
    fchmod(&made, Mode::from_raw_mode(MODE))?;
    fchown(&made, Some(RawUid::from_raw(owner)), None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, symlink},
    };

    use super::*;

    const SESSION: SessionId = SessionId::from_random([5; 16]);

    fn own() -> (u32, u32) {
        (geteuid().as_raw(), rustix::process::getegid().as_raw())
    }

    #[test]
    fn the_folder_is_open_to_owner_and_group_and_hands_its_group_on() {
        let sessions = tempfile::tempdir().expect("a folder");
        let (owner, group) = own();
        make_for(sessions.path(), &SESSION, owner, group).expect("is made");
        let made = fs::metadata(sessions.path().join(SESSION.to_string())).expect("is there");
        assert_eq!((made.mode() & 0o7777, made.uid(), made.gid()), (MODE, owner, group));
    }

    #[test]
    fn the_folder_of_a_session_that_is_started_again_is_used_only_as_it_was_made() {
        let sessions = tempfile::tempdir().expect("a folder");
        let (owner, group) = own();
        make_for(sessions.path(), &SESSION, owner, group).expect("is made");
        make_for(sessions.path(), &SESSION, owner, group).expect("is the same");
        make_for(sessions.path(), &SESSION, owner + 1, group).expect_err("is another user's");
        let folder = sessions.path().join(SESSION.to_string());
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o2777))
            .expect("is changed");
        make_for(sessions.path(), &SESSION, owner, group).expect_err("is open to others");
    }

    #[test]
    fn what_is_there_already_is_neither_used_nor_followed() {
        let sessions = tempfile::tempdir().expect("a folder");
        let (owner, group) = own();
        let elsewhere = tempfile::tempdir().expect("a folder");
        let mode = fs::metadata(elsewhere.path()).expect("is there").mode();
        symlink(elsewhere.path(), sessions.path().join(SESSION.to_string())).expect("is made");
        make_for(sessions.path(), &SESSION, owner, group).expect_err("a link is in the way");
        assert_eq!(fs::metadata(elsewhere.path()).expect("is there").mode(), mode);
        let link = sessions.path().join("link");
        symlink(elsewhere.path(), &link).expect("is made");
        make_for(&link, &SESSION, owner, group).expect_err("the sessions' folder is a link");
    }
}
