//! One configuration per program: defaults, then a TOML file, then the
//! environment, then the command line. All mistakes are told at once, each with
//! its place.
//!
//! - `layers`: where values come from. - `judge`: what is wrong with them.
//! - [`problem`]: a mistake and its words. - [`reload`]: settings read again.
//! - [`page`]: the reference of the settings.

mod judge;
mod layers;
pub mod page;
pub mod problem;
pub mod reload;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};

pub use self::problem::{ConfigError, Fault, Place, Problem};
use self::{judge::judge, layers::Layers};
use crate::{
    exit::{self, Exit},
    out,
};

/// One setting: a line of the reference, and what a mistake is explained by.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key: `listen`, `sign_in.origin`, `sign_in.providers[].id`.
    pub key: &'static str,
    /// What may be written, to follow "it has to be".
    pub form: &'static str,
    /// What counts without it; empty: it has to be there.
    pub default: &'static str,
    /// Whether a reload takes it over.
    pub reload: bool,
    /// What it means.
    pub means: &'static str,
}

impl Setting {
    /// One that a reload takes over.
    #[must_use]
    pub const fn live(
        key: &'static str,
        form: &'static str,
        default: &'static str,
        means: &'static str,
    ) -> Self {
        Self { key, form, default, reload: true, means }
    }

    /// One that needs a restart.
    #[must_use]
    pub const fn restart(
        key: &'static str,
        form: &'static str,
        default: &'static str,
        means: &'static str,
    ) -> Self {
        Self { key, form, default, reload: false, means }
    }
}

/// The configuration of a program.
pub trait Settings: DeserializeOwned + Serialize {
    /// The program, as its variables and its page name it: `core`.
    const ROLE: &'static str;
    /// Every setting, in the order of the reference.
    const SETTINGS: &'static [Setting];

    /// What is wrong although each value by itself can be read: bounds,
    /// contradictions, files that cannot be used. Looks at files, asks nobody,
    /// changes nothing.
    fn faults(&self) -> Vec<Fault>;

    /// What `check` tells besides, and the program runs on without: a machine that boots
    /// is not kept away by a file that only its next update needs.
    fn lacks(&self) -> Vec<Fault> {
        Vec::new()
    }

    /// The filter of the log, if there is one.
    fn log(&self) -> Option<&str>;
}

/// Reads and judges a configuration: the defaults of `C`, then the TOML `file`,
/// then variables named `CHATCODE_<ROLE>_<KEY>` (`__` between a table and its
/// key), then `flags` (fields that are `None` must be skipped when serialized).
///
/// # Errors
/// [`ConfigError`], with every mistake.
pub fn load<C: Settings>(file: Option<&Path>, flags: impl Serialize) -> Result<C, ConfigError> {
    let (config, problems) = read(file, flags, C::faults);
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(ConfigError { role: C::ROLE, problems }),
    }
}

/// The configuration as far as it can be read, and every mistake in it.
fn read<C: Settings>(
    file: Option<&Path>,
    flags: impl Serialize,
    faults: impl FnOnce(&C) -> Vec<Fault>,
) -> (Option<C>, Vec<Problem>) {
    match Layers::read(C::ROLE, file, flags) {
        Ok(layers) => judge(layers, C::SETTINGS, faults),
        Err(problem) => (None, vec![problem]),
    }
}

/// Reads the settings of `role`, or a part of them, as [`load`] does, for commands that
/// need little of them: only whether each can be read is judged. Keys that `C` does not
/// know are left alone unless it denies them.
///
/// # Errors
/// [`ConfigError`].
pub fn peek<C: DeserializeOwned>(
    role: &'static str,
    file: Option<&Path>,
    flags: impl Serialize,
) -> Result<C, ConfigError> {
    let wrong = |problems| ConfigError { role, problems };
    let layers = Layers::read(role, file, flags).map_err(|problem| wrong(vec![problem]))?;
    let (config, problems) = judge(layers, &[], |_: &C| Vec::new());
    config.filter(|_| problems.is_empty()).ok_or_else(|| wrong(problems))
}

/// No flag.
#[derive(Debug, Serialize)]
pub struct NoFlags {}

/// The line of `check --json`.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    right: bool,
    file: Option<&'a Path>,
    problems: &'a [Problem],
}

/// Checks a configuration as the program's start does, and for what it would lack
/// later, and prints what is wrong with it, a line each, or one line of JSON.
///
/// # Errors
/// [`exit::CONFIG`] when something is wrong; when standard output is closed.
pub fn check<C: Settings>(file: Option<&Path>, flags: impl Serialize, json: bool) -> anyhow::Result<()> {
    let (_, problems) =
        read::<C>(file, flags, |config| config.faults().into_iter().chain(config.lacks()).collect());
    let right = problems.is_empty();
    if json {
        out::json(&Checked { right, file, problems: &problems })?;
    } else {
        for problem in &problems {
            out::answer(&format!("{problem}\n"))?;
        }
    }
    if !right {
        let words = match problems.len() {
            1 => "one mistake is in the configuration".to_owned(),
            many => format!("{many} mistakes are in the configuration"),
        };
        return Err(anyhow::anyhow!(words).context(Exit(exit::CONFIG)));
    }
    if !json {
        out::answer("the configuration is right\n")?;
    }
    Ok(())
}
