//! Logs go to standard error; standard output belongs to the program's answer.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// What is logged unless `CHATCODE_LOG` says otherwise: our own news, and the
/// warnings of what we rest on.
const DEFAULT_FILTER: &str = "warn,chatcode=info";

/// Starts logging. `CHATCODE_LOG` holds a filter in the form of
/// `tracing_subscriber::EnvFilter`; `CHATCODE_LOG_FORMAT=json` writes one JSON
/// object per line. A second call changes nothing.
pub fn init_logging(role: &str) {
    let filter = std::env::var("CHATCODE_LOG").ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::new(filter.as_deref().unwrap_or(DEFAULT_FILTER));
    // A log that cannot be written is lost. Complaining about it on the same
    // standard error would panic where nobody reads that any more.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let json = std::env::var("CHATCODE_LOG_FORMAT").is_ok_and(|format| format == "json");
    let started = if json {
        builder.json().try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    if started.is_ok() {
        tracing::debug!(target: "chatcode", role, "logging");
    }
}
