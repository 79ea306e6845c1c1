//! A session that has ended and may be started again: attach goes on with its
//! next life, as the page does.

use chatcode_proto::{
    backoff::Backoff,
    limits,
    pb::{
        FleetWatchRequest, FleetWatchResponse, GatewaySession, LostReason, Session,
        fleet_watch_response::Event,
    },
    restart::{Ending, Verdict, verdict},
};
use tokio::{sync::oneshot, time::Instant};
use tonic::Streaming;

use super::{Target, view::View};
use crate::{
    client::Client,
    fleet::{is_living, session_state},
    print::shown,
};

/// What the news of a session say about its next life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hope {
    /// It is there.
    Lives,
    /// It may come.
    Waits,
    /// It will not come.
    None,
}

/// Waits until the session that is over, as `last` says, is started again; gives
/// false when it is not, when the person leaves, or after
/// [`limits::RESTART_AWAITED`].
pub(super) async fn comes(client: &Client, view: &mut View, last: &Session) -> bool {
    if hope(last, last.epoch) == Hope::None {
        return false;
    }
    let target = view.target.clone();
    let (hopeful, mut told) = oneshot::channel();
    let comes = follow(client, &target, last.epoch, hopeful);
    tokio::pin!(comes);
    let wait = limits::RESTART_AWAITED;
    let deadline = Instant::now() + wait;
    let mut is_told = false;
    view.begin_wait();
    loop {
        tokio::select! {
            comes = &mut comes => return comes,
            hopeful = &mut told, if !is_told => {
                is_told = true;
                if hopeful.is_ok() {
                    view.say(format!(
                        "chatcode: {} is over: {}; its policy starts it again, which this waits {} s for; Ctrl-C leaves",
                        shown(view.name()), session_state(last), wait.as_secs()
                    ));
                }
            }
            end = view.person() => if end.is_some() { return false },
            () = tokio::time::sleep_until(deadline) => return false,
        }
    }
}

/// Whether another life than `epoch` comes; tells `hopeful` once that this is
/// not known at once.
async fn follow(client: &Client, target: &Target, epoch: u64, hopeful: oneshot::Sender<()>) -> bool {
    let mut hopeful = Some(hopeful);
    let (first, longest) = limits::RECONNECT;
    let mut pauses = Backoff::new(first, longest);
    loop {
        if let Ok(call) = client.fleet_watch().watch(FleetWatchRequest {}).await
            && let Some(comes) = news(call.into_inner(), target, epoch, &mut hopeful).await
        {
            return comes;
        }
        tell(&mut hopeful);
        tokio::time::sleep(pauses.next(rand::random())).await;
    }
}

/// Reads news of the fleet until they say whether another life comes; nothing
/// when they break off.
async fn news(
    mut events: Streaming<FleetWatchResponse>,
    target: &Target,
    epoch: u64,
    hopeful: &mut Option<oneshot::Sender<()>>,
) -> Option<bool> {
    let mut is_known = false;
    let is_ours = |gateway: &str, session: &str| gateway == target.gateway && session == target.session;
    while let Ok(Some(response)) = events.message().await {
        match response.event {
            Some(Event::SessionChanged(GatewaySession { gateway, session: Some(session) }))
                if is_ours(&gateway, &session.id) =>
            {
                is_known = true;
                match hope(&session, epoch) {
                    Hope::Lives => return Some(true),
                    Hope::None => return Some(false),
                    // It has not been heard yet that this life is over.
                    Hope::Waits if is_living(&session) => {}
                    Hope::Waits => tell(hopeful),
                }
            }
            Some(Event::SessionRemoved(gone)) if is_ours(&gone.gateway, &gone.session) => return Some(false),
            Some(Event::Synced(_)) if !is_known => return Some(false),
            _ => {}
        }
    }
    None
}

fn tell(hopeful: &mut Option<oneshot::Sender<()>>) {
    if let Some(hopeful) = hopeful.take() {
        let _ = hopeful.send(());
    }
}

/// What is to be hoped for of a session whose life `epoch` is over.
fn hope(session: &Session, epoch: u64) -> Hope {
    if is_living(session) {
        return if session.epoch == epoch { Hope::Waits } else { Hope::Lives };
    }
    let ending = match (session.lost_reason(), session.exit) {
        (LostReason::MachineRestarted, _) => Ending::MachineRestarted,
        (_, Some(exit)) => Ending::Exited(exit),
        (_, None) => Ending::HolderVanished,
    };
    // How often it was is counted at the machine, which says when it is over.
    let stays = session.restarts_over || verdict(session.restart(), ending, &[], 0) == Verdict::Stays;
    if stays { Hope::None } else { Hope::Waits }
}

#[cfg(test)]
mod tests {
    use chatcode_proto::pb::{Exit, RestartPolicy, SessionState};

    use super::*;

    const EPOCH: u64 = 5;

    fn exited(restart: RestartPolicy, signal: i32) -> Session {
        Session {
            state: SessionState::Exited.into(),
            exit: Some(Exit { signal, ..Exit::default() }),
            restart: restart.into(),
            epoch: EPOCH,
            ..Session::default()
        }
    }

    #[test]
    fn only_what_the_policy_starts_again_is_waited_for() {
        let killed = exited(RestartPolicy::OnCrash, 9);
        assert_eq!(hope(&killed, EPOCH), Hope::Waits);
        assert_eq!(hope(&exited(RestartPolicy::OnCrash, 0), EPOCH), Hope::None, "an exit code is no crash");
        assert_eq!(hope(&exited(RestartPolicy::Unspecified, 9), EPOCH), Hope::None);
        let given_up = Session { restarts_over: true, ..killed.clone() };
        assert_eq!(hope(&given_up, EPOCH), Hope::None);
        let lost = Session { state: SessionState::Lost.into(), exit: None, ..killed };
        assert_eq!(hope(&lost, EPOCH), Hope::Waits);
        let rebooted = Session { lost_reason: LostReason::MachineRestarted.into(), ..lost };
        assert_eq!(hope(&rebooted, EPOCH), Hope::None);
        let on_boot = Session { restart: RestartPolicy::OnBoot.into(), ..rebooted };
        assert_eq!(hope(&on_boot, EPOCH), Hope::Waits);
    }

    #[test]
    fn a_life_of_another_epoch_is_the_next_one_and_late_news_of_this_one_is_none() {
        let runs = |epoch| Session { state: SessionState::Running.into(), epoch, ..Session::default() };
        assert_eq!(hope(&runs(EPOCH), EPOCH), Hope::Waits);
        assert_eq!(hope(&runs(EPOCH + 1), EPOCH), Hope::Lives);
        let over_again = Session { epoch: EPOCH + 1, ..exited(RestartPolicy::OnCrash, 9) };
        assert_eq!(hope(&over_again, EPOCH), Hope::Waits, "of the life after it");
    }

    #[test]
    fn the_longest_pause_before_a_restart_and_its_start_are_shorter_than_the_wait_for_it() {
        const NOW: u64 = 1_000_000_000;
        let (mut restarts, mut longest) = (Vec::new(), limits::RESTART_PAUSE.0);
        while let Verdict::After(pause) =
            verdict(RestartPolicy::OnCrash, Ending::HolderVanished, &restarts, NOW)
        {
            longest = longest.max(pause);
            restarts.push(NOW);
        }
        assert_eq!(restarts.len(), limits::RESTARTS);
        assert!(longest + limits::HOLDER_START < limits::RESTART_AWAITED, "{longest:?}");
    }
}
