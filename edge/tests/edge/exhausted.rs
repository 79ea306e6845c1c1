//! An edge that has no descriptors left. It is a process of its own, because the
//! limit is one of the process.

use std::process::Stdio;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    house::{Ground, Running, soon},
    http::get,
    stub::Core,
};

/// Descriptors that it may have: what it needs for itself, and some connections.
const DESCRIPTORS: u64 = 64;

/// The program before this core, and where it serves.
async fn start(ground: &Ground, core: &Core) -> (Child, Running) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chatcode-edge"))
        .args(["run", "--listen", "127.0.0.1:0", "--core", &core.address.to_string(), "--data-dir"])
        .arg(ground.folder.path().join("edge"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("starts");
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().expect("is piped"));
    soon(output.read_line(&mut line)).await.expect("is ready");
    let ready: serde_json::Value = serde_json::from_str(&line).expect("is JSON");
    let word = |key: &str| ready[key].as_str().expect("is text").to_owned();
    let origin = word("origin");
    let running = Running {
        authority: origin.strip_prefix("http://").expect("is in the clear").to_owned(),
        origin,
        address: word("listen").parse().expect("is an address"),
        stop: CancellationToken::new(),
        serving: AbortOnDropHandle::new(tokio::spawn(async {})),
    };
    (child, running)
}

#[tokio::test]
async fn t35_an_edge_without_descriptors_lives_and_serves_again_when_it_has_some() {
    let ground = Ground::new();
    let core = Core::start(&ground.core, "127.0.0.1:0").await;
    let (mut child, edge) = start(&ground, &core).await;
    assert_eq!(get(&edge, "/").await.status, 200);

    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("runs");
    let few = Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS) };
    prlimit(Some(pid), Resource::Nofile, few).expect("may be set");
    let mut crowd = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        crowd.push(soon(TcpStream::connect(edge.address)).await.expect("the kernel takes it"));
    }
    let mut log = BufReader::new(child.stderr.take().expect("is piped")).lines();
    soon(async {
        loop {
            let line = log.next_line().await.expect("is read").expect("lives");
            if line.contains("cannot accept a connection now") {
                return;
            }
        }
    })
    .await;
    // Its log goes on, and a full pipe would stop it.
    let _reading =
        AbortOnDropHandle::new(tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} }));
    assert!(child.try_wait().expect("is known").is_none(), "it lives");

    drop(crowd);
    assert_eq!(get(&edge, "/").await.status, 200);
    assert!(child.try_wait().expect("is known").is_none(), "it lives");
}
