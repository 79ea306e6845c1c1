//! How a program ends: one line for people, and a code for scripts.

use std::{future::Future, io::Write as _, process::ExitCode};

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

/// Runs a program to its end: prints an error with its causes to standard
/// error and turns it into an exit code ([`FAILURE`] unless an [`Exit`] is
/// attached).
pub fn main_with(program: &str, run: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print_error(program, &anyhow::Error::new(error).context("the async runtime did not start"));
            return ExitCode::from(FAILURE);
        }
    };
    let result = runtime.block_on(run);
    // A blocked read of standard input must not hold up the end.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(program, &error);
            ExitCode::from(error.downcast_ref::<Exit>().map_or(FAILURE, |exit| exit.0))
        }
    }
}

/// "program: what happened: why"; the exit code itself is not said.
fn print_error(program: &str, error: &anyhow::Error) {
    let mut line = program.to_owned();
    for cause in error.chain().filter(|cause| !cause.is::<Exit>()) {
        let text = cause.to_string();
        if text.starts_with("exit code ") || line.ends_with(&text) {
            continue;
        }
        line.push_str(": ");
        line.extend(
            text.chars().map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }),
        );
    }
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}
