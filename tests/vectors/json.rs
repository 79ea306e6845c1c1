//! JSON as the scripts have it: what is not there is a mistake in the script.

pub(crate) use serde_json::{Map, Value as Json, json};

/// Values of which the script's format says what they are.
pub(crate) trait Said {
    fn map(&self) -> &Map<String, Json>;
    fn list(&self) -> &[Json];
    fn number(&self) -> u64;
    fn text(&self) -> &str;
}

impl Said for Json {
    fn map(&self) -> &Map<String, Json> {
        self.as_object().unwrap_or_else(|| panic!("no object: {self}"))
    }

    fn list(&self) -> &[Json] {
        self.as_array().unwrap_or_else(|| panic!("no list: {self}"))
    }

    fn number(&self) -> u64 {
        self.as_u64().unwrap_or_else(|| panic!("no number: {self}"))
    }

    fn text(&self) -> &str {
        self.as_str().unwrap_or_else(|| panic!("no text: {self}"))
    }
}

/// An object with one key.
pub(crate) fn one(key: &str, value: impl Into<Json>) -> Json {
    Json::Object(Map::from_iter([(key.to_owned(), value.into())]))
}

/// Reads one value.
///
/// # Panics
/// When it is none.
pub(crate) fn read(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
