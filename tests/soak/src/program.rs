//! What runs in each session: checks that every line of input arrives once, in
//! order and whole, and prints numbered lines.

use std::{
    io::{Read as _, Write as _},
    time::{Duration, Instant},
};

use anyhow::ensure;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};

use crate::line::{Kind, Line, Order, Typed};

/// A line is printed so often, whatever else is.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// The lines printed so far, and the input that came.
struct Program {
    seed: u64,
    /// Of the last line that was printed.
    number: u64,
    /// Of the last line of input.
    arrived: u64,
    /// Input that is not a whole line yet.
    rest: Vec<u8>,
    has_failed: bool,
}

/// Runs until the order to end comes, which is a success when every line of input
/// came once and in order.
///
/// # Errors
/// When input was lost, doubled or spoilt, or the terminal is gone.
pub(crate) fn run(seed: u64) -> anyhow::Result<()> {
    let (stdin, mut stdout) = (std::io::stdin(), std::io::stdout());
    let mut modes = tcgetattr(&stdin)?;
    modes.make_raw();
    tcsetattr(&stdin, OptionalActions::Now, &modes)?;
    let mut program = Program { seed, number: 0, arrived: 0, rest: Vec::new(), has_failed: false };
    let (mut buffer, mut tick) = (vec![0; 64 * 1024], Instant::now());
    loop {
        let mut out = String::new();
        if Instant::now() >= tick {
            tick = Instant::now() + TICK;
            program.print(&mut out, Kind::Tick, 0);
        }
        let wait = Timespec::try_from(tick.saturating_duration_since(Instant::now()))?;
        let has_input = out.is_empty() && poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&wait))? > 0;
        let mut is_over = false;
        if has_input {
            let length = stdin.lock().read(&mut buffer)?;
            ensure!(length > 0, "the terminal is gone");
            is_over = program.take(&buffer[..length], &mut out);
        }
        stdout.write_all(out.as_bytes())?;
        stdout.flush()?;
        if is_over {
            ensure!(!program.has_failed, "input was lost, doubled or spoilt");
            return Ok(());
        }
    }
}

impl Program {
    /// Takes input; gives whether the order to end was in it.
    fn take(&mut self, input: &[u8], out: &mut String) -> bool {
        self.rest.extend_from_slice(input);
        let mut is_over = false;
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let text: Vec<u8> = self.rest.drain(..=end).collect();
            let typed = Typed::parse(&String::from_utf8_lossy(&text[..end]), self.seed);
            match typed.filter(|typed| typed.number == self.arrived + 1) {
                Some(typed) => is_over |= self.obey(typed, out),
                None => {
                    self.has_failed = true;
                    self.print(out, Kind::Wrong, self.arrived + 1);
                }
            }
        }
        is_over
    }

    fn obey(&mut self, typed: Typed, out: &mut String) -> bool {
        self.arrived = typed.number;
        self.print(out, Kind::Echo, typed.number);
        if let Order::Flood(lines) = typed.order {
            for _ in 0..lines {
                self.print(out, Kind::Flood, typed.number);
            }
        }
        typed.order == Order::End
    }

    fn print(&mut self, out: &mut String, kind: Kind, of: u64) {
        self.number += 1;
        let line = Line { number: self.number, kind, of };
        out.push_str(&line.text(self.seed));
        out.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Program {
        Program { seed: 1, number: 0, arrived: 0, rest: Vec::new(), has_failed: false }
    }

    fn typed(number: u64, order: Order) -> String {
        Typed { number, order, padding: 3 }.text(1) + "\n"
    }

    fn printed(out: &str) -> Vec<(u64, Kind, u64)> {
        let lines = out.lines().filter_map(|line| Line::parse(line.as_bytes(), 1));
        lines.map(|line| (line.number, line.kind, line.of)).collect()
    }

    #[test]
    fn what_arrives_in_order_is_echoed_however_it_is_cut() {
        let input = typed(1, Order::Echo) + &typed(2, Order::Flood(2)) + &typed(3, Order::End);
        for cut in 0..input.len() {
            let (mut program, mut out) = (program(), String::new());
            assert!(!program.take(&input.as_bytes()[..cut], &mut out));
            assert!(program.take(&input.as_bytes()[cut..], &mut out), "the end, cut at {cut}");
            let echoes = [
                (1, Kind::Echo, 1),
                (2, Kind::Echo, 2),
                (3, Kind::Flood, 2),
                (4, Kind::Flood, 2),
                (5, Kind::Echo, 3),
            ];
            assert_eq!((printed(&out), program.has_failed), (echoes.to_vec(), false), "cut at {cut}");
        }
    }

    #[test]
    fn what_was_lost_doubled_or_spoilt_is_told() {
        for input in [
            typed(2, Order::Echo),
            typed(1, Order::Echo) + &typed(1, Order::Echo),
            typed(1, Order::Echo).replace("pp", "p"),
        ] {
            let (mut program, mut out) = (program(), String::new());
            program.take(input.as_bytes(), &mut out);
            assert!(program.has_failed, "{input}");
            assert!(printed(&out).iter().any(|(_, kind, _)| *kind == Kind::Wrong), "{input}");
        }
    }
}
