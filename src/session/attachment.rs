//! One viewer's live connection: its place in the output, its credit, and what
//! it has still to be told.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Time, log::OutputLog, pace::Pace};
use crate::{
    code::Refusal,
    id::ViewerId,
    limits,
    pb::{self, Code, server_frame::Kind},
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
    /// Bytes that were sent to it, of output and of snapshots.
    sent: u64,
    /// Of those, the ones it has rendered.
    rendered: u64,
    window: u64,
    /// Snapshots that the viewer may not have rendered yet: the output offsets
    /// before and after, and the bytes sent up to its end.
    jumps: VecDeque<(u64, u64, u64)>,
    /// Parts of a snapshot that are still to be sent.
    snapshot: VecDeque<pb::Snapshot>,
    /// The viewer has asked for a snapshot with so many lines.
    wished: Option<u32>,
    /// Sizes of the PTY that were not told yet, each at its place.
    resizes: VecDeque<pb::Resized>,
    /// Where `rendered` began to count.
    origin: u64,
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
            sent: 0,
            rendered: 0,
            window: clamp_window(window),
            jumps: VecDeque::new(),
            snapshot: VecDeque::new(),
            wished: None,
            resizes: VecDeque::new(),
            origin: cursor,
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
    /// `PROTOCOL` for bytes that were never sent, or for less than was told
    /// before.
    pub(super) fn handle_credit(
        &mut self,
        now: Time,
        credit: pb::Credit,
        log: &OutputLog,
    ) -> Result<(), Refusal> {
        let rendered = self.rendered_before(credit.rendered_offset);
        let Some(rendered) = rendered.filter(|bytes| (self.rendered..=self.sent).contains(bytes)) else {
            return Err(Refusal::new(
                Code::Protocol,
                format!("output up to {} cannot be on the screen; attach again", credit.rendered_offset),
            ));
        };
        let has_backlog = self.backlog(log) > 0 || self.sent > rendered;
        self.pace.handle_rendered(now, rendered - self.rendered, has_backlog);
        self.rendered = rendered;
        self.window = clamp_window(credit.window_bytes);
        while self.jumps.front().is_some_and(|(_, to, _)| *to <= credit.rendered_offset) {
            if let Some((_, to, before)) = self.jumps.pop_front() {
                self.origin = to.wrapping_sub(before);
            }
        }
        Ok(())
    }

    /// How many sent bytes are rendered with this offset; `None` where nothing
    /// was sent.
    fn rendered_before(&self, offset: u64) -> Option<u64> {
        let mut origin = self.origin;
        for (from, to, before) in &self.jumps {
            // A snapshot at the same place counts once the viewer says more.
            if offset <= *from && from != to {
                break;
            }
            if offset < *to {
                return None;
            }
            origin = to.wrapping_sub(*before);
        }
        Some(offset.wrapping_sub(origin)).filter(|bytes| *bytes <= self.sent)
    }

    /// Whether [`Self::next_frame`] would give one.
    pub(super) fn has_frame(&self, now: Time, log: &OutputLog, has_exit: bool) -> bool {
        let news = &self.news;
        news.attached.is_some()
            || !news.refused.is_empty()
            || news.presence
            || !self.snapshot.is_empty()
            || self.is_at_a_resize()
            || news.titled
            || !news.pongs.is_empty()
            || news.is_confirm_due(now)
            || (has_exit && news.confirmed.is_some())
            || self.room(log) > 0
            || (has_exit && !self.has_told_exit && self.backlog(log) == 0)
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
        if let Some(part) = self.snapshot.pop_front() {
            return Some(Kind::Snapshot(part));
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
        self.snapshot.is_empty() && self.resizes.front().is_some_and(|resized| resized.offset <= self.cursor)
    }

    /// The PTY has another size from now on.
    pub(super) fn resized(&mut self, resized: pb::Resized) {
        let is_same_place = self.resizes.back().is_some_and(|last| last.offset == resized.offset);
        if is_same_place || self.resizes.len() >= limits::RESIZES_UNTOLD {
            self.resizes.pop_back();
        }
        self.resizes.push_back(resized);
    }

    /// The viewer asks for a snapshot.
    pub(super) fn wish_history(&mut self, lines: u32) {
        self.wished = Some(lines.min(limits::HISTORY_LINES));
    }

    /// Lines that the snapshot shall bring that the viewer has asked for, if it
    /// has room for one now; it is seen to then.
    pub(super) fn wished_history(&mut self) -> Option<u32> {
        let has_room = self.has_room_for_snapshot();
        self.wished.take_if(|_| has_room)
    }

    fn has_room_for_snapshot(&self) -> bool {
        self.snapshot.is_empty() && self.sent - self.rendered < self.window / 2
    }

    /// Whether it cannot go on with the output, or is so far behind that it is
    /// moved to the present, and has room for that now. The PTY waits for the
    /// `writer`, so only once it no longer does is the writer behind.
    pub(super) fn is_to_be_moved(&self, log: &OutputLog, writer: Option<ViewerId>) -> bool {
        let is_writer = writer == Some(self.viewer_id);
        let most = if is_writer { u64::from(limits::WINDOW_MIN_BYTES) } else { limits::LOOKER_BACKLOG };
        let is_behind = (!is_writer || self.pace.is_behind()) && self.backlog(log) > most + self.window;
        (self.cursor < log.start() || is_behind) && self.has_room_for_snapshot()
    }

    /// Sends a snapshot of the output's present end instead of what is between.
    pub(super) fn begin_snapshot(&mut self, data: Vec<u8>, end: u64, winsize: pb::Winsize, skipped: bool) {
        if skipped {
            self.pace.handle_fell_out();
        }
        self.sent += data.len() as u64;
        self.jumps.push_back((self.cursor, end, self.sent));
        self.cursor = end;
        self.resizes.clear();
        let data = Bytes::from(data);
        let parts = data.len().div_ceil(limits::OUTPUT_BYTES).clamp(1, limits::SNAPSHOT_PARTS);
        self.snapshot = (0..parts)
            .map(|part| {
                let from = part * limits::OUTPUT_BYTES;
                let to = (from + limits::OUTPUT_BYTES).min(data.len());
                pb::Snapshot {
                    offset: end,
                    part: part as u32,
                    parts: parts as u32,
                    data: data.slice(from..to),
                    winsize: Some(winsize),
                    skipped,
                }
            })
            .collect();
    }

    fn next_output(&mut self, log: &OutputLog) -> Option<Kind> {
        let room = self.room(log);
        if room == 0 {
            return None;
        }
        let data = log.read(self.cursor, room);
        let offset = self.cursor;
        self.cursor += data.len() as u64;
        self.sent += data.len() as u64;
        // A confirmation travels with the echo rather than alone before it.
        if self.news.confirmed.is_some() {
            (self.news.confirm_at, self.news.confirm_is_due) = (None, true);
        }
        Some(Kind::Output(pb::Output { offset, data }))
    }

    fn next_exit(&mut self, log: &OutputLog, exit: Option<&pb::Exit>) -> Option<Kind> {
        let exit = exit.filter(|_| !self.has_told_exit && self.backlog(log) == 0)?;
        self.has_told_exit = true;
        Some(Kind::Exited(pb::Exited { offset: log.end(), exit: Some(*exit) }))
    }

    /// Whether the viewer knows that the shell has ended.
    pub(super) const fn knows_exit(&self) -> bool {
        self.has_told_exit
    }

    /// Bytes that may be sent now in one frame.
    fn room(&self, log: &OutputLog) -> usize {
        if self.cursor < log.start() {
            return 0;
        }
        if !self.snapshot.is_empty() {
            return 0;
        }
        let credit = self.window.saturating_sub(self.sent - self.rendered);
        let to_resize = self.resizes.front().map_or(u64::MAX, |resized| resized.offset.saturating_sub(self.cursor));
        let most = credit.min(self.backlog(log)).min(limits::OUTPUT_BYTES as u64).min(to_resize);
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

/// The session as its viewers are told of it.
pub(super) struct Told<'a> {
    pub(super) presence: &'a pb::Presence,
    pub(super) name: &'a str,
    pub(super) title: &'a str,
    pub(super) exit: Option<&'a pb::Exit>,
}

fn clamp_window(bytes: u32) -> u64 {
    u64::from(bytes.clamp(limits::WINDOW_MIN_BYTES, limits::WINDOW_MAX_BYTES))
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

    fn credit(rendered_offset: u64) -> pb::Credit {
        pb::Credit { rendered_offset, window_bytes: WINDOW }
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

    #[test]
    fn what_was_never_sent_cannot_be_rendered() {
        let mut log = OutputLog::new(1 << 20);
        log.push(&[b'x'; 100]);
        let mut viewer = attachment(0);
        sent(&mut viewer, &log);
        for offset in [101, u64::MAX] {
            assert_eq!(viewer.handle_credit(NOW, credit(offset), &log).unwrap_err().code, Code::Protocol);
        }
        viewer.handle_credit(NOW, credit(100), &log).expect("was sent");
        assert_eq!(
            viewer.handle_credit(NOW, credit(99), &log).unwrap_err().code,
            Code::Protocol,
            "goes back"
        );
    }

    #[test]
    fn credit_counts_what_was_sent_and_a_snapshot_until_it_is_rendered() {
        let mut log = OutputLog::new(64 * 1024);
        let mut viewer = attachment(0);
        log.push(&[b'x'; 32 * 1024]);
        assert_eq!(sent(&mut viewer, &log), 32 * 1024);
        log.push(&[b'\n'; 500_000]);
        assert!(!viewer.is_to_be_moved(&log, None), "it has no credit to go on with");
        viewer.handle_credit(NOW, credit(20_000), &log).expect("was sent");
        assert!(viewer.is_to_be_moved(&log, None));
        let (from, to) = (32 * 1024, log.end());
        viewer.begin_snapshot(vec![b's'; 10_000], to, pb::Winsize::default(), true);
        assert!(!viewer.is_to_be_moved(&log, None), "it has one to digest");
        log.push(&[b'z'; 50_000]);
        assert_eq!(sent(&mut viewer, &log), 20_000 - 10_000);
        viewer.handle_credit(NOW, credit(from), &log).expect("all before the snapshot");
        assert_eq!(sent(&mut viewer, &log), from as usize - 20_000);
        assert!(viewer.handle_credit(NOW, credit(from + 1), &log).is_err(), "nothing was sent there");
        viewer.handle_credit(NOW, credit(to), &log).expect("the snapshot");
        assert_eq!(sent(&mut viewer, &log), 10_000);
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
