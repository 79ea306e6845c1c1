//! What the daemon refuses to start with, and what it exits with.

use std::{os::unix::fs::PermissionsExt as _, process::Stdio};

use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::{
    core::TestCore,
    machine::{Daemon, Machine},
};

async fn complaint(mut command: Command) -> (Option<i32>, String) {
    command.stderr(Stdio::piped());
    Daemon::spawn(command).complaint().await
}

#[tokio::test]
async fn a_machine_that_is_not_enrolled_is_told_what_to_do() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    std::fs::remove_dir_all(machine.data().join("identity")).unwrap();
    let (code, words) = complaint(machine.command()).await;
    assert_eq!(code, Some(78));
    assert!(words.contains("chatcode-gateway enroll"), "{words}");
}

/// What is set up wrongly is for a person; what may pass is tried again.
#[tokio::test]
async fn launchd_is_told_apart_what_a_person_must_do_and_what_may_pass() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let launchd = |machine: &Machine| {
        let mut command = machine.command();
        command.arg("--launchd");
        command
    };
    let mut first = Daemon::spawn(launchd(&machine));
    let _link = core.link().await;
    first.line().await;
    let (code, words) = complaint(launchd(&machine)).await;
    assert_eq!(code, Some(75), "another daemon has the folder: {words}");
    assert!(first.stop().await.success());

    std::fs::remove_dir_all(machine.data().join("identity")).unwrap();
    let (code, words) = complaint(launchd(&machine)).await;
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("chatcode-gateway enroll"), "{words}");
}

#[tokio::test]
async fn a_start_that_is_refused_makes_no_folder() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    std::fs::remove_dir_all(machine.data()).unwrap();
    let (code, words) = complaint(machine.command()).await;
    assert_eq!(code, Some(78));
    assert!(words.contains("chatcode-gateway enroll"), "{words}");
    assert!(!machine.data().exists());
}

#[tokio::test]
async fn a_key_that_others_may_read_is_refused() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let identity = machine.data().join("identity");
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (code, words) = complaint(machine.command()).await;
    assert_eq!(code, Some(78), "{words}");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_refused_with_the_way_out() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let long = machine.data().join("x".repeat(60));
    let mut command = machine.command();
    command.arg("--runtime-dir").arg(&long);
    let (code, words) = complaint(command).await;
    assert_eq!(code, Some(78));
    assert!(words.contains("--runtime-dir") && words.contains("too long"), "{words}");
}

#[tokio::test]
async fn an_unknown_setting_is_refused_by_name() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let mut command = machine.command();
    command.env("CHATCODE_GATEWAY_LOG_BYTE", "1");
    let (code, words) = complaint(command).await;
    assert_eq!(code, Some(78));
    assert!(words.contains("log_byte"), "{words}");
}

#[tokio::test]
async fn a_second_enrollment_is_refused_unless_forced_and_a_bad_token_is_never_sent() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let enroll = |extra: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatcode-gateway"));
        command
            .args(["enroll", "--core", "127.0.0.1:1", "--data-dir"])
            .arg(machine.data())
            .args(extra)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    let (code, words) = Daemon::spawn(enroll(&[])).complaint().await;
    assert_eq!(code, Some(77));
    assert!(words.contains("--force"), "{words}");

    let mut process = enroll(&["--force"]).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(b"not a token\n").await.unwrap();
    drop(stdin);
    let output = process.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("join token") && !words.contains("not a token"), "{words}");
}
