//! What holds for a viewer as a whole; the parts have tests of their own.

use super::*;

const NOW: Time = Time::ZERO;

fn viewer() -> Viewer {
    Viewer::new([1; 16], pb::Role::Writer, None)
}

fn attached(epoch: u64, offset: u64, input_offset: u64) -> pb::ServerFrame {
    server(server_frame::Kind::Attached(pb::Attached {
        version: 1,
        epoch,
        offset,
        live_offset: offset,
        input_offset,
        role: pb::Role::Writer.into(),
        viewer: 1,
        ..Default::default()
    }))
}

fn server(kind: server_frame::Kind) -> pb::ServerFrame {
    pb::ServerFrame { kind: Some(kind) }
}

fn output(offset: u64, data: &'static [u8]) -> pb::ServerFrame {
    server(server_frame::Kind::Output(pb::Output { offset, data: data.into() }))
}

fn writer(number: u32) -> pb::ServerFrame {
    server(server_frame::Kind::Presence(pb::Presence { viewers: Vec::new(), writer: number }))
}

fn inputs(viewer: &mut Viewer) -> Vec<(u64, Vec<u8>)> {
    std::iter::from_fn(|| viewer.poll_frame(NOW))
        .filter_map(|frame| match frame.kind {
            Some(Kind::Input(input)) => Some((input.offset, input.data.to_vec())),
            _ => None,
        })
        .collect()
}

fn take(viewer: &mut Viewer, frame: pb::ServerFrame) -> Vec<Event> {
    viewer.handle_frame(NOW, frame).expect("follows the rules")
}

#[test]
fn a_reconnect_says_what_is_on_the_screen() {
    let mut viewer = viewer();
    let Some(Kind::Attach(first)) = viewer.attach().kind else { panic!("attach comes first") };
    assert_eq!(first.resume, None);
    take(&mut viewer, attached(7, 0, 0));
    take(&mut viewer, output(0, b"hello"));
    let Some(Kind::Attach(second)) = viewer.attach().kind else { panic!("attach comes first") };
    assert_eq!(second.resume, Some(pb::Resume { epoch: 7, offset: 5, redraw: false }));
}

#[test]
fn output_that_does_not_continue_is_refused() {
    let mut viewer = viewer();
    assert!(viewer.handle_frame(NOW, output(0, b"x")).is_err(), "before the attachment");
    take(&mut viewer, attached(7, 0, 0));
    take(&mut viewer, output(0, b"abc"));
    for offset in [0, 2, 4] {
        assert_eq!(viewer.handle_frame(NOW, output(offset, b"x")).unwrap_err().code, Code::Protocol);
    }
    take(&mut viewer, output(3, b"def"));
}

fn snapshot(offset: u64, part: u32, parts: u32) -> pb::ServerFrame {
    let data = Bytes::from_static(b"drawn");
    server(server_frame::Kind::Snapshot(pb::Snapshot { offset, part, parts, data, ..Default::default() }))
}

fn resume(viewer: &mut Viewer) -> pb::Resume {
    let Some(Kind::Attach(attach)) = viewer.attach().kind else { panic!("attach comes first") };
    attach.resume.expect("something is on the screen")
}

#[test]
fn after_a_snapshot_the_output_goes_on_behind_it() {
    let mut viewer = viewer();
    take(&mut viewer, attached(7, 10, 0));
    take(&mut viewer, snapshot(500, 0, 2));
    assert!(viewer.handle_frame(NOW, output(10, b"x")).is_err(), "the other half is missing");
    assert!(viewer.handle_frame(NOW, snapshot(500, 0, 2)).is_err(), "the first half came already");
    take(&mut viewer, snapshot(500, 1, 2));
    take(&mut viewer, output(500, b"x"));
    assert!(viewer.handle_frame(NOW, snapshot(400, 0, 1)).is_err(), "goes back");
}

#[test]
fn a_snapshot_that_broke_off_is_asked_for_again_until_one_is_whole() {
    let mut viewer = viewer();
    take(&mut viewer, attached(7, 10, 0));
    take(&mut viewer, snapshot(500, 0, 2));
    let torn = pb::Resume { epoch: 7, offset: 10, redraw: true };
    assert_eq!(resume(&mut viewer), torn);
    take(&mut viewer, attached(7, 10, 0));
    assert_eq!(resume(&mut viewer), torn, "the next one broke off before it began");
    take(&mut viewer, attached(7, 10, 0));
    take(&mut viewer, snapshot(500, 0, 1));
    assert_eq!(resume(&mut viewer), pb::Resume { epoch: 7, offset: 500, redraw: false });
}

#[test]
fn nothing_is_typed_without_the_lease() {
    let mut viewer = viewer();
    take(&mut viewer, attached(7, 0, 0));
    viewer.push_input(b"x");
    assert!(inputs(&mut viewer).is_empty(), "who holds it is not known yet");
    take(&mut viewer, writer(0));
    assert_eq!(inputs(&mut viewer), [(0, b"x".to_vec())], "free for the first that types");
}

#[test]
fn keys_for_which_there_is_no_lease_are_given_back_and_never_come_out_later() {
    let mut viewer = viewer();
    take(&mut viewer, attached(7, 0, 0));
    viewer.push_input(b"rm");
    let refused = pb::InputRefused { from: 0, to: 2, code: Code::NotWriter.into() };
    assert!(take(&mut viewer, writer(2)).contains(&Event::InputRefused(refused)));
    assert_eq!(viewer.push_input(b"x"), 0, "another holds the lease");
    take(&mut viewer, writer(1));
    assert!(inputs(&mut viewer).is_empty());
    assert_eq!(viewer.push_input(b"y"), 1);
    assert_eq!(inputs(&mut viewer), [(0, b"y".to_vec())], "their numbers were never used");
}

#[test]
fn a_holder_that_forgot_the_viewer_is_not_sent_old_keys_again() {
    let mut viewer = viewer();
    take(&mut viewer, attached(7, 0, 0));
    take(&mut viewer, writer(1));
    viewer.push_input(b"old");
    inputs(&mut viewer);
    viewer.push_input(b"new");
    viewer.attach();
    let events = take(&mut viewer, attached(7, 0, 1 << 30));
    assert!(events.contains(&Event::InputUnknown { bytes: 3 }), "{events:?}");
    take(&mut viewer, writer(1));
    assert_eq!(inputs(&mut viewer), [(1 << 30, b"new".to_vec())]);
}

#[test]
fn output_that_goes_on_elsewhere_than_asked_for_is_refused() {
    let mut viewer = viewer();
    take(&mut viewer, attached(7, 0, 0));
    take(&mut viewer, output(0, b"abc"));
    viewer.attach();
    let refusal = viewer.handle_frame(Time::ZERO, attached(7, 5, 0)).unwrap_err();
    assert_eq!(refusal.code, Code::Protocol);
}

#[test]
fn unconfirmed_input_is_sent_again_over_a_reconnect() {
    let mut viewer = viewer();
    take(&mut viewer, attached(7, 0, 0));
    take(&mut viewer, writer(1));
    viewer.push_input(b"abc");
    assert_eq!(inputs(&mut viewer), [(0, b"abc".to_vec())]);
    viewer.attach();
    take(&mut viewer, attached(7, 0, 1));
    take(&mut viewer, writer(1));
    assert_eq!(inputs(&mut viewer), [(1, b"bc".to_vec())]);
}

#[test]
fn another_holder_resets_the_screen_and_names_what_is_unknown() {
    let mut viewer = viewer();
    take(&mut viewer, attached(7, 0, 0));
    take(&mut viewer, writer(1));
    viewer.push_input(b"abc");
    inputs(&mut viewer);
    viewer.attach();
    let events = take(&mut viewer, attached(8, 0, 0));
    assert_eq!(events[..2], [Event::Reset, Event::InputUnknown { bytes: 3 }]);
}

#[test]
fn keys_that_were_not_sent_are_not_for_another_shell() {
    let mut viewer = viewer();
    take(&mut viewer, attached(7, 0, 0));
    viewer.push_input(b"rm");
    viewer.attach();
    let refused = pb::InputRefused { from: 0, to: 2, code: Code::SessionEnded.into() };
    let events = take(&mut viewer, attached(8, 0, 0));
    assert_eq!(events[..2], [Event::Reset, Event::InputRefused(refused)]);
    take(&mut viewer, writer(1));
    assert!(inputs(&mut viewer).is_empty());
}

#[test]
fn an_attachment_stands_once_and_in_a_version_that_was_offered() {
    let mut viewer = viewer();
    let strange = server(server_frame::Kind::Attached(pb::Attached { version: 9, ..Default::default() }));
    assert_eq!(viewer.handle_frame(NOW, strange).unwrap_err().code, Code::UnsupportedVersion);
    take(&mut viewer, attached(7, 0, 0));
    assert_eq!(viewer.handle_frame(NOW, attached(7, 0, 0)).unwrap_err().code, Code::Protocol);
}

#[test]
fn the_round_trip_is_measured_at_once_and_again() {
    let mut viewer = viewer();
    take(&mut viewer, attached(7, 0, 0));
    let Some(Kind::Ping(ping)) = viewer.poll_frame(NOW).and_then(|frame| frame.kind) else {
        panic!("a ping")
    };
    let later = Time::from_millis(30);
    let pong = server(server_frame::Kind::Pong(pb::Pong { stamp: ping.stamp }));
    assert_eq!(viewer.handle_frame(later, pong), Ok(vec![Event::Rtt(later)]));
    assert_eq!(viewer.next_timeout(), Some(limits::PING));
}
