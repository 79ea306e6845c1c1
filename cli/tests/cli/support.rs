//! `chatcode up` as a child process with a folder of its own, and a terminal to
//! attach from.

use std::{
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take on a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Any port of this machine.
const ZERO: &str = "127.0.0.1:0";

/// The program under test.
pub(crate) const CHATCODE: &str = env!("CARGO_BIN_EXE_chatcode");

/// A data folder, whose holders end with it.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// A new one. Its path is short, since sockets lie in it.
    pub(crate) fn new() -> Self {
        for role in ["core", "edge", "gateway", "holder"] {
            let program = Path::new(CHATCODE).with_file_name(format!("chatcode-{role}"));
            assert!(program.is_file(), "{} is not built; `just test` builds all programs", program.display());
        }
        Self(tempfile::Builder::new().prefix("cc").tempdir_in("/tmp").expect("a folder"))
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// `chatcode` with this data folder.
    pub(crate) fn chatcode(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(CHATCODE);
        command.arg("--data-dir").arg(self.path()).args(arguments).stdin(Stdio::null());
        command.env_remove("CHATCODE_DATA_DIR").env_remove("CHATCODE_LOG");
        command
    }

    /// Runs `chatcode` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.chatcode(arguments).output().expect("chatcode starts")
    }

    /// Runs `chatcode`, which must succeed; gives what it printed.
    pub(crate) fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("is text")
    }

    /// What `ls --json` tells of the only session.
    pub(crate) fn session(&self) -> serde_json::Value {
        let listing: serde_json::Value =
            serde_json::from_str(&self.prints(&["ls", "--json"])).expect("is JSON");
        assert_eq!(listing["sessions"].as_array().map(Vec::len), Some(1), "{listing}");
        listing["sessions"][0].clone()
    }

    /// Starts `up` and waits until it is ready.
    pub(crate) fn up(&self) -> Up {
        self.up_with(&["--core-listen", ZERO, "--link-listen", ZERO])
    }

    /// The same with these addresses.
    pub(crate) fn up_with(&self, addresses: &[&str]) -> Up {
        Up::start(self, addresses)
    }

    /// Process ids of our programs whose command line names this folder.
    pub(crate) fn pids(&self, program: &str) -> Vec<i32> {
        let folder = self.path().to_str().expect("is text").to_owned();
        std::fs::read_dir("/proc")
            .expect("there is /proc")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
            .filter(|pid| {
                let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.contains(program) && line.contains(&folder)
            })
            .collect()
    }

    /// Process ids of the living holders of this folder's sessions.
    pub(crate) fn holders(&self) -> Vec<i32> {
        let sessions = std::fs::read_dir(self.path().join("gateway/sessions"));
        let records = sessions.into_iter().flatten().flatten();
        records.flat_map(|record| holders(&record.path().join("holder.sock"))).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Holders outlive everything on purpose; their shells are ended here.
        self.holders().into_iter().for_each(|pid| kill(pid, Signal::KILL));
    }
}

/// The holders that work in the folder of `socket`.
fn holders(socket: &Path) -> Vec<i32> {
    let record = socket.with_file_name("holder.log");
    let is_open = |pid: i32| {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == record))
    };
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| is_open(*pid))
        .collect()
}

/// Sends a signal; the process may be gone already.
pub(crate) fn kill(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// A running `up`; killed when dropped.
pub(crate) struct Up {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// The line that it printed when it was ready.
    pub(crate) ready: serde_json::Value,
    /// From the start to that line.
    pub(crate) took: Duration,
}

impl Up {
    fn start(folder: &Folder, addresses: &[&str]) -> Self {
        let arguments = [&["up", "--json", "--listen", ZERO], addresses].concat();
        let began = Instant::now();
        let mut child = folder
            .chatcode(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("chatcode starts");
        let stdout = lines(child.stdout.take().expect("is piped"));
        let stderr = lines(child.stderr.take().expect("is piped"));
        let Ok(line) = stdout.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("up was not ready; it said {:?}", stderr.iter().collect::<Vec<_>>());
        };
        let ready = serde_json::from_str(&line).expect("is one line of JSON");
        Self { child, lines: stderr, ready, took: began.elapsed() }
    }

    /// A word of the ready line.
    pub(crate) fn word(&self, key: &str) -> &str {
        self.ready[key].as_str().unwrap_or_else(|| panic!("{} has no {key}", self.ready))
    }

    /// Waits until it says a line with `words`.
    pub(crate) fn says(&self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("{words:?} was not said"));
            if line.contains(words) {
                return line;
            }
        }
    }

    /// As Ctrl-C does where a runner passes it on besides the terminal; waits
    /// for its end and gives the exit code.
    pub(crate) fn interrupt(mut self) -> Option<i32> {
        let pid = i32::try_from(self.child.id()).expect("is a pid");
        kill(pid, Signal::INT);
        self.says("a signal asks to stop");
        kill(pid, Signal::INT);
        self.child.wait().expect("ends").code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a pipe, read by a thread that ends with it.
fn lines(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

/// Waits until `reached`.
pub(crate) fn eventually(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "{what} did not come to pass");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where a program of util-linux is.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is needed for this test; it belongs to util-linux"))
}
