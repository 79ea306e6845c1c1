//! How a program ends: one line for people, and a code for scripts.

use std::{error::Error, future::Future, io, process::ExitCode};

use chatcode_proto::pb::Code;

use crate::{logging, observe::trace, out};

/// All is done.
pub const SUCCESS: u8 = 0;
/// Something failed.
pub const FAILURE: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// Something that is needed does not answer (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// Try later (`EX_TEMPFAIL`).
pub const TEMPFAIL: u8 = 75;
/// Not allowed (`EX_NOPERM`).
pub const NOPERM: u8 = 77;
/// The configuration is wrong (`EX_CONFIG`).
pub const CONFIG: u8 = 78;

/// The exit code of an error: put it into an error's context with
/// [`anyhow::Error::context`] or return it as the error itself.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("exit code {0}")]
pub struct Exit(pub u8);

impl Exit {
    /// The exit code of a refusal, the same in every program.
    #[must_use]
    pub const fn of(code: Code) -> Self {
        Self(match code {
            Code::Invalid => USAGE,
            Code::Unauthenticated
            | Code::Forbidden
            | Code::BadToken
            | Code::Revoked
            | Code::NotWriter
            | Code::StepUpRequired
            | Code::LastOwner => NOPERM,
            Code::CoreUnreachable
            | Code::GatewayOffline
            | Code::HolderUnreachable
            | Code::ProviderUnreachable
            | Code::Timeout => UNAVAILABLE,
            Code::Draining | Code::RateLimited | Code::Limit | Code::Unwritable => TEMPFAIL,
            _ => FAILURE,
        })
    }

    /// The exit code of an address at which nobody can listen: [`TEMPFAIL`]
    /// when another has it, [`CONFIG`] when it is not of this machine,
    /// [`NOPERM`] when it may not be used.
    #[must_use]
    pub fn of_listening(error: &io::Error) -> Self {
        Self(match error.kind() {
            io::ErrorKind::AddrInUse => TEMPFAIL,
            io::ErrorKind::PermissionDenied => NOPERM,
            _ => CONFIG,
        })
    }
}

/// An error with the exit code that ends the program.
pub fn with(exit: Exit, error: impl Error + Send + Sync + 'static) -> anyhow::Error {
    anyhow::Error::new(error).context(exit)
}

/// How many threads a program's tasks have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One: a key goes from socket to socket without waking another thread. For
    /// programs of one machine or one person.
    One,
    /// One for every two CPUs. For programs that serve many: what a thread reads it
    /// mostly also writes, and of two threads one wakes the other for each key, for
    /// nothing (docs/performance.md).
    Several,
}

/// Runs a program to its end: prints an error with its causes to standard
/// error and turns it into an exit code ([`FAILURE`] unless an [`Exit`] is
/// attached). A reader of standard output that left is a good end. Standard error that nobody reads holds the end up for at most
/// `limits::LOG_FLUSH`.
pub fn main_with(program: &str, threads: Threads, run: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let mut builder = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::Several => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads == Threads::Several {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        builder.worker_threads(cpus.div_ceil(2));
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print_error(program, &anyhow::Error::new(error).context("the async runtime did not start"));
            return ExitCode::from(FAILURE);
        }
    };
    let result = runtime.block_on(async {
        let result = run.await;
        trace::finish().await;
        result
    });
    // A blocked read of standard input must not hold up the end.
    runtime.shutdown_background();
    match result {
        Ok(()) => {
            logging::last_line("");
            ExitCode::SUCCESS
        }
        // As other programs do in a pipe, without a word.
        Err(error) if error.chain().any(out::is_of_reader) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(program, &error);
            ExitCode::from(error.downcast_ref::<Exit>().map_or(FAILURE, |exit| exit.0))
        }
    }
}

fn print_error(program: &str, error: &anyhow::Error) {
    logging::last_line(&line_of(program, error));
}

/// "program: what happened: why", each cause once; the exit code itself is not said.
fn line_of(program: &str, error: &anyhow::Error) -> String {
    let mut line = program.to_owned();
    for cause in error.chain().filter(|cause| !cause.is::<Exit>()) {
        let text = cause.to_string();
        // Some errors tell their cause themselves.
        if text.starts_with("exit code ") || line.contains(&text) {
            continue;
        }
        line.push_str(": ");
        line.extend(
            text.chars().map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }),
        );
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_told_from_what_is_not_allowed() {
        for (code, exit) in [
            (Code::CoreUnreachable, UNAVAILABLE),
            (Code::Timeout, UNAVAILABLE),
            (Code::BadToken, NOPERM),
            (Code::Revoked, NOPERM),
            (Code::Invalid, USAGE),
            (Code::RateLimited, TEMPFAIL),
            (Code::Internal, FAILURE),
        ] {
            assert_eq!(Exit::of(code).0, exit, "{code:?}");
        }
    }

    #[test]
    fn the_reference_lists_the_codes_that_there_are() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference.md");
        let page = std::fs::read_to_string(file).expect("is there");
        let section = page.split("## Exit codes").nth(1).and_then(|rest| rest.split("\n## ").next());
        let rows = section.expect("is there").lines().filter_map(|line| line.strip_prefix("| "));
        let listed: Vec<u8> =
            rows.filter_map(|row| row.split(' ').next().and_then(|code| code.parse().ok())).collect();
        assert_eq!(listed, [SUCCESS, FAILURE, USAGE, UNAVAILABLE, TEMPFAIL, NOPERM, CONFIG]);
    }

    #[test]
    fn a_reader_that_left_is_told_from_what_else_can_go_wrong() {
        let left = io::Error::new(io::ErrorKind::BrokenPipe, out::ReaderLeft);
        let error = anyhow::Error::new(left).context("a table");
        assert!(error.chain().any(out::is_of_reader));
        let other = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(!other.chain().any(out::is_of_reader), "a socket, say");
    }

    #[test]
    fn each_cause_is_said_once() {
        let cause = io::Error::from_raw_os_error(2);
        let told = format!("the file is no good ({cause}) and must be made");
        let error = anyhow::Error::new(cause).context(told.clone()).context(Exit(CONFIG));
        assert_eq!(line_of("program", &error), format!("program: {told}"));
    }

    #[test]
    fn an_address_that_another_has_is_worth_another_try() {
        let of = |kind: io::ErrorKind| Exit::of_listening(&kind.into()).0;
        assert_eq!(of(io::ErrorKind::AddrInUse), TEMPFAIL);
        assert_eq!(of(io::ErrorKind::PermissionDenied), NOPERM);
        assert_eq!(of(io::ErrorKind::AddrNotAvailable), CONFIG);
    }
}
