//! What the daemon knows of its sessions, and who is told of changes. Pure
//! memory: nothing here waits or touches a file.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chatcode_proto::{
    id::SessionId,
    limits, name,
    pb::{self, SessionState, sessions_watch_response::Event},
};
use tokio::sync::{broadcast, watch};

/// All sessions of the machine: living ones, ended ones, and those that are
/// being started.
#[derive(Debug)]
pub(super) struct Table {
    sessions: BTreeMap<SessionId, pb::Session>,
    starting: HashMap<SessionId, watch::Receiver<()>>,
    /// In which order the living holders were measured, and the round trip to
    /// each that answered.
    measured: BTreeMap<SessionId, (u64, Option<u64>)>,
    measures: u64,
    /// The holders that have not answered their last measure yet.
    asked: BTreeSet<SessionId>,
    events: broadcast::Sender<Event>,
}

/// Whether an id can be taken for a new session.
#[derive(Debug)]
pub(super) enum Claim {
    /// It can; it is taken until the sender is dropped.
    Taken(watch::Sender<()>),
    /// The session is there already.
    Known(pb::Session),
    /// It is being started; ask again when this changes.
    Starting(watch::Receiver<()>),
    /// There are [`limits::SESSIONS_PER_GATEWAY`] living sessions.
    Full,
}

/// Whether the session's shell runs, as far as is known.
pub(super) fn is_living(session: &pb::Session) -> bool {
    matches!(session.state(), SessionState::Running | SessionState::Ending)
}

impl Table {
    /// An empty table.
    pub(super) fn new() -> Self {
        let (events, _) = broadcast::channel(limits::WATCH_EVENTS);
        Self {
            sessions: BTreeMap::new(),
            starting: HashMap::new(),
            measured: BTreeMap::new(),
            measures: 0,
            asked: BTreeSet::new(),
            events,
        }
    }

    /// Takes the id for a session that is about to be started.
    pub(super) fn claim(&mut self, id: SessionId) -> Claim {
        if let Some(session) = self.sessions.get(&id) {
            return Claim::Known(session.clone());
        }
        self.starting.retain(|_, starting| starting.has_changed().is_ok());
        if let Some(starting) = self.starting.get(&id) {
            return Claim::Starting(starting.clone());
        }
        if self.is_full() {
            return Claim::Full;
        }
        let (claim, starting) = watch::channel(());
        self.starting.insert(id, starting);
        Claim::Taken(claim)
    }

    /// Whether there are as many living sessions as there may be.
    pub(super) fn is_full(&self) -> bool {
        let living = self.sessions.values().filter(|session| is_living(session)).count();
        let starting = self.starting.values().filter(|starting| starting.has_changed().is_ok()).count();
        living + starting >= limits::SESSIONS_PER_GATEWAY
    }

    /// Takes in what is known of a session now. What has ended does not come
    /// back to life, and what was forgotten stays so, unless its holder `is_new`.
    pub(super) fn put(&mut self, id: SessionId, mut session: pb::Session, is_new: bool) {
        session.folder = name::end_of(&session.folder, limits::SHOWN_FOLDER_BYTES);
        if !is_living(&session) && self.sessions.get(&id).is_some_and(|known| known.restarts_over) {
            // A holder that lingers does not know it.
            session.restarts_over = true;
        }
        let news = match self.sessions.get(&id) {
            None => is_new,
            Some(known) => *known != session && (is_living(known) || !is_living(&session) || is_new),
        };
        if !news {
            return;
        }
        if !is_living(&session) {
            self.measured.remove(&id);
        }
        self.sessions.insert(id, session.clone());
        self.tell(Event::Changed(session));
    }

    /// One session.
    pub(super) fn get(&self, id: &SessionId) -> Option<&pb::Session> {
        self.sessions.get(id)
    }

    /// All sessions, oldest first.
    pub(super) fn list(&self) -> Vec<pb::Session> {
        let mut sessions: Vec<_> = self.sessions.values().cloned().collect();
        sessions.sort_by_key(|session| session.created_unix_ms);
        sessions
    }

    /// Forgets a session that has ended; whether it was there.
    pub(super) fn forget(&mut self, id: &SessionId) -> bool {
        if self.sessions.get(id).is_none_or(is_living) {
            return false;
        }
        self.sessions.remove(id);
        self.tell(Event::Removed(id.to_string()));
        true
    }

    /// The ended sessions beyond [`limits::ENDED_SESSIONS`], oldest end first.
    pub(super) fn surplus(&self) -> Vec<SessionId> {
        let ended_at =
            |session: &pb::Session| session.exit.map_or(session.created_unix_ms, |exit| exit.ended_unix_ms);
        let mut ended: Vec<_> = self.sessions.iter().filter(|(_, session)| !is_living(session)).collect();
        let surplus = ended.len().saturating_sub(limits::ENDED_SESSIONS);
        ended.sort_by_key(|(_, session)| ended_at(session));
        ended.into_iter().take(surplus).map(|(id, _)| *id).collect()
    }

    /// The picture for a new watcher, and what happens after it.
    pub(super) fn picture(&self) -> (Vec<pb::Session>, broadcast::Receiver<Event>) {
        (self.list(), self.events.subscribe())
    }

    /// The living session whose holder was measured longest ago, or never. It
    /// is not named again before [`Table::answered`].
    pub(super) fn next_to_measure(&mut self) -> Option<SessionId> {
        let living = self.sessions.iter().filter(|(_, session)| is_living(session)).map(|(id, _)| *id);
        let free = living.filter(|id| !self.asked.contains(id));
        let next = free.min_by_key(|id| self.measured.get(id).map(|(order, _)| *order))?;
        self.asked.insert(next);
        Some(next)
    }

    /// The holder has answered its measure, or broken it off.
    pub(super) fn answered(&mut self, id: &SessionId) {
        self.asked.remove(id);
    }

    /// Keeps the round trip to a holder; `None` when it did not answer, which
    /// forgets the last one.
    pub(super) fn put_measure(&mut self, id: SessionId, rtt_us: Option<u64>) {
        self.measures += 1;
        if self.sessions.get(&id).is_some_and(is_living) {
            self.measured.insert(id, (self.measures, rtt_us.map(|rtt| rtt.max(1))));
        }
    }

    /// The round trip to the slowest living holder, in microseconds; 0: none
    /// was measured.
    pub(super) fn slowest_us(&self) -> u64 {
        self.measured.values().filter_map(|(_, rtt)| *rtt).max().unwrap_or(0)
    }

    fn tell(&self, event: Event) {
        // Nobody may be watching.
        let _ = self.events.send(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> SessionId {
        let [a, b] = number.to_be_bytes();
        SessionId::from_random([a, b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    fn session(number: u16, state: SessionState) -> pb::Session {
        pb::Session {
            id: id(number).to_string(),
            state: state.into(),
            created_unix_ms: u64::from(number),
            ..Default::default()
        }
    }

    fn running(numbers: std::ops::Range<u16>) -> Table {
        let mut table = Table::new();
        for number in numbers {
            table.put(id(number), session(number, SessionState::Running), true);
        }
        table
    }

    #[test]
    fn of_a_long_folder_the_end_is_shown_so_that_a_list_of_all_is_one_answer() {
        let mut table = Table::new();
        let folder = format!("/{}/here", "x".repeat(limits::ARGUMENT_BYTES));
        table.put(id(1), pb::Session { folder, ..session(1, SessionState::Running) }, true);
        let shown = &table.list()[0].folder;
        assert!(shown.len() == limits::SHOWN_FOLDER_BYTES && shown.ends_with("x/here"), "{shown}");
    }

    #[test]
    fn an_id_is_claimed_once_until_its_start_is_over() {
        let mut table = Table::new();
        let Claim::Taken(claim) = table.claim(id(1)) else { panic!("is free") };
        assert!(matches!(table.claim(id(1)), Claim::Starting(_)));
        drop(claim);
        assert!(matches!(table.claim(id(1)), Claim::Taken(_)));
        table.put(id(1), session(1, SessionState::Running), true);
        assert!(matches!(table.claim(id(1)), Claim::Known(_)));
    }

    #[test]
    fn the_number_of_living_sessions_is_bounded_and_counts_those_that_start() {
        let limit = u16::try_from(limits::SESSIONS_PER_GATEWAY).expect("is small");
        let mut table = running(0..limit - 1);
        let Claim::Taken(last) = table.claim(id(limit)) else { panic!("one is left") };
        assert!(matches!(table.claim(id(limit + 1)), Claim::Full));
        drop(last);
        assert!(matches!(table.claim(id(limit + 1)), Claim::Taken(_)));
        table.put(id(limit), session(limit, SessionState::Running), true);
        table.put(id(0), session(0, SessionState::Exited), false);
        assert!(matches!(table.claim(id(limit + 1)), Claim::Taken(_)), "ended ones do not count");
    }

    #[test]
    fn what_has_ended_stays_ended_and_what_is_forgotten_stays_forgotten() {
        let mut table = running(0..1);
        table.put(id(0), session(0, SessionState::Exited), false);
        table.put(id(0), session(0, SessionState::Running), false);
        assert_eq!(table.get(&id(0)).expect("is known").state(), SessionState::Exited);
        assert!(table.forget(&id(0)) && !table.forget(&id(0)));
        table.put(id(0), session(0, SessionState::Exited), false);
        assert_eq!(table.get(&id(0)), None);
    }

    #[test]
    fn a_living_session_is_never_forgotten() {
        assert!(!running(0..1).forget(&id(0)));
    }

    #[test]
    fn only_so_many_ended_sessions_are_kept_the_oldest_end_goes_first() {
        let count = u16::try_from(limits::ENDED_SESSIONS).expect("is small") + 2;
        let mut table = running(0..count);
        for number in 0..count {
            let ended_unix_ms = u64::from(1000 - number);
            let exit = Some(pb::Exit { ended_unix_ms, ..Default::default() });
            table.put(id(number), pb::Session { exit, ..session(number, SessionState::Exited) }, false);
        }
        assert_eq!(table.surplus(), [id(count - 1), id(count - 2)]);
    }

    #[test]
    fn holders_are_measured_in_turn_and_the_slowest_is_told() {
        let mut table = running(0..3);
        assert_eq!(table.slowest_us(), 0);
        let mut turns = Vec::new();
        for rtt in [70, 90, 0, 10] {
            let next = table.next_to_measure().expect("one lives");
            table.put_measure(next, Some(rtt));
            table.answered(&next);
            turns.push(next);
        }
        assert_eq!(turns, [id(0), id(1), id(2), id(0)]);
        assert_eq!(table.slowest_us(), 90);
        table.put(id(1), session(1, SessionState::Lost), false);
        assert_eq!(table.slowest_us(), 10);
    }

    #[test]
    fn a_holder_that_does_not_answer_has_no_round_trip_and_waits_for_its_turn() {
        let mut table = running(0..2);
        table.put_measure(id(0), Some(90));
        table.put_measure(id(1), Some(10));
        table.put_measure(id(0), None);
        assert_eq!(table.slowest_us(), 10);
        assert_eq!(table.next_to_measure(), Some(id(1)), "the others have their turn");
    }

    #[test]
    fn a_holder_is_not_measured_again_before_it_answered() {
        let mut table = running(0..2);
        assert_eq!(table.next_to_measure(), Some(id(0)));
        table.put_measure(id(0), None);
        assert_eq!((table.next_to_measure(), table.next_to_measure()), (Some(id(1)), None));
        table.answered(&id(0));
        assert_eq!(table.next_to_measure(), Some(id(0)));
    }

    #[test]
    fn lists_are_in_the_order_of_making() {
        let mut table = Table::new();
        for number in [5, 1, 3] {
            table.put(id(number), session(number, SessionState::Running), true);
        }
        let created: Vec<_> = table.list().iter().map(|session| session.created_unix_ms).collect();
        assert_eq!(created, [1, 3, 5]);
    }
}
