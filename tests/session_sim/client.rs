//! A viewer with the rules under test, and the checks on what it is told.

use std::collections::VecDeque;

use bytes::Bytes;
use chatcode_proto::{
    limits,
    pb::{self, client_frame},
    viewer::{Event, Viewer},
};

use crate::{
    answers::{BEGIN, END},
    reference::{Id, Reference, Time, is_printed},
    screen::Tape,
};

/// Says what went wrong.
pub(crate) type Checked = Result<(), String>;

macro_rules! ensure {
    ($right:expr, $($words:tt)*) => {
        if !$right {
            return Err(format!($($words)*));
        }
    };
}
pub(crate) use ensure;

/// How a client treats what comes for its screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Screen {
    /// Shows all at once.
    Quick,
    /// Shows some when it is its turn.
    Slow,
    /// Shows nothing for now.
    Stuck,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: Id,
    pub(crate) viewer: Viewer,
    pub(crate) role: pb::Role,
    winsize: pb::Winsize,
    pub(crate) conn: Option<u32>,
    pub(crate) screen: Screen,
    /// What came for the screen and is not on it.
    pub(crate) to_render: usize,
    pub(crate) presence: pb::Presence,
    pub(crate) attached: bool,
    pub(crate) number: u32,
    pub(crate) has_exited: bool,
    epoch: u64,
    /// The next output byte.
    pub(crate) position: u64,
    /// What is drawn; nothing while a snapshot is not whole.
    drawn: Option<Tape>,
    /// A snapshot that has begun.
    parts: Vec<u8>,
    /// Typed and never sent.
    pub(crate) typed: VecDeque<u8>,
    /// Every byte that was sent in this epoch, by its number.
    pub(crate) wire: Vec<u8>,
    /// The number that is sent next.
    next: usize,
    confirmed: usize,
    told_refused: Vec<bool>,
    last_typed: u8,
    is_pasting: bool,
}

impl Client {
    pub(crate) fn new(id: Id, role: pb::Role) -> Self {
        let winsize = pb::Winsize { rows: 20 + id as u32, cols: 80 };
        Self {
            id,
            viewer: Viewer::new([id as u8 + 1; 16], role, Some(winsize)),
            winsize,
            role,
            conn: None,
            screen: Screen::Quick,
            to_render: 0,
            presence: pb::Presence::default(),
            attached: false,
            number: 0,
            has_exited: false,
            epoch: 0,
            position: 0,
            drawn: Some(Tape::default()),
            parts: Vec::new(),
            typed: VecDeque::new(),
            wire: Vec::new(),
            next: 0,
            confirmed: 0,
            told_refused: Vec::new(),
            last_typed: 0,
            is_pasting: false,
        }
    }

    /// The size that the holder knows of, within the limits.
    pub(crate) fn winsize(&self) -> Option<pb::Winsize> {
        self.attached.then_some(pb::Winsize {
            rows: self.winsize.rows.clamp(*limits::ROWS.start(), *limits::ROWS.end()),
            cols: self.winsize.cols.clamp(*limits::COLS.start(), *limits::COLS.end()),
        })
    }

    pub(crate) fn resize(&mut self, winsize: pb::Winsize) {
        self.winsize = winsize;
        self.viewer.resize(winsize);
    }

    pub(crate) fn may_write(&self) -> bool {
        self.role == pb::Role::Writer
    }

    pub(crate) fn type_in(&mut self, count: usize) {
        let mut last = self.last_typed;
        let bytes: Vec<u8> = (0..count)
            .map(|_| {
                last = (last + 1) % 61;
                (self.id as u8) << 6 | last
            })
            .collect();
        let taken = self.viewer.push_input(&bytes);
        self.typed.extend(&bytes[..taken]);
        self.last_typed = bytes[..taken].last().map_or(self.last_typed, |byte| byte & 63);
    }

    /// Begins a paste, or ends it.
    pub(crate) fn bracket(&mut self) {
        let mark = if self.is_pasting { END } else { BEGIN };
        self.is_pasting = !self.is_pasting;
        let taken = self.viewer.push_input(mark);
        self.typed.extend(&mark[..taken]);
    }

    pub(crate) fn leave(&mut self) {
        self.viewer.handle_disconnect();
        self.conn = None;
        self.attached = false;
    }

    /// The next frame, with a look at the numbers of input.
    pub(crate) fn poll(&mut self, now: Time) -> Result<Option<pb::ClientFrame>, String> {
        let Some(frame) = self.viewer.poll_frame(now) else { return Ok(None) };
        if let Some(client_frame::Kind::Input(input)) = &frame.kind {
            let own = self.presence.writer == 0 || self.presence.writer == self.number;
            ensure!(self.may_write() && own, "input is sent without the lease: {:?}", self.presence);
            ensure!(
                input.offset == self.next as u64,
                "input {} is sent, {} comes next",
                input.offset,
                self.next
            );
            for byte in &input.data {
                let known = if self.next < self.wire.len() {
                    self.wire[self.next]
                } else {
                    let byte = self.typed.pop_front().ok_or("more is sent than was typed")?;
                    self.wire.push(byte);
                    self.told_refused.push(false);
                    byte
                };
                ensure!(known == *byte, "input {} is sent with another byte", self.next);
                self.next += 1;
            }
        }
        Ok(Some(frame))
    }

    /// Puts up to `count` bytes that were sent before in front of an input.
    pub(crate) fn overlap(&self, frame: &mut pb::ClientFrame, count: usize) {
        if let Some(client_frame::Kind::Input(input)) = &mut frame.kind {
            let end = input.offset as usize + input.data.len();
            let room = limits::INPUT_BYTES - input.data.len();
            let from = (input.offset as usize).saturating_sub(count.min(room));
            (input.offset, input.data) = (from as u64, Bytes::copy_from_slice(&self.wire[from..end]));
        }
    }

    /// A frame came.
    pub(crate) fn take(&mut self, now: Time, frame: pb::ServerFrame, holder: &Reference) -> Checked {
        if let Some(pb::server_frame::Kind::InputConfirmed(confirmed)) = &frame.kind {
            self.check_confirmed(confirmed.offset as usize, holder)?;
        }
        let before = self.wire.len();
        let mut events = self
            .viewer
            .handle_frame(now, frame)
            .map_err(|refusal| format!("the viewer refuses: {refusal}"))?;
        let is_new = events.iter().any(|event| matches!(event, Event::Reset));
        if is_new {
            self.begin_anew(&mut events)?;
        }
        ensure!(is_new || before == self.wire.len(), "nothing else begins anew");
        for event in events {
            self.heed(now, event, holder)?;
        }
        Ok(())
    }

    /// Only what was written is confirmed, and what was refused and said so.
    fn check_confirmed(&mut self, offset: usize, holder: &Reference) -> Checked {
        let ledger = &holder.ledgers[&self.id];
        ensure!(
            ledger.unwritten().is_none_or(|first| offset <= first),
            "input below {offset} is not written yet"
        );
        let (from, to) = (self.confirmed, offset.min(self.told_refused.len()));
        let untold = (from..to).find(|number| ledger.refused[*number] && !self.told_refused[*number]);
        ensure!(untold.is_none(), "refused input {untold:?} is confirmed");
        self.confirmed = from.max(offset);
        Ok(())
    }

    /// Another life: what was sent and not settled is unknown; the rest was
    /// never sent, and is not for this one.
    fn begin_anew(&mut self, events: &mut Vec<Event>) -> Checked {
        let said: u64 = events
            .iter()
            .map(|event| if let Event::InputUnknown { bytes } = event { *bytes } else { 0 })
            .sum();
        let unknown =
            (self.confirmed.min(self.next)..self.next).filter(|number| !self.told_refused[*number]).count();
        ensure!(said == unknown as u64, "{said} bytes are called unknown, {unknown} are");
        for event in events.extract_if(.., |event| matches!(event, Event::InputRefused(_))) {
            if let Event::InputRefused(range) = event {
                ensure!(range.code() == pb::Code::SessionEnded, "{range:?} names another reason");
                self.given_back(range.from as usize, range.to as usize)?;
            }
        }
        ensure!(self.wire.len() == self.next && self.typed.is_empty(), "old input is kept for a new life");
        self.wire.clear();
        self.told_refused.clear();
        (self.next, self.confirmed) = (0, 0);
        Ok(())
    }

    fn heed(&mut self, now: Time, event: Event, holder: &Reference) -> Checked {
        match event {
            Event::Attached(attached) => {
                let is_resumed = self.epoch == attached.epoch;
                let expected = if is_resumed { self.position } else { 0 };
                ensure!(
                    attached.offset == expected,
                    "output goes on at {} after {expected}",
                    attached.offset
                );
                ensure!(attached.epoch == holder.epoch, "the epoch is another");
                (self.epoch, self.position, self.number) = (attached.epoch, attached.offset, attached.viewer);
                self.next = attached.input_offset as usize;
                (self.attached, self.has_exited) = (true, false);
            }
            Event::Output(data) => self.show(now, &data, holder)?,
            Event::Snapshot(part) => self.draw(now, &part, holder)?,
            Event::Resized(resized) => {
                let drawn = self.drawn.as_mut().ok_or("a size comes within a snapshot")?;
                drawn.resized(resized.winsize.unwrap_or_default());
            }
            Event::Reset => self.drawn = Some(Tape::default()),
            Event::Presence(presence) => self.presence = presence,
            Event::Exited(exited) => {
                ensure!(
                    exited.offset == self.position,
                    "the end is told at {}, not at {}",
                    self.position,
                    exited.offset
                );
                self.has_exited = true;
            }
            Event::InputRefused(range) => self.refused(range, holder)?,
            Event::Closing(closing) if [pb::Code::Fenced, pb::Code::Done].contains(&closing.code()) => {}
            Event::Closing(closing) => return Err(format!("an attachment is closed: {closing:?}")),
            Event::InputUnknown { .. } | Event::Rtt(_) | Event::Titled(_) => {}
        }
        Ok(())
    }

    fn show(&mut self, now: Time, data: &Bytes, holder: &Reference) -> Checked {
        ensure!(!self.has_exited, "output comes after the end");
        ensure!(is_printed(self.epoch, self.position, data), "wrong output at {}", self.position);
        let last = self.position + data.len() as u64 - 1;
        self.is_drawn_right(holder)?;
        ensure!(
            Tape { bytes: last, ..holder.screen(self.position) } == holder.screen(last),
            "a size is passed over within {}..{last}",
            self.position
        );
        self.position += data.len() as u64;
        if let Some(drawn) = &mut self.drawn {
            drawn.bytes = self.position;
        }
        self.came(now, data.len());
        Ok(())
    }

    /// The screen has all that was printed, and every size at its place.
    fn is_drawn_right(&self, holder: &Reference) -> Checked {
        let (drawn, right) = (self.drawn, holder.screen(self.position));
        ensure!(drawn == Some(right), "client {} shows {drawn:?}, not {right:?}", self.id);
        Ok(())
    }

    fn draw(&mut self, now: Time, part: &pb::Snapshot, holder: &Reference) -> Checked {
        ensure!(!self.has_exited, "a snapshot comes after the end");
        if part.part == 0 {
            self.parts.clear();
        }
        self.drawn = None;
        self.parts.extend_from_slice(&part.data);
        self.came(now, part.data.len());
        if part.part + 1 == part.parts {
            self.position = part.offset;
            self.drawn = Tape::read(&self.parts);
            let is_at_its_place = self.drawn.is_some_and(|drawn| drawn.bytes == part.offset);
            ensure!(is_at_its_place, "a snapshot at {} is {:?}", part.offset, self.drawn);
            ensure!(part.offset <= holder.end, "a snapshot of what was not printed");
        }
        Ok(())
    }

    /// Bytes for the screen.
    fn came(&mut self, now: Time, bytes: usize) {
        self.to_render += bytes;
        if self.screen == Screen::Quick {
            self.render(now, usize::MAX);
        }
    }

    pub(crate) fn render(&mut self, now: Time, most: usize) {
        let bytes = self.to_render.min(most);
        self.to_render -= bytes;
        self.viewer.handle_rendered(now, bytes);
    }

    fn refused(&mut self, range: pb::InputRefused, holder: &Reference) -> Checked {
        let (from, to) = (range.from as usize, range.to as usize);
        if from >= self.next {
            return self.given_back(from, to);
        }
        for number in from..to {
            let truth = holder.ledgers.get(&self.id).and_then(|ledger| ledger.refused.get(number));
            ensure!(truth == Some(&true), "input {number} is called refused, it is not");
            ensure!(!self.told_refused[number], "input {number} is called refused twice");
            self.told_refused[number] = true;
        }
        Ok(())
    }

    /// The viewer itself refuses what it has not sent on this connection.
    fn given_back(&mut self, from: usize, to: usize) -> Checked {
        ensure!(from == self.next, "input {from} is given back, {} comes next", self.next);
        let sent_once = self.wire.len() - from;
        self.wire.truncate(from);
        self.told_refused.truncate(from);
        ensure!(to - from == sent_once + self.typed.len(), "not all that waits is given back");
        self.typed.clear();
        Ok(())
    }

    /// All is over: nothing of this client is left open.
    pub(crate) fn is_settled(&self, holder: &Reference) -> Checked {
        let id = self.id;
        ensure!(
            self.position == holder.end,
            "client {id} ends at {}, the output at {}",
            self.position,
            holder.end
        );
        self.is_drawn_right(holder)?;
        ensure!(
            self.presence.writer == 0 || self.presence.writer != self.number || holder.writer() == Some(id),
            "wrong writer"
        );
        let ledger = holder.ledgers.get(&id).map(|ledger| &ledger.refused[..]).unwrap_or_default();
        ensure!(
            self.wire.len() == ledger.len(),
            "client {id} sent {} bytes, {} came",
            self.wire.len(),
            ledger.len()
        );
        ensure!(self.told_refused == ledger, "client {id} was not told of all that was refused");
        let left = self.viewer.unconfirmed() - self.typed.len();
        let refused = ledger.iter().skip(self.confirmed).filter(|refused| **refused).count();
        ensure!(left == refused || left == 0, "client {id}: {left} bytes are not confirmed");
        Ok(())
    }
}
