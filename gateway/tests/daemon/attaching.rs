//! `Terminal.Attach`, from a core's stream to the PTY and back.

use std::io::Write as _;

use chatcode_proto::pb::{
    self, Code, SessionState, client_frame, server_frame, terminal_client::TerminalClient,
};
use rustix::fs::{OFlags, fcntl_setfl};
use tonic::Request;

use crate::{
    core::{TestCore, as_role, code, grant, now_ms, on_session, soon, with_grant},
    machine::{Daemon, Machine},
    seat::{Seat, attach_frame, frame},
};

#[tokio::test]
async fn what_is_typed_reaches_the_program_and_its_answer_comes_back() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("read line; echo \"got <$line>\"; exec cat").await;
    let mut seat = Seat::take(link.link(), &made.id).await;
    assert_eq!(seat.attached.epoch, made.epoch);
    seat.type_text("hello\r").await;
    seat.until("got <hello>").await;
    assert_eq!(link.get(&made.id).await.unwrap().viewers, 1);
}

#[tokio::test]
async fn output_of_any_size_comes_whole_and_in_order() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("read go; seq 1 20000; echo done; exec cat").await;
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.type_text("\r").await;
    seat.until("done\r\n").await;
    let text = seat.text();
    let numbers: Vec<u32> = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
    assert_eq!(numbers, (1..=20000).collect::<Vec<u32>>());
}

#[tokio::test]
async fn the_end_of_the_shell_is_told_and_ends_the_call_well() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("read line; exit 3").await;
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.type_text("\r").await;
    let exited = loop {
        let word = seat.next_word().await.unwrap().expect("goes on until it is told");
        if let server_frame::Kind::Exited(exited) = word {
            break exited;
        }
    };
    assert_eq!(exited.exit.unwrap().code, 3);
    assert_eq!(seat.next_word().await.expect("a good end"), None);
    // The holder stays for viewers that come late.
    link.state(&made.id, SessionState::Exited).await;
    let mut late = Seat::take(link.link(), &made.id).await;
    let mut words = Vec::new();
    while let Some(word) = late.next_word().await.expect("a good end") {
        words.push(word);
    }
    assert!(matches!(words.last(), Some(server_frame::Kind::Exited(_))), "{words:?}");
}

#[tokio::test]
async fn a_viewer_who_sends_no_more_still_looks_on() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("read line; echo seen; exec cat").await;
    let mut looker = Seat::take(link.link(), &made.id).await;
    looker.half_close();
    let mut typist = Seat::resume(link.link(), &made.id, pb::Role::Writer, 2, None).await.unwrap();
    typist.send(client_frame::Kind::TakeLease(pb::TakeLease {})).await;
    typist.type_text("\r").await;
    looker.until("seen").await;
}

#[tokio::test]
async fn a_grant_to_look_never_types() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("read line; echo \"typed $line\"; exec cat").await;
    let mut looker = Seat::resume(link.link(), &made.id, pb::Role::Viewer, 1, None).await.unwrap();
    assert_eq!(looker.attached.role(), pb::Role::Viewer, "the least of grant and wish");
    looker.type_text("no\r").await;
    let refused = loop {
        let word = looker.next_word().await.unwrap().expect("goes on");
        if let server_frame::Kind::InputRefused(refused) = word {
            break refused;
        }
    };
    assert_eq!((refused.from, refused.to, refused.code()), (0, 3, Code::NotWriter));
    let mut writer = Seat::resume(link.link(), &made.id, pb::Role::Writer, 2, None).await.unwrap();
    writer.type_text("yes\r").await;
    looker.until("typed yes").await;
}

#[tokio::test]
async fn a_newer_attachment_of_the_same_viewer_fences_the_older_with_its_code() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("exec cat").await;
    let mut older = Seat::take(link.link(), &made.id).await;
    let _newer = Seat::take(link.link(), &made.id).await;
    let mut closing = None;
    let end = loop {
        match older.next_word().await {
            Ok(Some(server_frame::Kind::Closing(words))) => closing = Some(words.code()),
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended well"),
            Err(status) => break status,
        }
    };
    assert_eq!((closing, code(&end)), (Some(Code::Fenced), Code::Fenced));
}

#[tokio::test]
async fn a_viewer_that_goes_is_gone_for_the_holder() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("exec cat").await;
    let seat = Seat::take(link.link(), &made.id).await;
    crate::core::eventually("one viewer", async || {
        (link.get(&made.id).await.unwrap().viewers == 1).then_some(())
    })
    .await;
    drop(seat);
    crate::core::eventually("no viewer", async || {
        (link.get(&made.id).await.unwrap().viewers == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_holder_that_breaks_off_is_told_with_its_code() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("exec cat").await;
    let mut seat = Seat::take(link.link(), &made.id).await;
    machine.kill_holder(&made.id);
    let end = loop {
        match seat.next_word().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended well"),
            Err(status) => break status,
        }
    };
    assert_eq!(code(&end), Code::HolderUnreachable);
    link.state(&made.id, SessionState::Lost).await;
    let late = Seat::resume(link.link(), &made.id, pb::Role::Writer, 1, None).await.map(|_| ());
    assert_eq!(code(&late.unwrap_err()), Code::SessionEnded);
}

/// How a call of `Attach` with these frames ends.
async fn ends(link: &chatcode_link::Link, call: Request<Vec<pb::ClientFrame>>) -> Code {
    let (metadata, extensions, frames) = call.into_parts();
    let frames = tokio_stream::iter(frames);
    let call = Request::from_parts(metadata, extensions, frames);
    let call = soon("an answer", TerminalClient::new(link.channel()).attach(call)).await;
    let mut inbox = match call {
        Ok(answer) => answer.into_inner(),
        Err(status) => return code(&status),
    };
    loop {
        match soon("a frame", inbox.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => return Code::Done,
            Err(status) => return code(&status),
        }
    }
}

#[tokio::test]
async fn bad_calls_and_frames_end_with_their_codes_and_the_session_lives_on() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("exec cat").await;
    let attach = || vec![attach_frame(5, None)];
    let target = |grant: &pb::Grant| {
        let mut call = with_grant(Request::new(attach()), grant);
        call.metadata_mut().insert("chatcode-session", made.id.parse().unwrap());
        call
    };
    let good = grant(&made.id, pb::Role::Writer);

    let bare = Request::new(attach());
    assert_eq!(ends(link.link(), bare).await, Code::Unauthenticated, "no grant");
    let expired = target(&pb::Grant { expires_unix_ms: now_ms() - 30_000, ..good.clone() });
    assert_eq!(ends(link.link(), expired).await, Code::Unauthenticated, "an ended grant");
    let other = target(&grant("6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11", pb::Role::Writer));
    assert_eq!(ends(link.link(), other).await, Code::Forbidden, "another session's grant");
    let whole = target(&grant("", pb::Role::Writer));
    assert_eq!(ends(link.link(), whole).await, Code::Forbidden, "the gateway's grant");
    let mut garbage = target(&good);
    let value = tonic::metadata::MetadataValue::from_bytes(b"\xff\x00\xff");
    garbage.metadata_mut().insert_bin("chatcode-grant-bin", value);
    assert_eq!(ends(link.link(), garbage).await, Code::Invalid, "a grant of garbage");
    let unknown = on_session(attach(), "6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11");
    assert_eq!(ends(link.link(), unknown).await, Code::UnknownSession);

    let input = |bytes: usize| {
        frame(client_frame::Kind::Input(pb::Input { offset: 0, data: vec![b'x'; bytes].into() }))
    };
    let first = on_session(vec![input(1)], &made.id);
    assert_eq!(ends(link.link(), first).await, Code::Protocol, "no attach");
    let huge = on_session(vec![attach_frame(6, None), input(65 * 1024)], &made.id);
    assert_eq!(ends(link.link(), huge).await, Code::TooLarge);
    let future = on_session(
        vec![frame(client_frame::Kind::Attach(pb::Attach {
            versions: vec![99],
            viewer_id: vec![7; 16].into(),
            ..Default::default()
        }))],
        &made.id,
    );
    assert_eq!(ends(link.link(), future).await, Code::UnsupportedVersion);

    let mut seat = Seat::take(link.link(), &made.id).await;
    // One of those above had the lease.
    seat.send(client_frame::Kind::TakeLease(pb::TakeLease {})).await;
    seat.type_text("alive\r").await;
    seat.until("alive").await;
    let list = link.sessions().list(as_role(pb::SessionsListRequest {}, &made.id, pb::Role::Writer)).await;
    assert_eq!(code(&list.unwrap_err()), Code::Forbidden, "a session's grant opens no list");
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_neither_echo_nor_the_daemon_s_end() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let (_unread, mut log) = std::io::pipe().unwrap();
    // As full as it gets when nobody reads.
    fcntl_setfl(&log, OFlags::NONBLOCK).unwrap();
    while log.write(&[b'x'; 4096]).is_ok() {}
    fcntl_setfl(&log, OFlags::empty()).unwrap();
    let mut command = machine.command();
    command.env("CHATCODE_LOG", "trace").stderr(log);
    let daemon = Daemon::spawn(command);
    let link = core.link().await;
    let made = link.create_sh("exec cat").await;
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.type_text("echoed\r").await;
    seat.until("echoed").await;
    drop((seat, link));
    assert!(daemon.stop().await.success());
}
