//! The filter before xterm.js itself: of generated output that passes, nothing
//! is answered and nothing reaches a clipboard, and it shows what all of it shows.
//! For all other terminals it is in a form that can be read in one way only.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use super::{Filter, tests};

/// Generated streams.
const SEEDS: u64 = 1500;
/// Parts of one.
const PARTS: usize = 24;

/// What streams are made of, parts of questions and all that can hide them, with `|` in between. No REP: it repeats what
/// stands before a question that is taken out.
const WORDS: &[u8] = b"\x1b|\x1b|\x1b|\x1b[|\x1b[|\x1b]|\x1b]|\x1bP|\x1b_|[|]|P|\\|\x1b\\|\
\xc2\x9b|\xc2\x9d|\xc2\x90|\xc2\x9c|\xc2\x9f|\xc2\x84|\xc2|\xe3|\xe3\x81|\xf0\x9f|\x9b|\x9d|\xff|\xef\xbb\xbf|\
\x00|\x05|\x07|\x08|\x18|\x1a|\x7f|\r|\n|0|1|2|5|4|10|11|01|52|5522|1337|;|;?|?|>|=|!| |$|$p|$qm|+q|6n|5n|n|c|Z|\
c;aGk=|;c;aGk=|;Copy=:aGk=|red|;red|text|x|18t|14t|H|2J|m|A|%G|%@|(0|(B|7|8|q";

/// xterm.js, in a process of node that is killed when this is dropped.
struct Page(Child);

impl Page {
    fn open() -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let modules = root.join("../edge/web/node_modules/@xterm/headless");
        assert!(modules.exists(), "xterm.js is not installed; type: npm ci --prefix edge/web");
        let mut node = Command::new("node");
        node.arg(root.join("tests/xterm/answers.mjs")).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(node.spawn().expect("node starts; install Node.js 20 or later"))
    }

    /// What it says of each of these outputs, and of what passes of it.
    fn judge(mut self, cases: &[(Vec<u8>, Vec<u8>)]) -> Vec<Value> {
        let text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
        let mut stdin = self.0.stdin.take().expect("it is piped");
        let mut answers = BufReader::new(self.0.stdout.take().expect("it is piped")).lines();
        let judged = cases.iter().map(|(raw, passed)| {
            writeln!(stdin, "{}", json!({ "raw": text(raw), "passed": text(passed) })).expect("it reads");
            let answer = answers.next().expect("it goes on").expect("it answers");
            serde_json::from_str(&answer).expect("in JSON")
        });
        judged.collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A stream and what passes of it, in pieces.
fn case(raw: Vec<u8>, chunk: usize) -> (Vec<u8>, Vec<u8>) {
    let mut filter = Filter::new(false);
    let passed = raw.chunks(chunk).flat_map(|part| filter.feed(part)).collect();
    (raw, passed)
}

/// Words and questions, the questions with words within.
fn generated(seed: u64) -> (Vec<u8>, Vec<u8>) {
    let mut random = StdRng::seed_from_u64(seed);
    let words: Vec<&[u8]> = WORDS.split(|byte| *byte == b'|').collect();
    let mut raw = Vec::new();
    for _ in 0..random.random_range(1..=PARTS) {
        let word = words.choose(&mut random).copied().unwrap_or_default();
        let Some(question) = random.random_bool(0.3).then(|| tests::QUESTIONS.choose(&mut random)).flatten()
        else {
            raw.extend_from_slice(word);
            continue;
        };
        let (begin, end) = question.as_bytes().split_at(random.random_range(0..question.len()));
        raw.extend_from_slice(&[begin, word, end].concat());
    }
    let chunk = random.random_range(1..=9);
    case(raw, chunk)
}

/// A failure is told with the seed, or the place in the table, and both streams.
fn assert_silent(cases: &[(Vec<u8>, Vec<u8>)]) {
    let answers = Page::open().judge(cases);
    let mut answered = 0;
    for (place, ((raw, passed), answer)) in cases.iter().zip(&answers).enumerate() {
        let what = format!(
            "{place}: {:?}, passed {:?}",
            raw.escape_ascii().to_string(),
            passed.escape_ascii().to_string()
        );
        assert_eq!(answer["passed"]["told"], json!([]), "{what}");
        assert_eq!(answer["passed"]["shown"], answer["raw"]["shown"], "{what}");
        answered += usize::from(answer["raw"]["told"] != json!([]));
    }
    assert!(answered * 10 > cases.len(), "only {answered} of them asked for anything");
}

#[test]
fn xterm_js_is_asked_nothing_and_shows_all_the_rest() {
    assert_silent(&(0..SEEDS).map(generated).collect::<Vec<_>>());
}

#[test]
fn xterm_js_answers_what_is_disguised_and_not_what_passes() {
    let disguised = tests::DISGUISED.iter().map(|(raw, _)| case(raw.to_vec(), 2));
    assert_silent(&disguised.collect::<Vec<_>>());
}

/// What is left behind a sequence, from behind its ESC, in the form that every
/// terminal reads alike; `None` if it has another.
fn behind_sequence(text: &str) -> Option<&str> {
    let is_between = |from: char, to: char| move |c: char| (from..=to).contains(&c);
    let last = |text: &'_ str, from| text.chars().next().filter(|c| is_between(from, '~')(*c));
    match text.chars().next()? {
        '[' => {
            let rest =
                text[1..].trim_start_matches(is_between('0', '?')).trim_start_matches(is_between(' ', '/'));
            last(rest, '@').map(|_| &rest[1..])
        }
        begin @ (']' | 'P' | '_') => {
            let end = text.find(char::is_control).unwrap_or(text.len());
            let rest = &text[end..];
            match begin {
                ']' => rest.strip_prefix('\x07'),
                // An image may be broken off, and may go on.
                'P' if rest.is_empty() => Some(rest),
                'P' => rest.strip_prefix(['\x18', '\x1a']),
                _ => None,
            }
            .or_else(|| rest.strip_prefix("\x1b\\"))
        }
        'X' | '^' | 'Z' => None,
        _ => {
            let rest = text.trim_start_matches(is_between(' ', '/'));
            last(rest, '0').map(|_| &rest[1..])
        }
    }
}

#[test]
fn what_passes_has_the_form_that_every_terminal_reads_alike() {
    for (raw, passed) in (0..20 * SEEDS).map(generated) {
        let text = String::from_utf8(passed).expect("it is UTF-8");
        let mut rest = text.as_str();
        while let Some(begin) = rest.find('\x1b') {
            let behind = behind_sequence(&rest[begin + 1..]);
            rest = behind.unwrap_or_else(|| panic!("{:?} of {:?}", text, raw.escape_ascii().to_string()));
        }
        let is_hidden = |c: char| c == '\x05' || ('\u{80}'..='\u{9f}').contains(&c);
        assert!(!text.contains(is_hidden), "{text:?} of {:?}", raw.escape_ascii().to_string());
    }
}
