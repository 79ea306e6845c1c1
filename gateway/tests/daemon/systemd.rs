//! A real systemd: the daemon is a service of its user's, as the shipped unit
//! says, but with a stop that ends every process of the service. Run by
//! `just systemd`, in a container.

use std::{fs, path::Path};

use chatcode_proto::pb::{RestartPolicy, Role, SessionState};
use rustix::process::{Pid, Signal};
use tokio::process::Command;

use crate::{
    core::{LiveLink, TestCore, eventually, soon},
    machine::Machine,
    seat::Seat,
};

const UNIT: &str = include_str!("../../../deploy/systemd/user/chatcode-gateway.service");
const LIMITS: &str = "session_limits = { memory_bytes = 268435456, cpu_percent = 150, tasks = 128 }\n";

/// Orders something of a manager, `--user` or `--system`; what it prints.
pub(crate) async fn order(manager: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("systemctl");
    command.arg(manager).args(arguments);
    let output = soon("an answer of systemctl", command.output()).await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) async fn property_of(manager: &str, unit: &str, name: &str) -> String {
    order(manager, &["show", "--value", "--property", name, unit]).await.trim().to_owned()
}

async fn systemctl(arguments: &[&str]) -> String {
    order("--user", arguments).await
}

async fn property(unit: &str, name: &str) -> String {
    property_of("--user", unit, name).await
}

/// The daemon as a service, until the next one is installed.
struct Service {
    machine: Machine,
}

impl Service {
    async fn start(core: &TestCore, settings: &str) -> (Self, LiveLink) {
        let machine = Machine::enrolled(core);
        let home = std::env::var("HOME").unwrap();
        let units = Path::new(&home).join(".config/systemd/user");
        let drop_in = units.join("chatcode-gateway.service.d");
        fs::create_dir_all(&drop_in).unwrap();
        fs::write(units.join("chatcode-gateway.service"), UNIT).unwrap();
        let program = env!("CARGO_BIN_EXE_chatcode-gateway");
        let config = machine.write_settings(settings);
        let service = format!(
            "[Service]\nExecStart=\nExecStart={program} run --config {}\nKillMode=control-group\nRestartSec=100ms\nStandardError=append:{}\n",
            config.display(),
            config.with_file_name("log").display()
        );
        fs::write(drop_in.join("test.conf"), service).unwrap();
        systemctl(&["daemon-reload"]).await;
        systemctl(&["reset-failed"]).await;
        systemctl(&["restart", "chatcode-gateway"]).await;
        (Self { machine }, core.link().await)
    }

    /// What the daemon has said.
    fn log(&self) -> String {
        fs::read_to_string(self.machine.data().with_file_name("log")).unwrap()
    }

    fn holder(&self, id: &str) -> Option<Pid> {
        self.machine.holder_pid(id)
    }
}

/// The service of a session.
pub(crate) fn unit(id: &str) -> String {
    format!("chatcode-session-{id}.service")
}

pub(crate) fn cgroup(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero())).unwrap()
}

/// Programs of this name that run.
pub(crate) fn running(name: &str) -> usize {
    let names =
        fs::read_dir("/proc").unwrap().flatten().map(|entry| fs::read_to_string(entry.path().join("comm")));
    names.filter(|comm| comm.as_ref().is_ok_and(|comm| comm.trim() == name)).count()
}

#[tokio::test]
#[ignore = "needs a systemd of its own: just systemd"]
async fn a_holder_is_a_service_of_its_own_with_the_limits_as_properties() {
    let core = TestCore::start();
    let (service, link) = Service::start(&core, LIMITS).await;
    let made = link.create_sh("exec cat").await;
    let holder = service.holder(&made.id).expect("listens");
    let unit = unit(&made.id);
    for (name, value) in [
        ("ActiveState", "active"),
        ("MainPID", &holder.as_raw_nonzero().to_string()),
        ("MemoryMax", "268435456"),
        ("MemorySwapMax", "0"),
        ("CPUQuotaPerSecUSec", "1.500000s"),
        ("TasksMax", "128"),
        ("KillMode", "process"),
        ("OOMPolicy", "continue"),
        ("Slice", "chatcode-sessions.slice"),
    ] {
        assert_eq!(property(&unit, name).await, value, "{name}");
    }
    assert!(cgroup(holder).contains(&format!("/chatcode-sessions.slice/{unit}")), "{}", cgroup(holder));
    assert_eq!(running("systemd-run"), 0, "what started it has gone");

    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.type_text("a word\r").await;
    seat.until("a word").await;
    link.end_session(&made.id, true).await.unwrap();
    link.state(&made.id, SessionState::Exited).await;
    link.end_session(&made.id, true).await.unwrap();
    eventually("the end of the service", async || {
        (property(&unit, "LoadState").await == "not-found").then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a systemd of its own: just systemd"]
async fn sessions_outlive_kill_restart_and_stop_of_the_daemon_s_whole_service() {
    let core = TestCore::start();
    let (service, mut link) = Service::start(&core, LIMITS).await;
    let made = link.create_sh("exec cat").await;
    let holder = service.holder(&made.id);
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.type_text("0\r").await;
    seat.until("0").await;
    let mut place = seat.place();
    let orders: [&[&str]; 3] = [
        &["kill", "--signal=KILL", "chatcode-gateway"],
        &["restart", "chatcode-gateway"],
        &["stop", "chatcode-gateway"],
    ];
    for order in orders {
        systemctl(order).await;
        if order[0] == "stop" {
            assert_eq!(property("chatcode-gateway", "ActiveState").await, "inactive");
            assert_eq!(service.holder(&made.id), holder, "it listens while no daemon runs");
            systemctl(&["start", "chatcode-gateway"]).await;
        }
        link = core.link().await;
        assert_eq!(service.holder(&made.id), holder, "after {order:?}");
        let mut seat = Seat::resume(link.link(), &made.id, Role::Writer, 1, Some(place)).await.unwrap();
        seat.type_text(&format!("after {}\r", order[0])).await;
        seat.until(&format!("after {}", order[0])).await;
        place = seat.place();
    }
    assert_eq!(property(&unit(&made.id), "ActiveState").await, "active");
    link.end_session(&made.id, true).await.unwrap();
    link.state(&made.id, SessionState::Exited).await;
}

#[tokio::test]
#[ignore = "needs a systemd of its own: just systemd"]
async fn a_session_is_started_again_as_a_service_of_its_name_but_not_after_a_stop_of_that() {
    let core = TestCore::start();
    let (service, link) = Service::start(&core, LIMITS).await;
    let made = link.create_restarting(RestartPolicy::OnBoot, "exec cat").await;
    rustix::process::kill_process(service.holder(&made.id).expect("listens"), Signal::KILL).unwrap();
    link.restarted(&made.id, 1).await;
    Seat::take(link.link(), &made.id).await.until("resumed").await;
    let holder = service.holder(&made.id).expect("listens");
    assert!(cgroup(holder).contains(&unit(&made.id)), "{}", cgroup(holder));
    systemctl(&["stop", &unit(&made.id)]).await;
    link.state(&made.id, SessionState::Exited).await;
    systemctl(&["restart", "chatcode-gateway"]).await;
    let link = core.link().await;
    assert_eq!(link.state(&made.id, SessionState::Exited).await.restarts, 1);
    service.machine.reboot(&made.id);
    systemctl(&["restart", "chatcode-gateway"]).await;
    let link = core.link().await;
    link.restarted(&made.id, 2).await;
    link.end_session(&made.id, true).await.unwrap();
    link.state(&made.id, SessionState::Exited).await;
}

#[tokio::test]
#[ignore = "needs a systemd of its own: just systemd"]
async fn a_detached_holder_in_the_daemon_s_kill_group_is_ended_with_it() {
    let core = TestCore::start();
    let (service, link) = Service::start(&core, "holders = \"detached\"\n").await;
    let made = link.create_sh("exec cat").await;
    assert!(service.holder(&made.id).is_some());
    systemctl(&["restart", "chatcode-gateway"]).await;
    let link = core.link().await;
    link.state(&made.id, SessionState::Exited).await;
    assert_eq!(service.holder(&made.id), None);
}

#[tokio::test]
#[ignore = "needs a systemd of its own: just systemd"]
async fn a_stop_of_the_session_s_service_ends_it_by_the_ladder_and_spares_what_left_the_terminal() {
    let core = TestCore::start();
    let (service, link) = Service::start(&core, "").await;
    let script =
        "setsid sleep 1000 & echo $! > \"$HOME/left\"; trap 'exit 7' HUP; while :; do sleep 0.1; done";
    let made = link.create_sh(script).await;
    let left = Path::new(&std::env::var("HOME").unwrap()).join("left");
    let left = eventually("the number of what was left", async || {
        fs::read_to_string(&left).ok().filter(|text| text.ends_with('\n'))
    })
    .await;
    let left = Pid::from_raw(left.trim().parse().unwrap()).unwrap();
    assert!(service.holder(&made.id).is_some());
    systemctl(&["stop", &unit(&made.id)]).await;
    let ended = link.state(&made.id, SessionState::Exited).await;
    assert_eq!(ended.exit.unwrap().code, 7);
    rustix::process::kill_process(left, Signal::KILL).expect("it lives, as tmux would");
}

#[tokio::test]
#[ignore = "needs a systemd of its own: just systemd"]
async fn a_shell_beyond_its_memory_has_ended_for_want_of_it_and_its_holder_tells() {
    let core = TestCore::start();
    let (service, link) = Service::start(&core, LIMITS).await;
    let made = link.create_sh("read go; exec tail /dev/zero").await;
    let holder = service.holder(&made.id).expect("listens");
    let groups = cgroup(holder);
    let group = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    if !Path::new(&format!("/sys/fs/cgroup{group}/memory.max")).exists() {
        println!("NOT TESTED: this machine gives a user's systemd no memory controller (cgroup version 1)");
        return;
    }
    let mut seat = Seat::take(link.link(), &made.id).await;
    seat.type_text("go\r").await;
    let exit = link.state(&made.id, SessionState::Exited).await.exit.unwrap();
    assert_eq!((exit.signal, exit.out_of_memory), (9, true));
    assert_eq!(service.holder(&made.id), Some(holder), "the holder stays for those who come late");
}

#[tokio::test]
#[ignore = "needs a systemd of its own: just systemd"]
async fn a_holder_that_nobody_can_reach_any_more_is_told_of_with_what_ends_it() {
    let core = TestCore::start();
    let (service, link) = Service::start(&core, "").await;
    let [taken, stays] = [link.create_sh("exec cat").await, link.create_sh("exec cat").await];
    systemctl(&["stop", "chatcode-gateway"]).await;
    fs::remove_dir_all(service.machine.session_folder(&taken.id)).unwrap();
    systemctl(&["start", "chatcode-gateway"]).await;
    let link = core.link().await;
    let ends_it = format!("systemctl --user stop {}", unit(&taken.id));
    let said =
        eventually("a word of it", async || Some(service.log()).filter(|log| log.contains(&ends_it))).await;
    assert!(!said.contains(&unit(&stays.id)), "{said}");
    assert_eq!(link.list().await.len(), 1);
    systemctl(&["stop", &unit(&taken.id)]).await;
    assert_eq!(property(&unit(&taken.id), "LoadState").await, "not-found");
}
