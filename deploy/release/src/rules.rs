//! Which release may follow the one that is installed.

use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{Manifest, manifest::read_version};

/// Where a machine is held: at one version (`0.2.3`), or at all that begin so
/// (`0.2`, `0`).
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pin(Held);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Held {
    At(Version),
    Below(u64, Option<u64>),
}

impl TryFrom<String> for Pin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |text: &str| {
            let is_plain =
                text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
            is_plain.then(|| text.parse().ok()).flatten()
        };
        let held = match text.split_once('.') {
            _ if read_version(&text).is_some() => read_version(&text).map(Held::At),
            None => number(&text).map(|major| Held::Below(major, None)),
            Some((major, minor)) => {
                number(major).zip(number(minor)).map(|(major, minor)| Held::Below(major, Some(minor)))
            }
        };
        held.map(Self).ok_or_else(|| {
            format!("{text:?} is no pin; write a version (0.2.3) or the beginning of one (0.2 or 0)")
        })
    }
}

impl From<Pin> for String {
    fn from(pin: Pin) -> Self {
        pin.to_string()
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Held::At(version) => version.fmt(f),
            Held::Below(major, None) => major.fmt(f),
            Held::Below(major, Some(minor)) => write!(f, "{major}.{minor}"),
        }
    }
}

impl Pin {
    /// Whether a machine that is held so may take this version.
    #[must_use]
    pub fn allows(&self, version: &Version) -> bool {
        match &self.0 {
            Held::At(one) => one == version,
            Held::Below(major, minor) => {
                *major == version.major && minor.is_none_or(|minor| minor == version.minor)
            }
        }
    }
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The newest of a channel.
    Channel(String),
    /// This version, of whichever channel.
    Version(Version),
    /// Whatever lies in the folder that a person named.
    Any,
}

/// What may be done with a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is installed already.
    Current,
    /// It is newer and may be installed.
    Newer,
}

/// Why a release may not follow the installed one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is older.
    #[error(
        "version {offered} is offered and {installed} is installed: a downgrade is never taken from a release \
         server; to go back one version use `chatcode-gateway update --rollback` on the machine"
    )]
    Downgrade {
        /// What is installed.
        installed: Version,
        /// What was offered.
        offered: Version,
    },
    /// The installed version is too old to go there directly.
    #[error(
        "version {offered} can be reached from {oldest} only; update to {oldest} first (installed: {installed})"
    )]
    TooOld {
        /// What is installed.
        installed: Version,
        /// What was offered.
        offered: Version,
        /// From which version on it can be reached.
        oldest: Version,
    },
    /// It is of another channel than asked for.
    #[error(
        "the release is of the channel {offered}, and {wanted} was asked for; name the other channel if you want it"
    )]
    OtherChannel {
        /// What was asked for.
        wanted: String,
        /// What came.
        offered: String,
    },
    /// The machine is held elsewhere.
    #[error(
        "version {offered} is to be had, and this machine is held at {pin}; to go there change update.pin in its \
         settings"
    )]
    Pinned {
        /// Where it is held.
        pin: Pin,
        /// What was offered.
        offered: Version,
    },
    /// It is another version than asked for.
    #[error("version {wanted} was asked for and {offered} came; the server's folder holds the wrong release")]
    OtherVersion {
        /// What was asked for.
        wanted: Version,
        /// What came.
        offered: Version,
    },
}

/// Judges a release that its key vouches for, for a machine that may be held at a
/// version.
///
/// # Errors
/// [`Refused`].
pub fn judge(
    installed: &Version,
    wish: &Wish,
    pin: Option<&Pin>,
    manifest: &Manifest,
) -> Result<Verdict, Refused> {
    let offered = manifest.version.clone();
    match wish {
        Wish::Channel(wanted) if *wanted != manifest.channel => {
            let offered = manifest.channel.clone();
            return Err(Refused::OtherChannel { wanted: wanted.clone(), offered });
        }
        Wish::Version(wanted) if *wanted != offered => {
            return Err(Refused::OtherVersion { wanted: wanted.clone(), offered });
        }
        _ => {}
    }
    let installed = installed.clone();
    let is_newer = offered.cmp_precedence(&installed).is_gt();
    if let Some(pin) = pin.filter(|pin| is_newer && !pin.allows(&offered)) {
        return Err(Refused::Pinned { pin: pin.clone(), offered });
    }
    match offered.cmp_precedence(&installed) {
        std::cmp::Ordering::Less => Err(Refused::Downgrade { installed, offered }),
        std::cmp::Ordering::Equal => Ok(Verdict::Current),
        std::cmp::Ordering::Greater if installed < manifest.oldest => {
            Err(Refused::TooOld { installed, offered, oldest: manifest.oldest.clone() })
        }
        std::cmp::Ordering::Greater => Ok(Verdict::Newer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).expect("a version")
    }

    fn judged(installed: &str, wish: &Wish, offered: &str, oldest: &str) -> Result<Verdict, Refused> {
        let manifest = Manifest {
            version: version(offered),
            channel: "stable".to_owned(),
            released_unix_s: 0,
            oldest: version(oldest),
            archives: Vec::new(),
            scripts: Vec::new(),
        };
        judge(&version(installed), wish, None, &manifest)
    }

    fn pin(text: &str) -> Pin {
        Pin::try_from(text.to_owned()).expect("a pin")
    }

    #[test]
    fn a_pin_is_a_version_or_the_beginning_of_one() {
        for (text, allowed, held_back) in [
            ("0", ["0.1.0", "0.9.9"], ["1.0.0", "10.0.0"]),
            ("0.2", ["0.2.0", "0.2.11"], ["0.3.0", "0.20.0"]),
            ("0.2.3", ["0.2.3", "0.2.3"], ["0.2.4", "0.2.3-beta.1"]),
            ("0.3.0-beta.1", ["0.3.0-beta.1", "0.3.0-beta.1"], ["0.3.0", "0.3.0-beta.2"]),
        ] {
            assert_eq!(pin(text).to_string(), text);
            assert!(allowed.iter().all(|one| pin(text).allows(&version(one))), "{text}");
            assert!(!held_back.iter().any(|one| pin(text).allows(&version(one))), "{text}");
        }
        for wrong in [
            "",
            "0.",
            ".2",
            "0.2.",
            "v0.2",
            "0.02",
            "0.2.x",
            "0.2.3.4",
            "^0.2",
            "0.2 ",
            "18446744073709551616",
        ] {
            assert!(Pin::try_from(wrong.to_owned()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_machine_that_is_held_takes_nothing_newer_from_elsewhere_whatever_is_wished() {
        let release = |offered: &str| Manifest {
            version: version(offered),
            channel: "stable".to_owned(),
            released_unix_s: 0,
            oldest: version("0.1.0"),
            archives: Vec::new(),
            scripts: Vec::new(),
        };
        let judged =
            |wish: &Wish, offered: &str| judge(&version("0.2.1"), wish, Some(&pin("0.2")), &release(offered));
        for wish in [Wish::Channel("stable".to_owned()), Wish::Any] {
            assert_eq!(judged(&wish, "0.2.2"), Ok(Verdict::Newer));
            assert_eq!(judged(&wish, "0.2.1"), Ok(Verdict::Current));
            let words = judged(&wish, "0.3.0").expect_err("is held").to_string();
            assert!(words.contains("0.3.0") && words.contains("held at 0.2;"), "{words}");
        }
        let named = Wish::Version(version("0.3.0"));
        assert!(matches!(judged(&named, "0.3.0"), Err(Refused::Pinned { .. })));
        // Not newer is not new: what is wrong with it is said.
        assert!(matches!(judged(&Wish::Any, "0.1.9"), Err(Refused::Downgrade { .. })));
    }

    #[test]
    fn only_a_newer_version_of_the_channel_is_taken() {
        let stable = Wish::Channel("stable".to_owned());
        assert_eq!(judged("0.1.0", &stable, "0.2.0", "0.1.0"), Ok(Verdict::Newer));
        assert_eq!(judged("0.9.0", &stable, "0.10.0", "0.1.0"), Ok(Verdict::Newer));
        assert_eq!(judged("1.0.0-beta.2", &stable, "1.0.0", "0.1.0"), Ok(Verdict::Newer));
        assert_eq!(judged("0.2.0", &stable, "0.2.0", "0.1.0"), Ok(Verdict::Current));
        for older in ["0.1.9", "0.2.0-rc.1"] {
            assert!(matches!(judged("0.2.0", &stable, older, "0.1.0"), Err(Refused::Downgrade { .. })));
            let pinned = Wish::Version(version(older));
            assert!(matches!(judged("0.2.0", &pinned, older, "0.1.0"), Err(Refused::Downgrade { .. })));
        }
        let beta = Wish::Channel("beta".to_owned());
        assert!(matches!(judged("0.1.0", &beta, "0.2.0", "0.1.0"), Err(Refused::OtherChannel { .. })));
    }

    #[test]
    fn a_pin_is_kept_and_no_step_is_left_out() {
        let pinned = Wish::Version(version("0.3.0"));
        assert_eq!(judged("0.1.0", &pinned, "0.3.0", "0.1.0"), Ok(Verdict::Newer));
        assert!(matches!(judged("0.1.0", &pinned, "0.4.0", "0.1.0"), Err(Refused::OtherVersion { .. })));
        let error = judged("0.1.0", &pinned, "0.3.0", "0.2.0").expect_err("too old");
        assert!(error.to_string().contains("update to 0.2.0 first"), "{error}");
    }
}
