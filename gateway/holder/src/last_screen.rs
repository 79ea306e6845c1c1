//! When the screen is written to disk, so that it can be read after the holder.

use std::io;

use chatcode_proto::{limits, pb};

use crate::{clock::unix_ms, ending::Time, holder::Holder, record};

const FILE: &str = "screen.pb";

/// What a save would have: where the output ends, and the size.
type State = (u64, pb::Winsize);

/// Decides when the screen is saved, and how long the session's end waits for
/// that. Pure.
#[derive(Debug)]
pub(crate) struct Saver {
    saved: Option<State>,
    /// What is being written.
    saving: Option<State>,
    /// Not before; nothing: before the first output.
    rests_until: Option<Time>,
    /// The session has ended and waits for its last screen, until then.
    waits_until: Option<Time>,
}

impl Saver {
    /// Nothing was printed yet.
    pub(crate) const fn new() -> Self {
        Self { saved: None, saving: None, rests_until: None, waits_until: None }
    }

    /// There is output.
    pub(crate) fn has_output(&mut self, now: Time) {
        self.rests_until.get_or_insert(now + limits::SCREEN_FIRST_SAVE);
    }

    /// The screen is saved as soon as nothing is being written.
    pub(crate) const fn hurry(&mut self) {
        self.rests_until = Some(Time::ZERO);
    }

    /// The session has ended; see [`Self::lets_end`].
    pub(crate) fn handle_exit(&mut self, now: Time) {
        self.hurry();
        self.waits_until = Some(now + limits::LAST_SAVE);
    }

    /// When the screen has to be saved; `None` while the last save shows it, or
    /// one is being written.
    pub(crate) fn due(&self, state: State) -> Option<Time> {
        self.rests_until.filter(|_| self.saving.is_none() && self.saved != Some(state))
    }

    /// It is being written; not again for a while.
    pub(crate) fn begun(&mut self, now: Time, state: State) {
        self.saving = Some(state);
        self.rests_until = Some(now + limits::SCREEN_SAVE);
    }

    /// What was being written is on disk, or is not.
    pub(crate) fn ended(&mut self, is_saved: bool) {
        let saving = self.saving.take();
        if is_saved {
            self.saved = saving;
        }
    }

    /// Until when the session's end waits for the last screen, if it does.
    pub(crate) const fn waits_until(&self) -> Option<Time> {
        self.waits_until
    }

    /// Whether the end need wait no longer, told once: the last save has
    /// succeeded or failed, or its time is over.
    pub(crate) fn lets_end(&mut self, now: Time, state: State) -> bool {
        let is_tried = self.saving.is_none() && self.due(state).is_none_or(|due| due > now);
        self.waits_until.take_if(|until| is_tried || *until <= now).is_some()
    }
}

impl Holder {
    fn screen_state(&self) -> State {
        (self.session.output_end(), self.session.winsize())
    }

    /// When the screen has to be saved.
    pub(crate) fn screen_due(&self) -> Option<Time> {
        self.saver.due(self.screen_state())
    }

    /// Saves the screen if that is due: makes it here, and writes it beside the
    /// loop. A failure is only logged.
    pub(crate) fn keep_screen(&mut self, now: Time) {
        self.note_saved();
        if self.session.output_end() > 0 {
            self.saver.has_output(now);
        }
        if self.screen_due().is_some_and(|due| due <= now) {
            self.saver.begun(now, self.screen_state());
            self.beside.begin(self.screen_writer());
            self.note_saved();
        }
    }

    /// Records and tells the session's end once its last screen is on disk or
    /// did not get there in time: whoever is told finds the screen.
    pub(crate) fn tell_end(&mut self, now: Time) {
        if self.saver.lets_end(now, self.screen_state()) {
            self.keep_record();
            self.changed = true;
        }
    }

    /// Writes the screen as it is now, whenever it is called.
    fn screen_writer(&self) -> impl Fn() -> io::Result<()> + Clone + Send + 'static {
        let screen = pb::HolderScreen {
            winsize: Some(self.session.winsize()),
            offset: self.session.output_end(),
            epoch: self.spec.epoch,
            snapshot: self.session.snapshot().into(),
            saved_unix_ms: unix_ms(),
        };
        let (folder, shared) = (self.spec.state_folder.clone(), self.spec.daemon_uid.is_some());
        move || record::put(&folder, FILE, &screen, shared)
    }

    /// Takes in what came of a save that has ended.
    fn note_saved(&mut self) {
        let Some(end) = self.beside.poll_end() else { return };
        self.saver.ended(end.is_ok());
        if let Err(error) = end {
            self.note(&format!("the screen was not saved: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: pb::Winsize = pb::Winsize { rows: 24, cols: 80 };
    const REST: Time = limits::SCREEN_SAVE;
    const FIRST: Time = limits::SCREEN_FIRST_SAVE;

    #[test]
    fn a_screen_is_saved_when_it_has_changed_and_the_last_time_is_long_ago() {
        let mut saver = Saver::new();
        assert_eq!(saver.due((0, SIZE)), None, "nothing was printed");
        saver.has_output(REST - FIRST);
        saver.has_output(REST);
        assert_eq!(saver.due((9, SIZE)), Some(REST), "soon after the first output");
        saver.begun(REST, (9, SIZE));
        assert_eq!(saver.due((10, SIZE)), None, "the disk is busy");
        saver.ended(true);
        assert_eq!(saver.due((9, SIZE)), None, "it is on disk");
        assert_eq!(saver.due((10, SIZE)), Some(REST * 2));
        let other = pb::Winsize { rows: 25, ..SIZE };
        assert_eq!(saver.due((9, other)), Some(REST * 2), "another size is another screen");
    }

    #[test]
    fn a_save_that_failed_is_tried_again_though_nothing_has_changed() {
        let mut saver = Saver::new();
        saver.has_output(Time::ZERO);
        saver.begun(FIRST, (9, SIZE));
        saver.ended(false);
        assert_eq!(saver.due((9, SIZE)), Some(FIRST + REST));
    }

    #[test]
    fn the_end_waits_for_the_save_that_goes_on_and_for_the_last_one() {
        let (mut saver, now) = (Saver::new(), Time::from_secs(1));
        saver.begun(now, (9, SIZE));
        saver.handle_exit(now);
        assert!(!saver.lets_end(now, (10, SIZE)), "the one before is being written");
        saver.ended(true);
        assert!(!saver.lets_end(now, (10, SIZE)), "the last one is due");
        assert_eq!(saver.due((10, SIZE)), Some(Time::ZERO));
        saver.begun(now, (10, SIZE));
        assert!(!saver.lets_end(now, (10, SIZE)), "it is being written");
        saver.ended(true);
        assert!(saver.lets_end(now, (10, SIZE)));
        assert!(!saver.lets_end(now, (10, SIZE)), "this is told once");
    }

    #[test]
    fn the_end_waits_neither_for_a_disk_that_hangs_nor_for_one_that_fails() {
        let (mut saver, now) = (Saver::new(), Time::from_secs(1));
        saver.handle_exit(now);
        assert_eq!(saver.due((0, SIZE)), Some(Time::ZERO), "an empty screen is saved too");
        saver.begun(now, (0, SIZE));
        assert_eq!(saver.waits_until(), Some(now + limits::LAST_SAVE));
        assert!(!saver.lets_end(now + limits::LAST_SAVE - Time::from_millis(1), (0, SIZE)));
        assert!(saver.lets_end(now + limits::LAST_SAVE, (0, SIZE)));
        let mut saver = Saver::new();
        saver.handle_exit(now);
        saver.begun(now, (0, SIZE));
        saver.ended(false);
        assert!(saver.lets_end(now, (0, SIZE)));
    }
}
