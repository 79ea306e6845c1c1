//! The rules of a session, the holder's end: a pure state machine.
//!
//! The shell around it (the holder's event loop) calls `handle_*` with what
//! happened and `poll_*` for what to do; [`Time`] is passed in. Frames come
//! decoded. The parts: the output [`log`], each viewer's attachment with its
//! credit, the exactly-once [`input`], the writer's [`lease`], and the
//! [`pace`] of the PTY.

mod allowance;
mod attachment;
mod input;
mod interrupt;
mod lease;
pub mod log;
mod pace;
mod parts;
mod paste;
mod screen;
mod seldom;
mod welcome;
mod writer;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use attachment::{Attachment, Told};
use input::Input;
use lease::Lease;
use log::OutputLog;
use seldom::Seldom;

pub use allowance::Allowance;
pub use parts::parts;
pub use screen::Screen;

use crate::{
    code::Refusal,
    limits,
    pb::{self, Code, client_frame},
};

/// Time since the holder began.
pub type Time = Duration;

/// One connection of the shell's; unique in the holder's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u32);

/// How a session begins.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names the holder's life; never 0.
    pub epoch: u64,
    /// Size of the output log, bytes.
    pub log_bytes: usize,
    /// The PTY's first size, checked.
    pub winsize: pb::Winsize,
    /// The session's name.
    pub name: String,
}

/// Who attaches, as the grant says.
#[derive(Clone, Debug)]
pub struct Who {
    /// Stable and unique in the installation.
    pub principal: String,
    /// What the other viewers see.
    pub display_name: String,
    /// The most that the attachment may do.
    pub role: pb::Role,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Give the PTY this size.
    Resize(pb::Winsize),
    /// Send `Closing` with this refusal and close the connection; the rules
    /// have forgotten it already.
    Close {
        /// Which one.
        conn: ConnId,
        /// Why.
        refusal: Refusal,
    },
    /// Something that watchers are told has changed: name, size, viewers.
    Changed,
}

/// The state of one session.
#[derive(Debug)]
pub struct Session<S> {
    epoch: u64,
    name: String,
    log: OutputLog,
    screen: S,
    /// The title as viewers were told of it.
    title: String,
    input: Input,
    lease: Lease,
    attachments: BTreeMap<ConnId, Attachment>,
    presence: pb::Presence,
    last_number: u32,
    winsize: pb::Winsize,
    /// Where the output ended when the PTY got its size; nothing: its first.
    resized_at: Option<u64>,
    /// The size that the writer wants, until the PTY has it.
    resize: Seldom<pb::Winsize>,
    exit: Option<pb::Exit>,
    /// See [`Self::handle_heard`].
    heard_until: Time,
    changed: bool,
    closes: VecDeque<(ConnId, Refusal)>,
}

impl<S: Screen> Session<S> {
    /// A session whose shell has printed nothing yet; `screen` is empty and of
    /// the PTY's first size.
    #[must_use]
    pub fn new(config: Config, screen: S) -> Self {
        Self {
            epoch: config.epoch,
            name: config.name,
            log: OutputLog::new(config.log_bytes),
            screen,
            title: String::new(),
            input: Input::default(),
            lease: Lease::default(),
            attachments: BTreeMap::new(),
            presence: pb::Presence::default(),
            last_number: 0,
            winsize: config.winsize,
            resized_at: None,
            resize: Seldom::new(limits::RESIZE_INTERVAL),
            exit: None,
            heard_until: Time::MAX,
            changed: false,
            closes: VecDeque::new(),
        }
    }

    /// A frame other than the first came on this connection.
    ///
    /// # Errors
    /// The cause for which the shell closes the connection, after
    /// [`Self::handle_disconnect`].
    pub fn handle_frame(&mut self, now: Time, conn: ConnId, frame: pb::ClientFrame) -> Result<(), Refusal> {
        let Some(attachment) = self.attachments.get_mut(&conn) else {
            return Err(Refusal::new(Code::Protocol, "the first frame of an attachment is `attach`"));
        };
        match frame.kind {
            Some(client_frame::Kind::Input(input)) => self.handle_input(now, conn, &input),
            Some(client_frame::Kind::Credit(credit)) => attachment.handle_credit(now, credit, &self.log),
            Some(client_frame::Kind::Resize(resize)) => {
                attachment.winsize = resize.winsize.map(clamp_winsize);
                let viewer = attachment.viewer_id;
                self.follow_size_of(viewer);
                Ok(())
            }
            Some(client_frame::Kind::TakeLease(_)) => self.handle_take_lease(conn),
            Some(client_frame::Kind::HandOverLease(hand_over)) => {
                self.handle_hand_over(conn, hand_over.viewer);
                Ok(())
            }
            Some(client_frame::Kind::Ping(ping)) => {
                let pongs = &mut attachment.news.pongs;
                if pongs.len() >= limits::PONGS {
                    pongs.pop_front();
                }
                pongs.push_back(ping.stamp);
                Ok(())
            }
            Some(client_frame::Kind::Detach(_)) => {
                self.handle_detach(now, conn);
                Ok(())
            }
            Some(client_frame::Kind::Attach(_)) => {
                Err(Refusal::new(Code::Protocol, "`attach` came a second time; open another attachment"))
            }
            Some(client_frame::Kind::SnapshotRequest(request)) => {
                attachment.wish_history(request.history_lines);
                Ok(())
            }
            Some(client_frame::Kind::Theme(theme)) => {
                attachment.theme = Some(theme);
                let viewer = attachment.viewer_id;
                self.follow_theme_of(viewer);
                Ok(())
            }
            Some(client_frame::Kind::Sealed(_)) => Err(Refusal::new(
                Code::Protocol,
                "sealed frames were not offered in `attached`; send plain ones",
            )),
            None => Err(Refusal::new(Code::Protocol, "a frame of an unknown kind; update the older program")),
        }
    }

    /// The connection is gone without a word; its viewer may come back.
    pub fn handle_disconnect(&mut self, now: Time, conn: ConnId) {
        if let Some(attachment) = self.attachments.remove(&conn) {
            self.lease.broken(now, attachment.viewer_id);
            self.presence_changed();
        }
    }

    /// The PTY gave these bytes.
    pub fn handle_output(&mut self, now: Time, bytes: &[u8]) {
        self.log.push(bytes);
        self.screen.feed(bytes);
        self.input.push_own(now, &self.screen.take_answers());
        if self.screen.title() != self.title {
            self.screen.title().clone_into(&mut self.title);
            self.attachments.values_mut().for_each(|attachment| attachment.news.titled = true);
        }
    }

    /// The shell has ended and the PTY gave its last byte. Input that still
    /// waits is refused by name.
    pub fn handle_exit(&mut self, _now: Time, exit: pb::Exit) {
        self.exit = Some(exit);
        self.changed = true;
        let attachments = &mut self.attachments;
        self.input.drop_queue(|viewer, range| {
            if let Some(attachment) = attachments.values_mut().find(|one| one.viewer_id == viewer) {
                attachment.news.refused.push_back(range);
            }
        });
    }

    /// The next bytes for the PTY; the same until some were written.
    #[must_use]
    pub fn poll_input(&self) -> &[u8] {
        self.input.next()
    }

    /// The first `n` bytes of [`Self::poll_input`] were written to the PTY.
    pub fn handle_input_written(&mut self, now: Time, n: usize) {
        let attachments = &mut self.attachments;
        self.input.written(now, n, |viewer, offset| {
            if let Some(attachment) = attachments.values_mut().find(|one| one.viewer_id == viewer) {
                attachment.confirm(now, offset);
            }
        });
    }

    /// The next frame for this connection: news first, then output as far as
    /// credit goes.
    pub fn poll_frame(&mut self, now: Time, conn: ConnId) -> Option<pb::ServerFrame> {
        let writer = self.lease.writer();
        let attachment = self.attachments.get_mut(&conn)?;
        if let Some(due) = attachment.due_snapshot(&self.log, writer) {
            let data = bounded_snapshot(&self.screen, due.history_lines);
            attachment.begin_snapshot(data, self.log.end(), self.winsize, due.skipped);
        }
        let told =
            Told { presence: &self.presence, name: &self.name, title: &self.title, exit: self.exit.as_ref() };
        let kind = attachment.next_frame(now, &self.log, &told)?;
        Some(pb::ServerFrame { kind: Some(kind) })
    }

    /// Whether [`Self::poll_frame`] has something for this connection now.
    #[must_use]
    pub fn has_frame(&self, now: Time, conn: ConnId) -> bool {
        let writer = self.lease.writer();
        self.attachments.get(&conn).is_some_and(|attachment| {
            attachment.due_snapshot(&self.log, writer).is_some()
                || attachment.has_frame(now, &self.log, self.exit.is_some())
        })
    }

    /// Whether frames of this connection may be read: false while the queue
    /// for the PTY is full.
    #[must_use]
    pub fn wants_frames_of(&self, conn: ConnId) -> bool {
        let may_type =
            self.attachments.get(&conn).is_some_and(|attachment| self.lease.is_held_by(attachment.viewer_id));
        !may_type || self.input.has_room()
    }

    /// Whether the PTY may be read now. While false, ask again at
    /// [`Self::next_timeout`] and after each frame.
    pub fn wants_output(&mut self, now: Time) -> bool {
        let writer = self.lease.writer();
        let Some(attachment) =
            self.attachments.values_mut().find(|attachment| Some(attachment.viewer_id) == writer)
        else {
            return true;
        };
        let backlog = attachment.backlog(&self.log);
        attachment.pace.may_read(now, now.min(self.heard_until), backlog, self.log.capacity())
    }

    /// All frames that had come by then were handed in. A shell that was not
    /// scheduled for a while says so, or its viewers are taken for slow; one
    /// that never calls this is never late.
    pub const fn handle_heard(&mut self, until: Time) {
        self.heard_until = until;
    }

    /// What the shell has to do; call until `None`.
    pub fn poll_action(&mut self, now: Time) -> Option<Action> {
        if let Some((conn, refusal)) = self.closes.pop_front() {
            return Some(Action::Close { conn, refusal });
        }
        if let Some(winsize) = self.resize.poll(now) {
            self.winsize = winsize;
            self.changed = true;
            self.screen.resize(winsize);
            self.resized_at = Some(self.log.end());
            let resized = pb::Resized { winsize: Some(winsize), offset: self.log.end() };
            self.attachments.values_mut().for_each(|attachment| attachment.resized(resized));
            return Some(Action::Resize(winsize));
        }
        std::mem::take(&mut self.changed).then_some(Action::Changed)
    }

    /// People gave the session another name.
    pub fn handle_rename(&mut self, _now: Time, name: String) {
        self.name = name;
        self.changed = true;
        self.attachments.values_mut().for_each(|attachment| attachment.news.titled = true);
    }

    /// When [`Self::handle_timeout`] has to be called at the latest; then all
    /// polls are due too.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        let resize = self.resize.next_timeout();
        let held = self.writer().and_then(|writer| writer.pace.next_timeout());
        let confirm = self.attachments.values().filter_map(|attachment| attachment.news.confirm_at);
        [resize, self.lease.next_timeout(), held, self.input.next_timeout()]
            .into_iter()
            .flatten()
            .chain(confirm)
            .min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.lease.handle_timeout(now) {
            self.presence_changed();
        }
        self.input.handle_timeout(now);
        self.attachments.values_mut().for_each(|attachment| attachment.handle_timeout(now));
        // A writer that left may have been the one that was waited for.
        self.wants_output(now);
    }

    /// The PTY's size.
    #[must_use]
    pub const fn winsize(&self) -> pb::Winsize {
        self.winsize
    }

    /// Where the output ends.
    #[must_use]
    pub fn output_end(&self) -> u64 {
        self.log.end()
    }

    /// A snapshot at the present end of the output, with all the history that
    /// it may have: at most [`limits::SNAPSHOT_BYTES`].
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        bounded_snapshot(&self.screen, limits::HISTORY_LINES)
    }

    /// The session's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Attachments now.
    #[must_use]
    pub fn viewers(&self) -> u32 {
        u32::try_from(self.attachments.len()).unwrap_or(u32::MAX)
    }

    /// Whether the shell has ended.
    #[must_use]
    pub const fn is_exited(&self) -> bool {
        self.exit.is_some()
    }

    /// Whether this viewer was sent all there is: every byte, the exit, and
    /// nothing follows. The shell lets it go then.
    #[must_use]
    pub fn is_told(&self, conn: ConnId) -> bool {
        self.attachments.get(&conn).is_some_and(Attachment::knows_exit)
    }

    fn handle_input(&mut self, now: Time, conn: ConnId, input: &pb::Input) -> Result<(), Refusal> {
        let Some(attachment) = self.attachments.get(&conn) else {
            return Ok(());
        };
        if input.data.len() > limits::INPUT_BYTES {
            return Err(Refusal::new(
                Code::Invalid,
                format!("an input of {} bytes; send at most {}", input.data.len(), limits::INPUT_BYTES),
            ));
        }
        let viewer = attachment.viewer_id;
        let had_writer = self.lease.writer().is_some();
        // Typing claims a free lease, which is no way around a full queue.
        let may_claim = had_writer || self.input.has_room();
        let is_live_writer = attachment.role == pb::Role::Writer && !self.is_exited();
        let may_type = is_live_writer && may_claim && self.lease.claim(viewer);
        let cause = if self.is_exited() { Code::SessionEnded } else { Code::NotWriter };
        let refuse = (!may_type).then_some(cause);
        let refused = self.input.take(now, viewer, input.offset, &input.data, refuse)?;
        if may_type && !had_writer {
            self.follow(viewer);
            self.presence_changed();
        }
        let settled = self.input.settled(viewer);
        let Some(attachment) = self.attachments.get_mut(&conn) else {
            return Ok(());
        };
        if may_type && interrupt::is_in(&input.data) {
            attachment.interrupt(&self.log);
        }
        if let Some(range) = refused {
            if attachment.news.refused.len() >= limits::REFUSALS_UNTOLD {
                return Err(Refusal::new(
                    Code::NotWriter,
                    "much was typed without the lease; take it over first",
                ));
            }
            attachment.news.refused.push_back(range);
            attachment.confirm(now, settled);
        }
        Ok(())
    }

    fn handle_detach(&mut self, now: Time, conn: ConnId) {
        let Some(attachment) = self.attachments.get(&conn) else {
            return;
        };
        let was_writer = self.lease.is_held_by(attachment.viewer_id);
        self.handle_disconnect(now, conn);
        if was_writer {
            self.lease.free();
            self.presence_changed();
        }
        self.closes.push_back((conn, Refusal::new(Code::Done, "detached")));
    }
}

/// A snapshot of at most [`limits::SNAPSHOT_BYTES`], if need be with fewer
/// lines of history.
fn bounded_snapshot<S: Screen>(screen: &S, history_lines: u32) -> Vec<u8> {
    let mut lines = history_lines.min(limits::HISTORY_LINES);
    loop {
        let data = screen.snapshot(lines);
        if data.len() <= limits::SNAPSHOT_BYTES || lines == 0 {
            return data;
        }
        lines /= 2;
    }
}

/// A size within the limits.
fn clamp_winsize(size: pb::Winsize) -> pb::Winsize {
    let within = |n: u32, range: &std::ops::RangeInclusive<u32>| n.clamp(*range.start(), *range.end());
    pb::Winsize { rows: within(size.rows, &limits::ROWS), cols: within(size.cols, &limits::COLS) }
}

#[cfg(test)]
mod tests;
