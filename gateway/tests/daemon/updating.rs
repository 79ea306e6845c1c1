//! Updates by real processes: the new version is proven before it counts, and
//! one that crashes, hangs or cannot reach the core leaves everything as it was.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Output,
};

use chatcode_proto::pb::{self, UpdateState, host_client::HostClient};
use chatcode_release::{
    MANIFEST, Manifest, Part, Place, SIGNATURE, archive,
    key::SigningKey,
    manifest::{Archive, File},
    this_arch, this_os,
};
use rustix::process::Pid;
use semver::Version;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    core::{LiveLink, TestCore, eventually, on_gateway, soon},
    machine::{Daemon, Machine, is_alive},
    seat::Seat,
    web::Web,
};

const REAL: &str = env!("CARGO_BIN_EXE_chatcode-gateway");

/// A machine with version 0.1.0 in a folder of versions, and releases for it.
pub(crate) struct Installed {
    pub(crate) core: TestCore,
    pub(crate) machine: Machine,
    folder: TempDir,
    key: SigningKey,
    pub(crate) place: Place,
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

/// A program that says its version, and then does this.
fn script(version: &str, does: &str) -> String {
    format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo chatcode-gateway {version}; exit; fi\n{does}\n")
}

/// A new version that works: the real daemon, which finds itself in the folder of
/// its version.
pub(crate) fn works(version: &str) -> String {
    let real = "real=${0%/*}/real";
    script(
        version,
        &format!(
            "{real}\n[ -e \"$real\" ] || ln {REAL} \"$real\" || cp {REAL} \"$real\"\nexec \"$real\" \"$@\""
        ),
    )
}

impl Installed {
    pub(crate) fn new() -> Self {
        let core = TestCore::start();
        let machine = Machine::enrolled(&core);
        let folder = tempfile::tempdir().unwrap();
        let (key, _) = SigningKey::generate().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap().join("lib");
        fs::create_dir_all(root.join("0.1.0")).unwrap();
        let program = root.join("0.1.0/chatcode-gateway");
        if fs::hard_link(REAL, &program).is_err() {
            fs::copy(REAL, &program).unwrap();
        }
        symlink("0.1.0", root.join("current")).unwrap();
        fs::write(folder.path().join("key"), key.public().unwrap().to_string()).unwrap();
        Self { core, machine, folder, key, place: Place::new(root) }
    }

    pub(crate) fn releases(&self) -> PathBuf {
        self.folder.path().join("release")
    }

    /// Puts a release into the folder of a channel.
    pub(crate) fn publish(&self, channel: &str, of: &str, program: &str) -> PathBuf {
        let folder = self.releases().join(channel);
        fs::create_dir_all(&folder).unwrap();
        let file = self.folder.path().join("program");
        fs::write(&file, program).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let mut bytes = Vec::new();
        archive::pack(&[("chatcode-gateway".to_owned(), file)], 0, &mut bytes).unwrap();
        let name = format!("chatcode-{of}-gateway-{}-{}.tar.gz", this_os(), this_arch());
        fs::write(folder.join(&name), &bytes).unwrap();
        let file = File { sha256: Sha256::digest(&bytes).into(), size: bytes.len() as u64, name };
        let (os, arch) = (this_os().to_owned(), this_arch().to_owned());
        self.sign(
            &folder,
            &Manifest {
                version: version(of),
                channel: "stable".to_owned(),
                released_unix_s: 1_764_180_000,
                oldest: version("0.1.0"),
                archives: vec![Archive { file, part: Part::Gateway, os, arch }],
                scripts: Vec::new(),
            },
        );
        folder
    }

    fn sign(&self, folder: &Path, manifest: &Manifest) {
        let text = manifest.text();
        fs::write(folder.join(MANIFEST), &text).unwrap();
        fs::write(folder.join(SIGNATURE), self.key.sign(text.as_bytes())).unwrap();
    }

    /// Settings of updates, with releases from there and these lines more.
    fn settings(&self, releases: &str, more: &str) -> PathBuf {
        let key = self.folder.path().join("key");
        self.machine.write_settings(&format!(
            "[update]\nrelease_url = {releases:?}\nrelease_key = {key:?}\ntrial_s = 5\n{more}"
        ))
    }

    /// The daemon as a service manager starts it.
    fn start(&self) -> Daemon {
        self.start_with(self.releases().to_str().unwrap())
    }

    /// The same with releases from somewhere else.
    fn start_with(&self, releases: &str) -> Daemon {
        self.start_on(releases, "")
    }

    /// The same with these lines more in its settings of updates.
    pub(crate) fn start_as(&self, more: &str) -> Daemon {
        self.start_on(self.releases().to_str().unwrap(), more)
    }

    pub(crate) fn start_on(&self, releases: &str, more: &str) -> Daemon {
        let mut command = self.machine.command_of(&self.place.current_program("chatcode-gateway"));
        command.arg("--config").arg(self.settings(releases, more));
        Daemon::spawn(command)
    }

    /// Writes the settings of the daemon anew, with these lines in those of updates.
    pub(crate) fn write_settings_of_updates(&self, more: &str) {
        self.settings(self.releases().to_str().unwrap(), more);
    }

    pub(crate) fn current(&self) -> String {
        self.place.current().unwrap().to_string()
    }

    /// `chatcode-gateway update` on the machine.
    async fn update(&self, arguments: &[&str]) -> Output {
        self.update_as(arguments, "").await
    }

    /// The same with these lines more in its settings of updates.
    pub(crate) async fn update_as(&self, arguments: &[&str], more: &str) -> Output {
        let mut command = Command::new(self.place.current_program("chatcode-gateway"));
        let settings = self.settings(self.releases().to_str().unwrap(), more);
        command.arg("update").arg("--config").arg(settings).args(arguments).kill_on_drop(true);
        soon("the end of the update", command.output()).await.unwrap()
    }
}

pub(crate) async fn status(link: &LiveLink) -> pb::UpdateStatus {
    let request = on_gateway(pb::HostUpdateStatusRequest {});
    HostClient::new(link.link().unary()).update_status(request).await.unwrap().into_inner().status.unwrap()
}

pub(crate) async fn begin(link: &LiveLink, version: &str, look_only: bool) {
    let request = pb::HostUpdateRequest { version: version.to_owned(), look_only };
    HostClient::new(link.link().unary()).update(on_gateway(request)).await.unwrap();
}

/// Waits until no update is under way.
pub(crate) async fn at_rest(link: &LiveLink) -> pb::UpdateStatus {
    eventually("the end of the update", async || {
        Some(status(link).await).filter(|status| status.state() == UpdateState::Unspecified)
    })
    .await
}

#[tokio::test]
async fn a_new_version_is_taken_when_the_core_has_welcomed_it_and_sessions_lose_nothing() {
    let machine = Installed::new();
    machine.publish("stable", "0.2.0", &works("0.2.0"));
    let mut daemon = machine.start();
    let link = machine.core.link().await;
    daemon.line().await;
    let counter = "read go; i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo $i; sleep 0.01; done; echo finished; exec cat";
    let session = link.create_sh(counter).await.id;
    let holder = machine.machine.holder_pid(&session).unwrap();
    let mut seat = Seat::take(link.link(), &session).await;
    seat.type_text("go\n").await;
    seat.until("\n5\r\n").await;

    begin(&link, "", true).await;
    assert_eq!(at_rest(&link).await.available, "0.2.0");
    begin(&link, "", false).await;
    // First the new daemon on trial, under the eyes of the old one.
    let on_trial = machine.core.link().await;
    eventually("the new version", async || (machine.current() == "0.2.0").then_some(())).await;
    drop(on_trial);
    // Then it has the place of the old one.
    let link = machine.core.link().await;
    let last = status(&link).await.last.unwrap();
    assert!(last.done && last.from == "0.1.0" && last.to == "0.2.0", "{last:?}");

    let mut after =
        Seat::resume(link.link(), &session, pb::Role::Writer, 1, Some(seat.place())).await.unwrap();
    after.until("finished").await;
    let text = seat.text() + &after.text();
    let numbers: Vec<u32> = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
    assert_eq!(numbers, (1..=400).collect::<Vec<_>>(), "every line once");
    assert_eq!(machine.machine.holder_pid(&session), Some(holder), "the holder is the same process");
    assert!(daemon.stop().await.success(), "the process of the service manager is the new daemon");
}

#[tokio::test]
async fn a_daemon_on_trial_says_so_and_not_that_the_update_has_ended() {
    let machine = Installed::new();
    let go = machine.folder.path().join("go");
    // What it says waits until the test has asked it; the script ends after the daemon, whose lock the next one takes.
    let does = format!(
        "trap : TERM\n\
         real=${{0%/*}}/real; ln {REAL} \"$real\" || cp {REAL} \"$real\"\n\
         \"$real\" \"$@\" | {{ while [ ! -e {} ]; do sleep 0.05; done; cat; }}",
        go.display()
    );
    machine.publish("stable", "0.2.0", &script("0.2.0", &does));
    let mut daemon = machine.start();
    let link = machine.core.link().await;
    daemon.line().await;
    begin(&link, "", false).await;
    let on_trial = machine.core.link().await;
    let asked = status(&on_trial).await;
    assert_eq!((asked.state(), &*asked.installed, asked.last), (UpdateState::Trial, "0.1.0", None));
    begin(&on_trial, "", false).await;
    assert_eq!(status(&on_trial).await.state(), UpdateState::Trial, "one update at a time");
    fs::write(go, "").unwrap();
    eventually("the new version", async || (machine.current() == "0.2.0").then_some(())).await;
    drop(on_trial);
    let link = machine.core.link().await;
    let ended = at_rest(&link).await;
    assert!(ended.last.is_some_and(|last| last.done && last.to == "0.2.0"));
    assert!(daemon.stop().await.success());
}

/// Updates to a version that does this instead of serving; the reason why it was
/// not taken.
async fn rolled_back(does: &str) -> String {
    let machine = Installed::new();
    machine.publish("stable", "0.2.0", &script("0.2.0", does));
    let mut daemon = machine.start();
    let link = machine.core.link().await;
    daemon.line().await;
    let session = link.create_sh("echo begun; exec cat").await.id;
    let mut seat = Seat::take(link.link(), &session).await;
    seat.until("begun").await;
    begin(&link, "", false).await;

    let link = machine.core.link().await;
    let last = status(&link).await.last.unwrap();
    assert!(!last.done && last.to == "0.2.0", "{last:?}");
    assert_eq!(machine.current(), "0.1.0");
    let mut after =
        Seat::resume(link.link(), &session, pb::Role::Writer, 1, Some(seat.place())).await.unwrap();
    after.type_text("still here\n").await;
    after.until("still here\r\nstill here").await;
    assert!(daemon.stop().await.success());
    last.reason
}

#[tokio::test]
async fn a_version_that_crashes_at_its_start_is_not_taken() {
    let reason = rolled_back("exit 3").await;
    assert!(reason.contains("exit status: 3"), "{reason}");
}

#[tokio::test]
async fn a_version_that_hangs_at_its_start_is_not_taken() {
    let reason = rolled_back("trap '' TERM; while :; do sleep 0.1; done").await;
    assert!(reason.contains("did not welcome it within 5 s"), "{reason}");
}

#[tokio::test]
async fn a_version_that_cannot_reach_the_core_is_not_taken() {
    // Its own settings, but nobody listens where it dials.
    let does = format!(
        "data=$3; exec {REAL} run --data-dir \"$data\" --link 127.0.0.1:9 --holder /bin/true --exit-with-stdin"
    );
    let reason = rolled_back(&does).await;
    assert!(reason.contains("did not welcome it within 5 s"), "{reason}");
}

#[tokio::test]
async fn a_power_cut_in_the_middle_of_a_trial_leaves_the_old_version() {
    let machine = Installed::new();
    let mark = machine.folder.path().join("mark");
    machine.publish(
        "stable",
        "0.2.0",
        &script("0.2.0", &format!("echo $$ > {}; cat > /dev/null", mark.display())),
    );
    let mut daemon = machine.start();
    let link = machine.core.link().await;
    daemon.line().await;
    begin(&link, "", false).await;
    let pid = eventually("the trial", async || {
        fs::read_to_string(&mark).ok().and_then(|text| Pid::from_raw(text.trim().parse().ok()?))
    })
    .await;
    daemon.kill().await;
    eventually("the end of the new one", async || (!is_alive(pid)).then_some(())).await;
    let mut daemon = machine.start();
    let _link = machine.core.link().await;
    daemon.line().await;
    assert_eq!(machine.current(), "0.1.0");
    assert!(daemon.stop().await.success());
}

#[tokio::test]
async fn what_the_key_does_not_vouch_for_is_refused_and_changes_nothing() {
    let machine = Installed::new();
    let folder = machine.publish("stable", "0.2.0", &works("0.2.0"));
    let mut daemon = machine.start();
    let link = machine.core.link().await;
    daemon.line().await;
    let refused = async |why: &str| {
        begin(&link, "", false).await;
        let status = at_rest(&link).await;
        assert!(status.problem.contains(why), "{why:?} in {:?}", status.problem);
        assert_eq!((machine.current(), machine.place.next()), ("0.1.0".to_owned(), None));
    };
    let (manifest, signature) =
        (fs::read(folder.join(MANIFEST)).unwrap(), fs::read(folder.join(SIGNATURE)).unwrap());

    let (foreign, _) = SigningKey::generate().unwrap();
    fs::write(folder.join(SIGNATURE), foreign.sign(&manifest)).unwrap();
    refused("is not signed by the key").await;
    fs::write(folder.join(SIGNATURE), &signature).unwrap();
    fs::write(folder.join(MANIFEST), [&*manifest, b"\n"].concat()).unwrap();
    refused("is not signed by the key").await;
    fs::write(folder.join(MANIFEST), &manifest).unwrap();

    let whole = Manifest::parse(&manifest).unwrap();
    let archive = folder.join(&whole.archives[0].file.name);
    let bytes = fs::read(&archive).unwrap();
    fs::write(&archive, &bytes[..bytes.len() - 10]).unwrap();
    refused("the download was cut").await;
    let mut turned = bytes.clone();
    turned[30] ^= 1;
    fs::write(&archive, &turned).unwrap();
    refused("SHA-256").await;
    fs::write(&archive, [&*bytes, b"more"].concat()).unwrap();
    refused("larger than it may be").await;
    fs::write(&archive, &bytes).unwrap();

    machine.sign(&folder, &Manifest { version: version("0.0.9"), ..whole.clone() });
    refused("a downgrade is never taken").await;
    machine.sign(&folder, &Manifest { channel: "beta".to_owned(), ..whole.clone() });
    refused("of the channel beta").await;
    machine.sign(&folder, &Manifest { oldest: version("0.1.5"), ..whole.clone() });
    refused("update to 0.1.5 first").await;
    machine.sign(&folder, &Manifest { archives: Vec::new(), ..whole.clone() });
    refused("not made for this machine").await;
    fs::remove_file(folder.join(MANIFEST)).unwrap();
    refused("cannot be used").await;

    machine.publish("stable", "0.2.0", &script("0.3.0", "exit 1"));
    begin(&link, "", false).await;
    let problem = at_rest(&link).await.problem;
    assert!(problem.contains("does not say that it is version 0.2.0"), "{problem}");
    assert_eq!(machine.current(), "0.1.0");
    drop(link);
    assert!(daemon.stop().await.success());
}

#[tokio::test]
async fn on_the_machine_itself_an_update_is_asked_for_and_goes_back_by_rollback() {
    let machine = Installed::new();
    let folder = machine.publish("0.2.0", "0.2.0", &works("0.2.0"));
    let from = folder.to_str().unwrap();
    let output = machine.update(&["--from", from]).await;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && complaint.contains("start it first"), "{complaint}");

    let mut daemon = machine.start();
    let first = machine.core.link().await;
    daemon.line().await;
    let output = machine.update(&["--check", "--version", "0.2.0"]).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "version 0.2.0 is available\n");
    // What was linked before, the one on trial, and the same again in its place.
    let linked = async |before: LiveLink| {
        drop(before);
        drop(machine.core.link().await);
        machine.core.link().await
    };
    let arguments = ["--from", from];
    let (output, link) = tokio::join!(machine.update(&arguments), linked(first));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "version 0.2.0 runs\n", "{output:?}");
    assert_eq!(machine.current(), "0.2.0");
    assert_eq!(status(&link).await.last.map(|last| last.to), Some("0.2.0".to_owned()));

    let (output, link) = tokio::join!(machine.update(&["--rollback"]), linked(link));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "version 0.1.0 runs\n", "{output:?}");
    assert_eq!((machine.current(), machine.place.previous()), ("0.1.0".to_owned(), Some(version("0.2.0"))));
    let last = status(&link).await.last.unwrap();
    assert!(last.done && last.from == "0.2.0" && last.to == "0.1.0", "{last:?}");
    assert!(daemon.stop().await.success());
}

#[tokio::test]
async fn a_release_is_downloaded_from_a_web_server_and_another_address_is_not_followed() {
    let machine = Installed::new();
    // Of the channel's folder, and by itself where the place has no such folder.
    let folder = machine.publish("stable", "0.2.0", &works("0.2.0"));
    let server = Web::of(vec![machine.releases()]).await.address;
    let single = Web::of(vec![folder]).await.address;
    let elsewhere = Web::moved_to(server.clone()).await.address;
    let mut daemon = machine.start_with(&elsewhere);
    let link = machine.core.link().await;
    daemon.line().await;
    begin(&link, "", false).await;
    let problem = at_rest(&link).await.problem;
    assert!(problem.contains("answered 302"), "{problem}");
    assert_eq!((machine.current(), machine.place.next()), ("0.1.0".to_owned(), None));
    drop(link);
    assert!(daemon.stop().await.success());

    let mut daemon = machine.start_with(&single);
    let link = machine.core.link().await;
    daemon.line().await;
    begin(&link, "", true).await;
    assert_eq!(at_rest(&link).await.available, "0.2.0");
    drop(link);
    assert!(daemon.stop().await.success());

    let mut daemon = machine.start_with(&server);
    let link = machine.core.link().await;
    daemon.line().await;
    begin(&link, "0.3.0", false).await;
    let problem = at_rest(&link).await.problem;
    assert!(problem.contains("answered 404"), "{problem}");
    begin(&link, "", false).await;
    drop(machine.core.link().await);
    let link = machine.core.link().await;
    let last = status(&link).await.last.unwrap();
    assert!(last.done && last.to == "0.2.0", "{last:?}");
    assert_eq!(machine.current(), "0.2.0");
    assert!(daemon.stop().await.success());
}
