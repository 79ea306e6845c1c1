//! What must come out, in a few lines: who may type, what became of every
//! typed byte, what was printed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::OnceLock,
    time::Duration,
};

use chatcode_proto::{limits, pb};

use crate::{
    answers::Answers,
    screen::{ANSWER, Tape},
};

pub(crate) type Time = Duration;
/// A client, by its place; each has a viewer id of its own.
pub(crate) type Id = usize;

const PATTERN_BYTES: usize = 1_000_003;

/// The output of a life from `offset` on: a fixed text with lines of very
/// different lengths.
pub(crate) fn printed(epoch: u64, offset: u64, len: usize) -> impl Iterator<Item = &'static [u8]> {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    let pattern = PATTERN.get_or_init(|| {
        let mut state = 1_u32;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as u8
        };
        (0..PATTERN_BYTES)
            .map(|place| if next() < 4 && place % 50_000 < 30_000 { b'\n' } else { next() | 0x20 })
            .collect()
    });
    let from = ((offset + epoch * 7919) % PATTERN_BYTES as u64) as usize;
    let first = len.min(PATTERN_BYTES - from);
    [&pattern[from..from + first], &pattern[..len - first]].into_iter().filter(|piece| !piece.is_empty())
}

/// Whether these bytes are what was printed there.
pub(crate) fn is_printed(epoch: u64, offset: u64, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    printed(epoch, offset, bytes.len()).all(|piece| {
        let (head, tail) = rest.split_at(piece.len());
        rest = tail;
        head == piece
    })
}

/// One viewer's input in one life of the holder.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// For each byte that came: whether it was refused.
    pub(crate) refused: Vec<bool>,
    /// Numbers of accepted bytes that are not written, in order.
    waiting: VecDeque<usize>,
}

impl Ledger {
    /// The first accepted byte that was not written.
    pub(crate) fn unwritten(&self) -> Option<usize> {
        self.waiting.front().copied()
    }
}

/// A life of the holder as it should be.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) epoch: u64,
    pub(crate) log_bytes: u64,
    /// Where the output ends.
    pub(crate) end: u64,
    pub(crate) ledgers: BTreeMap<Id, Ledger>,
    /// Accepted input that is not written, in the order of its coming: whose,
    /// and the byte. Answers are nobody's.
    pub(crate) accepted: VecDeque<(Option<Id>, u8)>,
    pub(crate) answers: Answers,
    /// The sizes that the PTY got, each with the end of the output then.
    pub(crate) sizes: Vec<(u64, pb::Winsize)>,
    /// Who holds the lease, and since when it is away.
    pub(crate) lease: Option<(Id, Option<Time>)>,
    pub(crate) is_exited: bool,
}

impl Reference {
    pub(crate) fn new(epoch: u64, log_bytes: u64) -> Self {
        Self {
            epoch,
            log_bytes,
            end: 0,
            ledgers: BTreeMap::new(),
            accepted: VecDeque::new(),
            answers: Answers::default(),
            sizes: Vec::new(),
            lease: None,
            is_exited: false,
        }
    }

    /// The screen before the byte at `offset` is fed to it.
    pub(crate) fn screen(&self, offset: u64) -> Tape {
        let mut screen = Tape::default();
        for (at, winsize) in self.sizes.iter().take_while(|(at, _)| *at <= offset) {
            screen.bytes = *at;
            screen.resized(*winsize);
        }
        screen.bytes = offset;
        screen
    }

    pub(crate) fn writer(&self) -> Option<Id> {
        self.lease.map(|(id, _)| id)
    }

    pub(crate) fn expects(&self, id: Id) -> u64 {
        self.ledgers.get(&id).map_or(0, |ledger| ledger.refused.len() as u64)
    }

    /// `is_alone`: no other who may type is there.
    pub(crate) fn attach(&mut self, id: Id, may_write: bool, is_alone: bool) {
        self.ledgers.entry(id).or_default();
        match &mut self.lease {
            Some((holder, away)) if *holder == id => {
                *away = None;
                if !may_write || self.is_exited {
                    self.lease = None;
                }
            }
            Some(_) => {}
            None => self.claim(id, may_write && is_alone),
        }
        self.lease_moved();
    }

    /// A paste is over when its viewer types no more.
    pub(crate) fn lease_moved(&mut self) {
        self.answers.end_paste_of_others(self.writer());
        self.take_answers();
    }

    /// Something was asked so often by one piece of output.
    pub(crate) fn ask(&mut self, now: Time, count: usize) {
        self.answers.ask(count);
        self.take_answers();
        self.give_up_paste(now);
    }

    fn give_up_paste(&mut self, now: Time) {
        if self.accepted.is_empty() {
            self.answers.give_up_paste(now);
            self.take_answers();
        }
    }

    fn take_answers(&mut self) {
        self.accepted.extend((0..self.answers.take()).map(|_| (None, ANSWER)));
    }

    /// The first writer that attaches or types gets a free lease.
    pub(crate) fn claim(&mut self, id: Id, may_write: bool) {
        if self.lease.is_none() && may_write && !self.is_exited {
            self.lease = Some((id, None));
        }
    }

    pub(crate) fn broken(&mut self, now: Time, id: Id) {
        if let Some((holder, away)) = &mut self.lease
            && *holder == id
        {
            *away = Some(now);
        }
    }

    pub(crate) fn pass(&mut self, now: Time) {
        if self.lease.and_then(|(_, away)| away).is_some_and(|since| now >= since + limits::LEASE_GRACE) {
            self.lease = None;
        }
        self.lease_moved();
        self.give_up_paste(now);
    }

    pub(crate) fn input(&mut self, now: Time, id: Id, may_write: bool, offset: u64, data: &[u8]) {
        self.claim(id, may_write);
        self.lease_moved();
        let is_taken = may_write && !self.is_exited && self.writer() == Some(id);
        let ledger = self.ledgers.entry(id).or_default();
        let first = ledger.refused.len();
        let fresh = data.get(first - offset as usize..).unwrap_or_default();
        ledger.refused.resize(first + fresh.len(), !is_taken);
        if is_taken && !fresh.is_empty() {
            ledger.waiting.extend(first..first + fresh.len());
            self.accepted.extend(fresh.iter().map(|byte| (Some(id), *byte)));
            self.answers.typed(now, id, fresh);
            self.take_answers();
        }
    }

    /// The PTY takes this byte; false when another one was due.
    pub(crate) fn write(&mut self, byte: u8) -> bool {
        let Some((id, due)) = self.accepted.pop_front() else { return false };
        match id.map(|id| self.ledgers.get_mut(&id)) {
            Some(ledger) => _ = ledger.and_then(|ledger| ledger.waiting.pop_front()),
            None => self.answers.written(),
        }
        due == byte
    }

    pub(crate) fn exit(&mut self) {
        self.is_exited = true;
        self.accepted.clear();
        self.answers = Answers::default();
        for ledger in self.ledgers.values_mut() {
            for number in std::mem::take(&mut ledger.waiting) {
                ledger.refused[number] = true;
            }
        }
    }
}
