//! The holders of this machine: started, adopted after a restart, followed,
//! asked, and forgotten.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use chatcode_proto::{
    backoff::Backoff,
    code::Refusal,
    id::SessionId,
    limits,
    pb::{self, Code, holder_request::Verb, sessions_watch_response::Event},
};
use futures_util::{StreamExt as _, stream};
use tokio::{
    process::Child,
    sync::{Semaphore, broadcast},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    kill::{self, Proof},
    record,
    start::{Sizes, Starter},
    table::{Claim, Table, is_living},
};
use crate::{
    config::Places,
    holder_client::{HolderConnection, HolderError, connect},
    host,
    last_screen::Saved,
    meters::GatewayMeters,
    shell::order::Order,
};

/// Holders that are looked for at once after a restart.
const ADOPT_AT_ONCE: usize = 64;

/// All sessions of the machine, and the tasks that follow their holders. Ends
/// with [`Registry::close`]; the holders do not.
#[derive(Debug)]
pub(crate) struct Registry {
    table: Mutex<Table>,
    /// Names the machine's life; empty where nothing does.
    pub(super) boot_id: String,
    /// Who the holders are that are followed.
    proofs: Mutex<HashMap<SessionId, Arc<Proof>>>,
    pub(super) starter: Starter,
    pub(super) places: Places,
    /// What is counted.
    pub(crate) meters: GatewayMeters,
    /// Places for viewers of saved screens.
    screens_shown: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Registry {
    /// Without a session; [`Registry::adopt`] finds those that are there.
    pub(crate) fn new(places: Places, starter: Starter) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::new(Table::new()),
            boot_id: host::boot_id(),
            proofs: Mutex::default(),
            starter,
            places,
            meters: GatewayMeters::default(),
            screens_shown: Arc::new(Semaphore::new(limits::SAVED_SCREENS_SHOWN)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Sessions that begin from now on are given these.
    pub(crate) fn reload(&self, sizes: Sizes) {
        *self.starter.sizes.write().unwrap_or_else(PoisonError::into_inner) = sizes;
    }

    // --- what is asked of it ---

    /// Starts a session, or answers with the one that has the id of the order
    /// already. A caller that goes away does not stop a start half way.
    ///
    /// # Errors
    /// `LIMIT`, `SPAWN_FAILED`.
    pub(crate) async fn create(self: &Arc<Self>, order: Order) -> Result<pb::Session, Refusal> {
        let id = order.id.unwrap_or_else(|| SessionId::from_random(chatcode_certs::random::bytes()));
        let claim = loop {
            let claim = self.lock().claim(id);
            match claim {
                Claim::Taken(claim) => break claim,
                Claim::Known(session) => return Ok(session),
                // Fails when the other start is over, which is what is waited for.
                Claim::Starting(mut starting) => _ = starting.changed().await,
                Claim::Full => {
                    let words = format!(
                        "this machine has {} living sessions, the most that are allowed; end one first",
                        limits::SESSIONS_PER_GATEWAY
                    );
                    return Err(Refusal::new(Code::Limit, words));
                }
            }
        };
        let registry = Arc::clone(self);
        let started = self.tasks.spawn(async move {
            let started = registry.start(id, order).await;
            drop(claim);
            started
        });
        started.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a session's start broke off");
            Err(Refusal::new(Code::Internal, "the session's start broke off; the gateway's log says more"))
        })
    }

    async fn start(self: &Arc<Self>, id: SessionId, order: Order) -> Result<pb::Session, Refusal> {
        let (child, session) = self.starter.start(&self.places, id, order).await?;
        self.began(id, child, session.clone());
        Ok(session)
    }

    /// Takes in a session whose holder was started just now.
    pub(super) fn began(self: &Arc<Self>, id: SessionId, child: Option<Child>, session: pb::Session) {
        let (holder, holders) = (child.as_ref().and_then(Child::id), self.starter.keeping.name());
        self.meters.sessions_started.inc();
        tracing::info!(session = %id, holders, holder, "a session was started");
        if let Some(mut child) = child {
            self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(async move {
                let ended = child.wait().await;
                tracing::debug!(session = %id, ?ended, "a holder's process has ended");
            }));
        }
        self.put(id, session, true);
        self.follow(id, None, false);
    }

    /// Runs a task that [`Registry::close`] waits for.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn(task)
    }

    /// Runs a task that ends with [`Registry::close`] wherever it is.
    pub(super) fn spawn_until_stopped(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(task));
    }

    /// All sessions, oldest first.
    pub(crate) fn list(&self) -> Vec<pb::Session> {
        self.lock().list()
    }

    /// One session.
    ///
    /// # Errors
    /// `UNKNOWN_SESSION`.
    pub(crate) fn get(&self, id: &SessionId) -> Result<pb::Session, Refusal> {
        self.lock().get(id).cloned().ok_or_else(|| {
            Refusal::new(Code::UnknownSession, "this machine has no such session; it may have been forgotten")
        })
    }

    /// Gives a living session another name, checked before.
    ///
    /// # Errors
    /// `UNKNOWN_SESSION`, `SESSION_ENDED`, `HOLDER_UNREACHABLE`.
    pub(crate) async fn rename(&self, id: SessionId, name: String) -> Result<pb::Session, Refusal> {
        if !is_living(&self.get(&id)?) {
            return Err(Refusal::new(Code::SessionEnded, "the session has ended; its name stays"));
        }
        self.ask(id, Verb::Rename(pb::HolderRename { name })).await
    }

    /// Ends a session; one that has ended is forgotten, and `None` returned. A
    /// holder that does not answer is killed with its shell if `force`, or when
    /// the session has ended: then nothing is lost.
    ///
    /// # Errors
    /// `UNKNOWN_SESSION`, `HOLDER_UNREACHABLE`.
    pub(crate) async fn end(&self, id: SessionId, force: bool) -> Result<Option<pb::Session>, Refusal> {
        let has_ended = !is_living(&self.get(&id)?);
        let verb = Verb::End(pb::HolderEnd { force });
        let answer = HolderConnection::open(&self.places.socket(&id), verb).await;
        let is_silent = matches!(answer, Err(HolderError::Silent));
        if has_ended {
            // Its holder lingers for late viewers at the most.
            if is_silent && let Err(error) = self.kill(id).await {
                tracing::warn!(session = %id, %error, "the holder of an ended session stays");
            }
            self.forget(&id);
            return Ok(None);
        }
        if is_silent && force {
            self.kill(id).await?;
            return self.get(&id).map(Some);
        }
        if is_silent {
            let words = "the session's holder does not answer; force (`chatcode end --force`) kills it with its shell";
            return Err(Refusal::new(Code::HolderUnreachable, words));
        }
        self.take_answer(id, answer).map(Some)
    }

    /// Kills a holder that does not answer; its session is lost if it lived.
    async fn kill(&self, id: SessionId) -> Result<(), Refusal> {
        let record = record::read_whole(&self.places.record(&id), &id);
        let proof = self.proofs().get(&id).cloned();
        kill::kill(proof, record.as_ref()).await?;
        tracing::warn!(session = %id, "a holder that did not answer was killed, with its shell");
        // Before its end is known, which a restart would follow.
        self.give_up(&id);
        self.conclude(id, false);
        Ok(())
    }

    /// Asks the holder of a living session; its answer is taken in.
    async fn ask(&self, id: SessionId, verb: Verb) -> Result<pb::Session, Refusal> {
        self.take_answer(id, HolderConnection::open(&self.places.socket(&id), verb).await)
    }

    fn take_answer(
        &self,
        id: SessionId,
        answer: Result<HolderConnection, HolderError>,
    ) -> Result<pb::Session, Refusal> {
        match answer {
            Ok(answer) => {
                self.put(id, answer.session.clone(), false);
                Ok(answer.session)
            }
            Err(HolderError::Gone) => {
                self.conclude(id, false);
                Err(self.why_gone(&id))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Connects to the holder of a session, for what `verb` says.
    ///
    /// # Errors
    /// `UNKNOWN_SESSION`, `SESSION_ENDED`, `HOLDER_UNREACHABLE`, or what the
    /// holder says.
    pub(crate) async fn connect(&self, id: SessionId, verb: Verb) -> Result<HolderConnection, Refusal> {
        self.get(&id)?;
        match HolderConnection::open(&self.places.socket(&id), verb).await {
            Ok(connection) => Ok(connection),
            Err(HolderError::Gone) => Err(self.why_gone(&id)),
            Err(error) => Err(error.into()),
        }
    }

    /// The last screen of a session that has ended and whose holder is gone;
    /// `None` when none was saved.
    ///
    /// # Errors
    /// `LIMIT`.
    pub(crate) async fn last_screen(&self, id: SessionId) -> Result<Option<Saved>, Refusal> {
        let session = self.get(&id)?;
        let place = Arc::clone(&self.screens_shown).try_acquire_owned().map_err(|_| {
            let most = limits::SAVED_SCREENS_SHOWN;
            Refusal::new(
                Code::Limit,
                format!("{most} ended sessions of this machine are being looked at; try again soon"),
            )
        })?;
        let path = self.places.screen(&id);
        let reading = tokio::task::spawn_blocking(move || record::read_screen(&path)).await;
        let screen = reading.map_err(|error| Refusal::new(Code::Internal, error.to_string()))?;
        Ok(screen.map(|screen| Saved { screen, session, place }))
    }

    /// The picture for a new watcher, and what happens after it.
    pub(super) fn picture(&self) -> (Vec<pb::Session>, broadcast::Receiver<Event>) {
        self.lock().picture()
    }

    // --- what keeps it true ---

    /// Finds the sessions that an earlier daemon left: takes their living
    /// holders on, and reads what the others kept. Returns when the fate of
    /// each is known, or will be by a task.
    ///
    /// # Errors
    /// When the folder of the sessions cannot be read.
    pub(crate) async fn adopt(self: &Arc<Self>) -> std::io::Result<()> {
        let found = record::scan(&self.places.sessions)?;
        stream::iter(found).for_each_concurrent(ADOPT_AT_ONCE, |id| self.adopt_one(id)).await;
        let living = self.list().iter().filter(|session| is_living(session)).count();
        if living > 0 {
            tracing::info!(sessions = living, "took on the sessions that were there");
        }
        let registry = Arc::clone(self);
        let telling = async move { registry.tell_of_strays().await };
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(telling));
        Ok(())
    }

    /// Says which holders run that cannot be reached: their folder, or their
    /// socket in it, was taken away.
    async fn tell_of_strays(&self) {
        for id in self.starter.keeping.running(&self.places.sessions).await {
            let is_known = self.lock().get(&id).is_some_and(is_living) || self.places.socket(&id).exists();
            if !is_known {
                let ends_it = self.starter.keeping.stop_words(&id);
                tracing::error!(session = %id, ends_it, "a holder runs whose socket was taken away");
            }
        }
    }

    async fn adopt_one(self: &Arc<Self>, id: SessionId) {
        let watching = timeout(limits::HOLDER_ANSWER, self.watch_holder(id)).await;
        match watching.unwrap_or(Err(HolderError::Silent)) {
            Ok(connection) => {
                self.put(id, connection.session.clone(), true);
                self.follow(id, Some(connection), false);
            }
            Err(HolderError::Gone) => {
                if self.conclude(id, true) {
                    self.bring_back(id);
                } else {
                    self.follow(id, None, true);
                }
            }
            Err(error) => {
                tracing::warn!(session = %id, %error, "a holder could not be taken on yet");
                if let Some(session) = record::read(&self.places.record(&id), &id) {
                    self.put(id, session, true);
                }
                self.follow(id, None, true);
            }
        }
    }

    /// Follows a holder until it is gone. `is_new`: the table does not have it
    /// yet.
    fn follow(self: &Arc<Self>, id: SessionId, connection: Option<HolderConnection>, is_new: bool) {
        let registry = Arc::clone(self);
        let following = async move {
            registry.followed(id, connection, is_new).await;
            registry.proofs().remove(&id);
            registry.bring_back(id);
        };
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(following));
    }

    async fn followed(&self, id: SessionId, mut connection: Option<HolderConnection>, mut is_new: bool) {
        let (first, longest) = limits::RECONNECT;
        let mut pauses = Backoff::new(first, longest);
        loop {
            let opened = match connection.take() {
                Some(connection) => Ok(connection),
                None => self.watch_holder(id).await,
            };
            match opened {
                Ok(mut watched) => {
                    self.put(id, watched.session.clone(), std::mem::take(&mut is_new));
                    if !is_living(&watched.session) {
                        self.dismiss(id).await;
                    }
                    let begun = Instant::now();
                    let ended = self.listen(id, &mut watched).await;
                    let lasted = begun.elapsed() > first;
                    if lasted {
                        pauses.reset();
                    }
                    match ended {
                        Ok(()) if lasted => continue,
                        Ok(()) => {}
                        Err(error) => tracing::warn!(session = %id, %error, "a holder's watch broke"),
                    }
                }
                Err(HolderError::Gone) if self.conclude(id, is_new) => return,
                Err(error) => tracing::debug!(session = %id, %error, "a holder is not followed now"),
            }
            tokio::time::sleep(pauses.next(rand::random())).await;
        }
    }

    /// Watches a holder, whose proof is kept as soon as it can be connected to.
    async fn watch_holder(&self, id: SessionId) -> Result<HolderConnection, HolderError> {
        let stream = connect(&self.places.socket(&id)).await?;
        match Proof::of(&stream, self.starter.user.uid) {
            Ok(proof) => _ = self.proofs().insert(id, Arc::new(proof)),
            Err(error) => tracing::debug!(session = %id, %error, "it is not proven who a holder is"),
        }
        HolderConnection::ask(stream, watch()).await
    }

    async fn listen(&self, id: SessionId, watched: &mut HolderConnection) -> Result<(), HolderError> {
        while let Some(session) = watched.next_event().await? {
            let has_ended = !is_living(&session);
            self.put(id, session, false);
            if has_ended {
                self.dismiss(id).await;
            }
        }
        Ok(())
    }

    /// Takes in what is known of a session now, and forgets the oldest ended
    /// ones beyond the limit.
    pub(super) fn put(&self, id: SessionId, session: pb::Session, is_new: bool) {
        let surplus = {
            let mut table = self.lock();
            table.put(id, session, is_new);
            table.surplus()
        };
        for id in surplus {
            self.forget(&id);
        }
    }

    /// Forgets an ended session and its folder.
    pub(super) fn forget(&self, id: &SessionId) {
        if self.lock().forget(id) {
            let folder = self.places.session(id);
            self.tasks.spawn_blocking(move || record::remove_folder(&folder));
        }
    }

    /// Measures the way to one holder, in turn, beside what the caller does.
    pub(crate) fn measure(self: &Arc<Self>) {
        let Some(id) = self.lock().next_to_measure() else { return };
        let registry = Arc::clone(self);
        let measuring = async move { registry.measure_one(id).await };
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(measuring));
    }

    /// One that does not answer in time has no round trip, and is not asked
    /// again until it answers or ends.
    async fn measure_one(&self, id: SessionId) {
        let socket = self.places.socket(&id);
        let mut opening = pin!(async { HolderConnection::ask(connect(&socket).await?, watch()).await });
        let opened = timeout(limits::HOLDER_ANSWER, &mut opening).await;
        let took = opened.as_ref().ok().and_then(|opened| opened.as_ref().ok()).map(|holder| holder.took);
        if let Some(took) = took {
            self.meters.holder_rtt.took(took);
        } else if opened.is_err() {
            self.meters.holders_silent.inc();
        }
        self.lock().put_measure(id, took.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)));
        if opened.is_err() {
            // What it answers comes too late to count.
            let _ = opening.await;
        }
        self.lock().answered(&id);
    }

    /// The round trip to the slowest holder when last measured, in
    /// microseconds; 0: none.
    pub(crate) fn slowest_us(&self) -> u64 {
        self.lock().slowest_us()
    }

    /// Stops following, lets starts come to their end, and leaves the holders
    /// alone.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(limits::SHUTDOWN, self.tasks.wait()).await.is_err() {
            tracing::warn!("a session was still being started");
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        // No code panics while it holds the lock half way through a change.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn proofs(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Proof>>> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One whose holders cannot be started.
    #[cfg(test)]
    pub(super) fn for_tests() -> Arc<Self> {
        let nowhere = || std::path::PathBuf::from("/nonexistent");
        let places = Places { data: nowhere(), sessions: nowhere(), holder: nowhere() };
        Self::new(places, Starter::for_tests())
    }
}

fn watch() -> Verb {
    Verb::Watch(pb::HolderWatch {})
}
