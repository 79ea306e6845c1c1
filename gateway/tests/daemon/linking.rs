//! The link: Hello, heartbeats, drain, revocation, fencing, silence.

use std::{sync::Arc, time::Duration};

use chatcode_certs::{MemberName, tls};
use chatcode_link::{LinkDialer, enroll::CoreAddress};
use chatcode_proto::{
    code::Refusal,
    id::MemberId,
    limits,
    pb::{self, Code, core_control::Kind as FromCore, gateway_control::Kind as FromGateway},
};
use tokio::{net::TcpListener, task::JoinSet, time::Instant};

use crate::{
    core::{DAY, Greeted, LiveLink, TestCore, eventually},
    machine::Machine,
    seat::Seat,
};

async fn next_echo(link: &mut LiveLink) -> pb::HeartbeatEcho {
    loop {
        if let FromGateway::HeartbeatEcho(echo) = link.heard().await.expect("the link lives") {
            return echo;
        }
    }
}

#[tokio::test]
async fn the_hello_says_who_the_machine_is_and_ready_comes_at_the_welcome() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let mut daemon = machine.start();
    let greeted = core.hello().await;
    let hello = greeted.hello.clone();
    assert_eq!((hello.versions.as_slice(), hello.instance.len(), hello.epoch), (&[1][..], 16, 0));
    let host = hello.host.unwrap();
    assert!(
        !host.hostname.is_empty() && !host.os.is_empty() && !host.arch.is_empty() && !host.user.is_empty()
    );
    assert!(!hello.program_version.is_empty());
    let welcome = greeted.a_welcome(7);
    let id = welcome.gateway.clone();
    let link = greeted.welcome_with(welcome).await;
    let ready = daemon.line().await;
    assert_eq!((ready["ready"].as_str(), ready["gateway"].as_str()), (Some("gateway"), Some(id.as_str())));

    link.link().close(Code::Internal, "the test breaks it");
    let again = core.hello().await;
    assert_eq!(again.hello.epoch, 7, "it names the last epoch");
    assert_eq!(again.hello.instance, link.hello().instance, "it is the same run of the daemon");
}

/// A core that starts again has a whole fleet before its door.
#[tokio::test]
async fn a_core_that_has_answered_over_udp_and_takes_its_time_is_not_dialled_over_tcp_as_well() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let grpc = tcp.local_addr().unwrap().to_string();
    CoreAddress { grpc, link: core.address.to_string() }.save(&machine.data().join("identity")).unwrap();

    let crowd = Arc::new(LinkDialer::bind().unwrap());
    let other = core.authority.identity(&MemberName::Gateway(MemberId::from_random([7; 16])), DAY).unwrap();
    let (name, tls) = (other.trust_domain().core_dns(), tls::core_client(&other, &[tls::LINK_ALPN]).unwrap());
    let mut dials = JoinSet::new();
    let mut waiting = Vec::new();
    for _ in 0..limits::LINK_UNPROVEN {
        let (crowd, address, name, tls) = (Arc::clone(&crowd), core.address, name.clone(), Arc::clone(&tls));
        dials.spawn(async move { crowd.dial(address, &name, tls).await });
        waiting.push(core.knock().await);
    }
    let _daemon = machine.start();
    let incoming = core.knock().await;
    let dialled = tokio::time::timeout(2 * limits::LINK_TCP_AFTER, tcp.accept()).await;
    assert!(dialled.is_err(), "it knows that UDP gets through: {dialled:?}");
    let _link = Greeted::on(incoming.finish().await.unwrap()).await.welcome(1).await;
}

#[tokio::test]
async fn heartbeats_are_echoed_with_their_stamps_and_the_way_to_the_holders() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let mut link = core.link().await;
    let echo = next_echo(&mut link).await;
    assert_eq!((echo.number, echo.core_sent_us, echo.holder_rtt_us), (1, 7, 0));
    assert!(echo.gateway_sent_us >= echo.gateway_received_us);
    link.create_sh("exec cat").await;
    while next_echo(&mut link).await.holder_rtt_us == 0 {}
}

#[tokio::test]
async fn a_drained_gateway_goes_tells_its_viewers_and_comes_back_after_the_time() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create_sh("exec cat").await;
    let mut seat = Seat::take(link.link(), &made.id).await;
    let told = Instant::now();
    link.say(FromCore::Drain(pb::Drain { retry_after_ms: 700 })).await;
    let end = loop {
        match seat.next_word().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended as if the shell had"),
            Err(status) => break Refusal::from(&status),
        }
    };
    assert_eq!(end.code, Code::Draining);
    let back = core.link().await;
    assert!(told.elapsed() >= Duration::from_millis(700), "not before the time");
    assert_eq!(back.list().await.len(), 1);
}

#[tokio::test]
async fn a_revoked_gateway_stops_for_good_with_words_and_its_exit_code() {
    for how in ["message", "status", "close"] {
        let core = TestCore::start();
        let machine = Machine::enrolled(&core);
        let mut command = machine.command();
        command.stderr(std::process::Stdio::piped());
        let daemon = crate::machine::Daemon::spawn(command);
        let words = "the owner took it back";
        match how {
            "message" => {
                let link = core.link().await;
                link.say(FromCore::Revoked(pb::Revoked { message: words.into() })).await;
                check_revoked(daemon.complaint().await, how);
            }
            "status" => {
                let greeted = core.hello().await;
                greeted.end(Refusal::new(Code::Revoked, words).into()).await;
                check_revoked(daemon.complaint().await, how);
            }
            _ => {
                let link = core.accept().await;
                link.close(Code::Revoked, words);
                check_revoked(daemon.complaint().await, how);
            }
        }
    }
}

/// Zero is the only end after which launchd, as its plist says, starts nothing.
#[tokio::test]
async fn a_revoked_gateway_under_launchd_ends_so_that_it_is_not_started_again_and_says_why() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let mut command = machine.command();
    command.arg("--launchd").stderr(std::process::Stdio::piped());
    let daemon = crate::machine::Daemon::spawn(command);
    core.accept().await.close(Code::Revoked, "the owner took it back");
    let (code, said) = daemon.complaint().await;
    assert_eq!(code, Some(0), "{said}");
    let last = said.trim_end().lines().next_back().unwrap();
    for words in
        ["launchd does not start it again", "launchctl kickstart", "the owner took it back", "enroll"]
    {
        assert!(last.contains(words), "{words:?} in {last:?}");
    }
}

fn check_revoked((code, said): (Option<i32>, String), how: &str) {
    assert_eq!(code, Some(77), "{how}: {said}");
    assert!(said.contains("revoked") && said.contains("the owner took it back"), "{how}: {said}");
    assert!(said.contains("enroll"), "{how}: it says what to do next: {said}");
}

#[tokio::test]
async fn a_silent_core_is_given_up_and_dialled_anew() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let greeted = core.hello().await;
    let welcome = pb::Welcome { silence_ms: 1000, ..greeted.a_welcome(1) };
    let mut link = greeted.welcome_with(welcome).await;
    link.stop_heart();
    let end = crate::core::soon("the end", link.link().closed()).await;
    assert_eq!((end.code, end.by_peer), (Some(Code::Timeout), true));
    core.link().await;
}

#[tokio::test]
async fn a_fenced_gateway_says_so_and_does_not_fight() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let mut command = machine.command();
    command.stderr(std::process::Stdio::piped());
    let daemon = crate::machine::Daemon::spawn(command);
    let link = core.link().await;
    link.end(Refusal::new(Code::Fenced, "a newer link").into()).await;
    link.link().closed().await;
    // A gateway that fights would be back within its shortest pauses.
    let back = tokio::time::timeout(Duration::from_secs(2), core.accept()).await;
    assert!(back.is_err(), "it came back at once");
    tokio::spawn(daemon.stop()).await.unwrap();
}

#[tokio::test]
async fn a_welcome_for_somebody_else_is_not_taken() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let greeted = core.hello().await;
    let wrong =
        pb::Welcome { gateway: "6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11".into(), ..greeted.a_welcome(1) };
    greeted.say(FromCore::Welcome(wrong)).await;
    let end = crate::core::soon("the end", greeted.link.closed()).await;
    assert_eq!((end.code, end.by_peer), (Some(Code::Protocol), true));
}

#[tokio::test]
async fn nothing_is_served_before_the_welcome() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let greeted = core.hello().await;
    let mut early = pb::sessions_client::SessionsClient::new(greeted.link.channel());
    let early = early.list(crate::core::on_gateway(pb::SessionsListRequest {}));
    tokio::pin!(early);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut early).await.is_err(), "answered early");
    let _link = greeted.welcome(1).await;
    crate::core::soon("the answer", early).await.expect("is answered then");
}

#[tokio::test]
async fn a_core_that_comes_late_or_again_is_found_by_itself() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    for _ in 0..3 {
        let link = core.link().await;
        eventually("an answer", async || link.list().await.is_empty().then_some(())).await;
        link.link().close(Code::Draining, "restart");
    }
}

#[tokio::test]
async fn a_link_that_takes_no_more_of_what_a_gateway_says_is_given_up() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let mut link = core.link().await;
    link.stop_heart();
    // Nothing that it answers is read, and so its answers wait at last.
    let beat = pb::Heartbeat { number: u64::MAX, core_sent_us: u64::MAX, last_rtt_us: 0 };
    let beating = async { while link.is_said(FromCore::Heartbeat(beat)).await {} };
    let (end, ()) = tokio::join!(crate::core::soon("the end", link.link().closed()), beating);
    assert_eq!((end.code, end.by_peer), (Some(Code::Timeout), true), "{end:?}");
    assert_eq!(end.reason, "the link takes no messages");
}

#[tokio::test]
async fn a_gateway_that_stops_waits_for_its_goodbye_to_be_read_and_no_longer_than_the_limit() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    for is_read in [true, false] {
        let mut daemon = machine.start();
        let mut link = core.link().await;
        daemon.line().await;
        let stopping = tokio::spawn(daemon.stop());
        while !matches!(link.heard().await.expect("it says goodbye"), FromGateway::Goodbye(_)) {}
        let told = Instant::now();
        if is_read {
            link.link().close(Code::Done, "goodbye");
        } else {
            let end = crate::core::soon("the end", link.link().closed()).await;
            assert_eq!((end.code, end.by_peer), (Some(Code::Done), true), "{end:?}");
        }
        let took = told.elapsed();
        // It had begun to wait when its word came.
        assert!(is_read || took + Duration::from_millis(200) >= limits::GOODBYE, "{took:?}");
        crate::core::soon("the end of the daemon", stopping).await.unwrap();
        let took = told.elapsed();
        assert!(took < 10 * limits::GOODBYE, "{took:?}");
    }
}
