//! Where the values of a configuration come from: file, environment, flags.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use chatcode_proto::limits;
use figment::{
    providers::{Format as _, Toml},
    value::{Dict, Value},
};
use serde::Serialize;
use toml_edit::{ImDocument, Item, TableLike};

use super::problem::{Place, Problem};

/// All values, and where each comes from.
#[derive(Debug)]
pub(super) struct Layers {
    file: Option<SourceFile>,
    variables: Vec<Variable>,
    flags: Dict,
    /// What counts.
    pub(super) values: Dict,
}

#[derive(Debug)]
struct SourceFile {
    path: PathBuf,
    text: String,
    document: ImDocument<String>,
}

/// A variable of the environment that sets something.
#[derive(Debug)]
struct Variable {
    name: String,
    path: Vec<String>,
    text: String,
}

impl Layers {
    /// Reads them all; later ones win.
    ///
    /// # Errors
    /// A file that is not there, cannot be read, or is no TOML; a flag that is no text.
    pub(super) fn read(role: &str, file: Option<&Path>, flags: impl Serialize) -> Result<Self, Problem> {
        let mut values = Dict::new();
        let file = match file {
            Some(path) => {
                let (file, dict) = SourceFile::read(path)?;
                values = dict;
                Some(file)
            }
            None => None,
        };
        let variables = variables(&format!("CHATCODE_{}_", role.to_uppercase()));
        for one in &variables {
            let value = one.text.parse().unwrap_or_else(|never| match never {});
            put(&mut values, &one.path, value);
        }
        let flags = match Value::serialize(flags) {
            Ok(Value::Dict(_, flags)) => flags,
            Ok(_) => Dict::new(),
            Err(error) => {
                let reason = format!("a flag cannot be read: {error}");
                return Err(Problem { place: Place::Default, key: String::new(), reason });
            }
        };
        for (key, value) in &flags {
            put(&mut values, std::slice::from_ref(key), value.clone());
        }
        Ok(Self { file, variables, flags, values })
    }

    /// Where the value at this path was set; for one that is missing where its table is.
    pub(super) fn place(&self, path: &[String]) -> Place {
        let Some(first) = path.first() else { return self.of_file(path) };
        if self.flags.contains_key(first) {
            let name = first.strip_suffix("_s").unwrap_or(first).replace('_', "-");
            return Place::Flag(format!("--{name}"));
        }
        match self.variable(path) {
            Some(variable) => Place::Variable(variable.name.clone()),
            None => self.of_file(path),
        }
    }

    /// What a variable says at this path as a text, where it was read as a number, say.
    pub(super) fn text_of_variable(&self, path: &[String]) -> Option<&str> {
        self.variables.iter().rfind(|one| one.path == path).map(|one| one.text.as_str())
    }

    fn variable(&self, path: &[String]) -> Option<&Variable> {
        self.variables.iter().rfind(|one| path.starts_with(&one.path))
    }

    fn of_file(&self, path: &[String]) -> Place {
        let Some(file) = &self.file else { return Place::Default };
        match file.line(path) {
            Some(line) => Place::Line(file.path.clone(), line),
            None => Place::File(file.path.clone()),
        }
    }
}

impl SourceFile {
    fn read(path: &Path) -> Result<(Self, Dict), Problem> {
        let wrong = |place: Place, reason: String| Problem { place, key: String::new(), reason };
        let here = || Place::File(path.to_owned());
        let mut text = String::new();
        let read =
            File::open(path).and_then(|file| file.take(limits::CONFIG_BYTES + 1).read_to_string(&mut text));
        match read {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let reason = "the file is not there; leave out --config to use the defaults";
                return Err(wrong(here(), reason.to_owned()));
            }
            Err(error) => {
                return Err(wrong(here(), format!("the file cannot be read: {error}; make it readable")));
            }
            Ok(length) if length as u64 > limits::CONFIG_BYTES => {
                let reason =
                    format!("the file has more than {} bytes; it is no configuration", limits::CONFIG_BYTES);
                return Err(wrong(here(), reason));
            }
            Ok(_) => {}
        }
        let document = ImDocument::parse(text.clone()).map_err(|error| {
            let place = match error.span() {
                Some(span) => Place::Line(path.to_owned(), line_of(&text, span.start)),
                None => here(),
            };
            let why = error.message().replace('\n', "; ");
            wrong(place, format!("this is no TOML: {why}; correct the line"))
        })?;
        let dict = Toml::from_str(&text)
            .map_err(|error| wrong(here(), format!("this is no TOML: {}; correct it", error.message())))?;
        Ok((Self { path: path.to_owned(), text, document }, dict))
    }

    /// The line of what is the nearest to this path.
    fn line(&self, path: &[String]) -> Option<usize> {
        let mut at = Some(Part::Item(self.document.as_item()));
        let mut start = None;
        for step in path {
            let Some((found, next)) = at.and_then(|part| part.step(step)) else { break };
            start = found.or(start);
            at = next;
        }
        Some(line_of(&self.text, start?))
    }
}

/// A part of the document, on the way to a value.
enum Part<'a> {
    Item(&'a Item),
    Table(&'a dyn TableLike),
}

impl<'a> Part<'a> {
    /// Where what this step leads to begins, and the way on.
    fn step(self, step: &str) -> Option<(Option<usize>, Option<Part<'a>>)> {
        let table = match self {
            Self::Table(table) => table,
            Self::Item(item) => match (item.as_table_like(), step.parse()) {
                (Some(table), _) => table,
                (None, Ok(number)) => return element(item, number),
                (None, Err(_)) => return None,
            },
        };
        let (key, value) = table.get_key_value(step)?;
        let span = key.span().or_else(|| value.span());
        Some((span.map(|span| span.start), Some(Part::Item(value))))
    }
}

/// Where an element of a list begins, and the table that it is.
fn element(item: &Item, number: usize) -> Option<(Option<usize>, Option<Part<'_>>)> {
    if let Some(tables) = item.as_array_of_tables() {
        let table = tables.get(number)?;
        return Some((table.span().map(|span| span.start), Some(Part::Table(table))));
    }
    let value = item.as_array()?.get(number)?;
    let table = value.as_inline_table().map(|table| Part::Table(table));
    Some((value.span().map(|span| span.start), table))
}

/// The line of a place in a text, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

/// The variables with this prefix, by their names.
fn variables(prefix: &str) -> Vec<Variable> {
    let mut found: Vec<Variable> = std::env::vars_os()
        .filter_map(|(name, text)| {
            let (name, text) = (name.into_string().ok()?, text.into_string().ok()?);
            let path = name.strip_prefix(prefix)?.to_lowercase().split("__").map(str::to_owned).collect();
            Some(Variable { name, path, text })
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// Sets the value at this path, in tables that are made where they are missing.
pub(super) fn put(dict: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            dict.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let inner = dict.entry(first.clone()).or_insert_with(|| Value::from(Dict::new()));
            match inner {
                Value::Dict(_, inner) => put(inner, rest, value),
                Value::Array(_, elements) => {
                    if let Some(Value::Dict(_, inner)) =
                        first_index(rest).and_then(|number| elements.get_mut(number))
                    {
                        put(inner, &rest[1..], value);
                    }
                }
                // What is no table is a mistake already.
                _ => {}
            }
        }
    }
}

/// Takes the value at this path away; whether there was one.
pub(super) fn take(dict: &mut Dict, path: &[String]) -> bool {
    match path {
        [] => false,
        [last] => dict.remove(last).is_some(),
        [first, rest @ ..] => match dict.get_mut(first) {
            Some(Value::Dict(_, inner)) => take(inner, rest),
            Some(Value::Array(_, elements)) => take_element(elements, rest),
            _ => false,
        },
    }
}

fn take_element(elements: &mut [Value], path: &[String]) -> bool {
    let Some(number) = first_index(path).filter(|number| *number < elements.len()) else { return false };
    match (&mut elements[number], &path[1..]) {
        (Value::Dict(_, inner), rest @ [_, ..]) => take(inner, rest),
        _ => {
            // Those behind it keep their numbers.
            elements[number] = Value::from("");
            true
        }
    }
}

fn first_index(path: &[String]) -> Option<usize> {
    path.first()?.parse().ok()
}
