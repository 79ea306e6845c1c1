//! What is left of a session when its holder is gone.

use std::{fs::File, path::Path, process::Stdio, time::SystemTime};

use chatcode_proto::{
    limits,
    pb::{self, Code, LostReason, SessionState, server_frame::Kind},
};
use prost::Message as _;

use crate::{
    core::{LiveLink, TestCore, code, eventually},
    machine::{Daemon, Machine},
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

/// A session whose holder was killed.
async fn lost(machine: &Machine, link: &LiveLink) -> pb::Session {
    let made = link.create_sh("exec cat").await;
    machine.kill_holder(&made.id);
    link.state(&made.id, SessionState::Lost).await
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
    let made = lost(&machine, &link).await;
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
async fn one_viewer_more_than_saved_screens_are_shown_to_is_refused_with_limit_until_another_left() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = lost(&machine, &link).await;
    let screen = pb::HolderScreen {
        winsize: Some(pb::Winsize { rows: 24, cols: 80 }),
        epoch: made.epoch,
        // More than a viewer takes that has rendered nothing yet.
        snapshot: "x".repeat(8 * 1024 * 1024).into(),
        ..Default::default()
    };
    std::fs::write(machine.session_folder(&made.id).join("screen.pb"), screen.encode_to_vec()).unwrap();
    let take = || Seat::resume(link.link(), &made.id, pb::Role::Viewer, 1, None);
    let mut looking = Vec::new();
    for _ in 0..limits::SAVED_SCREENS_SHOWN {
        looking.push(take().await.unwrap());
    }
    assert_eq!(code(&take().await.map(drop).unwrap_err()), Code::Limit);
    looking.pop();
    eventually("a place", async || take().await.ok()).await;
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

#[tokio::test]
async fn a_session_whose_record_cannot_be_read_is_lost_and_keeps_its_screen_and_a_strange_folder_is_left_alone()
 {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let daemon = machine.start();
    let link = core.link().await;
    let [spoilt, without_power] = [
        link.create_sh("echo last words; exec cat").await,
        link.create_restarting(pb::RestartPolicy::OnCrash, "exec cat").await,
    ];
    let folder = |id: &str| machine.session_folder(id);
    let screen = folder(&spoilt.id).join("screen.pb");
    eventually("a saved screen", async || screen.exists().then_some(())).await;
    daemon.kill().await;
    let strange = folder("6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11");
    std::fs::create_dir(&strange).unwrap();
    std::fs::write(strange.join("notes"), "of a person").unwrap();
    let before = |path: &Path| File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    for id in [&spoilt.id, &without_power.id] {
        machine.kill_holder(id);
        eventually("no holder", async || machine.holder_pid(id).is_none().then_some(())).await;
        File::create(folder(id).join("record.pb")).unwrap();
        before(&folder(id));
    }
    before(&folder(&without_power.id).join("record.pb"));
    before(&folder(&without_power.id).join("spec.pb"));
    before(&strange);

    let mut command = machine.command();
    command.stderr(Stdio::piped());
    let daemon = Daemon::spawn(command);
    let link = core.link().await;
    let lost = link.state(&spoilt.id, SessionState::Lost).await;
    assert_eq!((lost.lost_reason(), lost.epoch), (LostReason::HolderVanished, spoilt.epoch));
    let mut seat = Seat::take(link.link(), &spoilt.id).await;
    assert_eq!(read_to_exit(&mut seat).await.exit, None);
    assert!(seat.text().contains("last words"), "{}", seat.text());
    let lost = link.state(&without_power.id, SessionState::Lost).await;
    assert_eq!(lost.lost_reason(), LostReason::MachineRestarted);
    assert_eq!((&lost.name, lost.restart()), (&without_power.name, pb::RestartPolicy::OnCrash));
    assert!(link.get(&strange.file_name().unwrap().to_string_lossy()).await.is_err());
    assert!(strange.join("notes").exists());
    let said = daemon.stop_and_read().await;
    assert!(said.contains("left alone") && said.contains("the record cannot be read"), "{said}");
}
