//! One session with one viewer: types, looks at what is shown, and says how long
//! nothing came.

use std::{cell::RefCell, collections::VecDeque, time::Duration};

use anyhow::{Context as _, ensure};
use chatcode_harness::{PATIENCE, Page, Terminal};
use chatcode_proto::pb;
use tokio::time::Instant;

use crate::{
    checker::Checker,
    figures::Felt,
    line::{Order, Typed},
    schedule::Typing,
};

/// How often a session looks at what is to be done, at least.
const LOOK: Duration = Duration::from_millis(100);
/// More than this of one turn does not count as standing still: the machine slept.
const TURN: Duration = Duration::from_secs(5);
/// What all sessions and the schedule share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Nothing breaks any more: type the last line once everything was seen.
    pub(crate) is_over: bool,
    pub(crate) felt: Felt,
}

/// A session that runs.
#[derive(Debug)]
pub(crate) struct Session {
    seed: u64,
    terminal: Terminal,
    checker: Checker,
    typing: Typing,
    /// When the next line is typed.
    due: Instant,
    next: Typed,
    /// Lines that have not come back, with the times when they were typed.
    under_way: VecDeque<(u64, Instant)>,
    /// When the last line came.
    came: Instant,
    /// How long it waits for the next, as far as that counts.
    stood: Duration,
}

/// What became of a session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Account {
    pub(crate) lines: u64,
    pub(crate) typed: u64,
    pub(crate) resumes: u64,
    pub(crate) gaps: u64,
    pub(crate) from_history: u64,
    pub(crate) beyond: u64,
}

impl Session {
    /// Starts the program in a session, and waits for its first line.
    ///
    /// # Errors
    /// When the machine refuses or the line does not come.
    pub(crate) async fn start(page: &Page, gateway: &str, seed: u64) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?.display().to_string();
        let command = vec![program, "program".to_owned(), seed.to_string()];
        let request = pb::SessionsCreateRequest { command, ..Default::default() };
        let target = page.create_session(gateway, &request).await?;
        let mut typing = Typing::new(seed);
        let (pause, next) = typing.next().context("typing has no end")?;
        let now = Instant::now();
        let mut session = Self {
            seed,
            terminal: Terminal::new(page, &target, pb::Role::Writer),
            checker: Checker::new(seed),
            typing,
            due: now + pause,
            next,
            under_way: VecDeque::new(),
            came: now,
            stood: Duration::ZERO,
        };
        let began = Instant::now();
        while session.checker.lines() == 0 {
            ensure!(began.elapsed() < PATIENCE, "the program does not print");
            session.turn(&RefCell::default()).await?;
        }
        Ok(session)
    }

    /// Types and looks until it is over and everything was seen.
    ///
    /// # Errors
    /// What was lost, doubled, spoilt, or does not go on.
    pub(crate) async fn run(mut self, shared: &RefCell<Shared>) -> anyhow::Result<Account> {
        while !shared.borrow().is_over {
            self.type_what_is_due()?;
            self.turn(shared).await?;
        }
        while !(self.checker.is_whole() && self.under_way.is_empty()) {
            self.turn(shared).await?;
        }
        self.enter(Typed { order: Order::End, padding: 0, ..self.next })?;
        while self.terminal.exit.is_none() {
            self.turn(shared).await?;
        }
        self.account()
    }

    fn account(&self) -> anyhow::Result<Account> {
        let exit = self.terminal.exit.context("an exit")?;
        let typed = self.next.number;
        ensure!(exit.code == 0, "the program ended with {exit:?}");
        ensure!(self.checker.echoed == typed, "{} of {typed} lines came back", self.checker.echoed);
        ensure!(self.checker.is_whole(), "it ended before all lines were seen: {:?}", self.checker);
        Ok(Account {
            lines: self.checker.lines(),
            typed,
            resumes: u64::from(self.terminal.attachments - 1),
            gaps: self.checker.gaps,
            from_history: self.checker.from_history,
            beyond: self.checker.beyond,
        })
    }

    fn type_what_is_due(&mut self) -> anyhow::Result<()> {
        while self.due <= Instant::now() {
            self.enter(self.next)?;
            let (pause, next) = self.typing.next().context("typing has no end")?;
            (self.due, self.next) = (self.due + pause, next);
        }
        Ok(())
    }

    fn enter(&mut self, typed: Typed) -> anyhow::Result<()> {
        self.under_way.push_back((typed.number, Instant::now()));
        self.terminal.enter(&(typed.text(self.seed) + "\n"))
    }

    async fn turn(&mut self, shared: &RefCell<Shared>) -> anyhow::Result<()> {
        let (lines, began) = (self.checker.lines(), Instant::now());
        let look = began + LOOK;
        let is_due_before = self.due > began && self.due < look;
        for event in self.terminal.turn_until(if is_due_before { self.due } else { look }).await? {
            self.checker.take(&event)?;
        }
        if self.checker.asks() {
            self.terminal.viewer().request_snapshot();
        }
        let now = Instant::now();
        let felt = &mut shared.borrow_mut().felt;
        if self.checker.lines() > lines {
            felt.stalled(self.came, &self.terminal.last_error);
            (self.came, self.stood) = (now, Duration::ZERO);
        } else {
            self.stood += (now - began).min(TURN);
            ensure!(self.stood <= PATIENCE, "nothing came for {PATIENCE:?}: {:?}", self.terminal);
        }
        while let Some((_, typed)) = self.under_way.pop_front_if(|(number, _)| *number <= self.checker.echoed)
        {
            felt.came_back(now - typed);
        }
        Ok(())
    }
}
