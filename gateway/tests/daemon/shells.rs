//! What a shell is born with: an environment from the allow-list, and nothing
//! of the daemon's.

use std::collections::{BTreeMap, BTreeSet};

use chatcode_proto::pb;

use crate::{
    core::{LiveLink, TestCore},
    machine::{Daemon, Machine},
    seat::Seat,
};

/// What a shell of this session prints between two marks.
async fn printed(link: &LiveLink, script: &str, environment: BTreeMap<String, String>) -> String {
    let script = format!("read go; echo 'begin:'; {script}; echo ':end'; exec cat");
    let command = vec!["/bin/sh".to_owned(), "-c".to_owned(), script];
    let made = link.create(pb::SessionsCreateRequest { command, environment, ..Default::default() }).await;
    let made = made.unwrap();
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.type_text("\r").await;
    seat.until(":end\r\n").await;
    let text = seat.text().replace('\r', "");
    let (_, rest) = text.split_once("begin:\n").unwrap();
    rest.split_once(":end").unwrap().0.to_owned()
}

#[tokio::test]
async fn a_shell_gets_the_allow_list_and_the_wishes_and_no_secret() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let mut command = machine.command();
    command
        .env("CHATCODE_TOKEN", "secret-1")
        .env("CHATCODE_LOG_FORMAT", "json")
        .env("AWS_SECRET_ACCESS_KEY", "secret-2")
        .env("SSH_AUTH_SOCK", "/secret-3")
        .env("LD_LIBRARY_PATH", "/secret-4")
        .env("LC_TIME", "C")
        .env("TZ", "UTC");
    let _daemon = Daemon::spawn(command);
    let link = core.link().await;
    let wish = BTreeMap::from([("MINE".to_owned(), "a b".to_owned())]);
    let text = printed(&link, "env", wish).await;
    let variables: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    // The shell itself adds these.
    let by_the_shell = ["PWD", "OLDPWD", "SHLVL", "_", "go"];
    let names: BTreeSet<&str> =
        variables.keys().copied().filter(|name| !by_the_shell.contains(name)).collect();
    let expected = [
        "CHATCODE_SESSION",
        "COLORTERM",
        "HOME",
        "LANG",
        "LC_TIME",
        "LOGNAME",
        "MINE",
        "PATH",
        "SHELL",
        "TERM",
        "TZ",
        "USER",
    ];
    assert_eq!(names, BTreeSet::from(expected), "{text}");
    assert!(!text.contains("secret"), "{text}");
    assert_eq!((variables["TERM"], variables["COLORTERM"]), ("xterm-256color", "truecolor"));
    assert_eq!((variables["MINE"], variables["SHELL"]), ("a b", "/bin/sh"));
    assert_eq!(variables["HOME"], machine.home().display().to_string());
}

#[tokio::test]
async fn a_shell_inherits_no_file_of_the_daemon_or_its_holder() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let text = printed(&link, "ls -lN /proc/$$/fd", BTreeMap::new()).await;
    let files: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once(" -> "))
        .map(|(left, target)| format!("{} {target}", left.rsplit(' ').next().unwrap()))
        .collect();
    // What whoever runs the tests left open comes through all the way.
    let handed_down: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .filter_map(|entry| Some((entry.file_name(), std::fs::read_link(entry.path()).ok()?)))
        .map(|(number, target)| format!("{} {}", number.display(), target.display()))
        .collect();
    let (terminal, others): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.contains(" /dev/pts/"));
    let foreign: Vec<_> = others.into_iter().filter(|file| !handed_down.contains(file)).collect();
    assert!(terminal.len() >= 3, "{text}");
    assert!(foreign.is_empty(), "{foreign:#?}");
}

#[tokio::test]
async fn without_a_command_it_is_a_login_shell_of_the_user_in_the_home() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    let made = link.create(pb::SessionsCreateRequest::default()).await.unwrap();
    assert!(made.command.is_empty());
    assert_eq!(made.folder, machine.home().display().to_string());
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.type_text("echo \"I am <$0>\"\r").await;
    seat.until("I am <-sh>").await;
}

#[tokio::test]
async fn ctrl_c_reaches_what_runs_in_the_foreground() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let _daemon = machine.start();
    let link = core.link().await;
    // A shell that was born with the signal ignored could not trap it.
    let script = "trap 'echo caught; exit 4' INT; echo ready; while :; do sleep 0.05; done";
    let made = link.create_sh(script).await;
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.until("ready").await;
    seat.type_text("\u{3}").await;
    seat.until("caught").await;
    assert_eq!(link.state(&made.id, pb::SessionState::Exited).await.exit.unwrap().code, 4);
}
