//! Whether and when a session whose shell is gone is started again.

use std::time::Duration;

use crate::{
    limits,
    pb::{Exit, RestartPolicy},
};

/// What became of the shell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// It ended by itself or by a signal.
    Exited(Exit),
    /// Its holder vanished while the machine ran on.
    HolderVanished,
    /// The machine was restarted.
    MachineRestarted,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the policy does not ask for it.
    Stays,
    /// The session is started again after this time.
    After(Duration),
    /// Nothing any more: [`limits::RESTARTS`] did not help.
    TooOften,
}

/// Decides by the policy and by the times of earlier restarts; times are
/// milliseconds since 1970 (UTC) by the machine's clock.
#[must_use]
pub fn verdict(
    policy: RestartPolicy,
    ending: Ending,
    restarted_unix_ms: &[u64],
    now_unix_ms: u64,
) -> Verdict {
    let wanted = match (policy, ending) {
        (RestartPolicy::Unspecified, _) => false,
        (_, Ending::Exited(exit)) => exit.signal != 0 || exit.out_of_memory,
        (_, Ending::HolderVanished) => true,
        (policy, Ending::MachineRestarted) => policy == RestartPolicy::OnBoot,
    };
    if !wanted {
        return Verdict::Stays;
    }
    // A clock that was set back makes times of the future, which count for nothing.
    let is_recent = |at: &&u64| {
        now_unix_ms.checked_sub(**at).is_some_and(|ago| Duration::from_millis(ago) < limits::RESTARTS_WITHIN)
    };
    let recent = restarted_unix_ms.iter().filter(is_recent).count();
    if recent >= limits::RESTARTS {
        return Verdict::TooOften;
    }
    let (first, longest) = limits::RESTART_PAUSE;
    let doubled = 2_u32.saturating_pow(u32::try_from(recent).unwrap_or(u32::MAX));
    Verdict::After(first.saturating_mul(doubled).min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000_000;
    const FIRST: Verdict = Verdict::After(limits::RESTART_PAUSE.0);

    fn first(policy: RestartPolicy, ending: Ending) -> Verdict {
        verdict(policy, ending, &[], NOW)
    }

    #[test]
    fn a_signal_want_of_memory_and_a_vanished_holder_are_crashes_and_an_exit_code_is_none() {
        let killed = Ending::Exited(Exit { signal: 9, ..Default::default() });
        let starved = Ending::Exited(Exit { code: 1, out_of_memory: true, ..Default::default() });
        for policy in [RestartPolicy::OnCrash, RestartPolicy::OnBoot] {
            for ending in [killed, starved, Ending::HolderVanished] {
                assert_eq!(first(policy, ending), FIRST, "{policy:?} {ending:?}");
            }
            for code in [0, 1, 255] {
                let exited = Ending::Exited(Exit { code, ..Default::default() });
                assert_eq!(first(policy, exited), Verdict::Stays, "{policy:?} {code}");
            }
        }
    }

    #[test]
    fn only_who_asked_for_it_is_back_after_the_machine_was_restarted() {
        assert_eq!(first(RestartPolicy::OnBoot, Ending::MachineRestarted), FIRST);
        assert_eq!(first(RestartPolicy::OnCrash, Ending::MachineRestarted), Verdict::Stays);
        assert_eq!(first(RestartPolicy::Unspecified, Ending::HolderVanished), Verdict::Stays);
    }

    #[test]
    fn each_restart_waits_twice_as_long_and_after_so_many_in_a_while_it_stays_ended() {
        let again = |times: &[u64]| verdict(RestartPolicy::OnCrash, Ending::HolderVanished, times, NOW);
        let mut times = Vec::new();
        for seconds in [1, 2, 4, 8, 16] {
            assert_eq!(again(&times), Verdict::After(Duration::from_secs(seconds)));
            times.push(NOW - 1000);
        }
        assert_eq!(again(&times), Verdict::TooOften);
        let long_ago = NOW - u64::try_from(limits::RESTARTS_WITHIN.as_millis()).expect("is small");
        assert_eq!(again(&[long_ago; 5]), FIRST, "old ones count no more");
        assert_eq!(again(&[NOW + 1; 5]), FIRST, "the clock was set back");
    }
}
