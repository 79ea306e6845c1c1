//! Which release may follow the one that is installed.

use semver::Version;

use crate::Manifest;

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
    /// It is another version than asked for.
    #[error("version {wanted} was asked for and {offered} came; the server's folder holds the wrong release")]
    OtherVersion {
        /// What was asked for.
        wanted: Version,
        /// What came.
        offered: Version,
    },
}

/// Judges a release that its key vouches for.
///
/// # Errors
/// [`Refused`].
pub fn judge(installed: &Version, wish: &Wish, manifest: &Manifest) -> Result<Verdict, Refused> {
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
        judge(&version(installed), wish, &manifest)
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
