//! What became of a session whose holder is gone.

use chatcode_proto::{
    code::Refusal,
    id::SessionId,
    limits,
    pb::{self, Code, LostReason, RestartPolicy, SessionState},
};

use super::{record, registry::Registry, table::is_living};
use crate::host;

impl Registry {
    /// Whether the machine was restarted since a record was written.
    pub(super) fn is_of_another_boot(&self, record: &pb::HolderRecord) -> bool {
        !record.boot_id.is_empty() && !self.boot_id.is_empty() && record.boot_id != self.boot_id
    }

    /// Nobody listens on the socket: takes in what became of the session.
    /// `false`: the holder may be starting right now; look again.
    pub(super) fn conclude(&self, id: SessionId, is_new: bool) -> bool {
        let folder = self.places.session(&id);
        let record = record::read_whole(&self.places.record(&id), &id);
        let restarted = record.as_ref().is_some_and(|record| self.is_of_another_boot(record));
        let was_stopped = record.as_ref().is_some_and(|record| record.stopped);
        let has_order = self.places.spec(&id).exists();
        let over = |mut session: pb::Session, reason: LostReason| {
            session.lost_reason = reason.into();
            session.restarts_over = !has_order && session.restart() != RestartPolicy::Unspecified;
            pb::Session { viewers: 0, ..session }
        };
        let known = self.lock().get(&id).cloned();
        match (record.and_then(|record| record.session), known) {
            (_, Some(known)) if !is_living(&known) => {}
            (Some(kept), _) if !is_living(&kept) => {
                let reason = if restarted && was_stopped {
                    LostReason::MachineRestarted
                } else {
                    LostReason::Unspecified
                };
                // The record was written at the exit, with the viewers of that moment.
                self.put(id, over(kept, reason), is_new);
            }
            (Some(last), _) | (None, Some(last)) => {
                let reason =
                    if restarted { LostReason::MachineRestarted } else { LostReason::HolderVanished };
                tracing::warn!(session = %id, ?reason, "the holder is gone; the session is lost");
                let state = SessionState::Lost.into();
                self.put(id, over(pb::Session { state, ..last }, reason), is_new);
            }
            (None, None) if folder.exists() && record::age(&folder) < limits::HOLDER_START => return false,
            (None, None) => self.conclude_unreadable(id, is_new),
        }
        true
    }

    /// Takes a session in as lost whose record a power loss, or a person, has
    /// spoilt. A folder that shows no session is left alone.
    fn conclude_unreadable(&self, id: SessionId, is_new: bool) {
        let Some((session, changed)) = record::salvage(&self.places, &id) else {
            tracing::warn!(session = %id, "a folder of the sessions has nothing of one; it is left alone");
            return;
        };
        let reason = if host::booted_at().is_some_and(|boot| changed < boot) {
            LostReason::MachineRestarted
        } else {
            LostReason::HolderVanished
        };
        tracing::warn!(session = %id, ?reason, "the record cannot be read; the session is lost");
        let (state, lost_reason) = (SessionState::Lost.into(), reason.into());
        self.put(id, pb::Session { state, lost_reason, ..session }, is_new);
    }

    /// What a vanished holder means for who asks.
    pub(super) fn why_gone(&self, id: &SessionId) -> Refusal {
        let known = self.lock().get(id).map(|session| (session.state(), session.lost_reason()));
        let (code, words) = match known {
            Some((SessionState::Exited, _)) => (Code::SessionEnded, "the session has ended; start another"),
            Some((SessionState::Lost, LostReason::MachineRestarted)) => {
                (Code::SessionEnded, "the session was lost when the machine was restarted; start another")
            }
            Some((SessionState::Lost, _)) => {
                (Code::SessionEnded, "the session was lost when its holder was killed; start another")
            }
            Some(_) => (Code::HolderUnreachable, "the session's holder does not answer; try again"),
            None => (Code::UnknownSession, "this machine has no such session"),
        };
        Refusal::new(code, words)
    }
}
