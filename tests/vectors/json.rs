//! As much JSON as the scripts need: whole numbers, no escapes but `\"` and
//! `\\`.

use std::{collections::BTreeMap, fmt};

/// A value. Two that say the same are equal, whatever the order of their keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(u64),
    Text(String),
    List(Vec<Json>),
    Map(BTreeMap<String, Json>),
}

impl Json {
    /// Reads one value.
    ///
    /// # Panics
    /// When it is none.
    pub(crate) fn read(text: &str) -> Self {
        let mut reader = Reader { rest: text };
        let value = reader.value();
        reader.skip();
        assert!(reader.rest.is_empty(), "more than one value: {}", reader.near());
        value
    }

    /// An object with one key.
    pub(crate) fn one(key: &str, value: impl Into<Self>) -> Self {
        Self::Map(BTreeMap::from([(key.to_owned(), value.into())]))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.map().get(key)
    }

    pub(crate) fn map(&self) -> &BTreeMap<String, Self> {
        match self {
            Self::Map(map) => map,
            other => panic!("no object: {other}"),
        }
    }

    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            other => panic!("no list: {other}"),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            other => panic!("no number: {other}"),
        }
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            other => panic!("no text: {other}"),
        }
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Json {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Json {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<const N: usize> From<[Json; N]> for Json {
    fn from(list: [Json; N]) -> Self {
        Self::List(list.into())
    }
}

impl From<Vec<Json>> for Json {
    fn from(list: Vec<Json>) -> Self {
        Self::List(list)
    }
}

/// On one line.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(bool) => write!(f, "{bool}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            Self::List(list) => {
                f.write_str("[")?;
                for (place, value) in list.iter().enumerate() {
                    write!(f, "{}{value}", if place == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Map(map) if map.is_empty() => f.write_str("{}"),
            Self::Map(map) => {
                f.write_str("{")?;
                for (place, (key, value)) in map.iter().enumerate() {
                    write!(f, "{} \"{key}\": {value}", if place == 0 { "" } else { "," })?;
                }
                f.write_str(" }")
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn near(&self) -> String {
        self.rest.chars().take(40).collect()
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, word: &str) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Json {
        if self.take("null") {
            Json::Null
        } else if self.take("true") {
            Json::Bool(true)
        } else if self.take("false") {
            Json::Bool(false)
        } else if self.take("\"") {
            Json::Text(self.text())
        } else if self.take("[") {
            Json::List(self.items("]", Self::value))
        } else if self.take("{") {
            Json::Map(self.items("}", Self::entry).into_iter().collect())
        } else {
            Json::Number(self.number())
        }
    }

    fn items<T>(&mut self, end: &str, item: impl Fn(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        while !self.take(end) {
            assert!(items.is_empty() || self.take(","), "a comma or {end} is missing: {}", self.near());
            items.push(item(self));
        }
        items
    }

    fn entry(&mut self) -> (String, Json) {
        assert!(self.take("\""), "a key is missing: {}", self.near());
        let key = self.text();
        assert!(self.take(":"), "a colon is missing: {}", self.near());
        (key, self.value())
    }

    fn number(&mut self) -> u64 {
        let digits = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(digits);
        let number = number.parse().unwrap_or_else(|_| panic!("no value: {}", self.near()));
        self.rest = rest;
        number
    }

    fn text(&mut self) -> String {
        let mut text = String::new();
        let mut chars = self.rest.chars();
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => match chars.next() {
                    Some(c @ ('"' | '\\')) => text.push(c),
                    other => panic!("an escape that is not known: {other:?}"),
                },
                Some(c) => text.push(c),
                None => panic!("a text without end: {}", self.near()),
            }
        }
        self.rest = chars.as_str();
        text
    }
}
