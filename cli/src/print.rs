//! What the commands print: answers to standard output, words to standard
//! error, and nothing that could steer the reader's terminal.

use std::io::{self, Write as _};

use chatcode_process::out;
use chatcode_proto::name::display_safe;
use serde::Serialize;

/// Characters of one word that is shown; more is cut.
const SHOWN_CHARS: usize = 512;

/// Prints an answer to standard output.
///
/// # Errors
/// When standard output cannot be written. A reader that left (`| head`) is an error
/// too, by which the program ends quietly.
pub(crate) fn answer(text: &str) -> io::Result<()> {
    out::answer(text)
}

/// The same result, but that a reader that left is no error: for what goes on.
pub(crate) fn unless_left(printed: io::Result<()>) -> io::Result<()> {
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// How a command tells what it did.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Tell {
    /// Print one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Tell {
    /// Says it to a person on standard error, or prints it as JSON.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn done(self, words: &str, what: &impl Serialize) -> anyhow::Result<()> {
        if self.json {
            return Ok(json(what)?);
        }
        if !words.is_empty() {
            say(words);
        }
        Ok(())
    }

    /// Prints it on standard output, as a text or as JSON.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn answer(self, text: &str, what: &impl Serialize) -> anyhow::Result<()> {
        if self.json {
            return Ok(json(what)?);
        }
        Ok(answer(&format!("{text}\n"))?)
    }
}

/// Prints one value as one line of JSON, in ASCII wherever a terminal could
/// take a character for more than text.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    let mut line = json_text(value)?;
    line.push('\n');
    answer(&line)
}

/// Prints values as [`json`] does, all at once.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn json_lines<T: Serialize>(values: impl IntoIterator<Item = T>) -> io::Result<()> {
    let mut text = String::new();
    for value in values {
        text.push_str(&json_text(&value)?);
        text.push('\n');
    }
    answer(&text)
}

/// Prints a word for people to standard error; nobody is told when that fails.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Words of a machine, made harmless.
pub(crate) fn shown(text: &str) -> String {
    display_safe(text, SHOWN_CHARS)
}

/// JSON in which every character that [`display_safe`] would replace is an
/// escape, so that the value stays exact.
fn json_text(value: &impl Serialize) -> serde_json::Result<String> {
    let mut text = String::new();
    for c in serde_json::to_string(value)?.chars() {
        let mut utf8 = [0; 4];
        if display_safe(c.encode_utf8(&mut utf8), 1).starts_with(c) {
            text.push(c);
        } else {
            let mut utf16 = [0; 2];
            for unit in c.encode_utf16(&mut utf16) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_exact_and_harmless() {
        let value = "\u{1b}[2J a\u{9b}31m \u{202e}b ü 端";
        let text = json_text(&value).expect("is JSON");
        assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
        assert!(text.contains("ü 端"));
        assert_eq!(serde_json::from_str::<String>(&text).expect("is JSON"), value);
    }
}
