//! Keeps programs running: one that ends is started again, later each time.

use std::{process::ExitStatus, time::Duration};

use chatcode_proto::{backoff::Backoff, limits};
use serde::de::IgnoredAny;
use tokio::{task::JoinError, time::Instant};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::role::{Role, Spec, how};
use crate::print;

/// A program that runs, and how to start it again.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) role: Role,
    pub(super) again: Spec,
}

/// Programs that are kept running until they are told to stop; killed when
/// dropped.
#[derive(Debug)]
pub(super) struct Kept(Vec<AbortOnDropHandle<()>>);

/// Keeps `programs` (the core first) running until `stop`; then they end in the
/// opposite order, so that each can still say goodbye.
pub(super) fn keep(programs: Vec<Watched>, stop: CancellationToken) -> Kept {
    let core_may_stop = CancellationToken::new();
    let mut tasks = Vec::new();
    let mut on_core = Vec::new();
    for (index, program) in programs.into_iter().enumerate() {
        if index == 0 {
            tasks.push(owned(keep_one(program, core_may_stop.clone())));
        } else {
            on_core.push(owned(keep_one(program, stop.clone())));
        }
    }
    tasks.push(owned(async move {
        stop.cancelled().await;
        for task in on_core {
            report(task.await);
        }
        core_may_stop.cancel();
    }));
    Kept(tasks)
}

fn owned(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

impl Kept {
    /// Waits until all have ended.
    pub(super) async fn ended(self) {
        for task in self.0 {
            report(task.await);
        }
    }
}

async fn keep_one(watched: Watched, stop: CancellationToken) {
    let Watched { role, again } = watched;
    let (first, longest) = limits::ROLE_RESTART;
    let mut pauses = Backoff::new(first, longest);
    let mut running = Some(role);
    let mut since = Instant::now();
    loop {
        let ended = match running.take() {
            Some(mut role) => tokio::select! {
                status = role.wait() => status.map_or_else(|error| format!("{error:#}"), |status: ExitStatus| how(status)),
                () = stop.cancelled() => return role.stop().await,
            },
            None => "it does not start".to_owned(),
        };
        let pause = pause_after(since.elapsed(), &mut pauses, rand::random());
        say_again(&again, &ended, pause);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        since = Instant::now();
        running = restart(&again, &stop).await;
    }
}

/// How long a program that ran for this time waits until it is started again.
fn pause_after(ran: Duration, pauses: &mut Backoff, random: f64) -> Duration {
    if ran >= limits::ROLE_STEADY {
        pauses.reset();
    }
    pauses.next(random)
}

/// Starts a program anew and hands it over as soon as it is ready, or has ended.
async fn restart(again: &Spec, stop: &CancellationToken) -> Option<Role> {
    let mut role = match again.start() {
        Ok(role) => role,
        Err(error) => {
            tracing::warn!(target: "chatcode", role = again.role, "{error:#}");
            return None;
        }
    };
    tokio::select! {
        ready = role.ready::<IgnoredAny>() => match ready {
            Ok(_) => print::say(&format!("chatcode: the {} runs again", again.role)),
            Err(error) => tracing::warn!(target: "chatcode", role = again.role, "{error:#}"),
        },
        () = stop.cancelled() => {}
    }
    Some(role)
}

fn say_again(again: &Spec, ended: &str, pause: Duration) {
    print::say(&format!(
        "chatcode: the {} has ended ({ended}); it starts again in {:.1} s (its log: {})",
        again.role,
        pause.as_secs_f32(),
        again.log.display()
    ));
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(target: "chatcode", "a program's watch failed: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_ran_for_long_begins_its_pauses_anew() {
        let (first, longest) = limits::ROLE_RESTART;
        let mut pauses = Backoff::new(first, longest);
        let short = limits::ROLE_STEADY - Duration::from_millis(1);
        let mut after = |ran| pause_after(ran, &mut pauses, 1.0);
        assert_eq!([after(short), after(short), after(short)], [first, 2 * first, 4 * first]);
        assert_eq!(after(limits::ROLE_STEADY), first);
        for _ in 0..20 {
            assert!(after(short) <= longest);
        }
    }
}
