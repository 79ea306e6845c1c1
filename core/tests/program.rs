//! The program itself: what it prints, what it refuses, how it ends.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use chatcode_certs::JoinToken;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatcode-core"));
    command.env_remove("CHATCODE_CORE_DATA_DIR").stdin(Stdio::null());
    command
}

/// Starts a core; gives back its ready line too. It stops with its stdin.
fn run(folder: &Path) -> (Child, serde_json::Value) {
    let mut child = program()
        .args(["run", "--exit-with-stdin", "--data-dir"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

fn token(folder: &Path, more: &[&str]) -> Output {
    program().args(["token", "--kind", "gateway", "--data-dir"]).arg(folder).args(more).output().unwrap()
}

#[test]
fn it_says_where_it_listens_and_ends_with_its_stdin() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, ready) = run(&folder.path().join("core"));
    assert_eq!(ready["ready"], "core");
    assert_eq!(ready["installation"].as_str().unwrap().len(), 8);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    let (mut again, later) = run(&folder.path().join("core"));
    assert_eq!(later, ready, "the same installation at the same ports");
    drop(again.stdin.take());
    assert!(again.wait().unwrap().success());
}

#[test]
fn it_makes_join_tokens_beside_a_running_core_and_keeps_one_audit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("core");
    let (mut child, _) = run(&folder);
    for _ in 0..5 {
        let made = token(&folder, &["--name", "machine"]);
        assert!(made.status.success(), "{made:?}");
        let text = String::from_utf8(made.stdout).unwrap();
        assert!(text.trim_end().parse::<JoinToken>().is_ok());
        assert!(!String::from_utf8_lossy(&made.stderr).contains(text.trim_end()), "no secret in the log");
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let verified = program().args(["verify-audit", "--data-dir"]).arg(&folder).output().unwrap();
    assert_eq!(String::from_utf8(verified.stdout).unwrap(), "whole: 5 rows\n");
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, _) = run(&folder.path().join("core"));
    let refused = token(&folder.path().join("core"), &["--ttl", "1s"]);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("60 to 86400 seconds"), "{said}");

    let config = folder.path().join("core.toml");
    std::fs::write(&config, "data_dir = \"x\"\nlisten_on = \"here\"").unwrap();
    let refused = program().args(["run", "--config"]).arg(&config).output().unwrap();
    assert_eq!(refused.status.code(), Some(78));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("listen_on"));
}

#[test]
fn a_second_core_on_the_same_folder_is_sent_away() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("core");
    let (mut child, _) = run(&folder);
    let second = program().args(["run", "--data-dir"]).arg(&folder).output().unwrap();
    assert_eq!(second.status.code(), Some(75), "{second:?}");
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("another chatcode-core runs on"), "{said}");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn only_run_makes_a_core_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("core");
    let verified = program().args(["verify-audit", "--data-dir"]).arg(&missing).output().unwrap();
    for refused in [token(&missing, &[]), verified] {
        assert_eq!(refused.status.code(), Some(78), "{refused:?}");
        assert!(String::from_utf8(refused.stderr).unwrap().contains("is no folder of a core"));
    }
    assert!(!missing.exists());
}

#[test]
fn loose_keys_and_a_taken_port_have_exit_codes_of_their_own() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("core");
    let (mut child, ready) = run(&folder);
    let taken = ready["grpc"].as_str().unwrap();
    let other = tempfile::tempdir().unwrap();
    let start =
        |data: &Path| program().args(["run", "--listen", taken, "--data-dir"]).arg(data).output().unwrap();
    let refused = start(&other.path().join("core"));
    assert_eq!(refused.status.code(), Some(75), "another has the port: {refused:?}");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    let key = std::fs::read_dir(folder.join("ca")).unwrap().next().unwrap().unwrap().path();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = start(&folder);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    assert!(String::from_utf8(refused.stderr).unwrap().contains("chmod 600"));
}
