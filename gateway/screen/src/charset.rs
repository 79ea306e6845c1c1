//! The character sets of ISO 2022 that programs still use: DEC's line drawing
//! and the national ones of the VT220.

/// Which set: the final byte of its designation, or none (US-ASCII).
pub(crate) type Charset = Option<u8>;

/// The four designated sets, and which of them is in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Charsets {
    pub(crate) sets: [Charset; 4],
    pub(crate) level: usize,
    /// What is in use: `sets[level]`.
    pub(crate) current: Charset,
}

impl Charsets {
    pub(crate) fn use_level(&mut self, level: usize) {
        self.level = level;
        self.current = self.sets[level];
    }

    pub(crate) fn designate(&mut self, level: usize, set: Charset) {
        self.sets[level] = set;
        if self.level == level {
            self.current = set;
        }
    }
}

/// The set that a final byte designates; `None` in `Some`: US-ASCII. `None`
/// for a byte that designates nothing.
pub(crate) fn designated(last: u8) -> Option<Charset> {
    match last {
        b'B' => Some(None),
        b'0' | b'A' | b'4' | b'C' | b'5' | b'R' | b'Q' | b'K' | b'Y' | b'E' | b'6' | b'Z' | b'H' | b'7'
        | b'=' => Some(Some(last)),
        _ => None,
    }
}

/// What a byte of ASCII is in a set.
pub(crate) fn mapped(set: Charset, byte: u8) -> char {
    let c = char::from(byte);
    let Some(set) = set else { return c };
    let (from, to): (&str, &str) = match set {
        b'0' => ("`abcdefghijklmnopqrstuvwxyz{|}~", "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·"),
        b'A' => ("#", "£"),
        b'4' => ("#@[\\]{|}~", "£¾i½|¨f¼´"),
        b'C' | b'5' => ("[\\]^`{|}~", "ÄÖÅÜéäöåü"),
        b'R' => ("#@[\\]{|}~", "£à°ç§éùè¨"),
        b'Q' => ("@[\\]^`{|}~", "àâçêîôéùèû"),
        b'K' => ("@[\\]{|}~", "§ÄÖÜäöüß"),
        b'Y' => ("#@[\\]`{|}~", "£§°çéùàòèì"),
        b'E' | b'6' => ("@[\\]^`{|}~", "ÄÆØÅÜäæøåü"),
        b'Z' => ("#@[\\]{|}", "£§¡Ñ¿°ñç"),
        b'H' | b'7' => ("@[\\]^`{|}~", "ÉÄÖÅÜéäöåü"),
        _ => ("#@[\\]^_`{|}~", "ùàéçêîèôäöüû"),
    };
    from.chars().zip(to.chars()).find(|(ascii, _)| *ascii == c).map_or(c, |(_, national)| national)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_maps_as_many_characters_as_it_names() {
        for last in 0..=u8::MAX {
            let Some(set @ Some(_)) = designated(last) else { continue };
            let changed = (0x20..0x7F).filter(|byte| mapped(set, *byte) != char::from(*byte)).count();
            assert!(changed > 0, "{}", char::from(last));
        }
        assert_eq!(mapped(Some(b'0'), b'q'), '─');
        assert_eq!(mapped(Some(b'0'), b'~'), '·');
        assert_eq!(mapped(Some(b'='), b'~'), 'û');
        assert_eq!(mapped(None, b'q'), 'q');
    }
}
