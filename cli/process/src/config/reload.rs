//! Settings that are read again while a program runs: at SIGHUP, which is
//! `systemctl reload`.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Settings, load};

/// The wish to read the settings again. Where standard error is a terminal its
/// hang-up ends the program instead, and nothing is read again.
#[derive(Debug)]
pub struct Reloads(Option<Signal>);

impl Reloads {
    /// Listens from now on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        let wanted = !std::io::stderr().is_terminal();
        // Without it a hang-up is as it was.
        Self(wanted.then(|| signal(SignalKind::hangup()).ok()).flatten())
    }

    async fn next(&mut self) {
        if let Some(signal) = &mut self.0
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

impl Default for Reloads {
    fn default() -> Self {
        Self::new()
    }
}

/// What the settings come from besides the environment.
#[derive(Debug)]
pub struct Origin<F> {
    /// The file.
    pub file: Option<PathBuf>,
    /// The command line.
    pub flags: F,
}

/// Reads the settings again each time that it is wished, for ever. `apply` takes over
/// what a reload can; a bad file changes nothing. The log tells what was taken over,
/// what needs a restart, and why nothing was. `current` are the settings that count.
pub async fn keep<C: Settings>(
    reloads: &mut Reloads,
    origin: &Origin<impl Serialize>,
    current: &mut C,
    mut apply: impl FnMut(&C) -> anyhow::Result<()>,
) {
    loop {
        reloads.next().await;
        match read_again(origin.file.as_deref(), &origin.flags, current, &mut apply) {
            Ok(new) => *current = new,
            Err(error) => {
                tracing::error!(target: "chatcode", "the settings stay as they were: {error:#}");
            }
        }
    }
}

/// The settings that count from now on; of those that need a restart the old ones, so
/// that each reload says again what waits for one.
fn read_again<C: Settings>(
    file: Option<&Path>,
    flags: impl Serialize,
    current: &C,
    apply: &mut impl FnMut(&C) -> anyhow::Result<()>,
) -> anyhow::Result<C> {
    let new: C = load(file, flags)?;
    let changed = changed(current, &new);
    let needs_restart = |key: &String| !is_reloaded::<C>(key);
    let (waiting, taken): (Vec<String>, Vec<String>) = changed.into_iter().partition(needs_restart);
    let mut mixed = serde_json::to_value(&new)?;
    for key in &waiting {
        let pointer = format!("/{}", key.replace('.', "/"));
        let old = serde_json::to_value(current)?.pointer(&pointer).cloned().unwrap_or_default();
        if let Some(value) = mixed.pointer_mut(&pointer) {
            *value = old;
        }
    }
    let mixed: C = serde_json::from_value(mixed)?;
    apply(&mixed)?;
    crate::logging::set_filter(mixed.log());
    let taken = if taken.is_empty() { "no setting has changed".to_owned() } else { taken.join(", ") };
    tracing::info!(target: "chatcode", "the settings were read again: {taken}");
    if !waiting.is_empty() {
        tracing::warn!(target: "chatcode", "needs a restart: {}", waiting.join(", "));
    }
    Ok(mixed)
}

/// The keys whose values differ; tables by each of their keys, lists as a whole.
fn changed<C: Settings>(old: &C, new: &C) -> Vec<String> {
    let mut keys = Vec::new();
    let value = |config: &C| serde_json::to_value(config).unwrap_or_default();
    differ(&value(old), &value(new), String::new(), &mut keys);
    keys
}

fn differ(old: &Value, new: &Value, key: String, keys: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in new {
                let dot = if key.is_empty() { "" } else { "." };
                differ(old.get(name).unwrap_or(&Value::Null), value, format!("{key}{dot}{name}"), keys);
            }
        }
        (old, new) if old == new => {}
        _ => keys.push(key),
    }
}

/// Whether a reload takes the setting over: all that the reference has of it.
fn is_reloaded<C: Settings>(key: &str) -> bool {
    let of_it = |one: &&super::Setting| {
        one.key == key || one.key.strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    let mut found = C::SETTINGS.iter().filter(of_it).peekable();
    found.peek().is_some() && found.all(|setting| setting.reload)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::{
        super::{Fault, NoFlags, Setting},
        *,
    };

    #[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        live: u16,
        fixed: u16,
        table: Inner,
    }

    #[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        live: u16,
        fixed: u16,
    }

    const fn setting(key: &'static str, reload: bool) -> Setting {
        Setting { key, form: "a number", default: "0", reload, means: "something" }
    }

    impl Settings for Sample {
        const ROLE: &'static str = "reloaded";
        const SETTINGS: &'static [Setting] = &[
            setting("live", true),
            setting("fixed", false),
            setting("table.live", true),
            setting("table.fixed", false),
        ];

        fn faults(&self) -> Vec<Fault> {
            Vec::new()
        }

        fn log(&self) -> Option<&str> {
            None
        }
    }

    fn again(text: &str, current: &Sample) -> anyhow::Result<(Sample, Option<Sample>)> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        let mut applied = None;
        let new = read_again(Some(file.path()), NoFlags {}, current, &mut |new: &Sample| {
            applied = Some(new.clone());
            Ok(())
        })?;
        Ok((new, applied))
    }

    #[test]
    fn a_reload_takes_over_what_it_can_and_leaves_the_rest_as_it_was() {
        let old = Sample { live: 1, fixed: 1, table: Inner { live: 1, fixed: 1 } };
        let text = "live = 2\nfixed = 2\n[table]\nlive = 2\nfixed = 2\n";
        let (new, applied) = again(text, &old).expect("is right");
        assert_eq!(new, Sample { live: 2, fixed: 1, table: Inner { live: 2, fixed: 1 } });
        assert_eq!(applied.as_ref(), Some(&new));
        let whole: Sample = load_text(text);
        assert_eq!(changed(&new, &whole), ["fixed", "table.fixed"], "the next reload says so again");
    }

    #[test]
    fn a_file_with_mistakes_changes_nothing() {
        let error = again("live = \"x\"\nlvie = 1", &Sample::default()).expect_err("is refused");
        let words = format!("{error:#}");
        assert!(words.contains(":1: live") && words.contains(":2: lvie"), "{words}");
    }

    fn load_text(text: &str) -> Sample {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("is written");
        load(Some(file.path()), NoFlags {}).expect("is right")
    }
}
