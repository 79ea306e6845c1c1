//! `chatcode-release`: makes releases and checks them. Used by `just release`;
//! no machine that installs a release needs it.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chatcode_proto::limits;
use chatcode_release::{
    MANIFEST, Manifest, Part, PublicKey, SIGNATURE, SSH_SIGNATURE, archive,
    key::SigningKey,
    manifest::{self, Archive, File as Listed},
    open, sshsig,
};
use clap::{Parser, Subcommand};
use semver::Version;
use sha2::{Digest as _, Sha256};

/// Makes releases of chatcode, and checks them.
#[derive(Parser)]
#[command(name = "chatcode-release", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key: the private half into a new file (0600), the public half onto
    /// standard output.
    Key {
        /// The file for the private half.
        file: PathBuf,
    },
    /// Print the public half of a key.
    Public {
        /// The private half.
        file: PathBuf,
    },
    /// Pack files into an archive; the same files give the same bytes.
    Pack {
        /// Its time inside, seconds since 1970.
        #[arg(long)]
        time: u64,
        /// The archive.
        #[arg(long)]
        out: PathBuf,
        /// The files, each as PATH or as NAME=PATH.
        #[arg(required = true)]
        files: Vec<OsString>,
    },
    /// List and sign what is in a release's folder.
    Sign {
        /// The private half of the key.
        #[arg(long)]
        key: PathBuf,
        /// The version.
        #[arg(long, value_name = "VERSION")]
        release: Version,
        /// The channel.
        #[arg(long, default_value = "stable")]
        channel: String,
        /// The oldest version that may go to this one directly.
        #[arg(long)]
        oldest: Version,
        /// When it is released, seconds since 1970.
        #[arg(long)]
        time: u64,
        /// The folder.
        folder: PathBuf,
    },
    /// Check signature, sizes and hashes of a release's folder.
    Verify {
        /// A file with the public half of the key; left out: the one that this
        /// program was built with.
        #[arg(long)]
        key: Option<PathBuf>,
        /// The folder.
        folder: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Key { file } => make_key(&file),
        Command::Public { file } => print(&SigningKey::load(&file)?.public()?.to_string()),
        Command::Pack { time, out, files } => pack(time, &out, &files),
        Command::Sign { key, release, channel, oldest, time, folder } => {
            ensure!(
                manifest::is_channel(&channel),
                "a channel's name is lower-case letters, digits and hyphens"
            );
            let draft = Manifest {
                version: release,
                channel,
                released_unix_s: time,
                oldest,
                archives: Vec::new(),
                scripts: Vec::new(),
            };
            sign(&SigningKey::load(&key)?, draft, &folder)
        }
        Command::Verify { key, folder } => verify(key.as_deref(), &folder),
    }
}

fn print(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn make_key(file: &Path) -> anyhow::Result<()> {
    let (key, der) = SigningKey::generate()?;
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
    let mut out =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).with_context(|| {
            format!("{} cannot be made; a key that is there is never overwritten", file.display())
        })?;
    out.write_all(pem.as_bytes())?;
    print(&key.public()?.to_string())
}

fn pack(time: u64, out: &Path, files: &[OsString]) -> anyhow::Result<()> {
    let mut named = Vec::new();
    for file in files {
        let text = file.to_str().context("names of files are UTF-8")?;
        let (name, path) = match text.split_once('=') {
            Some((name, path)) => (name.to_owned(), PathBuf::from(path)),
            None => {
                let path = PathBuf::from(text);
                let name = path.file_name().and_then(|name| name.to_str()).context("a file has a name")?;
                (name.to_owned(), path.clone())
            }
        };
        named.push((name, path));
    }
    archive::pack(&named, time, File::create(out)?)?;
    Ok(())
}

/// `chatcode-VERSION-PART-OS-ARCH.tar.gz`, taken apart.
fn system(name: &str, version: &Version) -> Option<(Part, String, String)> {
    let rest = name.strip_prefix(&format!("chatcode-{version}-"))?.strip_suffix(".tar.gz")?;
    let words: Vec<&str> = rest.split('-').collect();
    let &[part, os, arch] = words.as_slice() else { return None };
    Some((Part::of(part)?, os.to_owned(), arch.to_owned()))
}

fn sign(key: &SigningKey, mut manifest: Manifest, folder: &Path) -> anyhow::Result<()> {
    let mut names: Vec<String> = fs::read_dir(folder)?
        .map(|entry| entry?.file_name().into_string().map_err(|_| std::io::ErrorKind::InvalidData.into()))
        .collect::<std::io::Result<_>>()?;
    names.sort();
    for name in names {
        let path = folder.join(&name);
        if let Some((part, os, arch)) = system(&name, &manifest.version) {
            manifest.archives.push(Archive { file: listed(&path, name)?, part, os, arch });
        } else if name.ends_with(".sh") {
            manifest.scripts.push(listed(&path, name)?);
        }
    }
    ensure!(
        !manifest.archives.is_empty(),
        "there is no archive of version {} in {}",
        manifest.version,
        folder.display()
    );
    let text = manifest.text();
    // What is signed is read once as every machine will read it.
    ensure!(Manifest::parse(text.as_bytes())? == manifest, "the manifest reads otherwise than it was meant");
    fs::write(folder.join(MANIFEST), &text)?;
    fs::write(folder.join(SIGNATURE), key.sign(text.as_bytes()))?;
    fs::write(folder.join(SSH_SIGNATURE), sshsig::sign(key, text.as_bytes())?)?;
    Ok(())
}

fn listed(path: &Path, name: String) -> anyhow::Result<Listed> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    ensure!(size <= limits::RELEASE_FILE_BYTES, "{name} is larger than a file of a release may be");
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash)?;
    Ok(Listed { sha256: hash.finalize().into(), size, name })
}

fn verify(key: Option<&Path>, folder: &Path) -> anyhow::Result<()> {
    let key = match key {
        Some(file) => PublicKey::parse(&fs::read_to_string(file)?)?,
        None => PublicKey::built_in()?,
    };
    let manifest = open(&key, &fs::read(folder.join(MANIFEST))?, &fs::read(folder.join(SIGNATURE))?)?;
    let files = manifest.archives.iter().map(|archive| &archive.file).chain(&manifest.scripts);
    for wanted in files {
        if listed(&folder.join(&wanted.name), wanted.name.clone())? != *wanted {
            bail!("{} is not the file that was signed", wanted.name);
        }
    }
    print(&format!("whole: version {} of the channel {}", manifest.version, manifest.channel))
}
