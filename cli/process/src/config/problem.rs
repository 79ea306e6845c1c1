//! A mistake in a configuration, and its words.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use figment::error::{Actual, Kind};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::Setting;

/// A configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the configuration of {role} is wrong; correct it and try again:{}", lines(problems))]
pub struct ConfigError {
    /// Whose.
    pub role: &'static str,
    /// All that is wrong with it.
    pub problems: Vec<Problem>,
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of the file, counted from 1.
    Line(PathBuf, usize),
    /// The file, where there is no such line.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line, with its hyphens.
    Flag(String),
    /// Nowhere: it is the default, or missing.
    Default,
}

/// What one mistake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// The key: `sign_in.providers[0].id`; empty for the whole file.
    pub key: String,
    /// What is wrong, and what to do.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Line(file, line) => write!(f, "{}:{line}: ", file.display())?,
            Place::File(file) => write!(f, "{}: ", file.display())?,
            Place::Variable(name) => write!(f, "{name}: ")?,
            Place::Flag(name) => write!(f, "{name}: ")?,
            Place::Default => {}
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.reason)
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut file, mut line, mut variable, mut flag) = (None::<&Path>, None, None, None);
        match &self.place {
            Place::Line(path, number) => (file, line) = (Some(path.as_path()), Some(*number)),
            Place::File(path) => file = Some(path),
            Place::Variable(name) => variable = Some(name),
            Place::Flag(name) => flag = Some(name),
            Place::Default => {}
        }
        let mut shown = serializer.serialize_struct("Problem", 6)?;
        shown.serialize_field("file", &file)?;
        shown.serialize_field("line", &line)?;
        shown.serialize_field("variable", &variable)?;
        shown.serialize_field("flag", &flag)?;
        shown.serialize_field("key", &self.key)?;
        shown.serialize_field("reason", &self.reason)?;
        shown.end()
    }
}

/// What a program finds wrong with values that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The keys that it is about; it stands at the first one.
    pub keys: Vec<String>,
    /// What is wrong, and what to do.
    pub reason: String,
}

impl Fault {
    /// A fault of one key.
    pub fn new(key: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self { keys: vec![key.into()], reason: reason.to_string() }
    }

    /// A fault of several keys together.
    pub fn of(keys: &[&str], reason: impl fmt::Display) -> Self {
        Self { keys: keys.iter().map(|&key| key.to_owned()).collect(), reason: reason.to_string() }
    }

    /// A fault with all causes of an error.
    pub fn caused(key: impl Into<String>, error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let words: Vec<String> = causes.map(ToString::to_string).collect();
        Self::new(key, words.join(": "))
    }

    /// A fault when the value is out of its bounds.
    #[must_use]
    pub fn bounds<T: PartialOrd + fmt::Display>(
        key: &str,
        value: T,
        range: &std::ops::RangeInclusive<T>,
    ) -> Option<Self> {
        let (low, high) = (range.start(), range.end());
        (!range.contains(&value))
            .then(|| Self::new(key, format!("{value} is out of bounds; write {low} to {high}")))
    }

    /// A fault when a text is no `HOST:PORT`.
    #[must_use]
    pub fn of_address(key: &str, text: &str) -> Option<Self> {
        let parts = text.rsplit_once(':');
        let is_one = parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        (!is_one).then(|| Self::new(key, format!("{text:?} is no address; write HOST:PORT")))
    }

    /// A fault when the filter of the log is none.
    #[must_use]
    pub fn of_log(filter: Option<&str>) -> Option<Self> {
        let why = crate::logging::check_filter(filter?).err()?;
        Some(Self::new(
            "log",
            format!("it is no filter ({why}); write it as \"info\" or \"warn,chatcode=debug\""),
        ))
    }
}

/// The words of what serde finds.
pub(super) fn reason(kind: &Kind, setting: Option<&Setting>, near: Option<&str>) -> String {
    let wanted = |expected: &str| setting.map_or(expected, |setting| setting.form).to_owned();
    match kind {
        Kind::UnknownField(..) => match near {
            Some(near) => format!("there is no such setting; is {near} meant?"),
            None => "there is no such setting; remove it (docs/configuration.md lists all)".to_owned(),
        },
        Kind::MissingField(_) => match setting {
            Some(setting) => format!("it is missing; write {}", setting.form),
            None => "it is missing; write it".to_owned(),
        },
        Kind::UnknownVariant(given, allowed) => {
            format!("{given:?} is none of its words; write {}", one_of(allowed))
        }
        Kind::InvalidType(given, expected) | Kind::InvalidValue(given, expected) => {
            format!("{} is not what it may be; write {}", shown(given), wanted(expected))
        }
        Kind::ISizeOutOfRange(number) => {
            format!("{number} is out of bounds; write {}", wanted("a smaller number"))
        }
        Kind::USizeOutOfRange(number) => {
            format!("{number} is out of bounds; write {}", wanted("a smaller number"))
        }
        // Of one of our own types, which says it already.
        Kind::Message(text) if text.contains("; write ") => text.clone(),
        other => match setting {
            Some(setting) => format!("{other}; write {}", setting.form),
            None => other.to_string(),
        },
    }
}

fn one_of(allowed: &[&str]) -> String {
    let quoted: Vec<String> = allowed.iter().map(|word| format!("\"{word}\"")).collect();
    quoted.join(", ")
}

/// A value in the words of TOML.
fn shown(actual: &Actual) -> String {
    match actual {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(value) => value.to_string(),
        Actual::Signed(value) => value.to_string(),
        Actual::Float(value) => value.to_string(),
        Actual::Str(value) => format!("the text {value:?}"),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}
