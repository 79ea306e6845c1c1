//! An edge that has no descriptors left, and what a crowd costs it. It is a process of
//! its own, because the limit, and the memory, are those of a process.

use std::process::Stdio;

use chatcode_proto::limits;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::{Duration, Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    crowd::waiting,
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

/// Sends this program a signal to stop.
fn ask_to_stop(child: &Child) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("runs");
    kill_process(pid, Signal::TERM).expect("may be sent");
}

#[tokio::test]
async fn a_signal_that_comes_again_at_once_is_the_same_wish_and_a_later_one_ends_the_program_at_once() {
    let ground = Ground::new();
    let core = Core::start(&ground.core, "127.0.0.1:0").await;
    let (mut child, edge) = start(&ground, &core).await;
    // Its body does not come, and so it keeps the edge from its end.
    let _held = waiting(&edge, 1).await;
    let mut log = BufReader::new(child.stderr.take().expect("is piped")).lines();
    let mut said = async |words: &str| {
        soon(async { while !log.next_line().await.expect("is read").expect("goes on").contains(words) {} })
            .await;
    };
    let begun = Instant::now();
    ask_to_stop(&child);
    said("a signal asks to stop").await;
    ask_to_stop(&child);
    // On a machine that is too busy the second comes late, and ends it as the third would.
    let at_once = begun.elapsed() < limits::SIGNAL_REPEAT;
    sleep_until(begun + limits::SIGNAL_REPEAT + Duration::from_millis(500)).await;
    assert!(!at_once || child.try_wait().expect("is known").is_none(), "it drains");
    ask_to_stop(&child);
    said("a second signal: stopping at once").await;
    let status = soon(child.wait()).await.expect("ends");
    assert_eq!(status.code(), Some(i32::from(chatcode_process::exit::FAILURE)));
}

/// How often a crowd comes and goes.
const CROWDS: usize = 9;
/// Connections that begin a request and do not go on.
const STALLED: usize = 400;
/// Less than what one of them that was forgotten would keep, KiB: its buffer has eight.
const FORGOTTEN_KIB: u64 = 2;
/// Memory that each of them may take, KiB: its buffers, and what the allocator keeps.
const STALLED_KIB: u64 = 48;

/// Memory of a process that is in use, KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("is told");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count()
}

/// Waits until the edge has at least, or at most, so many descriptors.
async fn until(pid: u32, is_there: impl Fn(usize) -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    soon(async {
        while !is_there(descriptors(pid)) {
            tick.tick().await;
        }
    })
    .await;
}

#[tokio::test]
async fn stalled_connections_take_little_memory_and_give_it_back() {
    let ground = Ground::new();
    let core = Core::start(&ground.core, "127.0.0.1:0").await;
    let (child, edge) = start(&ground, &core).await;
    let pid = child.id().expect("it lives");
    assert_eq!(get(&edge, "/").await.status, 200);
    let (before, own) = (resident(pid), descriptors(pid));
    let mut peaks = Vec::new();
    for _ in 0..CROWDS {
        let mut crowd = Vec::new();
        for _ in 0..STALLED {
            let mut stream = soon(TcpStream::connect(edge.address)).await.expect("connects");
            stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ").await.expect("is sent");
            crowd.push(stream);
        }
        // The one of before may have been counted still.
        until(pid, |count| count + 8 >= own + STALLED).await;
        peaks.push(resident(pid));
        drop(crowd);
        until(pid, |count| count < own + STALLED / 10).await;
    }
    let most = before + STALLED as u64 * STALLED_KIB;
    assert!(peaks.iter().all(|peak| *peak <= most), "{peaks:?} KiB, {before} before, {most} at most");
    // The first crowds fill what the allocator keeps for the next ones. What a
    // connection that was forgotten would hold is more than this.
    let later = (CROWDS - 1 - CROWDS / 2) as u64 * STALLED as u64;
    let growth = peaks[CROWDS - 1].saturating_sub(peaks[CROWDS / 2]);
    assert!(growth <= later * FORGOTTEN_KIB, "it grows with each crowd: {peaks:?} KiB");
}
