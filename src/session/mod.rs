//! The rules of a session, the holder's end: one output log, its viewers, one
//! writer, and input that is written once and in order.
//!
//! A state machine without clock or I/O. Its shell tells it what happens
//! ([`Session::handle_attach`] and the other `handle_`), takes what is to be
//! done (`poll_`), and comes back at [`Session::next_timeout`]. After any call
//! that takes `&mut self` there may be new actions, input and frames.
//!
//! Answers to an attach are either the bytes that the viewer lacks, or a named
//! gap and the bytes after it; never both, never neither.

mod attach;
mod attachment;
mod input;
mod lease;
mod log;
mod pace;
mod winsize;

use std::{collections::VecDeque, time::Duration};

use crate::{
    code::Refusal,
    limits, name,
    pb::{self, Code, client_frame, server_frame},
};

use self::{
    attachment::{Attachment, Next, View},
    input::{InputGate, Number},
    lease::Lease,
    log::OutputLog,
    winsize::Resizer,
};

/// A moment: the time since the holder began.
pub type Time = Duration;

/// Names a connection of the shell; no two that are open have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u32);

/// What a session begins with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names the holder's life; random, never 0.
    pub epoch: u64,
    /// Size of the output log, bytes; within [`limits::LOG_BYTES_RANGE`].
    pub log_bytes: usize,
    /// The first size of the PTY; cut to the limits.
    pub winsize: pb::Winsize,
    /// The session's name.
    pub name: String,
}

/// Who attaches, as the grant says.
#[derive(Clone, Debug)]
pub struct Who {
    /// The caller; a viewer id belongs to one principal.
    pub principal: String,
    /// What the other viewers see; made safe and cut here.
    pub display_name: String,
    /// The most that the attachment may do.
    pub role: pb::Role,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Set the PTY's size.
    Resize(pb::Winsize),
    /// Send SIGWINCH to the foreground program: a viewer's screen is to be
    /// drawn anew.
    Nudge,
    /// Send Closing with the refusal and close the connection. The session has
    /// forgotten it already.
    Close {
        /// The connection.
        conn: ConnId,
        /// The cause; `DONE` after a detach.
        refusal: Refusal,
    },
    /// What others see of the session has changed: viewers, size, name or end.
    Changed,
}

/// Actions that wait for the shell; those that add nothing are kept once.
#[derive(Debug, Default)]
struct Actions {
    /// At most one for each connection.
    closes: VecDeque<(ConnId, Refusal)>,
    resize: Option<pb::Winsize>,
    nudge: bool,
    changed: bool,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    epoch: u64,
    name: String,
    log: OutputLog,
    input: InputGate,
    lease: Lease,
    resizer: Resizer,
    /// In the order of their coming; at most [`limits::VIEWERS_PER_SESSION`].
    attachments: Vec<Attachment>,
    actions: Actions,
    exit: Option<pb::Exit>,
}

impl Session {
    /// A session whose shell has printed nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            epoch: config.epoch,
            name: config.name,
            log: OutputLog::new(config.log_bytes),
            input: InputGate::default(),
            lease: Lease::default(),
            resizer: Resizer::new(config.winsize),
            attachments: Vec::new(),
            actions: Actions::default(),
            exit: None,
        }
    }

    // --- what happens ---

    /// A viewer sent a frame.
    ///
    /// # Errors
    /// The attachment is over, as after a broken connection; the shell sends
    /// Closing with the refusal and closes the connection.
    pub fn handle_frame(&mut self, now: Time, conn: ConnId, frame: pb::ClientFrame) -> Result<(), Refusal> {
        let result = self.frame(now, conn, frame);
        if result.is_err() {
            self.handle_disconnect(now, conn);
        }
        result
    }

    fn frame(&mut self, now: Time, conn: ConnId, frame: pb::ClientFrame) -> Result<(), Refusal> {
        use client_frame::Kind;
        let Some(place) = self.place(conn) else {
            return Err(protocol("the first frame must be attach"));
        };
        let attachment = &mut self.attachments[place];
        match frame.kind {
            Some(Kind::Input(input)) => self.handle_input(now, place, &input)?,
            Some(Kind::Credit(credit)) => attachment.handle_credit(now, credit)?,
            Some(Kind::Ping(ping)) => attachment.handle_ping(ping.stamp),
            Some(Kind::Resize(resize)) => {
                attachment.winsize = resize.winsize.or(attachment.winsize);
                self.follow_lease(now);
            }
            Some(Kind::TakeLease(_)) => self.handle_take(now, place)?,
            Some(Kind::HandOverLease(to)) => self.handle_hand_over(now, place, to.viewer),
            Some(Kind::Detach(_)) => self.handle_detach(now, place),
            Some(Kind::Attach(_)) => return Err(protocol("attach comes once, as the first frame")),
            Some(Kind::SnapshotRequest(_) | Kind::HistoryRequest(_)) => {
                return Err(protocol(
                    "this holder does not offer the feature \"screen\": ask only for what was negotiated",
                ));
            }
            Some(Kind::Sealed(_)) => return Err(protocol("sealed frames are not offered by this holder")),
            None => return Err(protocol("the frame has no kind that this holder knows")),
        }
        Ok(())
    }

    /// A connection is gone; for one that is not attached nothing happens.
    pub fn handle_disconnect(&mut self, now: Time, conn: ConnId) {
        if let Some(place) = self.place(conn) {
            let number = self.remove(now, place);
            self.lease.handle_broken(now, number);
        }
    }

    /// The PTY gave these bytes. Viewers that are behind never matter here.
    pub fn handle_output(&mut self, now: Time, bytes: &[u8]) {
        self.log.push(bytes);
        for attachment in &mut self.attachments {
            attachment.pace.handle_backlog(now, attachment.backlog(&self.log));
        }
    }

    /// The shell has ended; after the PTY's last byte. Input that was not
    /// written is refused.
    pub fn handle_exit(&mut self, _now: Time, exit: pb::Exit) {
        self.exit = Some(exit);
        let attachments = &mut self.attachments;
        self.input.handle_exit(|number, from| {
            if let Some(attachment) = attachments.iter_mut().find(|attachment| attachment.number == number) {
                attachment.refused_from(from);
            }
        });
        self.actions.changed = true;
    }

    /// The first `n` bytes of [`Session::poll_input`] were written to the PTY.
    pub fn handle_input_written(&mut self, _now: Time, n: usize) {
        self.input.handle_written(n);
    }

    /// People gave the session another name.
    pub fn handle_rename(&mut self, _now: Time, name: String) {
        self.name = name;
        self.attachments.iter_mut().for_each(Attachment::title_changed);
        self.actions.changed = true;
    }

    /// Time has passed; does nothing before [`Session::next_timeout`].
    pub fn handle_timeout(&mut self, now: Time) {
        if self.lease.handle_timeout(now) {
            self.lease_changed(now);
        }
        self.resize_if_due(now);
        let _ = self.wants_output(now);
    }

    // --- what is to be done ---

    /// When [`Session::handle_timeout`] has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        let pace = self.writer().and_then(|writer| writer.pace.holds_until(writer.backlog(&self.log)));
        [self.lease.next_timeout(), self.resizer.next_timeout(), pace].into_iter().flatten().min()
    }

    /// Whether the PTY may be read now. No: until a frame comes from a viewer,
    /// a frame is taken for one, or [`Session::next_timeout`].
    #[must_use]
    pub fn wants_output(&mut self, now: Time) -> bool {
        let Some(holder) = self.lease.holder() else { return true };
        let writer = self.attachments.iter_mut().find(|attachment| attachment.number == holder);
        writer.is_none_or(|writer| {
            let backlog = writer.backlog(&self.log);
            !writer.pace.holds(now, backlog)
        })
    }

    /// The next bytes for the PTY; empty when none wait. More may follow when
    /// these are written.
    #[must_use]
    pub fn poll_input(&self) -> &[u8] {
        self.input.poll()
    }

    /// The next frame for a connection: control first, then output as its
    /// credit allows, then the end. After Exited there are no more frames, and
    /// the shell closes the connection when that is sent.
    #[must_use]
    pub fn poll_frame(&mut self, now: Time, conn: ConnId) -> Option<pb::ServerFrame> {
        let place = self.place(conn)?;
        let view = View {
            log: &self.log,
            known: self.input.known(self.attachments[place].number),
            winsize: self.resizer.current(),
            name: &self.name,
            exit: self.exit,
        };
        let kind = match self.attachments[place].poll(now, &view)? {
            Next::Frame(kind) => kind,
            Next::Presence => server_frame::Kind::Presence(self.presence()),
        };
        if matches!(kind, server_frame::Kind::Gap(_)) && self.exit.is_none() {
            self.actions.nudge = true;
        }
        Some(pb::ServerFrame { kind: Some(kind) })
    }

    /// Whether [`Session::poll_frame`] has something for this connection.
    #[must_use]
    pub fn has_frame(&self, conn: ConnId) -> bool {
        self.place(conn).is_some_and(|place| {
            let attachment = &self.attachments[place];
            attachment.has_frame(&View {
                log: &self.log,
                known: self.input.known(attachment.number),
                winsize: self.resizer.current(),
                name: &self.name,
                exit: self.exit,
            })
        })
    }

    /// Whether frames of this connection may be handled now; asked before each
    /// of them. No: the input queue is full and this viewer could type; until
    /// the PTY takes input.
    #[must_use]
    pub fn wants_frames_of(&self, conn: ConnId) -> bool {
        self.input.has_room() || self.place(conn).is_none_or(|place| !self.may_type(&self.attachments[place]))
    }

    /// The next thing that the shell has to do.
    #[must_use]
    pub fn poll_action(&mut self, _now: Time) -> Option<Action> {
        let actions = &mut self.actions;
        if let Some((conn, refusal)) = actions.closes.pop_front() {
            return Some(Action::Close { conn, refusal });
        }
        if let Some(winsize) = actions.resize.take() {
            return Some(Action::Resize(winsize));
        }
        if std::mem::take(&mut actions.nudge) {
            return Some(Action::Nudge);
        }
        std::mem::take(&mut actions.changed).then_some(Action::Changed)
    }

    // --- what is known ---

    /// The size of the PTY.
    #[must_use]
    pub fn winsize(&self) -> pb::Winsize {
        self.resizer.current()
    }

    /// How many attachments there are.
    #[must_use]
    pub fn viewers(&self) -> u32 {
        // At most VIEWERS_PER_SESSION.
        self.attachments.len() as u32
    }

    /// Whether the shell has ended.
    #[must_use]
    pub fn is_exited(&self) -> bool {
        self.exit.is_some()
    }

    /// Whether the shell has ended and every viewer that is attached was told.
    #[must_use]
    pub fn all_told(&self) -> bool {
        self.is_exited() && self.attachments.iter().all(Attachment::exited_told)
    }

    // --- frames of viewers ---

    fn handle_input(&mut self, now: Time, place: usize, input: &pb::Input) -> Result<(), Refusal> {
        let (number, role) = (self.attachments[place].number, self.attachments[place].role);
        let types = role == pb::Role::Writer && self.exit.is_none() && !input.data.is_empty();
        if types && self.lease.take_if_free(number) {
            self.lease_changed(now);
        }
        let refuse = if self.exit.is_some() {
            Some(Code::SessionEnded)
        } else if self.may_type(&self.attachments[place]) {
            None
        } else {
            Some(Code::NotWriter)
        };
        self.input.handle(number, input, refuse)
    }

    fn handle_take(&mut self, now: Time, place: usize) -> Result<(), Refusal> {
        let attachment = &self.attachments[place];
        if attachment.role != pb::Role::Writer {
            return Err(Refusal::new(
                Code::NotWriter,
                "this attachment may only look; attach as writer to take the lease",
            ));
        }
        if self.lease.give(Some(attachment.number)) {
            self.lease_changed(now);
        }
        Ok(())
    }

    /// To somebody who is not here or may not write: ignored, it may have left
    /// in the meantime.
    fn handle_hand_over(&mut self, now: Time, place: usize, to: Number) {
        if self.lease.holder() != Some(self.attachments[place].number) {
            return;
        }
        let mut others = self.attachments.iter();
        let is_here = others.any(|other| other.number == to && other.role == pb::Role::Writer);
        let to = Some(to).filter(|to| *to != 0);
        if (is_here || to.is_none()) && self.lease.give(to) {
            self.lease_changed(now);
        }
    }

    fn handle_detach(&mut self, now: Time, place: usize) {
        let conn = self.attachments[place].conn;
        let number = self.remove(now, place);
        if self.lease.holder() == Some(number) && self.lease.give(None) {
            self.lease_changed(now);
        }
        self.actions.closes.push_back((conn, Refusal::new(Code::Done, "detached")));
    }

    // --- what follows ---

    fn place(&self, conn: ConnId) -> Option<usize> {
        self.attachments.iter().position(|attachment| attachment.conn == conn)
    }

    /// The attachment of the lease holder, when it is here.
    fn writer(&self) -> Option<&Attachment> {
        let holder = self.lease.holder()?;
        self.attachments.iter().find(|attachment| attachment.number == holder)
    }

    fn may_type(&self, attachment: &Attachment) -> bool {
        let holder = self.lease.holder();
        attachment.role == pb::Role::Writer && holder.is_none_or(|holder| holder == attachment.number)
    }

    fn remove(&mut self, now: Time, place: usize) -> Number {
        let number = self.attachments.remove(place).number;
        self.input.set_away(number, Some(now));
        self.viewers_changed();
        number
    }

    fn viewers_changed(&mut self) {
        self.attachments.iter_mut().for_each(Attachment::presence_changed);
        self.actions.changed = true;
    }

    fn lease_changed(&mut self, now: Time) {
        self.attachments.iter_mut().for_each(Attachment::presence_changed);
        self.follow_lease(now);
    }

    /// The PTY has the size of the lease holder's terminal.
    fn follow_lease(&mut self, now: Time) {
        if let Some(winsize) = self.writer().and_then(|writer| writer.winsize) {
            self.resizer.want(winsize);
        }
        self.resize_if_due(now);
    }

    fn resize_if_due(&mut self, now: Time) {
        if let Some(winsize) = self.resizer.poll(now) {
            let offset = self.log.end();
            self.attachments.iter_mut().for_each(|attachment| attachment.size_changed(offset));
            self.actions.resize = Some(winsize);
            self.actions.changed = true;
        }
    }

    fn presence(&self) -> pb::Presence {
        let viewers = self.attachments.iter().map(|attachment| pb::Viewer {
            viewer: attachment.number,
            display_name: attachment.display_name.clone(),
            role: attachment.role.into(),
        });
        pb::Presence { viewers: viewers.collect(), writer: self.lease.holder().unwrap_or(0) }
    }
}

fn protocol(words: &str) -> Refusal {
    Refusal::new(Code::Protocol, words)
}

/// A name as other viewers see it.
fn shown(display_name: &str) -> String {
    name::display_safe(display_name, limits::NAME_CHARS)
}
