//! What a gateway tells of its sessions: `Link.Directory`.

use std::time::Duration;

use chatcode_proto::{
    limits,
    pb::{
        Code, LinkDirectoryResponse, MemberKind, SessionsWatchResponse, fleet_watch_response::Event,
        link_client::LinkClient, sessions_watch_response,
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::task::JoinSet;
use tonic::{Response, Status};

use crate::{
    common::{TestCore, code, eventually},
    gateway::{FakeGateway, Seen, dial, greet, greet_by, hello, session, welcomed},
    linking::{event, watch},
};

/// One session of this name, told for as long as the call lasts.
fn told(name: &str) -> impl Stream<Item = SessionsWatchResponse> + Send + use<> {
    let seen = Seen::default();
    seen.sessions.lock().unwrap().push(session(1, name));
    seen.told().chain(stream::pending())
}

/// The same, and no more.
fn told_and_done(name: &str) -> impl Stream<Item = SessionsWatchResponse> + Send + use<> {
    told(name).take(2)
}

fn named(wanted: &'static str) -> impl Fn(&Event) -> Option<()> {
    move |event| match event {
        Event::SessionChanged(located) => {
            located.session.as_ref().filter(|session| session.name == wanted).map(|_| ())
        }
        _ => None,
    }
}

fn refused(answer: Result<Response<LinkDirectoryResponse>, Status>) -> Code {
    code(&answer.unwrap_err())
}

#[tokio::test]
async fn sessions_are_told_after_the_welcome_and_once_at_a_time() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let mut events = watch(&admin).await;
    let (_dialer, link) = dial(&core, &machine).await;
    let mut client = LinkClient::new(link.channel());
    assert_eq!(refused(client.directory(told("early")).await), Code::Protocol);

    let (_outbound, mut inbound) = greet_by(&mut client, hello()).await.unwrap();
    welcomed(&mut inbound).await;
    let mut running = JoinSet::new();
    let mut first = client.clone();
    running.spawn(async move { first.directory(told("first")).await.map(drop) });
    event(&mut events, named("first")).await;
    assert_eq!(refused(client.directory(told("second")).await), Code::Protocol);

    running.shutdown().await;
    eventually("the place of the first", async || {
        client.clone().directory(told_and_done("third")).await.ok()
    })
    .await;
    event(&mut events, named("third")).await;
}

#[tokio::test]
async fn a_session_beyond_the_limit_of_a_message_ends_the_call_and_not_the_link() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let mut events = watch(&admin).await;
    let (_dialer, link) = dial(&core, &machine).await;
    let mut client = LinkClient::new(link.channel());
    let (_outbound, mut inbound) = greet_by(&mut client, hello()).await.unwrap();
    welcomed(&mut inbound).await;

    let large = "x".repeat(limits::CONTROL_BYTES);
    client.directory(told(&large)).await.unwrap_err();
    let unsynced = sessions_watch_response::Event::Removed("no id".to_owned());
    let nonsense = stream::iter([SessionsWatchResponse { event: Some(unsynced) }]);
    client.directory(nonsense).await.unwrap();
    let mut nameless = session(2, "nameless");
    nameless.id = "no id".to_owned();
    let nameless = sessions_watch_response::Event::Changed(nameless);
    let nonsense = stream::iter([SessionsWatchResponse { event: Some(nameless) }]).chain(stream::pending());
    assert_eq!(refused(client.directory(nonsense).await), Code::Invalid);

    client.directory(told_and_done("good")).await.unwrap();
    event(&mut events, named("good")).await;
    assert_eq!(link.close_reason(), None);
}

#[tokio::test]
async fn links_that_say_nothing_hold_up_no_other() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let other = core.enroll(MemberKind::Gateway, "other").await;
    let mut silent = JoinSet::new();
    for _ in 0..limits::LINK_GREETINGS {
        let (core, machine) = (core.bound.link, machine.clone());
        silent.spawn(async move { crate::gateway::dial_at(core, &machine).await });
    }
    // As many as may be under way have shaken hands, and say no Hello.
    let silent = silent.join_all().await;
    let (_dialer, link) = dial(&core, &other).await;
    let greeted = tokio::time::timeout(limits::HELLO, greet(&link, hello())).await.unwrap();
    welcomed(&mut greeted.unwrap().1).await;
    drop(silent);
    let again = FakeGateway::link(&core, &machine).await;
    assert!(tokio::time::timeout(Duration::from_millis(1), again.ended()).await.is_err());
}
