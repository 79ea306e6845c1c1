//! What a browser calls itself, in words that a person knows.

use chatcode_proto::{limits, name::display_safe};

/// What a browser's name for itself holds, and what it is; the first that fits
/// counts, since each calls itself after those before it.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
/// The same of systems.
const SYSTEMS: &[(&str, &str)] = &[
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// "Firefox on Linux", or what it calls itself, made harmless and cut to
/// [`limits::DEVICE_CHARS`]: for the person whose browser it is.
#[must_use]
pub fn shown(user_agent: &str) -> String {
    known(user_agent).unwrap_or_else(|| display_safe(user_agent.trim(), limits::DEVICE_CHARS))
}

/// "Firefox on Linux", in no words but ours; `None`: it is not known.
#[must_use]
pub fn known(user_agent: &str) -> Option<String> {
    let find = |table: &[(&str, &'static str)]| {
        table.iter().find(|(word, _)| user_agent.contains(word)).map(|(_, name)| *name)
    };
    Some(format!("{} on {}", find(BROWSERS)?, find(SYSTEMS)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_told_by_their_common_names() {
        for (text, expected) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 \
                 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn others_are_shown_harmlessly_and_short() {
        assert_eq!(shown("curl/8\u{1b}[2J"), "curl/8\u{fffd}[2J");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), limits::DEVICE_CHARS);
    }
}
