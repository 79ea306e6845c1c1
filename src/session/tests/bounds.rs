//! What waits for one attachment is bounded, whatever its viewer sends.

use super::*;

#[test]
fn of_pings_whose_answers_nobody_takes_the_newest_are_answered() {
    let mut session = session(1024);
    attach(&mut session, A, 1);
    let count = limits::PONGS as u64 + 3;
    for stamp in 0..count {
        send(&mut session, A, client_frame::Kind::Ping(pb::Ping { stamp })).expect("is no fault");
    }
    let stamps: Vec<u64> = frames(&mut session, NOW, A)
        .into_iter()
        .filter_map(|kind| match kind {
            server_frame::Kind::Pong(pong) => Some(pong.stamp),
            _ => None,
        })
        .collect();
    assert_eq!(stamps, (3..count).collect::<Vec<_>>());
}

#[test]
fn who_types_on_without_the_lease_and_hears_nothing_is_refused_in_the_end() {
    let mut session = session(1024);
    attach(&mut session, A, 1);
    attach(&mut session, B, 2);
    for offset in 0..limits::REFUSALS_UNTOLD as u64 {
        send(&mut session, B, input(offset, b"x")).expect("is told later");
    }
    let refused = send(&mut session, B, input(limits::REFUSALS_UNTOLD as u64, b"x")).unwrap_err();
    assert_eq!(refused.code, Code::NotWriter);
    assert!(refused.message.contains("take it over first"), "{refused}");
    send(&mut session, A, input(0, b"y")).expect("is the writer's");
}

#[test]
fn a_confirmation_waits_for_output_to_travel_with_and_no_longer_than_the_limit() {
    let mut session = session(64);
    attach(&mut session, A, 1);
    send(&mut session, A, input(0, b"abc")).expect("taken");
    assert_eq!(session.poll_input(), b"abc");
    session.handle_input_written(NOW, 3);
    let confirms =
        |kind: &server_frame::Kind| matches!(kind, server_frame::Kind::InputConfirmed(c) if c.offset == 3);
    assert!(!frames(&mut session, NOW, A).iter().any(confirms), "it waits");
    assert_eq!(session.next_timeout(), Some(limits::CONFIRM_DELAY));
    assert!(frames(&mut session, limits::CONFIRM_DELAY, A).iter().any(confirms), "and comes alone then");
}
