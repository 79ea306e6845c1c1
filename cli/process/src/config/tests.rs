//! Settings with every kind of mistake.

use std::path::Path;

use chatcode_proto::limits;
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    #[serde(default = "seven")]
    number: u16,
    word: String,
    #[serde(default)]
    log: Option<String>,
    #[serde(default)]
    table: Table,
    #[serde(default)]
    list: Vec<Element>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Table {
    kind: Kind,
    size: u32,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Small,
    Large,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Element {
    id: String,
    #[serde(default)]
    port: u16,
}

const fn seven() -> u16 {
    7
}

const fn setting(key: &'static str, form: &'static str, reload: bool) -> Setting {
    Setting { key, form, default: "none", reload, means: "something" }
}

impl Settings for Sample {
    const ROLE: &'static str = "sample";
    const SETTINGS: &'static [Setting] = &[
        setting("number", "1 to 65535", false),
        setting("word", "a word", true),
        setting("log", "a filter", true),
        setting("table.kind", "\"small\" or \"large\"", true),
        setting("table.size", "a number", false),
        setting("list[].id", "a name", false),
        setting("list[].port", "1 to 65535", false),
    ];

    fn faults(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = Fault::of_log(self.log.as_deref()).into_iter().collect();
        faults.extend(Fault::bounds("table.size", self.table.size, &(0..=9)));
        if self.word == "odd" && self.number.is_multiple_of(2) {
            faults.push(Fault::of(&["word", "number"], "they do not fit; change one of them"));
        }
        for (number, element) in self.list.iter().enumerate() {
            faults.extend(Fault::bounds(&format!("list[{number}].port"), element.port, &(0..=9)));
        }
        faults
    }

    fn log(&self) -> Option<&str> {
        self.log.as_deref()
    }
}

#[derive(Default, Serialize)]
struct Flags {
    #[serde(skip_serializing_if = "Option::is_none")]
    word: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("is written");
    file
}

/// What is wrong, with the file's name left out.
fn problems(text: &str, flags: Flags) -> Vec<String> {
    let file = file(text);
    let (_, problems) = read(Some(file.path()), flags, Sample::faults);
    let name = file.path().display().to_string();
    problems.iter().map(|problem| problem.to_string().replace(&name, "FILE")).collect()
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let toml = file("number = 9\nword = \"file\"");
    let flags = || Flags { word: Some("flag"), number: None };
    let sample: Sample = load(Some(toml.path()), flags()).expect("is right");
    assert_eq!((sample.number, sample.word.as_str()), (9, "flag"));
    let sample: Sample = load(None, flags()).expect("is right");
    assert_eq!(sample.number, 7);
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_line() {
    let text = "nmber = 9\n\nlog = \"chatcode=loud\"\nword = 5\n[table]\nkind = \"huge\"\nsize = 10\ncolour = 1\n\n\
                [[list]]\nid = \"a\"\nport = 10\n[[list]]\nid = \"b\"\nport = \"x\"\n[[list]]\nport = 12\n";
    let found = problems(text, Flags::default());
    let begins = [
        "FILE:1: nmber: there is no such setting; is number meant?",
        "FILE:3: log: it is no filter",
        "FILE:4: word: 5 is not what it may be; write a word",
        "FILE:6: table.kind: \"huge\" is none of its words; write \"small\", \"large\"",
        "FILE:7: table.size: 10 is out of bounds; write 0 to 9",
        "FILE:8: table.colour: there is no such setting; remove it",
        "FILE:12: list[0].port: 10 is out of bounds",
        "FILE:15: list[1].port: the text \"x\" is not what it may be; write 1 to 65535",
        "FILE:16: list[2].id: it is missing; write a name",
        "FILE:17: list[2].port: 12 is out of bounds",
    ];
    assert_eq!(found.len(), begins.len(), "{found:#?}");
    for (found, begin) in found.iter().zip(begins) {
        assert!(found.starts_with(begin), "{found} is not {begin}");
    }
}

#[test]
fn what_follows_from_a_mistake_is_not_told_as_another() {
    let found = problems("word = \"odd\"\nnumber = \"eight\"", Flags::default());
    assert_eq!(found, ["FILE:2: number: the text \"eight\" is not what it may be; write 1 to 65535"]);
    let found = problems("word = \"odd\"\nnumber = 8", Flags::default());
    assert_eq!(found, ["FILE:1: word, number: they do not fit; change one of them"]);
}

#[test]
fn a_mistake_on_the_command_line_names_the_flag() {
    let found = problems("word = \"x\"", Flags { word: None, number: Some(70_000) });
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("--number: number: ") && found[0].ends_with("write 1 to 65535"),
        "{found:?}"
    );
}

#[test]
fn a_key_of_another_table_is_told_where_it_belongs() {
    let found = problems("word = \"x\"\nsize = 1", Flags::default());
    assert_eq!(found, ["FILE:2: size: there is no such setting; is table.size (in another table) meant?"]);
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line_and_a_missing_one_by_its_name() {
    let found = problems("word = \"x\"\nnumber = = 1\n", Flags::default());
    assert!(found.len() == 1 && found[0].starts_with("FILE:2: this is no TOML: "), "{found:?}");
    let (_, missing) = read(Some(Path::new("/nowhere.toml")), Flags::default(), Sample::faults);
    assert!(missing[0].to_string().starts_with("/nowhere.toml: the file is not there"), "{missing:?}");
}

#[test]
fn a_file_of_any_size_is_read_to_its_bound() {
    let found = problems(&"#".repeat(limits::CONFIG_BYTES as usize + 1), Flags::default());
    assert!(found.len() == 1 && found[0].contains("more than 1048576 bytes"), "{found:?}");
}

#[test]
fn a_part_of_the_settings_is_read_without_the_rest() {
    #[derive(Deserialize)]
    struct Part {
        word: String,
    }
    let toml = file("word = \"x\"\nsomething = 1");
    let part: Part = peek("sample", Some(toml.path()), NoFlags {}).expect("is read");
    assert_eq!(part.word, "x");
}

#[test]
fn the_reference_tells_keys_variables_and_what_a_reload_takes_over() {
    let section = page::section::<Sample>();
    assert!(
        section.contains("| `number` | 1 to 65535 | none | `CHATCODE_SAMPLE_NUMBER` | restart | something |")
    );
    assert!(section.contains("| `CHATCODE_SAMPLE_TABLE__KIND` | yes |"), "{section}");
    assert!(section.contains("| `list[].id` | a name | none | – | restart |"), "{section}");
    let whole = Sample {
        number: 7,
        word: String::new(),
        log: None,
        table: Table::default(),
        list: vec![Element { id: String::new(), port: 0 }],
    };
    assert_eq!(page::unlisted(&whole), (Vec::new(), Vec::new()));
}

#[test]
fn a_section_of_a_page_that_is_not_as_it_was_generated_is_told() {
    let page = file("before\n<!-- sample -->\nold\n<!-- /sample -->\nafter\n");
    page::keep_section(page.path(), "sample", "old\n").expect("is as it has to be");
    if std::env::var_os("CHATCODE_BLESS").is_none() {
        assert!(page::keep_section(page.path(), "sample", "new\n").is_err());
    }
    assert!(page::keep_section(page.path(), "other", "x").is_err());
}

#[test]
fn of_more_mistakes_than_the_limit_the_first_are_told() {
    let text: String = (0..limits::CONFIG_PROBLEMS + 20).map(|number| format!("odd{number} = 1\n")).collect();
    let found = problems(&text, Flags::default());
    assert_eq!(found.len(), limits::CONFIG_PROBLEMS);
    assert!(found.iter().all(|problem| problem.contains("there is no such setting")), "{found:?}");
}
