//! One viewer's live connection: its place in the output, its credit, and what
//! it has still to be told.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Allowance, Time, log::OutputLog, pace::Pace, parts};
use crate::{
    code::Refusal,
    id::ViewerId,
    limits,
    pb::{self, server_frame::Kind},
};

/// An attachment that was accepted.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) viewer_id: ViewerId,
    /// Its number in the presence.
    pub(super) number: u32,
    pub(super) display_name: String,
    pub(super) role: pb::Role,
    pub(super) winsize: Option<pb::Winsize>,
    pub(super) theme: Option<pb::Theme>,
    pub(super) pace: Pace,
    pub(super) news: News,
    /// The next output byte for this viewer.
    cursor: u64,
    allowance: Allowance,
    /// Parts of a snapshot that are still to be sent.
    snapshot: VecDeque<pb::Snapshot>,
    /// The viewer has asked for a snapshot with so many lines.
    wished: Option<u32>,
    /// Sizes of the PTY that were not told yet, each at its place.
    resizes: VecDeque<pb::Resized>,
    /// There were more of them than are kept.
    has_lost_sizes: bool,
    /// Who types has interrupted the program whose output waits here.
    has_interrupted: bool,
    has_told_exit: bool,
}

/// What a viewer has still to be told, besides output. Everything but pongs and
/// refusals is only the newest state, so none of it grows.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) attached: Option<pb::Attached>,
    pub(super) refused: VecDeque<pb::InputRefused>,
    pub(super) confirmed: Option<u64>,
    /// When the confirmation goes out even without output to go with.
    pub(super) confirm_at: Option<Time>,
    /// That time has come, or output goes out.
    confirm_is_due: bool,
    pub(super) presence: bool,
    pub(super) titled: bool,
    pub(super) pongs: VecDeque<u64>,
}

impl News {
    fn is_confirm_due(&self, now: Time) -> bool {
        self.confirm_is_due || self.confirm_at.is_some_and(|due| now >= due)
    }
}

impl Attachment {
    /// A new attachment that is sent the output from `cursor` on.
    pub(super) fn new(
        viewer_id: ViewerId,
        number: u32,
        who: super::Who,
        role: pb::Role,
        winsize: Option<pb::Winsize>,
        window: u32,
        cursor: u64,
    ) -> Self {
        Self {
            viewer_id,
            number,
            display_name: who.display_name,
            role,
            winsize,
            theme: None,
            pace: Pace::default(),
            news: News::default(),
            cursor,
            allowance: Allowance::new(window),
            snapshot: VecDeque::new(),
            wished: None,
            resizes: VecDeque::new(),
            has_lost_sizes: false,
            has_interrupted: false,
            has_told_exit: false,
        }
    }

    /// Bytes of the log that wait for credit.
    pub(super) const fn backlog(&self, log: &OutputLog) -> u64 {
        log.end().saturating_sub(self.cursor)
    }

    /// Takes a credit.
    ///
    /// # Errors
    /// As [`Allowance::handle_credit`].
    pub(super) fn handle_credit(
        &mut self,
        now: Time,
        credit: pb::Credit,
        log: &OutputLog,
    ) -> Result<(), Refusal> {
        let fresh = self.allowance.handle_credit(credit)?;
        let has_backlog = self.backlog(log) > 0 || self.allowance.is_under_way();
        self.pace.handle_rendered(now, fresh, has_backlog);
        Ok(())
    }

    /// Whether [`Self::next_frame`] would give one.
    pub(super) fn has_frame(&self, now: Time, log: &OutputLog, has_exit: bool) -> bool {
        let news = &self.news;
        news.attached.is_some()
            || !news.refused.is_empty()
            || news.presence
            || self.has_snapshot_part()
            || self.is_at_a_resize()
            || news.titled
            || !news.pongs.is_empty()
            || news.is_confirm_due(now)
            || (has_exit && news.confirmed.is_some())
            || self.room(log) > 0
            || (has_exit && self.is_ready_for_exit(log))
    }

    /// The next frame: news first, then output as credit allows, at last the
    /// exit.
    pub(super) fn next_frame(&mut self, now: Time, log: &OutputLog, session: &Told<'_>) -> Option<Kind> {
        let news = &mut self.news;
        if let Some(attached) = news.attached.take() {
            return Some(Kind::Attached(attached));
        }
        if let Some(refused) = news.refused.pop_front() {
            return Some(Kind::InputRefused(refused));
        }
        // Nothing comes after the exit, so what was written is confirmed before.
        if news.is_confirm_due(now) || (session.exit.is_some() && news.confirmed.is_some()) {
            (news.confirm_at, news.confirm_is_due) = (None, false);
            let offset = news.confirmed.take()?;
            return Some(Kind::InputConfirmed(pb::InputConfirmed { offset }));
        }
        if std::mem::take(&mut news.presence) {
            return Some(Kind::Presence(session.presence.clone()));
        }
        if std::mem::take(&mut news.titled) {
            let (title, name) = (session.title.to_owned(), session.name.to_owned());
            return Some(Kind::Titled(pb::Titled { title, name }));
        }
        if let Some(stamp) = news.pongs.pop_front() {
            return Some(Kind::Pong(pb::Pong { stamp }));
        }
        if self.has_snapshot_part() {
            return self.next_snapshot_part().map(Kind::Snapshot);
        }
        if self.is_at_a_resize()
            && let Some(resized) = self.resizes.pop_front()
        {
            return Some(Kind::Resized(resized));
        }
        self.next_output(log).or_else(|| self.next_exit(log, session.exit))
    }

    /// Whether the next that it is told is a size of the PTY.
    fn is_at_a_resize(&self) -> bool {
        self.snapshot.is_empty()
            && !self.has_lost_sizes
            && self.resizes.front().is_some_and(|resized| resized.offset <= self.cursor)
    }

    /// The PTY has another size from now on.
    pub(super) fn resized(&mut self, resized: pb::Resized) {
        if self.resizes.len() >= limits::RESIZES_UNTOLD {
            self.resizes.clear();
            self.has_lost_sizes = true;
        }
        self.resizes.push_back(resized);
    }

    /// The viewer asks for a snapshot.
    pub(super) fn wish_history(&mut self, lines: u32) {
        self.wished = Some(lines.min(limits::HISTORY_LINES));
    }

    /// The viewer has typed what interrupts a program: of the output that waits
    /// it wants the end.
    pub(super) fn interrupt(&mut self, log: &OutputLog) {
        self.has_interrupted = self.backlog(log) > limits::INTERRUPT_BACKLOG;
    }

    /// The snapshot that is to be begun now: one that the viewer has asked for,
    /// or one that moves it to the present. Half of its window has to be free,
    /// unless it waits for the end: who digests slowly is not sent one after the
    /// other.
    pub(super) fn due_snapshot(&self, log: &OutputLog, writer: Option<ViewerId>) -> Option<Due> {
        let free = self.allowance.room();
        let is_waiting = self.has_interrupted && self.backlog(log) > limits::INTERRUPT_BACKLOG;
        let needed = if is_waiting { 1 } else { self.allowance.window() / 2 };
        if self.has_told_exit || !self.snapshot.is_empty() || free < needed {
            return None;
        }
        if let Some(history_lines) = self.wished {
            return Some(Due { history_lines, skipped: false });
        }
        let cannot_go_on = self.cursor < log.start() || self.has_lost_sizes;
        (cannot_go_on || is_waiting || self.is_behind(log, writer))
            .then_some(Due { history_lines: 0, skipped: true })
    }

    /// Whether it is so far behind that it is moved to the present. The PTY
    /// waits for the `writer`, so only once it no longer does is the writer.
    fn is_behind(&self, log: &OutputLog, writer: Option<ViewerId>) -> bool {
        let is_writer = writer == Some(self.viewer_id);
        let most = if is_writer { u64::from(limits::WINDOW_MIN_BYTES) } else { limits::LOOKER_BACKLOG };
        (!is_writer || self.pace.is_behind()) && self.backlog(log) > most + self.allowance.window()
    }

    /// Sends `data`, a snapshot of the output up to `end`, instead of what is
    /// between.
    pub(super) fn begin_snapshot(&mut self, data: Vec<u8>, end: u64, winsize: pb::Winsize, skipped: bool) {
        if skipped {
            self.pace.handle_fell_out();
        }
        self.cursor = end;
        self.wished = None;
        self.has_interrupted = false;
        self.resizes.clear();
        self.has_lost_sizes = false;
        self.snapshot = parts(Bytes::from(data), end, Some(winsize), skipped).collect();
    }

    /// Whether a part of a snapshot may be sent now; it may reach beyond the
    /// window.
    fn has_snapshot_part(&self) -> bool {
        !self.snapshot.is_empty() && self.allowance.room() > 0
    }

    fn next_snapshot_part(&mut self) -> Option<pb::Snapshot> {
        let part = self.snapshot.pop_front()?;
        self.allowance.send(part.data.len());
        Some(part)
    }

    fn next_output(&mut self, log: &OutputLog) -> Option<Kind> {
        let room = self.room(log);
        if room == 0 {
            return None;
        }
        let data = log.read(self.cursor, room);
        let offset = self.cursor;
        self.cursor += data.len() as u64;
        self.allowance.send(data.len());
        self.has_interrupted &= self.cursor < log.end();
        // A confirmation travels with the echo rather than alone before it.
        if self.news.confirmed.is_some() {
            (self.news.confirm_at, self.news.confirm_is_due) = (None, true);
        }
        Some(Kind::Output(pb::Output { offset, data }))
    }

    fn next_exit(&mut self, log: &OutputLog, exit: Option<&pb::Exit>) -> Option<Kind> {
        let exit = exit.filter(|_| self.is_ready_for_exit(log))?;
        self.has_told_exit = true;
        Some(Kind::Exited(pb::Exited { offset: log.end(), exit: Some(*exit) }))
    }

    /// Whether the exit is all that it has still to be told of the output.
    fn is_ready_for_exit(&self, log: &OutputLog) -> bool {
        !self.has_told_exit && self.snapshot.is_empty() && self.backlog(log) == 0
    }

    /// Whether the viewer knows that the shell has ended.
    pub(super) const fn knows_exit(&self) -> bool {
        self.has_told_exit
    }

    /// Bytes that may be sent now in one frame.
    fn room(&self, log: &OutputLog) -> usize {
        if self.cursor < log.start() || !self.snapshot.is_empty() || self.has_lost_sizes {
            return 0;
        }
        let credit = self.allowance.room();
        let next_size = self.resizes.front().map_or(u64::MAX, |resized| resized.offset - self.cursor);
        let most = credit.min(self.backlog(log)).min(limits::OUTPUT_BYTES as u64).min(next_size);
        usize::try_from(most).unwrap_or(limits::OUTPUT_BYTES)
    }

    /// The confirmation goes out with the next output, or after
    /// [`limits::CONFIRM_DELAY`].
    pub(super) fn confirm(&mut self, now: Time, offset: u64) {
        self.news.confirmed = Some(offset);
        if !self.news.confirm_is_due {
            self.news.confirm_at.get_or_insert(now + limits::CONFIRM_DELAY);
        }
    }

    /// Time has passed: what is due from now on waits for room, not for a
    /// clock.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        if self.news.confirm_at.take_if(|due| now >= *due).is_some() {
            self.news.confirm_is_due = true;
        }
    }
}

/// A snapshot that is to be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Lines of history that it may bring.
    pub(super) history_lines: u32,
    /// The viewer did not ask for it.
    pub(super) skipped: bool,
}

/// The session as its viewers are told of it.
pub(super) struct Told<'a> {
    pub(super) presence: &'a pb::Presence,
    pub(super) name: &'a str,
    pub(super) title: &'a str,
    pub(super) exit: Option<&'a pb::Exit>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::ZERO;
    const WINDOW: u32 = limits::WINDOW_MIN_BYTES;

    fn attachment(cursor: u64) -> Attachment {
        let who = super::super::Who {
            principal: "p".to_owned(),
            display_name: "P".to_owned(),
            role: pb::Role::Writer,
        };
        Attachment::new(ViewerId::new([1; 16]), 1, who, pb::Role::Writer, None, WINDOW, cursor)
    }

    fn sent(attachment: &mut Attachment, log: &OutputLog) -> usize {
        let presence = pb::Presence::default();
        let told = Told { presence: &presence, name: "n", title: "", exit: None };
        let mut bytes = 0;
        while let Some(kind) = attachment.next_frame(NOW, log, &told) {
            if let Kind::Output(output) = kind {
                bytes += output.data.len();
            }
        }
        bytes
    }

    fn credit(rendered_bytes: u64) -> pb::Credit {
        pb::Credit { rendered_bytes, window_bytes: WINDOW }
    }

    #[test]
    fn no_more_is_sent_than_there_is_credit_for() {
        let mut log = OutputLog::new(1 << 20);
        log.push(&[b'x'; 100_000]);
        let mut viewer = attachment(0);
        assert_eq!(sent(&mut viewer, &log), WINDOW as usize);
        assert_eq!(sent(&mut viewer, &log), 0);
        viewer.handle_credit(NOW, credit(10_000), &log).expect("was sent");
        assert_eq!(sent(&mut viewer, &log), 10_000);
    }

    const MOVE: Option<Due> = Some(Due { history_lines: 0, skipped: true });

    #[test]
    fn a_viewer_that_is_behind_is_moved_once_it_has_room_and_never_twice_at_once() {
        let mut log = OutputLog::new(64 * 1024);
        let mut viewer = attachment(0);
        log.push(&[b'x'; 32 * 1024]);
        assert_eq!(sent(&mut viewer, &log), 32 * 1024);
        log.push(&[b'\n'; 500_000]);
        assert_eq!(viewer.due_snapshot(&log, None), None, "it has no credit to go on with");
        viewer.handle_credit(NOW, credit(20_000), &log).expect("was sent");
        assert_eq!(viewer.due_snapshot(&log, None), MOVE);
        viewer.begin_snapshot(vec![b's'; 4_000], log.end(), pb::Winsize::default(), true);
        log.push(&[b'z'; 500_000]);
        assert_eq!(sent(&mut viewer, &log), 0, "the log does not have what comes next");
        assert_eq!(viewer.due_snapshot(&log, None), None, "it has one to digest");
        viewer.handle_credit(NOW, credit(32 * 1024), &log).expect("was sent");
        assert_eq!(viewer.due_snapshot(&log, None), MOVE);
    }

    #[test]
    fn a_large_snapshot_comes_as_its_parts_are_rendered_and_the_output_behind_it() {
        let mut log = OutputLog::new(1 << 20);
        log.push(b"before");
        let mut viewer = attachment(0);
        viewer.begin_snapshot(vec![b's'; 3 * limits::OUTPUT_BYTES], 6, pb::Winsize::default(), false);
        log.push(b"behind");
        let presence = pb::Presence::default();
        let exit = pb::Exit::default();
        let told = Told { presence: &presence, name: "n", title: "", exit: Some(&exit) };
        for part in 0..3 {
            let next = viewer.next_frame(NOW, &log, &told);
            assert!(matches!(next, Some(Kind::Snapshot(snapshot)) if snapshot.part == part));
            assert_eq!(viewer.next_frame(NOW, &log, &told), None, "no credit, and no exit before the end");
            viewer.handle_credit(NOW, credit((u64::from(part) + 1) * 65_536), &log).expect("was sent");
        }
        let next = viewer.next_frame(NOW, &log, &told);
        assert!(matches!(next, Some(Kind::Output(output)) if output.offset == 6 && output.data == "behind"));
        assert!(matches!(viewer.next_frame(NOW, &log, &told), Some(Kind::Exited(_))));
    }

    #[test]
    fn a_viewer_that_missed_too_many_sizes_is_drawn_anew() {
        let mut log = OutputLog::new(1 << 20);
        let mut viewer = attachment(0);
        for offset in 1..=limits::RESIZES_UNTOLD as u64 + 1 {
            assert_eq!(viewer.due_snapshot(&log, None), None);
            log.push(b"x");
            viewer.resized(pb::Resized { winsize: None, offset });
        }
        assert_eq!(viewer.due_snapshot(&log, None), MOVE);
    }

    #[test]
    fn a_size_is_told_at_its_place_in_the_output() {
        let mut log = OutputLog::new(1 << 20);
        let mut viewer = attachment(0);
        log.push(b"before");
        viewer.resized(pb::Resized { winsize: None, offset: 6 });
        log.push(b"after");
        let presence = pb::Presence::default();
        let told = Told { presence: &presence, name: "n", title: "", exit: None };
        let mut next = || viewer.next_frame(NOW, &log, &told);
        assert!(matches!(next(), Some(Kind::Output(output)) if output.data == "before"));
        assert!(matches!(next(), Some(Kind::Resized(resized)) if resized.offset == 6));
        assert!(matches!(next(), Some(Kind::Output(output)) if output.data == "after"));
    }
}
