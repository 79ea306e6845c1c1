//! Sessions that are started again by their policy, and those that are not.

use std::path::PathBuf;

use chatcode_proto::pb::{self, LostReason, RestartPolicy, SessionState};
use prost::Message as _;
use rustix::process::{Signal, kill_process};

use crate::{
    core::{TestCore, eventually, now_ms},
    machine::Machine,
    seat::Seat,
};

fn spec(machine: &Machine, id: &str) -> PathBuf {
    machine.session_folder(id).join("spec.pb")
}

#[tokio::test]
async fn a_shell_that_crashed_is_started_again_with_the_resume_command_under_its_id_and_name() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_restarting(RestartPolicy::OnCrash, "read go; kill -9 $$").await;
    assert_eq!((made.restart(), made.resume_command.len()), (RestartPolicy::OnCrash, 1));
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.type_text("\r").await;
    let again = link.restarted(&made.id, 1).await;
    assert_eq!((&again.name, &again.command), (&made.name, &made.command));
    assert_ne!(again.epoch, made.epoch, "its output begins anew");
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.until("resumed").await;
    machine.kill_holder(&made.id);
    link.restarted(&made.id, 2).await;
    assert_eq!(link.list().await.len(), 1);
}

#[tokio::test]
async fn after_a_restart_of_the_machine_those_with_the_policy_are_back_and_the_others_say_why_not() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let daemon = machine.start();
    let link = core.link().await;
    let back = link.create_restarting(RestartPolicy::OnBoot, "exec cat").await;
    let shut_down = link.create_restarting(RestartPolicy::OnBoot, "exec cat").await;
    let only_crashes = link.create_restarting(RestartPolicy::OnCrash, "exec cat").await;
    let never = link.create_sh("exec cat").await;
    daemon.kill().await;
    kill_process(machine.holder_pid(&shut_down.id).unwrap(), Signal::TERM).unwrap();
    eventually("its end", async || machine.holder_pid(&shut_down.id).is_none().then_some(())).await;
    for lost in [&back, &only_crashes, &never] {
        machine.kill_holder(&lost.id);
    }
    for session in [&back, &shut_down, &only_crashes, &never] {
        machine.reboot(&session.id);
    }

    let _daemon = machine.start();
    let link = core.link().await;
    for session in [&back, &shut_down] {
        link.restarted(&session.id, 1).await;
        Seat::take(link.link(), &session.id).await.until("resumed").await;
    }
    for session in [&only_crashes, &never] {
        let lost = link.state(&session.id, SessionState::Lost).await;
        assert_eq!((lost.lost_reason(), lost.restarts), (LostReason::MachineRestarted, 0));
    }
}

#[tokio::test]
async fn an_end_by_a_person_and_an_exit_code_are_never_followed_by_a_restart() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let ended = link.create_restarting(RestartPolicy::OnBoot, "exec cat").await;
    assert!(spec(&machine, &ended.id).exists());
    link.end_session(&ended.id, false).await.unwrap();
    let over = link.state(&ended.id, SessionState::Exited).await;
    assert_ne!(over.exit.unwrap().signal, 0, "it would be a crash");
    assert_eq!(over.restart(), RestartPolicy::Unspecified);
    assert!(!spec(&machine, &ended.id).exists(), "nothing is left to start it with");

    let hangs = link.create_restarting(RestartPolicy::OnBoot, "exec cat").await;
    kill_process(machine.holder_pid(&hangs.id).unwrap(), Signal::STOP).unwrap();
    link.end_session(&hangs.id, true).await.unwrap();
    let lost = link.state(&hangs.id, SessionState::Lost).await;
    assert!(lost.restarts_over && !spec(&machine, &hangs.id).exists());

    let exits = link.create_restarting(RestartPolicy::OnBoot, "exit 1").await;
    let over = link.state(&exits.id, SessionState::Exited).await;
    assert!(!over.restarts_over);
    // Its holder lingers, while one that is started again is sent away.
    assert!(machine.holder_pid(&exits.id).is_some());
}

#[tokio::test]
async fn a_session_that_was_started_again_too_often_stays_ended_and_says_so_also_later() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let daemon = machine.start();
    let link = core.link().await;
    let made = link.create_restarting(RestartPolicy::OnCrash, "exec cat").await;
    let file = spec(&machine, &made.id);
    let mut order = pb::HolderSpec::decode(&*std::fs::read(&file).unwrap()).unwrap();
    order.restarted_unix_ms = vec![now_ms(); 5];
    std::fs::write(&file, order.encode_to_vec()).unwrap();
    machine.kill_holder(&made.id);
    eventually("its word", async || link.get(&made.id).await.ok().filter(|session| session.restarts_over))
        .await;
    let crashes = link.create_restarting(RestartPolicy::OnCrash, "read go; kill -9 $$").await;
    order.session.clone_from(&crashes.id);
    std::fs::write(spec(&machine, &crashes.id), order.encode_to_vec()).unwrap();
    let mut seat = Seat::take(link.link(), &crashes.id).await;
    seat.type_text("\r").await;
    eventually("its word", async || link.get(&crashes.id).await.ok().filter(|session| session.restarts_over))
        .await;
    assert!(machine.holder_pid(&crashes.id).is_some(), "its holder lingers for late viewers");
    daemon.kill().await;
    let _daemon = machine.start();
    let link = core.link().await;
    let over = link.state(&made.id, SessionState::Lost).await;
    assert!(over.restarts_over);
}
