//! Sessions that are started again by their policy.

use std::{fs, sync::Arc};

use chatcode_proto::{
    code::Refusal,
    id::SessionId,
    limits,
    pb::{self, Code, LostReason, SessionState, holder_request::Verb},
    restart::{Ending, Verdict, verdict},
};

use super::{record, registry::Registry, table::is_living};
use crate::{grant::own_unix_ms, holder_client::HolderConnection};

impl Registry {
    /// A session has ended while its holder lingers for late viewers: one that
    /// is to be started again needs its place, so it is sent away.
    pub(super) async fn dismiss(&self, id: SessionId) {
        let Some(spec) = record::read_spec(&self.places.spec(&id), &id) else { return };
        match self.judge(&id, &spec, &spec.restarted_unix_ms) {
            Verdict::Stays => {}
            Verdict::TooOften => self.stays_ended(&id),
            Verdict::After(_) => {
                let leave = Verb::End(pb::HolderEnd { force: false });
                let _ = HolderConnection::open(&self.places.socket(&id), leave).await;
            }
        }
    }

    /// Starts a session again whose holder is gone, if its policy asks for it,
    /// beside what the caller does.
    pub(super) fn bring_back(self: &Arc<Self>, id: SessionId) {
        if self.places.spec(&id).exists() {
            let registry = Arc::clone(self);
            let restarting = async move { registry.restart(id).await };
            self.spawn_until_stopped(restarting);
        }
    }

    async fn restart(self: Arc<Self>, id: SessionId) {
        let mut failed = Vec::new();
        while let Some(spec) = record::read_spec(&self.places.spec(&id), &id) {
            let tried = [&spec.restarted_unix_ms[..], &failed].concat();
            match self.judge(&id, &spec, &tried) {
                Verdict::Stays => return,
                Verdict::TooOften => return self.stays_ended(&id),
                Verdict::After(pause) => tokio::time::sleep(pause).await,
            }
            // A start is not left half way when the daemon stops.
            let registry = Arc::clone(&self);
            match self.spawn(async move { registry.start_again(id, spec, &tried).await }).await {
                Ok(Ok(())) => return,
                Ok(Err(refusal)) => {
                    tracing::warn!(session = %id, %refusal, "a session could not be started again");
                    failed.push(own_unix_ms());
                }
                Err(error) => return tracing::error!(session = %id, %error, "a restart broke off"),
            }
        }
    }

    /// What is to be done about a session that is over.
    fn judge(&self, id: &SessionId, spec: &pb::HolderSpec, tried: &[u64]) -> Verdict {
        let Some(session) = self.lock().get(id).cloned() else { return Verdict::Stays };
        let record = record::read_whole(&self.places.record(id), id);
        let restarted = record.as_ref().is_some_and(|record| self.is_of_another_boot(record));
        let ending = match (session.state(), session.exit) {
            (SessionState::Lost, _) if session.lost_reason() == LostReason::MachineRestarted => {
                Ending::MachineRestarted
            }
            (SessionState::Lost, _) => Ending::HolderVanished,
            // By the machine's shutdown, or by who stopped the session's service.
            (SessionState::Exited, _) if record.is_some_and(|record| record.stopped) => {
                if !restarted {
                    return Verdict::Stays;
                }
                Ending::MachineRestarted
            }
            (SessionState::Exited, Some(exit)) => Ending::Exited(exit),
            _ => return Verdict::Stays,
        };
        verdict(spec.restart(), ending, tried, own_unix_ms())
    }

    async fn start_again(
        self: Arc<Self>,
        id: SessionId,
        spec: pb::HolderSpec,
        tried: &[u64],
    ) -> Result<(), Refusal> {
        let last = self.lock().get(&id).filter(|last| !is_living(last)).cloned();
        // A person may have ended it for good during the pause.
        let Some(last) = last.filter(|_| self.places.spec(&id).exists()) else { return Ok(()) };
        if self.lock().is_full() {
            let words = "this machine has as many living sessions as are allowed; end one";
            return Err(Refusal::new(Code::Limit, words));
        }
        let (child, session) = self.starter.start_again(&self.places, id, spec, &last, tried).await?;
        if self.lock().get(&id).is_none() {
            // It was forgotten meanwhile.
            let end = Verb::End(pb::HolderEnd { force: true });
            let _ = HolderConnection::open(&self.places.socket(&id), end).await;
            record::remove_folder(&self.places.session(&id));
            return Ok(());
        }
        self.meters.sessions_restarted.inc();
        tracing::info!(session = %id, restarts = session.restarts, "a session was started again");
        self.began(id, child, session);
        Ok(())
    }

    fn stays_ended(&self, id: &SessionId) {
        let (times, within) = (limits::RESTARTS, limits::RESTARTS_WITHIN);
        tracing::warn!(session = %id, times, ?within, "a session was started again too often and stays ended");
        self.give_up(id);
    }

    /// Nothing starts this session again; it says so when it has ended.
    pub(super) fn give_up(&self, id: &SessionId) {
        let _ = fs::remove_file(self.places.spec(id));
        let over = self.lock().get(id).filter(|session| !is_living(session)).cloned();
        if let Some(session) = over {
            self.put(*id, pb::Session { restarts_over: true, ..session }, false);
        }
    }
}
