//! How a release gets into its place: by this process where the programs are its
//! own user's, else by the helper, which trusts nothing but the signature.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use chatcode_proto::{limits, name::display_safe, pb};
use chatcode_release::{
    MANIFEST, Manifest, OpenError, Part, Pin, Place, PlaceError, PublicKey, Refused, SIGNATURE, Verdict,
    Wish,
    manifest::{self, Archive},
    open, rules, this_arch, this_os,
};
use prost::Message as _;
use semver::Version;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

/// The archive in the folder of what came in.
pub(super) const ARCHIVE: &str = "archive";
/// Bytes of one message to or from the helper.
const HELPER_BYTES: u64 = 4 * 1024;

/// Why a release was not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Nobody vouches for it, or it cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It may not follow the installed one.
    #[error(transparent)]
    Refused(Box<Refused>),
    /// It is installed already.
    #[error("version {0} is installed already")]
    Current(Version),
    /// It holds nothing for this system.
    #[error("version {version} holds nothing for {os} on {arch}; it was not made for this machine", os = this_os(), arch = this_arch())]
    NotForHere {
        /// Its version.
        version: Version,
    },
    /// The folder of versions.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A file that came in cannot be used.
    #[error("{path} cannot be used")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Neither this process nor a helper may change the programs.
    #[error(
        "the programs in {0} belong to another user and there is no helper at {1} that installs releases; \
         update them with that user's rights: sudo chatcode-gateway update --config FILE"
    )]
    NotOurs(PathBuf, PathBuf),
    /// The helper refused.
    #[error("the helper that installs releases refused: {0}")]
    Helper(String),
}

impl From<Refused> for InstallError {
    fn from(refused: Refused) -> Self {
        Self::Refused(Box::new(refused))
    }
}

/// The archive of a release for this machine, if the release may follow.
pub(super) fn choose<'a>(
    installed: &Version,
    wish: &Wish,
    pin: Option<&Pin>,
    manifest: &'a Manifest,
) -> Result<&'a Archive, InstallError> {
    let version = manifest.version.clone();
    match rules::judge(installed, wish, pin, manifest)? {
        Verdict::Current => Err(InstallError::Current(version)),
        Verdict::Newer => manifest
            .archive(Part::Gateway, this_os(), this_arch())
            .ok_or(InstallError::NotForHere { version }),
    }
}

/// Who changes the programs.
#[derive(Clone, Debug)]
pub(super) enum Installer {
    /// This process.
    Own(Place, PublicKey),
    /// The helper at this socket.
    Helper(PathBuf),
}

impl Installer {
    pub(super) fn choose(place: &Place, helper: &Path, key: PublicKey) -> Result<Self, InstallError> {
        if place.is_ours() {
            return Ok(Self::Own(place.clone(), key));
        }
        if helper.exists() {
            return Ok(Self::Helper(helper.to_owned()));
        }
        Err(InstallError::NotOurs(place.root().to_owned(), helper.to_owned()))
    }

    /// Makes the release ready that lies in `incoming`.
    pub(super) async fn stage(&self, incoming: &Path) -> Result<Version, InstallError> {
        match self {
            Self::Own(place, key) => {
                let (place, key, incoming) = (place.clone(), *key, incoming.to_owned());
                blocking(move || stage(&place, &key, &incoming)).await
            }
            Self::Helper(socket) => ask(socket, pb::updater_request::Order::Stage(true)).await,
        }
    }

    /// Makes the version current that was made ready.
    pub(super) async fn activate(&self, version: &Version) -> Result<(), InstallError> {
        match self {
            Self::Own(place, _) => {
                let (place, version) = (place.clone(), version.clone());
                blocking(move || Ok(place.activate(&place.lock()?, &version)?)).await
            }
            Self::Helper(socket) => {
                let order = pb::updater_request::Order::Activate(version.to_string());
                ask(socket, order).await.map(|_| ())
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, InstallError> + Send + 'static,
) -> Result<T, InstallError> {
    let ended = |error: tokio::task::JoinError| InstallError::Helper(error.to_string());
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}

/// Makes the release ready that lies in `incoming`; everything about it is judged
/// here, whoever judged it before.
fn stage(place: &Place, key: &PublicKey, incoming: &Path) -> Result<Version, InstallError> {
    let manifest = read(&incoming.join(MANIFEST), limits::RELEASE_MANIFEST_BYTES)?;
    let manifest = open(key, &manifest, &read(&incoming.join(SIGNATURE), 64)?)?;
    let lock = place.lock()?;
    let not = || PlaceError::NotInstalled(place.root().to_owned());
    let installed = place.current().ok_or_else(not)?;
    // Where the machine is held is the owner's word to the daemon; here the key's counts.
    let archive = choose(&installed, &Wish::Any, None, &manifest)?;
    place.stage(&lock, &manifest.version, archive, plain(&incoming.join(ARCHIVE))?)?;
    Ok(manifest.version)
}

/// Opens a plain file, and nothing that a link leads to.
fn plain(path: &Path) -> Result<File, InstallError> {
    let io = |source| InstallError::Io { path: path.to_owned(), source };
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(io(io::ErrorKind::InvalidInput.into()));
    }
    Ok(file)
}

/// A small file; of a larger one a byte too much, which no reader takes.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, InstallError> {
    let mut bytes = Vec::new();
    let mut file = plain(path)?.take(limit as u64 + 1);
    file.read_to_end(&mut bytes).map_err(|source| InstallError::Io { path: path.to_owned(), source })?;
    Ok(bytes)
}

/// Gives the helper an order.
async fn ask(socket: &Path, order: pb::updater_request::Order) -> Result<Version, InstallError> {
    ask_within(limits::UPDATE_HELPER, socket, order).await
}

async fn ask_within(
    patience: Duration,
    socket: &Path,
    order: pb::updater_request::Order,
) -> Result<Version, InstallError> {
    let io = |source| InstallError::Io { path: socket.to_owned(), source };
    let asking = async {
        let mut stream = UnixStream::connect(socket).await?;
        let request = pb::UpdaterRequest { order: Some(order) };
        stream.write_all(&request.encode_to_vec()).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        stream.take(HELPER_BYTES).read_to_end(&mut answer).await?;
        Ok(answer)
    };
    let silent = || InstallError::Helper("it did not answer in time".to_owned());
    let answer = timeout(patience, asking).await.map_err(|_| silent())?.map_err(io)?;
    let answer = pb::UpdaterResponse::decode(&*answer).unwrap_or_default();
    manifest::read_version(&answer.version)
        .ok_or_else(|| InstallError::Helper(display_safe(&answer.problem, limits::MESSAGE_BYTES)))
}

/// The helper's whole life: one order on `input`, one answer on `output`. It
/// takes releases from `incoming`, which the daemon may write, and changes
/// `place`, which only its own user may.
///
/// # Errors
/// When the order cannot be read or the answer not be written.
pub fn help(
    place: &Place,
    key: &PublicKey,
    incoming: &Path,
    input: impl io::Read,
    mut output: impl io::Write,
) -> io::Result<()> {
    let mut request = Vec::new();
    input.take(HELPER_BYTES).read_to_end(&mut request)?;
    let order = pb::UpdaterRequest::decode(&*request).ok().and_then(|request| request.order);
    let done = match order {
        Some(pb::updater_request::Order::Stage(true)) => stage(place, key, incoming),
        Some(pb::updater_request::Order::Activate(text)) => match manifest::read_version(&text) {
            Some(version) => activate(place, version),
            None => Err(InstallError::Helper("what was named is no version".to_owned())),
        },
        _ => Err(InstallError::Helper("the order makes no sense".to_owned())),
    };
    let answer = match done {
        Ok(version) => pb::UpdaterResponse { version: version.to_string(), problem: String::new() },
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "nothing was installed");
            pb::UpdaterResponse { version: String::new(), problem: super::words(&error) }
        }
    };
    output.write_all(&answer.encode_to_vec())?;
    output.flush()
}

fn activate(place: &Place, version: Version) -> Result<Version, InstallError> {
    place.activate(&place.lock()?, &version)?;
    Ok(version)
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use chatcode_release::{archive, key::SigningKey, manifest::File as Listed};

    use super::*;

    /// A machine whose programs are not the daemon's to change.
    struct Machine {
        folder: tempfile::TempDir,
        key: SigningKey,
        place: Place,
    }

    impl Machine {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let place = Place::new(folder.path().join("lib"));
            fs::create_dir_all(place.root().join("0.1.0")).expect("is made");
            symlink("0.1.0", place.root().join("current")).expect("is made");
            fs::create_dir(folder.path().join("incoming")).expect("is made");
            let (key, _) = SigningKey::generate().expect("a key");
            Self { folder, key, place }
        }

        fn incoming(&self) -> PathBuf {
            self.folder.path().join("incoming")
        }

        /// What the daemon has downloaded.
        fn download(&self, of: &str) {
            let program = self.folder.path().join("program");
            fs::write(&program, of).expect("is written");
            let mut bytes = Vec::new();
            archive::pack(&[("chatcode-gateway".to_owned(), program)], 0, &mut bytes).expect("packs");
            let sha256 = <sha2::Sha256 as sha2::Digest>::digest(&bytes).into();
            let file = Listed { sha256, size: bytes.len() as u64, name: "a.tar.gz".to_owned() };
            let (os, arch) = (this_os().to_owned(), this_arch().to_owned());
            let manifest = Manifest {
                version: Version::parse(of).expect("a version"),
                channel: "stable".to_owned(),
                released_unix_s: 0,
                oldest: Version::new(0, 1, 0),
                archives: vec![Archive { file, part: Part::Gateway, os, arch }],
                scripts: Vec::new(),
            };
            let text = manifest.text();
            for (name, bytes) in
                [(MANIFEST, text.as_bytes()), (SIGNATURE, &self.key.sign(text.as_bytes())), (ARCHIVE, &bytes)]
            {
                fs::write(self.incoming().join(name), bytes).expect("is written");
            }
        }

        /// One order to the helper, as its unit takes it.
        async fn order(
            &self,
            order: impl AsyncFnOnce(Installer) -> Result<(), InstallError>,
        ) -> Result<(), InstallError> {
            let socket = self.folder.path().join("updater.sock");
            let _ = fs::remove_file(&socket);
            let listener = UnixListener::bind(&socket).expect("listens");
            let (place, key, incoming) =
                (self.place.clone(), self.key.public().expect("is one"), self.incoming());
            let helping = std::thread::spawn(move || {
                let (stream, _) = listener.accept().expect("is asked");
                help(&place, &key, &incoming, &stream, &stream)
            });
            let done = order(Installer::Helper(socket)).await;
            helping.join().expect("ends").expect("answers");
            done
        }

        async fn stage(&self) -> Result<(), InstallError> {
            self.order(async |helper| helper.stage(&self.incoming()).await.map(|_| ())).await
        }

        async fn activate(&self, version: Version) -> Result<(), InstallError> {
            self.order(async |helper| helper.activate(&version).await).await
        }
    }

    #[tokio::test]
    async fn the_helper_installs_what_the_key_vouches_for() {
        let machine = Machine::new();
        machine.download("0.2.0");
        machine.stage().await.expect("stages");
        assert_eq!(machine.place.current(), Some(Version::new(0, 1, 0)), "not before it is proven");
        machine.activate(Version::new(0, 2, 0)).await.expect("activates");
        assert_eq!(machine.place.current(), Some(Version::new(0, 2, 0)));
    }

    #[tokio::test]
    async fn a_daemon_in_foreign_hands_cannot_make_the_helper_install_anything_else() {
        let machine = Machine::new();
        let refused = async |why: &str| {
            let error = machine.stage().await.expect_err("is refused").to_string();
            assert!(error.contains(why), "{why:?} in {error:?}");
            assert_eq!((machine.place.current(), machine.place.next()), (Some(Version::new(0, 1, 0)), None));
        };
        machine.download("0.2.0");
        fs::write(machine.incoming().join(ARCHIVE), "programs of its own").expect("is written");
        refused("the download was cut or changed").await;
        machine.download("0.2.0");
        fs::write(machine.incoming().join(SIGNATURE), [0; 64]).expect("is written");
        refused("not signed by the key").await;
        machine.download("0.0.9");
        refused("a downgrade is never taken").await;
        machine.download("0.2.0");
        let archive = machine.incoming().join(ARCHIVE);
        let elsewhere = machine.folder.path().join("elsewhere");
        fs::rename(&archive, &elsewhere).expect("is moved");
        symlink(&elsewhere, &archive).expect("is made");
        refused("cannot be used").await;

        // Folders with the name of a version are not enough.
        fs::create_dir(machine.place.root().join("0.3.0")).expect("is made");
        for version in [Version::new(0, 3, 0), Version::new(0, 1, 0), Version::new(0, 2, 0)] {
            assert!(machine.activate(version).await.is_err());
        }
        assert_eq!(machine.place.current(), Some(Version::new(0, 1, 0)));
    }

    #[tokio::test]
    async fn a_helper_that_does_not_answer_in_time_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("helper.sock");
        // It takes the order and never says a word.
        let _silent = UnixListener::bind(&socket).expect("a socket");
        let order = pb::updater_request::Order::Stage(true);
        let asked = ask_within(Duration::from_millis(100), &socket, order);
        let told = timeout(limits::UPDATE_HELPER, asked).await.expect("long before the usual time");
        assert!(matches!(&told, Err(InstallError::Helper(why)) if why.contains("in time")), "{told:?}");
    }
}
