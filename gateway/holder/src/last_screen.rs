//! When the screen is written to disk, so that it can be read after the holder.

use std::io;

use chatcode_proto::{limits, pb};

use crate::{clock::unix_ms, ending::Time, holder::Holder, record};

const FILE: &str = "screen.pb";

/// What a save would have: where the output ends, and the size.
type State = (u64, pb::Winsize);

/// Decides when the screen is saved while the session goes on. Pure.
#[derive(Debug)]
pub(crate) struct Saver {
    saved: Option<State>,
    /// Not before; nothing: before the first output.
    rests_until: Option<Time>,
}

impl Saver {
    /// Nothing was printed yet.
    pub(crate) const fn new() -> Self {
        Self { saved: None, rests_until: None }
    }

    /// There is output.
    pub(crate) fn has_output(&mut self, now: Time) {
        self.rests_until.get_or_insert(now + limits::SCREEN_FIRST_SAVE);
    }

    /// When the screen has to be saved; `None` while the last save shows it.
    pub(crate) fn due(&self, state: State) -> Option<Time> {
        self.rests_until.filter(|_| self.is_news(state))
    }

    /// Whether the last save shows something else.
    pub(crate) fn is_news(&self, state: State) -> bool {
        self.saved != Some(state)
    }

    /// It was tried; one that failed is tried again when more has changed.
    pub(crate) fn saved(&mut self, now: Time, state: State) {
        self.saved = Some(state);
        self.rest(now);
    }

    /// It is not saved for a while.
    pub(crate) fn rest(&mut self, now: Time) {
        self.rests_until = Some(now + limits::SCREEN_SAVE);
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
    /// loop. A disk that is still busy with the last one is left alone.
    pub(crate) fn keep_screen_in_time(&mut self, now: Time) {
        if self.session.output_end() > 0 {
            self.saver.has_output(now);
        }
        if self.screen_due().is_none_or(|due| due > now) {
            return;
        }
        if self.beside.is_busy() {
            self.saver.rest(now);
            return;
        }
        self.saver.saved(now, self.screen_state());
        let write = self.screen_writer();
        let before = self.beside.begin(write);
        self.note_screen(before);
    }

    /// Saves the screen if it has changed; on disk when this returns. A failure
    /// is only logged.
    pub(crate) fn keep_screen(&mut self, now: Time) {
        self.finish_screen();
        if self.saver.is_news(self.screen_state()) {
            self.saver.saved(now, self.screen_state());
            self.note_screen(self.screen_writer()());
        }
    }

    /// Waits until a screen that is being written is on disk.
    pub(crate) fn finish_screen(&mut self) {
        let written = self.beside.finish();
        self.note_screen(written);
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

    fn note_screen(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
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
        assert!(saver.is_news((0, SIZE)), "at the end an empty one is saved too");
        saver.has_output(REST - FIRST);
        saver.has_output(REST);
        assert_eq!(saver.due((9, SIZE)), Some(REST), "soon after the first output");
        saver.saved(REST, (9, SIZE));
        assert_eq!(saver.due((9, SIZE)), None, "it is on disk");
        assert_eq!(saver.due((10, SIZE)), Some(REST * 2));
        let other = pb::Winsize { rows: 25, ..SIZE };
        assert_eq!(saver.due((9, other)), Some(REST * 2), "another size is another screen");
        saver.rest(REST * 2);
        assert_eq!(saver.due((9, other)), Some(REST * 3), "the disk was busy");
    }
}
