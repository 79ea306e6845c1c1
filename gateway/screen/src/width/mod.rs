//! How many columns a character takes: the one table of page and holder.

mod table;

use table::{WIDE, ZERO};

/// The columns that a character takes: 0 when it joins the one before it, 2
/// when it is wide, else 1.
///
/// As Unicode 11 with East Asian ambiguous characters narrow, which is what the
/// page's terminal is set to.
#[must_use]
pub fn width(c: char) -> u8 {
    let code = u32::from(c);
    if (0x20..0x7F).contains(&code) {
        return 1;
    }
    if is_in(ZERO, code) {
        return 0;
    }
    if is_in(WIDE, code) { 2 } else { 1 }
}

fn is_in(ranges: &[(u32, u32)], code: u32) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= code);
    after.checked_sub(1).is_some_and(|at| code <= ranges[at].1)
}
