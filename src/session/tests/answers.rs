//! When what a program asked the terminal is answered.

use super::*;

#[test]
fn what_a_program_asks_the_terminal_is_answered_once_and_in_its_turn() {
    let mut session = session(1024);
    session.handle_output(NOW, b"?");
    assert_eq!(session.poll_input(), b"!", "with nobody here");
    attach(&mut session, A, 1);
    send(&mut session, A, input(0, b"ab")).expect("taken");
    session.handle_output(NOW, b"what? and?");
    assert_eq!(session.poll_input(), b"!ab!!");
    session.handle_input_written(NOW, 2);
    assert_eq!(session.poll_input(), b"b!!");
    session.handle_input_written(NOW, 3);
    let frames = frames(&mut session, Time::from_secs(1), A);
    let confirmed = frames.iter().filter_map(|kind| match kind {
        server_frame::Kind::InputConfirmed(confirmed) => Some(confirmed.offset),
        _ => None,
    });
    assert_eq!(confirmed.last(), Some(2), "answers count for nobody");
}

#[test]
fn a_paste_whose_writer_is_gone_holds_no_answer_however_much_the_next_one_types() {
    type Leave = fn(&mut Session<Counting>);
    let leave: [Leave; 4] = [
        |session| session.handle_disconnect(NOW, A),
        |session| send(session, A, client_frame::Kind::Detach(pb::Detach {})).expect("is taken"),
        |session| {
            send(session, A, client_frame::Kind::HandOverLease(pb::HandOverLease { viewer: 2 }))
                .expect("is taken");
        },
        |_| (),
    ];
    for (n, leave) in leave.iter().enumerate() {
        let mut session = session(1024);
        attach(&mut session, A, 1);
        attach(&mut session, B, 2);
        send(&mut session, A, input(0, b"\x1b[200~many")).expect("is taken");
        session.handle_output(NOW, b"?");
        session.handle_input_written(NOW, 10);
        assert_eq!(session.poll_input(), b"", "the answer waits for the end of the paste");
        leave(&mut session);
        send(&mut session, B, client_frame::Kind::TakeLease(pb::TakeLease {})).expect("is taken");
        send(&mut session, B, input(0, b"b")).expect("is taken");
        session.handle_output(NOW, b"?");
        assert_eq!(session.poll_input(), b"!b!", "way {n}");
    }
}

#[test]
fn an_answer_never_lands_between_the_frames_of_a_paste_that_goes_on() {
    let mut session = session(1024);
    attach(&mut session, A, 1);
    send(&mut session, A, input(0, b"\x1b[200~one")).expect("taken");
    session.handle_input_written(NOW, 9);
    session.handle_output(NOW, b"?");
    assert_eq!(session.poll_input(), b"");
    send(&mut session, A, input(9, b"two\x1b[201~")).expect("taken");
    assert_eq!(session.poll_input(), b"two\x1b[201~!");
    session.handle_input_written(NOW, 10);
    send(&mut session, A, input(18, b"\x1b[200~three")).expect("taken");
    session.handle_input_written(NOW, 11);
    session.handle_output(NOW, b"?");
    // Its confirmations are told first, or they would be due before.
    frames(&mut session, limits::PASTE_STALL / 2, A);
    assert_eq!(session.next_timeout(), Some(limits::PASTE_STALL));
    session.handle_timeout(limits::PASTE_STALL);
    assert_eq!(session.poll_input(), b"!", "a paste without an end holds no answer for ever");
}
