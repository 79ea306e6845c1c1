//! The service `Sessions`: made, listed, named, watched, ended.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _};

use chatcode_proto::{
    id::SessionId,
    pb::{self, Code, SessionState, sessions_watch_response::Event},
};
use rustix::process::{Pid, Signal, kill_process};
use tonic::Streaming;

use crate::{
    core::{LiveLink, TestCore, code, eventually, on_gateway, on_session, soon},
    machine::{Machine, is_alive},
    seat::Seat,
};

type Watch = Streaming<pb::SessionsWatchResponse>;

async fn watch(link: &LiveLink) -> Watch {
    let mut client = pb::sessions_client::SessionsClient::new(link.link().channel());
    client.watch(on_gateway(pb::SessionsWatchRequest {})).await.unwrap().into_inner()
}

async fn event(watch: &mut Watch) -> Event {
    soon("an event", watch.message()).await.unwrap().unwrap().event.unwrap()
}

/// Reads until the watch tells of this session in this state.
async fn told(watch: &mut Watch, id: &str, state: SessionState) -> pb::Session {
    loop {
        match event(watch).await {
            Event::Changed(session) if session.id == id && session.state() == state => return session,
            _ => {}
        }
    }
}

#[tokio::test]
async fn sessions_are_told_until_the_core_takes_them_and_then_as_they_change() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let mut link = core.link().await;
    assert_eq!(link.told().await, Event::Synced(true), "after the call that was refused");
    let made = link.create_sh("exec cat").await;
    let told = |event: Event| matches!(event, Event::Changed(session) if session.id == made.id);
    while !told(link.told().await) {}
    link.end_session(&made.id, false).await.unwrap();
    let ended =
        |event: Event| matches!(event, Event::Changed(session) if session.state() == SessionState::Exited);
    while !ended(link.told().await) {}
}

#[tokio::test]
async fn a_holder_that_is_stopped_is_killed_by_force_and_its_shell_with_it() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let stubborn = "trap '' HUP TERM; echo $$ > pid.new; mv pid.new pid; while :; do sleep 1; done";
    let made = link.create_sh(stubborn).await;
    let other = link.create_sh("exec cat").await;
    let file = machine.home().join("pid");
    let shell = eventually("the shell's number", async || fs::read_to_string(&file).ok()).await;
    let shell = Pid::from_raw(shell.trim().parse().unwrap()).unwrap();
    let holder = machine.holder_pid(&made.id).unwrap();
    kill_process(holder, Signal::STOP).unwrap();

    let refused = link.end_session(&made.id, false).await.unwrap_err();
    assert_eq!(code(&refused), Code::HolderUnreachable);
    assert!(refused.message().contains("force"), "{}", refused.message());
    assert!(is_alive(holder) && is_alive(shell), "nothing is killed unasked");

    let ended = link.end_session(&made.id, true).await.unwrap().expect("is still known");
    assert_eq!(ended.state(), SessionState::Lost);
    eventually("the end of both", async || (!is_alive(holder) && !is_alive(shell)).then_some(())).await;
    assert_eq!(link.get(&other.id).await.unwrap().state(), SessionState::Running, "the other lives on");
    assert_eq!(link.end_session(&made.id, false).await.unwrap(), None, "is forgotten as others are");
}

#[tokio::test]
async fn a_holder_that_hung_until_nobody_could_call_it_any_more_is_killed_by_force() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("exec cat").await;
    let holder = machine.holder_pid(&made.id).unwrap();
    kill_process(holder, Signal::STOP).unwrap();
    // Whoever called and left still counts in the kernel's queue of callers.
    let socket = machine.session_folder(&made.id).join("holder.sock");
    while tokio::net::UnixStream::connect(&socket).await.is_ok() {}

    let ended = link.end_session(&made.id, true).await;
    let is_left = is_alive(holder);
    let _ = kill_process(holder, Signal::KILL);
    assert_eq!(ended.unwrap().expect("is still known").state(), SessionState::Lost);
    assert!(!is_left, "it was killed before the answer");
}

#[tokio::test]
async fn a_session_that_has_ended_has_no_viewers_also_after_a_restart() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("read line").await;
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.type_text("\r").await;
    while let Ok(Some(_)) = seat.next_word().await {}
    link.state(&made.id, SessionState::Exited).await;
    daemon.kill().await;
    machine.kill_holder(&made.id);

    let _daemon = machine.start();
    let link = core.link().await;
    assert_eq!(link.state(&made.id, SessionState::Exited).await.viewers, 0);
}

#[tokio::test]
async fn a_session_is_made_listed_renamed_watched_ended_and_forgotten() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let mut watch = watch(&link).await;
    assert_eq!(event(&mut watch).await, Event::Synced(true));

    let made = link.create_sh("echo hello; exec cat").await;
    assert_eq!((made.state(), made.name.as_str()), (SessionState::Running, "sh"));
    assert_eq!(made.winsize, Some(pb::Winsize { rows: 24, cols: 80 }));
    assert_ne!(made.epoch, 0);
    told(&mut watch, &made.id, SessionState::Running).await;
    assert_eq!(link.list().await, [link.get(&made.id).await.unwrap()]);
    let folder = machine.session_folder(&made.id);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);

    let rename = on_session(pb::SessionsRenameRequest { name: "Über".into() }, &made.id);
    let renamed = link.sessions().rename(rename).await.unwrap().into_inner().session.unwrap();
    assert_eq!(renamed.name, "Über");
    assert_eq!(told(&mut watch, &made.id, SessionState::Running).await.name, "Über");

    let ending = link.end_session(&made.id, false).await.unwrap().expect("the ladder has begun");
    assert!(matches!(ending.state(), SessionState::Ending | SessionState::Exited));
    let ended = told(&mut watch, &made.id, SessionState::Exited).await;
    assert!(ended.exit.is_some());
    assert_eq!(link.end_session(&made.id, false).await.unwrap(), None, "it is forgotten");
    while event(&mut watch).await != Event::Removed(made.id.clone()) {}
    assert_eq!(code(&link.get(&made.id).await.unwrap_err()), Code::UnknownSession);
    eventually("the folder's end", async || (!folder.exists()).then_some(())).await;
}

#[tokio::test]
async fn the_exit_of_a_shell_is_known_with_its_code_and_its_holder_s_end_changes_nothing() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("exit 7").await;
    let ended = link.state(&made.id, SessionState::Exited).await;
    assert_eq!(ended.exit.unwrap().code, 7);
    machine.kill_holder(&made.id);
    eventually("the holder's end", async || machine.holder_pid(&made.id).is_none().then_some(())).await;
    let later = link.get(&made.id).await.unwrap();
    assert_eq!((later.state(), later.exit), (SessionState::Exited, ended.exit));
}

#[tokio::test]
async fn a_create_with_the_same_id_answers_with_the_same_session() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let session = SessionId::from_random([9; 16]).to_string();
    let request =
        pb::SessionsCreateRequest { session: session.clone(), name: "one".into(), ..Default::default() };
    let again = pb::SessionsCreateRequest { name: "two".into(), ..request.clone() };
    let (first, second) = tokio::join!(link.create(request), link.create(again));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((&first.id, &second.id), (&session, &session));
    assert_eq!((first.epoch, first.name), (second.epoch, second.name));
    assert_eq!(link.list().await.len(), 1);
}

#[tokio::test]
async fn a_holder_that_vanishes_is_a_lost_session() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("exec cat").await;
    machine.kill_holder(&made.id);
    let lost = link.state(&made.id, SessionState::Lost).await;
    assert_eq!((lost.exit, lost.viewers), (None, 0));
    assert_eq!(link.end_session(&made.id, true).await.unwrap(), None);
    assert!(link.list().await.is_empty());
}

#[tokio::test]
async fn the_folder_asked_for_is_made_and_the_shell_is_in_it() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link
        .create(pb::SessionsCreateRequest {
            folder: "~/new/deep".into(),
            command: ["/bin/sh", "-c", "pwd > here; exec cat"].map(str::to_owned).to_vec(),
            ..Default::default()
        })
        .await
        .unwrap();
    let folder = machine.home().join("new/deep");
    assert_eq!(made.folder, folder.display().to_string());
    let here = eventually("the shell's word", async || {
        fs::read_to_string(folder.join("here")).ok().filter(|text| text.ends_with('\n'))
    })
    .await;
    assert_eq!(here.trim(), fs::canonicalize(&folder).unwrap().display().to_string());
}

#[tokio::test]
async fn every_bad_wish_is_refused_with_its_code_and_nothing_is_left_behind() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let wish = pb::SessionsCreateRequest::default;
    let variable = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let invalid = [
        pb::SessionsCreateRequest { name: "a\u{1b}[2J".into(), ..wish() },
        pb::SessionsCreateRequest { name: "x".repeat(129), ..wish() },
        pb::SessionsCreateRequest { folder: "/tmp/../etc".into(), ..wish() },
        pb::SessionsCreateRequest { folder: "relative".into(), ..wish() },
        pb::SessionsCreateRequest { folder: "/a\0b".into(), ..wish() },
        pb::SessionsCreateRequest { environment: variable("CHATCODE_X", ""), ..wish() },
        pb::SessionsCreateRequest { environment: variable("A=B", ""), ..wish() },
        pb::SessionsCreateRequest { environment: variable("A", "\0"), ..wish() },
        pb::SessionsCreateRequest { command: vec!["x".into(); 65], ..wish() },
        pb::SessionsCreateRequest { command: vec!["x".repeat(4097)], ..wish() },
        pb::SessionsCreateRequest { session: "../../x".into(), ..wish() },
    ];
    for bad in invalid {
        let refusal = link.create(bad.clone()).await.expect_err("is refused");
        assert_eq!(code(&refusal), Code::Invalid, "{bad:?}");
    }
    let file = machine.home().join("file");
    fs::write(&file, b"").unwrap();
    let failing = [
        pb::SessionsCreateRequest { folder: file.display().to_string(), ..wish() },
        pb::SessionsCreateRequest { command: vec!["/no/such/program".into()], ..wish() },
    ];
    for bad in failing {
        let refusal = link.create(bad.clone()).await.expect_err("fails");
        assert_eq!(code(&refusal), Code::SpawnFailed, "{bad:?}");
    }
    assert!(link.list().await.is_empty());
    let left = fs::read_dir(machine.data().join("sessions")).unwrap().count();
    assert_eq!(left, 0, "no folder is left");
}

#[tokio::test]
async fn a_size_beyond_the_limits_is_cut() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let winsize = Some(pb::Winsize { rows: 9999, cols: 0 });
    let made = link.create(pb::SessionsCreateRequest { winsize, ..Default::default() }).await.unwrap();
    assert_eq!(made.winsize, Some(pb::Winsize { rows: 1000, cols: 1 }));
}

#[tokio::test]
async fn a_stalled_watcher_holds_up_neither_the_other_nor_the_machine() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("exec cat").await;
    let _stalled = watch(&link).await;
    let mut lively = watch(&link).await;
    for number in 0..50 {
        let name = format!("name {number} {}", "x".repeat(100));
        let rename = on_session(pb::SessionsRenameRequest { name: name.clone() }, &made.id);
        link.sessions().rename(rename).await.unwrap();
        while told(&mut lively, &made.id, SessionState::Running).await.name != name {}
    }
}
