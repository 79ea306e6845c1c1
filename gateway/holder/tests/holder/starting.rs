//! How a holder starts its shell, and that it leaves whoever started it.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Stdio},
};

use crate::support::{BINARY, EPOCH, Holder, Plan};
use bytes::BytesMut;
use chatcode_proto::{
    framing,
    pb::{self, Code},
};
use prost::Message as _;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).expect("is there").permissions().mode() & 0o777
}

#[test]
fn the_answer_tells_the_running_session_and_files_are_private() {
    let (holder, response) = Plan::new(&["/bin/cat"]).try_start(Command::new(BINARY));
    assert_eq!(response.code(), Code::Done);
    let session = response.session.expect("is told");
    assert_eq!(session.state(), pb::SessionState::Running);
    assert_eq!(session.epoch, EPOCH);
    assert_eq!(mode(&holder.socket()), 0o600);
    assert_eq!(mode(&holder.state().join("record.pb")), 0o600);
    assert_eq!(mode(&holder.state().join("holder.log")), 0o600);
    let record = holder.record();
    assert_eq!(record.pid, holder.child.id());
    assert_eq!(record.session, Some(session));
}

#[test]
fn socket_and_record_are_for_the_folder_s_group_too_where_the_daemon_is_another_user() {
    let mut plan = Plan::new(&["/bin/cat"]);
    plan.spec.daemon_uid = Some(4242);
    let holder = plan.start();
    assert_eq!(mode(&holder.socket()), 0o660);
    assert_eq!(mode(&holder.state().join("record.pb")), 0o640);
    assert_eq!(mode(&holder.state().join("holder.log")), 0o600);
}

#[test]
fn the_shell_is_ended_before_its_holder_when_memory_runs_out() {
    let own = |pid: &str| -> Option<i32> {
        fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).ok()?.trim().parse().ok()
    };
    let Some(before) = own("self") else { return eprintln!("skipped: no such score here") };
    let holder = Plan::script("cat /proc/self/oom_score_adj; exec cat").start();
    let mut viewer = holder.writer();
    viewer.read_until(&format!("{}\r\n", (before + 100).min(1000)));
    assert_eq!(own(&holder.child.id().to_string()), Some(before), "the holder is as it was");
}

#[test]
fn the_shell_has_exactly_the_environment_of_the_spec() {
    let mut plan = Plan::new(&["/usr/bin/env"]);
    plan.spec.environment = BTreeMap::from([("ONE".into(), "1".into()), ("TWO".into(), "a b=c".into())]);
    let holder = plan.start();
    let mut viewer = holder.writer();
    viewer.read_to_exit();
    assert_eq!(viewer.text(), "ONE=1\r\nTWO=a b=c\r\n");
}

#[test]
fn the_shell_starts_in_its_folder_with_its_size_and_its_first_argument() {
    let mut plan = Plan::script("pwd; stty size; tr '\\0' ' ' < /proc/$$/cmdline");
    plan.spec.arg0 = "-sh".into();
    plan.spec.winsize = Some(pb::Winsize { rows: 33, cols: 111 });
    let holder = plan.start();
    let mut viewer = holder.viewer(1, pb::Role::Viewer, None);
    viewer.read_to_exit();
    let work = fs::canonicalize(holder.work()).expect("is there");
    let text = viewer.text();
    assert!(text.starts_with(&format!("{}\r\n33 111\r\n-sh -c ", work.display())), "{text}");
}

#[test]
fn ignored_and_blocked_signals_do_not_reach_the_shell() {
    let plan = Plan::new(&["/bin/cat", "/proc/self/status"]);
    let mut command = Command::new("env");
    command.args([
        "--ignore-signal=INT,HUP,QUIT,TERM,TSTP,PIPE,CHLD,USR1,WINCH",
        "--block-signal=INT,TERM,CHLD,USR2",
    ]);
    let (holder, response) = plan.try_start({
        command.arg(BINARY);
        command
    });
    assert_eq!(response.code(), Code::Done, "{}", response.message);
    let mut viewer = holder.writer();
    viewer.read_to_exit();
    // 32 and 33 belong to the C library, which lets nobody change them.
    const LIBRARY: u64 = 0b11 << 31;
    for name in ["SigIgn:", "SigBlk:"] {
        let text = viewer.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("is told");
        let set = u64::from_str_radix(line.trim(), 16).expect("is a set");
        assert_eq!(set & !LIBRARY, 0, "{name} {set:x}");
    }
}

/// As in a container that was entered from outside: session and process group
/// have the number 0 there.
#[test]
fn a_holder_starts_where_its_session_was_begun_outside_of_its_pid_namespace() {
    let mut unshare = Command::new("unshare");
    unshare.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let mut probe = Command::new(unshare.get_program());
    if !probe.args(unshare.get_args()).arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: no PID namespace can be made here");
        return;
    }
    unshare.arg(BINARY);
    let (holder, response) = Plan::new(&["/bin/echo", "here"]).try_start(unshare);
    assert_eq!(response.code(), Code::Done, "{}", response.message);
    let mut viewer = holder.writer();
    viewer.read_to_exit();
    assert_eq!(viewer.text(), "here\r\n");
}

#[test]
fn only_the_terminal_is_open_in_the_shell() {
    // What the test's own parent left open reaches every program, and does not
    // count.
    let links = |folder: &str| -> Vec<_> {
        let entries = fs::read_dir(folder).expect("is there").flatten();
        entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
    };
    let left_open = links("/proc/self/fd");
    let holder = Plan::new(&["/bin/cat"]).start();
    let shell = holder.shell();
    let of_shell = links(&format!("/proc/{shell}/fd"));
    let (terminal, other): (Vec<_>, Vec<_>) = of_shell.iter().partition(|link| link.starts_with("/dev/pts"));
    assert_eq!(terminal.len(), 3, "{of_shell:?}");
    assert!(other.iter().all(|link| left_open.contains(link)), "{other:?}, {left_open:?}");
}

#[test]
fn a_program_that_cannot_run_is_told_in_words_and_nothing_stays() {
    let spoilt: [fn(&mut pb::HolderSpec); 3] = [
        |spec| spec.command = vec!["/no/such/program".into()],
        |spec| spec.folder = "/no/such/folder".into(),
        |spec| spec.state_folder = "/no/such/state".into(),
    ];
    for spoil in spoilt {
        let mut plan = Plan::new(&["/bin/cat"]);
        spoil(&mut plan.spec);
        let (mut holder, response) = plan.try_start(Command::new(BINARY));
        assert_eq!(response.code(), Code::SpawnFailed);
        assert!(response.message.len() > 20, "{}", response.message);
        assert!(!holder.child.wait().expect("ends").success());
        assert!(!holder.socket().exists());
    }
}

#[test]
fn a_spec_out_of_bounds_or_no_spec_at_all_is_refused() {
    let mut plan = Plan::new(&["/bin/cat"]);
    plan.spec.epoch = 0;
    let (_holder, response) = plan.try_start(Command::new(BINARY));
    assert_eq!(response.code(), Code::Invalid);

    let mut child = Command::new(BINARY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    child.stdin.take().expect("is piped").write_all(b"GET / HTTP/1.1\r\n").expect("is taken");
    let mut answer = Vec::new();
    child.stdout.take().expect("is piped").read_to_end(&mut answer).expect("is read");
    let answer = pb::HolderResponse::decode(&answer[framing::HEAD..]).expect("is an answer");
    assert_eq!(answer.code(), Code::SpawnFailed);
    assert!(!child.wait().expect("ends").success());
}

#[test]
fn a_second_holder_in_the_same_folder_is_refused() {
    let holder = Plan::new(&["/bin/cat"]).start();
    let mut plan = Plan::new(&["/bin/cat"]);
    plan.spec.state_folder = holder.state().to_str().expect("is text").into();
    let (_second, response) = plan.try_start(Command::new(BINARY));
    assert_eq!(response.code(), Code::SpawnFailed);
    assert!(holder.socket().exists());
    assert_eq!(holder.watch().now.state(), pb::SessionState::Running);
}

#[test]
fn a_holder_survives_the_end_of_its_parent_and_signals_of_its_terminal() {
    let plan = Plan::new(&["/bin/cat"]);
    let mut framed = BytesMut::new();
    framing::put(&mut framed, &plan.spec);
    let spec = plan.folder.path().join("spec");
    fs::write(&spec, &framed).expect("is written");
    let mut parent = Command::new("sh")
        .args(["-c", "\"$0\" < \"$1\" & wait", BINARY])
        .arg(&spec)
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("starts");
    let mut answer = [0; framing::HEAD];
    parent.stdout.take().expect("is piped").read_exact(&mut answer).expect("an answer");

    let group = Pid::from_child(&parent);
    kill_process(group, Signal::KILL).expect("is there");
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT] {
        let _ = kill_process_group(group, signal);
    }
    parent.wait().expect("ends");

    let holder = Holder { folder: plan.folder, child: parent };
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::PIPE, Signal::ALARM] {
        let pid = Pid::from_raw(i32::try_from(holder.record().pid).expect("fits")).expect("is a pid");
        kill_process(pid, signal).expect("lives");
    }
    let mut viewer = holder.writer();
    viewer.type_in("still here\r");
    viewer.read_until("still here\r\nstill here");
    // Nobody's child: it is ended, and then sent away.
    holder.end(true);
    holder.wait_exit();
    holder.end(true);
}

#[test]
fn a_long_path_of_the_session_folder_does_no_harm() {
    let mut plan = Plan::new(&["/bin/cat"]);
    let long = plan.folder.path().join("x".repeat(120));
    fs::create_dir(&long).expect("is made");
    plan.spec.state_folder = long.to_str().expect("is text").into();
    let (_holder, response) = plan.try_start(Command::new(BINARY));
    assert_eq!(response.code(), Code::Done, "{}", response.message);
    assert!(long.join("holder.sock").exists());
}

#[test]
fn who_starts_a_holder_by_hand_is_told_who_starts_it() {
    let output = Command::new(BINARY).arg("--help").output().expect("starts");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]));
    let words = String::from_utf8(output.stderr).expect("is text");
    assert!(words.contains("chatcode-gateway") && words.lines().count() == 1, "{words}");
}
