//! Sizes that viewers ask for, however many and however odd.

use super::*;

/// The sizes that the shell is asked to set now.
fn set(session: &mut Session<Counting>, now: Time) -> Vec<pb::Winsize> {
    let sizes = actions(session, now).into_iter().filter_map(|action| match action {
        Action::Resize(winsize) => Some(winsize),
        _ => None,
    });
    sizes.collect()
}

#[test]
fn t31_a_storm_of_sizes_reaches_the_program_seldom_and_the_last_one_wins() {
    let mut session = session(1024);
    attach(&mut session, A, 1);
    let (storm, count) = (Time::from_secs(1), 100_000);
    let mut seen = 0;
    for number in 0..count {
        let winsize = Some(pb::Winsize { rows: 1 + number % 500, cols: 80 });
        send(&mut session, A, client_frame::Kind::Resize(pb::Resize { winsize })).expect("is no fault");
        seen += set(&mut session, storm * number / count).len();
    }
    let most = storm.as_millis() / limits::RESIZE_INTERVAL.as_millis() + 1;
    assert!((2..=most).contains(&(seen as u128)), "{seen} of at most {most}");
    let last = pb::Winsize { rows: 3, cols: 7 };
    send(&mut session, A, client_frame::Kind::Resize(pb::Resize { winsize: Some(last) })).expect("is taken");
    assert_eq!(set(&mut session, storm + limits::RESIZE_INTERVAL), [last]);
    assert_eq!(set(&mut session, 2 * storm), [], "and that is all");
}

#[test]
fn t31_a_size_of_nothing_or_of_everything_is_cut_to_one_that_a_terminal_can_have() {
    let mut session = session(1024);
    attach(&mut session, A, 1);
    let mut now = NOW;
    for (rows, cols, fits) in [
        (0, 0, (*limits::ROWS.start(), *limits::COLS.start())),
        (u32::MAX, u32::MAX, (*limits::ROWS.end(), *limits::COLS.end())),
        (0, u32::MAX, (*limits::ROWS.start(), *limits::COLS.end())),
        (1 << 16, 1 << 16, (*limits::ROWS.end(), *limits::COLS.end())),
    ] {
        let winsize = Some(pb::Winsize { rows, cols });
        send(&mut session, A, client_frame::Kind::Resize(pb::Resize { winsize })).expect("is no fault");
        now += limits::RESIZE_INTERVAL;
        let sizes = set(&mut session, now);
        let [size] = sizes.as_slice() else { panic!("{rows} x {cols}: {sizes:?}") };
        assert_eq!((size.rows, size.cols), fits, "{rows} x {cols}");
    }
    send(&mut session, A, client_frame::Kind::Resize(pb::Resize { winsize: None })).expect("is no fault");
    assert_eq!(set(&mut session, now + limits::RESIZE_INTERVAL), [], "no size changes nothing");
}
