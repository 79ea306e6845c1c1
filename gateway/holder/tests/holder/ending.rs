//! How sessions end, and what is known of it after.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    cgroup::SmallMemory,
    support::{BINARY, Plan, is_alive},
};
use chatcode_proto::{
    limits,
    pb::{self, Code, holder_request::Verb},
};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn exit_code_and_duration_are_told_and_recorded() {
    let holder = Plan::script("exit 7").start();
    let exit = holder.wait_exit();
    assert_eq!((exit.code, exit.signal), (7, 0));
    assert!(exit.duration_ms < 10_000 && exit.ended_unix_ms > 1_600_000_000_000, "{exit:?}");
    let session = holder.record().session.expect("is kept");
    assert_eq!(session.state(), pb::SessionState::Exited);
    assert_eq!(session.exit, Some(exit));
}

#[test]
fn the_signal_that_ended_a_shell_is_told() {
    let exit = Plan::script("kill -9 $$").start().wait_exit();
    assert_eq!((exit.code, exit.signal), (0, 9));
}

#[test]
fn a_viewer_that_was_told_the_end_is_let_go_also_one_that_comes_late() {
    let holder = Plan::script("read line; echo last words").start();
    let mut watch = holder.watch();
    let mut viewers = [holder.writer(), holder.viewer(2, pb::Role::Viewer, None)];
    viewers[0].type_in("\r");
    for viewer in &mut viewers {
        viewer.read_to_exit();
        assert!(viewer.text().contains("last words"), "{}", viewer.text());
        assert_eq!(viewer.wire.frame(), None, "the connection ends");
    }
    watch.until(|session| session.exit.is_some() && session.viewers == 0);
    let mut late = holder.viewer(3, pb::Role::Writer, None);
    late.read_to_exit();
    assert!(late.text().contains("last words"), "{}", late.text());
    assert_eq!(late.wire.frame(), None, "the connection ends");
}

#[test]
fn a_viewer_that_cannot_take_all_at_once_stays_until_it_has_the_end() {
    let holder = Plan::script("read line; yes | head -c 300000; exit 4").start();
    let mut viewer = holder.viewer(1, pb::Role::Writer, None);
    viewer.credits = false;
    viewer.type_in("\r");
    holder.wait_exit();
    // Without credit it gets no more than its window; with it, the rest.
    viewer.credits = true;
    assert_eq!(viewer.read_to_exit().code, 4);
    assert_eq!(viewer.wire.frame(), None, "the connection ends");
}

#[test]
fn a_shell_that_ran_out_of_memory_is_told_from_one_that_was_killed() {
    let cgroup = match SmallMemory::make() {
        Ok(cgroup) => cgroup,
        Err(why) => {
            eprintln!("skipped: no memory cgroup can be made here ({why})");
            return;
        }
    };
    let script = format!("echo $$ > {} && exec {BINARY}", cgroup.procs().display());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script]);
    let (holder, response) = Plan::new(&["/usr/bin/tail", "/dev/zero"]).try_start(command);
    assert_eq!(response.code(), Code::Done, "{}", response.message);
    let exit = holder.wait_exit();
    assert_eq!((exit.signal, exit.out_of_memory), (9, true));
    let exit = Plan::script("kill -9 $$").start().wait_exit();
    assert_eq!((exit.signal, exit.out_of_memory), (9, false));
}

#[test]
fn a_shell_that_ignores_the_gentle_steps_is_killed_by_the_last() {
    let holder = Plan::script("trap '' HUP TERM; echo ready; while :; do sleep 1; done").start();
    let mut viewer = holder.writer();
    viewer.read_until("ready");
    let mut watch = holder.watch();
    let begun = Instant::now();
    assert_eq!(holder.end(false).session.expect("is told").state(), pb::SessionState::Ending);
    watch.until(|session| session.state() == pb::SessionState::Ending);
    assert_eq!(viewer.read_to_exit().signal, 9);
    let took = begun.elapsed();
    assert!(took >= limits::END_STEP * 2 && took < limits::END_STEP * 4, "{took:?}");
}

#[test]
fn a_shell_that_heeds_the_hang_up_ends_at_once() {
    let holder = Plan::script("echo ready; exec sleep 1000").start();
    holder.writer().read_until("ready");
    let begun = Instant::now();
    holder.end(false);
    assert_eq!(holder.wait_exit().signal, 1);
    assert!(begun.elapsed() < limits::END_STEP, "{:?}", begun.elapsed());
}

#[test]
fn force_ends_every_program_of_the_session() {
    let script = "set -m; (trap '' HUP TERM; exec sleep 1000) & echo pid $! end; trap '' HUP TERM; read x";
    let holder = Plan::script(script).start();
    let text = holder.writer().read_until("end");
    let pid = text.split_whitespace().nth(1).expect("is printed").to_owned();
    assert!(is_alive(&pid));
    holder.end(true);
    assert_eq!(holder.wait_exit().signal, 9);
    let begun = Instant::now();
    while is_alive(&pid) && begun.elapsed() < Duration::from_secs(5) {
        std::thread::yield_now();
    }
    assert!(!is_alive(&pid));
}

#[test]
fn ending_an_ended_session_removes_its_holder_but_not_its_record() {
    let mut holder = Plan::script("exit 0").start();
    holder.wait_exit();
    assert_eq!(holder.end(false).code(), Code::Done);
    holder.wait_gone();
    assert!(!holder.socket().exists());
    assert_eq!(holder.record().session.expect("is kept").state(), pb::SessionState::Exited);
}

#[test]
fn a_holder_that_is_told_to_end_takes_its_session_with_it() {
    let mut holder = Plan::script("trap '' HUP; echo $$ end; exec sleep 1000").start();
    let text = holder.writer().read_until("end");
    let shell = text.split_whitespace().next().expect("is printed").to_owned();
    kill_process(Pid::from_child(&holder.child), Signal::TERM).expect("lives");
    holder.wait_gone();
    assert!(!is_alive(&shell));
    assert_eq!(holder.record().session.expect("is kept").exit.expect("is known").signal, 15);
}

#[test]
fn a_rename_is_told_and_recorded() {
    let holder = Plan::new(&["/bin/cat"]).start();
    let mut watch = holder.watch();
    let (_, answer) = holder.ask(Verb::Rename(pb::HolderRename { name: "other".into() }));
    assert_eq!(answer.session.expect("is told").name, "other");
    watch.until(|session| session.name == "other");
    assert_eq!(holder.record().session.expect("is kept").name, "other");
}

#[test]
fn a_watch_tells_viewers_that_come_and_go() {
    let holder = Plan::new(&["/bin/cat"]).start();
    let mut watch = holder.watch();
    let viewer = holder.writer();
    watch.until(|session| session.viewers == 1);
    drop(viewer);
    watch.until(|session| session.viewers == 0);
}
