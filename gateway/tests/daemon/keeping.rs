//! Where holders live: a `systemd-run` that the test plays runs the holder as
//! the real one does, and keeps what it was told. The real one is asked by
//! `tests/systemd`.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
    process::Stdio,
};

use chatcode_proto::pb::{Code, SessionState};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    core::{TestCore, code, eventually},
    machine::{Daemon, Machine},
    seat::Seat,
};

/// Keeps arguments and environment, then runs the program as no child of its
/// own, and stays as long as it is let.
const RUNS: &str = "#!/bin/sh
here=$(/usr/bin/dirname \"$0\")
printf '%s\\n' \"$@\" > \"$here/arguments\"
/usr/bin/env > \"$here/environment\"
echo $$ > \"$here/pid\"
while [ \"$1\" != -- ]; do shift; done
shift
exec 3<&0
\"$@\" <&3 3<&- &
wait
";

/// A user's systemd, as far as the daemon looks at it.
struct Manager {
    folder: TempDir,
    _sockets: [UnixListener; 2],
}

impl Manager {
    fn with(systemd_run: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("systemd")).unwrap();
        let sockets =
            ["systemd/private", "bus"].map(|name| UnixListener::bind(folder.path().join(name)).unwrap());
        let manager = Self { folder, _sockets: sockets };
        manager.install("systemd-run", systemd_run);
        manager.install("systemctl", "#!/bin/sh\necho \"$*\" >> \"$(/usr/bin/dirname \"$0\")/control\"\n");
        manager
    }

    fn install(&self, name: &str, script: &str) {
        fs::write(self.file(name), script).unwrap();
        fs::set_permissions(self.file(name), PermissionsExt::from_mode(0o700)).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// The daemon's command line on a machine that has this manager.
    fn command(&self, machine: &Machine, holders: &str) -> Command {
        let mut command = machine.command();
        let path = format!("{}:/usr/bin:/bin", self.folder.path().display());
        command.args(["--holders", holders]).env("PATH", path).env("XDG_RUNTIME_DIR", self.folder.path());
        command
    }
}

#[tokio::test]
async fn a_holder_is_given_to_the_user_s_systemd_with_its_limits_and_the_spec_in_no_argument() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let manager = Manager::with(RUNS);
    let mut command = manager.command(&machine, "systemd-user");
    command.env("CHATCODE_GATEWAY_SESSION_LIMITS", "{memory_bytes=268435456,tasks=64}");
    command.env("NOT_FOR_SYSTEMD", "secret");
    let daemon = Daemon::spawn(command);
    let link = core.link().await;
    let made = link.create_sh("echo a-word-of-the-spec; exec cat").await;
    let arguments = manager.read("arguments");
    for wanted in [
        "--user",
        "--pipe",
        "--collect",
        "--slice=chatcode-sessions.slice",
        "--property=OOMPolicy=continue",
        "--property=KillMode=process",
        "--property=MemoryMax=268435456",
        "--property=TasksMax=64",
        &format!("--unit=chatcode-session-{}.service", made.id),
    ] {
        assert!(arguments.lines().any(|argument| argument == wanted), "{wanted}: {arguments}");
    }
    let environment = manager.read("environment");
    assert!(!arguments.contains("a-word-of-the-spec") && !environment.contains("secret"), "{environment}");
    assert!(environment.contains(&format!("XDG_RUNTIME_DIR={}", manager.folder.path().display())));

    // What started the holder is gone, and the holder is known by its socket.
    let starter = format!("/proc/{}", manager.read("pid").trim());
    eventually("the end of systemd-run", async || (!Path::new(&starter).exists()).then_some(())).await;
    let holder = machine.holder_pid(&made.id);
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.until("a-word-of-the-spec").await;
    daemon.kill().await;
    let _daemon = Daemon::spawn(manager.command(&machine, "systemd-user"));
    let link = core.link().await;
    assert_eq!(link.get(&made.id).await.unwrap().state(), SessionState::Running);
    assert_eq!(machine.holder_pid(&made.id), holder);
    link.end_session(&made.id, true).await.unwrap();
    link.state(&made.id, SessionState::Exited).await;
}

#[tokio::test]
async fn a_holder_of_systemd_that_is_stopped_is_killed_by_force_as_any_other() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let manager = Manager::with(RUNS);
    let _daemon = Daemon::spawn(manager.command(&machine, "systemd-user"));
    let link = core.link().await;
    let made = link.create_sh("exec cat").await;
    let holder = machine.holder_pid(&made.id).unwrap();
    rustix::process::kill_process(holder, rustix::process::Signal::STOP).unwrap();
    let ended = link.end_session(&made.id, true).await.unwrap().expect("is still known");
    assert_eq!(ended.state(), SessionState::Lost);
}

#[tokio::test]
async fn a_service_that_systemd_refuses_is_a_failed_start_and_nothing_of_it_is_left() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let manager = Manager::with("#!/bin/sh\necho 'Unknown assignment' >&2\nexit 1\n");
    let _daemon = Daemon::spawn(manager.command(&machine, "systemd-user"));
    let link = core.link().await;
    let request = chatcode_proto::pb::SessionsCreateRequest::default();
    let refused = link.create(request).await.unwrap_err();
    assert_eq!(code(&refused), Code::SpawnFailed);
    assert!(manager.read("control").contains("stop --no-block chatcode-session-"));
    assert_eq!(fs::read_dir(machine.data().join("sessions")).unwrap().count(), 0);
}

#[tokio::test]
async fn without_a_manager_of_its_own_a_daemon_keeps_detached_holders_and_says_that_limits_do_nothing() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    // The manager answers, but the daemon is no service of it.
    let manager = Manager::with(RUNS);
    let mut command = manager.command(&machine, "auto");
    command.env("CHATCODE_GATEWAY_SESSION_LIMITS", "{tasks=64}").stderr(Stdio::piped());
    let daemon = Daemon::spawn(command);
    let link = core.link().await;
    link.create_sh("exec cat").await;
    assert!(!manager.file("arguments").exists());
    let words = daemon.stop_and_read().await;
    assert_eq!(words.matches("limits need systemd").count(), 1, "{words}");
}

#[tokio::test]
async fn a_manager_that_is_asked_for_and_not_there_and_a_limit_out_of_bounds_stop_the_start() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let mut asked = machine.command();
    asked.args(["--holders", "systemd-user"]);
    let mut tight = machine.command();
    tight.env("CHATCODE_GATEWAY_SESSION_LIMITS", "{tasks=1}");
    for (mut command, word) in [(asked, "XDG_RUNTIME_DIR"), (tight, "session_limits.tasks is 1")] {
        command.stderr(Stdio::piped());
        let (code, words) = Daemon::spawn(command).complaint().await;
        assert_eq!(code, Some(78));
        assert!(words.contains(word), "{words}");
    }
}
