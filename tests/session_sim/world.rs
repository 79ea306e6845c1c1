//! Everything that can happen, drawn by one number.

use chatcode_proto::{limits, pb, session::ConnId};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    client::{Checked, Client, Screen, ensure},
    fault::Fault,
    holder::{Holder, Wire},
    reference::Time,
};

/// Steps of one run before all faults end.
const STEPS: usize = 220;
/// Turns in which everything must come to rest when all faults have ended.
const TURNS: usize = 500;

/// What can happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    Print,
    PrintALot,
    Type,
    Paste,
    Bracket,
    WriteToPty,
    DeliverUp,
    DeliverDown,
    DeliverAll,
    Render,
    ChangeScreen,
    Pass,
    PassLong,
    Unscheduled,
    Connect,
    Cut,
    Notice,
    KillDaemon,
    ReplaceHolder,
    Resize,
    TakeLease,
    HandOver,
    AskForSnapshot,
    Detach,
    Rename,
    Strangers,
    Exit,
}

/// How often each happens.
const STEPS_BY_WEIGHT: &[(Step, u32)] = &[
    (Step::Print, 120),
    (Step::PrintALot, 30),
    (Step::Type, 90),
    (Step::Paste, 6),
    (Step::Bracket, 30),
    (Step::WriteToPty, 70),
    (Step::DeliverUp, 120),
    (Step::DeliverDown, 120),
    (Step::DeliverAll, 60),
    (Step::Render, 60),
    (Step::ChangeScreen, 15),
    (Step::Pass, 100),
    (Step::PassLong, 12),
    (Step::Unscheduled, 16),
    (Step::Connect, 60),
    (Step::Cut, 30),
    (Step::Notice, 30),
    (Step::KillDaemon, 5),
    (Step::ReplaceHolder, 2),
    (Step::Resize, 12),
    (Step::TakeLease, 14),
    (Step::HandOver, 10),
    (Step::AskForSnapshot, 10),
    (Step::Detach, 6),
    (Step::Rename, 3),
    (Step::Strangers, 3),
    (Step::Exit, 1),
];

pub(crate) struct World {
    rng: StdRng,
    now: Time,
    holder: Holder,
    clients: Vec<Client>,
    last_conn: u32,
    fault: Option<Fault>,
}

/// Runs one world to its end.
pub(crate) fn run(seed: u64, fault: Option<Fault>) -> Checked {
    let mut world = World::new(seed, fault);
    for step in 0..STEPS {
        let kind = world.draw();
        world
            .step(kind)
            .and_then(|()| world.settle())
            .map_err(|error| format!("step {step}, {kind:?}: {error}"))?;
    }
    world.converge().map_err(|error| format!("after all faults: {error}"))
}

impl World {
    fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let log_bytes = *limits::LOG_BYTES_RANGE.start() << rng.random_range(0..3);
        let roles = [pb::Role::Writer, pb::Role::Writer, pb::Role::Viewer];
        let count = rng.random_range(1..=3);
        let clients = roles.iter().take(count).enumerate().map(|(id, role)| Client::new(id, *role)).collect();
        Self {
            rng,
            now: Time::from_secs(1),
            holder: Holder::new(1, log_bytes, fault),
            clients,
            last_conn: 0,
            fault,
        }
    }

    fn draw(&mut self) -> Step {
        let all: u32 = STEPS_BY_WEIGHT.iter().map(|(_, weight)| weight).sum();
        let mut left = self.rng.random_range(0..all);
        for (step, weight) in STEPS_BY_WEIGHT {
            if left < *weight {
                return *step;
            }
            left -= weight;
        }
        Step::Pass
    }

    fn step(&mut self, step: Step) -> Checked {
        let id = self.rng.random_range(0..self.clients.len());
        match step {
            Step::Print => {
                let len = self.rng.random_range(1..6000);
                self.holder.print(self.now, len);
            }
            Step::PrintALot => {
                for _ in 0..self.rng.random_range(1..40) {
                    self.holder.print(self.now, 16 * 1024);
                    self.holder.turn(self.now)?;
                }
            }
            Step::Type => self.clients[id].type_in(self.rng.random_range(1..5)),
            Step::Paste => {
                let most = if self.rng.random_bool(0.1) { 400_000 } else { 5_000 };
                self.clients[id].type_in(self.rng.random_range(1000..most));
            }
            Step::Bracket => self.clients[id].bracket(),
            Step::WriteToPty => {
                let most = if self.rng.random_bool(0.3) { self.rng.random_range(0..20) } else { 1 << 20 };
                self.holder.write(self.now, most)?;
            }
            Step::DeliverUp => self.deliver_up(id, 1)?,
            Step::DeliverDown => self.deliver_down(id, 1)?,
            Step::DeliverAll => {
                self.deliver_up(id, 1000)?;
                self.holder.turn(self.now)?;
                self.deliver_down(id, 1000)?;
            }
            Step::Render => {
                let most = self.rng.random_range(1..50_000);
                if self.clients[id].screen != Screen::Stuck {
                    self.clients[id].render(self.now, most);
                }
            }
            Step::ChangeScreen => {
                let screens = [Screen::Quick, Screen::Slow, Screen::Stuck];
                self.clients[id].screen = screens[self.rng.random_range(0..3)];
            }
            Step::Pass => {
                let time = Time::from_micros(self.rng.random_range(1..60_000));
                self.pass(time)?;
            }
            Step::PassLong => {
                let time = Time::from_millis(self.rng.random_range(1..15_000));
                self.pass(time)?;
            }
            Step::Unscheduled => {
                let time = Time::from_millis(self.rng.random_range(1..200));
                self.pass_without_the_holder(time)?;
            }
            Step::Connect => self.connect(id),
            Step::Cut => self.clients[id].leave_wire(&mut self.holder),
            Step::Notice => self.notice(false),
            Step::KillDaemon => self.kill_daemon(),
            Step::ReplaceHolder => {
                self.kill_daemon();
                let reference = &self.holder.reference;
                self.holder = Holder::new(reference.epoch + 1, reference.log_bytes as usize, self.fault);
            }
            Step::Resize => {
                let size =
                    pb::Winsize { rows: self.rng.random_range(0..600), cols: self.rng.random_range(0..1200) };
                self.clients[id].resize(size);
            }
            Step::TakeLease if self.clients[id].may_write() => self.clients[id].viewer.take_lease(),
            Step::HandOver => {
                let to = self.rng.random_range(0..=self.clients.len() as u32 + 1);
                self.clients[id].viewer.hand_over(to);
            }
            Step::AskForSnapshot => self.clients[id].viewer.request_snapshot(),
            Step::Detach => self.clients[id].viewer.detach(),
            Step::Rename => self.holder.session.handle_rename(self.now, "other".to_owned()),
            Step::Strangers => self.holder.refuse_strangers(self.now)?,
            Step::Exit => {
                if self.rng.random_bool(0.3) {
                    self.holder.exit(self.now);
                }
            }
            Step::TakeLease => {}
        }
        Ok(())
    }

    /// Both ends do what is due now.
    fn settle(&mut self) -> Checked {
        self.holder.turn(self.now)?;
        self.settle_clients()
    }

    fn settle_clients(&mut self) -> Checked {
        for client in &mut self.clients {
            let Some(conn) = client.conn.filter(|_| client.attached) else { continue };
            if client.viewer.next_timeout().is_some_and(|due| due <= self.now) {
                client.viewer.handle_timeout(self.now);
            }
            while let Some(mut frame) = client.poll(self.now)? {
                // What the holder has already may come once more with the rest.
                if self.rng.random_bool(0.1) {
                    client.overlap(&mut frame, self.rng.random_range(1..10));
                }
                if let Some(wire) = self.holder.wires.get_mut(&conn).filter(|wire| !wire.is_closed) {
                    wire.up.push_back(frame);
                }
            }
            let due = client.viewer.next_timeout();
            ensure!(due.is_none_or(|due| due > self.now), "client {} would spin", client.id);
        }
        Ok(())
    }

    fn connect(&mut self, id: usize) {
        if self.clients[id].conn.is_some() {
            return;
        }
        self.last_conn += 1;
        let client = &mut self.clients[id];
        client.conn = Some(self.last_conn);
        let wire = Wire::new(id, client.may_write(), client.viewer.attach());
        self.holder.wires.insert(self.last_conn, wire);
    }

    /// Frames that were sent over a connection that its client left may still
    /// arrive.
    fn deliver_up(&mut self, id: usize, most: usize) -> Checked {
        let conns: Vec<u32> =
            self.holder.wires.iter().filter(|(_, wire)| wire.id == id).map(|(conn, _)| *conn).collect();
        for conn in conns {
            for _ in 0..most {
                if !self.holder.receive(self.now, conn)? {
                    break;
                }
            }
        }
        Ok(())
    }

    fn deliver_down(&mut self, id: usize, most: usize) -> Checked {
        for _ in 0..most {
            let Some(conn) = self.clients[id].conn else { return Ok(()) };
            let Some(frame) = self.holder.deliver(conn) else { return Ok(()) };
            let is_last = matches!(frame.kind, Some(pb::server_frame::Kind::Closing(_)));
            self.clients[id].take(self.now, frame, &self.holder.reference)?;
            if is_last {
                self.clients[id].leave_wire(&mut self.holder);
            }
        }
        Ok(())
    }

    /// Time passes; both ends wake when they asked for it.
    fn pass(&mut self, time: Time) -> Checked {
        let end = self.now + time;
        while self.now < end {
            let clients = self.clients.iter().filter_map(|client| client.viewer.next_timeout());
            let due = clients.chain(self.holder.session.next_timeout()).filter(|due| *due > self.now).min();
            self.now = due.map_or(end, |due| due.min(end));
            self.settle()?;
        }
        Ok(())
    }

    /// Time passes in which the holder's process does not run; what came
    /// meanwhile it finds in its sockets.
    fn pass_without_the_holder(&mut self, time: Time) -> Checked {
        // Who is slow by what it has rendered is known before.
        self.holder.turn(self.now)?;
        let (heard_until, end) = (self.now, self.now + time);
        while self.now < end {
            let due = self.clients.iter().filter_map(|client| client.viewer.next_timeout());
            self.now = due.filter(|due| *due > self.now).min().map_or(end, |due| due.min(end));
            self.settle_clients()?;
        }
        self.holder.wake(self.now, heard_until)?;
        (0..self.clients.len()).try_for_each(|id| self.deliver_up(id, 1000))
    }

    /// The holder learns of connections that were left.
    fn notice(&mut self, all: bool) {
        let left = self.holder.wires.iter().filter(|(_, wire)| wire.is_left).map(|(conn, _)| *conn);
        let left: Vec<u32> = left.take(if all { usize::MAX } else { 1 }).collect();
        left.into_iter().for_each(|conn| self.holder.notice(self.now, conn));
    }

    fn kill_daemon(&mut self) {
        for client in &mut self.clients {
            client.leave_wire(&mut self.holder);
        }
        self.notice(true);
    }

    /// All faults end: everything must come to rest, everywhere the same.
    fn converge(&mut self) -> Checked {
        self.clients.iter_mut().for_each(|client| client.screen = Screen::Quick);
        self.rest()?;
        // Whoever may write sends what it still has.
        for id in 0..self.clients.len() {
            if self.clients[id].may_write() && !self.holder.reference.is_exited {
                self.clients[id].viewer.take_lease();
                self.rest()?;
                let client = &self.clients[id];
                ensure!(
                    client.viewer.is_writer(),
                    "client {id} did not get the lease: {:?}",
                    client.presence
                );
                ensure!(client.typed.is_empty(), "client {id} keeps {} typed bytes", client.typed.len());
            }
        }
        self.everybody_is_right()?;
        self.pass(limits::PASTE_STALL)?;
        self.rest()?;
        ensure!(self.holder.reference.answers.held == 0, "answers are held for ever");
        self.holder.exit(self.now);
        self.rest()?;
        self.everybody_is_right()?;
        let session = &self.holder.session;
        let are_told = self.holder.wires.keys().all(|conn| session.is_told(ConnId(*conn)));
        ensure!(are_told, "not all were told of the end");
        ensure!(self.clients.iter().all(|client| client.has_exited), "a viewer does not know of the end");
        Ok(())
    }

    fn rest(&mut self) -> Checked {
        let mut quiet = Time::ZERO;
        for _ in 0..TURNS {
            self.notice(true);
            let before = self.progress();
            for id in 0..self.clients.len() {
                self.connect(id);
                self.deliver_up(id, 100)?;
            }
            self.settle()?;
            for id in 0..self.clients.len() {
                self.clients[id].render(self.now, usize::MAX);
                self.deliver_down(id, 100)?;
            }
            self.holder.write(self.now, 1 << 20)?;
            self.settle()?;
            let is_quiet = self.holder.wires.values().all(|wire| wire.up.is_empty() && wire.down.is_empty());
            self.pass(limits::CONFIRM_DELAY)?;
            quiet = if before == self.progress() && is_quiet {
                quiet + limits::CONFIRM_DELAY
            } else {
                Time::ZERO
            };
            if quiet > limits::RESIZE_INTERVAL {
                return Ok(());
            }
        }
        Err("it does not come to rest".to_owned())
    }

    /// Everything that moves while there is something to do; pings do not count.
    fn progress(&self) -> impl PartialEq + use<> {
        let reference = &self.holder.reference;
        let clients: Vec<_> = self
            .clients
            .iter()
            .map(|client| {
                (
                    client.position,
                    client.viewer.unconfirmed(),
                    client.conn,
                    client.presence.clone(),
                    client.has_exited,
                )
            })
            .collect();
        (clients, reference.end, reference.accepted.len(), reference.sizes.len(), self.last_conn)
    }

    fn everybody_is_right(&self) -> Checked {
        let reference = &self.holder.reference;
        ensure!(reference.accepted.is_empty(), "accepted input was not written");
        let writers = self.clients.iter().filter(|client| client.viewer.is_writer()).count();
        ensure!(writers <= 1, "{writers} viewers think that they write");
        for client in &self.clients {
            client.is_settled(reference)?;
        }
        let writer = reference.writer().and_then(|id| self.clients[id].winsize());
        ensure!(
            writer.is_none_or(|size| reference.is_exited || size == self.holder.session.winsize()),
            "the PTY has {:?}, its writer {writer:?}",
            self.holder.session.winsize()
        );
        Ok(())
    }
}

impl Client {
    /// The connection breaks, or ends, for the client.
    fn leave_wire(&mut self, holder: &mut Holder) {
        if let Some(wire) = self.conn.and_then(|conn| holder.wires.get_mut(&conn)) {
            wire.is_left = true;
            wire.down.clear();
        }
        self.leave();
    }
}
