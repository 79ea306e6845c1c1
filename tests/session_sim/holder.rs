//! One life of a holder: the rules under test, the shell around them as the
//! real one has it, and the connections with their frames under way.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use chatcode_proto::{
    code::Refusal,
    limits,
    pb::{self, Code, client_frame, server_frame},
    session::{Action, Config, ConnId, Session, Who},
};

use crate::{
    client::{Checked, ensure},
    fault::Fault,
    reference::{Id, Reference, Time, printed},
    screen::{Asked, asked},
};

/// One connection; each end learns by itself that it is over.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    pub(crate) id: Id,
    pub(crate) may_write: bool,
    pub(crate) up: VecDeque<pb::ClientFrame>,
    pub(crate) down: VecDeque<pb::ServerFrame>,
    down_bytes: usize,
    is_attached: bool,
    /// The holder has closed it.
    pub(crate) is_closed: bool,
    /// The client is gone; nothing arrives there any more.
    pub(crate) is_left: bool,
    /// Its viewer's number.
    number: u32,
    /// How much it may be sent, and what it was sent and has not rendered.
    window: u64,
    sent: u64,
    in_flight: VecDeque<(u64, u64)>,
    /// A wake-up for it was lost.
    sleeps: bool,
}

#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) session: Session<Asked>,
    pub(crate) reference: Reference,
    pub(crate) wires: BTreeMap<u32, Wire>,
    fault: Option<Fault>,
    /// Since when the PTY is held.
    held_since: Option<Time>,
    /// For whom, and how long since that viewer's last sign of life.
    held_by: Option<Id>,
    held_for: Time,
    /// All that came by then was heard.
    heard_until: Time,
}

impl Holder {
    pub(crate) fn new(epoch: u64, log_bytes: usize, fault: Option<Fault>) -> Self {
        let winsize = pb::Winsize { rows: 24, cols: 80 };
        let config = Config { epoch, log_bytes, winsize, name: "sim".to_owned() };
        Self {
            session: Session::new(config, Asked::default()),
            reference: Reference::new(epoch, log_bytes as u64),
            wires: BTreeMap::new(),
            fault,
            held_since: None,
            held_by: None,
            held_for: Time::ZERO,
            heard_until: Time::MAX,
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// The next frame of a connection arrives; false when none can.
    pub(crate) fn receive(&mut self, now: Time, conn: u32) -> Result<bool, String> {
        let Some(wire) = self.wires.get_mut(&conn).filter(|wire| !wire.is_closed) else { return Ok(false) };
        if !self.session.wants_frames_of(ConnId(conn)) {
            return Ok(false);
        }
        let Some(mut frame) = wire.up.pop_front() else { return Ok(false) };
        let (id, may_write) = (wire.id, wire.may_write);
        wire.sleeps = false;
        if let Some(client_frame::Kind::Credit(credit)) = &frame.kind {
            wire.sleeps = true;
            wire.allow(credit.window_bytes);
            wire.in_flight.retain(|(end, _)| *end > credit.rendered_bytes);
        }
        match frame.kind.as_mut() {
            Some(client_frame::Kind::Attach(attach)) if !wire.is_attached => {
                wire.is_attached = true;
                wire.allow(attach.window_bytes);
                let attach = std::mem::take(attach);
                self.attach(now, conn, id, may_write, attach)?;
                return Ok(true);
            }
            Some(client_frame::Kind::Input(input)) => {
                let known = self.reference.expects(id);
                self.reference.input(now, id, may_write, input.offset, &input.data);
                if self.fault == Some(Fault::WrittenTwice) && input.offset > 0 && input.data.len() > 2 {
                    // As if the overlap with what came before were not cut.
                    input.offset = known;
                    let mut twice = vec![input.data[0]];
                    twice.extend_from_slice(&input.data[..input.data.len() - 1]);
                    input.data = Bytes::from(twice);
                }
            }
            Some(client_frame::Kind::TakeLease(_)) if may_write => self.reference.lease = Some((id, None)),
            Some(client_frame::Kind::HandOverLease(to)) => self.hand_over(id, to.viewer),
            Some(client_frame::Kind::Detach(_)) if self.reference.writer() == Some(id) => {
                self.reference.lease = None;
            }
            Some(client_frame::Kind::Credit(_)) if self.held_by == Some(id) => {
                self.held_for = Time::ZERO;
                self.held_since = self.held_since.map(|_| now);
            }
            _ => {}
        }
        self.reference.lease_moved();
        let result = self.session.handle_frame(now, ConnId(conn), frame);
        result.map_err(|refusal| format!("a right frame is refused: {refusal}"))?;
        self.act(now);
        Ok(true)
    }

    /// The number of a viewer, as the attachments were told.
    fn hand_over(&mut self, from: Id, to: u32) {
        if self.reference.writer() != Some(from) {
            return;
        }
        if to == 0 {
            self.reference.lease = None;
        } else if let Some((id, true)) = self.reference_of(to) {
            self.reference.lease = Some((id, None));
        }
    }

    fn reference_of(&self, number: u32) -> Option<(Id, bool)> {
        let wire =
            self.wires.values().find(|wire| wire.is_attached && !wire.is_closed && wire.number == number);
        wire.map(|wire| (wire.id, wire.may_write))
    }

    fn attach(&mut self, now: Time, conn: u32, id: Id, may_write: bool, mut attach: pb::Attach) -> Checked {
        if self.has(Fault::EpochIgnored)
            && let Some(resume) = attach.resume.as_mut()
        {
            resume.epoch = self.reference.epoch;
            resume.offset = resume.offset.min(self.reference.end);
        }
        let role = if may_write { pb::Role::Writer } else { pb::Role::Viewer };
        let who = Who { principal: format!("person {id}"), display_name: format!("client {id}"), role };
        let is_other = |wire: &Wire| wire.id != id && wire.may_write && wire.is_attached && !wire.is_closed;
        let is_alone = !self.wires.values().any(is_other);
        let result = self.session.handle_attach(now, ConnId(conn), who, pb::Session::default(), attach);
        result.map_err(|refusal| format!("a right attach is refused: {refusal}"))?;
        self.reference.attach(id, may_write, is_alone);
        if self.reference.writer() == Some(id) {
            self.held_for = Time::ZERO;
        }
        // The viewer's number is known from its first frame.
        self.act(now);
        self.send(now, conn)
    }

    /// What the refusals of wrong first frames must be; they change nothing.
    pub(crate) fn refuse_strangers(&mut self, now: Time) -> Checked {
        let good = || pb::Attach {
            versions: limits::FRAME_VERSIONS.to_vec(),
            viewer_id: Bytes::copy_from_slice(&[1; 16]),
            role: pb::Role::Writer.into(),
            ..pb::Attach::default()
        };
        let beyond =
            pb::Resume { epoch: self.reference.epoch, offset: self.reference.end + 1, redraw: false };
        let mut wrong = vec![
            (Code::Invalid, pb::Attach { viewer_id: Bytes::from_static(b"short"), ..good() }),
            (Code::UnsupportedVersion, pb::Attach { versions: vec![77], ..good() }),
            (
                Code::Protocol,
                pb::Attach { resume: Some(beyond), viewer_id: Bytes::from_static(&[99; 16]), ..good() },
            ),
        ];
        if self.reference.ledgers.contains_key(&0) {
            wrong.push((Code::Forbidden, good()));
        }
        for (code, attach) in wrong {
            let who =
                Who { principal: "stranger".to_owned(), display_name: String::new(), role: pb::Role::Writer };
            let result =
                self.session.handle_attach(now, ConnId(u32::MAX), who, pb::Session::default(), attach);
            ensure!(result.as_ref().is_err_and(|refusal| refusal.code == code), "not {code:?}: {result:?}");
        }
        Ok(())
    }

    /// The holder learns that a connection is gone.
    pub(crate) fn notice(&mut self, now: Time, conn: u32) {
        let Some(wire) = self.wires.remove(&conn) else { return };
        self.session.handle_disconnect(now, ConnId(conn));
        if wire.is_attached && !wire.is_closed {
            self.reference.broken(now, wire.id);
        }
    }

    /// The program prints, if the PTY is read now.
    pub(crate) fn print(&mut self, now: Time, len: usize) {
        if self.reference.is_exited || self.held_since.is_some() {
            return;
        }
        for piece in printed(self.reference.epoch, self.reference.end, len) {
            self.session.handle_output(now, piece);
            let from = self.reference.end;
            self.reference.end += piece.len() as u64;
            self.reference.ask(now, asked(from, self.reference.end));
        }
    }

    /// The PTY takes at most this much input.
    pub(crate) fn write(&mut self, now: Time, most: usize) -> Checked {
        let input = self.session.poll_input();
        let n = input.len().min(most);
        if n == 0 {
            return Ok(());
        }
        let written = if self.has(Fault::ConfirmedBeforeWritten) { n.saturating_sub(1) } else { n };
        for byte in &input[..written] {
            ensure!(self.reference.write(*byte), "{byte} is written where another was typed");
        }
        self.reference.answers.moved = now;
        let early = if self.has(Fault::AnswerInPaste) { limits::PASTE_STALL } else { Time::ZERO };
        self.session.handle_input_written(now.saturating_sub(early), n);
        Ok(())
    }

    pub(crate) fn exit(&mut self, now: Time) {
        if !self.reference.is_exited {
            self.reference.exit();
            self.session.handle_exit(now, pb::Exit::default());
        }
    }

    /// The shell is scheduled again after a while: it has heard what came until
    /// then, and looks at the clock before it hears the rest.
    pub(crate) fn wake(&mut self, now: Time, heard_until: Time) -> Checked {
        let (was_held, writer) = (self.held_since.is_some(), self.reference.writer());
        self.heard_until = heard_until;
        self.session.handle_heard(if self.has(Fault::HeardTooFar) { now } else { heard_until });
        self.turn(now)?;
        let is_let_go = was_held && self.held_since.is_none() && self.reference.writer() == writer;
        ensure!(!is_let_go, "the PTY is let go before all that came is heard");
        self.heard_until = Time::MAX;
        self.session.handle_heard(Time::MAX);
        Ok(())
    }

    /// What the shell does after every event; then nothing may be due but what
    /// waits until all is heard.
    pub(crate) fn turn(&mut self, now: Time) -> Checked {
        if !self.has(Fault::StaleLease) && self.session.next_timeout().is_some_and(|due| due <= now) {
            self.session.handle_timeout(now);
        }
        self.reference.pass(now);
        self.act(now);
        let conns: Vec<u32> = self.wires.keys().copied().collect();
        for conn in conns {
            self.send(now, conn)?;
        }
        self.act(now);
        self.look_at_the_pace(now)?;
        if !self.has(Fault::StaleLease) {
            let due = self.session.next_timeout();
            ensure!(
                due.is_none_or(|due| due > now.min(self.heard_until)),
                "the shell would spin: {due:?} is due at {now:?}"
            );
        }
        Ok(())
    }

    fn act(&mut self, now: Time) {
        while let Some(action) = self.session.poll_action(now) {
            match action {
                Action::Close { conn, refusal } if !self.has(Fault::NotFenced) => {
                    self.close(conn.0, &refusal)
                }
                Action::Resize(winsize) => {
                    self.reference.sizes.push((self.reference.end, winsize));
                }
                Action::Close { .. } | Action::Changed => {}
            }
        }
    }

    fn close(&mut self, conn: u32, refusal: &Refusal) {
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        wire.is_closed = true;
        wire.up.clear();
        let closing = pb::Closing { code: refusal.code.into(), message: refusal.message.clone() };
        wire.down.push_back(pb::ServerFrame { kind: Some(server_frame::Kind::Closing(closing)) });
    }

    /// Frames go out while the socket takes them.
    fn send(&mut self, now: Time, conn: u32) -> Checked {
        loop {
            let Some(wire) = self.wires.get(&conn) else { return Ok(()) };
            let has_room = wire.down_bytes < limits::HOLDER_SEND_BYTES;
            if wire.is_closed || !has_room || (self.has(Fault::LostWakeUp) && wire.sleeps) {
                return Ok(());
            }
            let has_frame = self.session.has_frame(now, ConnId(conn));
            let frame = self.session.poll_frame(now, ConnId(conn));
            ensure!(has_frame == frame.is_some(), "has_frame says {has_frame}, there is {frame:?}");
            let Some(frame) = frame else { return Ok(()) };
            self.look_at(conn, &frame)?;
            self.put(conn, frame);
        }
    }

    fn put(&mut self, conn: u32, mut frame: pb::ServerFrame) {
        let wrap = self.reference.log_bytes;
        match &mut frame.kind {
            Some(server_frame::Kind::InputRefused(_)) if self.has(Fault::RefusalLost) => return,
            Some(server_frame::Kind::Snapshot(one)) if self.has(Fault::PartLost) && one.part > 0 => return,
            Some(server_frame::Kind::Snapshot(one)) if self.has(Fault::SnapshotMisplaced) => {
                one.offset = one.offset.saturating_sub(1);
            }
            Some(server_frame::Kind::InputConfirmed(_)) if self.has(Fault::ConfirmationLost) => return,
            Some(server_frame::Kind::Presence(presence)) if self.has(Fault::WrongWriterTold) => {
                presence.writer = presence.viewers.iter().map(|viewer| viewer.viewer).max().unwrap_or(0);
            }
            Some(server_frame::Kind::Output(output)) if self.has(Fault::WrongAtTheWrap) => {
                let until = (wrap - output.offset % wrap) as usize;
                if output.offset > wrap && until < output.data.len() {
                    let mut data = output.data.to_vec();
                    data[until] = data[until].wrapping_add(1);
                    output.data = data.into();
                }
            }
            _ => {}
        }
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        match &frame.kind {
            Some(server_frame::Kind::Attached(attached)) => wire.number = attached.viewer,
            // It takes what it is sent: it has not stalled.
            Some(server_frame::Kind::Output(_) | server_frame::Kind::Snapshot(_))
                if self.reference.writer() == Some(wire.id) =>
            {
                self.held_for = Time::ZERO;
            }
            _ => {}
        }
        wire.down_bytes += bytes_of(&frame);
        let is_size = matches!(frame.kind, Some(server_frame::Kind::Resized(_)));
        match wire.down.back() {
            Some(before) if is_size && self.fault == Some(Fault::SizeTooEarly) && is_output(before) => {
                wire.down.insert(wire.down.len() - 1, frame);
            }
            _ => wire.down.push_back(frame),
        }
        if wire.is_left {
            wire.down.clear();
        }
    }

    /// What a frame says must be so.
    fn look_at(&mut self, conn: u32, frame: &pb::ServerFrame) -> Checked {
        let reference = &self.reference;
        let wire = &self.wires[&conn];
        match &frame.kind {
            Some(server_frame::Kind::Attached(attached)) => {
                let expected = reference.expects(wire.id);
                ensure!(
                    attached.input_offset == expected,
                    "input {} is expected, not {expected}",
                    attached.input_offset
                );
                ensure!((attached.role() == pb::Role::Writer) == wire.may_write, "another role");
            }
            Some(server_frame::Kind::Output(output)) => {
                let len = output.data.len();
                ensure!((1..=limits::OUTPUT_BYTES).contains(&len), "an output of {len} bytes");
                let wire = self.wires.get_mut(&conn).ok_or("no such connection")?;
                let whole = wire.send(len);
                ensure!(whole <= wire.window, "{whole} bytes are under way, {} may be", wire.window);
            }
            Some(server_frame::Kind::Snapshot(snapshot)) => {
                let len = snapshot.data.len();
                ensure!(len <= limits::OUTPUT_BYTES, "a part of {len} bytes");
                ensure!(snapshot.offset <= reference.end, "a snapshot beyond the end");
                let wire = self.wires.get_mut(&conn).ok_or("no such connection")?;
                // It may reach beyond the window with its last byte only.
                let whole = wire.send(len).saturating_sub(len as u64);
                ensure!(whole <= wire.window, "{whole} bytes are under way, {} may be", wire.window);
            }
            Some(server_frame::Kind::Presence(presence)) => {
                let writer = presence.viewers.iter().find(|viewer| viewer.viewer == presence.writer);
                let writer = writer.map(|viewer| viewer.display_name.clone());
                let here =
                    reference.writer().filter(|_| reference.lease.is_some_and(|(_, away)| away.is_none()));
                ensure!(
                    writer == here.map(|id| format!("client {id}")),
                    "{writer:?} writes, not {here:?}: {presence:?} {:?}",
                    reference.lease
                );
                ensure!(
                    (presence.writer == 0) == reference.lease.is_none(),
                    "0 means a free lease: {presence:?}"
                );
            }
            _ => {}
        }
        Ok(())
    }

    /// The PTY waits for nobody longer than it may.
    fn look_at_the_pace(&mut self, now: Time) -> Checked {
        let heard = now.min(self.heard_until);
        let mut wants = self.session.wants_output(now);
        if self.has(Fault::HeldForEver) {
            wants &= self.held_since.is_none();
        }
        if let Some(since) = self.held_since {
            self.held_for += heard.saturating_sub(since);
        }
        self.held_since = (!wants).then_some(now);
        ensure!(
            self.held_for <= limits::PACE_BACKLOG,
            "the PTY was held for {:?} without a credit",
            self.held_for
        );
        ensure!(wants || self.reference.writer().is_some(), "the PTY is held for nobody");
        ensure!(
            wants || self.has(Fault::HeldForEver) || self.session.next_timeout().is_some(),
            "nobody lets the PTY go"
        );
        if self.held_by != self.reference.writer() {
            (self.held_by, self.held_for) = (self.reference.writer(), Time::ZERO);
        }
        Ok(())
    }

    /// A connection's next frame arrives at its client.
    pub(crate) fn deliver(&mut self, conn: u32) -> Option<pb::ServerFrame> {
        let wire = self.wires.get_mut(&conn)?;
        let frame = wire.down.pop_front()?;
        wire.down_bytes = wire.down_bytes.saturating_sub(bytes_of(&frame));
        Some(frame)
    }
}

fn is_output(frame: &pb::ServerFrame) -> bool {
    matches!(frame.kind, Some(server_frame::Kind::Output(_)))
}

impl Wire {
    fn allow(&mut self, window: u32) {
        self.window = window.clamp(limits::WINDOW_MIN_BYTES, limits::WINDOW_MAX_BYTES).into();
    }

    /// Counts what is sent; gives what is under way for sure, since the oldest
    /// may be on the screen in part.
    fn send(&mut self, len: usize) -> u64 {
        self.sent += len as u64;
        self.in_flight.push_back((self.sent, len as u64));
        self.in_flight.iter().skip(1).map(|(_, len)| len).sum()
    }

    /// A connection whose first frame is under way.
    pub(crate) fn new(id: Id, may_write: bool, attach: pb::ClientFrame) -> Self {
        Self { id, may_write, up: VecDeque::from([attach]), ..Self::default() }
    }
}

fn bytes_of(frame: &pb::ServerFrame) -> usize {
    match &frame.kind {
        Some(server_frame::Kind::Output(output)) => output.data.len() + 16,
        Some(server_frame::Kind::Snapshot(snapshot)) => snapshot.data.len() + 16,
        _ => 32,
    }
}
