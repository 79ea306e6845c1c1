//! One real process: started beside the test's own executable, ready when it
//! says so, killed when dropped.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
};

use crate::soon;

/// The folder of the built programs: that of this executable, or the one above
/// `deps`.
///
/// # Errors
/// When the system does not tell where this executable is.
pub fn programs() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut folder = own.parent().context("the executable has a folder")?;
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder = folder.parent().context("deps has a folder above")?;
    }
    Ok(folder.to_owned())
}

/// The path of a built program.
///
/// # Errors
/// When it was not built; the error says how to.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = programs()?.join(name);
    ensure!(path.is_file(), "{} is not built; `just test` builds all programs first", path.display());
    Ok(path)
}

/// A running program; killed with SIGKILL when dropped.
#[derive(Debug)]
pub struct Proc {
    child: Child,
    // Its end would ask the program to stop.
    _stdin: Option<ChildStdin>,
    /// What the program said when it was ready.
    pub ready: serde_json::Value,
    log: PathBuf,
}

impl Proc {
    /// Starts a program that prints a ready line, with its log in `log`, and
    /// waits for the line. Its home is the folder of the log: what the dotfiles
    /// of who runs the tests do (a version manager that waits for its lock)
    /// never reaches a shell.
    ///
    /// # Errors
    /// When it does not start, ends, or never says that it is ready; the error
    /// holds the end of its log.
    pub async fn start(name: &str, args: &[&str], log: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        let mut child = Command::new(program(name)?)
            .args(args)
            .env_remove("CHATCODE_DATA_DIR")
            .env("HOME", log.parent().context("a log lies in a folder")?)
            .env("CHATCODE_LOG", std::env::var("CHATCODE_LOG").unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        let stdin = child.stdin.take();
        let mut lines = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
        let line = soon(&format!("the ready line of {name}"), lines.next_line()).await;
        let ready = match line {
            Ok(Ok(Some(line))) => {
                serde_json::from_str(&line).with_context(|| format!("{name} said {line:?}"))?
            }
            other => bail!("{name} {args:?} was not ready: {other:?}; its log:\n{}", tail(log)),
        };
        // What it prints later is of no use, but a full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, _stdin: stdin, ready, log: log.to_owned() })
    }

    /// A word of the ready line.
    ///
    /// # Errors
    /// When the line has no such word.
    pub fn word(&self, key: &str) -> anyhow::Result<String> {
        let word = self.ready.get(key).and_then(|value| value.as_str());
        Ok(word.with_context(|| format!("the ready line {} has no {key:?}", self.ready))?.to_owned())
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("kill -9")
    }

    /// Asks it to stop with SIGTERM and waits for its exit code.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn terminate(&mut self) -> anyhow::Result<Option<i32>> {
        self.signal(Signal::TERM)?;
        self.wait().await
    }

    /// Stops it where it is, as a machine that hangs.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn hang(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`Self::hang`].
    ///
    /// # Errors
    /// When the system refuses.
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid())?).context("it has ended")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Waits for its end and gives the exit code; `None` when a signal ended
    /// it.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn wait(&mut self) -> anyhow::Result<Option<i32>> {
        Ok(soon("the end of the process", self.child.wait()).await??.code())
    }

    /// All that it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Runs a program to its end with `input` on its standard input; gives what it
/// printed.
///
/// # Errors
/// When it fails; the error holds its exit code and what it said.
pub async fn run(name: &str, args: &[&str], input: &str) -> anyhow::Result<String> {
    let mut child = Command::new(program(name)?)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let output = soon(&format!("the end of {name}"), child.wait_with_output()).await??;
    ensure!(
        output.status.success(),
        "{name} {args:?} ended with {:?}: {}",
        output.status.code(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
