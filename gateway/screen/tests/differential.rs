//! The screen model against xterm.js itself: a terminal that is brought back
//! by a snapshot at any place of a stream, and gets the rest, shows what one
//! shows that got all of it, cell by cell and mode by mode.
//!
//! `CHATCODE_DIFFERENTIAL_SEEDS=n` says how many generated streams there are,
//! `CHATCODE_DIFFERENTIAL_SEED=n` plays one of them. A failure is told with the
//! shortest stream that still fails.

#![expect(clippy::print_stdout, reason = "helpers of tests are not seen as tests by the lint")]

#[path = "differential/campaign.rs"]
mod campaign;
#[path = "differential/case.rs"]
mod case;
#[path = "differential/generate.rs"]
mod generate;
#[path = "differential/oracle.rs"]
mod oracle;
#[path = "differential/random.rs"]
mod random;
#[path = "differential/words.rs"]
mod words;

use std::{env, fs, path::PathBuf};

use campaign::Campaign;
use case::{Case, Item, Outcome};
use oracle::Oracle;
use random::Random;
use words::{CHANGES, ONCE_WRONG};

/// Generated streams of one test.
const SEEDS: u64 = 1500;
/// Cuts of a stream that is too long to cut it everywhere.
const CUTS: usize = 3;
/// Cuts of a recorded stream.
const RECORDED_CUTS: usize = 12;
/// So long that no line is lost: xterm.js counts the rows that lines are cut into, the model counts the lines.
const LONG_HISTORY: u32 = 10_000;
/// Histories of screens that keep their size.
const HISTORIES: &[u32] = &[0, 1, 5, 20, 200];

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}

/// Plays generated streams, each with seeds of its own.
fn generated(salt: u64, of_seed: impl Fn(&mut Random, &mut Campaign, &str)) {
    let mut campaign = Campaign::start();
    let seeds = match number("CHATCODE_DIFFERENTIAL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CHATCODE_DIFFERENTIAL_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let mut random = Random::new(seed.wrapping_mul(0x1_0001).wrapping_add(salt << 48));
        of_seed(&mut random, &mut campaign, &format!("CHATCODE_DIFFERENTIAL_SEED={seed}"));
    }
    campaign.finish();
}

fn small_case(random: &mut Random, pieces: usize, resizes: usize) -> Case {
    let (cols, rows) = generate::small_size(random);
    let items = generate::stream(random, pieces, resizes);
    let history = random.pick(HISTORIES);
    let chunk = if random.percent(80) { usize::MAX } else { random.within(1, 9) };
    Case { cols, rows, history, chunk, cut: 0, items }
}

#[test]
fn a_short_stream_can_be_cut_at_every_byte() {
    generated(1, |random, campaign, name| {
        let pieces = random.within(1, 6);
        let case = small_case(random, pieces, 0);
        for cut in 0..=case.items.len() {
            campaign.run(name, &Case { cut, ..case.clone() });
        }
    });
}

#[test]
fn a_long_stream_can_be_cut_anywhere() {
    generated(2, |random, campaign, name| {
        let pieces = random.within(10, 120);
        let mut case = small_case(random, pieces, 0);
        if random.percent(15) {
            (case.cols, case.rows) = (80, 24);
        }
        cut_somewhere(random, campaign, name, &case, CUTS);
    });
}

#[test]
fn a_stream_with_sizes_in_between_can_be_cut_anywhere() {
    generated(3, |random, campaign, name| {
        let (pieces, resizes) = (random.within(5, 60), random.within(3, 20));
        let mut case = small_case(random, pieces, resizes);
        // A page with a few forgets parts of lines that the model has whole.
        case.history = random.pick(&[0, 200, 200]);
        cut_somewhere(random, campaign, name, &case, CUTS);
    });
}

#[test]
fn how_keys_are_told_comes_back_on_both_screens() {
    generated(4, |random, campaign, name| {
        let pieces = random.within(1, 60);
        let items = generate::key_flags(random, pieces);
        let case = Case { cols: 12, rows: 4, history: 5, chunk: usize::MAX, cut: 0, items };
        cut_somewhere(random, campaign, name, &case, CUTS);
    });
}

#[test]
fn a_string_of_any_length_can_be_cut_anywhere() {
    generated(5, |random, campaign, name| {
        let items = generate::long_string(random);
        let chunk = if random.percent(50) { usize::MAX } else { 4096 };
        let near_end = items.len() - random.below(50);
        let case = Case { cols: 12, rows: 4, history: 5, chunk, cut: near_end, items };
        campaign.run(name, &case);
        cut_somewhere(random, campaign, name, &case, 1);
    });
}

#[test]
fn what_once_came_back_wrong_can_be_cut_at_every_byte() {
    let mut campaign = Campaign::start();
    for (sizes, texts) in ONCE_WRONG {
        let mut items = Vec::new();
        for (place, text) in texts.iter().enumerate() {
            if place > 0 {
                let (cols, rows) = sizes[place];
                items.push(Item::Resize { cols, rows });
            }
            items.extend(text.bytes().map(Item::Byte));
        }
        let (cols, rows) = sizes[0];
        for history in [0, 200] {
            for cut in 0..=items.len() {
                let case = Case { cols, rows, history, chunk: usize::MAX, cut, items: items.clone() };
                campaign.run(texts[0], &case);
            }
        }
    }
    campaign.finish();
}

fn cut_somewhere(random: &mut Random, campaign: &mut Campaign, name: &str, case: &Case, cuts: usize) {
    for _ in 0..cuts {
        let cut = random.within(0, case.items.len());
        campaign.run(name, &Case { cut, ..case.clone() });
    }
}

/// Plays what a program wrote, with cuts and sizes at random places.
fn recorded(name: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recordings").join(name);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let items: Vec<Item> = bytes.iter().copied().map(Item::Byte).collect();
    let mut campaign = Campaign::start();
    let mut random = Random::new(u64::try_from(bytes.len()).unwrap_or_default());
    for round in 0..RECORDED_CUTS {
        let mut case =
            Case { cols: 80, rows: 24, history: LONG_HISTORY, chunk: 4096, cut: 0, items: items.clone() };
        case.cut = random.within(0, case.items.len());
        campaign.run(&format!("{name}, round {round}"), &case);
        for _ in 0..random.within(1, 4) {
            let cols = u32::try_from(random.within(10, 120)).unwrap_or(80);
            let rows = u32::try_from(random.within(3, 40)).unwrap_or(24);
            case.items.insert(random.within(0, case.items.len()), Item::Resize { cols, rows });
        }
        case.cut = random.within(0, case.items.len());
        campaign.run(&format!("{name}, round {round} with sizes"), &case);
    }
    campaign.finish();
}

#[test]
fn an_editor_comes_back_as_it_was() {
    recorded("vim");
}

#[test]
fn a_process_viewer_comes_back_as_it_was() {
    recorded("htop");
}

#[test]
fn a_multiplexer_comes_back_as_it_was() {
    recorded("tmux");
}

#[test]
fn a_pager_comes_back_as_it_was() {
    recorded("less");
}

#[test]
fn an_agents_screen_comes_back_as_it_was() {
    recorded("agent");
}

#[test]
fn a_coloured_listing_comes_back_as_it_was() {
    recorded("ls");
}

#[test]
fn emoji_and_cjk_text_come_back_as_they_were() {
    recorded("emoji");
}

#[test]
fn nothing_that_a_stream_changes_can_be_missing_unseen() {
    let mut oracle = Oracle::start();
    let unseen: Vec<&str> = CHANGES
        .iter()
        .copied()
        .filter(|change| {
            let items: Vec<Item> = change.bytes().map(Item::Byte).collect();
            let case = Case { cols: 12, rows: 4, history: 5, chunk: usize::MAX, cut: items.len(), items };
            !matches!(case.judged(&mut oracle, b""), Outcome::Wrong(_))
        })
        .collect();
    assert!(unseen.is_empty(), "without these the snapshot would be taken for right: {unseen:?}");
}

#[test]
fn every_character_is_as_wide_in_the_model_as_in_the_page() {
    let widths = Oracle::start().widths();
    let wrong: Vec<String> = widths
        .bytes()
        .enumerate()
        .filter_map(|(code, digit)| {
            let letter = char::from_u32(u32::try_from(code).ok()?)?;
            let (page, model) = (digit - b'0', chatcode_screen::width(letter));
            (page != model).then(|| format!("U+{code:04X}: page {page}, model {model}"))
        })
        .collect();
    let first: Vec<&String> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{} characters differ: {first:#?}", wrong.len());
}
