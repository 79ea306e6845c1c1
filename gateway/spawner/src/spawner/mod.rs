//! systemd starts it for one connection of the daemon, which is its standard
//! input and output, and it does one thing: start the holder of one session as
//! the session user, in a transient service.
//!
//! Of what the daemon sends it reads an id, and passes the connection on: the
//! order for the shell is read by the holder, without root. All else is said
//! by its own command line, in a unit that only root writes.

mod folder;
mod request;
mod start;
mod user;

use std::{
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    path::PathBuf,
    process::ExitCode,
};

use bytes::BytesMut;
use chatcode_proto::{
    code::Refusal,
    framing, limits,
    pb::{self, Code},
    unit::UnitLimits,
};
use clap::{Parser, value_parser};
use user::User;

/// Starts the holder of one session; run by systemd for each connection to
/// chatcode-spawner.socket.
#[derive(Debug, Parser)]
#[command(name = "chatcode-spawner", version)]
struct Settings {
    /// The user that the daemon runs as; nobody else is served.
    #[arg(long, value_name = "USER")]
    daemon_user: String,
    /// The user that shells run as.
    #[arg(long, value_name = "USER")]
    session_user: String,
    /// The folder of the sessions' folders; the daemon's.
    #[arg(long, value_name = "DIR")]
    sessions: PathBuf,
    /// The holder's program.
    #[arg(long, value_name = "FILE", default_value = "/usr/local/bin/chatcode-holder")]
    holder: PathBuf,
    /// systemd's program that starts services.
    #[arg(long, value_name = "FILE", default_value = "/usr/bin/systemd-run")]
    systemd_run: PathBuf,
    /// The most memory of a session, bytes, and no swap besides.
    #[arg(long, value_name = "BYTES",
        value_parser = value_parser!(u64).range(limits::SESSION_MEMORY_BYTES))]
    memory_bytes: Option<u64>,
    /// The most time of processors of a session, percent of one.
    #[arg(long, value_name = "PERCENT",
        value_parser = value_parser!(u32).range(in_range(limits::SESSION_CPU_PERCENT)))]
    cpu_percent: Option<u32>,
    /// The most processes and threads of a session.
    #[arg(long, value_name = "COUNT",
        value_parser = value_parser!(u32).range(in_range(limits::SESSION_TASKS)))]
    tasks: Option<u32>,
}

fn in_range(range: std::ops::RangeInclusive<u64>) -> std::ops::RangeInclusive<i64> {
    let bound = |bound: &u64| i64::try_from(*bound).unwrap_or(i64::MAX);
    bound(range.start())..=bound(range.end())
}

impl Settings {
    const fn limits(&self) -> UnitLimits {
        UnitLimits { memory_bytes: self.memory_bytes, cpu_percent: self.cpu_percent, tasks: self.tasks }
    }
}

/// Serves the connection that is the standard input.
pub(crate) fn main() -> ExitCode {
    let settings = Settings::parse();
    let daemon = match io::stdin().as_fd().try_clone_to_owned() {
        Ok(stdin) => UnixStream::from(stdin),
        Err(error) => return fail(&format!("the standard input is no connection: {error}")),
    };
    match serve(&settings, &daemon) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            // Nobody may listen any more.
            let _ = answer(&daemon, &refusal);
            fail(&refusal.to_string())
        }
    }
}

/// Serves one connection, from its peer's proof to the holder's answer.
fn serve(settings: &Settings, daemon: &UnixStream) -> Result<(), Refusal> {
    let daemon_user = User::named(&settings.daemon_user)?;
    let session_user = User::named(&settings.session_user)?;
    if session_user.uid.is_root() {
        return Err(invalid(
            "the session user is root; name another with --session-user in the spawner's unit",
        ));
    }
    request::check_peer(daemon, daemon_user.uid)?;
    let session = request::read(daemon)?;
    folder::make(&settings.sessions, &session, &session_user, daemon_user.gid)?;
    start::start(settings, daemon, &session)
}

fn invalid(words: &str) -> Refusal {
    Refusal::new(Code::SpawnFailed, words)
}

/// Answers in the holder's place.
fn answer(mut daemon: &UnixStream, refusal: &Refusal) -> io::Result<()> {
    let response = pb::HolderResponse {
        code: refusal.code.into(),
        message: refusal.message.clone(),
        ..Default::default()
    };
    let mut framed = BytesMut::new();
    framing::put(&mut framed, &response);
    daemon.write_all(&framed)
}

fn fail(words: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {words}");
    ExitCode::FAILURE
}
