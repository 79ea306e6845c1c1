//! The machine's own tmux: its sessions are listed, and opened as sessions.

use std::{path::Path, process::Command};

use chatcode_proto::{limits, pb};

use crate::{
    core::{LiveLink, TestCore, on_gateway},
    machine::{Daemon, Machine},
    seat::Seat,
};

/// A tmux server of the test's own; it ends when dropped.
struct Server<'a>(&'a Path);

impl Server<'_> {
    fn run(&self, arguments: &[&str]) {
        let mut tmux = Command::new("tmux");
        tmux.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("TMUX_TMPDIR", self.0);
        let status = tmux.args(["-f", "/dev/null"]).args(arguments).status();
        let status = status.expect("tmux is missing: `just test` installs it");
        assert!(status.success(), "{arguments:?}");
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let mut tmux = Command::new("tmux");
        let _ = tmux.env("TMUX_TMPDIR", self.0).arg("kill-server").status();
    }
}

async fn listed(link: &LiveLink) -> Vec<pb::TmuxSession> {
    let request = on_gateway(pb::SessionsListTmuxRequest {});
    link.sessions().list_tmux(request).await.unwrap().into_inner().sessions
}

fn start(machine: &Machine, folder: &Path) -> Daemon {
    let mut command = machine.command();
    command.env("TMUX_TMPDIR", folder);
    Daemon::spawn(command)
}

#[tokio::test]
async fn a_tmux_session_is_listed_and_opened_as_a_session() {
    let (core, folder) = (TestCore::start(), tempfile::tempdir().unwrap());
    let machine = Machine::enrolled(&core);
    let _daemon = start(&machine, folder.path());
    let link = core.link().await;
    assert_eq!(listed(&link).await, [], "no server runs");

    let server = Server(folder.path());
    server.run(&["new-session", "-d", "-s", "my work", "printf 'in %s\\n' tmux; exec cat"]);
    server.run(&["new-session", "-d", "-s", "my", "exec cat"]);
    let found = listed(&link).await;
    let names: Vec<_> = found.iter().map(|session| (session.name.as_str(), session.clients)).collect();
    assert_eq!(names, [("my", 0), ("my work", 0)]);

    let command = found[1].command.clone();
    let made = link.create(pb::SessionsCreateRequest { command, ..Default::default() }).await.unwrap();
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.until("in tmux").await;
    assert_eq!(listed(&link).await[1].clients, 1, "it is attached");
}

/// A daemon whose tmux is this script.
fn start_with(machine: &Machine, folder: &Path, script: &str) -> Daemon {
    let program = folder.join("tmux");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = machine.command();
    command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", folder.display()));
    Daemon::spawn(command)
}

#[tokio::test]
async fn a_tmux_that_does_not_answer_in_time_has_no_sessions() {
    let (core, folder) = (TestCore::start(), tempfile::tempdir().unwrap());
    let machine = Machine::enrolled(&core);
    let _daemon = start_with(&machine, folder.path(), "echo 1 0 9 early; exec sleep 600");
    let link = core.link().await;
    let begun = std::time::Instant::now();
    assert_eq!(listed(&link).await, []);
    let took = begun.elapsed();
    assert!(took >= limits::TMUX && took < limits::UNARY_DEADLINE, "{took:?}");
}

#[tokio::test]
async fn of_a_tmux_that_says_too_much_the_beginning_counts_and_it_is_not_waited_for() {
    let (core, folder) = (TestCore::start(), tempfile::tempdir().unwrap());
    let machine = Machine::enrolled(&core);
    let script = "echo 1 0 9 first; yes x | head -c 1000000; echo 1 0 9 beyond";
    let _daemon = start_with(&machine, folder.path(), script);
    let told = listed(&core.link().await).await;
    let names: Vec<_> = told.iter().map(|session| session.name.as_str()).collect();
    assert_eq!(names, ["first"]);
}
