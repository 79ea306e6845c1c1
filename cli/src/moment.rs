//! Moments as people write them, and as the audit shows them: UTC, so that those
//! of several machines are in order.

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Milliseconds since 1970 of "2h", "7d" (so long before `now_ms`), "2026-11-27",
/// "2026-11-27T09:30" or "2026-11-27T09:30:15Z".
///
/// # Errors
/// Words for people.
pub(crate) fn unix_ms(text: &str, now_ms: u64) -> Result<u64, String> {
    if let Ok(seconds) = chatcode_process::seconds(text) {
        return Ok(now_ms.saturating_sub(u64::from(seconds) * 1000));
    }
    let of_date = || {
        let (date, time) = text.strip_suffix('Z').unwrap_or(text).split_once('T').unwrap_or((text, ""));
        Some(days(date)? * DAY_MS + of_day(time)?)
    };
    of_date().ok_or_else(|| {
        format!(
            "{text} is no moment; write 2h or 7d for so long ago, or a date such as 2026-11-27T09:30 (UTC)"
        )
    })
}

/// "2026-11-27 09:30:15".
pub(crate) fn shown(unix_ms: u64) -> String {
    let (year, month, day) = date(unix_ms / DAY_MS);
    let seconds = unix_ms % DAY_MS / 1000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Days since 1970 of "2026-11-27"; `None` for what is no date since then.
fn days(text: &str) -> Option<u64> {
    let mut parts = text.split('-').map(digits);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if parts.next().is_some() || !is_date {
        return None;
    }
    // Years begin in March, so that the leap day is the last of one.
    let (year_m, month_m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year_m / 4 - year_m / 100 + year_m / 400;
    let count = (year_m * 365 + leaps + (153 * month_m + 2) / 5 + day).checked_sub(DAYS_TO_1970 + 1)?;
    (date(count) == (year, month, day)).then_some(count)
}

/// Days from the first of March of the year 0 to 1970.
const DAYS_TO_1970: u64 = 719_468;

/// Year, month and day of a day since 1970.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_m = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_m + 2) / 5 + 1;
    let month = if month_m < 10 { month_m + 3 } else { month_m - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Milliseconds of "09:30" or "09:30:15"; none of "".
fn of_day(text: &str) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    let mut parts = text.split(':').map(digits);
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let is_time = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    is_time.then(|| (hour * 3600 + minute * 60 + second) * 1000)
}

fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_each_form() {
        let now = 1_000_000_000;
        assert_eq!(unix_ms("2h", now), Ok(now - 7_200_000));
        assert_eq!(unix_ms("9999d", now), Ok(0), "before 1970 is the beginning");
        assert_eq!(unix_ms("1970-01-01", now), Ok(0));
        assert_eq!(unix_ms("2026-11-27", now), Ok(1_795_737_600_000));
        assert_eq!(unix_ms("2026-11-27T09:30", now), Ok(1_795_737_600_000 + 34_200_000));
        assert_eq!(unix_ms("2024-02-29T23:59:59Z", now), Ok(1_709_251_199_000));
        for text in [
            "",
            "yesterday",
            "2026-11",
            "2026-13-01",
            "2026-02-29",
            "2026-11-27T24:00",
            "2026-11-27T9",
            "1969-12-31",
            "2026-11-27T09:30:15:1",
            "+2026-11-27",
            "2026-18446744073709551615-1",
            "2026-1-18446744073709551615",
            "2026-11-27T18446744073709551615:1",
        ] {
            assert!(unix_ms(text, now).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_leads_back_to_its_moment() {
        for days in (0..60_000).step_by(13) {
            let moment = days * DAY_MS + 34_215_000;
            let text = shown(moment).replace(' ', "T");
            assert_eq!(unix_ms(&text, 0), Ok(moment), "{text}");
        }
        assert_eq!(shown(1_795_737_600_000), "2026-11-27 00:00:00");
    }
}
