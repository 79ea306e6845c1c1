//! What the machine's owner decides of updates; the rules are pure.

use std::{ops::Range, path::PathBuf, time::Duration};

use chatcode_proto::{limits, pb};
use chatcode_release::{KeyError, Pin, PublicKey, manifest};
use serde::{Deserialize, Serialize};

use super::fetch::{FetchError, Source};

/// When the gateway updates by itself.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Never, and it does not look for updates.
    Off,
    /// It looks and says so.
    #[default]
    Notify,
    /// In its window.
    Automatic,
}

impl From<Policy> for pb::UpdatePolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Off => Self::Unspecified,
            Policy::Notify => Self::Notify,
            Policy::Automatic => Self::Automatic,
        }
    }
}

/// Minutes of a day (UTC) in which the gateway may update by itself; one that
/// begins after it ends goes over midnight.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window(Range<u32>);

impl TryFrom<String> for Window {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let minutes = |text: &str| {
            let (hours, minutes) = text.split_once(':')?;
            let two = |text: &str| (text.len() == 2).then(|| text.parse::<u32>().ok()).flatten();
            let (hours, minutes) = (two(hours)?, two(minutes)?);
            (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
        };
        let range = text.split_once('-').and_then(|(from, to)| Some(minutes(from)?..minutes(to)?));
        let range = range.filter(|range| range.start != range.end);
        range
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no window of a day; write it as \"03:00-05:00\" (UTC)"))
    }
}

impl From<Window> for String {
    fn from(Window(range): Window) -> Self {
        let time = |minutes: u32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        format!("{}-{}", time(range.start), time(range.end))
    }
}

impl Window {
    /// Whether the time (seconds since 1970) is in it.
    pub(super) fn has(&self, unix_s: u64) -> bool {
        let minute = u32::try_from(unix_s / 60 % (24 * 60)).unwrap_or_default();
        let Range { start, end } = self.0;
        if start < end { (start..end).contains(&minute) } else { minute >= start || minute < end }
    }
}

/// Settings of updates; see the reference for each.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateSettings {
    /// When the gateway updates by itself.
    pub policy: Policy,
    /// When it may.
    pub window: Window,
    /// Where releases are: an address or a folder with a folder for each channel
    /// and version. None: nowhere.
    pub release_url: Option<String>,
    /// The channel.
    pub channel: String,
    /// The version, or the beginning of one, that the machine is held at; none:
    /// whatever is newer.
    pub pin: Option<Pin>,
    /// A file with the key that releases must be signed by; else the one that the
    /// program was built with.
    pub release_key: Option<PathBuf>,
    /// The shortest pause between two looks for a newer release, seconds.
    pub look_s: u32,
    /// How long a new daemon may take until the core has welcomed it, seconds.
    pub trial_s: u32,
    /// The socket of the helper that installs releases, where the programs are
    /// not the daemon's to change.
    pub helper: PathBuf,
}

impl Default for UpdateSettings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            window: Window(3 * 60..5 * 60),
            release_url: None,
            channel: "stable".to_owned(),
            pin: None,
            release_key: None,
            look_s: limits::UPDATE_LOOK_S,
            trial_s: limits::UPDATE_TRIAL_S,
            helper: "/run/chatcode/updater.sock".into(),
        }
    }
}

/// A setting of updates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Out of bounds.
    #[error(
        "a trial of {0} seconds is out of bounds; write {low} to {high}",
        low = limits::UPDATE_TRIAL_RANGE.start(),
        high = limits::UPDATE_TRIAL_RANGE.end()
    )]
    Trial(u32),
    /// Out of bounds.
    #[error(
        "a pause of {0} seconds is out of bounds; write {low} to {high}",
        low = limits::UPDATE_LOOK_RANGE.start(),
        high = limits::UPDATE_LOOK_RANGE.end()
    )]
    Look(u32),
    /// No channel's name.
    #[error("{0:?} is no channel's name; write lower-case letters, digits and hyphens")]
    Channel(String),
    /// The place of releases is none.
    #[error(transparent)]
    Place(#[from] FetchError),
    /// The folder of releases is not there.
    #[error("there is no folder {0}; make it, or name another place of releases")]
    NoFolder(PathBuf),
    /// The key cannot be read.
    #[error("the release key {0} cannot be read")]
    KeyFile(PathBuf, #[source] std::io::Error),
    /// The key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl UpdateSettings {
    /// Whether they can be used.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        self.faults().into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// All that is wrong with them, by their keys.
    pub(crate) fn faults(&self) -> Vec<(&'static str, SettingsError)> {
        let mut found = Vec::new();
        if !limits::UPDATE_TRIAL_RANGE.contains(&self.trial_s) {
            found.push(("trial_s", SettingsError::Trial(self.trial_s)));
        }
        if !limits::UPDATE_LOOK_RANGE.contains(&self.look_s) {
            found.push(("look_s", SettingsError::Look(self.look_s)));
        }
        if !manifest::is_channel(&self.channel) {
            found.push(("channel", SettingsError::Channel(self.channel.clone())));
        }
        found
    }

    /// Why no release could be taken now, by the keys: a place that is none, a key's
    /// file that cannot be used.
    pub(crate) fn lacks(&self) -> Vec<(&'static str, SettingsError)> {
        let place = self.release_url.as_deref().and_then(|text| match Source::of(text) {
            Ok(Source::Folder(path)) => (!path.is_dir()).then_some(SettingsError::NoFolder(path)),
            Ok(Source::Web(_)) => None,
            Err(error) => Some(error.into()),
        });
        let key = self.release_key.is_some().then(|| self.key().err()).flatten();
        let found = [("release_url", place), ("release_key", key)];
        found.into_iter().filter_map(|(key, error)| Some((key, error?))).collect()
    }

    /// The shortest pause between two looks.
    pub(super) fn pause(&self) -> Duration {
        Duration::from_secs(self.look_s.into())
    }

    /// The key that releases must be signed by.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub(super) fn key(&self) -> Result<PublicKey, SettingsError> {
        let Some(file) = &self.release_key else { return Ok(PublicKey::built_in()?) };
        let text =
            std::fs::read_to_string(file).map_err(|error| SettingsError::KeyFile(file.clone(), error))?;
        Ok(PublicKey::parse(&text)?)
    }
}

/// The time until the next look for a release, with this pause between two;
/// `chance` is 0 to 1.
pub(super) fn next_look(pause: Duration, first: bool, chance: f64) -> Duration {
    if first { limits::UPDATE_FIRST_LOOK.min(pause).mul_f64(chance) } else { pause + pause.mul_f64(chance) }
}

/// The time until the clock is looked at again: at least once between two looks.
pub(super) fn next_tick(pause: Duration, chance: f64) -> Duration {
    let tick = limits::UPDATE_TICK.min(pause / 2);
    tick + tick.mul_f64(chance)
}

/// Whether the gateway installs by itself what it found, now.
pub(super) fn installs_now(settings: &UpdateSettings, unix_s: u64, found: &str, failed: &str) -> bool {
    // What has failed is for a person, or for the next release.
    settings.policy == Policy::Automatic
        && settings.window.has(unix_s)
        && !found.is_empty()
        && found != failed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> Window {
        Window::try_from(text.to_owned()).expect("a window")
    }

    #[test]
    fn a_window_is_read_and_may_go_over_midnight() {
        let (day, hour) = (1_764_115_200, 3600);
        assert_eq!(day % (24 * hour), 0, "midnight");
        assert!(window("03:00-05:00").has(day + 3 * hour) && window("03:00-05:00").has(day + 5 * hour - 1));
        assert!(!window("03:00-05:00").has(day + 5 * hour) && !window("03:00-05:00").has(day));
        assert!(window("23:30-01:00").has(day + 24 * hour - 60) && window("23:30-01:00").has(day + 59 * 60));
        assert!(!window("23:30-01:00").has(day + 12 * hour));
        assert_eq!(String::from(window("23:30-01:00")), "23:30-01:00");
        for wrong in ["", "3-5", "03:00", "24:00-05:00", "03:60-05:00", "03:00-03:00", "03:00-05:00-06:00"] {
            assert!(Window::try_from(wrong.to_owned()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn only_the_automatic_policy_installs_and_never_again_what_failed() {
        let noon = 1_764_115_200 + 12 * 3600;
        let with =
            |policy, hours: &str| UpdateSettings { policy, window: window(hours), ..Default::default() };
        assert!(installs_now(&with(Policy::Automatic, "11:00-13:00"), noon, "0.2.0", ""));
        assert!(!installs_now(&with(Policy::Automatic, "11:00-13:00"), noon, "0.2.0", "0.2.0"));
        assert!(!installs_now(&with(Policy::Automatic, "11:00-13:00"), noon, "", ""));
        assert!(!installs_now(&with(Policy::Automatic, "13:00-14:00"), noon, "0.2.0", ""));
        assert!(!installs_now(&with(Policy::Notify, "11:00-13:00"), noon, "0.2.0", ""));
    }

    #[test]
    fn looks_are_spread_over_time() {
        let pause = UpdateSettings::default().pause();
        assert!(next_look(pause, true, 1.0) <= limits::UPDATE_FIRST_LOOK);
        assert!((pause..=pause * 2).contains(&next_look(pause, false, 0.5)));
        for pause in [pause, Duration::from_secs(1)] {
            assert!(next_tick(pause, 1.0) <= next_look(pause, false, 0.0), "the clock is looked at between");
        }
    }
}
