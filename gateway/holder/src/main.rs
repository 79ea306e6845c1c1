//! The holder: one process per session, owner of the PTY and its log.
//!
//! Started by the daemon with one framed `HolderSpec` on its standard input;
//! answers with one framed `HolderResponse` on its standard output when the
//! shell runs, or when it cannot. From there on it is reached by its Unix
//! socket only, and outlives whoever started it.

mod beside;
mod clock;
mod connection;
mod detach;
mod ending;
mod event_loop;
mod holder;
mod last_screen;
mod life;
mod log;
mod memory;
mod pty;
mod record;
mod serve;
mod signals;
mod spec;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use bytes::BytesMut;
use chatcode_proto::{
    code::Refusal,
    framing, limits, name,
    pb::{self, Code},
};

use crate::{
    holder::{Holder, answer},
    log::Log,
    pty::Terminal,
    serve::Door,
    signals::Signals,
    spec::Spec,
};

/// The exit code of a wrong command line, as of every program of chatcode.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 || io::stdin().is_terminal() {
        let _ =
            writeln!(io::stderr(), "chatcode-holder is started by chatcode-gateway, one for each session");
        return ExitCode::from(USAGE);
    }
    match start() {
        Ok(holder) => match holder.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("the holder's loop failed: {error}")),
        },
        Err(error) => {
            let refusal = error.downcast::<Refusal>().unwrap_or_else(|error| {
                let words = format!("the session was not started: {error:#}");
                Refusal::new(Code::SpawnFailed, name::display_safe(&words, limits::MESSAGE_BYTES))
            });
            let _ = report(&answer(&Err(refusal.clone()), None));
            fail(&refusal.to_string())
        }
    }
}

/// Reads the spec, detaches, starts the shell and says so.
fn start() -> anyhow::Result<Holder> {
    let signals = Signals::install().context("signals cannot be handled")?;
    let spec = spec::read(&mut io::stdin().lock()).context("no spec came on the standard input")?;
    let order = (spec.restart() != pb::RestartPolicy::Unspecified).then(|| spec.clone());
    let spec = Spec::check(spec)?;
    detach::leave_stdin()?;
    detach::leave_session().context("no session of its own can be made")?;

    let mut log = Log::open(&spec.state_folder).context("the session's folder cannot be written")?;
    let inherited = detach::inherited_files();
    log.line(&format!(
        "holder {} of session {}, {inherited} inherited files",
        std::process::id(),
        spec.session
    ));
    let door = Door::open(&spec.state_folder, spec.daemon_uid).context("the socket cannot be made")?;
    std::env::set_current_dir("/")?;
    let terminal = Terminal::start(&spec)?;
    if let Some(order) = order
        && let Err(error) = record::keep_spec(&spec.state_folder, &order)
    {
        log.line(&format!("the session will not be started again: {error}"));
    }

    let mut holder = Holder::new(spec, terminal, door, signals, log);
    holder.keep_first_record();
    // Nobody may listen any more; the daemon finds the session by its folder.
    let _ = report(&answer(&Ok(limits::HOLDER_VERSIONS[0]), Some(holder.info())));
    holder.leave_output()?;
    Ok(holder)
}

/// Writes the answer that whoever started the holder waits for.
fn report(response: &pb::HolderResponse) -> io::Result<()> {
    let mut framed = BytesMut::new();
    framing::put(&mut framed, response);
    let mut stdout = io::stdout().lock();
    stdout.write_all(&framed)?;
    stdout.flush()
}

fn fail(words: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {words}");
    ExitCode::FAILURE
}
