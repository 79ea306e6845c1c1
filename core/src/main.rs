//! `chatcode-core`: runs the core, checks its settings, makes a join token beside a
//! running one, backs it up and restores it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use chatcode_certs::{AuditKey, Passphrase};
use chatcode_core::{
    BuildError, Core,
    backup::{self, BackupError},
    config::Config,
    services::tokens::{self, TokenWish},
    store::audit::{Entry, Verdict},
};
use chatcode_process::{
    config::{
        self,
        reload::{self, Origin, Reloads},
    },
    exit::{self, Exit},
    observe::ObserveError,
    out,
    papers::Papers,
    say, secret,
};
use chatcode_proto::pb::MemberKind;
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;
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
    /// Check the settings as a start does, and tell all that is wrong; starts nothing.
    Check {
        #[command(flatten)]
        run: Run,
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a join token, for whoever can read the core's folder; also beside a
    /// running core. Prints it once.
    Token(Token),
    /// The root's key, away from this machine and back; the passphrase of the keys.
    #[command(subcommand)]
    Ca(Ca),
    /// Check the audit's chain from its first row to its last.
    VerifyAudit {
        /// The folder of the core.
        #[arg(long)]
        data_dir: PathBuf,
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// The pin of the key that signs the audit's heads, for an auditor; also beside a
    /// running core.
    AuditKey {
        /// The folder of the core.
        #[arg(long)]
        data_dir: PathBuf,
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write store, CA and keys into one new file that a passphrase opens; also
    /// beside a running core.
    Backup(Backup),
    /// Put a backup into a folder where there is nothing yet.
    Restore(Backup),
    #[command(flatten)]
    Papers(Papers),
}

#[derive(Debug, clap::Args)]
struct Backup {
    /// The file of the backup; `-` is standard output, or for a restore the rest of
    /// standard input.
    file: PathBuf,
    /// The folder of the core.
    #[arg(long)]
    data_dir: PathBuf,
    /// A private file with the passphrase in its first line; left out: it is read
    /// from standard input.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Print one line of JSON, when the backup does not go to standard output.
    #[arg(long)]
    json: bool,
}

impl Backup {
    /// Whether the backup comes or goes by standard input and output.
    fn is_streamed(&self) -> bool {
        self.file.as_os_str() == "-"
    }
}

#[derive(Debug, Subcommand)]
enum Ca {
    /// Copy the key and certificate of the root to a file, also beside a running
    /// core. An encrypted key stays encrypted.
    ExportRoot {
        /// The folder of the core.
        #[arg(long)]
        data_dir: PathBuf,
        /// Remove the key from the core's folder when the copy is written.
        #[arg(long)]
        remove: bool,
        /// The file to be written.
        file: PathBuf,
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Put the root's key back, also beside a running core.
    ImportRoot {
        /// The folder of the core.
        #[arg(long)]
        data_dir: PathBuf,
        /// The file with the passphrase, when the key is encrypted, or shall be.
        #[arg(long, value_name = "FILE")]
        ca_passphrase_file: Option<PathBuf>,
        /// The file that `export-root` wrote.
        file: PathBuf,
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Encrypt the CA's keys by another passphrase, or by none; the core needs the
    /// new one at its next start.
    ChangePassphrase {
        /// The folder of the core.
        #[arg(long)]
        data_dir: PathBuf,
        /// The file with the old passphrase, when there is one.
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// The file with the new passphrase; left out: keys are kept as they are.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
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
    /// Life of an edge's certificate; 5m to 168h.
    #[arg(long, value_name = "TIME", value_parser = chatcode_process::seconds)]
    #[serde(rename = "edge_certificate_s", skip_serializing_if = "Option::is_none")]
    edge_certificate: Option<u32>,
    /// Life of an administrator's certificate; at most 2160h.
    #[arg(long, value_name = "TIME", value_parser = chatcode_process::seconds)]
    #[serde(rename = "admin_certificate_s", skip_serializing_if = "Option::is_none")]
    admin_certificate: Option<u32>,
    /// Life of the core's own certificate; at most 2160h.
    #[arg(long, value_name = "TIME", value_parser = chatcode_process::seconds)]
    #[serde(rename = "core_certificate_s", skip_serializing_if = "Option::is_none")]
    core_certificate: Option<u32>,
    /// Life of the intermediates that the core makes.
    #[arg(long, value_name = "TIME", value_parser = chatcode_process::seconds)]
    #[serde(rename = "intermediate_s", skip_serializing_if = "Option::is_none")]
    intermediate: Option<u32>,
    /// Days after which rows of the audit move into archive files; left out: never.
    #[arg(long, value_name = "DAYS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_keep_days: Option<u32>,
    /// The file with the passphrase of the CA's keys.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_passphrase_file: Option<PathBuf>,
    /// Where metrics, /healthz and /readyz are served; left out: nowhere.
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
    /// The collector on this machine that gets traces, such as http://127.0.0.1:4317.
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp: Option<String>,
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
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// How long the token may be used, such as 15m, 2h or 90s; at most 24h.
    #[arg(long, value_parser = chatcode_process::seconds, default_value = "15m")]
    ttl: u32,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
    installation: &'a str,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    chatcode_process::main_with("chatcode-core", chatcode_process::Threads::Several, async move {
        if !matches!(arguments.command, Command::Run(_)) {
            chatcode_process::init_logging("core");
        }
        match arguments.command {
            Command::Run(flags) => Box::pin(run(flags)).await,
            Command::Check { run, json } => config::check::<Config>(run.config.as_deref(), &run, json),
            Command::Token(wish) => token(wish).await,
            Command::Ca(order) => move_root(order),
            Command::VerifyAudit { data_dir, json } => verify_audit(&data_dir, json).await,
            Command::AuditKey { data_dir, json } => audit_key(&data_dir, json),
            Command::Backup(wish) => back_up(&wish).await,
            Command::Restore(wish) => restore(&wish).await,
            Command::Papers(papers) => papers.run(Arguments::command()),
        }
    })
}

async fn run(flags: Run) -> anyhow::Result<()> {
    chatcode_process::raise_file_limit();
    let stop = chatcode_process::shutdown(flags.exit_with_stdin);
    let mut reloads = Reloads::new();
    let mut config: Config =
        chatcode_process::load(flags.config.as_deref(), &flags).context(Exit(exit::CONFIG))?;
    chatcode_process::init_logging_and_traces("core", config.otlp.as_deref()).context(Exit(exit::CONFIG))?;
    chatcode_process::logging::set_filter(config.log.as_deref());
    let core = Core::build(config.clone()).await.map_err(unbuilt)?;
    let bound = core.bound();
    tracing::info!(grpc = %bound.grpc, link = %bound.link, installation = bound.installation, "ready");
    chatcode_process::ready(&Ready {
        ready: "core",
        grpc: bound.grpc,
        link: bound.link,
        metrics: bound.metrics,
        installation: &bound.installation,
    })?;
    let shared = Arc::clone(core.shared());
    let origin = Origin { file: flags.config.clone(), flags };
    let apply = move |new: &Config| {
        shared.reload(new);
        Ok(())
    };
    tokio::select! {
        () = core.run(stop) => {}
        () = reload::keep(&mut reloads, &origin, &mut config, apply) => {}
    }
    Ok(())
}

async fn token(wish: Token) -> anyhow::Result<()> {
    let (store, authority) = chatcode_core::open_existing(&wish.data_dir).await.map_err(unbuilt)?;
    let kind = match wish.kind {
        Kind::Gateway => MemberKind::Gateway,
        Kind::Edge => MemberKind::Edge,
        Kind::Admin => MemberKind::Admin,
    };
    let wish_json = wish.json;
    let wish = TokenWish { kind, name: wish.name, ttl_s: u64::from(wish.ttl), ..TokenWish::default() };
    let act = Entry::new("local", "token.created");
    let made = tokens::create_token(&store, &authority, &wish, &act).await;
    let (token, _) = made.map_err(|refusal| exit::with(Exit::of(refusal.code), refusal))?;
    store.close().await;
    let token = token.expose();
    if wish_json {
        Ok(out::json(&json!({ "token": *token }))?)
    } else {
        Ok(out::answer(&format!("{}\n", *token))?)
    }
}

fn move_root(order: Ca) -> anyhow::Result<()> {
    let (done, json, words) = match order {
        Ca::ExportRoot { data_dir, remove, file, json } => {
            chatcode_certs::export_root(&data_dir.join("ca"), &file, remove).context(Exit(exit::CONFIG))?;
            let rest = if remove {
                "the core does not have it any more: keep two copies, and nowhere near the core"
            } else {
                "the core still has it"
            };
            ("exported", json, format!("the root's key is in {}; {rest}", file.display()))
        }
        Ca::ImportRoot { data_dir, ca_passphrase_file, file, json } => {
            let passphrase = ca_passphrase(ca_passphrase_file)?;
            chatcode_certs::import_root(&data_dir.join("ca"), &file, passphrase)
                .context(Exit(exit::CONFIG))?;
            ("imported", json, "the core has the root's key again".to_owned())
        }
        Ca::ChangePassphrase { data_dir, from, to, json } => {
            let (from, to) = (ca_passphrase(from)?, ca_passphrase(to)?);
            chatcode_certs::change_passphrase(&data_dir.join("ca"), from, to).context(Exit(exit::CONFIG))?;
            let words = "done; correct the core's setting ca_passphrase_file before its next start";
            ("changed", json, words.to_owned())
        }
    };
    say(&words);
    if json { Ok(out::json(&json!({ "done": done }))?) } else { Ok(()) }
}

fn ca_passphrase(file: Option<PathBuf>) -> anyhow::Result<Option<Passphrase>> {
    file.map(|file| Passphrase::read(&file)).transpose().context(Exit(exit::CONFIG))
}

/// The act is in the audit before the file is there, and so in the backup too.
async fn back_up(wish: &Backup) -> anyhow::Result<()> {
    let passphrase = passphrase(wish)?;
    let (store, _) = chatcode_core::open_existing(&wish.data_dir).await.map_err(unbuilt)?;
    store.audit(&Entry::new("local", "backup.begun")).await?;
    store.close().await;
    if wish.is_streamed() {
        let done = backup::back_up_into(&wish.data_dir, std::io::stdout(), &passphrase).await;
        return done.map(drop).map_err(not_backed_up);
    }
    backup::back_up(&wish.data_dir, &wish.file, &passphrase).await.map_err(not_backed_up)?;
    if wish.json {
        return Ok(out::json(&json!({ "done": "backed_up", "file": wish.file }))?);
    }
    Ok(out::answer(&format!("backed up into {}\n", wish.file.display()))?)
}

async fn restore(wish: &Backup) -> anyhow::Result<()> {
    let passphrase = passphrase(wish)?;
    let restored = if wish.is_streamed() {
        backup::restore(std::io::stdin(), &wish.data_dir, &passphrase)
    } else {
        let file = std::fs::File::open(&wish.file)
            .with_context(|| format!("{} cannot be read", wish.file.display()))?;
        backup::restore(file, &wish.data_dir, &passphrase)
    };
    restored.map_err(not_backed_up)?;
    let (store, _) = chatcode_core::open_existing(&wish.data_dir).await.map_err(unbuilt)?;
    store.audit(&Entry::new("local", "backup.restored")).await?;
    store.close().await;
    verify_audit(&wish.data_dir, wish.json).await
}

/// From the file that was named, else from standard input; a terminal does not
/// show what is typed.
fn passphrase(wish: &Backup) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    if let Some(file) = &wish.passphrase_file {
        let bytes = chatcode_certs::files::read_private(file).context(Exit(exit::CONFIG))?;
        let bytes = bytes.with_context(|| format!("there is no {}", file.display()))?;
        return secret::read_passphrase(bytes.as_slice()).context(Exit(exit::USAGE));
    }
    secret::ask_passphrase("passphrase of the backup").context(Exit(exit::USAGE))
}

fn not_backed_up(error: BackupError) -> anyhow::Error {
    let code = match &error {
        BackupError::FileExists(_) | BackupError::FolderExists(_) => Exit(exit::USAGE),
        BackupError::Files(_) | BackupError::Ca(_) => Exit(exit::CONFIG),
        _ => Exit(exit::FAILURE),
    };
    exit::with(code, error)
}

async fn verify_audit(data_dir: &Path, json: bool) -> anyhow::Result<()> {
    let (store, _) = chatcode_core::open_existing(data_dir).await.map_err(unbuilt)?;
    let verdict = store.verify_audit().await?;
    store.close().await;
    match verdict {
        Verdict::Whole(rows) if json => Ok(out::json(&json!({ "whole": true, "rows": rows }))?),
        Verdict::Whole(rows) => Ok(out::answer(&format!("whole: {rows} rows\n"))?),
        Verdict::Broken(fault) => {
            if json {
                out::json(&json!({ "whole": false, "reason": fault.to_string() }))?;
            }
            anyhow::bail!("the audit is not as it was written: {fault}")
        }
    }
}

fn audit_key(data_dir: &Path, json: bool) -> anyhow::Result<()> {
    let file = data_dir.join("audit").join(chatcode_core::AUDIT_KEY);
    let missing = || format!("there is no {}; a core makes it at its first start", file.display());
    let key = AuditKey::open(&file).context(Exit(exit::CONFIG))?.with_context(missing)?;
    let pin = chatcode_audit::hex(&key.public().pin());
    if json { Ok(out::json(&json!({ "pin": pin }))?) } else { Ok(out::answer(&format!("{pin}\n"))?) }
}

/// Files that others may read, or that are damaged, are a matter of setting up;
/// what only the store or the system knows is a failure.
fn unbuilt(error: BuildError) -> anyhow::Error {
    let code = match &error {
        BuildError::Listen { source, .. } | BuildError::Observe(ObserveError::Listen { source, .. }) => {
            Exit::of_listening(source)
        }
        BuildError::Taken(_) => Exit(exit::TEMPFAIL),
        BuildError::Store(_) | BuildError::Reflection(_) => Exit(exit::FAILURE),
        _ => Exit(exit::CONFIG),
    };
    exit::with(code, error)
}

#[cfg(test)]
mod tests {
    use chatcode_process::{config::page, papers};

    use super::*;

    #[test]
    fn every_command_that_prints_something_does_so_as_json_too() {
        // What a daemon says when it is ready is JSON, always; completions are for a shell.
        let others = ["chatcode-core run", "chatcode-core completions"];
        assert_eq!(papers::without_json(Arguments::command()), others);
    }

    #[test]
    fn the_reference_of_the_commands_is_as_the_program_is() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli-reference.md");
        page::keep_section(&file, "chatcode-core", &papers::reference(Arguments::command()))
            .expect("is kept");
    }
}
