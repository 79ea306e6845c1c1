//! When memory runs out: whether the kernel killed the shell for it, by the
//! count of such kills that its memory cgroup keeps, before and after; and that
//! it is not the holder that is killed, who has to tell.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The count of one cgroup, as it was when the holder began.
#[derive(Debug)]
pub(crate) struct OomCount {
    file: PathBuf,
    before: u64,
}

impl OomCount {
    /// Of this process's cgroup, which its shell will inherit; `None` where
    /// the kernel keeps no count that can be read.
    pub(crate) fn begin() -> Option<Self> {
        let file = count_file(&fs::read_to_string("/proc/self/cgroup").ok()?, Path::new("/sys/fs/cgroup"))?;
        let before = read(&file)?;
        Some(Self { file, before })
    }

    /// Whether there was another such kill since.
    pub(crate) fn has_grown(&self) -> bool {
        read(&self.file).is_some_and(|now| now > self.before)
    }
}

/// How much sooner than the holder the kernel ends what runs in its session, in
/// thousandths of the memory there is.
const SOONER: i32 = 100;
const OWN_SCORE: &str = "/proc/self/oom_score_adj";

/// Starts something that the kernel ends before the holder when memory runs
/// out; as the holder where this system does not know it.
pub(crate) fn before_the_holder<T>(start: impl FnOnce() -> T) -> T {
    let own = fs::read_to_string(OWN_SCORE).ok().and_then(|score| score.trim().parse::<i32>().ok());
    let Some(own) = own else { return start() };
    // Inherited by what is started. A process may raise it and go back to where
    // it was.
    let _ = fs::write(OWN_SCORE, own.saturating_add(SOONER).min(1000).to_string());
    let started = start();
    let _ = fs::write(OWN_SCORE, own.to_string());
    started
}

fn read(file: &Path) -> Option<u64> {
    count(&fs::read_to_string(file).ok()?)
}

/// The file of the count, of the lines `number:controllers:path`: version 1
/// where it has the memory controller, else version 2.
fn count_file(cgroups: &str, mount: &Path) -> Option<PathBuf> {
    let path_of = |is_wanted: fn(&str, &str) -> bool| {
        let mut lines = cgroups.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            Some((fields.next()?, fields.next()?, fields.next()?))
        });
        lines.find(|(number, controllers, _)| is_wanted(number, controllers)).map(|(.., path)| path)
    };
    let place = |mount: PathBuf, path: &str, file: &str| mount.join(path.trim_start_matches('/')).join(file);
    if let Some(path) = path_of(|_, controllers| controllers.split(',').any(|name| name == "memory")) {
        return Some(place(mount.join("memory"), path, "memory.oom_control"));
    }
    let path = path_of(|number, controllers| number == "0" && controllers.is_empty())?;
    Some(place(mount.to_owned(), path, "memory.events"))
}

/// The line `oom_kill N`; both versions have it.
fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(cgroups: &str) -> Option<String> {
        Some(count_file(cgroups, Path::new("/m"))?.to_str().expect("is text").to_owned())
    }

    #[test]
    fn the_count_is_found_in_both_versions_and_where_they_are_mixed() {
        let events = "/m/user.slice/a:b/memory.events";
        assert_eq!(file("0::/user.slice/a:b\n").as_deref(), Some(events));
        let control = Some("/m/memory/x/memory.oom_control");
        assert_eq!(file("9:name=systemd:/\n4:cpu,memory:/x\n0::/\n").as_deref(), control);
        assert_eq!(file("2:cpu:/x\n"), None);
        assert_eq!(file("garbage"), None);
    }

    #[test]
    fn the_kills_are_read_and_nothing_else() {
        assert_eq!(count("low 0\noom 7\noom_kill 3\noom_group_kill 1\n"), Some(3));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 12\n"), Some(12));
        assert_eq!(count("oom_kill_disable 1\nunder_oom 0\n"), None);
        assert_eq!(count("oom_kill many\n"), None);
    }
}
