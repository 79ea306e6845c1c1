//! Input: each viewer's bytes are numbered, and each is written to the PTY
//! once and in order, or named as refused.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf as _, BytesMut};

use super::{Time, paste::Paste};
use crate::{
    code::Refusal,
    id::ViewerId,
    limits,
    pb::{Code, InputRefused},
};

/// What a holder remembers of one viewer's input.
#[derive(Debug)]
struct Ledger {
    /// Who used the viewer id first.
    principal: String,
    /// The next byte that is expected; those below were taken or refused.
    accepted: u64,
    /// Those below were written or refused.
    settled: u64,
    refused: Vec<InputRefused>,
    seen: Time,
}

/// Neighbouring bytes of one viewer in the queue, or of the terminal's own
/// answers; never empty.
#[derive(Debug)]
struct Run {
    viewer: Option<ViewerId>,
    length: usize,
    /// The viewer's offset behind the run.
    to: u64,
    /// What is settled with its last byte: `to`, or the end of what was
    /// refused behind it.
    settles: u64,
}

/// All viewers' input, in the order of its coming.
#[derive(Debug, Default)]
pub(super) struct Input {
    ledgers: BTreeMap<ViewerId, Ledger>,
    queue: BytesMut,
    runs: VecDeque<Run>,
    /// Bytes of answers in the queue, and of those that are held.
    own: usize,
    /// Whose input is at the end of the queue, and what of a paste is.
    paste: Option<(ViewerId, Paste)>,
    /// Answers that wait for the end of the paste.
    held: Vec<u8>,
    /// When bytes last came into the queue or were written.
    moved: Time,
}

impl Input {
    /// Binds the viewer id to its principal and tells what is expected next
    /// and what was refused from `settled` on. A viewer that returns and was
    /// forgotten learns so: a number is expected that it cannot have reached.
    /// Nobody that is here is forgotten.
    ///
    /// # Errors
    /// `FORBIDDEN` when another principal has used the id.
    pub(super) fn attach(
        &mut self,
        now: Time,
        viewer: ViewerId,
        principal: &str,
        settled: u64,
        returns: bool,
        is_here: impl Fn(ViewerId) -> bool,
    ) -> Result<(u64, Vec<InputRefused>), Refusal> {
        self.make_room(viewer, is_here);
        // Far from the end of all numbers, whatever the viewer says.
        let beyond = settled.min(limits::LAST_OFFSET / 2) + limits::INPUT_UNCONFIRMED_BYTES as u64 + 1;
        let first = if returns { beyond } else { 0 };
        let ledger = self.ledgers.entry(viewer).or_insert_with(|| Ledger {
            principal: principal.to_owned(),
            accepted: first,
            settled: first,
            refused: Vec::new(),
            seen: now,
        });
        if ledger.principal != principal {
            return Err(Refusal::new(
                Code::Forbidden,
                "this viewer id belongs to somebody else; use a new one",
            ));
        }
        ledger.seen = now;
        ledger.refused.retain(|range| range.to > settled);
        Ok((ledger.accepted, ledger.refused.clone()))
    }

    /// Takes input for the PTY, or refuses it with `refuse`. Bytes that came
    /// before are skipped. Gives the range that was refused now.
    ///
    /// # Errors
    /// `INPUT_GAP` when bytes before `offset` never came.
    pub(super) fn take(
        &mut self,
        now: Time,
        viewer: ViewerId,
        offset: u64,
        data: &[u8],
        refuse: Option<Code>,
    ) -> Result<Option<InputRefused>, Refusal> {
        let Some(ledger) = self.ledgers.get_mut(&viewer) else {
            return Err(Refusal::new(Code::Protocol, "input came before the attachment"));
        };
        ledger.seen = now;
        let Some(skip) = ledger.accepted.checked_sub(offset) else {
            return Err(Refusal::new(
                Code::InputGap,
                format!("input {}..{offset} never came; attach again", ledger.accepted),
            ));
        };
        let fresh = usize::try_from(skip).ok().and_then(|skip| data.get(skip..)).unwrap_or_default();
        if fresh.is_empty() {
            return Ok(None);
        }
        let from = ledger.accepted;
        ledger.accepted += fresh.len() as u64;
        let to = ledger.accepted;
        let Some(code) = refuse else {
            self.queue_up(now, viewer, fresh, to);
            return Ok(None);
        };
        let range = InputRefused { from, to, code: code.into() };
        remember(&mut ledger.refused, range);
        match self.runs.iter_mut().rfind(|run| run.viewer == Some(viewer)) {
            Some(last) => last.settles = to,
            None => ledger.settled = to,
        }
        Ok(Some(range))
    }

    /// Puts input behind what waits; `to` is its viewer's offset behind it.
    fn queue_up(&mut self, now: Time, viewer: ViewerId, fresh: &[u8], to: u64) {
        self.end_paste_of_others(Some(viewer));
        self.queue.extend_from_slice(fresh);
        self.push_run(viewer, fresh.len(), to);
        self.moved = now;
        self.paste.get_or_insert((viewer, Paste::default())).1.feed(fresh);
        if !self.is_pasting() {
            self.let_go();
        }
    }

    fn is_pasting(&self) -> bool {
        self.paste.as_ref().is_some_and(|(_, paste)| paste.is_open())
    }

    /// Only this viewer types from now on: a paste of somebody else's is over,
    /// whether its end came or not.
    pub(super) fn end_paste_of_others(&mut self, writer: Option<ViewerId>) {
        if self.paste.as_ref().is_some_and(|(viewer, _)| Some(*viewer) != writer) {
            self.end_paste();
        }
    }

    fn end_paste(&mut self) {
        self.paste = None;
        self.let_go();
    }

    /// Puts what the terminal answers behind what waits, and never into a paste
    /// that goes on; nobody is told of it. Beyond [`limits::ANSWERS_BYTES`] it
    /// is dropped.
    pub(super) fn push_own(&mut self, now: Time, answers: &[u8]) {
        if answers.is_empty() || self.own + answers.len() > limits::ANSWERS_BYTES {
            return;
        }
        self.own += answers.len();
        self.held.extend_from_slice(answers);
        if !self.is_pasting() {
            self.let_go();
        }
        self.handle_timeout(now);
    }

    /// When [`Self::handle_timeout`] lets answers go at the latest.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        // What waits of a paste is written first, whenever that is.
        (!self.held.is_empty() && self.queue.is_empty()).then(|| self.moved + limits::PASTE_STALL)
    }

    /// Gives a paste up that has stalled while answers wait for its end.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        if self.next_timeout().is_some_and(|due| due <= now) {
            self.end_paste();
        }
    }

    /// The next bytes for the PTY.
    pub(super) fn next(&self) -> &[u8] {
        &self.queue
    }

    /// Whether more input may come.
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < limits::INPUT_QUEUE_BYTES && self.runs.len() < limits::INPUT_RUNS
    }

    /// `n` bytes of [`Self::next`] were written; calls `confirm` for each
    /// viewer whose settled offset moved.
    pub(super) fn written(&mut self, now: Time, n: usize, mut confirm: impl FnMut(ViewerId, u64)) {
        let mut left = n.min(self.queue.len());
        self.queue.advance(left);
        self.moved = now;
        while left > 0
            && let Some(run) = self.runs.front_mut()
        {
            let length = run.length.min(left);
            run.length -= length;
            left -= length;
            let (viewer, is_done) = (run.viewer, run.length == 0);
            let settled = if is_done { run.settles } else { run.to.saturating_sub(run.length as u64) };
            if is_done {
                self.runs.pop_front();
            }
            let Some(viewer) = viewer else {
                self.own -= length;
                continue;
            };
            if let Some(ledger) = self.ledgers.get_mut(&viewer) {
                ledger.settled = settled;
                confirm(viewer, settled);
            }
        }
    }

    /// Everything below this offset was written or refused.
    pub(super) fn settled(&self, viewer: ViewerId) -> u64 {
        self.ledgers.get(&viewer).map_or(0, |ledger| ledger.settled)
    }

    /// What still waits will not be written: the PTY is gone. Calls `refused`
    /// for each viewer's range.
    pub(super) fn drop_queue(&mut self, mut refused: impl FnMut(ViewerId, InputRefused)) {
        self.queue.clear();
        self.held.clear();
        self.own = 0;
        for run in std::mem::take(&mut self.runs) {
            let Some(viewer) = run.viewer else { continue };
            let Some(ledger) = self.ledgers.get_mut(&viewer) else { continue };
            ledger.settled = run.settles;
            let from = run.to - run.length as u64;
            let range = InputRefused { from, to: run.to, code: Code::SessionEnded.into() };
            remember(&mut ledger.refused, range);
            refused(viewer, range);
        }
    }

    /// Puts the answers that were held into the queue.
    fn let_go(&mut self) {
        if self.held.is_empty() {
            return;
        }
        self.queue.extend_from_slice(&self.held);
        self.runs.push_back(Run { viewer: None, length: self.held.len(), to: 0, settles: 0 });
        // Its room too: pastes with answers are rare.
        self.held = Vec::new();
    }

    fn push_run(&mut self, viewer: ViewerId, length: usize, to: u64) {
        match self.runs.back_mut() {
            // Only runs of whole neighbours grow, so that `to` minus `length`
            // stays the run's beginning.
            Some(last)
                if last.viewer == Some(viewer)
                    && last.settles + length as u64 == to
                    && last.settles == last.to =>
            {
                last.length += length;
                (last.to, last.settles) = (to, to);
            }
            _ => self.runs.push_back(Run { viewer: Some(viewer), length, to, settles: to }),
        }
    }

    /// Forgets the viewer that was away longest when there are too many.
    fn make_room(&mut self, newcomer: ViewerId, is_here: impl Fn(ViewerId) -> bool) {
        if self.ledgers.len() < limits::REMEMBERED_VIEWERS || self.ledgers.contains_key(&newcomer) {
            return;
        }
        let waits = |viewer: ViewerId| self.runs.iter().any(|run| run.viewer == Some(viewer));
        let away = self.ledgers.iter().filter(|(viewer, _)| !waits(**viewer) && !is_here(**viewer));
        let oldest = away.min_by_key(|(_, ledger)| ledger.seen);
        if let Some(viewer) = oldest.map(|(viewer, _)| *viewer) {
            self.ledgers.remove(&viewer);
        }
    }
}

/// Adds a refused range; beyond the limit the two oldest become one.
fn remember(refused: &mut Vec<InputRefused>, range: InputRefused) {
    match refused.last_mut() {
        Some(last) if last.to == range.from && last.code == range.code => last.to = range.to,
        _ => refused.push(range),
    }
    if refused.len() > limits::REMEMBERED_REFUSALS {
        let oldest = refused.remove(0);
        refused[0].from = oldest.from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ViewerId = ViewerId::new([1; 16]);
    const B: ViewerId = ViewerId::new([2; 16]);
    const NOW: Time = Time::ZERO;

    fn with(viewers: &[ViewerId]) -> Input {
        let mut input = Input::default();
        for viewer in viewers {
            input.attach(NOW, *viewer, "p", 0, false, |_| false).expect("a new viewer");
        }
        input
    }

    fn write(input: &mut Input, n: usize) -> Vec<(ViewerId, u64)> {
        let mut confirmed = Vec::new();
        input.written(NOW, n, |viewer, offset| confirmed.push((viewer, offset)));
        confirmed
    }

    #[test]
    fn bytes_that_came_before_are_skipped() {
        let mut input = with(&[A]);
        input.take(NOW, A, 0, b"abc", None).expect("in order");
        input.take(NOW, A, 1, b"bcde", None).expect("overlaps");
        input.take(NOW, A, 0, b"ab", None).expect("all known");
        assert_eq!(input.next(), b"abcde");
    }

    #[test]
    fn a_hole_is_refused_and_changes_nothing() {
        let mut input = with(&[A]);
        let refusal = input.take(NOW, A, 1, b"b", None).unwrap_err();
        assert_eq!(refusal.code, Code::InputGap);
        assert_eq!(input.next(), b"");
        input.take(NOW, A, 0, b"a", None).expect("still expected");
    }

    #[test]
    fn bytes_are_confirmed_after_the_write_and_to_their_viewer() {
        let mut input = with(&[A, B]);
        input.take(NOW, A, 0, b"aaa", None).expect("taken");
        input.take(NOW, B, 0, b"bb", None).expect("taken");
        input.take(NOW, A, 3, b"a", None).expect("taken");
        assert_eq!(write(&mut input, 2), [(A, 2)]);
        assert_eq!(write(&mut input, 2), [(A, 3), (B, 1)]);
        assert_eq!(write(&mut input, 2), [(B, 2), (A, 4)]);
        assert_eq!(input.next(), b"");
    }

    #[test]
    fn refused_bytes_use_up_their_numbers() {
        let mut input = with(&[A]);
        let range = input.take(NOW, A, 0, b"no", Some(Code::NotWriter)).expect("in order").expect("refused");
        assert_eq!((range.from, range.to), (0, 2));
        input.take(NOW, A, 2, b"yes", None).expect("goes on");
        assert_eq!(input.next(), b"yes");
        let (expected, refused) = input.attach(NOW, A, "p", 0, true, |_| false).expect("the same principal");
        assert_eq!((expected, refused.len()), (5, 1));
        let (_, refused) = input.attach(NOW, A, "p", 2, true, |_| false).expect("the same principal");
        assert!(refused.is_empty(), "the viewer knows already");
    }

    #[test]
    fn a_refusal_behind_waiting_bytes_is_settled_after_them() {
        let mut input = with(&[A]);
        input.take(NOW, A, 0, b"ab", None).expect("taken");
        input.take(NOW, A, 2, b"cd", Some(Code::NotWriter)).expect("in order");
        assert_eq!(input.settled(A), 0);
        assert_eq!(write(&mut input, 1), [(A, 1)]);
        assert_eq!(write(&mut input, 1), [(A, 4)]);
    }

    #[test]
    fn what_waits_is_bounded_however_much_is_refused_behind_it() {
        let mut input = with(&[A, B]);
        input.take(NOW, A, 0, b"a", None).expect("taken");
        input.take(NOW, B, 0, b"b", None).expect("taken");
        for n in 1..10_000 {
            for viewer in [A, B] {
                input.take(NOW, viewer, n, b"x", Some(Code::NotWriter)).expect("in order");
            }
        }
        assert_eq!(input.runs.len(), 2);
        assert_eq!(write(&mut input, 2), [(A, 10_000), (B, 10_000)]);
    }

    #[test]
    fn runs_of_waiting_bytes_are_bounded_too() {
        let mut input = with(&[A, B]);
        let mut n = 0;
        while input.has_room() {
            for viewer in [A, B] {
                input.take(NOW, viewer, n, b"x", None).expect("in order");
            }
            n += 1;
        }
        assert!(input.runs.len() <= limits::INPUT_RUNS + 1, "{}", input.runs.len());
        write(&mut input, 2 * n as usize);
        assert!(input.has_room());
        assert_eq!((input.settled(A), input.settled(B)), (n, n));
    }

    #[test]
    fn a_viewer_id_belongs_to_its_first_principal() {
        let mut input = with(&[A]);
        assert_eq!(input.attach(NOW, A, "q", 0, false, |_| false).unwrap_err().code, Code::Forbidden);
    }

    #[test]
    fn viewers_and_refusals_that_are_remembered_are_bounded() {
        let mut input = Input::default();
        for n in 0..2 * limits::REMEMBERED_VIEWERS as u64 {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            input
                .attach(Time::from_secs(n), ViewerId::new(id), "p", 0, false, |_| false)
                .expect("room is made");
        }
        assert_eq!(input.ledgers.len(), limits::REMEMBERED_VIEWERS);
        let mut input = with(&[A]);
        for n in 0..100 {
            let refuse = (n % 2 == 0).then_some(Code::NotWriter);
            input.take(NOW, A, n, b"x", refuse).expect("in order");
        }
        let (_, refused) = input.attach(NOW, A, "p", 0, true, |_| false).expect("the same principal");
        assert_eq!(refused.len(), limits::REMEMBERED_REFUSALS);
        assert_eq!((refused[0].from, refused[7].to), (0, 99), "none is left out");
    }

    #[test]
    fn one_who_is_here_is_never_forgotten_and_one_who_was_is_told() {
        let mut input = with(&[A, B]);
        for n in 10..10 + limits::REMEMBERED_VIEWERS as u64 {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            let attached = input.attach(Time::from_secs(n), ViewerId::new(id), "p", 0, false, |id| id == A);
            attached.expect("room is made");
        }
        input.take(NOW, A, 0, b"x", None).expect("is known");
        let (expected, _) = input.attach(NOW, B, "p", 7, true, |_| false).expect("is new again");
        assert!(expected > 7 + limits::INPUT_UNCONFIRMED_BYTES as u64, "{expected}");
        let (expected, _) =
            input.attach(NOW, ViewerId::new([9; 16]), "p", 0, false, |_| false).expect("is new");
        assert_eq!(expected, 0);
        let (expected, _) =
            input.attach(NOW, ViewerId::new([8; 16]), "p", u64::MAX, true, |_| false).expect("is new");
        assert!(expected < limits::LAST_INPUT, "a viewer takes no other");
    }

    #[test]
    fn what_waits_when_the_pty_is_gone_is_refused_by_name() {
        let mut input = with(&[A]);
        input.take(NOW, A, 0, b"abc", None).expect("taken");
        write(&mut input, 1);
        let mut refused = Vec::new();
        input.drop_queue(|_, range| refused.push((range.from, range.to)));
        assert_eq!(refused, [(1, 3)]);
        assert_eq!((input.settled(A), input.next()), (3, &b""[..]));
    }

    const STALL: Time = limits::PASTE_STALL;

    #[test]
    fn an_answer_waits_for_the_end_of_a_paste_whatever_the_frames() {
        let text = b"a\x1b[200~many\nlines\x1b[201~";
        for cut in 4..text.len() {
            let mut input = with(&[A]);
            input.take(NOW, A, 0, &text[..cut], None).expect("taken");
            write(&mut input, cut / 2);
            input.push_own(NOW, b"!");
            input.push_own(NOW, b"?");
            assert_eq!(input.next(), &text[cut / 2..cut]);
            input.take(NOW, A, cut as u64, &text[cut..], None).expect("taken");
            assert_eq!(input.next(), [&text[cut / 2..], b"!?"].concat(), "cut at {cut}");
            let left = text.len() - cut / 2 + 2;
            assert_eq!(write(&mut input, left), [(A, text.len() as u64)], "answers count for nobody");
            assert_eq!((input.next_timeout(), input.own), (None, 0));
        }
    }

    #[test]
    fn an_answer_outside_of_a_paste_waits_for_nothing() {
        let mut input = with(&[A]);
        input.take(NOW, A, 0, b"\x1b", None).expect("taken");
        input.push_own(NOW, b"!");
        input.take(NOW, A, 1, b"\x1b[200~x\x1b[201~", None).expect("taken");
        input.push_own(NOW, b"!");
        assert_eq!(input.next(), b"\x1b!\x1b[200~x\x1b[201~!");
    }

    #[test]
    fn a_paste_that_stalls_holds_answers_for_a_moment_only() {
        let mut input = with(&[A]);
        input.take(NOW, A, 0, b"\x1b[200~a", None).expect("taken");
        input.push_own(NOW, b"!");
        input.handle_timeout(10 * STALL);
        assert_eq!(
            (input.next(), input.next_timeout()),
            (&b"\x1b[200~a"[..], None),
            "it waits behind the paste"
        );
        input.written(STALL, 7, |_, _| ());
        assert_eq!(input.next_timeout(), Some(2 * STALL));
        input.take(2 * STALL, A, 7, b"b", None).expect("it goes on");
        input.written(2 * STALL, 1, |_, _| ());
        input.handle_timeout(2 * STALL);
        assert_eq!((input.next(), input.next_timeout()), (&b""[..], Some(3 * STALL)));
        input.handle_timeout(3 * STALL);
        assert_eq!((input.next(), input.next_timeout()), (&b"!"[..], None));
        input.push_own(3 * STALL, b"?");
        assert_eq!(input.next(), b"!?", "it is a paste no more");
    }

    #[test]
    fn a_paste_that_stalled_before_an_answer_came_does_not_hold_it() {
        let mut input = with(&[A]);
        input.take(NOW, A, 0, b"\x1b[200~a", None).expect("taken");
        write(&mut input, 7);
        input.push_own(STALL, b"!");
        assert_eq!(input.next(), b"!");
    }

    #[test]
    fn answers_that_wait_are_bounded_and_go_with_the_pty() {
        let mut input = with(&[A]);
        input.take(NOW, A, 0, b"\x1b[200~", None).expect("taken");
        for _ in 0..limits::ANSWERS_BYTES {
            input.push_own(NOW, b"!?");
        }
        input.take(NOW, A, 6, b"\x1b[201~", None).expect("taken");
        assert_eq!(input.next().len(), 12 + limits::ANSWERS_BYTES);
        input.take(NOW, A, 12, b"\x1b[200~", None).expect("taken");
        input.drop_queue(|_, _| ());
        input.push_own(NOW, b"!");
        assert_eq!((input.next(), input.own), (&b""[..], 1), "the paste never ended");
        input.drop_queue(|_, _| ());
        assert_eq!((input.next_timeout(), input.own), (None, 0));
    }
}
