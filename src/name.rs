//! Words that people give or machines report: what is allowed, and how they
//! are shown without harm.

use crate::{code::Refusal, limits, pb::Code};

/// Checks a name: 1 to `max_chars` characters, no control characters, no
/// blanks at its ends.
///
/// # Errors
/// `INVALID`, with words that say what is wrong with `what`.
pub fn check(what: &str, text: &str, max_chars: usize) -> Result<(), Refusal> {
    let bad = |why: &str| Err(Refusal::new(Code::Invalid, format!("the {what} {why}; choose another")));
    if text.is_empty() {
        return bad("is empty");
    }
    if text.chars().count() > max_chars {
        return bad(&format!("is longer than {max_chars} characters"));
    }
    if text.chars().any(is_harmful) {
        return bad("has control or direction characters");
    }
    if text.trim() != text {
        return bad("begins or ends with a blank");
    }
    Ok(())
}

/// Whether a text can be the id of an identity provider: it is part of the address to
/// which that provider sends browsers back.
#[must_use]
pub fn is_provider_id(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= limits::PROVIDER_ID_CHARS && text.chars().all(is_plain)
}

/// The text with every character that could steer a terminal or deceive a
/// reader replaced by U+FFFD, cut to `max_chars`. For everything that a remote
/// machine reports and a person sees.
#[must_use]
pub fn display_safe(text: &str, max_chars: usize) -> String {
    text.chars()
        .take(max_chars)
        .map(|c| if is_harmful(c) { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// The text, or an ellipsis and its end when it is longer than `max_bytes`.
#[must_use]
pub fn end_of(text: &str, max_bytes: usize) -> String {
    const CUT: &str = "…";
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let from = text.ceil_char_boundary(text.len() - max_bytes.saturating_sub(CUT.len()));
    format!("{CUT}{}", &text[from..])
}

/// C0, DEL, C1, line and paragraph separators, and the marks that turn the
/// direction of text (Unicode TR 36, section 2.5; CVE-2021-42574).
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_in_any_script_pass() {
        for name in ["build", "Ärger 2", "端末", "a🙂b"] {
            assert_eq!(check("name", name, 64), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_could_harm_are_refused() {
        for name in ["", " a", "a ", "a\nb", "\u{1b}]52;c;eA==\u{7}", "a\u{202e}b", "\u{9b}2J"] {
            assert_eq!(check("name", name, 64).unwrap_err().code, Code::Invalid, "{name:?}");
        }
        assert!(check("name", &"x".repeat(65), 64).is_err());
    }

    #[test]
    fn of_a_long_text_the_end_is_shown() {
        assert_eq!(end_of("/home/ada", 9), "/home/ada");
        assert_eq!(end_of("/home/ada/é", 10), "…/ada/é");
        assert!((3..20).all(|most| end_of("/ö/ä/ü/ß/é/è/ê/ô", most).len() <= most));
    }

    #[test]
    fn shown_text_never_steers_a_terminal() {
        let shown = display_safe("\u{1b}[2Jhost\r\n\u{9d}0;x", 64);
        assert!(!shown.chars().any(|c| c.is_control()), "{shown:?}");
        assert!(shown.contains("host"));
        assert_eq!(display_safe("abcdef", 3), "abc");
    }
}
