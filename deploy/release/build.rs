//! Puts the key that releases are verified by into the build: the file that
//! `CHATCODE_RELEASE_PUBLIC_KEY` names, else `deploy/release.pub`.

use std::{env, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-env-changed=CHATCODE_RELEASE_PUBLIC_KEY");
    let file = match env::var_os("CHATCODE_RELEASE_PUBLIC_KEY") {
        Some(file) => PathBuf::from(file),
        None => PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../release.pub"),
    };
    println!("cargo:rerun-if-changed={}", file.display());
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("release.pub"), text)?;
    Ok(())
}
