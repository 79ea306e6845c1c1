//! A daemon that has no descriptors left: what it cannot do it says, and what runs goes on.

use chatcode_proto::pb::{self, Code};
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

use crate::{
    core::{TestCore, code, eventually},
    machine::Machine,
};

#[tokio::test]
async fn t35_a_daemon_without_descriptors_says_so_lives_and_starts_sessions_again_when_it_has_some() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let daemon = machine.start();
    let link = core.link().await;
    let before = link.create_sh("exec cat").await;

    let pid = daemon.pid();
    let open = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).unwrap().count();
    let all = getrlimit(Resource::Nofile);
    let few = Rlimit { current: Some(open as u64), maximum: all.maximum };
    prlimit(Some(pid), Resource::Nofile, few).unwrap();
    let command = ["/bin/sh", "-c", "exec cat"].map(str::to_owned).to_vec();
    let wish = || pb::SessionsCreateRequest { command: command.clone(), ..Default::default() };
    let refused = link.create(wish()).await.unwrap_err();
    assert_eq!(code(&refused), Code::SpawnFailed, "{refused:?}");
    assert_eq!(link.get(&before.id).await.unwrap().state(), pb::SessionState::Running);

    prlimit(Some(pid), Resource::Nofile, all).unwrap();
    let after = eventually("a session", async || link.create(wish()).await.ok()).await;
    assert_ne!(after.id, before.id);
    assert_eq!(link.list().await.len(), 2, "of the refused one nothing is left");
}
