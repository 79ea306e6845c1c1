//! What can be read of a session when its holder is gone.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Instant};

use chatcode_proto::{limits, pb};
use prost::Message as _;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify::{self, CreateFlags, WatchFlags},
    process::{Pid, Signal, kill_process},
};

use crate::support::{EPOCH, Holder, Plan};

fn saved(holder: &Holder) -> Option<pb::HolderScreen> {
    let bytes = fs::read(holder.state().join("screen.pb")).ok()?;
    Some(pb::HolderScreen::decode(&*bytes).expect("is a screen"))
}

/// The screen that is saved while the session goes on, once it shows `words`;
/// sooner than one is saved for the second time.
fn saved_with(holder: &Holder, words: &str) -> pb::HolderScreen {
    let until = Instant::now() + limits::SCREEN_SAVE * 2 / 3;
    let changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).expect("is made");
    inotify::add_watch(&changes, holder.state(), WatchFlags::MOVED_TO).expect("is watched");
    loop {
        if let Some(screen) = saved(holder).filter(|screen| shows(screen, words)) {
            return screen;
        }
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).expect("is short");
        let told = poll(&mut [PollFd::new(&changes, PollFlags::IN)], Some(&left)).expect("waits");
        assert!(told > 0, "{words:?} is not saved");
        // Which file it was is seen at the next look.
        rustix::io::read(&changes, &mut [0; 4096]).expect("is read");
    }
}

fn shows(screen: &pb::HolderScreen, words: &str) -> bool {
    String::from_utf8_lossy(&screen.snapshot).contains(words)
}

#[test]
fn the_screen_of_an_ended_shell_is_on_disk_with_its_history_and_private() {
    let holder = Plan::script("seq 1000 1100; echo last words").start();
    holder.wait_exit();
    let screen = saved(&holder).expect("is saved before the end is told");
    assert!(shows(&screen, "last words") && shows(&screen, "1000"), "with what has scrolled away");
    assert_eq!((screen.epoch, screen.winsize), (EPOCH, Some(pb::Winsize { rows: 24, cols: 80 })));
    assert!(screen.offset > 0 && screen.saved_unix_ms > 1_600_000_000_000);
    let mode = fs::metadata(holder.state().join("screen.pb")).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!holder.state().join("screen.pb.new").exists());
}

#[test]
fn a_holder_that_is_told_to_end_saves_the_screen_before_the_shell_has_ended() {
    let holder =
        Plan::script("trap '' HUP TERM; echo here; read go; echo still here; while :; do sleep 1; done")
            .start();
    saved_with(&holder, "here");
    let mut viewer = holder.writer();
    viewer.type_in("\r");
    viewer.read_until("still here");
    let pid = Pid::from_raw(holder.child.id().try_into().expect("fits")).expect("is one");
    kill_process(pid, Signal::TERM).expect("lives");
    saved_with(&holder, "still here");
    assert_eq!(holder.record().session.expect("is kept").state(), pb::SessionState::Running);
}

#[test]
fn a_last_screen_that_cannot_be_saved_holds_up_neither_the_end_nor_its_record() {
    let holder = Plan::script("read go; exit 7").start();
    // Nothing can be written in its place, nor take it away.
    fs::create_dir(holder.state().join("screen.pb.new")).expect("is made");
    let mut viewer = holder.writer();
    viewer.type_in("\r");
    viewer.read_to_exit();
    assert_eq!(holder.wait_exit().code, 7);
    assert_eq!(holder.record().session.expect("is kept").state(), pb::SessionState::Exited);
    assert_eq!(saved(&holder), None);
    let log = fs::read_to_string(holder.state().join("holder.log")).expect("is there");
    assert!(log.contains("the screen was not saved"), "{log}");
}

#[test]
fn a_session_that_is_killed_soon_after_its_first_output_leaves_a_screen() {
    let mut holder = Plan::script("seq 1000 1100; echo early words; exec cat").start();
    let screen = saved_with(&holder, "early words");
    holder.child.kill().expect("lives");
    holder.child.wait().expect("is gone");
    assert!(shows(&screen, "1000"), "with what has scrolled away");
    assert_eq!(saved(&holder), Some(screen));
}

#[test]
fn what_a_session_is_started_again_with_is_on_disk_private_and_only_with_a_policy_until_it_is_ended() {
    let file = |holder: &Holder| holder.state().join("spec.pb");
    let without = Plan::script("exec cat").start();
    assert!(!file(&without).exists());
    let mut plan = Plan::script("exec cat");
    plan.spec.restart = pb::RestartPolicy::OnCrash.into();
    let order = plan.spec.clone();
    let holder = plan.start();
    let kept = fs::read(file(&holder)).expect("is kept");
    assert_eq!(pb::HolderSpec::decode(&*kept).expect("is an order"), order);
    let mode = fs::metadata(file(&holder)).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let answer = holder.end(false);
    assert_eq!(answer.session.expect("is told").restart(), pb::RestartPolicy::Unspecified);
    assert!(!file(&holder).exists());
    assert_eq!(holder.record().session.expect("is kept").restart(), pb::RestartPolicy::Unspecified);
}
