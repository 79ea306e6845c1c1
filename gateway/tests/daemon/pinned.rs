//! A machine that its settings hold at a version: what it takes, and what it says of
//! the rest.

use crate::{
    core::eventually,
    updating::{Installed, at_rest, begin, status, works},
};

const PIN: &str = "pin = \"0.2\"\n";

#[tokio::test]
async fn a_machine_that_is_held_refuses_the_newest_and_takes_that_of_its_series() {
    let machine = Installed::new();
    machine.publish("stable", "0.3.0", &works("0.3.0"));
    machine.publish("0.3.0", "0.3.0", &works("0.3.0"));
    let mut daemon = machine.start_as(PIN);
    let link = machine.core.link().await;
    daemon.line().await;
    // The newest of the channel, looked for and asked for, and by its name.
    for (version, look_only) in [("", true), ("", false), ("0.3.0", false)] {
        begin(&link, version, look_only).await;
        let told = at_rest(&link).await;
        assert!(told.problem.contains("version 0.3.0 is to be had"), "{told:?}");
        assert!(told.problem.contains("held at 0.2;") && told.problem.contains("update.pin"), "{told:?}");
        assert_eq!((&*told.pin, &*told.available, &told.last), ("0.2", "", &None));
        assert_eq!((machine.current(), machine.place.next()), ("0.1.0".to_owned(), None));
    }

    machine.publish("0.2", "0.2.7", &works("0.2.7"));
    begin(&link, "", true).await;
    let told = at_rest(&link).await;
    assert_eq!((&*told.available, &*told.problem), ("0.2.7", ""));
    begin(&link, "", false).await;
    drop(machine.core.link().await);
    let link = machine.core.link().await;
    assert!(status(&link).await.last.is_some_and(|last| last.done && last.to == "0.2.7"));
    assert_eq!(machine.current(), "0.2.7");
    drop(link);
    assert!(daemon.stop().await.success());
}

#[tokio::test]
async fn on_the_machine_itself_the_pin_counts_as_well_and_is_told() {
    let machine = Installed::new();
    let folder = machine.publish("stable", "0.3.0", &works("0.3.0"));
    for arguments in [&["--check"][..], &[], &["--from", folder.to_str().unwrap()]] {
        let output = machine.update_as(arguments, PIN).await;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && complaint.contains("held at 0.2;"), "{arguments:?}: {complaint}");
    }
    for (wrong, words) in [
        ("pin = \"^0.2\"\n", "is no pin; write a version"),
        ("window = \"3-5\"\n", "is no window of a day; write"),
    ] {
        let output = machine.update_as(&["--check"], wrong).await;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{complaint}");
        assert!(complaint.contains(words) && complaint.matches("write ").count() == 1, "{complaint}");
    }
}

#[tokio::test]
async fn a_daemon_that_reads_its_settings_again_is_held_from_then_on_and_outlives_a_bad_file() {
    let machine = Installed::new();
    let mut daemon = machine.start_as("");
    let link = machine.core.link().await;
    daemon.line().await;
    assert_eq!(status(&link).await.pin, "");
    machine.write_settings_of_updates(PIN);
    daemon.reload();
    let pinned = async || (status(&link).await.pin == "0.2").then_some(());
    eventually("the pin of the new settings", pinned).await;
    machine.write_settings_of_updates("pin = \"latest\"\n");
    daemon.reload();
    machine.write_settings_of_updates("pin = \"0.3\"\n");
    daemon.reload();
    eventually("the pin of the good file", async || (status(&link).await.pin == "0.3").then_some(())).await;
    drop(link);
    assert!(daemon.stop().await.success());
}
