//! Labels: a few words that a machine gets with its join token, such as
//! `site=attic`.

use std::collections::BTreeMap;

use crate::{code::Refusal, limits, pb::Code};

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// Checks labels: at most [`limits::LABELS`]; a key has 1 to
/// [`limits::LABEL_KEY_CHARS`] of `a-z0-9._/-`, a value at most
/// [`limits::LABEL_VALUE_CHARS`] visible ASCII characters and blanks.
///
/// # Errors
/// `INVALID`, with words that say what is wrong.
pub fn check(labels: &Labels) -> Result<(), Refusal> {
    let bad = |words: String| Err(Refusal::new(Code::Invalid, words));
    if labels.len() > limits::LABELS {
        return bad(format!("there are {} labels, {} at most are kept", labels.len(), limits::LABELS));
    }
    for (key, value) in labels {
        if !(1..=limits::LABEL_KEY_CHARS).contains(&key.len()) || !key.chars().all(is_of_key) {
            return bad(format!(
                "the key of a label has 1 to {} of a-z, 0-9, \".\", \"_\", \"-\" and \"/\"; choose another",
                limits::LABEL_KEY_CHARS
            ));
        }
        if value.len() > limits::LABEL_VALUE_CHARS || !value.chars().all(is_of_value) {
            return bad(format!(
                "the value of the label {key} has at most {} plain characters; choose another",
                limits::LABEL_VALUE_CHARS
            ));
        }
    }
    Ok(())
}

/// The key and the value of `key=value`.
///
/// # Errors
/// `INVALID` for another form, or a key or value that [`check`] refuses.
pub fn parse(text: &str) -> Result<(String, String), Refusal> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(Refusal::new(Code::Invalid, "a label is KEY=VALUE, such as site=attic"));
    };
    let pair = (key.to_owned(), value.to_owned());
    check(&Labels::from([pair.clone()]))?;
    Ok(pair)
}

/// As one line for people: `a=1 b=2`.
#[must_use]
pub fn line(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// As it is kept: one `key=value` on each line.
#[must_use]
pub fn to_text(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

/// What [`to_text`] made; `None` for anything else.
#[must_use]
pub fn from_text(text: &str) -> Option<Labels> {
    text.lines().map(|line| parse(line).ok()).collect()
}

const fn is_of_key(c: char) -> bool {
    matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-' | '/')
}

const fn is_of_value(c: char) -> bool {
    matches!(c, ' '..='~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_survive_their_text() {
        let labels = Labels::from([
            ("site".to_owned(), "attic, second=left".to_owned()),
            ("team/owner".to_owned(), String::new()),
        ]);
        check(&labels).unwrap();
        assert_eq!(from_text(&to_text(&labels)), Some(labels.clone()));
        assert_eq!(from_text(""), Some(Labels::new()));
        assert_eq!(line(&labels), "site=attic, second=left team/owner=");
        assert_eq!(parse("site=attic"), Ok(("site".to_owned(), "attic".to_owned())));
    }

    #[test]
    fn what_is_no_label_or_too_much_is_refused_with_words() {
        let long = format!("a={}", "x".repeat(limits::LABEL_VALUE_CHARS + 1));
        let key = format!("{}=a", "x".repeat(limits::LABEL_KEY_CHARS + 1));
        for text in ["", "site", "=a", "Site=a", "a b=c", "a=\n", "a=\u{202e}", &long, &key] {
            assert_eq!(parse(text).unwrap_err().code, Code::Invalid, "{text:?}");
            assert!(from_text(&format!("{text}\n")).is_none() || text.ends_with('\n'), "{text:?}");
        }
        let many = (0..=limits::LABELS).map(|number| (format!("k{number}"), String::new())).collect();
        assert!(check(&many).unwrap_err().message.contains("17 labels"));
    }
}
