//! The CA's folder: which file is what, and how it changes.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use chatcode_proto::{limits, pb::CaState};
use prost::Message as _;
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::{AuthorityError, Ca, make};
use crate::{
    Key, Passphrase, TrustDomain,
    files::{self, FilesError},
    peer, pem, seal,
};

pub(super) const ROOT: &str = "root";
pub(super) const INTERMEDIATE: &str = "intermediate";
const INSTALLATION: &str = "installation";
const STATE: &str = "state.pb";
/// How a file ends that is being written.
const UNFINISHED: &str = "new";
/// How the files of a name end.
const ENDS: [&str; 3] = ["key", "pem", "bridge.pem"];

/// The folder, and what its keys are encrypted with.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) dir: PathBuf,
    pub(super) passphrase: Option<Passphrase>,
}

/// While it lives nobody else changes the folder, or nobody at all; the kernel
/// frees it with its process.
#[derive(Debug)]
#[must_use = "it is free again when this is dropped"]
pub(super) struct Held(#[expect(dead_code, reason = "held open: the lock is on the open folder")] File);

impl Folder {
    /// Waits until nobody else changes or copies the folder, in whatever process.
    pub(super) fn to_change(&self) -> Result<Held, AuthorityError> {
        self.hold(File::lock)
    }

    /// Waits until nobody changes the folder; others may read it at the same time.
    pub(super) fn to_copy(&self) -> Result<Held, AuthorityError> {
        self.hold(File::lock_shared)
    }

    fn hold(&self, how: impl FnOnce(&File) -> io::Result<()>) -> Result<Held, AuthorityError> {
        let held = File::open(&self.dir).and_then(|folder| how(&folder).map(|()| Held(folder)));
        Ok(held.map_err(|source| FilesError::Io { path: self.dir.clone(), source })?)
    }

    fn path(&self, name: &str, end: &str) -> PathBuf {
        self.dir.join(format!("{name}.{end}"))
    }

    fn damaged(path: PathBuf) -> AuthorityError {
        AuthorityError::Damaged { path }
    }

    fn not_whole(&self, missing: String) -> AuthorityError {
        AuthorityError::NotWhole { folder: self.dir.clone(), missing }
    }

    pub(super) fn trust_domain(&self) -> Result<TrustDomain, AuthorityError> {
        let path = self.dir.join(INSTALLATION);
        let text = files::read_private(&path)?.ok_or_else(|| self.not_whole(INSTALLATION.to_owned()))?;
        let text = std::str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse().ok());
        text.ok_or_else(|| Self::damaged(path))
    }

    /// Which file is what; without a file that says it, the first ones.
    pub(super) fn state(&self) -> Result<CaState, AuthorityError> {
        let path = self.dir.join(STATE);
        match files::read_private(&path)? {
            Some(bytes) => CaState::decode(&bytes[..]).map_err(|_| Self::damaged(path)),
            // Never guessed over files of a rotation.
            None if self.names()?.iter().any(|name| name.contains('-')) => {
                Err(self.not_whole(STATE.to_owned()))
            }
            None => Ok(first_state()),
        }
    }

    /// The names that there are files of.
    fn names(&self) -> Result<BTreeSet<String>, AuthorityError> {
        let io = |source| FilesError::Io { path: self.dir.clone(), source };
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(&self.dir).map_err(io)? {
            let file = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
            let Some((name, end)) = file.split_once('.') else { continue };
            let (part, number) = name.split_once('-').unwrap_or((name, "1"));
            let is_ours = [ROOT, INTERMEDIATE].contains(&part) && number.bytes().all(|c| c.is_ascii_digit());
            if is_ours && ENDS.contains(&end) {
                names.insert(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Removes what a step that broke off left behind: files that the state does
    /// not name.
    pub(super) fn sweep(&self) -> Result<(), AuthorityError> {
        let state = self.state()?;
        self.put_state(&state)?;
        let mut known = vec![&state.root, &state.next_root, &state.old_root, &state.requested];
        known.extend([&state.intermediate, &state.next_intermediate, &state.next_root_intermediate]);
        known.extend(&state.old_intermediates);
        for name in self.names()?.iter().filter(|name| !known.contains(name)) {
            self.forget(name)?;
        }
        Ok(())
    }

    /// One rename: before it the old state holds, after it the new one.
    pub(super) fn put_state(&self, state: &CaState) -> Result<(), AuthorityError> {
        Ok(files::write_private(self.dir.join(STATE), &state.encode_to_vec())?)
    }

    /// A certificate of the CA with what belongs to it.
    pub(super) fn ca(&self, name: &str) -> Result<Ca, AuthorityError> {
        let path = self.path(name, "pem");
        let text = files::read_private(&path)?.ok_or_else(|| self.not_whole(format!("{name}.pem")))?;
        let der = only_certificate(&text).ok_or_else(|| Self::damaged(path.clone()))?;
        let (Some(pin), Some(validity)) = (peer::spki_sha256(&der), peer::validity_unix_s(&der)) else {
            return Err(Self::damaged(path));
        };
        let bridge_path = self.path(name, "bridge.pem");
        let bridge = match files::read_private(&bridge_path)? {
            Some(text) => Some(only_certificate(&text).ok_or_else(|| Self::damaged(bridge_path))?),
            None => None,
        };
        Ok(Ca { name: name.to_owned(), der, pin, validity, bridge })
    }

    /// The private key of a certificate; `None` when it is kept elsewhere.
    pub(super) fn key(&self, name: &str) -> Result<Option<Key>, AuthorityError> {
        let path = self.path(name, "key");
        let Some(text) = files::read_private(&path)? else { return Ok(None) };
        seal::open(&text, self.passphrase.as_ref()).map(Some).map_err(|error| match error {
            seal::SealError::Key(_) => Self::damaged(path),
            error => AuthorityError::Sealed { path, why: error },
        })
    }

    pub(super) fn has_key(&self, name: &str) -> bool {
        self.path(name, "key").is_file()
    }

    pub(super) fn put_key(&self, name: &str, key: &Key) -> Result<(), AuthorityError> {
        let path = self.path(name, "key");
        let text = seal::seal(key, self.passphrase.as_ref())
            .map_err(|why| AuthorityError::Sealed { path: path.clone(), why })?;
        Ok(files::write_private(path, text.as_bytes())?)
    }

    pub(super) fn put_certificate(&self, name: &str, der: &CertificateDer<'_>) -> Result<(), AuthorityError> {
        let text = pem::certificates(std::slice::from_ref(der));
        Ok(files::write_private(self.path(name, "pem"), text.as_bytes())?)
    }

    pub(super) fn put_bridge(&self, name: &str, der: &CertificateDer<'_>) -> Result<(), AuthorityError> {
        let text = pem::certificates(std::slice::from_ref(der));
        Ok(files::write_private(self.path(name, "bridge.pem"), text.as_bytes())?)
    }

    /// Removes all files of a name that is in the state no more.
    pub(super) fn forget(&self, name: &str) -> Result<(), AuthorityError> {
        for end in ENDS {
            remove(&self.path(name, end))?;
        }
        Ok(())
    }

    /// The files of all keys.
    fn keys(&self) -> Result<Vec<PathBuf>, AuthorityError> {
        let io = |source| FilesError::Io { path: self.dir.clone(), source };
        let mut keys = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.extension().is_some_and(|end| end == "key") {
                keys.push(path);
            }
        }
        Ok(keys)
    }

    /// Encrypts keys that were kept as they are before there was a passphrase, and
    /// refuses files that others may read.
    pub(super) fn seal_all(&self) -> Result<(), AuthorityError> {
        for path in self.keys()? {
            let Some(text) = files::read_private(&path)? else { continue };
            if self.passphrase.is_some() && !seal::is_sealed(&text) {
                let key = Key::from_pem(&text).map_err(|_| Self::damaged(path.clone()))?;
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                self.put_key(&name, &key)?;
            }
        }
        Ok(())
    }

    /// Makes a CA aside and moves it into place whole.
    pub(super) fn create(&self, life: std::time::Duration) -> Result<(), AuthorityError> {
        let io = |source| FilesError::Io { path: self.dir.clone(), source };
        let mut aside = self.dir.as_os_str().to_owned();
        aside.push(".new");
        let aside = Self { dir: PathBuf::from(aside), passphrase: self.passphrase.clone() };
        match fs::remove_dir_all(&aside.dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io(e).into()),
            _ => files::private_dir(&aside.dir)?,
        }
        let trust_domain = TrustDomain::generate();
        let (root_key, key) = (Key::generate()?, Key::generate()?);
        let root = make::root(trust_domain.installation(), &root_key)?;
        let intermediate = make::intermediate(trust_domain.installation(), (&root, &root_key), &key, life)?;
        aside.put_key(ROOT, &root_key)?;
        aside.put_certificate(ROOT, &root)?;
        aside.put_key(INTERMEDIATE, &key)?;
        aside.put_certificate(INTERMEDIATE, &intermediate)?;
        aside.put_state(&first_state())?;
        files::write_private(aside.dir.join(INSTALLATION), format!("{trust_domain}\n").as_bytes())?;
        fs::rename(&aside.dir, &self.dir).map_err(io)?;
        Ok(())
    }
}

/// A file of the CA: its name, and what it holds, wiped when dropped.
pub type CaFile = (String, Zeroizing<Vec<u8>>);

/// All files of the CA in `dir` by name, as they are between two steps of a
/// rotation, also beside a running core, whose steps wait meanwhile. Keys are as
/// they lie there, encrypted or not.
///
/// # Errors
/// When a file is open to others, too large, or cannot be read.
pub fn snapshot(dir: &Path) -> Result<Vec<CaFile>, AuthorityError> {
    files::private_dir(dir)?;
    let folder = Folder { dir: dir.to_owned(), passphrase: None };
    let io = |source| FilesError::Io { path: dir.to_owned(), source };
    let _held = folder.to_copy()?;
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|end| end == UNFINISHED) || !path.is_file() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(bytes) = files::read_private(&path)? {
            all.push((name, bytes));
        }
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(all)
}

/// Copies the key and certificate of the root in use from the CA's folder to
/// one private file, and with `remove` takes the key out of the folder; also
/// beside a running core, which reads it only when it signs. An encrypted key
/// stays encrypted.
///
/// # Errors
/// When the key is not there, the file exists, or the system refuses; nothing is
/// removed then.
pub fn export_root(dir: &Path, file: &Path, remove_key: bool) -> Result<(), AuthorityError> {
    let folder = Folder { dir: dir.to_owned(), passphrase: None };
    files::private_dir(dir)?;
    let _held = folder.to_change()?;
    let name = folder.state()?.root;
    let key = folder.path(&name, "key");
    let text = files::read_private(&key)?.ok_or_else(|| AuthorityError::NoRootKey(dir.to_owned()))?;
    if file.exists() {
        return Err(AuthorityError::Exists(file.to_owned()));
    }
    let mut text = Zeroizing::new(text.to_vec());
    text.extend_from_slice(pem::certificates(&[folder.ca(&name)?.der]).as_bytes());
    files::write_private(file, &text)?;
    if remove_key { remove(&key) } else { Ok(()) }
}

/// Puts the key of the root in use back that [`export_root`] took away.
///
/// # Errors
/// When the file holds another root, or cannot be used.
pub fn import_root(dir: &Path, file: &Path, passphrase: Option<Passphrase>) -> Result<(), AuthorityError> {
    let folder = Folder { dir: dir.to_owned(), passphrase };
    files::private_dir(dir)?;
    let _held = folder.to_change()?;
    let root = folder.ca(&folder.state()?.root)?;
    let missing = || {
        AuthorityError::Files(FilesError::Io {
            path: file.to_owned(),
            source: io::ErrorKind::NotFound.into(),
        })
    };
    let text = files::read_private(file)?.ok_or_else(missing)?;
    let key = seal::open(&text, folder.passphrase.as_ref())
        .map_err(|why| AuthorityError::Sealed { path: file.to_owned(), why })?;
    if key.spki_sha256() != root.pin {
        return Err(AuthorityError::OtherRoot(file.to_owned()));
    }
    folder.put_key(&root.name, &key)
}

/// Encrypts the keys of the CA in `dir` by another passphrase, or keeps them as
/// they are from now on; also beside a running core, which needs the new one at
/// its next start. Keys that are so already stay, so what broke off is done again.
///
/// # Errors
/// When a key opens by neither passphrase, or the system refuses.
pub fn change_passphrase(
    dir: &Path,
    from: Option<Passphrase>,
    to: Option<Passphrase>,
) -> Result<(), AuthorityError> {
    files::private_dir(dir)?;
    let (from, to) =
        (Folder { dir: dir.to_owned(), passphrase: from }, Folder { dir: dir.to_owned(), passphrase: to });
    let _held = from.to_change()?;
    for path in from.keys()? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let key = match from.key(&name) {
            Err(AuthorityError::Sealed { .. }) => to.key(&name)?,
            key => key?,
        };
        if let Some(key) = key {
            to.put_key(&name, &key)?;
        }
    }
    Ok(())
}

/// The certificate for the signing request of an intermediate (PKCS #10, DER), by
/// the root in a file of [`export_root`]: where the root is kept, without a core.
///
/// # Errors
/// When the file is no root, or the request cannot be used.
pub fn sign_intermediate(
    file: &Path,
    passphrase: Option<&Passphrase>,
    request: &[u8],
) -> Result<CertificateDer<'static>, AuthorityError> {
    let damaged = || Folder::damaged(file.to_owned());
    let text = files::read_private(file)?.ok_or_else(damaged)?;
    let root = only_certificate(&text).ok_or_else(damaged)?;
    let key =
        seal::open(&text, passphrase).map_err(|why| AuthorityError::Sealed { path: file.to_owned(), why })?;
    let installation = peer::installation_of_root(&root).ok_or_else(damaged)?;
    if peer::spki_sha256(&root) != Some(key.spki_sha256()) {
        return Err(damaged());
    }
    let request = crate::csr::verify(request)?;
    make::intermediate(&installation, (&root, &key), request.public_key(), limits::INTERMEDIATE_LIFE)
}

fn first_state() -> CaState {
    let (root, intermediate) = (ROOT.to_owned(), INTERMEDIATE.to_owned());
    CaState { root, intermediate, number: 1, ..Default::default() }
}

fn only_certificate(text: &[u8]) -> Option<CertificateDer<'static>> {
    <[_; 1]>::try_from(pem::read_certificates(text)?).map(|[only]| only).ok()
}

fn remove(path: &Path) -> Result<(), AuthorityError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(FilesError::Io { path: path.to_owned(), source: e }.into())
        }
        _ => Ok(()),
    }
}
