//! What a target is, and one run of it: replay, then mutate for as long as is
//! wanted.

use std::{
    collections::HashSet,
    env,
    panic::{self, AssertUnwindSafe},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{corpus, minimise, mutate::Mutator};

/// Says for how many minutes to look for something new.
const MINUTES: &str = "CHATCODE_FUZZ_MINUTES";
/// Begins a run with the seed of an earlier one.
const SEED: &str = "CHATCODE_FUZZ_SEED";
/// Leaves each input in a file before it is played, which is slow: with the
/// seed of a run that hung, or took all memory, the last one is to blame.
const SHOW: &str = "CHATCODE_FUZZ_SHOW";
/// How often a long run says how far it is.
const REPORT: Duration = Duration::from_secs(30);
/// Inputs that are kept beside the corpus; a new one takes another's place.
const KEPT: usize = 4096;
/// Things seen that are told apart.
const SIGHTS: usize = 1 << 20;
/// The longest input, bytes.
const INPUT_BYTES: usize = 4096;

/// What a target does with an input.
pub type Case = fn(&[u8]) -> Vec<u64>;

/// Something that takes any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder below `corpus/`.
    pub name: &'static str,
    /// What inputs are made of beside the corpus.
    pub words: &'static [&'static [u8]],
    /// Generated inputs of the normal test run, always the same.
    pub usual: u64,
    /// Takes an input; panics when something is wrong. Gives a number for each
    /// thing it has seen: an input that shows a new one is kept and built upon.
    pub case: Case,
}

/// Replays the corpus and `seeds`, then generates: [`Target::usual`] inputs, or
/// for as many minutes as `CHATCODE_FUZZ_MINUTES` says.
///
/// # Panics
/// With the shortest input that still goes wrong; a long run leaves it in the
/// corpus.
pub fn run(target: &Target, seeds: Vec<Vec<u8>>) {
    let mut campaign = Campaign::new(target);
    for (name, input) in corpus::read(target.name) {
        campaign.play(&name, input, true);
    }
    for (number, input) in seeds.into_iter().enumerate() {
        campaign.play(&format!("seed {number}"), input, true);
    }
    campaign.generate();
    campaign.report();
}

struct Campaign<'a> {
    target: &'a Target,
    pool: Vec<Vec<u8>>,
    seen: HashSet<u64>,
    cases: u64,
    slowest: (Duration, Vec<u8>),
    began: Instant,
    minutes: Option<f64>,
    /// Each input is left in a file before it is played.
    shows: bool,
}

impl<'a> Campaign<'a> {
    fn new(target: &'a Target) -> Self {
        Self {
            target,
            pool: Vec::new(),
            seen: HashSet::new(),
            cases: 0,
            slowest: (Duration::ZERO, Vec::new()),
            began: Instant::now(),
            minutes: variable(MINUTES),
            shows: env::var_os(SHOW).is_some(),
        }
    }

    fn play(&mut self, name: &str, input: Vec<u8>, keep: bool) {
        let case = self.target.case;
        if self.shows {
            corpus::under_way(self.target.name, &input);
        }
        let began = Instant::now();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| case(&input)));
        let took = began.elapsed();
        self.cases += 1;
        match outcome {
            Ok(sights) => {
                if took > self.slowest.0 {
                    self.slowest = (took, input.clone());
                }
                let known = self.seen.len();
                if known < SIGHTS {
                    self.seen.extend(sights);
                }
                if self.seen.len() > known || keep {
                    self.keep(input);
                }
            }
            Err(_) => self.tell(name, &input),
        }
    }

    fn keep(&mut self, input: Vec<u8>) {
        if self.pool.len() < KEPT {
            self.pool.push(input);
        } else {
            self.pool[self.cases as usize % KEPT] = input;
        }
    }

    #[expect(clippy::print_stdout, reason = "this is what a long run tells")]
    fn generate(&mut self) {
        let seed = variable(SEED).unwrap_or_else(|| match self.minutes {
            Some(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64),
            None => 1,
        });
        let until = self.minutes.map(|minutes| self.began + Duration::from_secs_f64(minutes * 60.0));
        if self.minutes.is_some() {
            self.report();
            println!("{}: {SEED}={seed}", self.target.name);
        }
        let mut random = StdRng::seed_from_u64(seed);
        let mutator = Mutator { words: self.target.words, longest: INPUT_BYTES };
        let mut report_at = Instant::now() + REPORT;
        let mut count = 0;
        loop {
            let now = Instant::now();
            if until.map_or(count >= self.target.usual, |until| now >= until) {
                return;
            }
            if until.is_some() && now >= report_at {
                self.report();
                report_at = now + REPORT;
            }
            let input = match self.pool.len() {
                0 => mutator.mutate(&mut random, b"", b""),
                length => {
                    let (one, other) = (random.random_range(0..length), random.random_range(0..length));
                    mutator.mutate(&mut random, &self.pool[one], &self.pool[other])
                }
            };
            self.play(&format!("case {count} of {SEED}={seed}"), input, false);
            count += 1;
        }
    }

    #[expect(clippy::print_stdout, reason = "this is what a long run tells")]
    fn report(&self) {
        let (took, slowest) = &self.slowest;
        println!(
            "{}: {} cases, {:.0} a second, {} things seen by {}; the slowest took {took:?}: {}",
            self.target.name,
            self.cases,
            self.cases as f64 / self.began.elapsed().as_secs_f64(),
            self.seen.len(),
            self.pool.len(),
            slowest[..slowest.len().min(200)].escape_ascii(),
        );
    }

    fn tell(&self, name: &str, input: &[u8]) -> ! {
        let (shortest, message) = minimise::shortest(input, self.target.case);
        let place = match self.minutes {
            Some(_) => corpus::write(self.target.name, &shortest),
            None => "not kept; CHATCODE_FUZZ_MINUTES was not set".to_owned(),
        };
        panic!(
            "{} after {} cases, {name}: {message}\nshortest ({place}): b\"{}\"",
            self.target.name,
            self.cases,
            shortest.escape_ascii()
        );
    }
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}
