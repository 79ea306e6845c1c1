//! The rules of the house: which package may rest on which, behind whose door
//! a foreign world lives, and what no file may hold.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Package, its folder, and the packages of ours that it may rest on.
const ARROWS: &[(&str, &str, &[&str])] = &[
    ("chatcode-proto", ".", &[]),
    ("chatcode-process", "cli/process", &["chatcode-proto"]),
    ("chatcode-certs", "certs", &["chatcode-proto"]),
    ("chatcode-link", "core/link", &["chatcode-proto", "chatcode-certs"]),
    ("chatcode-audit", "core/audit", &["chatcode-proto", "chatcode-certs"]),
    ("chatcode-release", "deploy/release", &["chatcode-proto"]),
    ("chatcode-screen", "gateway/screen", &["chatcode-proto"]),
    ("chatcode-holder", "gateway/holder", &["chatcode-proto", "chatcode-screen"]),
    ("chatcode-spawner", "gateway/spawner", &["chatcode-proto"]),
    (
        "chatcode-core",
        "core",
        &["chatcode-proto", "chatcode-certs", "chatcode-link", "chatcode-process", "chatcode-audit"],
    ),
    ("chatcode-edge", "edge", &["chatcode-proto", "chatcode-certs", "chatcode-link", "chatcode-process"]),
    (
        "chatcode-gateway",
        "gateway",
        &["chatcode-proto", "chatcode-certs", "chatcode-link", "chatcode-process", "chatcode-release"],
    ),
    (
        "chatcode",
        "cli",
        &["chatcode-proto", "chatcode-certs", "chatcode-link", "chatcode-process", "chatcode-audit"],
    ),
];

/// A foreign world, the only folders whose code may name it, and the word by
/// which code names it.
const DOORS: &[(&str, &[&str])] = &[
    ("quinn::", &["core/link/src", "core/link/tests"]),
    ("quinn_proto::", &["core/link/src"]),
    ("axum::", &["edge"]),
    ("rcgen::", &["certs"]),
    ("x509_parser::", &["certs"]),
    ("pty_process::", &["gateway/holder/src", "tests/bench"]),
    ("sqlx::", &["core/src/store", "core/tests"]),
    ("webauthn_rs::", &["core/src/sign_in"]),
    ("openidconnect::", &["core/src/sign_in/providers"]),
    ("lettre::", &["core/src/sign_in/mail"]),
    ("protox::", &["build.rs"]),
    ("prometheus_client::", &["cli/process/src/observe"]),
    ("opentelemetry::", &["cli/process/src/observe"]),
    ("opentelemetry_sdk::", &["cli/process/src/observe"]),
    ("opentelemetry_otlp::", &["cli/process/src/observe"]),
    ("tracing_opentelemetry::", &["cli/process/src/observe"]),
];

/// The source folder of a package, and its rooms floor by floor from below: a
/// room names only rooms of the floors below its own. The doc comments of the
/// two packages say what each room is for.
const FLOORS: &[(&str, &[&str])] = &[
    (
        "core/src",
        &[
            "clock config lock meters people rate target",
            "store room sign_in",
            "backup caller check fleet",
            "judge",
            "shared cut",
            "upkeep",
            "services pass",
            "gate",
            "listener",
            "links observe",
        ],
    ),
    (
        "edge/src",
        &[
            "meters",
            "admit body cookie forwarded sockets tries upstream",
            "config credentials listener refuse",
            "page release",
            "app",
            "account",
            "share grpc_web socket",
            "router",
            "observe",
        ],
    ),
];

/// What the contract may not know: clocks, chance, sockets, files, tasks.
const NOT_IN_THE_CONTRACT: &[&str] = &[
    "Instant",
    "SystemTime",
    "std::net",
    "std::fs",
    "std::io",
    "std::env",
    "std::thread",
    "tokio",
    "rand::",
];

/// What no production code may hold, and why.
const NOWHERE: &[(&str, &str)] = &[
    ("unbounded_channel", "every queue has a limit"),
    ("unsafe {", "unsafe code is forbidden"),
    ("todo!(", "a promise is not an implementation"),
    ("unimplemented!(", "a promise is not an implementation"),
    ("danger_accept_invalid_certs", "no insecure mode"),
    ("dangerous_configuration", "no insecure mode"),
];

/// Lines of code of one production file; tests at its end do not count.
const FILE_LINES: usize = 500;

#[test]
fn packages_rest_only_on_the_floors_below_them() {
    for (package, folder, allowed) in ARROWS {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        let own: BTreeSet<&str> = normal_dependencies(&manifest)
            .filter(|name| *name == "chatcode" || name.starts_with("chatcode-"))
            .collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        let wrong: Vec<_> = own.difference(&allowed).collect();
        assert!(wrong.is_empty(), "{package} may not rest on {wrong:?}");
    }
}

#[test]
fn every_package_of_the_workspace_has_its_arrows_written_down() {
    let manifest = read(&root().join("Cargo.toml"));
    let list = manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next()).expect("members");
    let members: BTreeSet<&str> =
        list.split('"').skip(1).step_by(2).filter(|member| !member.starts_with("tests/")).collect();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(_, folder, _)| *folder).collect();
    assert_eq!(members, known);
}

#[test]
fn rooms_of_a_package_rest_only_on_the_floors_below_them() {
    let mut wrong = Vec::new();
    for (folder, floors) in FLOORS {
        let floor_of = |room: &str| floors.iter().position(|floor| floor.split(' ').any(|each| each == room));
        for file in sources(&root().join(folder)) {
            let path = relative(&file);
            let room = path[folder.len() + 1..].split(['/', '.']).next().unwrap_or_default();
            if ["lib", "main"].contains(&room) {
                continue;
            }
            let Some(floor) = floor_of(room) else {
                wrong.push(format!("{path} is on no floor"));
                continue;
            };
            for other in rooms_named(production(&read(&file))) {
                if other != room && floor_of(&other).is_none_or(|below| below >= floor) {
                    wrong.push(format!("{path} names {other}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn foreign_worlds_stay_behind_their_doors() {
    let wrong: Vec<String> = sources(&root())
        .into_iter()
        .flat_map(|file| {
            let (path, code) = (relative(&file), read(&file));
            DOORS
                .iter()
                .filter(|(word, doors)| {
                    code.lines().any(|line| names(line, word))
                        && !doors.iter().any(|door| path.starts_with(door))
                })
                .map(|(word, _)| format!("{path} names {word}"))
                .collect::<Vec<_>>()
        })
        .filter(|line| !line.starts_with("tests/house.rs"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_contract_knows_no_clock_no_chance_and_no_world() {
    for file in sources(&root().join("src")) {
        for line in production(&read(&file)).lines().map(without_comment) {
            for word in NOT_IN_THE_CONTRACT {
                assert!(!line.contains(word), "{}: {word}: {line}", relative(&file));
            }
        }
    }
}

#[test]
fn no_production_code_holds_what_is_forbidden() {
    for file in sources(&root()) {
        let path = relative(&file);
        if path.contains("tests/") {
            continue;
        }
        for line in production(&read(&file)).lines().map(without_comment) {
            for (word, why) in NOWHERE {
                assert!(!line.contains(word), "{path}: {word}: {why}");
            }
        }
    }
}

#[test]
fn each_file_is_read_in_one_sitting_and_says_what_it_is() {
    let mut wrong = Vec::new();
    for file in sources(&root()) {
        let code = read(&file);
        let lines = production(&code).lines().count();
        if lines > FILE_LINES {
            wrong.push(format!("{} has {lines} lines", relative(&file)));
        }
        if !code.starts_with("//!") && !code.starts_with("#!") {
            wrong.push(format!("{} does not begin with what it is", relative(&file)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_test_that_the_threats_name_is_there() {
    let code = all_code();
    let page = read(&root().join("docs/threats.md"));
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| T")).collect();
    assert!(rows.len() > 20, "the table is there");
    let tests = rows.iter().flat_map(|row| quoted(cells(row).last().copied().unwrap_or_default()));
    let missing: Vec<&str> = tests.filter(|name| !is_a_test(&code, name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_limit_is_on_its_page_with_its_value_its_keeper_and_its_tests() {
    let code = all_code();
    let page = read(&root().join("docs/limits.md"));
    let rows: Vec<Vec<&str>> = page.lines().filter(|line| line.starts_with("| `")).map(cells).collect();
    let mut wrong = Vec::new();
    for (name, value) in limits() {
        let [row] = rows.iter().filter(|row| quoted(row[0]).eq([name.as_str()])).collect::<Vec<_>>()[..]
        else {
            wrong.push(format!("{name}: not there once"));
            continue;
        };
        let [_, told, what, keepers, beyond, tests] = row[..] else {
            wrong.push(format!("{name}: not six cells"));
            continue;
        };
        if !quoted(told).eq([value.as_str()]) {
            wrong.push(format!("{name}: the value is `{value}`"));
        }
        if [what, beyond, tests].contains(&"") {
            wrong.push(format!("{name}: a cell is empty"));
        }
        let keeps =
            |path: &&str| fs::read_to_string(root().join(path)).is_ok_and(|code| code.contains(&name));
        wrong.extend(quoted(keepers).filter(|path| !keeps(path)).map(|path| format!("{name}: {path}")));
        wrong.extend(
            quoted(tests).filter(|test| !is_a_test(&code, test)).map(|test| format!("{name}: {test}")),
        );
    }
    let known: BTreeSet<String> = limits().into_iter().map(|(name, _)| name).collect();
    let strangers = rows.iter().flat_map(|row| quoted(row[0])).filter(|name| !known.contains(*name));
    wrong.extend(strangers.map(|name| format!("{name}: is no limit any more")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Each limit and its value as the page shows it: durations with their unit.
fn limits() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in sources(&root().join("src/limits")) {
        for constant in read(&file).split("\npub const ").skip(1) {
            let (name, rest) = constant.split_once(": ").unwrap_or_default();
            let value = rest.split_once(" =").and_then(|(_, rest)| rest.split(";\n").next());
            let mut value = value.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
            for (from, unit) in [("from_secs", "s"), ("from_millis", "ms"), ("from_micros", "µs")] {
                while let Some((before, rest)) = value.split_once(&format!("Duration::{from}(")) {
                    let (number, after) = rest.split_once(')').unwrap_or_default();
                    value = format!("{before}{number} {unit}{after}");
                }
            }
            found.push((name.to_owned(), value));
        }
    }
    assert!(found.len() > 300, "the limits are there");
    found
}

#[test]
fn every_corpus_is_the_one_of_a_target_that_can_be_run() {
    let script = read(&root().join("tests/fuzz/run"));
    let code = all_code();
    for entry in fs::read_dir(root().join("tests/fuzz/corpus")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_run = script.lines().any(|line| {
            let names = line.split(')').next().unwrap_or_default();
            line.contains("echo \"-p ") && names.split('|').any(|each| each.trim() == name)
        });
        assert!(is_run, "{name} is no target of tests/fuzz/run");
        let is_a_target = code.contains(&format!("Target {{ name: \"{name}\""));
        assert!(is_a_target, "{name} is a corpus of no target");
    }
}

/// All code in which tests stand.
fn all_code() -> String {
    let is_code = |path: &&PathBuf| {
        path.extension().is_some_and(|end| ["rs", "ts", "tsx", "mjs"].iter().any(|one| end == *one))
    };
    walk(&root()).iter().filter(is_code).map(|path| read(path)).collect()
}

/// Whether a test goes by this name: a function, a sentence, or a script.
fn is_a_test(code: &str, name: &str) -> bool {
    if name.starts_with("tests/") {
        root().join(name).is_file()
    } else if name.contains(' ') {
        code.contains(&format!("\"{name}\""))
    } else {
        code.contains(&format!("fn {name}("))
    }
}

/// The cells of a row of a table.
fn cells(row: &str) -> Vec<&str> {
    row.trim().trim_start_matches('|').trim_end_matches('|').split('|').map(str::trim).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn one_version_of_each_thing_that_must_not_be_doubled() {
    let lock = read(&root().join("Cargo.lock"));
    for name in [
        "tonic",
        "prost",
        "quinn",
        "rustls",
        "hyper",
        "http",
        "axum",
        "tokio",
        "h2",
        "aws-lc-rs",
        "tungstenite",
    ] {
        let count = lock.lines().filter(|line| *line == format!("name = \"{name}\"")).count();
        assert_eq!(count, 1, "{name} is in the tree {count} times");
    }
    for unwanted in ["openssl", "openssl-sys", "native-tls"] {
        assert!(
            !lock.lines().any(|line| line == format!("name = \"{unwanted}\"")),
            "{unwanted} is in the tree"
        );
    }
}

#[test]
fn unsafe_code_is_forbidden_in_every_package() {
    assert!(read(&root().join("Cargo.toml")).contains("unsafe_code = \"forbid\""));
    for file in manifests() {
        let manifest = read(&file);
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{} does not take the lints of the workspace",
            relative(&file)
        );
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

/// Every Rust file below `folder` that is ours.
fn sources(folder: &Path) -> Vec<PathBuf> {
    walk(folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

fn manifests() -> Vec<PathBuf> {
    walk(&root()).into_iter().filter(|path| path.ends_with("Cargo.toml")).collect()
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with('.') || ["target", "node_modules", "dist"].contains(&name.as_ref()) {
            continue;
        }
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The modules of its own package that code names: the first word of each path
/// from `crate::`, and of each path of a list there.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let first = |path: &str| -> String {
        path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let code: String = code.lines().map(without_comment).collect();
    let rooms = code.split("crate::").skip(1).flat_map(|path| match path.strip_prefix('{') {
        Some(list) => outermost(list).split(',').map(first).collect(),
        None => vec![first(path)],
    });
    rooms.filter(|room| !room.is_empty()).collect()
}

/// What is before the brace that ends a list, without the lists in it.
fn outermost(list: &str) -> String {
    let with_depth = list.chars().scan(0_i32, |depth, letter| {
        *depth += i32::from(letter == '{') - i32::from(letter == '}');
        (*depth >= 0).then_some((*depth, letter))
    });
    with_depth.filter(|(depth, _)| *depth == 0).map(|(_, letter)| letter).collect()
}

/// Names under `[dependencies]`; those for tests and build scripts may point
/// anywhere.
fn normal_dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    manifest
        .split("\n[")
        .filter(|section| section.starts_with("dependencies]"))
        .flat_map(str::lines)
        .skip(1)
        .filter_map(|line| line.split(['.', '=', ' ']).next())
}

/// A file without its unit tests.
fn production(code: &str) -> &str {
    code.split("\n#[cfg(test)]\nmod tests").next().unwrap_or(code)
}

fn without_comment(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

/// Whether the line names the crate of `word` ("quinn::") in code.
fn names(line: &str, word: &str) -> bool {
    let line = without_comment(line);
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
    })
}
