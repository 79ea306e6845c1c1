//! What is left of a session when its holder is gone.

use chatcode_proto::pb::{self, Code, LostReason, SessionState, server_frame::Kind};
use prost::Message as _;

use crate::{
    core::{TestCore, code, eventually},
    machine::Machine,
    seat::Seat,
};

/// Reads to the end of the call, which is well; what `exited` said.
async fn read_to_exit(seat: &mut Seat) -> pb::Exited {
    let mut exited = None;
    while let Some(word) = seat.next_word().await.unwrap() {
        if let Kind::Exited(last) = word {
            exited = Some(last);
        }
    }
    exited.expect("the exit is told")
}

#[tokio::test]
async fn the_last_screen_and_the_exit_of_an_ended_session_are_shown_without_its_holder() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("seq 1000 1100; echo last words; exit 3").await;
    link.state(&made.id, SessionState::Exited).await;
    machine.kill_holder(&made.id);
    eventually("no holder", async || machine.holder_pid(&made.id).is_none().then_some(())).await;

    let mut seat = Seat::take(link.link(), &made.id).await;
    assert_eq!((seat.attached.role(), seat.attached.epoch), (pb::Role::Viewer, made.epoch));
    assert_eq!(seat.attached.session.as_ref().unwrap().state(), SessionState::Exited);
    let exited = read_to_exit(&mut seat).await;
    assert_eq!((exited.exit.unwrap().code, exited.offset), (3, seat.attached.offset));
    assert!(seat.text().contains("1000") && seat.text().contains("last words"), "{}", seat.text());
}

#[tokio::test]
async fn the_saved_screen_of_a_lost_session_is_shown_and_without_one_it_is_told_that_it_is_lost() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("exec cat").await;
    machine.kill_holder(&made.id);
    link.state(&made.id, SessionState::Lost).await;
    let refused = Seat::resume(link.link(), &made.id, pb::Role::Writer, 1, None).await.map(|_| ());
    assert_eq!(code(&refused.unwrap_err()), Code::SessionEnded);

    let screen = pb::HolderScreen {
        winsize: Some(pb::Winsize { rows: 24, cols: 80 }),
        epoch: made.epoch,
        snapshot: "half a line".into(),
        ..Default::default()
    };
    std::fs::write(machine.session_folder(&made.id).join("screen.pb"), screen.encode_to_vec()).unwrap();
    let mut seat = Seat::take(link.link(), &made.id).await;
    assert_eq!(read_to_exit(&mut seat).await.exit, None, "nobody knows how it ended");
    assert_eq!(seat.text(), "half a line");
}

#[tokio::test]
async fn a_lost_session_says_whether_its_holder_vanished_or_the_machine_was_restarted() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let daemon = machine.start();
    let link = core.link().await;
    let [killed, rebooted, stopped] = [
        link.create_sh("exec cat").await,
        link.create_sh("exec cat").await,
        link.create_sh("exec cat").await,
    ];
    machine.kill_holder(&killed.id);
    let lost = link.state(&killed.id, SessionState::Lost).await;
    assert_eq!(lost.lost_reason(), LostReason::HolderVanished);

    daemon.kill().await;
    machine.kill_holder(&rebooted.id);
    let holder = machine.holder_pid(&stopped.id).unwrap();
    rustix::process::kill_process(holder, rustix::process::Signal::TERM).unwrap();
    eventually("its end", async || machine.holder_pid(&stopped.id).is_none().then_some(())).await;
    machine.reboot(&rebooted.id);
    machine.reboot(&stopped.id);
    let _daemon = machine.start();
    let link = core.link().await;
    let lost = link.state(&rebooted.id, SessionState::Lost).await;
    assert_eq!(lost.lost_reason(), LostReason::MachineRestarted);
    let ended = link.state(&stopped.id, SessionState::Exited).await;
    assert_eq!(ended.lost_reason(), LostReason::MachineRestarted, "the shutdown ended it");
    let lost = link.state(&killed.id, SessionState::Lost).await;
    assert_eq!(lost.lost_reason(), LostReason::HolderVanished);
}
