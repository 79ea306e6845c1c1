//! Logins of the command line: where they are kept, which one counts, and how they end.
//! The person at the page is an edge's caller of the test's own.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use rustix::process::Signal;

use crate::support::{CHATCODE, Folder, eventually, kill};

/// The command line of a person without a certificate: with a home of their own.
struct Person(tempfile::TempDir);

impl Person {
    fn new() -> Self {
        Self(tempfile::Builder::new().prefix("cc").tempdir_in("/tmp").expect("a folder"))
    }

    fn chatcode(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(CHATCODE);
        command.args(arguments).stdin(Stdio::null());
        for name in ["CHATCODE_DATA_DIR", "CHATCODE_LOG", "CHATCODE_CONTEXT", "XDG_DATA_HOME"] {
            command.env_remove(name);
        }
        command.env("HOME", self.0.path()).env("XDG_CONFIG_HOME", self.0.path().join("config"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.chatcode(arguments).output().expect("chatcode starts")
    }

    fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("is text")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join("config/chatcode/contexts").join(format!("{name}.json"))
    }

    /// Puts a context where a login would: with a token that an administrator made.
    fn has(&self, name: &str, up: &Folder, core: &str, role: &str) -> serde_json::Value {
        let made = ["admin", "api-tokens", "create", name, "--person", "Owner", "--role", role];
        let token = up.prints(&made);
        let rows = up.prints(&["admin", "api-tokens", "list", "--person", "Owner", "--json"]);
        let newest = rows.lines().map(|row| serde_json::from_str::<serde_json::Value>(row).expect("is JSON"));
        let newest = newest.into_iter().find(|row| row["name"] == name).expect("is listed");
        let status: serde_json::Value =
            serde_json::from_str(&up.prints(&["admin", "status", "--json"])).expect("is JSON");
        let context = serde_json::json!({
            "installation": status["installation"], "core": core, "page": null,
            "roots": up.prints(&["admin", "ca", "export"]), "token": token.trim(),
            "token_id": newest["id"], "display_name": "Owner", "role": role,
            "expires_unix_ms": newest["expires_unix_ms"],
        });
        let file = self.file(name);
        let folder = file.parent().expect("has one");
        fs::create_dir_all(folder).expect("is made");
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("is set");
        fs::write(&file, context.to_string()).expect("is written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("is set");
        newest
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_context_is_chosen_by_flag_variable_and_use_and_ends_at_the_core_when_one_logs_out() {
    let folder = Folder::new();
    let up = folder.up();
    let person = Person::new();
    let none = person.run(&["whoami"]);
    assert_eq!(none.status.code(), Some(78), "{none:?}");
    person.has("works", &folder, up.word("core"), "viewer");
    person.has("admin-here", &folder, up.word("core"), "admin");
    assert_eq!(person.run(&["ls"]).status.code(), Some(78), "none is in use yet");

    let who = |arguments: &[&str], variable: &str| -> serde_json::Value {
        let mut command = person.chatcode(&[&["whoami", "--json"], arguments].concat());
        let output = command.env("CHATCODE_CONTEXT", variable).output().expect("chatcode starts");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("is JSON")
    };
    assert_eq!(who(&["--context", "works"], "")["role"], "viewer");
    assert_eq!(who(&[], "admin-here")["role"], "admin");
    assert_eq!(who(&["--context", "works"], "admin-here")["context"], "works", "the flag wins");
    person.prints(&["context", "use", "works"]);
    assert_eq!(who(&[], "")["context"], "works");
    let listed = person.prints(&["context", "list", "--json"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(!listed.contains("cc_") && !person.prints(&["context", "show"]).contains("cc_"), "never a token");

    // A folder that is named counts before a login: what was so stays so.
    let data = folder.path().to_str().expect("is text").to_owned();
    let local: serde_json::Value =
        serde_json::from_str(&person.prints(&["whoami", "--json", "--data-dir", &data])).expect("is JSON");
    assert_eq!((&local["context"], &local["role"]), (&"local".into(), &"owner".into()));

    // What a viewer may not do is refused, and what no token may do says so.
    let refused = person.run(&["admin", "status"]);
    assert_eq!(refused.status.code(), Some(77), "{refused:?}");
    person.prints(&["admin", "status", "--context", "admin-here"]);
    let refused =
        person.run(&["login-url", "--context", "admin-here", "--origin", "https://code.example.org"]);
    assert_eq!(refused.status.code(), Some(77), "{refused:?}");
    assert!(said(&refused).contains("administrator's certificate"), "{}", said(&refused));

    person.prints(&["logout"]);
    assert!(!person.file("works").exists());
    let rows = folder.prints(&["admin", "api-tokens", "list", "--person", "Owner", "--json"]);
    let works = rows.lines().find(|row| row.contains("\"works\"")).expect("is listed");
    let works: serde_json::Value = serde_json::from_str(works).expect("is JSON");
    assert!(works["revoked_unix_ms"].as_u64() > Some(0), "{works}");
    assert_eq!(person.run(&["ls", "--context", "works"]).status.code(), Some(2));
}

#[test]
fn a_login_that_was_revoked_says_how_to_log_in_again_and_one_whose_core_is_away_is_forgotten_only_when_that_is_meant()
 {
    let folder = Folder::new();
    let up = folder.up();
    let person = Person::new();
    let token = person.has("works", &folder, up.word("core"), "operator");
    person.prints(&["ls", "--context", "works"]);
    folder.prints(&["admin", "api-tokens", "revoke", token["id"].as_str().expect("is text")]);
    let gone = person.run(&["ls", "--context", "works"]);
    assert_eq!(gone.status.code(), Some(77), "{gone:?}");
    assert!(said(&gone).contains("chatcode login"), "{}", said(&gone));
    person.prints(&["logout", "works"]);

    person.has("away", &folder, up.word("core"), "operator");
    assert_eq!(up.interrupt(), Some(0));
    let away = person.run(&["logout", "away"]);
    assert_eq!(away.status.code(), Some(69), "{away:?}");
    assert!(said(&away).contains("--forget") && person.file("away").exists(), "{}", said(&away));
    person.prints(&["logout", "away", "--forget"]);
    assert!(!person.file("away").exists());
    let loose = Person::new();
    let nothing = loose.run(&["login", "core.example.org:7421"]);
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    assert!(said(&nothing).contains("--pin"), "{}", said(&nothing));
}

/// The lines of a command that follows something.
struct Follow(Child, BufReader<std::process::ChildStdout>);

impl Follow {
    fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let mut child = folder.chatcode(arguments);
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("chatcode starts");
        let mut words = BufReader::new(child.stderr.take().expect("is piped"));
        let count = if arguments.contains(&"events") { 2 } else { 1 };
        for _ in 0..count {
            let mut line = String::new();
            words.read_line(&mut line).expect("is said");
            assert!(line.contains("following"), "{line}");
        }
        // What it says later is of no use, but a full pipe would stop it.
        std::thread::spawn(move || words.lines().map_while(Result::ok).for_each(drop));
        let lines = BufReader::new(child.stdout.take().expect("is piped"));
        Self(child, lines)
    }

    fn next(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.1.read_line(&mut line).expect("is printed");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    fn interrupt(mut self) -> Option<i32> {
        kill(i32::try_from(self.0.id()).expect("is a pid"), Signal::INT);
        self.0.wait().expect("ends").code()
    }
}

/// What `chatcode events` has told.
#[derive(Default)]
struct Told {
    /// Of machines and sessions.
    events: Vec<serde_json::Value>,
    /// Of the audit.
    audit: Vec<serde_json::Value>,
}

impl Told {
    /// Reads on until it holds.
    fn until(&mut self, follow: &mut Follow, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            let event = follow.next();
            if event["event"] == "audit" {
                self.audit.push(event["audit"].clone());
            } else {
                self.events.push(event);
            }
        }
    }

    fn has(&self, event: &str) -> bool {
        self.events.iter().any(|told| told["event"] == event)
    }

    /// How often it was told that this person was added.
    fn added(&self, name: &str) -> usize {
        let is_it = |row: &&serde_json::Value| {
            row["action"] == "person.created"
                && row["detail"].as_str().is_some_and(|detail| detail.contains(name))
        };
        self.audit.iter().filter(is_it).count()
    }
}

#[test]
fn what_follows_the_audit_or_the_fleet_comes_back_by_itself_and_leaves_nothing_out_and_tells_nothing_twice() {
    let folder = Folder::new();
    let up = folder.up();
    let mut rows = Follow::start(&folder, &["audit", "--follow", "--json", "--action", "person."]);
    let mut events = Follow::start(&folder, &["events", "--json"]);
    let add = |name: &str| folder.prints(&["admin", "people", "add", name]);
    add("Ada");
    assert!(rows.next()["detail"].as_str().is_some_and(|detail| detail.contains("Ada")));
    folder.prints(&["new", "--name", "kept", "--", "sleep", "1000"]);
    let mut told = Told::default();
    told.until(&mut events, |told| told.has("session began"));
    let began = told.events.last().expect("was told").clone();
    assert!(began["name"].as_str().is_some_and(|name| name.starts_with("kept on ")), "{began}");

    // The core dies, `up` starts another one, and the next row is the next one.
    let core = folder.pids("chatcode-core");
    core.iter().for_each(|pid| kill(*pid, Signal::KILL));
    eventually("a new core answers", || {
        folder.pids("chatcode-core") != core
            && folder.run(&["admin", "people", "add", "Bob"]).status.success()
    });
    let bob = rows.next();
    assert!(bob["detail"].as_str().is_some_and(|detail| detail.contains("Bob")), "{bob}");
    add("Eve");
    let eve = rows.next();
    assert!(eve["detail"].as_str().is_some_and(|detail| detail.contains("Eve")), "{eve}");
    told.until(&mut events, |told| told.has("machine online"));
    folder.prints(&["end", "kept", "--force"]);
    told.until(&mut events, |told| {
        let is_over = told.has("session ended") || told.has("session forgotten");
        is_over && ["Ada", "Bob", "Eve"].iter().all(|name| told.added(name) > 0)
    });
    assert_eq!(told.events.iter().filter(|event| event["event"] == "session began").count(), 1);
    assert_eq!(["Ada", "Bob", "Eve"].map(|name| told.added(name)), [1, 1, 1], "{:?}", told.audit);
    assert_eq!((rows.interrupt(), events.interrupt()), (Some(0), Some(0)), "Ctrl-C is no error");
    drop(up);
}

#[test]
fn the_status_tells_links_versions_limits_and_what_to_look_at_and_a_drain_waits_until_all_are_back() {
    let folder = Folder::new();
    let up = folder.up();
    folder.prints(&["new", "--name", "kept", "--", "sleep", "1000"]);
    let status = || -> serde_json::Value {
        serde_json::from_str(&folder.prints(&["admin", "status", "--json"])).expect("is JSON")
    };
    eventually("the session is counted", || status()["sessions"] == 1);
    let told = status();
    assert_eq!(
        (&told["gateways"], &told["links"], &told["ca_phase"]),
        (&1.into(), &1.into(), &"none".into())
    );
    assert_eq!(told["machines"][0]["id"], up.word("gateway"), "{told}");
    eventually("core, gateway and edge tell their version", || {
        status()["versions"][env!("CARGO_PKG_VERSION")] == 3
    });
    assert!(told["store_bytes"].as_u64() > Some(0) && told["disk_bytes"].as_u64() > Some(0), "{told}");
    let limits = told["limits"].as_array().expect("is a list");
    let people = limits.iter().find(|limit| limit["name"] == "people").expect("is there");
    assert_eq!((&people["used"], &people["near"]), (&1.into(), &false.into()));
    let text = folder.prints(&["admin", "status"]);
    assert!(text.contains("MACHINE") && text.contains("LIMIT") && text.contains("EDGE"), "{text}");

    let epoch = told["machines"][0]["since_unix_ms"].clone();
    let drain = folder.run(&["admin", "drain", "--wait"]);
    assert!(drain.status.success(), "{drain:?}");
    assert!(
        said(&drain).contains("1 links were told") && said(&drain).contains("1 of 1 machines are back"),
        "{}",
        said(&drain)
    );
    let after = status();
    assert_ne!(after["machines"][0]["since_unix_ms"], epoch, "it is another link");
    assert_eq!(after["sessions"], 1, "sessions go on");
    folder.prints(&["end", "kept", "--force"]);
}
