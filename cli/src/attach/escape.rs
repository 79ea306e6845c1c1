//! The escape key, as in ssh: at the beginning of a line, `~` and one key more
//! are for this program and not for the session.

/// What the keys ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Bytes for the session.
    Bytes(Vec<u8>),
    /// `~.`: leave; the session goes on.
    Leave,
    /// `~?`: say what the keys do.
    Help,
    /// `~w`: take the writer's lease.
    TakeLease,
}

/// Words for `~?`.
pub(super) const HELP: &str = "\
At the beginning of a line:
  ~.  leave; the session goes on
  ~w  write: take the keyboard from whoever has it
  ~~  a single ~
  ~?  this help";

/// Watches the keys for the escape key.
#[derive(Debug)]
pub(super) struct EscapeKey {
    at_line_start: bool,
    /// A `~` came and was not sent on yet.
    held: bool,
}

impl EscapeKey {
    /// At the beginning of a line.
    pub(super) const fn new() -> Self {
        Self { at_line_start: true, held: false }
    }

    /// Sorts what was typed. Nothing after a [`Typed::Leave`] is looked at.
    pub(super) fn feed(&mut self, keys: &[u8]) -> Vec<Typed> {
        let mut typed = Vec::new();
        let mut bytes = Vec::new();
        for &key in keys {
            if !std::mem::take(&mut self.held) {
                if key == b'~' && self.at_line_start {
                    self.held = true;
                } else {
                    self.push(&mut bytes, key);
                }
                continue;
            }
            let asked = match key {
                b'.' => Typed::Leave,
                b'?' => Typed::Help,
                b'w' => Typed::TakeLease,
                _ => {
                    self.push(&mut bytes, b'~');
                    if key != b'~' {
                        self.push(&mut bytes, key);
                    }
                    continue;
                }
            };
            if !bytes.is_empty() {
                typed.push(Typed::Bytes(std::mem::take(&mut bytes)));
            }
            let leaves = asked == Typed::Leave;
            typed.push(asked);
            if leaves {
                return typed;
            }
        }
        if !bytes.is_empty() {
            typed.push(Typed::Bytes(bytes));
        }
        typed
    }

    fn push(&mut self, bytes: &mut Vec<u8>, key: u8) {
        self.at_line_start = matches!(key, b'\r' | b'\n');
        bytes.push(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of `keys`, fed one by one and at once; both must agree.
    fn typed(keys: &str) -> (String, Vec<Typed>) {
        let split = |mut typed: Vec<Typed>| {
            let mut text = String::new();
            typed.retain(|one| match one {
                Typed::Bytes(bytes) => {
                    text.push_str(&String::from_utf8_lossy(bytes));
                    false
                }
                Typed::Leave | Typed::Help | Typed::TakeLease => true,
            });
            (text, typed)
        };
        let mut escape = EscapeKey::new();
        let mut one_by_one = Vec::new();
        for key in keys.bytes() {
            one_by_one.extend(escape.feed(&[key]));
            if one_by_one.last() == Some(&Typed::Leave) {
                break;
            }
        }
        let at_once = split(EscapeKey::new().feed(keys.as_bytes()));
        assert_eq!(split(one_by_one), at_once);
        at_once
    }

    #[test]
    fn tilde_dot_at_the_beginning_of_a_line_leaves() {
        assert_eq!(typed("~."), (String::new(), vec![Typed::Leave]));
        assert_eq!(typed("ls\r~.rest"), ("ls\r".into(), vec![Typed::Leave]));
    }

    #[test]
    fn a_tilde_inside_a_line_is_text() {
        assert_eq!(typed("cd ~.\r"), ("cd ~.\r".into(), vec![]));
        assert_eq!(typed("a~~?"), ("a~~?".into(), vec![]));
    }

    #[test]
    fn a_doubled_tilde_sends_one_and_others_send_both() {
        assert_eq!(typed("~~."), ("~.".into(), vec![]));
        assert_eq!(typed("~/bin\r"), ("~/bin\r".into(), vec![]));
    }

    #[test]
    fn after_help_and_take_the_line_begins_still() {
        assert_eq!(typed("~?~w~."), (String::new(), vec![Typed::Help, Typed::TakeLease, Typed::Leave]));
    }

    #[test]
    fn a_held_tilde_waits_for_its_key() {
        let mut escape = EscapeKey::new();
        assert!(escape.feed(b"~").is_empty());
        assert_eq!(escape.feed(b"x"), [Typed::Bytes(b"~x".to_vec())]);
    }

    #[test]
    fn a_newline_after_a_held_tilde_begins_a_line() {
        assert_eq!(typed("~\r~."), ("~\r".into(), vec![Typed::Leave]));
    }
}
