//! A small daemon and small viewers: raw frames on the socket of a real
//! holder, with none of the viewer's rules in between.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use chatcode_proto::{
    framing, limits,
    pb::{self, Code, client_frame, holder_request::Verb, server_frame},
};
use prost::Message;

/// Longer than anything here may take; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_chatcode-holder");
pub(crate) const EPOCH: u64 = 77;

/// A folder and a spec that runs `command` in it.
pub(crate) struct Plan {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) spec: pb::HolderSpec,
}

impl Plan {
    pub(crate) fn new(command: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, work) = (folder.path().join("state"), folder.path().join("work"));
        fs::create_dir(&state).expect("is made");
        fs::create_dir(&work).expect("is made");
        let spec = pb::HolderSpec {
            session: "6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11".into(),
            name: "test".into(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            folder: text(&work),
            environment: BTreeMap::from([
                ("PATH".into(), "/usr/bin:/bin".into()),
                ("TERM".into(), "xterm".into()),
            ]),
            winsize: Some(pb::Winsize { rows: 24, cols: 80 }),
            created_unix_ms: 1,
            state_folder: text(&state),
            log_bytes: u32::try_from(limits::LOG_BYTES).expect("fits"),
            history_lines: limits::DEFAULT_HISTORY_LINES,
            epoch: EPOCH,
            ..Default::default()
        };
        Self { folder, spec }
    }

    /// A plan that runs a shell script.
    pub(crate) fn script(script: &str) -> Self {
        Self::new(&["/bin/sh", "-c", script])
    }

    pub(crate) fn start(self) -> Holder {
        let (holder, response) = self.try_start(Command::new(BINARY));
        assert_eq!(response.code(), Code::Done, "{}", response.message);
        holder
    }

    /// Starts `command`, which is the holder or becomes it, and waits for its
    /// answer.
    pub(crate) fn try_start(self, mut command: Command) -> (Holder, pb::HolderResponse) {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let mut framed = BytesMut::new();
        framing::put(&mut framed, &self.spec);
        let mut stdin = child.stdin.take().expect("is piped");
        stdin.write_all(&framed).expect("takes the spec");
        drop(stdin);
        let mut stdout = child.stdout.take().expect("is piped");
        let mut head = [0; framing::HEAD];
        stdout.read_exact(&mut head).expect("an answer");
        let mut answer = vec![0; u32::from_be_bytes(head) as usize];
        stdout.read_exact(&mut answer).expect("an answer");
        let response = pb::HolderResponse::decode(&*answer).expect("is an answer");
        (Holder { folder: self.folder, child }, response)
    }
}

/// A running holder; killed when dropped.
pub(crate) struct Holder {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) child: Child,
}

impl Holder {
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.state().join("holder.sock")
    }

    pub(crate) fn record(&self) -> pb::HolderRecord {
        let bytes = fs::read(self.state().join("record.pb")).expect("is there");
        pb::HolderRecord::decode(&*bytes).expect("is a record")
    }

    pub(crate) fn wire(&self) -> Wire {
        Wire::connect(&self.socket())
    }

    /// Sends one request; the connection and the answer.
    pub(crate) fn ask(&self, verb: Verb) -> (Wire, pb::HolderResponse) {
        let mut wire = self.wire();
        wire.put(&pb::HolderRequest { versions: limits::HOLDER_VERSIONS.to_vec(), verb: Some(verb) });
        let response = wire.take().expect("an answer");
        (wire, response)
    }

    pub(crate) fn watch(&self) -> Watch {
        let (wire, response) = self.ask(Verb::Watch(pb::HolderWatch {}));
        assert_eq!(response.code(), Code::Done);
        Watch { wire, now: response.session.expect("is told") }
    }

    pub(crate) fn end(&self, force: bool) -> pb::HolderResponse {
        self.ask(Verb::End(pb::HolderEnd { force })).1
    }

    /// A writer that starts with nothing and reads as fast as it can.
    pub(crate) fn writer(&self) -> Viewer {
        self.viewer(1, pb::Role::Writer, None)
    }

    pub(crate) fn viewer(&self, id: u8, role: pb::Role, resume: Option<pb::Resume>) -> Viewer {
        let attach = pb::Attach {
            versions: limits::FRAME_VERSIONS.to_vec(),
            viewer_id: vec![id; 16].into(),
            role: role.into(),
            resume,
            winsize: Some(pb::Winsize { rows: 24, cols: 80 }),
            window_bytes: limits::WINDOW_MAX_BYTES,
            history_lines: limits::DEFAULT_HISTORY_LINES,
            ..Default::default()
        };
        self.attach(role, attach)
    }

    pub(crate) fn attach(&self, role: pb::Role, attach: pb::Attach) -> Viewer {
        let (mut wire, response) = self.ask(Verb::Attach(pb::HolderAttach {
            principal: "person/1".into(),
            display_name: "Ada".into(),
            role: role.into(),
            request_id: "r".into(),
        }));
        assert_eq!(response.code(), Code::Done);
        wire.put(&frame(client_frame::Kind::Attach(attach)));
        match wire.frame() {
            Some(server_frame::Kind::Attached(attached)) => Viewer {
                start: attached.offset,
                next_input: attached.input_offset,
                attached,
                output: Vec::new(),
                drawn: Vec::new(),
                skips: Vec::new(),
                exit: None,
                confirmed: 0,
                credits: true,
                wire,
                rendered: 0,
                told: 0,
            },
            other => panic!("not attached: {other:?}"),
        }
    }

    /// Waits until the process has ended; the folder stays until the drop.
    pub(crate) fn wait_gone(&mut self) {
        self.child.wait().expect("ends");
    }

    /// The process id of the shell.
    pub(crate) fn shell(&self) -> String {
        let holder = self.child.id();
        let children = fs::read_to_string(format!("/proc/{holder}/task/{holder}/children")).expect("lives");
        children.split_whitespace().next().expect("has a shell").to_owned()
    }

    /// Waits until the session has ended.
    pub(crate) fn wait_exit(&self) -> pb::Exit {
        let mut watch = self.watch();
        watch.until(|session| session.exit.is_some()).exit.expect("was seen")
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A framed connection to a holder.
pub(crate) struct Wire {
    pub(crate) socket: UnixStream,
    buffer: BytesMut,
}

impl Wire {
    pub(crate) fn connect(path: &Path) -> Self {
        let socket = UnixStream::connect(path).expect("the holder listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("is set");
        socket.set_write_timeout(Some(PATIENCE)).expect("is set");
        Self { socket, buffer: BytesMut::new() }
    }

    pub(crate) fn put(&mut self, message: &impl Message) {
        let mut framed = BytesMut::new();
        framing::put(&mut framed, message);
        self.socket.write_all(&framed).expect("is taken");
    }

    /// The next message; `None` at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let mut chunk = [0; 64 * 1024];
        loop {
            if let Some(message) = framing::take(&mut self.buffer, 1024 * 1024).expect("is within limits") {
                return Some(message);
            }
            match self.socket.read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    pub(crate) fn take<M: Message + Default>(&mut self) -> Option<M> {
        Some(M::decode(self.next()?).expect("is the message that was expected"))
    }

    pub(crate) fn frame(&mut self) -> Option<server_frame::Kind> {
        self.take::<pb::ServerFrame>().map(|frame| frame.kind.expect("is known"))
    }
}

/// The daemon's watch.
pub(crate) struct Watch {
    wire: Wire,
    pub(crate) now: pb::Session,
}

impl Watch {
    /// Waits for a state of the session.
    pub(crate) fn until(&mut self, wanted: impl Fn(&pb::Session) -> bool) -> pb::Session {
        while !wanted(&self.now) {
            let event: pb::HolderEvent = self.wire.take().expect("the watch goes on");
            self.now = event.session.expect("is told");
        }
        self.now.clone()
    }
}

/// A viewer that keeps all it gets.
pub(crate) struct Viewer {
    pub(crate) wire: Wire,
    pub(crate) attached: pb::Attached,
    /// Offset of the first byte in `output`.
    pub(crate) start: u64,
    pub(crate) output: Vec<u8>,
    /// The last snapshot; `output` comes behind it.
    pub(crate) drawn: Vec<u8>,
    /// Output that it was moved over, from and to.
    pub(crate) skips: Vec<(u64, u64)>,
    pub(crate) exit: Option<pb::Exit>,
    /// Input that was confirmed.
    pub(crate) confirmed: u64,
    pub(crate) next_input: u64,
    /// Whether it gives credit for what it gets.
    pub(crate) credits: bool,
    rendered: u64,
    told: u64,
}

impl Viewer {
    pub(crate) fn send(&mut self, kind: client_frame::Kind) {
        self.wire.put(&frame(kind));
    }

    pub(crate) fn type_in(&mut self, keys: &str) {
        let input = pb::Input { offset: self.next_input, data: Bytes::copy_from_slice(keys.as_bytes()) };
        self.next_input += keys.len() as u64;
        self.send(client_frame::Kind::Input(input));
    }

    /// Takes one frame.
    pub(crate) fn step(&mut self) -> Option<server_frame::Kind> {
        let kind = self.wire.frame()?;
        match &kind {
            server_frame::Kind::Output(output) => self.keep(output),
            server_frame::Kind::Snapshot(snapshot) => self.draw(snapshot),
            server_frame::Kind::InputConfirmed(confirmed) => self.confirmed = confirmed.offset,
            server_frame::Kind::Exited(exited) => {
                assert_eq!(exited.offset, self.end(), "the end comes after the last byte");
                self.exit = exited.exit;
            }
            _ => {}
        }
        Some(kind)
    }

    fn keep(&mut self, output: &pb::Output) {
        assert_eq!(output.offset, self.end(), "output is without hole or doubling");
        self.output.extend_from_slice(&output.data);
        self.rendered(output.data.len());
    }

    fn draw(&mut self, snapshot: &pb::Snapshot) {
        if snapshot.part == 0 {
            self.drawn.clear();
            if snapshot.skipped {
                self.skips.push((self.end(), snapshot.offset));
            }
            self.output.clear();
            self.start = snapshot.offset;
        }
        self.drawn.extend_from_slice(&snapshot.data);
        self.rendered(snapshot.data.len());
    }

    fn rendered(&mut self, bytes: usize) {
        self.rendered += bytes as u64;
        if self.credits && self.rendered - self.told >= 32 * 1024 {
            self.told = self.rendered;
            let credit = pb::Credit { rendered_bytes: self.told, window_bytes: limits::WINDOW_MAX_BYTES };
            // The holder may be gone by now; what it sent is still read.
            let mut framed = BytesMut::new();
            framing::put(&mut framed, &frame(client_frame::Kind::Credit(credit)));
            let _ = self.wire.socket.write_all(&framed);
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.start + self.output.len() as u64
    }

    /// What was drawn, and what came behind it, as text.
    pub(crate) fn text(&self) -> String {
        plain(&self.drawn) + &String::from_utf8_lossy(&self.output)
    }

    /// Waits until the output has `wanted`.
    pub(crate) fn read_until(&mut self, wanted: &str) -> String {
        while !self.text().contains(wanted) {
            assert!(self.step().is_some(), "the connection ended before {wanted:?} came: {:?}", self.text());
        }
        self.text()
    }

    /// Waits for a frame.
    pub(crate) fn wait_for<T>(&mut self, wanted: impl Fn(&server_frame::Kind) -> Option<T>) -> T {
        loop {
            let kind = self.step().expect("the connection goes on");
            if let Some(found) = wanted(&kind) {
                return found;
            }
        }
    }

    /// Reads all until the shell has ended.
    pub(crate) fn read_to_exit(&mut self) -> pb::Exit {
        loop {
            if let Some(exit) = self.exit {
                return exit;
            }
            assert!(self.step().is_some(), "the connection ended before the shell");
        }
    }

    /// Where it would go on after a reconnect.
    pub(crate) fn resume(&self) -> Option<pb::Resume> {
        Some(pb::Resume { epoch: self.attached.epoch, offset: self.end(), redraw: false })
    }
}

/// The text of a snapshot of plain lines: without its sequences, and with the
/// end of the last line where the cursor stands below it.
fn plain(snapshot: &[u8]) -> String {
    let snapshot = String::from_utf8_lossy(snapshot);
    let mut pieces = snapshot.split("\x1b[");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    let mut row = 0;
    for piece in pieces {
        let end = piece.find(|c: char| c.is_ascii_alphabetic()).expect("a whole sequence");
        let (parameters, rest) = piece.split_at(end);
        if rest.starts_with('H') {
            row = parameters.split(';').next().and_then(|row| row.parse().ok()).unwrap_or(1);
        }
        text.push_str(&rest[1..]);
    }
    while text.matches("\r\n").count() + 1 < row {
        text.push_str("\r\n");
    }
    text
}

pub(crate) fn frame(kind: client_frame::Kind) -> pb::ClientFrame {
    pb::ClientFrame { kind: Some(kind) }
}

/// Whether a process is there and no zombie.
pub(crate) fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z')))
}

fn text(path: &Path) -> String {
    path.to_str().expect("is text").to_owned()
}
