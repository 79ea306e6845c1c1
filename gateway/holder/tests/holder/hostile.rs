//! Bad input on the socket ends that connection, with its code, and harms
//! nothing else.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream, process::CommandExt as _},
    process::Command,
    time::Instant,
};

use crate::support::{Holder, Plan, Wire, frame};
use chatcode_proto::{
    limits,
    pb::{self, Code, client_frame, holder_request::Verb, server_frame},
};

fn cat() -> Holder {
    Plan::new(&["/bin/cat"]).start()
}

/// The session still answers somebody who behaves.
fn still_well(holder: &Holder) {
    let mut viewer = holder.viewer(200, pb::Role::Writer, None);
    viewer.send(client_frame::Kind::TakeLease(pb::TakeLease {}));
    viewer.type_in("well\r");
    viewer.read_until("well\r\n");
}

fn refused(wire: &mut Wire) -> Code {
    let answer: pb::HolderResponse = wire.take().expect("an answer");
    assert!(wire.next().is_none(), "the connection is closed after it");
    answer.code()
}

fn closed(wire: &mut Wire) -> Code {
    loop {
        if let server_frame::Kind::Closing(closing) = wire.frame().expect("a last frame") {
            assert!(wire.next().is_none(), "the connection is closed after it");
            return closing.code();
        }
    }
}

#[test]
fn garbage_and_oversized_lengths_are_refused_with_their_codes() {
    let holder = cat();
    let mut wire = holder.wire();
    wire.socket.write_all(b"\0\0\0\x04\xff\xff\xff\xff").expect("is taken");
    assert_eq!(refused(&mut wire), Code::Protocol);
    let mut wire = holder.wire();
    wire.socket.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("is taken");
    assert_eq!(refused(&mut wire), Code::TooLarge);
    still_well(&holder);
}

#[test]
fn an_unknown_version_is_refused_with_its_code() {
    let holder = cat();
    let mut wire = holder.wire();
    wire.put(&pb::HolderRequest { versions: vec![99], verb: Some(Verb::Watch(pb::HolderWatch {})) });
    assert_eq!(refused(&mut wire), Code::UnsupportedVersion);
    still_well(&holder);
}

fn arriving(holder: &Holder) -> Wire {
    let attach =
        pb::HolderAttach { principal: "p".into(), role: pb::Role::Writer.into(), ..Default::default() };
    let (wire, answer) = holder.ask(Verb::Attach(attach));
    assert_eq!(answer.code(), Code::Done);
    wire
}

#[test]
fn a_viewer_that_does_not_begin_with_attach_is_closed() {
    let holder = cat();
    let mut wire = arriving(&holder);
    wire.put(&frame(client_frame::Kind::Ping(pb::Ping { stamp: 1 })));
    assert_eq!(closed(&mut wire), Code::Protocol);
    let mut wire = arriving(&holder);
    wire.socket.write_all(&[0xff; 4]).expect("is taken");
    assert_eq!(closed(&mut wire), Code::TooLarge);
    still_well(&holder);
}

#[test]
fn bad_frames_of_an_attached_viewer_close_it_alone() {
    let holder = cat();
    let mut other = holder.viewer(7, pb::Role::Viewer, None);
    for (bad, code) in [
        (client_frame::Kind::Sealed(pb::Sealed { data: "x".into() }), Code::Protocol),
        (client_frame::Kind::Attach(pb::Attach::default()), Code::Protocol),
        (client_frame::Kind::Input(pb::Input { offset: 1000, data: "x".into() }), Code::InputGap),
    ] {
        let mut viewer = holder.viewer(3, pb::Role::Writer, None);
        viewer.send(bad);
        assert_eq!(closed(&mut viewer.wire), code);
    }
    let mut viewer = holder.viewer(3, pb::Role::Writer, None);
    viewer.wire.socket.write_all(b"\0\0\0\x03\xff\xff\xff").expect("is taken");
    assert_eq!(closed(&mut viewer.wire), Code::Protocol);
    still_well(&holder);
    other.read_until("well");
}

#[test]
fn silence_before_the_first_message_is_cut() {
    let holder = cat();
    let begun = Instant::now();
    let (mut silent, mut half) = (holder.wire(), holder.wire());
    half.socket.write_all(&[0, 0]).expect("is taken");
    let mut no_attach = arriving(&holder);
    assert_eq!(refused(&mut silent), Code::Timeout);
    assert_eq!(refused(&mut half), Code::Timeout);
    assert_eq!(closed(&mut no_attach), Code::Timeout);
    assert!(begun.elapsed() >= limits::HOLDER_HELLO, "{:?}", begun.elapsed());
    still_well(&holder);
}

#[test]
fn one_connection_too_many_is_refused_and_the_others_stay() {
    let holder = cat();
    let mut watches: Vec<_> = (0..limits::HOLDER_CONNECTIONS).map(|_| holder.watch()).collect();
    assert_eq!(refused(&mut holder.wire()), Code::Limit);
    watches.pop();
    let mut free = holder.wire();
    free.put(&pb::HolderRequest {
        versions: vec![1],
        verb: Some(Verb::Rename(pb::HolderRename { name: "still".into() })),
    });
    let answer: pb::HolderResponse = free.take().expect("an answer");
    assert_eq!(answer.code(), Code::Done);
    for watch in &mut watches {
        watch.until(|session| session.name == "still");
    }
}

#[test]
fn a_peer_that_never_reads_is_cut_and_keeps_nobody_waiting() {
    let plan = Plan::script("echo ready; read x; seq 1 500000; echo end");
    let holder = plan.start();
    // A viewer with a full window that reads nothing, and a request that
    // leaves without its answer.
    let stalled = holder.viewer(5, pb::Role::Viewer, None);
    drop(arriving(&holder));
    let mut viewer = holder.writer();
    viewer.read_until("ready");
    viewer.type_in("\r");
    viewer.read_to_exit();
    assert!(viewer.text().ends_with("end\r\n"));
    drop(stalled);
}

const FOREIGN: &str = "CHATCODE_TEST_FOREIGN_SOCKET";

/// Run again by the next test as another user; alone it does nothing.
#[test]
fn helper_that_connects_as_another_user() {
    let Some(path) = env::var_os(FOREIGN) else { return };
    let mut socket = UnixStream::connect(path).expect("the modes allow it");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("is read");
    let answer = <pb::HolderResponse as prost::Message>::decode(&answer[4..]).expect("is an answer");
    assert_eq!(answer.code(), Code::Forbidden);
}

#[test]
fn another_user_is_refused_even_where_the_modes_let_it_in() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let holder = cat();
    for (path, mode) in
        [(holder.folder.path().to_owned(), 0o755), (holder.state(), 0o755), (holder.socket(), 0o666)]
    {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("is set");
    }
    // A copy, since another user may not reach the build's folder.
    let program = holder.folder.path().join("as-another");
    fs::copy(env::current_exe().expect("is known"), &program).expect("is copied");
    let ended = Command::new(&program)
        .args(["--exact", "hostile::helper_that_connects_as_another_user"])
        .env(FOREIGN, holder.socket())
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .expect("runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    still_well(&holder);
}
