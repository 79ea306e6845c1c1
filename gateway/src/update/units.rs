//! The files of the service manager, which an update leaves alone: a trial proves a
//! program under the unit that runs, and nothing that could take a bad unit back is
//! left once the manager has used it. What is not as in the installed version is
//! told instead.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use chatcode_proto::limits;
use chatcode_release::Place;
use semver::Version;
use serde::{Deserialize, Serialize};

/// Where the programs of a system install are.
const SYSTEM_PROGRAMS: &str = "/usr/local/lib/chatcode";

/// What is the matter with a file.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// It is that of the version before.
    Older,
    /// It was changed by hand, or is of a version that is not kept any more.
    Changed,
}

/// A file of the service manager that is not that of the installed version.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// Its path.
    pub file: PathBuf,
    /// What is the matter with it.
    pub is: Why,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.is {
            Why::Older => write!(
                f,
                "{file} is that of the version before; run the line of the installation again to bring it up"
            ),
            Why::Changed => write!(
                f,
                "{file} is not that of this version: somebody changed it, or it is older; the line of the \
                 installation puts the version's own in its place (your changes belong into a drop-in: \
                 systemctl edit)"
            ),
        }
    }
}

/// A file of a release, and where its installation puts it.
type Pair = (PathBuf, PathBuf);

/// The files that are not as in the installed version; none where there is no
/// installation from a release, or no such file.
#[must_use]
pub fn not_as_installed(place: &Place) -> Vec<Unit> {
    let Some(current) = place.current() else { return Vec::new() };
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let pairs = pairs(place.root(), &folder(place, &current), home.as_deref(), config.as_deref());
    let before = place.previous().map(|version| folder(place, &version));
    compare(&folder(place, &current), before.as_deref(), &pairs)
}

fn folder(place: &Place, version: &Version) -> PathBuf {
    place.root().join(version.to_string())
}

/// What belongs to the installation whose programs are in `root`.
fn pairs(root: &Path, version: &Path, home: Option<&Path>, config: Option<&Path>) -> Vec<Pair> {
    if root == Path::new(SYSTEM_PROGRAMS) {
        let units = std::fs::read_dir(version.join("systemd/system")).into_iter().flatten().flatten();
        let names = units.map(|unit| unit.file_name());
        let pair =
            |name| (Path::new("systemd/system").join(&name), Path::new("/etc/systemd/system").join(name));
        let mut pairs: Vec<Pair> = names.take(limits::RELEASE_ENTRIES).map(pair).collect();
        pairs.sort();
        return pairs;
    }
    let config = config.map(Path::to_owned).or_else(|| home.map(|home| home.join(".config")));
    let systemd = config.map(|config| {
        let unit = "systemd/user/chatcode-gateway.service";
        (PathBuf::from(unit), config.join(unit))
    });
    let launchd = home.map(|home| {
        let agent = home.join("Library/LaunchAgents/dev.chatcode.gateway.plist");
        (PathBuf::from("launchd/dev.chatcode.gateway.agent.plist"), agent)
    });
    systemd.into_iter().chain(launchd).collect()
}

fn compare(current: &Path, before: Option<&Path>, pairs: &[Pair]) -> Vec<Unit> {
    let differs = |(part, file): &Pair| {
        let (Ok(Some(wanted)), Ok(Some(found))) = (read(&current.join(part)), read(file)) else {
            return None;
        };
        let is_whole = found.len() as u64 <= limits::UNIT_FILE_BYTES;
        if wanted == found && is_whole {
            return None;
        }
        let earlier = before.and_then(|before| read(&before.join(part)).ok().flatten());
        let is = if earlier.is_some_and(|earlier| earlier == found) { Why::Older } else { Why::Changed };
        Some(Unit { file: file.clone(), is })
    };
    pairs.iter().filter_map(differs).collect()
}

/// A small file; none where there is none, of a larger one a byte too much.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(limits::UNIT_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_unit_of_the_version_before_and_a_changed_one_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let (current, before) = (folder.path().join("0.2.0"), folder.path().join("0.1.0"));
        let part = PathBuf::from("systemd/user/chatcode-gateway.service");
        for (version, text) in [(&current, "new"), (&before, "old")] {
            fs::create_dir_all(version.join("systemd/user")).expect("is made");
            fs::write(version.join(&part), text).expect("is written");
        }
        let file = folder.path().join("chatcode-gateway.service");
        let pairs = [(part, file.clone())];
        let told = |before: Option<&Path>| {
            let units = compare(&current, before, &pairs);
            assert!(units.iter().all(|unit| unit.file == file));
            units.into_iter().map(|unit| unit.is).collect::<Vec<_>>()
        };
        assert_eq!(told(Some(&before)), [], "there is none, so the service is somebody else's");
        fs::write(&file, "new").expect("is written");
        assert_eq!(told(Some(&before)), []);
        fs::write(&file, "old").expect("is written");
        assert_eq!(told(Some(&before)), [Why::Older]);
        assert_eq!(told(None), [Why::Changed], "nobody knows the version that it is of");
        fs::write(&file, "of my own").expect("is written");
        assert_eq!(told(Some(&before)), [Why::Changed]);
    }

    #[test]
    fn a_unit_that_is_longer_than_any_of_ours_was_changed_by_hand() {
        let folder = tempfile::tempdir().expect("a folder");
        let (current, file) = (folder.path().join("0.2.0"), folder.path().join("own.service"));
        fs::create_dir_all(&current).expect("is made");
        let pairs = [(PathBuf::from("unit.service"), file.clone())];
        let most = usize::try_from(limits::UNIT_FILE_BYTES).expect("fits");
        for (length, told) in [(most, false), (most + 1, true), (2 * most, true)] {
            let text = "x".repeat(length);
            fs::write(current.join("unit.service"), &text).expect("is written");
            // All but its last byte, which may be beyond what is read.
            fs::write(&file, if told { format!("{}y", &text[1..]) } else { text }).expect("is written");
            let units = compare(&current, None, &pairs);
            assert_eq!(units.iter().any(|unit| unit.is == Why::Changed), told, "{length}");
        }
    }

    #[test]
    fn each_kind_of_installation_looks_at_its_own_files() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("systemd/system")).expect("is made");
        fs::write(folder.path().join("systemd/system/chatcode-gateway.service"), "").expect("is written");
        let (home, root) = (Some(Path::new("/home/ada")), Path::new("/home/ada/.local/lib/chatcode"));
        let files = |root, config| {
            let pairs = pairs(root, folder.path(), home, config);
            pairs.into_iter().map(|(_, file)| file.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let system = files(Path::new(SYSTEM_PROGRAMS), None);
        assert_eq!(system, ["/etc/systemd/system/chatcode-gateway.service"]);
        let agent = "/home/ada/Library/LaunchAgents/dev.chatcode.gateway.plist";
        assert_eq!(files(root, None), ["/home/ada/.config/systemd/user/chatcode-gateway.service", agent]);
        let elsewhere = files(root, Some(Path::new("/cfg")));
        assert_eq!(elsewhere, ["/cfg/systemd/user/chatcode-gateway.service", agent]);
    }
}
