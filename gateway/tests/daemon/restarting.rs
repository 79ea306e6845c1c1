//! The daemon is killed, restarted, stopped; the shells do not notice.

use chatcode_proto::pb::{self, SessionState};

use crate::{
    core::{TestCore, eventually},
    machine::{Daemon, Machine},
    seat::Seat,
};

#[tokio::test]
async fn every_number_is_seen_once_though_the_daemon_is_killed_while_they_are_counted() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let daemon = machine.start();
    let mut link = core.link().await;
    let script = "read go; i=0; while [ ! -e enough ]; do i=$((i+1)); echo $i; sleep 0.002; done; echo done $i; exec cat";
    let made = link.create_sh(script).await;
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.type_text("\r").await;
    seat.until("\n50\r").await;
    daemon.kill().await;

    let _daemon = machine.start();
    let older = std::mem::replace(&mut link, core.link().await);
    older.link().close(pb::Code::Fenced, "a newer link of this gateway took the place");
    while let Ok(Some(_)) = seat.next_frame().await {}
    let (mut seen, place) = (seat.seen.clone(), seat.place());
    let known = link.get(&made.id).await.unwrap();
    assert_eq!((known.state(), known.epoch), (SessionState::Running, made.epoch));
    let mut seat = Seat::resume(link.link(), &made.id, pb::Role::Writer, 1, Some(place)).await.unwrap();
    assert_eq!(seat.attached.offset, place.offset, "nothing is skipped and nothing comes twice");
    // It counts on, also live.
    let live = seat.attached.live_offset;
    while seat.place().offset < live + 200 {
        seat.next_frame().await.unwrap().expect("it goes on");
    }
    std::fs::write(machine.home().join("enough"), b"").unwrap();
    seat.until("done").await;
    seat.until_line_end().await;
    seen.extend_from_slice(&seat.seen);
    let text = String::from_utf8(seen).unwrap();
    let numbers: Vec<u32> = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
    let last: u32 = text.rsplit(' ').next().unwrap().trim().parse().unwrap();
    assert_eq!(numbers, (1..=last).collect::<Vec<u32>>());
}

#[tokio::test]
async fn what_ended_or_was_lost_while_no_daemon_lived_is_known_after_the_start() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let daemon = machine.start();
    let link = core.link().await;
    let lives = link.create_sh("exec cat").await;
    let ends = link.create_sh("while [ ! -e go ]; do sleep 0.01; done; exit 5").await;
    let vanishes = link.create_sh("exec cat").await;
    daemon.kill().await;
    std::fs::write(machine.home().join("go"), b"").unwrap();
    machine.kill_holder(&vanishes.id);
    // A folder that is no session, and one that a crash left half made.
    let stray = machine.data().join("sessions/not-a-session");
    std::fs::create_dir(&stray).unwrap();

    let _daemon = machine.start();
    let link = core.link().await;
    assert_eq!(link.get(&lives.id).await.unwrap().state(), SessionState::Running);
    assert_eq!(link.state(&ends.id, SessionState::Exited).await.exit.unwrap().code, 5);
    link.state(&vanishes.id, SessionState::Lost).await;
    assert_eq!(link.list().await.len(), 3);
    assert!(stray.exists(), "what is not ours is left alone");
}

#[tokio::test]
async fn a_stop_says_goodbye_leaves_the_holders_alone_and_the_next_start_finds_them() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let daemon = machine.start();
    let mut link = core.link().await;
    let made = link.create_sh("exec cat").await;
    let mut seat = Seat::take(link.link(), &made.id).await;
    let holder = machine.holder_pid(&made.id).unwrap();
    let stopping = tokio::spawn(daemon.stop());
    let farewell = loop {
        let word = link.heard().await.expect("a goodbye comes first");
        if let pb::gateway_control::Kind::Goodbye(goodbye) = word {
            break goodbye;
        }
    };
    assert_eq!(farewell.code(), pb::Code::Done);
    let end = loop {
        match seat.next_word().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended as if the shell had"),
            Err(status) => break status,
        }
    };
    assert_eq!(crate::core::code(&end), pb::Code::Draining, "the viewer is told to come back");
    drop(link);
    assert!(stopping.await.unwrap().success());

    let mut daemon = machine.start();
    let link = core.link().await;
    assert_eq!(daemon.line().await["ready"], "gateway");
    assert_eq!(machine.holder_pid(&made.id), Some(holder));
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.type_text("still here\r").await;
    seat.until("still here").await;
}

#[tokio::test]
async fn a_second_daemon_on_the_same_folder_is_refused() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let _link = core.link().await;
    let mut command = machine.command();
    command.stderr(std::process::Stdio::piped());
    let (code, words) = Daemon::spawn(command).complaint().await;
    assert_eq!(code, Some(75));
    assert!(words.contains("another chatcode-gateway runs on"), "{words}");
}

#[tokio::test]
async fn a_killed_daemon_leaves_no_lock_behind() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let daemon = machine.start();
    let _link = core.link().await;
    daemon.kill().await;
    let _daemon = machine.start();
    let link = core.link().await;
    eventually("an answer", async || link.list().await.is_empty().then_some(())).await;
}
