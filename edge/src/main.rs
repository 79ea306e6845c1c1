//! The program `chatcode-edge`: `enroll` once, then `run`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use chatcode_certs::{JoinToken, MachineKey, tls};
use chatcode_edge::{Config, Edge, IDENTITY_FOLDER, StartError};
use chatcode_link::enroll::{CoreAddress, enroll};
use chatcode_process::{
    exit::{self, CONFIG, Exit, USAGE},
    observe::ObserveError,
};
use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

/// Bytes of standard input in which the join token must be.
const TOKEN_BYTES: u64 = 4096;

/// What browsers talk to.
#[derive(Parser)]
#[command(name = "chatcode-edge", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Get a certificate from the core; the join token is read from standard input.
    Enroll {
        /// Where to keep it.
        #[arg(long)]
        data_dir: Option<PathBuf>,
        /// The core's gRPC address, HOST:PORT.
        #[arg(long)]
        core: String,
    },
    /// Serve the page.
    Run {
        /// A TOML file with the same names, in lower case with underscores.
        #[arg(long)]
        config: Option<PathBuf>,
        #[command(flatten)]
        flags: Box<Flags>,
        /// Stop when standard input ends.
        #[arg(long)]
        exit_with_stdin: bool,
    },
}

#[derive(Args, Serialize)]
struct Flags {
    /// Where `enroll` put the certificate.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// The core's gRPC address, HOST:PORT; without it the one of `enroll`.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    core: Option<String>,
    /// Where browsers connect; port 0 is any free one.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// The URL under which browsers open the page.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    /// Certificate chain for browsers, PEM.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key: Option<PathBuf>,
    /// What new machines install: a release, or a folder with `stable` in it.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    release_dir: Option<PathBuf>,
    /// Where metrics, /healthz and /readyz are served; left out: nowhere.
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
    /// The collector on this machine that gets traces, such as http://127.0.0.1:4317.
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp: Option<String>,
}

#[derive(Serialize)]
struct Ready {
    ready: &'static str,
    origin: String,
    listen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    tls::install_provider();
    chatcode_process::main_with("chatcode-edge", chatcode_process::Threads::Several, async {
        match cli.command {
            Command::Enroll { data_dir, core } => {
                chatcode_process::init_logging("edge");
                let data_dir = data_dir.unwrap_or_else(|| chatcode_process::default_data_dir().join("edge"));
                get_certificate(&data_dir, &core).await
            }
            Command::Run { config, flags, exit_with_stdin } => {
                run(config.as_deref(), &flags, exit_with_stdin).await
            }
        }
    })
}

async fn run(file: Option<&Path>, flags: &Flags, exit_with_stdin: bool) -> anyhow::Result<()> {
    let config: Config = chatcode_process::load("edge", file, flags).context(Exit(CONFIG))?;
    chatcode_process::init_logging_and_traces("edge", config.otlp.as_deref()).context(Exit(CONFIG))?;
    chatcode_process::raise_file_limit();
    let stop = chatcode_process::shutdown(exit_with_stdin);
    let edge = Edge::build(&config).await.map_err(|error| exit::with(start_exit(&error), error))?;
    tracing::info!(target: "chatcode", origin = %edge.origin(), listen = %edge.address(), "the page is served");
    let ready = Ready {
        ready: "edge",
        origin: edge.origin().to_string(),
        listen: edge.address().to_string(),
        metrics: edge.metrics(),
    };
    chatcode_process::ready(&ready).context("standard output is closed")?;
    edge.run(stop).await;
    Ok(())
}

async fn get_certificate(data_dir: &Path, core: &str) -> anyhow::Result<()> {
    let mut text = Zeroizing::new(String::new());
    tokio::io::stdin()
        .take(TOKEN_BYTES)
        .read_to_string(&mut text)
        .await
        .context("the join token could not be read from standard input")?;
    let token: JoinToken = text.trim().parse().context(Exit(USAGE))?;
    let machine = MachineKey::generate()?;
    let enrolled = enroll(core, &token, "", Some(&machine)).await;
    let (identity, response) = enrolled.map_err(|error| exit::with(Exit::of(error.code()), error))?;
    let folder = data_dir.join(IDENTITY_FOLDER);
    chatcode_certs::files::private_dir(data_dir)?;
    machine.save(&folder)?;
    identity.save(&folder)?;
    CoreAddress::of(core, &response)?.save(&folder)?;
    tracing::info!(target: "chatcode", name = %identity.name(), "enrolled");
    Ok(())
}

fn start_exit(error: &StartError) -> Exit {
    match error {
        StartError::Listen { source, .. } | StartError::Observe(ObserveError::Listen { source, .. }) => {
            Exit::of_listening(source)
        }
        _ => Exit(CONFIG),
    }
}
