//! A new daemon on trial. The one before it stays and watches, in the same
//! process that the service manager knows: a new one that crashes, hangs or
//! cannot reach the core needs nothing of its own to be undone, and what a
//! service manager starts in the meantime, or after a power cut, is still the
//! old one. Only a proven daemon becomes current.

use std::{
    ffi::OsString, io, os::unix::process::CommandExt as _, path::Path, process::Stdio, time::Duration,
};

use chatcode_proto::limits;
use rustix::process::{Pid, Signal, kill_process};
use semver::Version;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Ends with the one that started it, by its standard input.
const WITH_STDIN: &str = "--exit-with-stdin";

/// What came of a trial.
#[derive(Debug)]
pub enum Tried {
    /// The core has welcomed it; it runs.
    Proven(OnTrial),
    /// Why it is not taken; it has ended.
    Failed(String),
    /// This daemon was told to stop meanwhile; the new one has ended.
    Stopped,
}

/// A daemon that was started here, and ends with this process.
#[derive(Debug)]
pub struct OnTrial(Child);

/// Whether a program says that it is this version.
///
/// # Errors
/// What it did instead.
pub async fn says_version(program: &Path, version: &Version) -> Result<(), String> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = timeout(limits::UPDATE_VERSION, command.output()).await;
    let output = output.map_err(|_| "the new program does not say its version in time".to_owned())?;
    let output = output.map_err(|error| format!("the new program does not start ({error})"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && said.split_whitespace().nth(1) == Some(&*version.to_string()) {
        return Ok(());
    }
    Err(format!("the new program does not say that it is version {version} ({})", output.status))
}

/// Starts `program` with the arguments of this process, and waits until it says
/// that the core has welcomed it. The folder's lock must be free.
pub async fn attempt(
    program: &Path,
    arguments: Vec<OsString>,
    within: Duration,
    stop: &CancellationToken,
) -> Tried {
    let mut command = Command::new(program);
    let is_told = arguments.iter().any(|argument| argument == WITH_STDIN);
    command.args(arguments).args((!is_told).then_some(WITH_STDIN));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Tried::Failed(format!("it could not be started ({error})")),
    };
    let failed = match stop.run_until_cancelled(timeout(within, welcomed(&mut child))).await {
        Some(Ok(Ok(()))) => return Tried::Proven(OnTrial(child)),
        Some(Ok(Err(why))) => Some(why),
        Some(Err(_)) => Some(format!("the core did not welcome it within {} s", within.as_secs())),
        None => None,
    };
    OnTrial(child).end().await;
    failed.map_or(Tried::Stopped, Tried::Failed)
}

/// Reads what it says until it is ready.
async fn welcomed(child: &mut Child) -> Result<(), String> {
    let Some(stdout) = child.stdout.take() else { return Err("it has no standard output".to_owned()) };
    let mut reader = BufReader::new(stdout);
    let mut begins = true;
    loop {
        let mut line = String::new();
        let read = (&mut reader).take(limits::READY_LINE_BYTES as u64).read_line(&mut line).await;
        // A piece of a longer line says nothing.
        let ends = line.ends_with('\n');
        let is_line = std::mem::replace(&mut begins, ends) && ends;
        match read {
            Ok(0) | Err(_) => {
                let ended =
                    child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
                return Err(format!("it ended at once ({ended})"));
            }
            Ok(_) if is_line && is_ready(&line) => return Ok(()),
            Ok(_) => {}
        }
    }
}

fn is_ready(line: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Ready {
        ready: String,
    }
    serde_json::from_str::<Ready>(line).is_ok_and(|line| line.ready == "gateway")
}

impl OnTrial {
    /// Ends it, politely at first; it is gone when this returns.
    pub async fn end(self) {
        self.end_within(limits::UPDATE_END).await;
    }

    async fn end_within(mut self, patience: Duration) {
        drop(self.0.stdin.take());
        if let Some(pid) = self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).unwrap_or_default())) {
            // Fails only when it has ended.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(patience, self.0.wait()).await.is_err() {
            let _ = self.0.start_kill();
            let _ = self.0.wait().await;
        }
    }
}

/// Becomes `program`, with the arguments of this process. Returns only when that
/// fails.
#[must_use]
pub fn become_program(program: &Path, arguments: Vec<OsString>) -> io::Error {
    std::process::Command::new(program).args(arguments).exec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command.spawn().expect("there is a shell")
    }

    #[tokio::test]
    async fn a_daemon_on_trial_is_ready_by_a_line_of_its_own_and_a_longer_one_is_none() {
        let ready = r#"{"ready":"gateway"}"#;
        let script = |before: usize| format!("printf 'something else\\n%{before}s%s\\n' '' '{ready}'");
        let welcomed = async |before| welcomed(&mut shell(&script(before))).await;
        assert_eq!(welcomed(0).await, Ok(()));
        assert_eq!(welcomed(limits::READY_LINE_BYTES - ready.len() - 1).await, Ok(()), "the longest");
        for longer in [limits::READY_LINE_BYTES - ready.len(), limits::READY_LINE_BYTES] {
            let why = welcomed(longer).await.expect_err("is none of ours");
            assert!(why.contains("it ended at once"), "{longer}: {why}");
        }
    }

    #[tokio::test]
    async fn a_daemon_on_trial_that_does_not_end_when_it_is_told_to_is_killed() {
        let mut stubborn = shell("trap '' TERM; echo deaf; while :; do read -r _ || /bin/sleep 0.1; done");
        let mut deaf = String::new();
        let mut said = BufReader::new(stubborn.stdout.as_mut().expect("is piped"));
        said.read_line(&mut deaf).await.expect("is read");
        let pid = Pid::from_raw(stubborn.id().expect("runs").cast_signed()).expect("a process");
        let ending = OnTrial(stubborn).end_within(Duration::from_millis(100));
        timeout(limits::UPDATE_END, ending).await.expect("long before the usual time");
        assert!(kill_process(pid, Signal::TERM).is_err(), "it is gone");
    }
}
