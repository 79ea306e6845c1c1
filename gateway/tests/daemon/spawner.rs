//! The system install on a real systemd: the shipped units, two users, and the
//! spawner between them. Run as root by `just systemd`, in a container.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use bytes::BytesMut;
use chatcode_proto::{
    framing,
    pb::{self, Code, Role, SessionState},
};
use prost::Message as _;
use rustix::process::{Pid, Signal};

use crate::{
    core::{LiveLink, TestCore, code, eventually},
    machine::holder as holder_program,
    seat::Seat,
    systemd::{cgroup, order, property_of, running, unit},
};

const UNITS: &[(&str, &str)] = &[
    ("chatcode-gateway.service", include_str!("../../../deploy/systemd/system/chatcode-gateway.service")),
    ("chatcode-spawner.socket", include_str!("../../../deploy/systemd/system/chatcode-spawner.socket")),
    ("chatcode-spawner@.service", include_str!("../../../deploy/systemd/system/chatcode-spawner@.service")),
];
const USERS: &str = include_str!("../../../deploy/systemd/system/chatcode.sysusers");
const STATE: &str = "/var/lib/chatcode";
const SOCKET: &str = "/run/chatcode/spawner.sock";
/// The session user's number, as `tests/systemd/run` makes it.
const ADA: u32 = 1000;
const ID: &str = "6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11";

async fn run(program: &str, arguments: &[&str]) {
    let status = tokio::process::Command::new(program).args(arguments).status().await.unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

async fn systemctl(arguments: &[&str]) -> String {
    order("--system", arguments).await
}

async fn property(unit: &str, name: &str) -> String {
    property_of("--system", unit, name).await
}

/// Installs everything as the documents say, and links the gateway to `core`.
async fn install(core: &TestCore) -> LiveLink {
    for (name, text) in UNITS {
        fs::write(Path::new("/etc/systemd/system").join(name), text).unwrap();
    }
    fs::write("/usr/lib/sysusers.d/chatcode.conf", USERS).unwrap();
    run("systemd-sysusers", &[]).await;
    for name in ["chatcode-gateway", "chatcode-holder", "chatcode-spawner"] {
        let place = Path::new("/usr/local/bin").join(name);
        let _ = fs::remove_file(&place);
        symlink(holder_program().with_file_name(name), place).unwrap();
    }
    let _ = fs::remove_dir_all(STATE);
    fs::create_dir_all(STATE).unwrap();
    fs::set_permissions(STATE, fs::Permissions::from_mode(0o711)).unwrap();
    core.enroll(&Path::new(STATE).join("gateway/identity"));
    fs::set_permissions(Path::new(STATE).join("gateway"), fs::Permissions::from_mode(0o700)).unwrap();
    run("chown", &["-R", "chatcode:chatcode", STATE]).await;
    fs::create_dir_all("/etc/chatcode").unwrap();
    let settings = format!(
        "data_dir = \"{STATE}/gateway\"\nruntime_dir = \"{STATE}\"\nlink = \"{}\"\n\
         holders = \"systemd-system\"\nsession_user = \"ada\"\n",
        core.address
    );
    fs::write("/etc/chatcode/gateway.toml", settings).unwrap();
    fs::write("/etc/chatcode/spawner", "SESSION_USER=ada\nSPAWNER_OPTIONS=--tasks 99\n").unwrap();
    systemctl(&["daemon-reload"]).await;
    systemctl(&["restart", "chatcode-spawner.socket", "chatcode-gateway"]).await;
    core.link().await
}

fn folder(id: &str) -> PathBuf {
    Path::new(STATE).join("sessions").join(id)
}

fn holder(id: &str) -> Option<Pid> {
    let socket = UnixStream::connect(folder(id).join("holder.sock")).ok()?;
    Some(rustix::net::sockopt::socket_peercred(socket).ok()?.pid)
}

#[tokio::test]
#[ignore = "needs a systemd of its own: just systemd"]
async fn a_shell_is_the_session_user_s_outlives_the_daemon_and_cannot_read_its_key() {
    let core = TestCore::start();
    let mut link = install(&core).await;
    let script = format!("id -un; head -c 1 {STATE}/gateway/identity/*; ls {STATE}/sessions; exec cat");
    let made = link.create_sh(&script).await;
    let began = holder(&made.id).expect("listens");
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.until("ada\r\n").await;
    seat.until(&format!("cannot open directory '{STATE}/sessions'")).await;
    assert!(seat.text().contains("Permission denied"), "{}", seat.text());
    assert_eq!(fs::metadata(format!("/proc/{}", began.as_raw_nonzero())).unwrap().uid(), ADA);
    assert!(cgroup(began).contains(&format!("/chatcode-sessions.slice/{}", unit(&made.id))));
    for (name, value) in
        [("User", "ada"), ("TasksMax", "99"), ("OOMPolicy", "continue"), ("KillMode", "process")]
    {
        assert_eq!(property(&unit(&made.id), name).await, value, "{name}");
    }
    eventually("the end of what started it", async || {
        (running("systemd-run") == 0 && running("chatcode-spawner") == 0).then_some(())
    })
    .await;

    let mut place = seat.place();
    for order in ["kill --signal=KILL", "restart", "stop"] {
        let words: Vec<&str> = order.split(' ').chain(["chatcode-gateway"]).collect();
        systemctl(&words).await;
        if order == "stop" {
            systemctl(&["start", "chatcode-gateway"]).await;
        }
        link = core.link().await;
        assert_eq!(holder(&made.id), Some(began), "after {order}");
        let mut seat = Seat::resume(link.link(), &made.id, Role::Writer, 1, Some(place)).await.unwrap();
        seat.type_text(&format!("after {order}\r")).await;
        seat.until(&format!("after {order}")).await;
        place = seat.place();
    }
    link.end_session(&made.id, true).await.unwrap();
    link.state(&made.id, SessionState::Exited).await;
    link.end_session(&made.id, true).await.unwrap();
    eventually("the end of its folder", async || (!folder(&made.id).exists()).then_some(())).await;
}

#[tokio::test]
#[ignore = "needs a systemd of its own: just systemd"]
async fn a_session_of_another_user_is_started_again_in_its_folder_and_its_last_screen_can_be_read() {
    let core = TestCore::start();
    let link = install(&core).await;
    let made = link.create_restarting(pb::RestartPolicy::OnCrash, "exec cat").await;
    rustix::process::kill_process(holder(&made.id).expect("listens"), Signal::KILL).unwrap();
    link.restarted(&made.id, 1).await;
    Seat::take(link.link(), &made.id).await.until("resumed").await;
    let again = holder(&made.id).expect("listens");
    assert_eq!(fs::metadata(format!("/proc/{}", again.as_raw_nonzero())).unwrap().uid(), ADA);
    link.end_session(&made.id, true).await.unwrap();
    link.state(&made.id, SessionState::Exited).await;
    let file = fs::metadata(folder(&made.id).join("screen.pb")).unwrap();
    assert_eq!((file.uid(), file.mode() & 0o777), (ADA, 0o640), "for the daemon's group, too");
    rustix::process::kill_process(again, Signal::KILL).unwrap();
    eventually("no holder", async || holder(&made.id).is_none().then_some(())).await;
    let mut seat = Seat::take(link.link(), &made.id).await;
    assert_eq!(seat.attached.role(), Role::Viewer);
    seat.until("resumed").await;
    link.end_session(&made.id, true).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a systemd of its own: just systemd"]
async fn a_start_that_fails_says_why_and_leaves_no_folder_and_no_service() {
    let core = TestCore::start();
    let link = install(&core).await;
    let command = vec!["/no/such/program".to_owned()];
    let session = ID.to_owned();
    let request = pb::SessionsCreateRequest { command, session, ..Default::default() };
    let refused = link.create(request).await.unwrap_err();
    assert_eq!(code(&refused), Code::SpawnFailed);
    assert!(refused.message().contains("/no/such/program"), "{}", refused.message());
    eventually("an empty folder", async || {
        (fs::read_dir(Path::new(STATE).join("sessions")).unwrap().count() == 0).then_some(())
    })
    .await;
    eventually("the end of the service", async || {
        (property(&unit(ID), "LoadState").await == "not-found").then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a systemd of its own: just systemd"]
async fn the_spawner_serves_nobody_but_the_daemon_s_user_not_even_root() {
    let core = TestCore::start();
    let _link = install(&core).await;
    let mode = fs::metadata(SOCKET).unwrap();
    assert_eq!(mode.mode() & 0o777, 0o600, "the session user cannot even connect");
    assert_ne!(mode.uid(), ADA);
    let mut asked = BytesMut::new();
    framing::put(&mut asked, &pb::SpawnerRequest { session: ID.into() });
    let answer = tokio::task::spawn_blocking(move || {
        let mut spawner = UnixStream::connect(SOCKET).unwrap();
        spawner.write_all(&asked).unwrap();
        let mut head = [0; framing::HEAD];
        spawner.read_exact(&mut head).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(head) as usize];
        spawner.read_exact(&mut answer).unwrap();
        answer
    });
    let answer = pb::HolderResponse::decode(&*answer.await.unwrap()).unwrap();
    assert_eq!(answer.code(), Code::Forbidden, "{}", answer.message);
    assert!(!folder(ID).exists());
}

#[tokio::test]
#[ignore = "needs a systemd of its own: just systemd"]
async fn a_holder_of_another_user_that_hangs_is_not_killed_but_named() {
    let core = TestCore::start();
    let link = install(&core).await;
    let made = link.create_sh("exec cat").await;
    let hangs = holder(&made.id).expect("listens");
    rustix::process::kill_process(hangs, Signal::STOP).unwrap();
    let refused = link.end_session(&made.id, true).await.unwrap_err();
    assert_eq!(code(&refused), Code::HolderUnreachable);
    let number = hangs.as_raw_nonzero().to_string();
    assert!(refused.message().contains(&number), "{}", refused.message());
    rustix::process::kill_process(hangs, Signal::CONT).unwrap();
    link.state(&made.id, SessionState::Exited).await;
}
