//! What is around the daemon: the systemd that it is a service of.

use std::{
    ffi::OsString,
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

/// What decides where holders can live.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// The user's number.
    pub(crate) uid: u32,
    /// The daemon's own cgroups, as in `/proc/self/cgroup`.
    pub(crate) cgroups: String,
    /// The user's folder of sockets.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// Where programs are looked for.
    pub(crate) path: OsString,
    /// The file that is there when the user's systemd outlives a logout.
    pub(crate) linger: PathBuf,
}

impl Surroundings {
    /// Of this process, whose user is called `user`.
    pub(crate) fn of_this_process(user: &str) -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            cgroups: fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
            runtime_dir: std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
            path: std::env::var_os("PATH").unwrap_or_default(),
            linger: Path::new("/var/lib/systemd/linger").join(user),
        }
    }

    /// Whether the daemon runs in a service of its user's systemd, by the cgroup
    /// that systemd keeps it in.
    pub(super) fn is_service_of_user_manager(&self) -> bool {
        let manager = format!("/user@{}.service/", self.uid);
        let paths = self.cgroups.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            (number == "0" || controllers == "name=systemd").then_some(path)
        });
        paths
            .filter_map(|path| path.split_once(&manager))
            .any(|(_, below)| below.split('/').any(|unit| unit.ends_with(".service")))
    }

    /// The user's folder of sockets, if its systemd and its bus listen there.
    pub(super) fn answering_runtime_dir(&self) -> Option<&Path> {
        let folder = self.runtime_dir.as_deref().filter(|folder| folder.is_absolute())?;
        let answers = |name| UnixStream::connect(folder.join(name)).is_ok();
        (answers("systemd/private") && answers("bus")).then_some(folder)
    }

    /// Whether the user's systemd goes on when the user has logged out.
    pub(super) fn lingers(&self) -> bool {
        self.linger.exists()
    }

    /// A program by its name.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let places = std::env::split_paths(&self.path).filter(|folder| folder.is_absolute());
        places.map(|folder| folder.join(name)).find(|file| file.is_file())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn in_cgroup(cgroups: &str) -> bool {
        Surroundings { uid: 1000, cgroups: cgroups.into(), ..Surroundings::default() }
            .is_service_of_user_manager()
    }

    #[test]
    fn only_a_service_of_its_own_user_s_manager_counts() {
        let user = "/user.slice/user-1000.slice/user@1000.service";
        assert!(in_cgroup(&format!("0::{user}/app.slice/gw.service\n")));
        assert!(in_cgroup(&format!("4:memory:/x\n1:name=systemd:{user}/gw.service/sub\n")));
        assert!(!in_cgroup(&format!("0::{user}/app.slice/terminal.scope\n")), "a terminal's window");
        assert!(!in_cgroup(&format!("0::{user}/init.scope\n")));
        assert!(!in_cgroup("0::/user.slice/user-1000.slice/session-3.scope\n"));
        assert!(!in_cgroup("0::/system.slice/gw.service\n"));
        assert!(!in_cgroup("0::/user.slice/user-1.slice/user@1.service/gw.service\n"), "of another user");
        assert!(!in_cgroup(&format!("4:memory:{user}/gw.service\n")), "not systemd's own tree");
        assert!(!in_cgroup(""));
    }

    #[test]
    fn a_runtime_folder_counts_only_while_somebody_listens_on_both_sockets() {
        let folder = tempfile::tempdir().expect("a folder");
        let around = Surroundings { runtime_dir: Some(folder.path().into()), ..Surroundings::default() };
        assert_eq!(around.answering_runtime_dir(), None);
        fs::create_dir(folder.path().join("systemd")).expect("is made");
        let manager = UnixListener::bind(folder.path().join("systemd/private")).expect("binds");
        assert_eq!(around.answering_runtime_dir(), None, "no bus");
        let _bus = UnixListener::bind(folder.path().join("bus")).expect("binds");
        assert_eq!(around.answering_runtime_dir(), Some(folder.path()));
        drop(manager);
        assert_eq!(around.answering_runtime_dir(), None, "a socket that a dead manager left");
    }

    #[test]
    fn a_program_is_found_in_the_first_folder_that_has_it() {
        let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        fs::write(other.path().join("tool"), b"").expect("is written");
        let path = std::env::join_paths([Path::new("."), one.path(), other.path()]).expect("joins");
        let around = Surroundings { path, ..Surroundings::default() };
        assert_eq!(around.program("tool"), Some(other.path().join("tool")));
        assert_eq!(around.program("no-such-tool"), None);
    }
}
