//! The audit from the command line: looked for, followed, exported, checked.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Output, Stdio},
};

use crate::support::{Folder, eventually};

fn rows(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_was_done_is_found_by_who_and_where_and_how_it_ended() {
    let folder = Folder::new();
    let up = folder.up();
    folder.prints(&["new", "--name", "kept", "--", "sleep", "1000"]);
    let ada = folder.prints(&["admin", "people", "add", "Ada"]);
    let ada = ada.trim().to_owned();
    folder.prints(&["admin", "roles", "give", "viewer", "--person", "Ada"]);
    let again = folder.run(&["admin", "people", "remove", "nobody"]);
    assert!(!again.status.success(), "{again:?}");

    let found = |arguments: &[&str]| rows(&folder.prints(&[&["audit", "--json"], arguments].concat()));
    let given = found(&["--action", "role."]);
    assert_eq!(given.len(), 1, "{given:?}");
    assert_eq!((&given[0]["action"], &given[0]["result"]), (&"role.given".into(), &"done".into()));
    assert!(given[0]["detail"].as_str().is_some_and(|detail| detail.contains(&ada)), "{given:?}");
    let gateway = up.word("gateway");
    let machine = found(&["--machine", gateway, "--action", "Sessions/Create"]);
    assert_eq!(machine.len(), 1, "{machine:?}");
    assert_eq!((&machine[0]["gateway"], &machine[0]["result"]), (&gateway.into(), &"let_in".into()));
    assert!(found(&["--who", "Ada"]).is_empty(), "she has done nothing yet");
    let by = machine[0]["principal"].as_str().expect("is text").to_owned();
    assert!(found(&["--who", &by, "--text", "ADA"]).len() >= 2);
    assert!(found(&["--until", "2020-01-01"]).is_empty());
    assert_eq!(found(&["--since", "1h", "--limit", "3"]).len(), 3);
    let wrong = folder.run(&["audit", "--since", "yesterday"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    folder.prints(&["end", "kept", "--force"]);
}

#[test]
fn an_export_is_checked_without_a_core_and_an_older_one_shows_what_was_cut() {
    let folder = Folder::new();
    let up = folder.up();
    let path = |name: &str| folder.path().join(name).to_str().expect("is text").to_owned();
    let (old, new, cut, changed) =
        (path("old.jsonl"), path("new.jsonl"), path("cut.jsonl"), path("changed.jsonl"));
    fs::write(&old, folder.prints(&["audit", "export"])).expect("is written");
    folder.prints(&["admin", "people", "add", "Ada"]);
    let text = folder.prints(&["audit", "export"]);
    fs::write(&new, &text).expect("is written");
    let head: serde_json::Value =
        serde_json::from_str(&folder.prints(&["admin", "audit", "head", "--json"])).expect("is JSON");
    assert!(head["head"]["signature"].is_string(), "{head}");
    let core = folder.path().join("core");
    let pin = std::process::Command::new(
        std::path::Path::new(crate::support::CHATCODE).with_file_name("chatcode-core"),
    )
    .args(["audit-key", "--data-dir"])
    .arg(&core)
    .output()
    .expect("chatcode-core starts");
    let pin = String::from_utf8(pin.stdout).expect("is text").trim().to_owned();
    assert!(folder.prints(&["admin", "audit", "head"]).contains(&pin), "{pin}");
    assert!(folder.prints(&["admin", "audit", "verify", "--against", &old]).starts_with("whole: rows 1 to "));
    assert_eq!(up.interrupt(), Some(0));

    let whole = folder.prints(&["audit", "verify", &new, "--key", &pin, "--against", &old]);
    assert!(whole.starts_with("whole: rows 1 to ") && whole.contains(&pin), "{whole}");
    let lines: Vec<&str> = text.lines().collect();
    // Rows cut away, with the head that was right for the older one.
    let older = fs::read_to_string(&old).expect("is read");
    fs::write(&cut, &older).expect("is written");
    let output = folder.run(&["audit", "verify", &cut, "--against", &new, "--key", &pin]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("the end was cut off"), "{}", said(&output));
    let number = lines.len() - 3;
    let mut altered: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    altered[number] = altered[number].replace("\"principal\":\"", "\"principal\":\"x");
    fs::write(&changed, altered.join("\n")).expect("is written");
    let output = folder.run(&["audit", "verify", &changed]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains(&format!("row {number} is changed")), "{}", said(&output));
    let other = "0".repeat(64);
    let output = folder.run(&["audit", "verify", &new, "--key", &other]);
    assert!(said(&output).contains("not pinned"), "{}", said(&output));
    let output = folder.run(&["audit", "verify", &path("nothing.jsonl")]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn each_row_is_printed_as_it_comes_until_nobody_reads_any_more() {
    let folder = Folder::new();
    let _up = folder.up();
    let mut follow = folder
        .chatcode(&["audit", "--follow", "--json", "--action", "person."])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("chatcode starts");
    let mut words = BufReader::new(follow.stderr.take().expect("is piped"));
    let mut line = String::new();
    words.read_line(&mut line).expect("is said");
    assert!(line.contains("following"), "{line}");
    folder.prints(&["admin", "people", "add", "Ada"]);
    let mut line = String::new();
    BufReader::new(follow.stdout.take().expect("is piped")).read_line(&mut line).expect("is printed");
    assert_eq!(rows(&line)[0]["action"], "person.created");
    // Who has read that row has left, as `head` does.
    assert!(follow.wait().expect("ends by itself").success());
    let mut said = String::new();
    std::io::Read::read_to_string(&mut words, &mut said).expect("is text");
    assert_eq!(said, "", "it ends quietly");
}

#[test]
fn a_lost_laptop_is_thrown_out_by_name_and_this_one_only_when_that_is_meant() {
    let folder = Folder::new();
    let up = folder.up();
    let laptop = Folder::new();
    let token = folder.prints(&["admin", "token", "--kind", "admin"]);
    let mut enroll = laptop
        .chatcode(&["admin", "enroll", "--core", up.word("core"), "--name", "lost laptop"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("chatcode starts");
    std::io::Write::write_all(&mut enroll.stdin.take().expect("is piped"), token.as_bytes())
        .expect("is read");
    assert!(enroll.wait().expect("ends").success());
    laptop.prints(&["ls"]);
    let members = rows(&folder.prints(&["admin", "members", "list", "--json"]));
    let kinds: Vec<_> = members.iter().map(|one| one["kind"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "admin").count(), 2, "{members:?}");
    assert!(kinds.contains(&"edge"), "{members:?}");
    folder.prints(&["admin", "members", "revoke", "lost laptop"]);
    eventually("the laptop is thrown out", || {
        let output = laptop.run(&["ls"]);
        output.status.code() == Some(77)
    });
    let own = members.iter().find(|one| one["own"] == true).expect("is marked")["id"].clone();
    let output = folder.run(&["admin", "members", "revoke", own.as_str().expect("is text")]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(said(&output).contains("force"), "{}", said(&output));
}
