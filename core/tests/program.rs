//! The program itself: what it prints, what it refuses, how it ends.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use chatcode_certs::{JoinToken, files};
use chatcode_link::enroll::enroll;
use chatcode_proto::pb::Code;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatcode-core"));
    command.env_remove("CHATCODE_CORE_DATA_DIR").stdin(Stdio::null());
    command
}

/// Starts a core; gives back its ready line too. It stops with its stdin.
fn run(folder: &Path) -> (Child, serde_json::Value) {
    start(program().args(["run", "--exit-with-stdin", "--data-dir"]).arg(folder))
}

/// The same of a command line.
fn start(command: &mut Command) -> (Child, serde_json::Value) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

/// Stops a core that [`run`] started.
fn stop(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

/// Runs a command of the program to its end; what it said on standard error.
fn done(arguments: &[&str]) -> String {
    let output = program().args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The pin of the root in a fresh join token.
fn pin(folder: &Path) -> [u8; 32] {
    let made = token(folder, &[]);
    String::from_utf8(made.stdout).unwrap().trim_end().parse::<JoinToken>().unwrap().pin()
}

fn token(folder: &Path, more: &[&str]) -> Output {
    program().args(["token", "--kind", "gateway", "--data-dir"]).arg(folder).args(more).output().unwrap()
}

#[test]
fn it_says_where_it_listens_and_ends_with_its_stdin() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, ready) = run(&folder.path().join("core"));
    assert_eq!(ready["ready"], "core");
    assert_eq!(ready["installation"].as_str().unwrap().len(), 8);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    let (mut again, later) = run(&folder.path().join("core"));
    assert_eq!(later, ready, "the same installation at the same ports");
    drop(again.stdin.take());
    assert!(again.wait().unwrap().success());
}

#[test]
fn it_makes_join_tokens_beside_a_running_core_and_keeps_one_audit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("core");
    let (mut child, _) = run(&folder);
    for _ in 0..5 {
        let made = token(&folder, &["--name", "machine"]);
        assert!(made.status.success(), "{made:?}");
        let text = String::from_utf8(made.stdout).unwrap();
        assert!(text.trim_end().parse::<JoinToken>().is_ok());
        assert!(!String::from_utf8_lossy(&made.stderr).contains(text.trim_end()), "no secret in the log");
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let verified = program().args(["verify-audit", "--data-dir"]).arg(&folder).output().unwrap();
    // With the row of the key that signs the audit's heads.
    assert_eq!(String::from_utf8(verified.stdout).unwrap(), "whole: 6 rows\n");
    let shown = program().args(["audit-key", "--data-dir"]).arg(&folder).output().unwrap();
    let pin = String::from_utf8(shown.stdout).unwrap();
    assert!(pin.len() == 65 && pin.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()), "{pin}");
}

#[test]
fn rows_are_not_kept_for_a_time_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let refused = program()
        .args(["run", "--audit-keep-days", "40000", "--data-dir"])
        .arg(folder.path().join("core"))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("--audit-keep-days: audit_keep_days: 40000 is out of bounds"), "{words}");
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, _) = run(&folder.path().join("core"));
    let refused = token(&folder.path().join("core"), &["--ttl", "1s"]);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("60 to 86400 seconds"), "{said}");

    let config = folder.path().join("core.toml");
    std::fs::write(&config, "data_dir = \"x\"\nlisten_on = \"here\"").unwrap();
    let refused = program().args(["run", "--config"]).arg(&config).output().unwrap();
    assert_eq!(refused.status.code(), Some(78));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("listen_on"));
}

#[test]
fn all_mistakes_of_the_settings_are_told_at_once_by_the_check_and_by_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "x").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let file = folder.path().join("core.toml");
    let text = format!(
        "data_dir = {:?}\nlisen = \"127.0.0.1:0\"\ngateway_certificate_s = 1\nca_passphrase_file = {secret:?}\n\
         [sign_in]\norigin = \"http://example.org\"\n[[sign_in.providers]]\nid = \"x\"\nclient_id = \"\"\n",
        folder.path().join("core")
    );
    std::fs::write(&file, text).unwrap();
    let said = |command: &str, more: &[&str]| {
        let mut program = program();
        program.args([command, "--config"]).arg(&file).args(more).env("CHATCODE_CORE_LINK", "nowhere");
        let output = program.output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (checked, _) = said("check", &[]);
    let (_, refused) = said("run", &[]);
    let name = file.display();
    let begins = [
        format!("{name}:2: lisen: there is no such setting; is listen meant?"),
        format!("{name}:3: gateway_certificate_s: 1 is out of bounds; write 300 to 604800"),
        format!("{name}:4: ca_passphrase_file: {} has mode 0644", secret.display()),
        format!("{name}:6: sign_in.origin: "),
        format!("{name}:7: sign_in.providers[0].issuer: "),
        format!("{name}:9: sign_in.providers[0].client_id: "),
        "CHATCODE_CORE_LINK: link: ".to_owned(),
    ];
    let lines: Vec<&str> = checked.lines().collect();
    assert_eq!(lines.len(), begins.len(), "{checked}");
    for (line, begin) in lines.iter().zip(&begins) {
        assert!(line.starts_with(begin), "{line} is not {begin}");
        assert!(refused.contains(line), "{refused}");
    }
    assert!(!folder.path().join("core").exists(), "nothing was made");
    let (json, _) = said("check", &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["right"], json["problems"].as_array().unwrap().len()), (&false.into(), begins.len()));
    assert_eq!((&json["problems"][0]["line"], &json["problems"][0]["key"]), (&2.into(), &"lisen".into()));
}

#[test]
fn a_reload_takes_over_what_it_can_says_what_needs_a_restart_and_refuses_a_bad_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("core.toml");
    let write = |more: &str| {
        std::fs::write(&file, format!("data_dir = {:?}\n{more}", folder.path().join("core"))).unwrap();
    };
    write("");
    let mut command = program();
    command.args(["run", "--exit-with-stdin", "--config"]).arg(&file).stderr(Stdio::piped());
    let (mut child, _) = start(&mut command);
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let pid = Pid::from_child(&child);
    let hang_up = || kill_process(pid, Signal::HUP).unwrap();

    write("enroll_per_minute = 9\nlisten = \"127.0.0.1:1\"\n");
    hang_up();
    let taken = log.find(|line| line.contains("the settings were read again")).unwrap();
    assert!(taken.ends_with(": enroll_per_minute"), "{taken}");
    let waiting = log.next().unwrap();
    assert!(waiting.ends_with("needs a restart: listen"), "{waiting}");

    write("enroll_per_minute = \"many\"\n");
    hang_up();
    let refused = log.find(|line| line.contains("the settings stay as they were")).unwrap();
    assert!(refused.contains("the configuration of core is wrong"), "{refused}");
    assert!(log.next().unwrap().contains(":2: enroll_per_minute"));

    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn t35_a_core_without_descriptors_lives_and_serves_again_when_it_has_some() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("core");
    let (mut child, ready) =
        start(program().args(["run", "--exit-with-stdin", "--data-dir"]).arg(&folder).stderr(Stdio::piped()));
    let join: JoinToken = String::from_utf8(token(&folder, &[]).stdout).unwrap().trim_end().parse().unwrap();
    let core = ready["grpc"].as_str().unwrap();

    let pid = Pid::from_child(&child);
    let open = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().count();
    let most = getrlimit(Resource::Nofile).maximum;
    let few = Rlimit { current: Some(open as u64 + 2), maximum: most };
    let before = prlimit(Some(pid), Resource::Nofile, few).unwrap();
    let crowd: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(core).unwrap()).collect();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("a connection could not be accepted")), "it has ended");
    let reading = std::thread::spawn(move || log.for_each(drop));

    drop(crowd);
    prlimit(Some(pid), Resource::Nofile, before).unwrap();
    let enrolled = tokio::runtime::Runtime::new().unwrap().block_on(enroll(core, &join, "machine", None));
    enrolled.unwrap();
    stop(child);
    reading.join().unwrap();
}

/// A small disk of its own, taken off when it is dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where none may be mounted.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = ["-t", "tmpfs", "-o", "size=16m,mode=0700", "none"];
        let mounted = Command::new("mount").args(size).arg(folder.path()).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(folder))
    }

    /// Leaves not one free block.
    fn fill(&self) {
        let mut filler = std::fs::File::create(self.0.path().join("filler")).unwrap();
        for piece in [64 * 1024, 4096, 1] {
            while filler.write_all(&vec![0; piece]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn a_core_whose_disk_is_full_says_so_lives_and_goes_on_when_there_is_room() {
    let Some(disk) = Disk::mount() else {
        eprintln!("not run: no disk can be mounted here; it takes root");
        return;
    };
    let folder = disk.0.path().join("core");
    let (mut child, ready) = run(&folder);
    let join: JoinToken = String::from_utf8(token(&folder, &[]).stdout).unwrap().trim_end().parse().unwrap();
    let core = ready["grpc"].as_str().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    disk.fill();
    // What is in the store's log may have room for a little more.
    let refused = (0..1000).map(|_| token(&folder, &[])).find(|made| !made.status.success());
    let refused = String::from_utf8(refused.expect("it is full at last").stderr).unwrap();
    assert!(refused.contains("disk full"), "{refused}");
    let not_in = runtime.block_on(enroll(core, &join, "machine", None)).unwrap_err();
    assert_eq!(not_in.code(), Code::Unwritable, "{not_in}");
    assert!(child.try_wait().unwrap().is_none(), "it lives");

    disk.free();
    assert!(token(&folder, &[]).status.success());
    runtime.block_on(enroll(core, &join, "machine", None)).unwrap();
    stop(child);
}

#[test]
fn a_second_core_on_the_same_folder_is_sent_away() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("core");
    let (mut child, _) = run(&folder);
    let second = program().args(["run", "--data-dir"]).arg(&folder).output().unwrap();
    assert_eq!(second.status.code(), Some(75), "{second:?}");
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("another chatcode-core runs on"), "{said}");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn only_run_makes_a_core_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("core");
    let verified = program().args(["verify-audit", "--data-dir"]).arg(&missing).output().unwrap();
    for refused in [token(&missing, &[]), verified] {
        assert_eq!(refused.status.code(), Some(78), "{refused:?}");
        assert!(String::from_utf8(refused.stderr).unwrap().contains("is no folder of a core"));
    }
    assert!(!missing.exists());
}

#[test]
fn loose_keys_and_a_taken_port_have_exit_codes_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("core");
    let (mut child, ready) = run(&folder);
    let taken = ready["grpc"].as_str().unwrap();
    let other = tempfile::tempdir().unwrap();
    let start =
        |data: &Path| program().args(["run", "--listen", taken, "--data-dir"]).arg(data).output().unwrap();
    let refused = start(&other.path().join("core"));
    assert_eq!(refused.status.code(), Some(75), "another has the port: {refused:?}");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    let key = std::fs::read_dir(folder.join("ca")).unwrap().next().unwrap().unwrap().path();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = start(&folder);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    assert!(String::from_utf8(refused.stderr).unwrap().contains("chmod 600"));
}

#[test]
fn a_backup_of_encrypted_keys_is_restored_and_needs_their_passphrase_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, other, backup) = (path("core"), path("other"), path("backup"));
    let (keys, sealed) = (path("keys"), path("sealed"));
    files::write_private(&keys, b"passphrase of the keys\n").unwrap();
    files::write_private(&sealed, b"passphrase of the backup\n").unwrap();
    let with_keys = |data: &str| {
        start(program().args(["run", "--exit-with-stdin", "--data-dir", data, "--ca-passphrase-file", &keys]))
    };
    let (core, ready) = with_keys(&data);
    let before = pin(Path::new(&data));
    done(&["backup", &backup, "--data-dir", &data, "--passphrase-file", &sealed]);
    stop(core);
    done(&["restore", &backup, "--data-dir", &other, "--passphrase-file", &sealed]);

    let key = std::fs::read_to_string(folder.path().join("other/ca/root.key")).unwrap();
    assert!(key.contains("ENCRYPTED"), "the keys stay encrypted in the backup");
    let refused = program().args(["run", "--data-dir", &other]).output().unwrap();
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("ca_passphrase_file"), "{said}");
    let (core, restored) = with_keys(&other);
    assert_eq!((restored, pin(Path::new(&other))), (ready, before), "the same installation");
    stop(core);
}

#[test]
fn a_core_whose_root_is_kept_elsewhere_is_restored_without_it_and_takes_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, other, backup) = (path("core"), path("other"), path("backup"));
    let (stick, sealed) = (path("stick"), path("sealed"));
    files::write_private(&sealed, b"passphrase of the backup\n").unwrap();
    let (core, ready) = run(Path::new(&data));
    let before = pin(Path::new(&data));
    done(&["ca", "export-root", "--remove", "--data-dir", &data, &stick]);
    done(&["backup", &backup, "--data-dir", &data, "--passphrase-file", &sealed]);
    stop(core);
    done(&["restore", &backup, "--data-dir", &other, "--passphrase-file", &sealed]);

    let key = folder.path().join("other/ca/root.key");
    assert!(!key.exists(), "what was not on the core's machine is in no backup");
    // It signs by the intermediate, and knows its root.
    let (core, restored) = run(Path::new(&other));
    assert_eq!((restored, pin(Path::new(&other))), (ready, before), "the same installation");
    let said = done(&["ca", "import-root", "--data-dir", &other, &stick]);
    assert!(said.contains("has the root's key again") && key.is_file(), "{said}");
    stop(core);
}

/// What systemd gives a service with `LoadCredential=`: a file of root's, read
/// by an ACL, whose mask looks like a right of the group.
#[test]
fn the_passphrase_of_the_keys_comes_as_a_credential_of_systemd() {
    let folder = tempfile::tempdir().unwrap();
    let (data, credentials) = (folder.path().join("core"), folder.path().join("credentials"));
    std::fs::create_dir(&credentials).unwrap();
    let file = credentials.join("ca-passphrase");
    let with_mode = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let mut command = program();
        command.args(["run", "--exit-with-stdin", "--data-dir"]).arg(&data);
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        command
    };
    std::fs::write(&file, "passphrase of the keys\n").unwrap();
    for mode in [0o400, 0o440] {
        stop(start(&mut with_mode(mode)).0);
    }
    let key = std::fs::read_to_string(data.join("ca/root.key")).unwrap();
    assert!(key.contains("ENCRYPTED"), "{key}");
    for (mode, words) in [(0o444, "others may use it"), (0o460, "others may use it")] {
        let refused = with_mode(mode).output().unwrap();
        assert_eq!(refused.status.code(), Some(78), "{mode:o}: {refused:?}");
        assert!(String::from_utf8(refused.stderr).unwrap().contains(words));
    }
    std::fs::remove_file(&file).unwrap();
    let refused = program().args(["run", "--data-dir"]).arg(&data).output().unwrap();
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
}
