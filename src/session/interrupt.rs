//! Whether somebody interrupts a program: Ctrl with C, `\\` or Z, however it is
//! told.

const ESC: u8 = 0x1b;
/// What a terminal makes signals of unless a program says otherwise: INTR, QUIT
/// and SUSP of termios(3).
const BYTES: [u8; 3] = [0x03, 0x1c, 0x1a];
/// The same keys in the kitty keyboard protocol.
const KEYS: [u32; 3] = [b'c' as u32, b'\\' as u32, b'z' as u32];
/// The bit of Ctrl in that protocol's modifiers, which are told plus one.
const CTRL: u32 = 4;
/// The event that is told when a key is let go.
const RELEASE: u32 = 3;

/// Whether one of these bytes, or a key that was pressed whole within them, is
/// an interrupt.
pub(super) fn is_in(input: &[u8]) -> bool {
    input.iter().any(|byte| BYTES.contains(byte))
        || input.split(|byte| *byte == ESC).skip(1).any(|rest| is_key(rest).unwrap_or(false))
}

/// The same of what follows an ESC: `[ key ; modifiers : event u`, where the key
/// may have other keys behind it, and the event text. `None`: it is no key.
fn is_key(rest: &[u8]) -> Option<bool> {
    let rest = rest.strip_prefix(b"[")?;
    let end = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b':' | b';'))?;
    if rest[end] != b'u' {
        return None;
    }
    let mut fields = str::from_utf8(&rest[..end]).ok()?.split(';');
    let key: u32 = fields.next()?.split(':').next()?.parse().ok()?;
    let mut how = fields.next()?.split(':');
    let modifiers = how.next()?.parse::<u32>().ok()?.checked_sub(1)?;
    let is_released = how.next().is_some_and(|event| event.parse() == Ok(RELEASE));
    Some(KEYS.contains(&key) && modifiers & CTRL != 0 && !is_released)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupt_is_known_by_its_byte_and_by_its_key() {
        for input in [
            &b"\x03"[..],
            b"ls\x1a",
            b"\x1c",
            b"\x1b[99;5u",
            b"\x1b[92;5u",
            b"\x1b[122;5u",
            b"\x1b[99;5:1u",
            b"\x1b[99;5:2u",
            b"\x1b[99;69u",
            b"\x1b[99::99;5;99u",
            b"a\x1b[A\x1b\x1b[99;5ub",
        ] {
            assert!(is_in(input), "{:?}", input.escape_ascii().to_string());
        }
    }

    #[test]
    fn other_keys_and_what_only_looks_like_one_are_no_interrupt() {
        for input in [
            &b""[..],
            b"c",
            b"\x1b",
            b"\x1b[",
            b"\x1b[99;5",
            b"\x1b[99u",
            b"\x1b[99;u",
            b"\x1b[;5u",
            b"\x1b[99;0u",
            b"\x1b[99;1u",
            b"\x1b[99;3u",
            b"\x1b[99;5:3u",
            b"\x1b[98;5u",
            b"\x1b[99;5~",
            b"[99;5u",
            b"\x1b[99999999999;5u",
        ] {
            assert!(!is_in(input), "{:?}", input.escape_ascii().to_string());
        }
    }
}
