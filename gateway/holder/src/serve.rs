//! The holder's Unix socket: who may connect, and what the first message asks.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{
            fs::PermissionsExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use bytes::Bytes;
use chatcode_proto::{
    code::Refusal,
    limits, name, negotiate,
    pb::{self, Code, holder_request::Verb},
    session::Who,
};
#[cfg(target_os = "linux")]
use nix::{
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::Uid,
};
use prost::Message as _;
use rustix::fs::Mode;

/// The socket's name in the session's folder.
const FILE: &str = "holder.sock";

/// The listening socket; dropping it removes its file.
#[derive(Debug)]
pub(crate) struct Door {
    listener: UnixListener,
    path: PathBuf,
    daemon_uid: Option<u32>,
}

impl Door {
    /// Binds the socket in `folder`, 0600, or 0660 when the daemon is another
    /// user, of the folder's group. Changes the working folder to it: a
    /// relative name fits where the whole path is too long for a socket.
    ///
    /// # Errors
    /// I/O errors; a file of that name is there already.
    pub(crate) fn open(folder: &Path, daemon_uid: Option<u32>) -> io::Result<Self> {
        std::env::set_current_dir(folder)?;
        let mode = if daemon_uid.is_some() { 0o660 } else { 0o600 };
        let mask = rustix::process::umask(Mode::from_raw_mode(0o777 & !mode));
        let bound = UnixListener::bind(FILE);
        rustix::process::umask(mask);
        let listener = bound?;
        fs::set_permissions(FILE, fs::Permissions::from_mode(mode))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path: folder.join(FILE), daemon_uid })
    }

    /// The next connection that waits, and whether its user may use it; `None`
    /// when none waits.
    ///
    /// # Errors
    /// I/O errors, such as no free file; the connection may still wait.
    pub(crate) fn accept(&self) -> io::Result<Option<(UnixStream, bool)>> {
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                let trusted = is_trusted(&stream, self.daemon_uid);
                Ok(Some((stream, trusted)))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the peer runs as the holder's own user, as the daemon's, or as root,
/// who may do all.
#[cfg(target_os = "linux")]
fn is_trusted(stream: &UnixStream, daemon_uid: Option<u32>) -> bool {
    // Not rustix: the pid of a peer outside of a container is 0, which its
    // `Pid` cannot be.
    let peer = getsockopt(stream, PeerCredentials).map(|peer| Uid::from_raw(peer.uid()));
    peer.is_ok_and(|uid| uid == Uid::effective() || uid.is_root() || Some(uid.as_raw()) == daemon_uid)
}

/// Where the peer cannot be asked, the modes of folder and socket decide.
#[cfg(not(target_os = "linux"))]
fn is_trusted(_stream: &UnixStream, _daemon_uid: Option<u32>) -> bool {
    true
}

/// What a connection is for, checked.
#[derive(Debug)]
pub(crate) enum Request {
    /// One viewer; the text names the call in logs.
    Attach(Who, String),
    /// The daemon watches.
    Watch,
    /// Another name.
    Rename(String),
    /// The end; with KILL at once.
    End(bool),
}

/// Reads the first message of a connection; also the version that both speak.
///
/// # Errors
/// The refusal to answer with.
pub(crate) fn request(message: Bytes) -> Result<(u32, Request), Refusal> {
    let request = pb::HolderRequest::decode(message).map_err(|_| protocol("is not a request"))?;
    let version = negotiate::version("holder's socket", limits::HOLDER_VERSIONS, &request.versions)?;
    let request = match request.verb.ok_or_else(|| protocol("asks for nothing that this holder knows"))? {
        Verb::Attach(attach) => {
            let role = attach.role();
            let who = Who { principal: attach.principal, display_name: attach.display_name, role };
            Request::Attach(who, attach.request_id)
        }
        Verb::Watch(_) => Request::Watch,
        Verb::Rename(rename) => {
            name::check("name", &rename.name, limits::SESSION_NAME_CHARS)?;
            Request::Rename(rename.name)
        }
        Verb::End(end) => Request::End(end.force),
    };
    Ok((version, request))
}

/// The refusal of a peer that does not keep the protocol.
pub(crate) fn protocol(why: &str) -> Refusal {
    Refusal::new(Code::Protocol, format!("the message {why}; daemon and holder must match"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(request: &pb::HolderRequest) -> Code {
        super::request(request.encode_to_vec().into()).expect_err("is bad").code
    }

    #[test]
    fn a_first_message_that_is_not_a_request_is_refused_with_its_code() {
        assert_eq!(request(Bytes::from_static(b"GET / HTTP/1.1")).expect_err("is bad").code, Code::Protocol);
        let (versions, watch) = (vec![1], Some(Verb::Watch(pb::HolderWatch {})));
        assert_eq!(refused(&pb::HolderRequest { versions: versions.clone(), verb: None }), Code::Protocol);
        assert_eq!(
            refused(&pb::HolderRequest { versions: vec![9], verb: watch.clone() }),
            Code::UnsupportedVersion
        );
        assert_eq!(refused(&pb::HolderRequest { versions: vec![], verb: watch }), Code::Invalid);
        let rename = Some(Verb::Rename(pb::HolderRename { name: "a\nb".into() }));
        assert_eq!(refused(&pb::HolderRequest { versions, verb: rename }), Code::Invalid);
    }
}

/// `just fuzz holder`.
#[cfg(test)]
mod fuzz {
    use std::io::Write as _;

    use bytes::BytesMut;
    use chatcode_fuzz::{Target, sight, size};
    use chatcode_proto::framing;

    use super::*;
    use crate::{
        clock::Clock,
        connection::{Connection, Role},
        spec::{self, Spec},
    };

    const TARGET: Target = Target { name: "holder", words: WORDS, usual: 5_000, case };
    const WORDS: &[&[u8]] = &[
        &[0, 0, 0, 0],
        &[0, 0, 0, 4],
        &[0, 1, 0, 0],
        &[0, 0x10, 0, 0],
        &[0xff, 0xff, 0xff, 0xff],
        &[0x0a, 0x01, 0x01],
        &[0x12, 0x00],
        &[0x1a, 0x00],
        &[0x22, 0x05, 0x0a, 0x03],
        &[0x2a, 0x02, 0x08, 0x01],
        b"6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11",
        b"/bin/sh",
        b"/tmp",
        b"..",
        b"A=B",
        b"\0",
        b"\x1b[2J",
        b"\xe2\x80\xae",
        b"\xff",
    ];

    #[test]
    fn any_first_bytes_on_the_holders_socket_are_a_request_or_refused_and_nothing_grows() {
        chatcode_fuzz::run(&TARGET, seeds());
    }

    fn seeds() -> Vec<Vec<u8>> {
        let versions = limits::HOLDER_VERSIONS.to_vec();
        let attach = pb::HolderAttach { principal: "person/1".into(), ..Default::default() };
        let verbs = [
            Verb::Attach(attach),
            Verb::Watch(pb::HolderWatch {}),
            Verb::Rename(pb::HolderRename { name: "build".into() }),
            Verb::End(pb::HolderEnd { force: true }),
        ];
        let requests =
            verbs.map(|verb| framed(&pb::HolderRequest { versions: versions.clone(), verb: Some(verb) }));
        let spec = pb::HolderSpec {
            session: "6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11".into(),
            name: "build".into(),
            command: vec!["/bin/sh".into(), "-l".into()],
            folder: "/".into(),
            state_folder: "/tmp".into(),
            environment: [("TERM".to_owned(), "xterm".to_owned())].into(),
            log_bytes: 1024 * 1024,
            epoch: 7,
            ..Default::default()
        };
        let mut seeds = requests.to_vec();
        seeds.extend([requests.concat(), framed(&spec)]);
        seeds
    }

    fn framed(message: &impl prost::Message) -> Vec<u8> {
        let mut framed = BytesMut::new();
        framing::put(&mut framed, message);
        framed.to_vec()
    }

    fn case(input: &[u8]) -> Vec<u64> {
        vec![sight(("request", first(input))), sight(("spec", order(input)))]
    }

    /// The first message of a connection, as the loop reads it.
    fn first(input: &[u8]) -> String {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("is set");
        theirs.write_all(input).expect("there is room");
        drop(theirs);
        let mut connection = Connection::new(ours, Clock::start().now());
        let mut chunk = [0; 512];
        while !connection.finished {
            connection.receive(&mut chunk).expect("the peer is there");
            match connection.next() {
                Ok(None) => {}
                Err(too_large) => {
                    assert!(too_large.announced > limits::HOLDER_MESSAGE_BYTES, "refused without a cause");
                    return "too large".to_owned();
                }
                Ok(Some(message)) => {
                    assert!(message.len() <= limits::HOLDER_MESSAGE_BYTES, "a message beyond its limit");
                    assert!(matches!(connection.role, Role::New), "another role than it came with");
                    return taken(message);
                }
            }
        }
        String::new()
    }

    fn taken(message: Bytes) -> String {
        match request(message) {
            Err(refusal) => {
                let causes = [Code::Protocol, Code::UnsupportedVersion, Code::Invalid];
                assert!(causes.contains(&refusal.code), "another cause: {:?}", refusal.code);
                assert!(!refusal.message.chars().any(char::is_control), "a refusal steers: {refusal}");
                refusal.code.name().to_owned()
            }
            Ok((version, request)) => {
                assert!(
                    limits::HOLDER_VERSIONS.contains(&version),
                    "a version that we do not have: {version}"
                );
                if let Request::Rename(name) = &request {
                    assert_eq!(name::display_safe(name, limits::SESSION_NAME_CHARS), *name, "a name: see");
                }
                let shown = format!("{request:?}");
                shown.split(['(', ' ']).next().unwrap_or_default().to_owned()
            }
        }
    }

    /// What a holder is started with: refused, or within its bounds.
    fn order(input: &[u8]) -> String {
        let Ok(raw) = spec::read(&mut &*input) else { return String::new() };
        match Spec::check(raw) {
            Err(refusal) => {
                assert_eq!(refusal.code, Code::Invalid, "another cause: see");
                refusal.message.chars().filter(|c| !c.is_ascii_digit()).take(80).collect()
            }
            Ok(spec) => {
                assert!(spec.folder.is_absolute() && spec.state_folder.is_absolute(), "a folder: see");
                assert!(!spec.program.is_empty() && spec.epoch > 0, "nothing to run: see");
                assert!(limits::LOG_BYTES_RANGE.contains(&spec.log_bytes), "a log of any size: see");
                assert!(spec.history_lines <= limits::HISTORY_LINES, "a history of any length: see");
                assert!(spec.arguments.len() < limits::ARGUMENTS, "any number of arguments: see");
                let texts = spec.arguments.iter().chain([&spec.program, &spec.arg0]);
                assert!(!texts.chain(spec.environment.values()).any(|text| text.contains('\0')), "zero: see");
                assert!(
                    limits::ROWS.contains(&spec.winsize.rows) && limits::COLS.contains(&spec.winsize.cols)
                );
                format!("spec {}", size(spec.environment.len()))
            }
        }
    }
}
