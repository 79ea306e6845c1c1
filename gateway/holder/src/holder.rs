//! The session as its holder keeps it: what peers ask of it, how it ends, who
//! is told. The I/O is in [`crate::event_loop`].

use std::{collections::BTreeMap, io, mem, path::Path};

use chatcode_proto::{
    code::Refusal,
    framing::TooLarge,
    limits,
    pb::{self, Code, client_frame, server_frame},
    session::{Action, Config, ConnId, Session},
};
use chatcode_screen::Model;
use prost::Message as _;

use crate::{
    beside::Beside,
    clock::Clock,
    connection::{Connection, Role},
    detach,
    ending::{Ladder, Time},
    last_screen::Saver,
    log::Log,
    pty::Terminal,
    record,
    serve::{self, Door, Request},
    signals::Signals,
    spec::{Spec, clamp},
};

/// What is known of the terminal's other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A program has it open.
    Open,
    /// None has it open; one may open it again while the shell lives.
    HungUp {
        /// When to look again.
        again: Time,
    },
    /// All output has been read.
    Over,
}

/// A shell that was reaped and whose last output is still being read.
#[derive(Debug)]
pub(crate) struct Reaped {
    pub(crate) exit: pb::Exit,
    /// When the output counts as complete in any case.
    pub(crate) until: Time,
    /// The output was read to its end.
    pub(crate) is_read: bool,
}

/// Everything that a holder has.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) clock: Clock,
    pub(crate) signals: Signals,
    pub(crate) door: Door,
    /// When the door is looked at again; after a failure.
    pub(crate) door_rests: Option<Time>,
    pub(crate) terminal: Terminal,
    pub(crate) line: Line,
    /// All that came by then was heard.
    pub(crate) heard_until: Time,
    /// The rules say that the terminal waits for its viewers.
    pub(crate) paced: bool,
    pub(crate) session: Session<Model>,
    pub(crate) connections: BTreeMap<u32, Connection>,
    pub(crate) ladder: Option<Ladder>,
    /// When an ended session's holder leaves.
    pub(crate) leaves: Option<Time>,
    log: Log,
    pub(crate) spec: Spec,
    pub(crate) saver: Saver,
    /// Writes the screen.
    pub(crate) beside: Beside,
    pub(crate) name: String,
    last_connection: u32,
    pub(crate) reaped: Option<Reaped>,
    pub(crate) exit: Option<pb::Exit>,
    /// It was told to end with its session, not to linger.
    pub(crate) hurried: bool,
    pub(crate) changed: bool,
}

impl Holder {
    /// A holder whose shell has just started; the clock begins with it.
    pub(crate) fn new(spec: Spec, terminal: Terminal, door: Door, signals: Signals, log: Log) -> Self {
        let name = spec.name.clone();
        let config = Config {
            epoch: spec.epoch,
            log_bytes: spec.log_bytes,
            winsize: spec.winsize,
            name: name.clone(),
        };
        let session = Session::new(config, Model::new(spec.winsize, spec.history_lines));
        Self {
            clock: Clock::start(),
            signals,
            door,
            door_rests: None,
            terminal,
            line: Line::Open,
            heard_until: Time::ZERO,
            paced: false,
            session,
            connections: BTreeMap::new(),
            ladder: None,
            leaves: None,
            log,
            saver: Saver::new(),
            beside: Beside::default(),
            spec,
            name,
            last_connection: 0,
            reaped: None,
            exit: None,
            hurried: false,
            changed: false,
        }
    }

    /// The session as it is now; its end is told with its last screen on disk.
    pub(crate) fn info(&self) -> pb::Session {
        let exit = self.exit.filter(|_| self.saver.waits_until().is_none());
        let state = match (&exit, &self.ladder) {
            (Some(_), _) => pb::SessionState::Exited,
            (None, Some(_)) => pb::SessionState::Ending,
            (None, None) => pb::SessionState::Running,
        };
        pb::Session {
            id: self.spec.session.to_string(),
            name: self.name.clone(),
            state: state.into(),
            created_unix_ms: self.spec.created_unix_ms,
            command: self.spec.shown_command.clone(),
            folder: self.spec.folder.display().to_string(),
            winsize: Some(self.session.winsize()),
            exit,
            viewers: self.session.viewers(),
            epoch: self.spec.epoch,
            lost_reason: pb::LostReason::Unspecified.into(),
            restart: self.spec.restart.into(),
            resume_command: self.spec.shown_resume_command.clone(),
            restarts: self.spec.restarts,
            restarts_over: false,
        }
    }

    /// Writes the record; a failure is only logged.
    pub(crate) fn keep_record(&mut self) {
        self.keep_record_by(record::write);
    }

    /// Writes the session's first record, and waits for the disk.
    pub(crate) fn keep_first_record(&mut self) {
        self.keep_record_by(record::write_first);
    }

    fn keep_record_by(&mut self, write: fn(&Path, &pb::HolderRecord, bool) -> io::Result<()>) {
        let record = pb::HolderRecord {
            session: Some(self.info()),
            pid: std::process::id(),
            boot_id: self.spec.boot_id.clone(),
            stopped: self.hurried,
        };
        let shared = self.spec.daemon_uid.is_some();
        if let Err(error) = write(&self.spec.state_folder, &record, shared) {
            self.log.line(&format!("the record was not written: {error}"));
        }
    }

    /// Lets go of the standard output and error; see [`detach::leave_output`].
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) fn leave_output(&self) -> io::Result<()> {
        detach::leave_output(&self.log)
    }

    /// Writes a line to the log.
    pub(crate) fn note(&mut self, text: &str) {
        self.log.line(text);
    }

    // --- connections ---

    /// Takes a new connection in, or refuses it.
    pub(crate) fn welcome(&mut self, now: Time, mut connection: Connection, trusted: bool) {
        let refusal = if !trusted {
            Some(Refusal::new(Code::Forbidden, "only the user of this session may connect to its holder"))
        } else if self.connections.len() >= limits::HOLDER_CONNECTIONS {
            Some(Refusal::new(Code::Limit, "the holder has too many connections; close some and try again"))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.log.line(&format!("a connection was refused: {refusal}"));
            // One try only: refused ones take no place among the others.
            connection.leave(now, &answer(&Err(refusal), None));
            let _ = connection.send();
            return;
        }
        self.last_connection += 1;
        self.connections.insert(self.last_connection, connection);
    }

    /// Forgets a connection; the session is told.
    pub(crate) fn disconnect(&mut self, now: Time, id: u32) {
        let Some(connection) = self.connections.remove(&id) else { return };
        if matches!(connection.role, Role::Viewer) {
            self.session.handle_disconnect(now, ConnId(id));
            self.log.line(&format!("viewer connection {id} is gone"));
        }
    }

    /// Acts on the whole messages that a connection has sent, as far as the
    /// session takes them.
    pub(crate) fn serve(&mut self, now: Time, id: u32) {
        loop {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            let takes = match connection.role {
                Role::New | Role::Arriving(_) => true,
                Role::Viewer => self.session.wants_frames_of(ConnId(id)),
                Role::Watcher { .. } | Role::Leaving => {
                    connection.discard();
                    false
                }
            };
            if !takes {
                break;
            }
            match connection.next() {
                Ok(Some(message)) => {
                    if let Err(refusal) = self.handle_message(now, id, message) {
                        self.refuse(now, id, refusal);
                    }
                }
                Ok(None) => break,
                Err(error) => self.refuse(now, id, too_large(error)),
            }
        }
        let is_gone = |c: &Connection| c.finished && !matches!(c.role, Role::Leaving);
        if self.connections.get(&id).is_some_and(is_gone) {
            self.disconnect(now, id);
        }
    }

    fn handle_message(&mut self, now: Time, id: u32, message: bytes::Bytes) -> Result<(), Refusal> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        if matches!(connection.role, Role::New) {
            return self.handle_request(now, id, message);
        }
        let frame = pb::ClientFrame::decode(message).map_err(|_| serve::protocol("is not a frame"))?;
        match mem::replace(&mut connection.role, Role::Viewer) {
            Role::Arriving(who) => {
                connection.deadline = None;
                let Some(client_frame::Kind::Attach(attach)) = frame.kind else {
                    connection.role = Role::Arriving(who);
                    return Err(serve::protocol("is not the attach frame that must come first"));
                };
                let info = self.info();
                self.session.handle_attach(now, ConnId(id), who, info, attach)
            }
            _ => self.session.handle_frame(now, ConnId(id), frame),
        }
    }

    fn handle_request(&mut self, now: Time, id: u32, message: bytes::Bytes) -> Result<(), Refusal> {
        let (version, request) = serve::request(message)?;
        let role = match request {
            Request::Attach(who, call) => {
                self.log.line(&format!("viewer connection {id} for call {call}"));
                Role::Arriving(who)
            }
            Request::Watch => Role::Watcher { stale: false },
            Request::Rename(name) => {
                self.rename(now, name);
                Role::Leaving
            }
            Request::End(force) => {
                self.give_up_restarts();
                self.end(now, force);
                Role::Leaving
            }
        };
        let answer = answer(&Ok(version), Some(self.info()));
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        match role {
            Role::Leaving => connection.leave(now, &answer),
            role => {
                connection.put(&answer);
                if matches!(role, Role::Watcher { .. }) {
                    connection.deadline = None;
                }
                connection.role = role;
            }
        }
        Ok(())
    }

    /// Ends a connection with the cause, in the words of what it is for.
    pub(crate) fn refuse(&mut self, now: Time, id: u32, refusal: Refusal) {
        self.log.line(&format!("connection {id} is closed: {refusal}"));
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match connection.role {
            Role::Leaving => {}
            Role::New | Role::Watcher { .. } => connection.leave(now, &answer(&Err(refusal), None)),
            Role::Arriving(_) => connection.leave(now, &closing(&refusal)),
            Role::Viewer => {
                connection.leave(now, &closing(&refusal));
                self.session.handle_disconnect(now, ConnId(id));
            }
        }
    }

    /// Cuts connections whose time is over.
    pub(crate) fn cut_late(&mut self, now: Time) {
        let late: Vec<u32> =
            self.connections.iter().filter(|(_, c)| c.is_late(now)).map(|(id, _)| *id).collect();
        for id in late {
            if self.connections.get(&id).is_some_and(|c| matches!(c.role, Role::Leaving)) {
                self.disconnect(now, id);
            } else {
                let words = "the first message did not come in time; connect again";
                self.refuse(now, id, Refusal::new(Code::Timeout, words));
            }
        }
    }

    /// Puts the news before watchers that have room; one that has none gets
    /// the newest once it has.
    pub(crate) fn tell_watchers(&mut self) {
        let news = mem::take(&mut self.changed);
        let mut waiting = false;
        for connection in self.connections.values_mut() {
            let room = connection.has_room();
            if let Role::Watcher { stale } = &mut connection.role {
                *stale |= news;
                waiting |= *stale && room;
            }
        }
        if !waiting {
            return;
        }
        let event = pb::HolderEvent { session: Some(self.info()) };
        for connection in self.connections.values_mut() {
            let room = connection.has_room();
            if let Role::Watcher { stale } = &mut connection.role
                && *stale
                && room
            {
                *stale = false;
                connection.put(&event);
            }
        }
    }

    /// Does what the session decided.
    pub(crate) fn act(&mut self, now: Time) {
        while let Some(action) = self.session.poll_action(now) {
            match action {
                Action::Resize(winsize) => {
                    if let Err(error) = self.terminal.resize(clamp(winsize)) {
                        self.log.line(&format!("the size was not set: {error}"));
                    }
                    self.changed = true;
                }
                Action::Close { conn, refusal } => self.refuse(now, conn.0, refusal),
                Action::Changed => self.changed = true,
            }
        }
    }
}

/// The first answer on a connection.
pub(crate) fn answer(result: &Result<u32, Refusal>, session: Option<pb::Session>) -> pb::HolderResponse {
    match result {
        Ok(version) => {
            pb::HolderResponse { code: Code::Done.into(), message: String::new(), version: *version, session }
        }
        Err(refusal) => pb::HolderResponse {
            code: refusal.code.into(),
            message: cut(&refusal.message),
            version: 0,
            session,
        },
    }
}

/// The last frame of an attachment.
fn closing(refusal: &Refusal) -> pb::ServerFrame {
    let closing = pb::Closing { code: refusal.code.into(), message: cut(&refusal.message) };
    pb::ServerFrame { kind: Some(server_frame::Kind::Closing(closing)) }
}

/// At most as many bytes as a message for people may have.
fn cut(message: &str) -> String {
    message[..message.floor_char_boundary(limits::MESSAGE_BYTES)].to_owned()
}

fn too_large(error: TooLarge) -> Refusal {
    Refusal::new(Code::TooLarge, format!("{error}; send smaller ones"))
}
