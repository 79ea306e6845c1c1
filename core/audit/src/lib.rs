//! The chain of the audit, the same for the core that writes it and for anybody
//! who checks it elsewhere. No store, no network, no clock.
//!
//! - [`chained`]: the hash of a row, over the row before it.
//! - [`head`]: the core's signed word for how far the chain goes.
//! - [`Checker`]: rows one after the other; the first that is not as it was
//!   written is a [`Fault`].
//! - [`Line`]: rows, and what a check of them needs, as JSON lines.
//! - [`FileCheck`]: those lines, checked.

mod chain;
mod check;
mod file;
pub mod head;
mod line;

pub use self::{
    chain::chained,
    check::{Checker, Fault},
    file::{FileCheck, FileFault, Found},
    line::{Begin, LINES, Line, NoLine, action_word, result_word},
};

/// Lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of an even number of hex digits; `None` for anything else.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_leads_back_to_its_bytes_and_nothing_else_does() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        assert_eq!(unhex(""), Some(Vec::new()));
        for text in ["0", "0g", "+1", "é0", " 00"] {
            assert_eq!(unhex(text), None, "{text:?}");
        }
    }
}
