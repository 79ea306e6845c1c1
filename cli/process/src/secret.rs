//! A secret on standard input: a line of it, which a terminal does not show while it
//! is typed.

use std::io::{self, Read, Write as _};

use chatcode_proto::limits;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Out of bounds.
    #[error(
        "a passphrase has {low} to {high} bytes, in one line; give another one",
        low = limits::BACKUP_PASSPHRASE_RANGE.start(),
        high = limits::BACKUP_PASSPHRASE_RANGE.end()
    )]
    Length,
    /// It cannot be read.
    #[error("the passphrase cannot be read")]
    Io(#[from] io::Error),
}

/// Reads a passphrase: one line, without its end, and nothing behind it.
///
/// # Errors
/// When it cannot be read, or has too few or too many bytes.
pub fn read_passphrase(input: impl Read) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let most = *limits::BACKUP_PASSPHRASE_RANGE.end();
    let mut line = Zeroizing::new(Vec::with_capacity(most + 2));
    let mut byte = [0];
    let mut input = input.take(most as u64 + 1);
    while input.read(&mut byte)? == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if limits::BACKUP_PASSPHRASE_RANGE.contains(&line.len()) { Ok(line) } else { Err(SecretError::Length) }
}

/// The same from standard input. A terminal is asked `question`, and shows nothing of
/// the answer.
///
/// # Errors
/// As [`read_passphrase`].
pub fn ask_passphrase(question: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let stdin = io::stdin();
    let hidden = Hidden::begin(question);
    let line = read_passphrase(stdin.lock());
    drop(hidden);
    line
}

/// A terminal on standard input that shows nothing, until dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin(question: &str) -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        // Nobody who does not see the question waits for an answer.
        let _ = write!(io::stderr(), "{question}: ");
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).ok()?;
        Some(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // The terminal is gone otherwise.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
        let _ = writeln!(io::stderr());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_one_line_within_bounds_and_what_follows_is_left() {
        let read = |text: &str| read_passphrase(text.as_bytes()).ok().map(|line| line.to_vec());
        assert_eq!(read("eight ch\nmore"), Some(b"eight ch".to_vec()));
        assert_eq!(read("eight ch\r\n"), Some(b"eight ch".to_vec()));
        assert_eq!((read("short\n"), read(""), read(&"x".repeat(1025))), (None, None, None));
        let mut input = &b"eight ch\nthe rest"[..];
        read_passphrase(&mut input).expect("is one");
        assert_eq!(input, b"the rest");
    }
}
