//! The poll loop: one thread that joins the session's rules, the terminal, the
//! socket, the signals and the clock. Nothing in it waits but the poll.

use std::{io, os::fd::AsFd as _};

use chatcode_proto::{
    limits,
    session::{ConnId, Session},
};
use chatcode_screen::Model;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{
    connection::{Connection, Role},
    ending::{Ladder, Time},
    holder::{Holder, Line},
    pty::Got,
};

/// Who may wake the loop.
#[derive(Clone, Copy, Debug)]
enum Source {
    Signals,
    Door,
    Terminal,
    /// What is done beside the loop has ended.
    Beside,
    Connection(u32),
}

/// Who woke the loop, and how; one buffer for all turns.
type Woken = Vec<(Source, PollFlags)>;

impl Holder {
    /// Runs until the session has ended and its viewers had their time; then
    /// removes the socket. The record stays.
    ///
    /// # Errors
    /// When the poll itself fails.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut chunk = vec![0; limits::HOLDER_TURN_BYTES];
        let mut woken = Woken::new();
        while !self.is_over(self.clock.now()) {
            if self.turn(&woken, &mut chunk) {
                woken.clear();
                continue;
            }
            self.paced = !self.session.wants_output(self.clock.now());
            self.heard_until = self.wait(true, self.next_timeout(), &mut woken)?;
            self.session.handle_heard(self.heard_until);
        }
        self.say_good_bye()
    }

    /// One turn, in the order of a key's way: in, to the terminal, from the
    /// terminal, out. True when somebody left at its end: another turn tells
    /// the others.
    fn turn(&mut self, woken: &Woken, chunk: &mut [u8]) -> bool {
        let now = self.clock.now();
        let (mut output, mut door) = (false, false);
        for &(source, flags) in woken {
            match source {
                Source::Signals => self.signals.drain(),
                Source::Door => door = true,
                Source::Beside => {}
                Source::Terminal => {
                    output |= flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
                }
                Source::Connection(id) => self.receive(now, id, flags, chunk),
            }
        }
        self.door_rests = self.door_rests.filter(|until| *until > now);
        self.heed_signals(now);
        self.serve_waiting(now);
        if door {
            self.open_door(now);
        }
        self.write_input(now);
        if output || self.is_due_to_look_again(now) {
            self.read_output(now, chunk);
        }
        self.conclude(now);
        self.keep_screen(now);
        self.tell_end(now);
        if self.session.next_timeout().is_some_and(|due| due <= now) {
            self.session.handle_timeout(now);
        }
        self.climb(now);
        self.cut_late(now);
        self.act(now);
        self.tell_watchers();
        self.send(now)
    }

    /// Takes one connection: the next waits for the next turn, so that those
    /// that left meanwhile have made room.
    fn open_door(&mut self, now: Time) {
        match self.door.accept() {
            Ok(Some((socket, trusted))) => self.welcome(now, Connection::new(socket, now), trusted),
            Ok(None) => {}
            Err(error) => {
                // No file is free: a door that is ready all the time must not
                // keep the loop busy.
                self.door_rests = Some(now + limits::HOLDER_REOPEN);
                self.note(&format!("a connection was not taken: {error}"));
            }
        }
    }

    fn receive(&mut self, now: Time, id: u32, flags: PollFlags, chunk: &mut [u8]) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let wanted = wants_to_read(&self.session, id, connection);
        let broken = if wanted && flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            connection.receive(chunk).is_err()
        } else {
            // Not read, so an end of the peer shows only here; it would wake
            // the loop for ever.
            flags.intersects(PollFlags::HUP | PollFlags::ERR)
        };
        if broken {
            self.disconnect(now, id);
        }
    }

    /// Acts on messages that have come now, or came when the session took
    /// none.
    fn serve_waiting(&mut self, now: Time) {
        let mut next = 0;
        while let Some((&id, _)) = self.connections.range(next..).find(|(_, c)| c.has_news()) {
            self.serve(now, id);
            next = id + 1;
        }
    }

    /// Writes input to the terminal until it takes no more.
    fn write_input(&mut self, now: Time) {
        loop {
            let input = self.session.poll_input();
            if input.is_empty() || self.line != Line::Open {
                return;
            }
            match self.terminal.write(input) {
                Ok(0) => return,
                Ok(n) => self.session.handle_input_written(now, n),
                // The reading side finds out what it means.
                Err(_) => {
                    self.line = Line::HungUp { again: now };
                    return;
                }
            }
        }
    }

    fn is_due_to_look_again(&self, now: Time) -> bool {
        matches!(self.line, Line::HungUp { again } if again <= now)
    }

    /// Reads the terminal until nothing is there or one full frame is.
    fn read_output(&mut self, now: Time, chunk: &mut [u8]) {
        if self.line == Line::Over || !self.session.wants_output(now) {
            return;
        }
        let mut filled = 0;
        while filled < chunk.len() {
            match self.terminal.read(&mut chunk[filled..]) {
                Ok(Got::Bytes(n)) => {
                    filled += n;
                    self.line = Line::Open;
                }
                Ok(Got::Nothing) => {
                    self.line = Line::Open;
                    break;
                }
                Ok(Got::HungUp) => {
                    self.hang_up(now);
                    break;
                }
                Err(error) => {
                    self.note(&format!("the terminal was not read: {error}"));
                    self.hang_up(now);
                    break;
                }
            }
        }
        if filled > 0 {
            self.session.handle_output(now, &chunk[..filled]);
        }
    }

    /// No program has the terminal open: the shell has ended, or it gave its
    /// terminal away for a while.
    fn hang_up(&mut self, now: Time) {
        self.line = match &mut self.reaped {
            Some(reaped) => {
                reaped.is_read = true;
                Line::Over
            }
            None => Line::HungUp { again: now + limits::HOLDER_REOPEN },
        };
        self.reap(now);
    }

    /// Makes frames and sends them until the rules or the sockets stop it, and
    /// lets those go that have all there is; true when one was.
    fn send(&mut self, now: Time) -> bool {
        let (mut done, mut has_left) = (Vec::new(), false);
        for (&id, connection) in &mut self.connections {
            let sent = feed(&mut self.session, now, id, connection);
            if self.session.is_told(ConnId(id)) {
                connection.let_go();
                self.session.handle_disconnect(now, ConnId(id));
                has_left = true;
            }
            if sent.is_err() || (matches!(connection.role, Role::Leaving) && !connection.is_waiting()) {
                done.push(id);
            }
        }
        has_left |= !done.is_empty();
        for id in done {
            self.disconnect(now, id);
        }
        has_left
    }

    /// Waits until something happens or the time has come, and puts it into
    /// `woken`; `all`: not only until connections can be sent to. Gives a time
    /// until which it has missed nothing.
    fn wait(&self, all: bool, until: Option<Time>, woken: &mut Woken) -> io::Result<Time> {
        let now = self.clock.now();
        woken.clear();
        let mut files = Vec::with_capacity(3 + self.connections.len());
        let mut watch = |source, file, flags: PollFlags| {
            if !flags.is_empty() {
                woken.push((source, PollFlags::empty()));
                files.push(PollFd::from_borrowed_fd(file, flags));
            }
        };
        if all {
            watch(Source::Signals, self.signals.as_fd(), PollFlags::IN);
            if self.door_rests.is_none() {
                watch(Source::Door, self.door.as_fd(), PollFlags::IN);
            }
            watch(Source::Terminal, self.terminal.as_fd(), self.terminal_interest());
            if let Some(bell) = self.beside.bell() {
                watch(Source::Beside, bell, PollFlags::IN);
            }
        }
        for (id, connection) in &self.connections {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, all && wants_to_read(&self.session, *id, connection));
            flags.set(PollFlags::OUT, connection.is_waiting());
            // With no interest at all an end of the peer is still told.
            watch(Source::Connection(*id), connection.as_fd(), flags | PollFlags::HUP);
        }
        let timeout = until.map(|due| due.saturating_sub(now));
        let timeout = timeout.and_then(|wait| Timespec::try_from(wait).ok());
        let is_in_vain = match poll(&mut files, timeout.as_ref()) {
            Ok(ready) => ready == 0,
            Err(Errno::INTR) => false,
            Err(error) => return Err(error.into()),
        };
        for ((_, flags), file) in woken.iter_mut().zip(&files) {
            *flags = file.revents();
        }
        woken.retain(|(_, flags)| !flags.is_empty());
        Ok(until.filter(|due| is_in_vain && *due > now).unwrap_or(now))
    }

    /// What the terminal is watched for. Nothing when nothing is wanted: its
    /// hang-up would wake the loop for ever.
    fn terminal_interest(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        if self.line == Line::Open {
            flags.set(PollFlags::IN, !self.paced);
            flags.set(PollFlags::OUT, !self.session.poll_input().is_empty());
        }
        flags
    }

    /// When the loop has to act though nobody wakes it.
    fn next_timeout(&self) -> Option<Time> {
        let now = self.clock.now();
        let look = match self.line {
            // A guard only: credit or the rules' own timeout come before.
            Line::Open | Line::HungUp { .. } if self.paced => Some(now + limits::PACE_BACKLOG),
            Line::HungUp { again } => Some(again),
            Line::Open | Line::Over => None,
        };
        let common = [
            unheard(self.session.next_timeout(), self.heard_until),
            self.ladder.as_ref().map(Ladder::next_timeout),
            self.reaped.as_ref().map(|reaped| reaped.until),
            self.leaves.filter(|_| self.may_leave()),
            self.saver.waits_until(),
            self.door_rests,
            self.screen_due(),
            look,
        ];
        let deadlines = self.connections.values().map(|connection| connection.deadline);
        common.into_iter().chain(deadlines).flatten().min()
    }

    /// Sends what still waits, for a moment; then all ends.
    fn say_good_bye(mut self) -> io::Result<()> {
        let until = self.clock.now() + limits::HOLDER_FAREWELL;
        let mut woken = Woken::new();
        loop {
            let now = self.clock.now();
            self.send(now);
            self.connections.retain(|_, connection| connection.is_waiting());
            if self.connections.is_empty() || now >= until {
                break;
            }
            self.wait(false, Some(until), &mut woken)?;
        }
        self.note("the holder leaves");
        Ok(())
    }
}

/// When the rules have to act: at once where that came to be due while the loop
/// was busy, since they wait until all that came before was heard. What was due
/// by then waits for something else, such as room in a socket: it must not keep
/// the loop busy.
fn unheard(due: Option<Time>, heard_until: Time) -> Option<Time> {
    due.filter(|due| *due > heard_until)
}

/// Whether a connection is to be read now.
fn wants_to_read(session: &Session<Model>, id: u32, connection: &Connection) -> bool {
    match connection.role {
        Role::New | Role::Arriving(_) | Role::Watcher { .. } => !connection.finished,
        Role::Viewer => !connection.finished && session.wants_frames_of(ConnId(id)),
        Role::Leaving => false,
    }
}

/// Makes and sends frames of one connection. A viewer's window bounds how much
/// that can be in one turn.
fn feed(session: &mut Session<Model>, now: Time, id: u32, connection: &mut Connection) -> io::Result<()> {
    loop {
        while matches!(connection.role, Role::Viewer) && connection.has_room() {
            let Some(frame) = session.poll_frame(now, ConnId(id)) else { break };
            connection.put(&frame);
        }
        if !connection.is_waiting() {
            return Ok(());
        }
        connection.send()?;
        if connection.is_waiting() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use chatcode_proto::{
        pb,
        session::{Config, Who},
    };

    use super::*;

    const SIZE: pb::Winsize = pb::Winsize { rows: 24, cols: 80 };
    const ONE: ConnId = ConnId(1);

    /// A session whose terminal is held for a writer that renders nothing.
    fn held() -> Session<Model> {
        let config = Config { epoch: 1, log_bytes: limits::LOG_BYTES, winsize: SIZE, name: String::new() };
        let mut session = Session::new(config, Model::new(SIZE, 0));
        let who = Who { principal: "p".into(), display_name: String::new(), role: pb::Role::Writer };
        let attach = pb::Attach {
            versions: limits::FRAME_VERSIONS.to_vec(),
            viewer_id: vec![1; 16].into(),
            role: pb::Role::Writer.into(),
            window_bytes: limits::WINDOW_MIN_BYTES,
            ..Default::default()
        };
        session.handle_attach(Time::ZERO, ONE, who, pb::Session::default(), attach).expect("is right");
        while session.wants_output(Time::ZERO) {
            session.handle_output(Time::ZERO, &[b'x'; 4096]);
            while session.poll_frame(Time::ZERO, ONE).is_some() {}
        }
        session
    }

    #[test]
    fn what_came_to_be_due_while_the_loop_was_busy_is_looked_at_at_once_and_once() {
        let mut session = held();
        session.handle_heard(Time::ZERO);
        let due = session.next_timeout().expect("is held until then");
        let busy_until = due + Time::from_millis(5);
        session.handle_timeout(busy_until);
        assert!(!session.wants_output(busy_until), "a credit may have come meanwhile");
        assert_eq!(unheard(session.next_timeout(), Time::ZERO), Some(due), "no wait");
        session.handle_heard(busy_until);
        assert_eq!(unheard(session.next_timeout(), busy_until), None, "the loop is not kept busy");
        assert!(session.wants_output(busy_until), "it was none");
    }
}
