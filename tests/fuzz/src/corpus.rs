//! The inputs in the tree: a folder for each target.

use std::{env, fs, path::PathBuf};

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// All inputs of a target with their names, in the order of these.
pub(crate) fn read(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let inputs = paths.into_iter().map(|path| {
        let input = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.display().to_string(), input)
    });
    inputs.collect()
}

/// Leaves what went wrong in the corpus; gives where.
pub(crate) fn write(target: &str, input: &[u8]) -> String {
    let sum = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let path = folder(target).join(format!("found-{sum:016x}"));
    match fs::write(&path, input) {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("could not be kept: {}: {error}", path.display()),
    }
}

/// Leaves the input that is played next in the folder for temporary files: one
/// that hangs, or takes all memory, is found there.
pub(crate) fn under_way(target: &str, input: &[u8]) {
    let path = env::temp_dir().join(format!("chatcode-fuzz-{target}"));
    fs::write(&path, input).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
