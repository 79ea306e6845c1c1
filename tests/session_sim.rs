//! The rules of a session against a reference model of a few lines: printing,
//! typing, delays, cuts, kills, slow screens, leases and ends in every order.
//!
//! `CHATCODE_SIM_SEED=n` runs one world again; `CHATCODE_SIM_SEEDS=n` says how
//! many there are.

#[path = "session_sim/client.rs"]
mod client;
#[path = "session_sim/holder.rs"]
mod holder;
#[path = "session_sim/reference.rs"]
mod reference;
#[path = "session_sim/world.rs"]
mod world;

use std::{env, panic::catch_unwind};

use holder::Fault;

/// Worlds of one run.
const SEEDS: u64 = 2000;
/// Worlds in which a planted fault must show.
const SEEDS_OF_A_FAULT: u64 = 300;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}

/// What is wrong in one world; a panic of the rules is wrong, too.
fn run(seed: u64, fault: Option<Fault>) -> Result<(), String> {
    catch_unwind(|| world::run(seed, fault)).unwrap_or_else(|_| Err("the rules panicked".to_owned()))
}

/// Runs a part of the worlds, so that the parts run beside each other.
fn run_part(part: u64, parts: u64) {
    if let Some(seed) = number("CHATCODE_SIM_SEED") {
        if seed % parts == part {
            run(seed, None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        return;
    }
    let seeds = number("CHATCODE_SIM_SEEDS").unwrap_or(SEEDS);
    let failed: Vec<String> = (0..seeds)
        .filter(|seed| seed % parts == part)
        .filter_map(|seed| run(seed, None).err().map(|error| format!("CHATCODE_SIM_SEED={seed}: {error}")))
        .collect();
    let first: Vec<&String> = failed.iter().take(12).collect();
    assert!(failed.is_empty(), "{} of {} worlds went wrong: {first:#?}", failed.len(), seeds / parts);
}

#[test]
fn no_byte_is_lost_doubled_or_unnamed_whatever_happens() {
    run_part(0, 2);
}

#[test]
fn no_byte_is_lost_doubled_or_unnamed_in_the_other_half_of_the_worlds() {
    run_part(1, 2);
}

#[test]
fn every_planted_fault_is_found() {
    for fault in Fault::ALL {
        let found =
            (0..SEEDS_OF_A_FAULT).find_map(|seed| run(seed, Some(fault)).err().map(|error| (seed, error)));
        let (seed, error) =
            found.unwrap_or_else(|| panic!("{fault:?} was not found in {SEEDS_OF_A_FAULT} worlds"));
        println!("{fault:?} is found by seed {seed}: {error}");
    }
}
