//! The list of a release's files: text, read strictly, so that two readers
//! never see two different lists.

use std::collections::BTreeSet;

use chatcode_proto::limits;
use semver::Version;

/// The first line of the format that this program knows.
const HEAD: &str = "chatcode-release 1";
const SYSTEMS: &[&str] = &["linux", "macos"];
const ARCHITECTURES: &[&str] = &["amd64", "arm64"];

/// What an archive is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The programs of a machine with shells.
    Gateway,
    /// The programs of the server: core and edge.
    Server,
}

impl Part {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Server => "server",
        }
    }

    /// The part of that name.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Gateway, Self::Server].into_iter().find(|part| part.word() == word)
    }
}

/// One file of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Its bytes, at most [`limits::RELEASE_FILE_BYTES`].
    pub size: u64,
    /// Its name beside the manifest.
    pub name: String,
}

/// One archive of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The file.
    pub file: File,
    /// What it is for.
    pub part: Part,
    /// `linux` or `macos`.
    pub os: String,
    /// `amd64` or `arm64`.
    pub arch: String,
}

/// What a release says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its version.
    pub version: Version,
    /// The channel that it was made for.
    pub channel: String,
    /// When it was made, seconds since 1970.
    pub released_unix_s: u64,
    /// The oldest version that may go to this one directly.
    pub oldest: Version,
    /// Its archives, each part of each system once.
    pub archives: Vec<Archive>,
    /// Its scripts.
    pub scripts: Vec<File>,
}

/// Why a text is no manifest.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Too long.
    #[error("it has more than {} bytes", limits::RELEASE_MANIFEST_BYTES)]
    TooLarge,
    /// Not lines of printable ASCII, each with an end.
    #[error("it is not lines of ASCII, or its end is missing")]
    NotText,
    /// Another format.
    #[error("it is of another format than this program knows")]
    Format,
    /// A line that is not as it must be.
    #[error("line {0} of it makes no sense")]
    Line(usize),
    /// Something is said twice.
    #[error("line {0} of it says again what was said")]
    Twice(usize),
    /// Something is not said.
    #[error("it does not say its {0}")]
    Missing(&'static str),
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError`]; a line that is not known is one.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > limits::RELEASE_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge);
        }
        let printable = |byte: &u8| *byte == b'\n' || (b' '..=b'~').contains(byte);
        let text = std::str::from_utf8(bytes).ok().filter(|_| bytes.iter().all(printable));
        let text = text.and_then(|text| text.strip_suffix('\n')).ok_or(ManifestError::NotText)?;
        let mut lines = text.split('\n').enumerate();
        if lines.next().is_none_or(|(_, first)| first != HEAD) {
            return Err(ManifestError::Format);
        }
        let mut draft = Draft::default();
        for (index, line) in lines {
            draft.take(line, index + 1)?;
        }
        draft.whole()
    }

    /// The text of the manifest, as [`Self::parse`] reads it.
    #[must_use]
    pub fn text(&self) -> String {
        let hex = |sha256: &[u8; 32]| sha256.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut text = format!(
            "{HEAD}\nversion {}\nchannel {}\nreleased {}\noldest {}\n",
            self.version, self.channel, self.released_unix_s, self.oldest
        );
        for Archive { file, part, os, arch } in &self.archives {
            let (sha256, part) = (hex(&file.sha256), part.word());
            text += &format!("file {sha256} {} {part} {os} {arch} {}\n", file.size, file.name);
        }
        for script in &self.scripts {
            text += &format!("script {} {} {}\n", hex(&script.sha256), script.size, script.name);
        }
        text
    }

    /// The archive of a part for a system.
    #[must_use]
    pub fn archive(&self, part: Part, os: &str, arch: &str) -> Option<&Archive> {
        self.archives.iter().find(|archive| archive.part == part && archive.os == os && archive.arch == arch)
    }
}

/// What was read so far.
#[derive(Default)]
struct Draft {
    version: Option<Version>,
    channel: Option<String>,
    released: Option<u64>,
    oldest: Option<Version>,
    archives: Vec<Archive>,
    scripts: Vec<File>,
    names: BTreeSet<String>,
}

impl Draft {
    fn take(&mut self, line: &str, number: usize) -> Result<(), ManifestError> {
        let wrong = || ManifestError::Line(number);
        let words: Vec<&str> = line.split(' ').collect();
        match *words.as_slice() {
            ["version", version] => once(&mut self.version, read_version(version), number),
            ["channel", channel] => {
                once(&mut self.channel, is_channel(channel).then(|| channel.to_owned()), number)
            }
            ["released", seconds] => once(&mut self.released, read_number(seconds), number),
            ["oldest", version] => once(&mut self.oldest, read_version(version), number),
            ["file", sha256, size, part, os, arch, name] => {
                let file = self.file(sha256, size, name, number)?;
                let part = Part::of(part).ok_or_else(wrong)?;
                if !SYSTEMS.contains(&os) || !ARCHITECTURES.contains(&arch) {
                    return Err(wrong());
                }
                let is_there = |one: &Archive| one.part == part && one.os == os && one.arch == arch;
                if self.archives.iter().any(is_there) {
                    return Err(ManifestError::Twice(number));
                }
                self.archives.push(Archive { file, part, os: os.to_owned(), arch: arch.to_owned() });
                Ok(())
            }
            ["script", sha256, size, name] => {
                let file = self.file(sha256, size, name, number)?;
                self.scripts.push(file);
                Ok(())
            }
            _ => Err(wrong()),
        }
    }

    fn file(&mut self, sha256: &str, size: &str, name: &str, number: usize) -> Result<File, ManifestError> {
        let wrong = || ManifestError::Line(number);
        let sha256 = read_sha256(sha256).ok_or_else(wrong)?;
        let size = read_number(size).filter(|size| (1..=limits::RELEASE_FILE_BYTES).contains(size));
        let size = size.ok_or_else(wrong)?;
        if !is_file_name(name) {
            return Err(wrong());
        }
        if !self.names.insert(name.to_owned()) {
            return Err(ManifestError::Twice(number));
        }
        Ok(File { sha256, size, name: name.to_owned() })
    }

    fn whole(self) -> Result<Manifest, ManifestError> {
        Ok(Manifest {
            version: self.version.ok_or(ManifestError::Missing("version"))?,
            channel: self.channel.ok_or(ManifestError::Missing("channel"))?,
            released_unix_s: self.released.ok_or(ManifestError::Missing("time"))?,
            oldest: self.oldest.ok_or(ManifestError::Missing("oldest version before it"))?,
            archives: self.archives,
            scripts: self.scripts,
        })
    }
}

fn once<T>(place: &mut Option<T>, value: Option<T>, number: usize) -> Result<(), ManifestError> {
    if place.is_some() {
        return Err(ManifestError::Twice(number));
    }
    *place = Some(value.ok_or(ManifestError::Line(number))?);
    Ok(())
}

/// A version as releases have it: short, and without build metadata, which has
/// no order.
#[must_use]
pub fn read_version(text: &str) -> Option<Version> {
    let version = Version::parse(text).ok().filter(|version| version.build.is_empty());
    version.filter(|_| text.len() <= limits::RELEASE_VERSION_BYTES)
}

/// Whether it is a channel's name, and so a folder's.
#[must_use]
pub fn is_channel(text: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= limits::RELEASE_CHANNEL_BYTES
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(letters)
}

/// Whether it names a file in the same folder and nothing else.
fn is_file_name(text: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() <= limits::RELEASE_NAME_BYTES
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(letters)
}

fn read_number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

fn read_sha256(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    let bytes = text.as_bytes();
    let mut sha256 = [0; 32];
    if bytes.len() != 64 {
        return None;
    }
    for (byte, pair) in sha256.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(sha256)
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    fn text() -> String {
        let sha = "0123456789abcdef".repeat(4);
        format!(
            "chatcode-release 1\nversion 0.2.0\nchannel stable\nreleased 1764180000\noldest 0.1.0\n\
             file {sha} 100 gateway linux amd64 chatcode-0.2.0-gateway-linux-amd64.tar.gz\n\
             file {sha} 100 server linux amd64 chatcode-0.2.0-server-linux-amd64.tar.gz\n\
             script {sha} 7 install.sh\n"
        )
    }

    #[test]
    fn a_manifest_is_read_and_written_to_the_same_bytes() {
        let manifest = Manifest::parse(text().as_bytes()).expect("reads");
        assert_eq!(manifest.text(), text());
        let archive = manifest.archive(Part::Gateway, "linux", "amd64").expect("is there");
        assert_eq!(archive.file.name, "chatcode-0.2.0-gateway-linux-amd64.tar.gz");
        assert!(manifest.archive(Part::Gateway, "macos", "amd64").is_none());
    }

    #[test]
    fn what_is_missing_doubled_unknown_or_cut_is_refused() {
        let whole = text();
        for (index, line) in whole.lines().enumerate().take(5) {
            let without = whole.replace(&format!("{line}\n"), "");
            assert!(Manifest::parse(without.as_bytes()).is_err(), "without line {index}");
            let again = format!("{whole}{line}\n");
            assert!(Manifest::parse(again.as_bytes()).is_err(), "{line:?} twice");
        }
        for more in ["surprise\n", "version\n", "file a\n", "\n", " version 1.0.0\n", "version  1.0.0\n", "x"]
        {
            assert!(Manifest::parse(format!("{whole}{more}").as_bytes()).is_err(), "{more:?}");
        }
        let other = whole.replace("chatcode-release 1", "chatcode-release 2");
        assert_eq!(Manifest::parse(other.as_bytes()), Err(ManifestError::Format));
        assert_eq!(Manifest::parse(whole.trim_end().as_bytes()), Err(ManifestError::NotText));
        let long = "x".repeat(limits::RELEASE_MANIFEST_BYTES + 1);
        assert_eq!(Manifest::parse(long.as_bytes()), Err(ManifestError::TooLarge));
    }

    #[test]
    fn hostile_words_are_refused() {
        let whole = text();
        for (from, to) in [
            ("install.sh", "../install.sh"),
            ("install.sh", ".install"),
            ("install.sh", "-install"),
            ("install.sh", "a/b"),
            ("install.sh", "chatcode-0.2.0-gateway-linux-amd64.tar.gz"),
            (" 7 ", " 07 "),
            (" 7 ", " -7 "),
            (" 7 ", " 0 "),
            (" 7 ", " +7 "),
            (" 7 ", " 99999999999999999999 "),
            (" 7 ", " 99999999999 "),
            ("stable", "Stable"),
            ("stable", ".."),
            ("0.2.0\n", "0.2\n"),
            ("0.2.0\n", "0.2.0+build\n"),
            ("linux amd64", "windows amd64"),
            ("linux amd64", "linux x86"),
            ("server linux", "gateway linux"),
            ("0123456789abcdef0123", "0123456789ABCDEF0123"),
            ("\n", "\r\n"),
            ("install.sh", "install.sh\u{e9}"),
        ] {
            let text = whole.replacen(from, to, 1);
            let text = if text == whole { whole.replace(from, to) } else { text };
            assert_ne!(text, whole);
            assert!(Manifest::parse(text.as_bytes()).is_err(), "{from:?} as {to:?}");
        }
    }

    #[test]
    fn what_chance_makes_of_a_manifest_is_refused_or_reads_to_the_same_bytes() {
        let mut chance = StdRng::seed_from_u64(7);
        let whole = text().into_bytes();
        let mut read = 0;
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..chance.random_range(1..4) {
                if bytes.is_empty() {
                    break;
                }
                let at = chance.random_range(0..bytes.len());
                match chance.random_range(0..4) {
                    0 => bytes[at] = chance.random(),
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, chance.random_range(b' '..=b'~')),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            if let Ok(manifest) = Manifest::parse(&bytes) {
                read += 1;
                assert_eq!(manifest.text().as_bytes(), bytes);
            }
        }
        assert!(read > 100, "some still make sense: {read}");
    }

    #[test]
    fn a_version_and_a_file_beyond_their_limits_are_refused() {
        let version = |length: usize| read_version(&format!("1.0.0-{}", "a".repeat(length - 6)));
        assert!(version(limits::RELEASE_VERSION_BYTES).is_some());
        assert!(version(limits::RELEASE_VERSION_BYTES + 1).is_none());
        let script = |bytes: u64| Manifest::parse(text().replace(" 7 ", &format!(" {bytes} ")).as_bytes());
        assert!(script(limits::RELEASE_FILE_BYTES).is_ok());
        assert_eq!(script(limits::RELEASE_FILE_BYTES + 1), Err(ManifestError::Line(8)));
    }
}
