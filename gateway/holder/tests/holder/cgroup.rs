//! A memory cgroup of a test's own.

use std::{fs, io, path::PathBuf};

/// A cgroup that allows little memory; removed when dropped, after the
/// processes in it have ended.
pub(crate) struct SmallMemory(PathBuf);

impl SmallMemory {
    /// # Errors
    /// Where none can be made.
    pub(crate) fn make() -> io::Result<Self> {
        let cgroups = fs::read_to_string("/proc/self/cgroup")?;
        let path_of = |mark: &str| Some(cgroups.lines().find_map(|line| line.split_once(mark))?.1);
        let (mount, path, limit, swap) = match path_of(":memory:") {
            Some(path) => ("memory", path, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
            None => ("", path_of("0::").unwrap_or_default(), "memory.max", "memory.swap.max"),
        };
        let parent = PathBuf::from("/sys/fs/cgroup").join(mount).join(path.trim_start_matches('/'));
        let made = Self(parent.join(format!("chatcode-test-{}", std::process::id())));
        fs::create_dir(&made.0)?;
        let bytes = 32 * 1024 * 1024;
        fs::write(made.0.join(limit), bytes.to_string())?;
        // Without swap the kernel has no such file, and none is needed.
        let swap_bytes = if mount.is_empty() { 0 } else { bytes };
        let _ = fs::write(made.0.join(swap), swap_bytes.to_string());
        Ok(made)
    }

    /// The file that takes a process in.
    pub(crate) fn procs(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for SmallMemory {
    fn drop(&mut self) {
        // Processes that were just killed may still be listed.
        for _ in 0..1000 {
            if fs::remove_dir(&self.0).is_ok() {
                break;
            }
            std::thread::yield_now();
        }
    }
}
