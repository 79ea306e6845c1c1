//! `chatcode-core`: runs the core, makes a join token beside a running one, backs
//! it up and restores it.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use chatcode_core::{
    BuildError, Core,
    backup::{self, BackupError},
    config::Config,
    services::tokens::{self, TokenWish},
    store::audit::{Entry, Verdict},
};
use chatcode_process::exit::{self, Exit};
use chatcode_proto::pb::MemberKind;
use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;
use zeroize::Zeroizing;

/// The core of chatcode: where edges, programs and gateways meet.
#[derive(Debug, Parser)]
#[command(name = "chatcode-core", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the core until it is told to stop.
    Run(Run),
    /// Make a join token, for whoever can read the core's folder; also beside a
    /// running core. Prints it once.
    Token(Token),
    /// Check the audit's chain from its first row to its last.
    VerifyAudit {
        /// The folder of the core.
        #[arg(long)]
        data_dir: PathBuf,
    },
    /// Write store, CA and keys into one new file that a passphrase opens; also
    /// beside a running core.
    Backup(Backup),
    /// Put a backup into a folder where there is nothing yet.
    Restore(Backup),
}

#[derive(Debug, clap::Args)]
struct Backup {
    /// The file of the backup.
    file: PathBuf,
    /// The folder of the core.
    #[arg(long)]
    data_dir: PathBuf,
    /// A private file with the passphrase in its first line; left out: it is read
    /// from standard input.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args, Serialize)]
struct Run {
    /// The folder of all its files.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// A configuration file (TOML).
    #[arg(long)]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Where gRPC is served (TCP); port 0: that of the last run, else any.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// Where links come in (UDP); port 0: that of the last run, else any.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<SocketAddr>,
    /// Life of a gateway's certificate, such as 24h; 5m to 168h.
    #[arg(long, value_name = "TIME", value_parser = chatcode_process::seconds)]
    #[serde(rename = "gateway_certificate_s", skip_serializing_if = "Option::is_none")]
    gateway_certificate: Option<u32>,
    /// Stop when standard input ends.
    #[arg(long)]
    #[serde(skip)]
    exit_with_stdin: bool,
}

#[derive(Debug, clap::Args)]
struct Token {
    /// The folder of the core.
    #[arg(long)]
    data_dir: PathBuf,
    /// What the token enrolls.
    #[arg(long, value_enum)]
    kind: Kind,
    /// The name of the new member; left out: its own wish.
    #[arg(long, default_value = "")]
    name: String,
    /// How long the token may be used, such as 15m, 2h or 90s; at most 24h.
    #[arg(long, value_parser = chatcode_process::seconds, default_value = "15m")]
    ttl: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Gateway,
    Edge,
    Admin,
}

/// The line that says that the core serves.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    ready: &'static str,
    grpc: SocketAddr,
    link: SocketAddr,
    installation: &'a str,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    chatcode_process::init_logging("core");
    chatcode_process::main_with("chatcode-core", chatcode_process::Threads::PerCpu, async move {
        match arguments.command {
            Command::Run(flags) => run(flags).await,
            Command::Token(wish) => token(wish).await,
            Command::VerifyAudit { data_dir } => verify_audit(&data_dir).await,
            Command::Backup(wish) => back_up(&wish).await,
            Command::Restore(wish) => restore(&wish).await,
        }
    })
}

async fn run(mut flags: Run) -> anyhow::Result<()> {
    chatcode_process::raise_file_limit();
    let stop = chatcode_process::shutdown(flags.exit_with_stdin);
    if flags.data_dir.is_none()
        && std::env::var_os("CHATCODE_CORE_DATA_DIR").is_none()
        && flags.config.is_none()
    {
        flags.data_dir = Some(chatcode_process::default_data_dir().join("core"));
    }
    let config: Config =
        chatcode_process::load("core", flags.config.as_deref(), &flags).context(Exit(exit::CONFIG))?;
    let core = Core::build(config).await.map_err(unbuilt)?;
    let bound = core.bound();
    tracing::info!(grpc = %bound.grpc, link = %bound.link, installation = bound.installation, "ready");
    chatcode_process::ready(&Ready {
        ready: "core",
        grpc: bound.grpc,
        link: bound.link,
        installation: &bound.installation,
    })?;
    core.run(stop).await;
    Ok(())
}

async fn token(wish: Token) -> anyhow::Result<()> {
    let (store, authority) = chatcode_core::open_existing(&wish.data_dir).await.map_err(unbuilt)?;
    let kind = match wish.kind {
        Kind::Gateway => MemberKind::Gateway,
        Kind::Edge => MemberKind::Edge,
        Kind::Admin => MemberKind::Admin,
    };
    let wish = TokenWish { kind, name: wish.name, ttl_s: u64::from(wish.ttl), ..TokenWish::default() };
    let act = Entry::new("local", "token.created");
    let made = tokens::create_token(&store, &authority, &wish, &act).await;
    let (token, _) = made.map_err(|refusal| exit::with(Exit::of(refusal.code), refusal))?;
    store.close().await;
    writeln!(std::io::stdout(), "{}", *token.expose())?;
    Ok(())
}

/// The act is in the audit before the file is there, and so in the backup too.
async fn back_up(wish: &Backup) -> anyhow::Result<()> {
    let passphrase = passphrase(wish)?;
    let (store, _) = chatcode_core::open_existing(&wish.data_dir).await.map_err(unbuilt)?;
    store.audit(&Entry::new("local", "backup.begun")).await?;
    store.close().await;
    backup::back_up(&wish.data_dir, &wish.file, &passphrase).await.map_err(not_backed_up)?;
    Ok(writeln!(std::io::stdout(), "backed up into {}", wish.file.display())?)
}

async fn restore(wish: &Backup) -> anyhow::Result<()> {
    let passphrase = passphrase(wish)?;
    backup::restore(&wish.file, &wish.data_dir, &passphrase).map_err(not_backed_up)?;
    let (store, _) = chatcode_core::open_existing(&wish.data_dir).await.map_err(unbuilt)?;
    store.audit(&Entry::new("local", "backup.restored")).await?;
    store.close().await;
    verify_audit(&wish.data_dir).await
}

/// From the file that was named, else from standard input; a terminal does not
/// show what is typed.
fn passphrase(wish: &Backup) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    if let Some(file) = &wish.passphrase_file {
        let bytes = chatcode_certs::files::read_private(file).context(Exit(exit::CONFIG))?;
        let bytes = bytes.with_context(|| format!("there is no {}", file.display()))?;
        return backup::read_passphrase(bytes.as_slice()).context(Exit(exit::USAGE));
    }
    let stdin = std::io::stdin();
    let before = rustix::termios::tcgetattr(&stdin).ok();
    if let Some(before) = &before {
        // Nobody who does not see the question waits for an answer.
        let _ = write!(std::io::stderr(), "passphrase of the backup: ");
        let mut hidden = before.clone();
        hidden.local_modes.remove(rustix::termios::LocalModes::ECHO);
        rustix::termios::tcsetattr(&stdin, rustix::termios::OptionalActions::Flush, &hidden)?;
    }
    let line = backup::read_passphrase(stdin.lock());
    if let Some(before) = before {
        rustix::termios::tcsetattr(&stdin, rustix::termios::OptionalActions::Flush, &before)?;
        let _ = writeln!(std::io::stderr());
    }
    line.context(Exit(exit::USAGE))
}

fn not_backed_up(error: BackupError) -> anyhow::Error {
    let code = match &error {
        BackupError::FileExists(_) | BackupError::FolderExists(_) => Exit(exit::USAGE),
        BackupError::Files(_) => Exit(exit::CONFIG),
        _ => Exit(exit::FAILURE),
    };
    exit::with(code, error)
}

async fn verify_audit(data_dir: &Path) -> anyhow::Result<()> {
    let (store, _) = chatcode_core::open_existing(data_dir).await.map_err(unbuilt)?;
    let verdict = store.verify_audit().await?;
    store.close().await;
    match verdict {
        Verdict::Whole(rows) => Ok(writeln!(std::io::stdout(), "whole: {rows} rows")?),
        Verdict::BrokenAt(number) => {
            anyhow::bail!("the audit is not as it was written: row {number} is changed, missing or too many")
        }
    }
}

/// Files that others may read, or that are damaged, are a matter of setting up;
/// what only the store or the system knows is a failure.
fn unbuilt(error: BuildError) -> anyhow::Error {
    let code = match &error {
        BuildError::Listen { source, .. } => Exit::of_listening(source),
        BuildError::Taken(_) => Exit(exit::TEMPFAIL),
        BuildError::Store(_) | BuildError::Reflection(_) => Exit(exit::FAILURE),
        _ => Exit(exit::CONFIG),
    };
    exit::with(code, error)
}
