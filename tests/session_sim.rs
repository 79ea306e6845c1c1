//! The rules of a session against a reference model of a few lines: printing,
//! typing, delays, cuts, kills, slow screens, leases and ends in every order.
//!
//! `CHATCODE_SIM_SEED=n` runs one world again; `CHATCODE_SIM_SEEDS=n` says how
//! many there are.

#[path = "session_sim/answers.rs"]
mod answers;
#[path = "session_sim/client.rs"]
mod client;
#[path = "session_sim/fault.rs"]
mod fault;
#[path = "session_sim/flood.rs"]
mod flood;
#[path = "session_sim/holder.rs"]
mod holder;
#[path = "session_sim/reference.rs"]
mod reference;
#[path = "session_sim/screen.rs"]
mod screen;
#[path = "session_sim/world.rs"]
mod world;

use std::{env, panic::catch_unwind};

use chatcode_proto::limits::PACE_BACKLOG;
use fault::Fault;
use flood::{Way, flood};
use reference::Time;

/// Worlds of one run.
const SEEDS: u64 = 10_000;
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

const MIB: u64 = 1024 * 1024;

#[test]
fn a_healthy_viewer_gets_every_byte_of_a_flood_that_is_far_longer_than_the_log() {
    for rate in [1, 4, 10, 25, 50, 100] {
        for one_way in [50, 2_000, 10_000] {
            for hiccup in [0, 8, 25] {
                let (one_way, hiccup) = (Time::from_micros(one_way), Time::from_millis(hiccup));
                let way = Way { rate: rate * 1_000_000, one_way, hiccup, stalls_after: u64::MAX };
                let flood = flood(8 * MIB, way).expect("the rules hold");
                assert_eq!((flood.shown, flood.skipped), (8 * MIB, 0), "{way:?} {flood:?}");
            }
        }
    }
}

#[test]
fn a_healthy_viewer_gets_every_byte_of_64_mib() {
    let way = Way {
        rate: 40_000_000,
        one_way: Time::from_micros(300),
        hiccup: Time::from_millis(8),
        stalls_after: u64::MAX,
    };
    let flood = flood(64 * MIB, way).expect("the rules hold");
    assert_eq!((flood.shown, flood.skipped), (64 * MIB, 0), "{flood:?}");
}

#[test]
fn a_viewer_that_stalls_or_is_slow_costs_the_program_one_short_wait() {
    let way =
        Way { rate: 30_000_000, one_way: Time::from_millis(1), hiccup: Time::ZERO, stalls_after: u64::MAX };
    let slow = flood(64 * MIB, Way { rate: 200_000, ..way }).expect("the rules hold");
    assert!(slow.held < PACE_BACKLOG * 4, "the program waited for {:?} for a slow viewer", slow.held);
    for stalls_after in [0, 100_000, 5_000_000] {
        let before = flood(stalls_after, way).expect("the rules hold");
        let flood = flood(64 * MIB, Way { stalls_after, ..way }).expect("the rules hold");
        let allowed = before.held + PACE_BACKLOG * 2;
        assert!(flood.held <= allowed, "the program waited for {:?}, {allowed:?} is allowed", flood.held);
    }
}
