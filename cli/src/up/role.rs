//! One program of ours as a child process: it says when it is ready, logs to a
//! file, and ends when its standard input does.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use chatcode_process::exit::{self, Exit};
use chatcode_proto::limits;
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinSet,
};

use super::log_file::{LogFile, tail};

/// How long the last lines of a program that ended are waited for.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The pause before a program is tried again that asked for it.
const TRY_LATER: Duration = Duration::from_millis(200);

/// How to start a program.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    /// "core", "edge", "gateway".
    pub(super) role: &'static str,
    /// The program.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<OsString>,
    /// Where its log goes.
    pub(super) log: PathBuf,
    /// Whether its log goes to standard error too.
    pub(super) verbose: bool,
}

/// A program that runs. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Role {
    spec: Spec,
    child: Child,
    /// Its end asks the program to stop.
    stdin: Option<ChildStdin>,
    ready: Option<BufReader<ChildStdout>>,
    /// What reads its output to the end; ends with it.
    pumps: JoinSet<()>,
}

impl Spec {
    /// Starts the program.
    ///
    /// # Errors
    /// When it cannot be started or its log cannot be written.
    pub(super) fn start(&self) -> anyhow::Result<Role> {
        let mut log = LogFile::open(&self.log, limits::ROLE_LOG_BYTES)
            .with_context(|| format!("the log {}", self.log.display()))?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C is for `up`, which then ends its programs in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", self.program.display()))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut pumps = JoinSet::new();
        if let Some(stderr) = stderr {
            let verbose = self.verbose;
            pumps.spawn(pump(stderr, move |bytes| {
                // A full disk costs the log, not the program.
                let _ = log.write(bytes);
                if verbose {
                    use std::io::Write as _;
                    let _ = std::io::stderr().write_all(bytes);
                }
            }));
        }
        Ok(Role { spec: self.clone(), child, stdin, ready: stdout.map(BufReader::new), pumps })
    }
}

impl Spec {
    /// Starts the program and waits until it is ready, for at most
    /// [`limits::ROLE_START`]. One that asks to be tried later, since another
    /// still has its files, is.
    ///
    /// # Errors
    /// When it does not come up; the error shows the end of its log.
    pub(super) async fn come_up<T: DeserializeOwned>(&self) -> anyhow::Result<(Role, T)> {
        self.come_up_within(limits::ROLE_START).await
    }

    async fn come_up_within<T: DeserializeOwned>(&self, patience: Duration) -> anyhow::Result<(Role, T)> {
        let tries = async {
            loop {
                let mut role = self.start()?;
                match role.ready().await {
                    Err(error) if is_for_later(&error) => tokio::time::sleep(TRY_LATER).await,
                    said => return said.map(|said| (role, said)),
                }
            }
        };
        let result = match tokio::time::timeout(patience, tries).await {
            Ok(result) => result,
            Err(_) => Err(anyhow::anyhow!("the {} was not ready within {} s", self.role, patience.as_secs())
                .context(Exit(exit::TEMPFAIL))),
        };
        result.map_err(|error| {
            let code = error.downcast_ref::<Exit>().copied().unwrap_or(Exit(exit::FAILURE));
            let why = error.chain().filter(|cause| !cause.is::<Exit>()).last().map(ToString::to_string);
            let (why, log) = (why.unwrap_or_default(), self.log.display());
            anyhow::anyhow!("{why}; the end of its log {log}:\n{}", tail(&self.log)).context(code)
        })
    }
}

fn is_for_later(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Exit>().is_some_and(|exit| exit.0 == exit::TEMPFAIL)
}

impl Role {
    /// Waits for the line that says that the program is ready.
    ///
    /// # Errors
    /// When it ends before, or says something else.
    pub(super) async fn ready<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let role = self.spec.role;
        let mut stdout = self.ready.take().context("the ready line was read before")?;
        let mut line = Vec::new();
        let read = (&mut stdout).take(limits::READY_LINE_BYTES as u64).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(1..)) {
            let status = self.wait().await?;
            let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::FAILURE);
            return Err(anyhow::anyhow!("the {role} did not start ({})", how(status)).context(Exit(code)));
        }
        let other = || format!("the {role} said something else");
        // The beginning of a longer one may look like one of ours.
        let line = line.strip_suffix(b"\n").with_context(other)?;
        let ready = serde_json::from_slice(line).with_context(other)?;
        // What it prints later is of no use, but a full pipe would stop it.
        self.pumps.spawn(pump(stdout, |_| ()));
        Ok(ready)
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(super) async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let status =
            self.child.wait().await.with_context(|| format!("waiting for the {}", self.spec.role))?;
        // The last lines are in the log before anybody is told; something that
        // the program left behind may hold the pipe open for longer.
        let last_lines = async { while self.pumps.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_LINES, last_lines).await.is_err() {
            self.pumps.shutdown().await;
        }
        Ok(status)
    }

    /// Asks the program to stop and waits; one that takes longer than it may is
    /// killed.
    pub(super) async fn stop(mut self) {
        self.stdin.take();
        let patience = limits::SHUTDOWN + Duration::from_secs(1);
        if tokio::time::timeout(patience, self.wait()).await.is_err() {
            tracing::warn!(target: "chatcode", role = self.spec.role, "does not stop; killed");
            let _ = self.child.kill().await;
        }
    }
}

/// Runs a program to its end with `input` on its standard input, and gives what
/// it printed. Both may be secret.
///
/// # Errors
/// When it does not start or fails; the error holds what it said to standard
/// error.
pub(super) async fn run(
    program: &Path,
    arguments: &[OsString],
    input: &str,
) -> anyhow::Result<zeroize::Zeroizing<String>> {
    let name = program.display();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{name} does not start"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that failed already says more by its exit.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = tokio::time::timeout(limits::ROLE_START, child.wait_with_output())
        .await
        .map_err(|_| anyhow::anyhow!("{name} did not end within {} s", limits::ROLE_START.as_secs()))??;
    if !output.status.success() {
        let said = crate::print::shown(String::from_utf8_lossy(&output.stderr).trim());
        bail!("{name} failed ({}): {said}", how(output.status));
    }
    let printed = String::from_utf8(output.stdout).map_err(|_| anyhow::anyhow!("{name} printed no text"))?;
    Ok(zeroize::Zeroizing::new(printed))
}

/// How a program ended, in words.
pub(super) fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    }
}

/// Reads `from` to its end.
async fn pump(mut from: impl AsyncRead + Unpin, mut with: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 8192];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        with(&buffer[..n]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// A shell that runs this script as a program of ours.
    fn shell(folder: &Path, script: &str) -> Spec {
        Spec {
            role: "edge",
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            log: folder.join("edge.log"),
            verbose: false,
        }
    }

    #[tokio::test]
    async fn a_program_that_prints_a_longer_ready_line_than_ours_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let said = r#"{"ready":"edge"}"#;
        let ready = async |blanks: usize| {
            let script = format!("printf '%{blanks}s%s\\n' '' '{said}'; exec cat");
            let mut role = shell(folder.path(), &script).start().unwrap();
            let ready = role.ready::<Value>().await.map_err(|error| format!("{error:#}"));
            role.stop().await;
            ready
        };
        let longest = limits::READY_LINE_BYTES - said.len() - 1;
        assert!(ready(longest).await.is_ok());
        for longer in [longest + 1, limits::READY_LINE_BYTES] {
            let refused = ready(longer).await.unwrap_err();
            assert!(refused.contains("said something else"), "{longer}: {refused}");
        }
    }

    #[tokio::test]
    async fn a_program_that_is_not_ready_in_time_fails_with_the_end_of_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let slow = shell(folder.path(), "echo deep in thought >&2; exec cat");
        let coming = slow.come_up_within::<Value>(Duration::from_millis(500));
        let failed =
            tokio::time::timeout(limits::ROLE_START, coming).await.expect("long before").unwrap_err();
        let words = format!("{failed:#}");
        assert!(words.contains("was not ready within") && words.contains("deep in thought"), "{words}");
        assert_eq!(failed.downcast_ref::<Exit>().map(|exit| exit.0), Some(exit::TEMPFAIL));
    }
}
