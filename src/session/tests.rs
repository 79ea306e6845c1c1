//! What holds for a session as a whole; the parts have tests of their own.

mod answers;
mod bounds;
mod sizes;

use super::*;
use crate::pb::server_frame;

const NOW: Time = Time::ZERO;
const SIZE: pb::Winsize = pb::Winsize { rows: 24, cols: 80 };
const A: ConnId = ConnId(1);
const B: ConnId = ConnId(2);
const C: ConnId = ConnId(3);

/// A screen that knows how many bytes it was fed; it is asked by "?", and a
/// snapshot of it says how it came about.
#[derive(Debug, Default)]
struct Counting {
    bytes: usize,
    sizes: usize,
    answers: Vec<u8>,
    theme: Option<pb::Theme>,
}

impl Screen for Counting {
    fn feed(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.answers.extend(bytes.iter().filter(|byte| **byte == b'?').map(|_| b'!'));
    }

    fn resize(&mut self, _winsize: pb::Winsize) {
        self.sizes += 1;
    }

    fn snapshot(&self, history_lines: u32) -> Vec<u8> {
        format!("{} bytes, {history_lines} lines", self.bytes).into_bytes()
    }

    fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    fn set_theme(&mut self, theme: Option<pb::Theme>) {
        self.theme = theme;
    }

    fn title(&self) -> &str {
        if self.bytes > 1000 { "long" } else { "" }
    }
}

fn session(log_bytes: usize) -> Session<Counting> {
    let config = Config { epoch: 7, log_bytes, winsize: SIZE, name: "n".to_owned() };
    Session::new(config, Counting::default())
}

fn who(role: pb::Role) -> Who {
    Who { principal: "person/1".to_owned(), display_name: "P".to_owned(), role }
}

fn first_frame(viewer: u8) -> pb::Attach {
    pb::Attach {
        versions: limits::FRAME_VERSIONS.to_vec(),
        viewer_id: vec![viewer; 16].into(),
        role: pb::Role::Writer.into(),
        window_bytes: limits::WINDOW_MAX_BYTES,
        ..Default::default()
    }
}

fn attach_with(
    session: &mut Session<Counting>,
    conn: ConnId,
    attach: pb::Attach,
) -> Result<pb::Attached, Refusal> {
    session.handle_attach(NOW, conn, who(pb::Role::Writer), pb::Session::default(), attach)?;
    match session.poll_frame(NOW, conn).and_then(|frame| frame.kind) {
        Some(server_frame::Kind::Attached(attached)) => Ok(attached),
        other => panic!("the first frame is {other:?}"),
    }
}

fn attach(session: &mut Session<Counting>, conn: ConnId, viewer: u8) -> pb::Attached {
    attach_with(session, conn, first_frame(viewer)).expect("is accepted")
}

fn frames(session: &mut Session<Counting>, now: Time, conn: ConnId) -> Vec<server_frame::Kind> {
    std::iter::from_fn(|| session.poll_frame(now, conn)).filter_map(|frame| frame.kind).collect()
}

fn output(frames: &[server_frame::Kind]) -> Vec<u8> {
    let data = frames.iter().filter_map(|kind| match kind {
        server_frame::Kind::Output(output) => Some(output.data.to_vec()),
        _ => None,
    });
    data.collect::<Vec<_>>().concat()
}

fn actions(session: &mut Session<Counting>, now: Time) -> Vec<Action> {
    std::iter::from_fn(|| session.poll_action(now)).collect()
}

fn send(session: &mut Session<Counting>, conn: ConnId, kind: client_frame::Kind) -> Result<(), Refusal> {
    session.handle_frame(NOW, conn, pb::ClientFrame { kind: Some(kind) })
}

fn input(offset: u64, data: &'static [u8]) -> client_frame::Kind {
    client_frame::Kind::Input(pb::Input { offset, data: data.into() })
}

fn snapshots(frames: &[server_frame::Kind]) -> Vec<(u64, String, bool)> {
    let snapshots = frames.iter().filter_map(|kind| match kind {
        server_frame::Kind::Snapshot(snapshot) => Some(snapshot),
        _ => None,
    });
    snapshots.map(|one| (one.offset, String::from_utf8_lossy(&one.data).into_owned(), one.skipped)).collect()
}

fn snapshot(offset: u64, words: &str, skipped: bool) -> (u64, String, bool) {
    (offset, words.to_owned(), skipped)
}

#[test]
fn a_new_viewer_gets_a_snapshot_with_as_much_history_as_it_wants() {
    let mut session = session(1024);
    session.handle_output(NOW, b"hello");
    let attached = attach_with(&mut session, A, pb::Attach { history_lines: 30, ..first_frame(1) });
    let attached = attached.expect("is accepted");
    assert_eq!((attached.epoch, attached.offset, attached.live_offset), (7, 0, 5));
    session.handle_output(NOW, b"!");
    let frames = frames(&mut session, NOW, A);
    assert_eq!(snapshots(&frames), [snapshot(5, "5 bytes, 30 lines", false)]);
    assert_eq!(output(&frames), b"!", "and what comes behind it");
}

#[test]
fn a_viewer_that_comes_back_gets_what_it_misses_and_nothing_else() {
    let mut session = session(1024);
    session.handle_output(NOW, b"hello world");
    let resume = Some(pb::Resume { epoch: 7, offset: 6, redraw: false });
    let attached =
        attach_with(&mut session, A, pb::Attach { resume, ..first_frame(1) }).expect("is accepted");
    assert_eq!(attached.offset, 6);
    let frames = frames(&mut session, NOW, A);
    assert_eq!((output(&frames), snapshots(&frames).len()), (b"world".to_vec(), 0));
}

#[test]
fn whoever_has_another_life_too_little_or_half_a_screen_gets_a_snapshot() {
    for resume in [
        pb::Resume { epoch: 6, offset: 3, redraw: false },
        pb::Resume { epoch: 7, offset: 3, redraw: false },
        pb::Resume { epoch: 7, offset: 200, redraw: true },
    ] {
        let mut session = session(64);
        session.handle_output(NOW, &[b'x'; 200]);
        let first = pb::Attach { resume: Some(resume), ..first_frame(1) };
        let attached = attach_with(&mut session, A, first).expect("is accepted");
        assert_eq!(attached.offset, if resume.epoch == 7 { resume.offset } else { 0 });
        let frames = frames(&mut session, NOW, A);
        assert_eq!(snapshots(&frames), [snapshot(200, "200 bytes, 0 lines", false)], "{resume:?}");
        assert_eq!(output(&frames), b"");
    }
}

#[test]
fn a_viewer_that_missed_more_than_a_little_is_drawn_anew() {
    let mut session = session(1 << 20);
    let missed = limits::RESUME_BYTES as usize + 1;
    session.handle_output(NOW, &vec![b'x'; missed]);
    for (offset, wanted) in [(0, 1), (1, 0)] {
        let resume = Some(pb::Resume { epoch: 7, offset, redraw: false });
        attach_with(&mut session, A, pb::Attach { resume, ..first_frame(1) }).expect("is accepted");
        assert_eq!(snapshots(&frames(&mut session, NOW, A)).len(), wanted, "from {offset}");
    }
}

#[test]
fn a_viewer_that_falls_out_of_the_log_is_moved_and_may_ask_for_the_lines_between() {
    let mut session = session(64 * 1024);
    attach_with(&mut session, A, pb::Attach { window_bytes: 0, ..first_frame(1) }).expect("is accepted");
    frames(&mut session, NOW, A);
    session.handle_output(NOW, &[b'x'; 100_000]);
    let moved = frames(&mut session, NOW, A);
    assert_eq!(snapshots(&moved), [snapshot(100_000, "100000 bytes, 0 lines", true)]);
    let request = pb::SnapshotRequest { history_lines: 500 };
    send(&mut session, A, client_frame::Kind::SnapshotRequest(request)).expect("may ask");
    let asked = frames(&mut session, NOW, A);
    assert_eq!(snapshots(&asked), [snapshot(100_000, "100000 bytes, 500 lines", false)]);
}

#[test]
fn who_interrupts_a_flood_is_moved_to_its_end_as_soon_as_there_is_credit() {
    let mut session = session(limits::LOG_BYTES);
    attach_with(&mut session, A, pb::Attach { window_bytes: 0, ..first_frame(1) }).expect("is accepted");
    frames(&mut session, NOW, A);
    session.handle_output(NOW, &[b'x'; 60_000]);
    frames(&mut session, NOW, A);
    send(&mut session, A, input(0, b"a")).expect("taken");
    send(&mut session, A, client_frame::Kind::Credit(credit(10_000))).expect("was sent");
    let typed = frames(&mut session, NOW, A);
    assert_eq!((snapshots(&typed).len(), output(&typed).is_empty()), (0, false), "another key moves nobody");
    send(&mut session, A, input(1, b"\x03")).expect("taken");
    assert_eq!(snapshots(&frames(&mut session, NOW, A)).len(), 0, "no credit");
    session.handle_output(NOW, b"^C");
    send(&mut session, A, client_frame::Kind::Credit(credit(10_010))).expect("was sent");
    let moved = frames(&mut session, NOW, A);
    assert_eq!(snapshots(&moved), [snapshot(60_002, "60002 bytes, 0 lines", true)]);
    session.handle_output(NOW, &[b'x'; 20_000]);
    send(&mut session, A, client_frame::Kind::Credit(credit(30_000))).expect("was sent");
    assert_eq!(snapshots(&frames(&mut session, NOW, A)).len(), 0, "once");
}

fn credit(rendered_bytes: u64) -> pb::Credit {
    pb::Credit { rendered_bytes, window_bytes: 0 }
}

#[test]
fn programs_are_told_the_colours_of_the_one_who_types() {
    let mut session = session(1024);
    let theme = pb::Theme { foreground: 1, background: 2, cursor: 3 };
    attach_with(&mut session, A, pb::Attach { theme: Some(theme), ..first_frame(1) }).expect("is accepted");
    assert_eq!(session.screen.theme, Some(theme));
    attach(&mut session, B, 2);
    assert_eq!(session.screen.theme, Some(theme), "who looks has no say");
    send(&mut session, B, client_frame::Kind::TakeLease(pb::TakeLease {})).expect("may");
    assert_eq!(session.screen.theme, None, "nobody knows those of the new one");
    let other = pb::Theme { foreground: 4, ..theme };
    send(&mut session, A, client_frame::Kind::Theme(other)).expect("may");
    send(&mut session, B, client_frame::Kind::Theme(theme)).expect("may");
    assert_eq!(session.screen.theme, Some(theme));
}

#[test]
fn a_title_is_told_to_all_and_to_those_who_come_later() {
    let mut session = session(1024);
    attach(&mut session, A, 1);
    session.handle_output(NOW, &[b'x'; 2000]);
    attach(&mut session, B, 2);
    for conn in [A, B] {
        let frames = frames(&mut session, NOW, conn);
        let is_titled = |kind: &_| matches!(kind, server_frame::Kind::Titled(one) if one.title == "long");
        assert!(frames.iter().any(is_titled), "{conn:?}");
    }
}

#[test]
fn a_new_size_is_one_of_the_screen_too_and_told_at_its_place() {
    let mut session = session(1024);
    let winsize = pb::Winsize { rows: 30, cols: 90 };
    attach(&mut session, A, 1);
    session.handle_output(NOW, b"before");
    send(&mut session, A, client_frame::Kind::Resize(pb::Resize { winsize: Some(winsize) })).expect("may");
    assert_eq!(actions(&mut session, NOW).first(), Some(&Action::Resize(winsize)));
    session.handle_output(NOW, b"after");
    assert_eq!(session.screen.sizes, 1);
    let frames = frames(&mut session, NOW, A);
    let place = frames.iter().position(|kind| matches!(kind, server_frame::Kind::Resized(_)));
    let at = place.expect("is told");
    assert_eq!((output(&frames[..at]), output(&frames[at..])), (b"before".to_vec(), b"after".to_vec()));
}

#[test]
fn nobody_has_output_that_was_never_printed() {
    let mut session = session(64);
    let resume = Some(pb::Resume { epoch: 7, offset: 1, redraw: false });
    let refusal = attach_with(&mut session, A, pb::Attach { resume, ..first_frame(1) }).unwrap_err();
    assert_eq!(refusal.code, Code::Protocol);
    assert_eq!(session.viewers(), 0);
}

#[test]
fn the_same_viewer_id_fences_the_older_attachment_and_keeps_the_lease() {
    let mut session = session(64);
    attach(&mut session, A, 1);
    let attached = attach(&mut session, B, 1);
    let closes = actions(&mut session, NOW);
    assert!(matches!(&closes[0], Action::Close { conn: A, refusal } if refusal.code == Code::Fenced));
    let told = frames(&mut session, NOW, B);
    assert!(
        told.iter()
            .any(|kind| matches!(kind, server_frame::Kind::Presence(p) if p.writer == attached.viewer))
    );
    assert_eq!(
        send(&mut session, A, input(0, b"x")).unwrap_err().code,
        Code::Protocol,
        "the older one is over"
    );
}

#[test]
fn input_reaches_the_pty_once_over_a_reconnect() {
    let mut session = session(64);
    attach(&mut session, A, 1);
    send(&mut session, A, input(0, b"abc")).expect("taken");
    session.handle_input_written(NOW, 2);
    session.handle_disconnect(NOW, A);
    let attached = attach(&mut session, B, 1);
    assert_eq!(attached.input_offset, 3);
    send(&mut session, B, input(2, b"cd")).expect("overlaps");
    assert_eq!(session.poll_input(), b"cd");
    session.handle_input_written(NOW, 2);
    let frames = frames(&mut session, limits::CONFIRM_DELAY, B);
    assert!(frames.iter().any(|kind| matches!(kind, server_frame::Kind::InputConfirmed(c) if c.offset == 4)));
}

#[test]
fn one_without_the_lease_is_refused_by_name_until_it_takes_it() {
    let mut session = session(64);
    attach(&mut session, A, 1);
    attach(&mut session, B, 2);
    send(&mut session, B, input(0, b"no")).expect("is no fault");
    assert_eq!(session.poll_input(), b"");
    let told = frames(&mut session, NOW, B);
    assert!(told.iter().any(|kind| matches!(kind, server_frame::Kind::InputRefused(r) if r.to == 2)));
    send(&mut session, B, client_frame::Kind::TakeLease(pb::TakeLease {})).expect("may type");
    send(&mut session, B, input(2, b"yes")).expect("goes on");
    assert_eq!(session.poll_input(), b"yes");
}

#[test]
fn one_who_looks_in_takes_no_free_lease_from_those_who_are_there_until_it_types() {
    let mut session = session(64);
    attach(&mut session, A, 1);
    attach(&mut session, B, 2);
    send(&mut session, A, client_frame::Kind::Detach(pb::Detach {})).expect("may leave");
    let newcomer = attach(&mut session, C, 3);
    let told = frames(&mut session, NOW, C);
    assert!(told.iter().any(|kind| matches!(kind, server_frame::Kind::Presence(p) if p.writer == 0)));
    send(&mut session, C, input(0, b"mine")).expect("a free lease is for whoever types");
    assert_eq!(session.poll_input(), b"mine");
    let told = frames(&mut session, NOW, C);
    let writes = |p: &pb::Presence| p.writer == newcomer.viewer;
    assert!(told.iter().any(|kind| matches!(kind, server_frame::Kind::Presence(p) if writes(p))));
}

#[test]
fn a_free_lease_is_no_way_around_a_full_queue() {
    let mut session = session(64);
    attach(&mut session, A, 1);
    attach(&mut session, B, 2);
    let piece = &[b'x'; limits::INPUT_BYTES];
    let mut offset = 0;
    while session.wants_frames_of(A) {
        send(&mut session, A, input(offset, piece)).expect("taken");
        offset += piece.len() as u64;
    }
    session.handle_disconnect(NOW, A);
    session.handle_timeout(limits::LEASE_GRACE);
    let waiting = session.poll_input().len();
    send(&mut session, B, input(0, b"no")).expect("is no fault");
    assert_eq!(session.poll_input().len(), waiting);
    session.handle_input_written(NOW, waiting);
    send(&mut session, B, input(2, b"yes")).expect("goes on");
    assert_eq!(session.poll_input(), b"yes");
}

#[test]
fn one_that_may_only_look_never_gets_the_lease() {
    let mut session = session(64);
    session
        .handle_attach(NOW, A, who(pb::Role::Viewer), pb::Session::default(), first_frame(1))
        .expect("may look");
    send(&mut session, A, input(0, b"x")).expect("is no fault");
    assert_eq!(session.poll_input(), b"");
    let taken = send(&mut session, A, client_frame::Kind::TakeLease(pb::TakeLease {}));
    assert_eq!(taken.unwrap_err().code, Code::NotWriter);
}

#[test]
fn the_size_follows_the_lease_and_not_too_often() {
    let mut session = session(64);
    let large = pb::Winsize { rows: 50, cols: 5000 };
    attach_with(&mut session, A, pb::Attach { winsize: Some(large), ..first_frame(1) }).expect("is accepted");
    let clamped = pb::Winsize { rows: 50, cols: 1000 };
    assert!(actions(&mut session, NOW).contains(&Action::Resize(clamped)));
    let small = pb::Winsize { rows: 10, cols: 20 };
    attach_with(&mut session, B, pb::Attach { winsize: Some(small), ..first_frame(2) }).expect("is accepted");
    assert!(
        !actions(&mut session, NOW).iter().any(|action| matches!(action, Action::Resize(_))),
        "only looks"
    );
    send(&mut session, B, client_frame::Kind::TakeLease(pb::TakeLease {})).expect("may type");
    assert!(!actions(&mut session, NOW).contains(&Action::Resize(small)), "too soon");
    let due = limits::RESIZE_INTERVAL;
    assert!(session.next_timeout().is_some_and(|next| next <= due), "asks to be called");
    assert!(actions(&mut session, due).contains(&Action::Resize(small)));
}

#[test]
fn the_exit_comes_after_the_last_byte() {
    let mut session = session(1 << 20);
    attach_with(&mut session, A, pb::Attach { window_bytes: 0, ..first_frame(1) }).expect("is accepted");
    session.handle_output(NOW, &[b'x'; 40_000]);
    session.handle_exit(NOW, pb::Exit { code: 3, ..Default::default() });
    let before = frames(&mut session, NOW, A);
    assert!(
        !before.iter().any(|kind| matches!(kind, server_frame::Kind::Exited(_))),
        "it has no credit for all"
    );
    assert!(!session.is_told(A));
    let credit = pb::Credit { rendered_bytes: 32 * 1024, window_bytes: 0 };
    send(&mut session, A, client_frame::Kind::Credit(credit)).expect("was sent");
    let after = frames(&mut session, NOW, A);
    assert!(matches!(after.last(), Some(server_frame::Kind::Exited(e)) if e.offset == 40_000));
    assert!(session.is_told(A));
}

#[test]
fn all_that_was_typed_is_confirmed_before_the_exit() {
    let mut session = session(1024);
    attach(&mut session, A, 1);
    send(&mut session, A, input(0, b"exit\r")).expect("taken");
    session.handle_input_written(NOW, 5);
    session.handle_exit(NOW, pb::Exit::default());
    assert!(!session.is_told(A));
    let told = frames(&mut session, NOW, A);
    let is_confirmed =
        |kind: &server_frame::Kind| matches!(kind, server_frame::Kind::InputConfirmed(c) if c.offset == 5);
    assert!(told.iter().any(is_confirmed), "{told:?}");
    assert!(matches!(told.last(), Some(server_frame::Kind::Exited(_))), "{told:?}");
    assert!(session.is_told(A), "and nothing follows");
}

#[test]
fn a_viewer_that_stalls_holds_nobody_for_longer_than_allowed() {
    let mut session = session(limits::LOG_BYTES);
    attach_with(&mut session, A, pb::Attach { window_bytes: 0, ..first_frame(1) }).expect("is accepted");
    while session.wants_output(NOW) {
        session.handle_output(NOW, &[b'x'; 16 * 1024]);
    }
    assert_eq!(session.next_timeout(), Some(limits::CONFIRM_DELAY.min(limits::PACE_BACKLOG)));
    assert!(session.wants_output(limits::PACE_BACKLOG), "let go");
    for _ in 0..1000 {
        session.handle_output(NOW, &[b'x'; 16 * 1024]);
        assert!(session.wants_output(limits::PACE_BACKLOG));
    }
}

#[test]
fn what_the_protocol_does_not_know_is_refused_with_its_code() {
    let mut session = session(64);
    assert_eq!(send(&mut session, A, input(0, b"x")).unwrap_err().code, Code::Protocol);
    let bad = |attach| attach_with(&mut self::session(64), A, attach).unwrap_err().code;
    assert_eq!(bad(pb::Attach { versions: vec![9], ..first_frame(1) }), Code::UnsupportedVersion);
    assert_eq!(bad(pb::Attach { viewer_id: vec![1; 15].into(), ..first_frame(1) }), Code::Invalid);
    attach(&mut session, A, 1);
    let large = pb::Input { offset: 0, data: vec![0; limits::INPUT_BYTES + 1].into() };
    assert_eq!(send(&mut session, A, client_frame::Kind::Input(large)).unwrap_err().code, Code::Invalid);
    for kind in
        [client_frame::Kind::Attach(first_frame(1)), client_frame::Kind::Sealed(pb::Sealed::default())]
    {
        assert_eq!(send(&mut session, A, kind).unwrap_err().code, Code::Protocol);
    }
    let unknown = session.handle_frame(NOW, A, pb::ClientFrame { kind: None });
    assert_eq!(unknown.unwrap_err().code, Code::Protocol);
}

#[test]
fn viewers_at_once_are_bounded() {
    let mut session = session(64);
    for n in 0..limits::VIEWERS_PER_SESSION {
        attach(&mut session, ConnId(n as u32), u8::try_from(n).expect("is small"));
    }
    let refusal = attach_with(&mut session, ConnId(99), first_frame(99)).unwrap_err();
    assert_eq!(refusal.code, Code::Limit);
    attach(&mut session, ConnId(100), 0);
}

#[test]
fn guests_never_take_the_last_places() {
    let mut session = session(64);
    let mut come = |n: u8| {
        let guest = Who { principal: format!("guest/{n}"), ..who(pb::Role::Viewer) };
        session.handle_attach(NOW, ConnId(n.into()), guest, pb::Session::default(), first_frame(n))
    };
    for n in 0..limits::VIEWERS_WITH_GUESTS {
        come(u8::try_from(n).expect("is small")).expect("there is room");
    }
    assert_eq!(come(99).unwrap_err().code, Code::Limit);
    attach(&mut session, ConnId(100), 100);
}
