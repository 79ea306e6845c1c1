//! Updates that nobody asked for: what each policy does, in its window and outside.

use chatcode_proto::pb::{self, UpdateState};

use crate::{
    core::{LiveLink, eventually, now_ms},
    seat::Seat,
    updating::{Installed, at_rest, begin, status, works},
    web::Web,
};

/// A window of two hours (UTC) that begins so many hours from now.
fn window(from: i64) -> String {
    let begins = i64::try_from(now_ms() / 60_000).unwrap() + 60 * from;
    let clock = |minute: i64| {
        let minute = minute.rem_euclid(24 * 60);
        format!("{:02}:{:02}", minute / 60, minute % 60)
    };
    format!("{}-{}", clock(begins), clock(begins + 120))
}

/// Settings of updates with a look every second or two.
fn policy(name: &str, window: &str) -> String {
    format!("policy = {name:?}\nwindow = {window:?}\nlook_s = 1\n")
}

/// Waits until the machine has found this version by itself.
async fn found(link: &LiveLink, version: &str) -> pb::UpdateStatus {
    eventually(&format!("a look that finds {version}"), async || {
        Some(status(link).await).filter(|status| status.available == version)
    })
    .await
}

#[tokio::test]
async fn in_its_window_a_machine_installs_what_it_finds_and_sessions_stay() {
    let machine = Installed::new();
    let mut daemon = machine.start_as(&policy("automatic", &window(-1)));
    let link = machine.core.link().await;
    daemon.line().await;
    let session = link.create_sh("echo begun; exec cat").await.id;
    let holder = machine.machine.holder_pid(&session).unwrap();
    let mut seat = Seat::take(link.link(), &session).await;
    seat.until("begun").await;

    machine.publish("stable", "0.2.0", &works("0.2.0"));
    let on_trial = machine.core.link().await;
    eventually("the new version", async || (machine.current() == "0.2.0").then_some(())).await;
    drop(on_trial);
    let link = machine.core.link().await;
    let last = status(&link).await.last.unwrap();
    assert!(last.done && last.from == "0.1.0" && last.to == "0.2.0", "{last:?}");
    let mut after =
        Seat::resume(link.link(), &session, pb::Role::Writer, 1, Some(seat.place())).await.unwrap();
    after.type_text("still here\n").await;
    after.until("still here\r\nstill here").await;
    assert_eq!(machine.machine.holder_pid(&session), Some(holder), "the holder is the same process");
    drop(link);
    assert!(daemon.stop().await.success());
}

/// Finds release after release, each by a look of its own, between which the clock
/// was looked at; and installs none.
async fn only_tells(lines: &str, policy: pb::UpdatePolicy) {
    let machine = Installed::new();
    machine.publish("stable", "0.2.0", &works("0.2.0"));
    let mut daemon = machine.start_as(lines);
    let link = machine.core.link().await;
    daemon.line().await;
    for version in ["0.2.0", "0.3.0", "0.4.0"] {
        machine.publish("stable", version, &works(version));
        let told = found(&link, version).await;
        assert!([UpdateState::Unspecified, UpdateState::Looking].contains(&told.state()), "{version}");
        assert_eq!((told.policy(), told.last), (policy, None), "{version}");
        assert_eq!((machine.current(), machine.place.next()), ("0.1.0".to_owned(), None));
    }
    assert!(link.link().close_reason().is_none(), "the daemon never made room for another");
    drop(link);
    assert!(daemon.stop().await.success());
}

/// Both ask one web server, each below its own name, which notes who asks.
#[tokio::test]
async fn a_machine_that_does_not_look_asks_nobody_until_a_person_does() {
    let (off, looks) = (Installed::new(), Installed::new());
    let mut web = Web::of(vec![off.releases(), looks.releases()]).await;
    for machine in [&off, &looks] {
        machine.publish("stable", "0.2.0", &works("0.2.0"));
    }
    let start = |machine: &Installed, name: &str, how: &str| {
        machine.start_on(&format!("{}/{name}", web.address), &policy(how, &window(-1)))
    };
    let (mut silent, mut other) = (start(&off, "0", "off"), start(&looks, "1", "notify"));
    let (link, other_link) = (off.core.link().await, looks.core.link().await);
    silent.line().await;
    other.line().await;
    // Three looks of the other one are as long as three pauses of this one.
    web.is_asked_for("1/stable/manifest", 3).await;
    assert_eq!(web.asked_for("0/"), 0, "nobody was asked");
    let told = status(&link).await;
    assert_eq!((told.policy(), &*told.available), (pb::UpdatePolicy::Unspecified, ""));

    begin(&link, "", true).await;
    assert_eq!(at_rest(&link).await.available, "0.2.0", "a person may");
    let once = web.asked_for("0/");
    web.is_asked_for("1/stable/manifest", 6).await;
    assert_eq!(
        (web.asked_for("0/"), off.current()),
        (once, "0.1.0".to_owned()),
        "and it looks no more by itself"
    );
    drop((link, other_link));
    assert!(silent.stop().await.success() && other.stop().await.success());
}

#[tokio::test]
async fn outside_its_window_a_machine_finds_releases_and_installs_none() {
    only_tells(&policy("automatic", &window(3)), pb::UpdatePolicy::Automatic).await;
}

#[tokio::test]
async fn a_machine_that_only_tells_installs_nothing_in_its_window_either() {
    only_tells(&policy("notify", &window(-1)), pb::UpdatePolicy::Notify).await;
}
