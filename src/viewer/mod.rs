//! The rules of a session, the viewer's end: a pure state machine that CLI and
//! tests drive. The page has the same rules in TypeScript; `tests/vectors` holds
//! both to them.
//!
//! A viewer outlives its connections: [`Viewer::attach`] begins each of them
//! and says what is on the screen already; input is kept until it is confirmed,
//! and sent again.

mod credit;
mod typed;

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use credit::Credit;
use typed::Typed;

use crate::{
    code::Refusal,
    limits,
    pb::{self, Code, client_frame::Kind, server_frame},
    session::Time,
};

/// What a person is shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The attachment stands.
    Attached(Box<pb::Attached>),
    /// Bytes for the screen; tell [`Viewer::handle_rendered`] when they are on
    /// it.
    Output(Bytes),
    /// A part of what the screen is to be: its first part is for an empty
    /// terminal of its size. Tell [`Viewer::handle_rendered`] when its bytes are
    /// on the screen.
    Snapshot(pb::Snapshot),
    /// The screen must be emptied, because the holder is another.
    Reset,
    /// Who is here and who may type.
    Presence(pb::Presence),
    /// The session has another size.
    Resized(pb::Resized),
    /// The shell has ended.
    Exited(pb::Exited),
    /// The holder ended the attachment.
    Closing(pb::Closing),
    /// Input that will not be written: the holder refused it, or it was not
    /// sent and has lost its lease or its shell.
    InputRefused(pb::InputRefused),
    /// Input that a holder which ended, or forgot this viewer, may or may not
    /// have written.
    InputUnknown {
        /// How many bytes.
        bytes: u64,
    },
    /// The way to the holder and back took this long.
    Rtt(Duration),
    /// The session has another title or name.
    Titled(pb::Titled),
}

/// A viewer of one session.
#[derive(Debug)]
pub struct Viewer {
    id: [u8; 16],
    role: pb::Role,
    winsize: Option<pb::Winsize>,
    /// The holder's life that `next` counts in; 0 before the first attachment.
    epoch: u64,
    /// The next output byte.
    next: u64,
    /// The next part of a snapshot that has begun on this connection.
    part: u32,
    /// A snapshot has begun and not ended: the screen is half of one thing and
    /// half of another.
    is_torn: bool,
    /// Lines that a snapshot may bring.
    history_lines: u32,
    theme: Option<pb::Theme>,
    number: u32,
    may_write: bool,
    writer: u32,
    /// `writer` is of this connection.
    is_writer_known: bool,
    is_attached: bool,
    has_exited: bool,
    credit: Credit,
    typed: Typed,
    /// Small frames that wait to be sent; each kind at most once.
    requests: VecDeque<Kind>,
    ping_due: Option<Time>,
    pings: u64,
    ping_sent: Option<(u64, Time)>,
}

impl Viewer {
    /// A viewer that has seen nothing. `viewer_id` is random; `winsize` is the
    /// size of its terminal, if it wants it considered.
    #[must_use]
    pub fn new(viewer_id: [u8; 16], role: pb::Role, winsize: Option<pb::Winsize>) -> Self {
        Self {
            id: viewer_id,
            role,
            winsize,
            epoch: 0,
            next: 0,
            part: 0,
            is_torn: false,
            history_lines: limits::DEFAULT_HISTORY_LINES,
            theme: None,
            number: 0,
            may_write: false,
            writer: 0,
            is_writer_known: false,
            is_attached: false,
            has_exited: false,
            credit: Credit::new(),
            typed: Typed::default(),
            requests: VecDeque::new(),
            ping_due: None,
            pings: 0,
            ping_sent: None,
        }
    }

    /// The first frame of a connection. What a broken one had under way counts
    /// for nothing.
    pub fn attach(&mut self) -> pb::ClientFrame {
        self.handle_disconnect();
        let resume = (self.epoch != 0).then_some(pb::Resume {
            epoch: self.epoch,
            offset: self.next,
            redraw: self.is_torn,
        });
        frame(Kind::Attach(pb::Attach {
            versions: limits::FRAME_VERSIONS.to_vec(),
            features: Vec::new(),
            viewer_id: Bytes::copy_from_slice(&self.id),
            role: self.role.into(),
            resume,
            winsize: self.winsize,
            window_bytes: self.credit.first_window(),
            input_settled: self.typed.settled(),
            history_lines: self.history_lines,
            theme: self.theme,
        }))
    }

    /// A frame came.
    ///
    /// # Errors
    /// `PROTOCOL` when it cannot follow what came before, `UNSUPPORTED_VERSION`
    /// when the frames are of a version that was not offered; the connection
    /// has to be closed and a new one begun.
    pub fn handle_frame(&mut self, now: Time, frame: pb::ServerFrame) -> Result<Vec<Event>, Refusal> {
        let Some(kind) = frame.kind else {
            return Ok(Vec::new());
        };
        match kind {
            server_frame::Kind::Attached(attached) => return self.handle_attached(now, attached),
            server_frame::Kind::Closing(closing) => return Ok(vec![Event::Closing(closing)]),
            _ if !self.is_attached => {
                return Err(Refusal::new(Code::Protocol, "a frame came before `attached`"));
            }
            server_frame::Kind::Output(output) => return self.handle_output(now, output),
            server_frame::Kind::Snapshot(snapshot) => return self.handle_snapshot(now, snapshot),
            server_frame::Kind::InputConfirmed(confirmed) => self.typed.handle_confirmed(confirmed.offset),
            server_frame::Kind::InputRefused(refused) => {
                return Ok(self.typed.handle_refused(refused).into_iter().map(Event::InputRefused).collect());
            }
            server_frame::Kind::Presence(presence) => {
                self.writer = presence.writer;
                self.is_writer_known = true;
                let given_back = if self.may_type() { None } else { self.typed.give_back(Code::NotWriter) };
                let events = [Some(Event::Presence(presence)), given_back.map(Event::InputRefused)];
                return Ok(events.into_iter().flatten().collect());
            }
            server_frame::Kind::Resized(resized) => return Ok(vec![Event::Resized(resized)]),
            server_frame::Kind::Exited(exited) => {
                self.has_exited = true;
                let given_back = self.typed.give_back(Code::SessionEnded);
                let events = [given_back.map(Event::InputRefused), Some(Event::Exited(exited))];
                return Ok(events.into_iter().flatten().collect());
            }
            server_frame::Kind::Pong(pong) => {
                return Ok(self.handle_pong(now, pong).into_iter().collect());
            }
            server_frame::Kind::Titled(titled) => return Ok(vec![Event::Titled(titled)]),
            server_frame::Kind::Sealed(_) => {
                return Err(Refusal::new(Code::Protocol, "a frame came that was never asked for"));
            }
        }
        Ok(Vec::new())
    }

    /// The screen has taken the next of the output bytes, this many; those of
    /// earlier connections first.
    pub fn handle_rendered(&mut self, now: Time, bytes: usize) {
        self.credit.handle_rendered(now, bytes as u64);
    }

    /// The connection is gone.
    pub fn handle_disconnect(&mut self) {
        self.is_attached = false;
        self.requests.clear();
        self.ping_due = None;
        self.ping_sent = None;
    }

    /// Takes typed bytes; gives how many. Fewer when
    /// [`limits::INPUT_UNCONFIRMED_BYTES`] wait to be confirmed, none when this
    /// viewer may not type: the holder would refuse them.
    pub fn push_input(&mut self, bytes: &[u8]) -> usize {
        if self.is_attached && self.is_writer_known && !self.may_type() {
            return 0;
        }
        self.typed.push(bytes)
    }

    /// Bytes that were typed and are not confirmed.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        self.typed.unconfirmed()
    }

    /// The next frame to send; input first.
    pub fn poll_frame(&mut self, now: Time) -> Option<pb::ClientFrame> {
        if !self.is_attached {
            return None;
        }
        if self.is_writer_known
            && self.may_type()
            && let Some(input) = self.typed.poll()
        {
            return Some(frame(Kind::Input(input)));
        }
        if let Some(request) = self.requests.pop_front() {
            return Some(frame(request));
        }
        if let Some(credit) = self.credit.poll(now) {
            return Some(frame(Kind::Credit(credit)));
        }
        if self.ping_due.is_some_and(|due| now >= due) {
            self.ping_due = Some(now + limits::PING);
            self.pings += 1;
            self.ping_sent = Some((self.pings, now));
            return Some(frame(Kind::Ping(pb::Ping { stamp: self.pings })));
        }
        None
    }

    /// The viewer's terminal has this size.
    pub fn resize(&mut self, winsize: pb::Winsize) {
        if self.winsize.replace(winsize) == Some(winsize) {
            return;
        }
        self.request(Kind::Resize(pb::Resize { winsize: Some(winsize) }));
    }

    /// The colours of the viewer's terminal, for programs that ask.
    pub fn set_theme(&mut self, theme: pb::Theme) {
        if self.theme.replace(theme) != Some(theme) {
            self.request(Kind::Theme(theme));
        }
    }

    /// How many lines of history a snapshot may bring, from the next attachment
    /// on.
    pub const fn set_history_lines(&mut self, lines: u32) {
        self.history_lines = lines;
    }

    /// Asks for a snapshot with all lines, such as those that were skipped.
    pub fn request_snapshot(&mut self) {
        self.request(Kind::SnapshotRequest(pb::SnapshotRequest { history_lines: self.history_lines }));
    }

    /// Takes the lease from whoever has it.
    pub fn take_lease(&mut self) {
        self.request(Kind::TakeLease(pb::TakeLease {}));
    }

    /// Gives the lease to the viewer of this number; 0: to nobody.
    pub fn hand_over(&mut self, viewer: u32) {
        self.request(Kind::HandOverLease(pb::HandOverLease { viewer }));
    }

    /// Leaves for good.
    pub fn detach(&mut self) {
        self.request(Kind::Detach(pb::Detach {}));
    }

    /// When [`Self::handle_timeout`] has to be called and frames are due.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        let credit = self.credit.next_timeout().filter(|_| self.is_attached);
        [self.ping_due, credit].into_iter().flatten().min()
    }

    /// Time has passed; [`Self::poll_frame`] tells what is due.
    pub const fn handle_timeout(&mut self, _now: Time) {}

    /// Whether this viewer holds the lease.
    #[must_use]
    pub const fn is_writer(&self) -> bool {
        self.is_attached && self.is_writer_known && self.writer != 0 && self.writer == self.number
    }

    /// Whether typed bytes may be sent: the lease is ours, or free for a
    /// writer.
    const fn may_type(&self) -> bool {
        self.may_write && !self.has_exited && (self.writer == 0 || self.writer == self.number)
    }

    fn handle_attached(&mut self, now: Time, attached: pb::Attached) -> Result<Vec<Event>, Refusal> {
        self.check_attached(&attached)?;
        let mut events = Vec::with_capacity(3);
        let (mut unknown, mut dropped) = (0, None);
        if self.epoch != 0 && attached.epoch != self.epoch {
            events.push(Event::Reset);
            self.is_torn = false;
            // Keys that were meant for another shell could do harm in this one.
            dropped = self.typed.give_back(Code::SessionEnded);
            unknown = self.typed.begin_anew();
        }
        unknown += self.typed.handle_attached(attached.input_offset);
        if unknown > 0 {
            events.push(Event::InputUnknown { bytes: unknown });
        }
        events.extend(dropped.map(Event::InputRefused));
        self.epoch = attached.epoch;
        (self.next, self.part) = (attached.offset, 0);
        self.number = attached.viewer;
        self.may_write = attached.role() == pb::Role::Writer;
        // Until the presence comes, at once, nobody knows who has the lease.
        self.is_writer_known = false;
        self.is_attached = true;
        self.has_exited = false;
        self.credit.restart();
        self.ping_due = Some(now);
        let refused: Vec<_> =
            attached.refused.iter().flat_map(|range| self.typed.handle_refused(*range)).collect();
        events.push(Event::Attached(Box::new(attached)));
        events.extend(refused.into_iter().map(Event::InputRefused));
        Ok(events)
    }

    fn check_attached(&self, attached: &pb::Attached) -> Result<(), Refusal> {
        if self.is_attached {
            return Err(Refusal::new(Code::Protocol, "a second `attached` came"));
        }
        if !limits::FRAME_VERSIONS.contains(&attached.version) {
            return Err(Refusal::new(
                Code::UnsupportedVersion,
                format!("frames of version {} were not offered; update the older program", attached.version),
            ));
        }
        if attached.input_offset > limits::LAST_INPUT {
            return Err(beyond(attached.input_offset));
        }
        if attached.offset > limits::LAST_OFFSET {
            return Err(beyond(attached.offset));
        }
        if attached.epoch == self.epoch && attached.offset != self.next {
            return Err(Refusal::new(
                Code::Protocol,
                format!("output goes on at {} where {} was asked for", attached.offset, self.next),
            ));
        }
        Ok(())
    }

    fn handle_output(&mut self, now: Time, output: pb::Output) -> Result<Vec<Event>, Refusal> {
        if output.offset != self.next || self.is_torn {
            return Err(Refusal::new(
                Code::Protocol,
                format!("output {} came where {} was expected", output.offset, self.next),
            ));
        }
        let length = output.data.len() as u64;
        let next = self.next.saturating_add(length);
        if next > limits::LAST_OFFSET {
            return Err(beyond(output.offset));
        }
        self.next = next;
        self.credit.handle_bytes(now, length);
        Ok(vec![Event::Output(output.data)])
    }

    fn handle_snapshot(&mut self, now: Time, snapshot: pb::Snapshot) -> Result<Vec<Event>, Refusal> {
        let is_next = snapshot.part == self.part && snapshot.part < snapshot.parts;
        if !is_next || snapshot.offset < self.next {
            let words =
                format!("part {} of a snapshot at {} came out of turn", snapshot.part, snapshot.offset);
            return Err(Refusal::new(Code::Protocol, words));
        }
        if snapshot.offset > limits::LAST_OFFSET {
            return Err(beyond(snapshot.offset));
        }
        let is_last = snapshot.part + 1 == snapshot.parts;
        self.credit.handle_bytes(now, snapshot.data.len() as u64);
        self.part = if is_last { 0 } else { snapshot.part + 1 };
        self.is_torn = !is_last;
        if is_last {
            self.next = snapshot.offset;
        }
        Ok(vec![Event::Snapshot(snapshot)])
    }

    fn handle_pong(&mut self, now: Time, pong: pb::Pong) -> Option<Event> {
        let (_, sent) = self.ping_sent.take_if(|(stamp, _)| *stamp == pong.stamp)?;
        let rtt = now.saturating_sub(sent);
        self.credit.handle_rtt(rtt);
        Some(Event::Rtt(rtt))
    }

    /// A newer request of the same kind takes the older one's place.
    fn request(&mut self, request: Kind) {
        let kind = std::mem::discriminant(&request);
        self.requests.retain(|waiting| std::mem::discriminant(waiting) != kind);
        self.requests.push_back(request);
    }
}

fn beyond(offset: u64) -> Refusal {
    Refusal::new(Code::Protocol, format!("the offset {offset} is too close to the last one there is"))
}

const fn frame(kind: Kind) -> pb::ClientFrame {
    pb::ClientFrame { kind: Some(kind) }
}

#[cfg(test)]
mod tests;
