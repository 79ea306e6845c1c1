//! What is wrong with the values of a configuration: each mistake is set aside, and
//! the rest is read again, until nothing is left to find.

use chatcode_proto::limits;
use figment::{Figment, error::Kind, providers::Serialized, value::Value};
use serde::de::DeserializeOwned;

use super::{
    Setting,
    layers::{Layers, put, take},
    problem::{Fault, Place, Problem, reason},
};

/// Reads the values, and finds all mistakes in the order of their places;
/// [`limits::CONFIG_PROBLEMS`] at most.
pub(super) fn judge<C: DeserializeOwned>(
    mut layers: Layers,
    settings: &[Setting],
    faults: impl FnOnce(&C) -> Vec<Fault>,
) -> (Option<C>, Vec<Problem>) {
    let mut found =
        Found { settings, problems: Vec::new(), bad: Vec::new(), filled: Vec::new(), as_text: Vec::new() };
    let config = loop {
        let error = match Figment::from(Serialized::defaults(&layers.values)).extract::<C>() {
            Ok(config) => break Some(config),
            Err(error) => error,
        };
        let before = found.steps();
        for one in error {
            found.note(&mut layers, one.path, &one.kind);
        }
        if found.steps() == before || found.problems.len() >= limits::CONFIG_PROBLEMS {
            break None;
        }
    };
    if let Some(config) = &config {
        for fault in faults(config) {
            found.fault(&layers, fault);
        }
    }
    let mut problems = found.problems;
    problems.truncate(limits::CONFIG_PROBLEMS);
    problems.sort_by_key(|problem| match &problem.place {
        Place::File(_) => (0, 0),
        Place::Line(_, line) => (1, *line),
        Place::Variable(_) => (2, 0),
        Place::Flag(_) => (3, 0),
        Place::Default => (4, 0),
    });
    (config, problems)
}

struct Found<'a> {
    settings: &'a [Setting],
    problems: Vec<Problem>,
    /// What is set aside.
    bad: Vec<Vec<String>>,
    /// What an empty text stands in for.
    filled: Vec<Vec<String>>,
    /// Variables whose text was taken for a number.
    as_text: Vec<Vec<String>>,
}

impl Found<'_> {
    /// How much was changed: nothing new is found when it stays the same.
    const fn steps(&self) -> usize {
        self.bad.len() + self.filled.len() + self.as_text.len()
    }

    /// Notes a mistake, and sets its value aside.
    fn note(&mut self, layers: &mut Layers, mut path: Vec<String>, kind: &Kind) {
        let name = match kind {
            Kind::UnknownField(name, _) => Some(name.as_str()),
            Kind::MissingField(name) => Some(name.as_ref()),
            _ => None,
        };
        if let Some(name) = name
            && path.last().is_none_or(|last| last != name || matches!(kind, Kind::MissingField(_)))
        {
            path.push(name.to_owned());
        }
        if matches!(kind, Kind::InvalidType(..))
            && !self.as_text.contains(&path)
            && let Some(text) = layers.text_of_variable(&path).map(str::to_owned)
        {
            put(&mut layers.values, &path, Value::from(text));
            self.as_text.push(path);
            return;
        }
        if matches!(kind, Kind::MissingField(_)) && self.bad.contains(&path) && !self.filled.contains(&path) {
            // It was set aside, and has to be there.
            put(&mut layers.values, &path, Value::from(""));
            self.filled.push(path);
            return;
        }
        if self.bad.contains(&path) {
            // What stands in for it is no better: the table around it goes.
            path.pop();
            if !self.bad.contains(&path) && take(&mut layers.values, &path) {
                self.bad.push(path);
            }
            return;
        }
        let setting = self.setting(&path);
        let near = if matches!(kind, Kind::UnknownField(..)) { self.near(&path) } else { None };
        let reason = reason(kind, setting, near.as_deref());
        self.problems.push(Problem { place: layers.place(&path), key: key_of(&path), reason });
        if matches!(kind, Kind::MissingField(_)) {
            put(&mut layers.values, &path, Value::from(""));
            self.filled.push(path.clone());
        } else {
            take(&mut layers.values, &path);
        }
        self.bad.push(path);
    }

    /// Notes what the program finds, unless that follows from a mistake that is told
    /// already.
    fn fault(&mut self, layers: &Layers, fault: Fault) {
        let paths: Vec<Vec<String>> = fault.keys.iter().map(|key| path_of(key)).collect();
        let follows =
            |path: &Vec<String>| self.bad.iter().any(|bad| path.starts_with(bad) || bad.starts_with(path));
        if paths.iter().any(follows) {
            return;
        }
        let place = paths.iter().map(|path| layers.place(path)).find(is_said);
        let place = place.unwrap_or_else(|| layers.place(paths.first().map_or(&[], Vec::as_slice)));
        self.problems.push(Problem { place, key: fault.keys.join(", "), reason: fault.reason });
    }

    fn setting(&self, path: &[String]) -> Option<&Setting> {
        let key = pattern_of(path);
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// The setting that was perhaps meant.
    fn near(&self, path: &[String]) -> Option<String> {
        let pattern = pattern_of(path);
        let (table, last) = pattern.rsplit_once('.').unwrap_or(("", &pattern));
        let beside = self.settings.iter().filter_map(|setting| {
            let (of, name) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
            (of == table).then(|| (strsim::damerau_levenshtein(name, last), name.to_owned()))
        });
        let elsewhere = || {
            let found = self
                .settings
                .iter()
                .find(|setting| setting.key.rsplit_once('.').map_or(setting.key, |(_, name)| name) == last);
            found.map(|setting| format!("{} (in another table)", setting.key))
        };
        let close = beside.filter(|(distance, name)| *distance <= (name.len() / 3).max(1)).min();
        close.map(|(_, name)| name).or_else(elsewhere)
    }
}

const fn is_said(place: &Place) -> bool {
    !matches!(place, Place::Default | Place::File(_))
}

/// `["a", "0", "b"]` as `a[0].b`.
fn key_of(path: &[String]) -> String {
    rendered(path, |number| format!("[{number}]"))
}

/// `["a", "0", "b"]` as `a[].b`, as the settings are named.
fn pattern_of(path: &[String]) -> String {
    rendered(path, |_| "[]".to_owned())
}

fn rendered(path: &[String], index: impl Fn(&str) -> String) -> String {
    let mut key = String::new();
    for step in path {
        if step.parse::<usize>().is_ok() {
            key.push_str(&index(step));
        } else {
            let dot = if key.is_empty() { "" } else { "." };
            key.push_str(&format!("{dot}{step}"));
        }
    }
    key
}

/// `a[0].b` as `["a", "0", "b"]`.
fn path_of(key: &str) -> Vec<String> {
    key.split(['.', '[', ']']).filter(|step| !step.is_empty()).map(str::to_owned).collect()
}
