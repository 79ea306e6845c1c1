//! Keys in, output out; several viewers, reconnects, sizes.

use std::time::{Duration, Instant};

use crate::support::Plan;
use chatcode_proto::pb::{self, client_frame, server_frame};

#[test]
fn what_is_typed_reaches_the_program_and_is_confirmed() {
    let holder = Plan::new(&["/bin/cat"]).start();
    let mut viewer = holder.writer();
    viewer.type_in("hello\r");
    viewer.read_until("hello\r\nhello\r\n");
    while viewer.confirmed < viewer.next_input {
        viewer.step().expect("the connection goes on");
    }
    viewer.type_in("\u{4}");
    assert_eq!(viewer.read_to_exit().code, 0);
}

#[test]
fn ctrl_c_interrupts_a_program_that_waits() {
    let holder = Plan::script("echo ready; exec sleep 1000").start();
    let mut viewer = holder.writer();
    viewer.read_until("ready");
    viewer.type_in("\u{3}");
    assert_eq!(viewer.read_to_exit().signal, 2);
}

#[test]
fn ctrl_c_interrupts_a_flood_at_once() {
    let holder = Plan::script("exec yes").start();
    let mut viewer = holder.writer();
    while viewer.end() < 4 * 1024 * 1024 {
        viewer.step().expect("the connection goes on");
    }
    let pressed = Instant::now();
    viewer.type_in("\u{3}");
    assert_eq!(viewer.read_to_exit().signal, 2);
    assert!(pressed.elapsed() < Duration::from_secs(2), "{:?}", pressed.elapsed());
}

#[test]
fn a_large_paste_arrives_whole() {
    let holder = Plan::script("stty raw -echo; echo ready; head -c 200000 | cksum; echo end").start();
    let mut viewer = holder.writer();
    viewer.read_until("ready");
    let line = "0123456789abcdef".repeat(1250);
    for _ in 0..10 {
        viewer.type_in(&line);
    }
    let seen = viewer.read_until("end");
    assert!(seen.contains(" 200000\n"), "{seen}");
}

#[test]
fn a_viewer_that_comes_back_gets_the_bytes_from_where_it_was() {
    let holder = Plan::script("echo ready; i=0; while read x; do i=$((i+1)); echo line $i; done").start();
    let (mut all, mut end) = (String::new(), 0);
    let mut resume = None;
    for round in 1..=5 {
        let mut viewer = holder.viewer(1, pb::Role::Writer, resume);
        assert_eq!(viewer.start, end);
        viewer.type_in("\r");
        viewer.read_until(&format!("line {round}"));
        (resume, end) = (viewer.resume(), viewer.end());
        all += &viewer.text();
    }
    let mut fresh = holder.viewer(2, pb::Role::Viewer, None);
    fresh.read_until("line 5");
    assert!(fresh.text().starts_with(&all), "{all:?} {:?}", fresh.text());
}

#[test]
fn input_that_is_sent_again_after_a_reconnect_is_written_once() {
    let holder = Plan::new(&["/bin/cat"]).start();
    let mut viewer = holder.writer();
    viewer.type_in("once\r");
    viewer.read_until("once\r\nonce");
    drop(viewer);
    let mut viewer = holder.writer();
    assert_eq!(viewer.next_input, 5);
    viewer.next_input = 0;
    viewer.type_in("once\rtwice\r");
    let seen = viewer.read_until("twice\r\ntwice");
    assert_eq!(seen.matches("once").count(), 2, "typed and printed: {seen}");
}

#[test]
fn two_viewers_see_the_same_and_only_the_writer_types() {
    let holder = Plan::new(&["/bin/cat"]).start();
    let mut writer = holder.writer();
    let mut viewer = holder.viewer(2, pb::Role::Viewer, None);
    assert_eq!(viewer.attached.role(), pb::Role::Viewer);
    viewer.type_in("forbidden\r");
    viewer.wait_for(|kind| matches!(kind, server_frame::Kind::InputRefused(_)).then_some(()));
    writer.type_in("allowed\r");
    for seen in [writer.read_until("allowed\r\nallowed\r\n"), viewer.read_until("allowed\r\nallowed\r\n")] {
        assert!(!seen.contains("forbidden"));
    }
    assert_eq!(holder.watch().now.viewers, 2);
}

#[test]
fn a_grant_for_viewing_does_not_become_more_by_asking() {
    let holder = Plan::new(&["/bin/cat"]).start();
    let attach = pb::Attach {
        versions: vec![1],
        viewer_id: vec![9; 16].into(),
        role: pb::Role::Writer.into(),
        window_bytes: 1 << 20,
        ..Default::default()
    };
    assert_eq!(holder.attach(pb::Role::Viewer, attach).attached.role(), pb::Role::Viewer);
}

#[test]
fn the_program_sees_the_new_size() {
    let holder = Plan::script("echo ready; while read x; do stty size; done").start();
    let mut viewer = holder.writer();
    viewer.read_until("ready");
    let winsize = Some(pb::Winsize { rows: 30, cols: 100 });
    viewer.send(client_frame::Kind::Resize(pb::Resize { winsize }));
    let resized = viewer.wait_for(|kind| match kind {
        server_frame::Kind::Resized(resized) => Some(*resized),
        _ => None,
    });
    assert_eq!(resized.winsize, winsize);
    viewer.type_in("\r");
    viewer.read_until("30 100");
    assert_eq!(holder.watch().now.winsize, winsize);
}

#[test]
fn a_ping_comes_back() {
    let holder = Plan::new(&["/bin/cat"]).start();
    let mut viewer = holder.writer();
    viewer.send(client_frame::Kind::Ping(pb::Ping { stamp: 42 }));
    viewer.wait_for(|kind| matches!(kind, server_frame::Kind::Pong(pong) if pong.stamp == 42).then_some(()));
}
