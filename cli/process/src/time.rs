//! Times as people write them.

/// Seconds of "90s", "15m", "2h", or of a number alone.
///
/// # Errors
/// Words for people, when the text is no such time or too long.
pub fn seconds(text: &str) -> Result<u32, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        other => return Err(format!("{other} is no unit; use s, m, h or d")),
    };
    let number: u32 = digits.parse().map_err(|_| format!("{text} is no time; write it as 15m"))?;
    number.checked_mul(unit).ok_or_else(|| format!("{text} is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("15m"), Ok(900));
        assert_eq!(seconds("24h"), Ok(86_400));
        assert_eq!(seconds("365d"), Ok(31_536_000));
        for bad in ["", "m", "15x", "-5m", "9999999h", "1.5h"] {
            assert!(seconds(bad).is_err(), "{bad:?}");
        }
    }
}
