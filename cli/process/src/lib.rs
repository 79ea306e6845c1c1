//! What every program of chatcode does the same way: [`logging`],
//! [`config`]uration, [`stop`]ping, [`time`]s on command lines, [`out`]put, [`exit`]
//! codes, the [`papers`] of its commands, and what it tells of itself ([`observe`]).

pub mod config;
pub mod exit;
pub mod files;
pub mod logging;
mod notify;
pub mod observe;
pub mod out;
pub mod papers;
pub mod secret;
pub mod stop;
pub mod time;

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

pub use config::{ConfigError, load};
pub use exit::{Exit, Threads, main_with};
pub use files::raise_file_limit;
pub use logging::{init_logging, init_logging_and_traces};
pub use stop::shutdown;
pub use time::seconds;

/// Prints one JSON line on standard output: the program is ready, at these
/// addresses. A systemd that waits for that is told, too.
///
/// # Errors
/// When standard output is closed.
pub fn ready(line: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    out.flush()?;
    notify::serving();
    Ok(())
}

/// Says something to the person at standard error at once, past the log, which
/// may lose lines; nobody is told when that fails.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Where the programs keep their files unless told otherwise:
/// `$CHATCODE_DATA_DIR`, else `$XDG_DATA_HOME/chatcode`, else
/// `~/.local/share/chatcode`, else `./chatcode`.
#[must_use]
pub fn default_data_dir() -> PathBuf {
    let dir = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    dir("CHATCODE_DATA_DIR")
        .or_else(|| dir("XDG_DATA_HOME").map(|base| base.join("chatcode")))
        .or_else(|| dir("HOME").map(|home| home.join(".local/share/chatcode")))
        .unwrap_or_else(|| PathBuf::from("chatcode"))
}
