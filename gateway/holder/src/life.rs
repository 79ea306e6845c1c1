//! How a session changes its name, and how it ends.

use chatcode_proto::{limits, pb};

use crate::{
    clock::unix_ms,
    ending::{Ladder, Step, Time},
    holder::{Holder, Line, Reaped},
    record,
};

impl Holder {
    /// Gives the session another name.
    pub(crate) fn rename(&mut self, now: Time, name: String) {
        self.name.clone_from(&name);
        self.session.handle_rename(now, name);
        self.keep_record();
        self.changed = true;
    }

    /// Ends the session by the ladder, `force` at its last step. When it has
    /// ended already, the holder leaves.
    pub(crate) fn end(&mut self, now: Time, force: bool) {
        if self.exit.is_some() {
            self.leaves = Some(now);
            return;
        }
        self.note(if force { "the session is killed" } else { "the session is being ended" });
        match &mut self.ladder {
            Some(ladder) if force => ladder.force(now),
            Some(_) => {}
            None => self.ladder = Some(Ladder::new(now, force)),
        }
        self.climb(now);
        self.changed = true;
    }

    /// A person ends the session, so nobody starts it again. One that has ended
    /// by itself may be: this is how the daemon sends its holder away.
    pub(crate) fn give_up_restarts(&mut self) {
        if self.exit.is_some() || self.spec.restart == pb::RestartPolicy::Unspecified {
            return;
        }
        self.spec.restart = pb::RestartPolicy::Unspecified;
        // Known at once: the end may take time, and a crash may come before.
        self.keep_record();
        if let Err(error) = record::forget_spec(&self.spec.state_folder) {
            self.note(&format!("the order for a restart was not removed: {error}"));
        }
    }

    /// Takes the step of the ladder that is due.
    pub(crate) fn climb(&mut self, now: Time) {
        let shell_lives = self.reaped.is_none() && self.exit.is_none();
        if !shell_lives && self.ladder.is_some() && self.terminal.is_deserted() {
            self.ladder = None;
        }
        if let Some(step) = self.ladder.as_mut().and_then(|ladder| ladder.poll(now)) {
            if step != Step::HangUp {
                self.note(&format!("next step of the end: {step:?}"));
            }
            self.terminal.end(step, shell_lives);
        }
    }

    /// Acts on the signals that came.
    pub(crate) fn heed_signals(&mut self, now: Time) {
        if self.signals.told_to_end() {
            self.note("told to end");
            self.hurried = true;
            self.saver.hurry();
            self.end(now, false);
        }
        if self.signals.child_changed() {
            self.reap(now);
        }
    }

    /// Takes the shell's status if it has ended.
    pub(crate) fn reap(&mut self, now: Time) {
        if self.reaped.is_some() || self.exit.is_some() {
            return;
        }
        match self.terminal.try_wait() {
            Ok(Some(exit)) => {
                let duration_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
                let exit = pb::Exit { duration_ms, ended_unix_ms: unix_ms(), ..exit };
                self.reaped = Some(Reaped { exit, until: now + limits::HOLDER_TAIL, is_read: false });
                if self.line != Line::Open {
                    // What it wrote at the last moment is there by now.
                    self.line = Line::HungUp { again: now };
                }
            }
            Ok(None) => {}
            Err(error) => self.note(&format!("the shell's status was not read: {error}")),
        }
    }

    /// Ends the session once the shell was reaped and its output read to the
    /// end: no program has the terminal open, or the wait is over.
    pub(crate) fn conclude(&mut self, now: Time) {
        let Some(reaped) = self.reaped.take_if(|reaped| reaped.is_read || reaped.until <= now) else {
            return;
        };
        self.line = Line::Over;
        let pb::Exit { code, signal, out_of_memory, .. } = reaped.exit;
        let why = if out_of_memory { ", since memory ran out" } else { "" };
        self.note(&format!("the shell has ended: code {code}, signal {signal}{why}"));
        self.exit = Some(reaped.exit);
        self.session.handle_exit(now, reaped.exit);
        self.leaves = Some(if self.hurried { now } else { now + limits::LINGER });
        self.saver.handle_exit(now);
    }

    /// Whether the holder has nothing left to do but to say good-bye.
    pub(crate) fn is_over(&self, now: Time) -> bool {
        self.may_leave() && self.leaves.is_some_and(|leaves| leaves <= now)
    }

    /// Whether nothing is left that it has to stay for.
    pub(crate) fn may_leave(&self) -> bool {
        !self.is_climbing() && self.saver.waits_until().is_none()
    }

    /// Whether the ladder can still change something.
    fn is_climbing(&self) -> bool {
        self.ladder.as_ref().is_some_and(|ladder| !ladder.is_spent())
    }
}
