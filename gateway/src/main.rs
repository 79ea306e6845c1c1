//! `chatcode-gateway enroll | run | check | status | update | leave | uninstall | updater`:
//! the daemon on a user's machine.

use std::{
    ffi::OsString,
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{self, ExitCode},
    time::Duration,
};

use anyhow::Context as _;
use chatcode_gateway::{
    BuildError, Config, Ended, Gateway, Holders, LockError, RunError,
    enroll::{self, EnrollmentError, Waiting},
    leave::{self, LeaveError},
    state::{self, LinkWord},
    update::{
        HandedOver, install,
        local::{self, Done, Order},
        trial,
        units::{self, Unit},
    },
};
use chatcode_process::{
    Exit,
    config::{
        self,
        reload::{self, Origin, Reloads},
    },
    exit,
    observe::ObserveError,
    out,
    papers::Papers,
};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use serde::Serialize;
use serde_json::json;

/// The gateway of chatcode: shows this machine's shells to its owner.
#[derive(Parser)]
#[command(name = "chatcode-gateway", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Enrolls this machine; the join token is read from standard input.
    Enroll(EnrollArgs),
    /// Runs the daemon.
    Run(RunArgs),
    /// Checks the settings as a start does, and tells all that is wrong; starts nothing.
    Check(CheckArgs),
    /// Prints how the running daemon is, as one line of JSON; ends with 0 when it
    /// is online, 69 when it tries to be, 77 when it was revoked, 1 when none runs.
    Status(StatusArgs),
    /// Tells the core that this machine goes for good: it is revoked.
    Leave(LeaveArgs),
    /// Takes chatcode off this machine, as cleanup.sh beside this program does,
    /// with the same options; asks before.
    #[command(disable_help_flag = true)]
    Uninstall {
        /// Options of cleanup.sh; --help lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// Updates the programs of this machine; goes back by itself when the core
    /// does not welcome the new daemon.
    Update(UpdateArgs),
    /// Installs a release for the daemon, with more rights than it has; started by
    /// systemd for each order on a socket.
    Updater(UpdaterArgs),
    #[command(flatten)]
    Papers(Papers),
}

#[derive(Args)]
struct CheckArgs {
    #[command(flatten)]
    shared: SharedArgs,
    #[command(flatten)]
    settings: Settings,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct LeaveArgs {
    #[command(flatten)]
    shared: SharedArgs,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct StatusArgs {
    #[command(flatten)]
    shared: SharedArgs,
    /// Wait at most so many seconds until it is online.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=3600))]
    wait: u32,
}

#[derive(Args)]
struct UpdateArgs {
    #[command(flatten)]
    shared: SharedArgs,
    /// Only look whether there is one.
    #[arg(long)]
    check: bool,
    /// The newest of this channel, instead of the one in the settings.
    #[arg(long)]
    channel: Option<String>,
    /// This version and no other.
    #[arg(long, conflicts_with = "channel")]
    version: Option<semver::Version>,
    /// The release in this folder, or at this address.
    #[arg(long, value_name = "FOLDER|URL")]
    from: Option<String>,
    /// Go back to the version before this one.
    #[arg(long, conflicts_with_all = ["check", "channel", "version", "from"])]
    rollback: bool,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct UpdaterArgs {
    /// The folder into which the daemon puts what it downloaded.
    #[arg(long, value_name = "DIR")]
    incoming: PathBuf,
    /// A file with the key that releases must be signed by; else the one that the
    /// program was built with.
    #[arg(long, value_name = "FILE")]
    release_key: Option<PathBuf>,
}

#[derive(Args)]
struct EnrollArgs {
    #[command(flatten)]
    shared: SharedArgs,
    /// The core's gRPC address.
    #[arg(long, value_name = "HOST:PORT")]
    core: String,
    /// The name of this machine; else the token's, else the core makes one.
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// Throw away the identity that is there.
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
struct RunArgs {
    #[command(flatten)]
    shared: SharedArgs,
    #[command(flatten)]
    settings: Settings,
    /// Stop at the end of standard input.
    #[arg(long)]
    exit_with_stdin: bool,
    /// For launchd, which can only tell 0 from the rest: end with 0 where a person
    /// must act (77, 78), so that it does not start the daemon again.
    #[arg(long)]
    launchd: bool,
}

#[derive(Args)]
struct SharedArgs {
    /// A TOML file with settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the daemon's state.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Flags that are settings, too.
#[derive(Args, Default, Serialize)]
struct Settings {
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// A folder with a short path for the sessions' sockets.
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_dir: Option<PathBuf>,
    /// The core's link address, where it is not the one told at the enrollment.
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    /// The holder's program.
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<PathBuf>,
    /// The size of each session's output log in bytes.
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_bytes: Option<usize>,
    /// Lines that each session keeps above its screen.
    #[arg(long, value_name = "LINES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    history_lines: Option<u32>,
    /// How holders are started.
    #[arg(long, value_name = "HOW")]
    #[serde(skip_serializing_if = "Option::is_none")]
    holders: Option<Holders>,
    /// Where metrics, /healthz and /readyz are served; left out: nowhere.
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
    /// The collector on this machine that gets traces, such as http://127.0.0.1:4317.
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp: Option<String>,
}

/// The line on standard output when the daemon is linked.
#[derive(Serialize)]
struct Ready {
    ready: &'static str,
    gateway: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
}

/// The line on standard output when the machine is enrolled.
#[derive(Serialize)]
struct Enrolled {
    enrolled: String,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    chatcode_certs::tls::install_provider();
    chatcode_process::main_with("chatcode-gateway", chatcode_process::Threads::One, async {
        if !matches!(cli.command, Command::Run(_)) {
            chatcode_process::init_logging("gateway");
        }
        match cli.command {
            Command::Enroll(args) => enroll_machine(args).await,
            Command::Run(args) if args.launchd => Box::pin(run(args)).await.map_err(for_launchd),
            Command::Run(args) => Box::pin(run(args)).await,
            Command::Status(args) => status(args).await,
            Command::Check(args) => {
                let (file, flags) = flags(args.shared, args.settings);
                config::check::<Config>(file.as_deref(), flags, args.json)
            }
            Command::Leave(args) => leave(args).await,
            Command::Uninstall { options } => uninstall(&options),
            Command::Update(args) => update(args).await,
            Command::Updater(args) => help_to_install(args).await,
            Command::Papers(papers) => papers.run(Cli::command()),
        }
    })
}

/// The file and the flags of a command.
fn flags(shared: SharedArgs, settings: Settings) -> (Option<PathBuf>, Settings) {
    (shared.config, Settings { data_dir: shared.data_dir, ..settings })
}

/// The settings for a command that needs little of them.
fn peek(shared: SharedArgs) -> anyhow::Result<Config> {
    let (file, flags) = flags(shared, Settings::default());
    config::peek("gateway", file.as_deref(), flags).context(Exit(exit::CONFIG))
}

async fn enroll_machine(args: EnrollArgs) -> anyhow::Result<()> {
    let config = peek(args.shared)?;
    let id = enroll::enroll(&config, &args.core, &args.name, args.force, tokio::io::stdin(), say_waiting)
        .await
        .map_err(|error| exit::with(enroll_exit(&error), error))?;
    chatcode_process::ready(&Enrolled { enrolled: id.to_string() })?;
    Ok(())
}

/// Says what the person at this machine has to do; not to the log, which may
/// lose it.
fn say_waiting(waiting: Waiting) {
    let minutes = waiting.left.as_secs().div_ceil(60);
    chatcode_process::say(&format!(
        "this machine waits for a person's approval, for {minutes} minutes at most. Its key is\n  {}\n\
         Compare that with what the page or `chatcode gateway pending` shows, and approve it there.\n\
         After Ctrl-C the same command with the same token waits on.",
        waiting.fingerprint
    ));
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    let stop = chatcode_process::shutdown(args.exit_with_stdin);
    let mut reloads = Reloads::new();
    let (file, flags) = flags(args.shared, args.settings);
    let origin = Origin { file, flags };
    let mut config: Config =
        chatcode_process::load(origin.file.as_deref(), &origin.flags).context(Exit(exit::CONFIG))?;
    chatcode_process::init_logging_and_traces("gateway", config.otlp.as_deref())
        .context(Exit(exit::CONFIG))?;
    chatcode_process::logging::set_filter(config.log.as_deref());
    for unit in units_of_this_installation() {
        tracing::warn!("{unit}");
    }
    loop {
        let gateway = Gateway::build(&config).map_err(|error| exit::with(build_exit(&error), error))?;
        let metrics = gateway.metrics();
        let welcomed = |id| {
            let line = Ready { ready: "gateway", gateway: format!("{id}"), metrics };
            if let Err(error) = chatcode_process::ready(&line) {
                tracing::warn!(%error, "nobody reads the ready line");
            }
        };
        let reloader = gateway.reloader();
        let apply = |new: &Config| {
            reloader.reload(new);
            Ok(())
        };
        let ended = tokio::select! {
            ended = gateway.run(stop.clone(), welcomed) => ended,
            () = reload::keep(&mut reloads, &origin, &mut config, apply) => return Ok(()),
        };
        let ended = ended.map_err(|error| {
            let code = match error {
                RunError::Revoked(_) => exit::NOPERM,
                RunError::Sessions(_) => exit::FAILURE,
            };
            exit::with(Exit(code), error)
        })?;
        let Ended::Update(handover) = ended else { return Ok(()) };
        match handover.run(arguments(), &stop).await {
            HandedOver::GoOn => {}
            HandedOver::Stopped => return Ok(()),
            HandedOver::Become(program) => {
                chatcode_process::logging::flush();
                let error = trial::become_program(&program, arguments());
                return Err(error).with_context(|| format!("{} could not be started", program.display()));
            }
        }
    }
}

/// Success, in words of what it is, where another start would end the same way.
fn for_launchd(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<Exit>() {
        Some(Exit(exit::NOPERM | exit::CONFIG)) => error
            .context(
                "launchd does not start it again until a person acts (then: launchctl kickstart \
                 gui/$UID/dev.chatcode.gateway, of a daemon system/dev.chatcode.gateway)",
            )
            .context(Exit(exit::SUCCESS)),
        _ => error,
    }
}

/// The arguments that this process was started with.
fn arguments() -> Vec<OsString> {
    std::env::args_os().skip(1).collect()
}

async fn update(args: UpdateArgs) -> anyhow::Result<()> {
    let config = peek(args.shared)?;
    let UpdateArgs { check, channel, version, from, rollback, json, .. } = args;
    let order = Order { look_only: check, channel, version, from, rollback };
    let tell = |step: &str| chatcode_process::say(step);
    let (what, version, words) = match local::update(&config, &order, tell).await? {
        Done::Current(version) => {
            ("current", version.to_string(), format!("version {version} is installed; there is none newer"))
        }
        Done::Available(version) => {
            ("available", version.to_string(), format!("version {version} is available"))
        }
        Done::Updated(version) => ("updated", version.to_string(), format!("version {version} runs")),
    };
    for unit in units_of_this_installation() {
        chatcode_process::say(&unit.to_string());
    }
    if json {
        return Ok(out::json(&json!({ "update": what, "version": version }))?);
    }
    Ok(out::answer(&format!("{words}\n"))?)
}

/// Files of the service manager that are not those of the installed version; none
/// where this program was not installed from a release.
fn units_of_this_installation() -> Vec<Unit> {
    local::place_of_this_program().map_or_else(|_| Vec::new(), |place| units::not_as_installed(&place))
}

/// Needs no runtime: one order, one answer.
#[expect(clippy::unused_async, reason = "every command is")]
async fn help_to_install(args: UpdaterArgs) -> anyhow::Result<()> {
    let key = match &args.release_key {
        Some(file) => chatcode_release::PublicKey::parse(&std::fs::read_to_string(file)?)?,
        None => chatcode_release::PublicKey::built_in()?,
    };
    let place = local::place_of_this_program().context(Exit(exit::CONFIG))?;
    Ok(install::help(&place, &key, &args.incoming, std::io::stdin(), std::io::stdout())?)
}

async fn status(args: StatusArgs) -> anyhow::Result<()> {
    let config = peek(args.shared)?;
    let patience = Duration::from_secs(args.wait.into());
    let mut state = state::read(&config.data_dir, patience).await.context(Exit(exit::CONFIG))?;
    state.units = units_of_this_installation();
    state.pin = config.update.pin.as_ref().map(ToString::to_string).unwrap_or_default();
    chatcode_process::ready(&state)?;
    let (code, words) = match state.link {
        LinkWord::Revoked => (exit::NOPERM, "this gateway was revoked".to_owned()),
        _ if !state.running => (
            exit::FAILURE,
            format!(
                "no daemon runs with its data in {}; that of a system install is asked with --config /etc/chatcode/gateway.toml",
                config.data_dir.display()
            ),
        ),
        LinkWord::Online => return Ok(()),
        LinkWord::Connecting => (exit::UNAVAILABLE, "the daemon has no link to the core".to_owned()),
    };
    Err(anyhow::anyhow!(words).context(Exit(code)))
}

async fn leave(args: LeaveArgs) -> anyhow::Result<()> {
    let config = peek(args.shared)?;
    leave::leave(&config).await.map_err(|error| {
        let code = match &error {
            LeaveError::Enroll(error) => Exit::of(error.code()),
            _ => Exit(exit::CONFIG),
        };
        exit::with(code, error)
    })?;
    if args.json { Ok(out::json(&json!({ "done": "left" }))?) } else { Ok(()) }
}

/// Becomes cleanup.sh, the one place that says what an installation is.
fn uninstall(options: &[OsString]) -> anyhow::Result<()> {
    let script = std::env::current_exe()?.with_file_name("cleanup.sh");
    if !script.is_file() {
        let words = format!(
            "{} is not there: this program was not installed by install.sh; stop it and remove what you put in \
             place (docs/remove.md)",
            script.display()
        );
        return Err(anyhow::anyhow!(words).context(Exit(exit::CONFIG)));
    }
    let error = process::Command::new("/bin/sh").arg(script).args(options).exec();
    Err(error).context("/bin/sh does not start")
}

fn build_exit(error: &BuildError) -> Exit {
    Exit(match error {
        BuildError::Observe(ObserveError::Listen { source, .. }) => return Exit::of_listening(source),
        BuildError::Lock(LockError::Taken(_)) => exit::TEMPFAIL,
        BuildError::Lock(LockError::Io { .. }) | BuildError::Dial(_) => exit::FAILURE,
        _ => exit::CONFIG,
    })
}

fn enroll_exit(error: &EnrollmentError) -> Exit {
    Exit(match error {
        EnrollmentError::Enrolled(_) | EnrollmentError::OtherKind(_) => exit::NOPERM,
        EnrollmentError::NoToken(_) | EnrollmentError::BadToken(_) | EnrollmentError::Name(_) => exit::USAGE,
        EnrollmentError::Enroll(error) => return Exit::of(error.code()),
        EnrollmentError::Lock(LockError::Taken(_)) => exit::TEMPFAIL,
        EnrollmentError::Files(_) | EnrollmentError::Config(_) => exit::CONFIG,
        _ => exit::FAILURE,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chatcode_process::{config::page, papers};

    use super::*;

    #[test]
    fn every_command_that_prints_something_does_so_as_json_too() {
        // The first three print JSON, always; the next two speak by cleanup.sh and to a socket.
        let others = ["enroll", "run", "status", "uninstall", "updater", "completions"];
        let others: Vec<String> = others.iter().map(|name| format!("chatcode-gateway {name}")).collect();
        assert_eq!(papers::without_json(Cli::command()), others);
    }

    #[test]
    fn the_reference_of_the_commands_is_as_the_program_is() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli-reference.md");
        page::keep_section(&file, "chatcode-gateway", &papers::reference(Cli::command())).expect("is kept");
    }
}
