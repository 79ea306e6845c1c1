//! One machine: its folder, the daemon's process, and the holders that outlive
//! it. What is left of holders when a test ends is ended with it.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use chatcode_proto::pb;
use prost::Message as _;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::core::{TestCore, soon};

/// The real holder, built beside the daemon.
pub(crate) fn holder() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_chatcode-gateway")).with_file_name("chatcode-holder");
    assert!(path.is_file(), "{} is missing: cargo build -p chatcode-holder", path.display());
    path
}

pub(crate) struct Machine {
    folder: TempDir,
    address: String,
}

impl Machine {
    /// A machine that is enrolled at `core`.
    pub(crate) fn enrolled(core: &TestCore) -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap(), address: core.address.to_string() };
        core.enroll(&machine.data().join("identity"));
        machine
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("gw")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub(crate) fn session_folder(&self, id: &str) -> PathBuf {
        self.data().join("sessions").join(id)
    }

    /// The daemon's command line; its environment is a bare one of the test's.
    pub(crate) fn command(&self) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_chatcode-gateway")))
    }

    /// The same with another program.
    pub(crate) fn command_of(&self, program: &Path) -> Command {
        fs::create_dir_all(self.home()).unwrap();
        let mut command = Command::new(program);
        command
            .arg("run")
            .arg("--data-dir")
            .arg(self.data())
            .args(["--link", &self.address, "--exit-with-stdin"])
            .arg("--holder")
            .arg(holder())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.home())
            .env("SHELL", "/bin/sh")
            .env("CHATCODE_LOG", "info")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// The daemon's settings in a file, and `more` of them.
    pub(crate) fn write_settings(&self, more: &str) -> PathBuf {
        let file = self.folder.path().join("gateway.toml");
        let (data, link, holder) = (self.data(), &self.address, holder());
        fs::write(&file, format!("data_dir = {data:?}\nlink = {link:?}\nholder = {holder:?}\n{more}"))
            .unwrap();
        file
    }

    pub(crate) fn start(&self) -> Daemon {
        Daemon::spawn(self.command())
    }

    /// The process id of the holder that listens for this session.
    pub(crate) fn holder_pid(&self, id: &str) -> Option<rustix::process::Pid> {
        let socket = UnixStream::connect(self.session_folder(id).join("holder.sock")).ok()?;
        Some(rustix::net::sockopt::socket_peercred(socket).ok()?.pid)
    }

    /// Makes the record of a session one of the machine's life before.
    pub(crate) fn reboot(&self, id: &str) {
        let file = self.session_folder(id).join("record.pb");
        let mut record = pb::HolderRecord::decode(&*fs::read(&file).unwrap()).unwrap();
        assert!(!record.boot_id.is_empty());
        record.boot_id = "another".into();
        fs::write(&file, record.encode_to_vec()).unwrap();
    }

    pub(crate) fn kill_holder(&self, id: &str) {
        let pid = self.holder_pid(id).expect("the holder listens");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

/// Whether a process runs. A zombie has ended: what becomes an orphan is buried when
/// the machine's first process comes to it.
pub(crate) fn is_alive(pid: rustix::process::Pid) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

impl Drop for Machine {
    fn drop(&mut self) {
        let Ok(sessions) = fs::read_dir(self.data().join("sessions")) else { return };
        for session in sessions.flatten() {
            if let Some(pid) = session.file_name().to_str().and_then(|id| self.holder_pid(id)) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// The running daemon; killed when dropped.
pub(crate) struct Daemon {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Daemon {
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// The next line on its standard output.
    pub(crate) async fn line(&mut self) -> serde_json::Value {
        let line = soon("a line of the daemon", self.lines.next_line()).await.unwrap();
        serde_json::from_str(&line.expect("the daemon goes on")).unwrap()
    }

    /// Has it read its settings again.
    pub(crate) fn reload(&self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::HUP).unwrap();
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        let id = self.process.id().expect("it lives");
        rustix::process::Pid::from_raw(id.cast_signed()).unwrap()
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// The end of its standard input.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        drop(self.process.stdin.take());
        self.ended().await
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        soon("the daemon's end", self.process.wait()).await.unwrap()
    }

    /// Stops it; all that it said on standard error.
    pub(crate) async fn stop_and_read(mut self) -> String {
        drop(self.process.stdin.take());
        self.complaint().await.1
    }

    /// All that it said on standard error, once it has ended.
    pub(crate) async fn complaint(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        let mut stderr = self.process.stderr.take().expect("is piped");
        stderr.read_to_string(&mut text).await.unwrap();
        (self.ended().await.code(), text)
    }
}
