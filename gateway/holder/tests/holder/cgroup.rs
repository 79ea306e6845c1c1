//! A memory cgroup of a test's own.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

const MOUNT: &str = "/sys/fs/cgroup";
/// Bytes of memory that are allowed.
const BYTES: u64 = 32 * 1024 * 1024;

/// A cgroup that allows little memory; removed when dropped, after the
/// processes in it have ended.
pub(crate) struct SmallMemory(PathBuf);

impl SmallMemory {
    /// # Errors
    /// Where none can be made, or no process can be moved into it.
    pub(crate) fn make() -> io::Result<Self> {
        let cgroups = fs::read_to_string("/proc/self/cgroup")?;
        let path_of = |mark: &str| Some(cgroups.lines().find_map(|line| line.split_once(mark))?.1);
        let below = |mount: PathBuf, path: &str| mount.join(path.trim_start_matches('/'));
        let (parent, limit, swap, swap_bytes) = match path_of(":memory:") {
            Some(path) => {
                let parent = below(Path::new(MOUNT).join("memory"), path);
                (parent, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", BYTES)
            }
            None => {
                let parent = distributor(&below(MOUNT.into(), path_of("0::").unwrap_or_default()))?;
                (parent, "memory.max", "memory.swap.max", 0)
            }
        };
        let made = Self(parent.join(format!("chatcode-test-{}", std::process::id())));
        fs::create_dir(&made.0)?;
        fs::write(made.0.join(limit), BYTES.to_string())?;
        // Without swap the kernel has no such file, and none is needed.
        let _ = fs::write(made.0.join(swap), swap_bytes.to_string());
        let mut moved = Command::new("/bin/sh");
        moved.args(["-c", "echo $$ > \"$0\""]).arg(made.procs());
        if !moved.status()?.success() {
            return Err(io::Error::other("no process can be moved into it"));
        }
        Ok(made)
    }

    /// The file that takes a process in.
    pub(crate) fn procs(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

/// The nearest cgroup of version 2 from this one up whose children have the
/// memory controller. One that has processes itself never gives it to them,
/// but the root.
fn distributor(own: &Path) -> io::Result<PathBuf> {
    let gives = |cgroup: &&Path| {
        let control = cgroup.join("cgroup.subtree_control");
        let has_memory = fs::read_to_string(&control)
            .is_ok_and(|controllers| controllers.split_whitespace().any(|name| name == "memory"));
        has_memory || fs::write(&control, "+memory").is_ok()
    };
    let ancestors = own.ancestors().take_while(|cgroup| cgroup.starts_with(MOUNT));
    let found = ancestors.into_iter().find(gives);
    found.map(Path::to_owned).ok_or_else(|| io::Error::other("no cgroup gives memory to its children"))
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
