//! `just soak`: sessions with numbered and checksummed lines in both directions,
//! while a seeded schedule kills, stops, pauses, cuts and slows every part. Nothing
//! may be lost or doubled; each gap has to be named, and its lines in the history.
//!
//! Real processes and default settings. Ends with a summary; with an error at the
//! first violation, when the logs of all parts are left in `target/soak`.

mod checker;
mod figures;
mod line;
mod program;
mod schedule;
mod session;

use std::{cell::RefCell, fs, path::Path, time::Duration};

use anyhow::Context as _;
use chatcode_harness::{breakable::Breakable, soon};
use clap::{Parser, Subcommand};
use figures::{Course, Parts};
use futures_util::future::{try_join, try_join_all};
use schedule::Schedule;
use session::{Session, Shared};
use tokio::time::{Instant, sleep};

/// Where the logs of a run with a violation go.
const LOGS: &str = "target/soak";
/// What the last fault broke is whole again after this.
const SETTLE: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    inside: Option<Inside>,
    /// For how long things break.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Sessions.
    #[arg(long, default_value_t = 20)]
    sessions: u64,
    /// What breaks when, and what is typed; by chance when not given.
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum Inside {
    /// What runs in each session.
    #[command(hide = true)]
    Program {
        /// Of the session.
        seed: u64,
    },
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.inside {
        Some(Inside::Program { seed }) => program::run(seed),
        None => tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(soak(&args)),
    }
}

#[expect(clippy::print_stdout, reason = "the summary is what this program is for")]
async fn soak(args: &Args) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(rand::random);
    println!("seed {seed}: {} sessions, {} minutes", args.sessions, args.minutes);
    let mut all = soon("an installation", Breakable::start(seed)).await??;
    let page = all.page().await?;
    let gateway = all.mesh.gateway_id()?;
    let sessions = (1..=args.sessions).map(|at| Session::start(&page, &gateway, seed.wrapping_add(at)));
    let sessions = try_join_all(sessions).await?;
    let shared = RefCell::new(Shared::default());
    let time = Duration::from_secs_f64(args.minutes * 60.0);
    let run = sessions.into_iter().map(|session| session.run(&shared));
    let (accounts, course) = match try_join(try_join_all(run), breaks(&mut all, seed, time, &shared)).await {
        Ok(outcome) => outcome,
        Err(error) => {
            keep_logs(all.mesh.folder())?;
            let last = shared.borrow().felt.last();
            return Err(error.context(format!("seed {seed}, {last}; the logs are in {LOGS}")));
        }
    };
    println!("{}", figures::summary(&accounts, &shared.borrow().felt, &course)?);
    Ok(())
}

/// Lets one thing break after the other for this time; then it is over.
async fn breaks(
    all: &mut Breakable,
    seed: u64,
    time: Duration,
    shared: &RefCell<Shared>,
) -> anyhow::Result<Course> {
    let start = Parts::measure(&all.mesh)?;
    let mut course = Course { start, most: start, end: start };
    let began = Instant::now();
    for step in Schedule::new(seed) {
        sleep(step.pause).await;
        if began.elapsed() >= time {
            break;
        }
        shared.borrow_mut().felt.breaks(step.fault);
        all.suffer(step.fault, step.lasts).await.with_context(|| format!("{step:?}"))?;
        course.most = course.most.most(Parts::measure(&all.mesh)?);
    }
    sleep(SETTLE).await;
    course.end = Parts::measure(&all.mesh)?;
    course.most = course.most.most(course.end);
    shared.borrow_mut().is_over = true;
    Ok(course)
}

fn keep_logs(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(LOGS)?;
    for part in ["core.log", "edge.log", "gateway.log"] {
        fs::copy(folder.join(part), Path::new(LOGS).join(part))?;
    }
    Ok(())
}
