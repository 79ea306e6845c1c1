//! The Rust rules of a viewer follow the scripts in this folder, which the page
//! follows, too. The README says what they mean.

mod draw;
mod json;
mod player;

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use chatcode_proto::limits;
use json::{Json, Said as _, read};
use player::{Player, expected};

/// Scripts of this file are drawn by chance.
const DRAWN: &str = "drawn.json";
const LIMITS: &str = "limits.json";

#[test]
fn every_script_comes_out_as_it_says() {
    if env::var("CHATCODE_VECTORS").as_deref() == Ok("write") {
        fs::write(folder().join(DRAWN), draw::scripts()).expect("the folder can be written");
    }
    let mut names = BTreeSet::new();
    for (file, vectors) in files() {
        for vector in vectors.list() {
            let name = vector.get("name").expect("a script has a name").text();
            assert!(names.insert(name.to_owned()), "{file}: {name}: there are two");
            let mut player = Player::new(vector);
            for (place, step) in vector.get("steps").expect("a script has steps").list().iter().enumerate() {
                assert_eq!(player.play(step), expected(step), "{file}: {name}, step {place}: {step}");
            }
        }
    }
    assert!(names.len() > 100, "only {} scripts were found", names.len());
}

#[test]
fn the_limits_of_the_page_are_the_contracts() {
    let millis = |time: std::time::Duration| Json::from(time.as_millis() as u64);
    let number = |count: usize| Json::from(count as u64);
    let versions = |list: &[u32]| Json::from(list);
    let ours = [
        ("ARGUMENTS", number(limits::ARGUMENTS)),
        ("DEFAULT_HISTORY_LINES", limits::DEFAULT_HISTORY_LINES.into()),
        ("EDGE_VERSIONS", versions(limits::EDGE_VERSIONS)),
        ("FRAME_VERSIONS", versions(limits::FRAME_VERSIONS)),
        ("HANDSHAKE_MS", millis(limits::HANDSHAKE)),
        ("INPUT_BYTES", number(limits::INPUT_BYTES)),
        ("INPUT_IN_FLIGHT_BYTES", number(limits::INPUT_IN_FLIGHT_BYTES)),
        ("INPUT_UNCONFIRMED_BYTES", number(limits::INPUT_UNCONFIRMED_BYTES)),
        ("LAST_INPUT", limits::LAST_INPUT.into()),
        ("LAST_OFFSET", limits::LAST_OFFSET.into()),
        ("LINK_LASTED_MS", millis(limits::LINK_LASTED)),
        ("RECONNECT_FIRST_MS", millis(limits::RECONNECT.0)),
        ("RECONNECT_LONGEST_MS", millis(limits::RECONNECT.1)),
        ("NAME_CHARS", number(limits::NAME_CHARS)),
        ("PASSWORD_CHARS_LEAST", number(*limits::PASSWORD_CHARS.start())),
        ("PASSWORD_CHARS_MOST", number(*limits::PASSWORD_CHARS.end())),
        ("SESSION_NAME_CHARS", number(limits::SESSION_NAME_CHARS)),
        ("UNARY_DEADLINE_MS", millis(limits::UNARY_DEADLINE)),
        ("VIEWER_PING_MS", millis(limits::PING)),
        ("VIEWER_SILENCE_MS", millis(limits::VIEWER_SILENCE)),
        ("WINDOW_MAX_BYTES", limits::WINDOW_MAX_BYTES.into()),
        ("WINDOW_MIN_BYTES", limits::WINDOW_MIN_BYTES.into()),
        ("WINDOW_SLACK_MS", millis(limits::WINDOW_SLACK)),
    ];
    let ours = Json::Object(ours.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    let page = read(&fs::read_to_string(folder().join(LIMITS)).expect("is there"));
    assert_eq!(page, ours);
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// All scripts, by file.
fn files() -> Vec<(String, Json)> {
    let found = fs::read_dir(folder()).into_iter().flatten().flatten();
    let names = found.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".json") && name != LIMITS).collect();
    names.sort();
    let text = |name: &String| {
        fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    names.iter().map(|name| (name.clone(), read(&text(name)))).collect()
}
