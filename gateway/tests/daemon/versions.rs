//! Cores of the version before and after.

use chatcode_proto::{
    code::Refusal,
    pb::{self, Code, CoreControl, core_control::Kind as FromCore, gateway_control::Kind as FromGateway},
};
use prost::Message as _;

use crate::{
    core::{LiveLink, TestCore, eventually, soon},
    machine::Machine,
};

/// A field that no version of today knows.
fn later() -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::bytes::encode(900, &b"of tomorrow".to_vec(), &mut field);
    field
}

/// The link beats and takes calls.
async fn is_whole(link: &mut LiveLink) {
    link.create_sh("exec cat").await;
    loop {
        if let FromGateway::HeartbeatEcho(_) = link.heard().await.expect("the link lives") {
            return;
        }
    }
}

/// It tells only what the first cores told.
#[tokio::test]
async fn a_core_of_the_version_before_is_linked() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let mut daemon = machine.start();
    let greeted = core.hello().await;
    let welcome = greeted.a_welcome(1);
    assert_eq!((welcome.silence_ms, &welcome.trust, welcome.features.len()), (0, &None, 0));
    let mut link = greeted.welcome_with(welcome).await;
    daemon.line().await;
    is_whole(&mut link).await;
}

#[tokio::test]
async fn a_core_of_the_version_after_is_linked_by_what_both_know() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let mut daemon = machine.start();
    let greeted = core.hello().await;
    let welcome = pb::Welcome { features: vec!["of-tomorrow".into()], ..greeted.a_welcome(1) };
    // What it says more is dropped where it is read.
    let longer = [welcome.encode_to_vec(), later()].concat();
    assert_eq!(pb::Welcome::decode(&*longer).unwrap(), welcome);
    let mut link = greeted.welcome_with(welcome).await;
    daemon.line().await;
    // A kind of tomorrow is read as none.
    let unknown = CoreControl::decode(&*later()).unwrap();
    assert_eq!(unknown, CoreControl { kind: None });
    link.say_as_it_is(unknown).await;
    is_whole(&mut link).await;
    link.say(FromCore::Drain(pb::Drain { retry_after_ms: 1 })).await;
    assert_eq!(core.hello().await.hello.epoch, 1, "it heard what came after");
}

#[tokio::test]
async fn a_core_that_shares_no_version_is_tried_again_until_it_does() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let mut daemon = machine.start();
    let words = "no common version of the link: the peer speaks [1], this program [2]; update the older one";
    core.hello().await.end(Refusal::new(Code::UnsupportedVersion, words).into()).await;
    eventually("the machine says why it is not online", async || {
        let state = std::fs::read_to_string(machine.data().join("state.json")).ok()?;
        (state.contains("unsupported_version") && state.contains("update the older one")).then_some(())
    })
    .await;
    // The core is brought up, or taken back.
    let mut link = core.link().await;
    daemon.line().await;
    is_whole(&mut link).await;
    assert!(daemon.stop().await.success());
}

#[tokio::test]
async fn a_version_that_was_not_offered_is_not_taken() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let mut daemon = machine.start();
    let greeted = core.hello().await;
    greeted.say(FromCore::Welcome(pb::Welcome { version: 2, ..greeted.a_welcome(1) })).await;
    let end = soon("the end", greeted.link.closed()).await;
    assert_eq!((end.code, end.by_peer), (Some(Code::UnsupportedVersion), true));
    let mut link = core.link().await;
    daemon.line().await;
    is_whole(&mut link).await;
}
