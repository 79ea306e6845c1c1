//! What a run came to: what broke and how it was felt, and what the parts take.

use std::{collections::BTreeMap, fmt::Write as _, fs, time::Duration};

use anyhow::Context as _;
use chatcode_harness::{Mesh, breakable::Fault};
use chatcode_proto::pb;
use prost::Message as _;
use tokio::time::Instant;

use crate::{program::TICK, session::Account};

/// Less than this between two lines is no stall.
const STALL: Duration = TICK.saturating_mul(4);

/// One kind of fault.
#[derive(Clone, Copy, Debug, Default)]
struct OfKind {
    times: u64,
    stalls: u64,
    longest: Duration,
}

/// How the sessions felt what broke.
#[derive(Debug, Default)]
pub(crate) struct Felt {
    by_kind: BTreeMap<Fault, OfKind>,
    /// All that broke, in order.
    broke: Vec<(Instant, Fault)>,
    longest: Duration,
    /// The last words of a hop in the longest stall.
    longest_words: String,
    slowest_line: Duration,
}

impl Felt {
    /// This breaks now.
    pub(crate) fn breaks(&mut self, fault: Fault) {
        self.by_kind.entry(fault).or_default().times += 1;
        self.broke.push((Instant::now(), fault));
    }

    /// What broke last, for people.
    pub(crate) fn last(&self) -> String {
        match self.broke.last() {
            Some((_, fault)) => format!("fault {}, {fault:?}", self.broke.len()),
            None => "before the first fault".to_owned(),
        }
    }

    /// A session was shown nothing from `since` until now; less than [`STALL`] is
    /// nothing. It is put down to what broke last as it began. `words` are the last
    /// of a hop.
    pub(crate) fn stalled(&mut self, since: Instant, words: &str) {
        let time = since.elapsed();
        if time <= STALL {
            return;
        }
        if time > self.longest {
            (self.longest, self.longest_words) = (time, words.to_owned());
        }
        let begun = self.broke.partition_point(|(at, _)| *at <= since + STALL);
        if let Some((_, fault)) = begun.checked_sub(1).map(|at| self.broke[at]) {
            let of = self.by_kind.entry(fault).or_default();
            of.stalls += 1;
            of.longest = of.longest.max(time);
        }
    }

    /// A typed line came back after so long.
    pub(crate) fn came_back(&mut self, time: Duration) {
        self.slowest_line = self.slowest_line.max(time);
    }
}

/// What one part takes.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    rss_kib: u64,
    files: u64,
}

impl Taken {
    fn of(pid: u32) -> anyhow::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rss = status.lines().find(|line| line.starts_with("VmRSS:")).context("a part is gone")?;
        let rss_kib = rss.split_whitespace().nth(1).context("a number")?.parse()?;
        Ok(Self { rss_kib, files: fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64 })
    }

    fn plus(self, other: Self) -> Self {
        Self { rss_kib: self.rss_kib + other.rss_kib, files: self.files + other.files }
    }

    fn most(self, other: Self) -> Self {
        Self { rss_kib: self.rss_kib.max(other.rss_kib), files: self.files.max(other.files) }
    }
}

/// The parts, and all holders together.
const PARTS: [&str; 4] = ["core", "edge", "gateway", "holders"];

/// What the parts take at one time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts([Taken; 4]);

impl Parts {
    /// # Errors
    /// When one of them is gone.
    pub(crate) fn measure(mesh: &Mesh) -> anyhow::Result<Self> {
        let mut holders = Taken::default();
        for session in fs::read_dir(mesh.data_dir("gateway").join("sessions"))? {
            let record = fs::read(session?.path().join("record.pb"))?;
            let pid = pb::HolderRecord::decode(record.as_slice())?.pid;
            holders = holders.plus(Taken::of(pid).context("a holder is gone")?);
        }
        let [core, edge, gateway] = [&mesh.core, &mesh.edge, &mesh.gateway].map(|part| Taken::of(part.pid()));
        Ok(Self([core?, edge?, gateway?, holders]))
    }

    /// The most of each.
    pub(crate) fn most(self, other: Self) -> Self {
        Self(std::array::from_fn(|part| self.0[part].most(other.0[part])))
    }
}

/// The parts at the start, at their most, and at the end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Course {
    pub(crate) start: Parts,
    pub(crate) most: Parts,
    pub(crate) end: Parts,
}

/// The tables that a run ends with.
///
/// # Errors
/// Never: a text takes all.
pub(crate) fn summary(accounts: &[Account], felt: &Felt, course: &Course) -> anyhow::Result<String> {
    let sum = |of: fn(&Account) -> u64| accounts.iter().map(of).sum::<u64>();
    let mut text = String::new();
    writeln!(text, "{:<12} {:>5} {:>7} {:>12}", "fault", "times", "stalls", "longest, ms")?;
    for (fault, of) in &felt.by_kind {
        let name = format!("{fault:?}");
        writeln!(text, "{name:<12} {:>5} {:>7} {:>12}", of.times, of.stalls, of.longest.as_millis())?;
    }
    writeln!(text, "\n{:<8} {:>33} {:>24}", "", "RSS KiB: start, most, end", "files: start, most, end")?;
    for (at, part) in PARTS.iter().enumerate() {
        let [start, most, end] = [course.start, course.most, course.end].map(|parts| parts.0[at]);
        let rss = format!("{} {} {}", start.rss_kib, most.rss_kib, end.rss_kib);
        let files = format!("{} {} {}", start.files, most.files, end.files);
        writeln!(text, "{part:<8} {rss:>33} {files:>24}")?;
    }
    let (sessions, faults, resumes) = (accounts.len(), felt.broke.len(), sum(|one| one.resumes));
    writeln!(text, "\n{sessions} sessions, {faults} faults, {resumes} resumes")?;
    writeln!(
        text,
        "{} lines of output: {} of them only in the history, behind {} gaps; {} further back than a history goes",
        sum(|one| one.lines),
        sum(|one| one.from_history),
        sum(|one| one.gaps),
        sum(|one| one.beyond),
    )?;
    let (longest, slowest) = (felt.longest.as_millis(), felt.slowest_line.as_millis());
    writeln!(
        text,
        "{} lines of input, each arrived once; the slowest came back after {slowest} ms",
        sum(|one| one.typed)
    )?;
    let words = if felt.longest_words.is_empty() { "nothing" } else { &felt.longest_words };
    writeln!(text, "longest stall {longest} ms; what a hop had said last: {words}")?;
    writeln!(text, "nothing lost, nothing doubled")?;
    Ok(text)
}
