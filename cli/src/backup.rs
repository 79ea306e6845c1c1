//! `chatcode admin backup` and `restore`: on the core's own machine, by the core's own
//! program, as the user whose folder it is. No key goes over the network.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::{
        fs::{MetadataExt as _, OpenOptionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use chatcode_process::{
    config::{self, NoFlags},
    exit::{self, Exit},
    secret,
};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::print::Tell;

/// Where an installation by install.sh has the core's settings.
const SETTINGS: &str = "/etc/chatcode/core.toml";

/// A backup of the core on this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// The file of the backup.
    file: PathBuf,
    /// The folder of the core; left out: that of `chatcode up`, or for root the one
    /// in /etc/chatcode/core.toml.
    #[arg(long, value_name = "FOLDER")]
    core_dir: Option<PathBuf>,
    /// A private file with the passphrase in its first line; left out: it is read
    /// from standard input.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    tell: Tell,
}

#[derive(Deserialize)]
struct CoreSettings {
    data_dir: PathBuf,
}

impl Backup {
    /// Writes a new file; the core may run meanwhile.
    ///
    /// # Errors
    /// When there is no core on this machine, or its program refuses.
    pub(crate) fn back_up(&self, data_dir: &Path) -> anyhow::Result<()> {
        let folder = self.core_dir(data_dir)?;
        if !folder.is_dir() {
            let words = format!(
                "there is no core in {}; a backup is made on the core's own machine: run this there, or name its \
                 folder with --core-dir",
                folder.display()
            );
            return Err(anyhow::anyhow!(words).context(Exit(exit::CONFIG)));
        }
        if self.file.exists() {
            let words =
                format!("{} is there already and is not overwritten; name another file", self.file.display());
            return Err(anyhow::anyhow!(words).context(Exit(exit::USAGE)));
        }
        let passphrase = self.passphrase()?;
        let mut part = self.file.clone().into_os_string();
        part.push(".part");
        let part = Unfinished(PathBuf::from(part));
        let mut new = OpenOptions::new();
        let new = new.write(true).create(true).truncate(true).mode(0o600);
        let out = new.open(&part.0).with_context(|| format!("{} cannot be written", part.0.display()))?;
        let to_child = out.try_clone()?;
        run(core_program(&folder, "backup")?.stdout(to_child), &passphrase, io::empty())?;
        out.sync_all()?;
        fs::rename(&part.0, &self.file)?;
        let words = format!("the core in {} is backed up into {}", folder.display(), self.file.display());
        self.tell.done(&words, &json!({ "done": "backed_up", "core": folder, "file": self.file }))
    }

    /// Puts a backup into a folder where there is no core yet.
    ///
    /// # Errors
    /// When there is one, or the file is not opened by the passphrase.
    pub(crate) fn restore(&self, data_dir: &Path) -> anyhow::Result<()> {
        let folder = self.core_dir(data_dir)?;
        let file = File::open(&self.file).with_context(|| format!("{} cannot be read", self.file.display()));
        let file = file.context(Exit(exit::USAGE))?;
        let passphrase = self.passphrase()?;
        run(&mut core_program(&folder, "restore")?, &passphrase, file)?;
        let words = format!("the core is restored in {}; start it there", folder.display());
        self.tell.done(&words, &json!({ "done": "restored", "core": folder }))
    }

    fn core_dir(&self, data_dir: &Path) -> anyhow::Result<PathBuf> {
        let of_up = data_dir.join("core");
        let settings = Path::new(SETTINGS);
        let folder = match &self.core_dir {
            Some(folder) => folder.clone(),
            None if rustix::process::geteuid().is_root() && !of_up.exists() && settings.is_file() => {
                let read = config::peek::<CoreSettings>("core", Some(settings), NoFlags {});
                read.context(Exit(exit::CONFIG))?.data_dir
            }
            None => of_up,
        };
        Ok(std::path::absolute(folder)?)
    }

    fn passphrase(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let Some(file) = &self.passphrase_file else {
            return secret::ask_passphrase("passphrase of the backup").context(Exit(exit::USAGE));
        };
        let bytes = chatcode_certs::files::read_private(file).context(Exit(exit::CONFIG))?;
        let bytes =
            bytes.with_context(|| format!("there is no {}", file.display())).context(Exit(exit::USAGE))?;
        secret::read_passphrase(bytes.as_slice()).context(Exit(exit::USAGE))
    }
}

/// A file that is not left behind when it did not become whole.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It has its name already when all went well.
        let _ = fs::remove_file(&self.0);
    }
}

/// The core's program for its folder. Root becomes the folder's own user first: what
/// it left of its own there the core could not use.
fn core_program(folder: &Path, verb: &str) -> anyhow::Result<Command> {
    const PROGRAM: &str = "chatcode-core";
    let beside = std::env::current_exe()?.with_file_name(PROGRAM);
    // Where a gateway is installed too, the link of this program may lead to its release.
    let mut command = Command::new(if beside.is_file() { beside.as_path() } else { Path::new(PROGRAM) });
    command.args([verb, "-", "--data-dir"]).arg(folder).current_dir("/").stdin(Stdio::piped());
    if rustix::process::geteuid().is_root()
        && let Ok(owner) = fs::metadata(folder)
        && owner.uid() != 0
    {
        command.uid(owner.uid()).gid(owner.gid());
    }
    Ok(command)
}

/// Runs it with the passphrase and then `input` on its standard input.
fn run(command: &mut Command, passphrase: &[u8], mut input: impl io::Read) -> anyhow::Result<()> {
    let program = command.get_program().to_owned();
    let started =
        command.spawn().with_context(|| format!("{} cannot be started", Path::new(&program).display()));
    let mut child = started.context(Exit(exit::CONFIG))?;
    let given = child.stdin.take().map_or(Ok(0), |mut stdin| {
        stdin.write_all(passphrase)?;
        stdin.write_all(b"\n")?;
        io::copy(&mut input, &mut stdin)
    });
    let status = child.wait()?;
    if !status.success() {
        // It has said why.
        let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::FAILURE);
        return Err(anyhow::anyhow!("nothing was done").context(Exit(code)));
    }
    if let Err(error) = given {
        bail!("the core's program ended before it had all ({error})");
    }
    Ok(())
}
