//! A short soak, as it is run by hand.

use std::process::Command;

use anyhow::ensure;

#[test]
fn nothing_is_lost_or_doubled_while_every_part_breaks_for_a_moment() -> anyhow::Result<()> {
    let soak = Command::new(env!("CARGO_BIN_EXE_chatcode-soak"))
        .args(["--minutes", "0.25", "--sessions", "3"])
        .output()?;
    let (said, errors) = (String::from_utf8(soak.stdout)?, String::from_utf8(soak.stderr)?);
    ensure!(soak.status.success(), "{said}\n{errors}");
    ensure!(said.contains("nothing lost, nothing doubled"), "{said}");
    ensure!(!said.contains(" 0 faults"), "something broke: {said}");
    Ok(())
}
