//! Random faults on every hop at once: each typed line comes back once, and in
//! order, whatever breaks.

use std::{env, time::Duration};

use chatcode_harness::{
    Terminal,
    breakable::{Breakable, EACH},
    soon,
    terminal::numbers,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// Faults of one run, of which there are four; `CHATCODE_FAULTS` says another
/// number.
const FAULTS: u64 = 50;
/// Lines typed before each fault.
const LINES: u64 = 20;

#[tokio::test]
async fn every_typed_line_comes_back_once_over_random_faults_of_every_hop() -> anyhow::Result<()> {
    every_typed_line_comes_back_once().await
}

#[tokio::test]
async fn it_comes_back_once_over_other_random_faults() -> anyhow::Result<()> {
    every_typed_line_comes_back_once().await
}

#[tokio::test]
async fn it_comes_back_once_over_still_other_random_faults() -> anyhow::Result<()> {
    every_typed_line_comes_back_once().await
}

#[tokio::test]
async fn it_comes_back_once_over_the_last_of_two_hundred_random_faults() -> anyhow::Result<()> {
    every_typed_line_comes_back_once().await
}

#[expect(clippy::print_stdout, reason = "a helper of tests is not seen as a test by the lint")]
async fn every_typed_line_comes_back_once() -> anyhow::Result<()> {
    let number = |name, default| env::var(name).map_or(Ok(default), |text| text.parse::<u64>());
    let (faults, seed) = (number("CHATCODE_FAULTS", FAULTS)?, number("CHATCODE_FAULT_SEED", rand::random())?);
    println!("CHATCODE_FAULT_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut all = soon("an installation", Breakable::start(seed)).await??;
    let page = all.page().await?;
    let mut terminal = Terminal::start(&page, &all.mesh.gateway_id()?, &[]).await?;
    terminal.enter("stty -echo; PS1=; echo rea''dy; cat\n")?;
    terminal.sees("ready\r\n").await?;
    let mut line = 0;
    for turn in 0..faults {
        for _ in 0..LINES {
            line += 1;
            terminal.enter(&format!("{line}\n"))?;
        }
        // Some of it is on its way when something breaks.
        terminal.sees(&format!("\n{}\r\n", line - random.random_range(0..LINES))).await?;
        // The first ones are one of each.
        let fault = EACH.get(turn as usize).copied().unwrap_or(EACH[random.random_range(0..EACH.len())]);
        let time = Duration::from_millis(random.random_range(20..400));
        terminal.while_waiting(all.suffer(fault, time)).await?;
    }
    terminal.sees(&format!("\n{line}\r\n")).await?;
    assert_eq!(numbers(&terminal.text()), (1..=line).collect::<Vec<_>>(), "CHATCODE_FAULT_SEED={seed}");
    assert_eq!((terminal.refused, terminal.unknown), (0, 0), "CHATCODE_FAULT_SEED={seed}");
    assert!(terminal.attachments > 3, "the faults were felt: {terminal:?}");
    Ok(())
}
