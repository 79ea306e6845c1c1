//! No byte is lost, and no viewer holds a program up.

use std::fs;

use crate::support::{Holder, Plan};
use chatcode_proto::{limits, pb};

#[test]
fn the_tail_of_a_short_program_is_never_lost() {
    let wanted: String = (1..=300).map(|n| format!("{n}\r\n")).collect();
    for round in 0..50 {
        let holder = Plan::script("seq 1 300; exit 3").start();
        let mut viewer = holder.writer();
        let exit = viewer.read_to_exit();
        assert_eq!(exit.code, 3);
        assert_eq!(viewer.text(), wanted, "round {round}");
        // Also for one that comes after the end.
        let mut late = holder.viewer(2, pb::Role::Viewer, None);
        late.read_to_exit();
        assert_eq!(late.text(), wanted, "round {round}, after the end");
    }
}

#[test]
fn every_byte_of_a_big_file_arrives_at_a_viewer_that_keeps_up() {
    let plan = Plan::script("read go; cat big; echo end");
    let line = "x".repeat(78) + "\n";
    fs::write(plan.folder.path().join("work/big"), line.repeat(200_000)).expect("is written");
    let holder = plan.start();
    let mut viewer = holder.writer();
    viewer.type_in("\r");
    viewer.read_to_exit();
    assert!(viewer.skips.is_empty(), "{:?}", viewer.skips);
    assert_eq!(viewer.output.len(), "\r\n".len() + 200_000 * 80 + "end\r\n".len());
}

#[test]
fn a_viewer_that_stalls_does_not_stop_the_program_and_is_moved_to_the_present() {
    let holder = Plan::script("echo ready; read x; seq 1 2000000; echo end").start();
    let mut viewer = holder.writer();
    viewer.credits = false;
    viewer.read_until("ready");
    viewer.type_in("\r");
    holder.wait_exit();
    // It wakes up and gives credit again.
    viewer.credits = true;
    viewer.read_to_exit();
    assert!(!viewer.skips.is_empty());
    assert!(viewer.text().ends_with("2000000\r\nend\r\n"));
}

#[test]
fn two_hundred_megabytes_without_a_viewer_need_no_memory() {
    let holder = Plan::script("head -c 200000000 /dev/zero | tr '\\0' 'x'; echo end").start();
    holder.wait_exit();
    let kib = resident_kib(&holder);
    assert!(kib < 12 * 1024, "{kib} KiB resident");
    let mut viewer = holder.writer();
    viewer.read_to_exit();
    assert!(viewer.text().ends_with("end\r\n"));
    assert!(viewer.output.len() <= limits::LOG_BYTES);
}

fn resident_kib(holder: &Holder) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", holder.child.id())).expect("lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("is told");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("is a number")
}

#[test]
fn a_background_program_that_keeps_the_terminal_does_not_hold_the_end_up() {
    let holder = Plan::script("(trap '' HUP; exec sleep 1000) & echo bye").start();
    let mut viewer = holder.writer();
    assert_eq!(viewer.read_to_exit().code, 0);
    assert_eq!(viewer.text(), "bye\r\n");
    holder.end(true);
}

#[test]
fn a_shell_that_gives_its_terminal_away_and_takes_it_again_goes_on() {
    let script = "exec 3</dev/null >/dev/null 2>&1 </dev/null; sleep 0.3; echo back >/dev/tty; exit 4";
    let holder = Plan::script(script).start();
    let mut viewer = holder.writer();
    assert_eq!(viewer.read_to_exit().code, 4);
    assert_eq!(viewer.text(), "back\r\n");
}

#[test]
fn a_stalled_viewer_that_has_typed_leaves_the_holder_idle() {
    let holder = Plan::script("echo ready; read x; seq 1 300000; echo filled; read x; sleep 1").start();
    let mut stalled = holder.writer();
    stalled.read_until("ready");
    stalled.type_in("\r");
    let mut other = holder.viewer(2, pb::Role::Viewer, None);
    other.read_until("filled");
    // It reads nothing more: its socket is full, and its confirmation waits.
    stalled.type_in("\r");
    holder.wait_exit();
    let ticks = cpu_ticks(&holder);
    assert!(ticks < 30, "{ticks} ticks of 10 ms for two megabytes and a second of rest");
}

fn cpu_ticks(holder: &Holder) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", holder.child.id())).expect("lives");
    let (_, rest) = stat.rsplit_once(')').expect("has a name");
    rest.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("is a number")).sum()
}
