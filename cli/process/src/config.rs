//! One configuration per program: defaults, then a TOML file, then the
//! environment, then the command line.

use std::path::{Path, PathBuf};

use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use serde::{Serialize, de::DeserializeOwned};

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was named is not there.
    #[error("the configuration file {0} is not there; leave out --config to use the defaults")]
    Missing(PathBuf),
    /// One or more values are wrong.
    #[error("the configuration of {role} is wrong: {problems}")]
    Wrong {
        /// Whose configuration.
        role: String,
        /// All that is wrong, with file and key.
        problems: String,
    },
}

/// Reads the configuration of `role`: the defaults of `C`, then the TOML
/// `file`, then variables named `CHATCODE_<ROLE>_<KEY>`, then `flags` (fields
/// that are `None` must be skipped when serialized). Keys that `C` does not
/// know are refused when `C` denies unknown fields.
///
/// # Errors
/// [`ConfigError`], with every problem named.
pub fn load<C: DeserializeOwned>(
    role: &str,
    file: Option<&Path>,
    flags: impl Serialize,
) -> Result<C, ConfigError> {
    let mut figment = Figment::new();
    if let Some(file) = file {
        if !file.is_file() {
            return Err(ConfigError::Missing(file.to_owned()));
        }
        figment = figment.merge(Toml::file_exact(file));
    }
    figment
        .merge(Env::prefixed(&format!("CHATCODE_{}_", role.to_uppercase())).lowercase(true))
        .merge(Serialized::defaults(flags))
        .extract()
        .map_err(|error| ConfigError::Wrong {
            role: role.to_owned(),
            problems: error.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join("; "),
        })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(default = "seven")]
        number: u16,
        word: String,
    }

    const fn seven() -> u16 {
        7
    }

    #[derive(Serialize)]
    struct Flags {
        #[serde(skip_serializing_if = "Option::is_none")]
        word: Option<&'static str>,
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("is written");
        file
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let toml = file("number = 9\nword = \"file\"");
        let sample: Sample =
            load("sample", Some(toml.path()), Flags { word: Some("flag") }).expect("is right");
        assert_eq!((sample.number, sample.word.as_str()), (9, "flag"));
        let sample: Sample = load("sample", None, Flags { word: Some("flag") }).expect("is right");
        assert_eq!(sample.number, 7);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let toml = file("word = \"x\"\nwrod = 1");
        let error = load::<Sample>("sample", Some(toml.path()), Flags { word: None }).unwrap_err();
        assert!(error.to_string().contains("wrod"), "{error}");
    }

    #[test]
    fn a_missing_file_is_said() {
        let error =
            load::<Sample>("sample", Some(Path::new("/nowhere.toml")), Flags { word: None }).unwrap_err();
        assert!(matches!(error, ConfigError::Missing(_)));
    }
}
