//! What a viewer of one session is shown has to be every line once and in order;
//! a gap has to be named, and its lines in the history.

use std::ops::RangeInclusive;

use anyhow::{bail, ensure};
use chatcode_proto::{limits, pb, viewer::Event};

use crate::line::{BYTES, Kind, Line};

/// Lines above the present that a history must hold; a few more are of the screen.
const KEPT: u64 = limits::DEFAULT_HISTORY_LINES as u64 - 100;

/// The lines of one session as its viewer sees them.
#[derive(Debug)]
pub(crate) struct Checker {
    seed: u64,
    /// The next line that has not ended yet, by its number.
    next: u64,
    /// Its bytes so far; `None` when a snapshot came in the middle of it.
    partial: Option<Vec<u8>>,
    /// Lines that passed unseen, by their numbers; apart and in order.
    missing: Vec<RangeInclusive<u64>>,
    /// The parts of a snapshot that is coming.
    snapshot: Vec<u8>,
    /// The history was asked for on this connection and has not come.
    has_asked: bool,
    /// The last line of input that came back.
    pub(crate) echoed: u64,
    /// Gaps that were named.
    pub(crate) gaps: u64,
    /// Lines that only the history showed.
    pub(crate) from_history: u64,
    /// Lines that were further back than a history goes.
    pub(crate) beyond: u64,
}

impl Checker {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            seed,
            next: 1,
            partial: Some(Vec::new()),
            missing: Vec::new(),
            snapshot: Vec::new(),
            has_asked: false,
            echoed: 0,
            gaps: 0,
            from_history: 0,
            beyond: 0,
        }
    }

    /// Whole lines that came, or that a gap stands for.
    pub(crate) const fn lines(&self) -> u64 {
        self.next - 1
    }

    /// Whether every line was seen.
    pub(crate) const fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }

    /// Whether the history has to be asked for now.
    pub(crate) fn asks(&mut self) -> bool {
        !self.is_whole() && !std::mem::replace(&mut self.has_asked, true)
    }

    /// Takes what the viewer is shown.
    ///
    /// # Errors
    /// When something was lost, doubled, spoilt, or came from elsewhere.
    pub(crate) fn take(&mut self, event: &Event) -> anyhow::Result<()> {
        match event {
            Event::Output(bytes) => self.print(bytes),
            Event::Snapshot(part) => self.draw(part),
            Event::Attached(_) => {
                self.has_asked = false;
                Ok(())
            }
            Event::Reset => bail!("another shell is where this one was"),
            Event::InputRefused(range) => bail!("input from {} to {} was refused", range.from, range.to),
            Event::InputUnknown { bytes } => bail!("of {bytes} bytes of input nobody knows the fate"),
            _ => Ok(()),
        }
    }

    fn print(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let is_end = piece.last() == Some(&b'\n');
            let Some(partial) = &mut self.partial else {
                if is_end {
                    self.pass();
                }
                continue;
            };
            partial.extend_from_slice(piece);
            ensure!(partial.len() <= BYTES, "line {} is too long", self.next);
            if is_end {
                let text = std::mem::take(partial);
                self.whole(&text)?;
            }
        }
        Ok(())
    }

    /// A line of which a snapshot had the beginning has ended.
    fn pass(&mut self) {
        add(&mut self.missing, self.next..=self.next);
        self.next += 1;
        self.partial = Some(Vec::new());
    }

    fn whole(&mut self, text: &[u8]) -> anyhow::Result<()> {
        let line = text.strip_suffix(b"\r\n").and_then(|text| Line::parse(text, self.seed));
        let Some(line) = line else {
            bail!("line {} came spoilt: {:?}", self.next, String::from_utf8_lossy(text));
        };
        ensure!(line.number == self.next, "line {} came where {} was due", line.number, self.next);
        self.next += 1;
        self.read(line)
    }

    fn read(&mut self, line: Line) -> anyhow::Result<()> {
        match line.kind {
            Kind::Wrong => bail!("line {} of input did not arrive in its turn", line.of),
            Kind::Echo => self.echoed = self.echoed.max(line.of),
            Kind::Tick | Kind::Flood => {}
        }
        Ok(())
    }

    fn draw(&mut self, part: &pb::Snapshot) -> anyhow::Result<()> {
        if part.part == 0 {
            self.snapshot.clear();
        }
        self.snapshot.extend_from_slice(&part.data);
        if part.part + 1 < part.parts {
            return Ok(());
        }
        let (whole, rest) = (part.offset / BYTES as u64, part.offset % BYTES as u64);
        ensure!(whole + 1 >= self.next, "line {} is shown anew as the present", whole + 1);
        if whole + 1 > self.next {
            add(&mut self.missing, self.next..=whole);
            self.gaps += 1;
        }
        self.next = whole + 1;
        self.partial = (rest == 0).then(Vec::new);
        let data = std::mem::take(&mut self.snapshot);
        let shown = self.lines_in(&data)?;
        let before = count(&self.missing);
        if let Some(shown) = &shown {
            remove(&mut self.missing, shown);
        }
        self.from_history += before - count(&self.missing);
        if !part.skipped {
            self.has_asked = false;
            self.must_hold(shown)?;
        }
        Ok(())
    }

    /// The lines that a picture shows, which must be one behind the other.
    fn lines_in(&mut self, data: &[u8]) -> anyhow::Result<Option<RangeInclusive<u64>>> {
        let mut shown: Option<RangeInclusive<u64>> = None;
        for text in data.split(|byte| *byte == b'\n') {
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let Some(line) = Line::parse_end(text, self.seed) else { continue };
            let first = match shown {
                Some(shown) if *shown.end() + 1 != line.number => {
                    bail!("a picture shows line {} behind line {}", line.number, shown.end())
                }
                Some(shown) => *shown.start(),
                None => line.number,
            };
            shown = Some(first..=line.number);
            self.read(line)?;
        }
        Ok(shown)
    }

    /// A picture with its history must show all that is not too far back. What is
    /// below the last line that was read is asked for once more.
    fn must_hold(&mut self, shown: Option<RangeInclusive<u64>>) -> anyhow::Result<()> {
        let oldest = self.next.saturating_sub(KEPT);
        let end = shown.map_or(0, |shown| *shown.end());
        for range in &self.missing {
            let owed = (*range.start()).max(oldest)..=(*range.end()).min(end);
            ensure!(owed.is_empty(), "lines {owed:?} were skipped and are not in the history");
        }
        let before = count(&self.missing);
        if oldest > 0 {
            remove(&mut self.missing, &(0..=oldest - 1));
        }
        self.beyond += before - count(&self.missing);
        Ok(())
    }
}

fn count(ranges: &[RangeInclusive<u64>]) -> u64 {
    ranges.iter().map(|range| range.end() - range.start() + 1).sum()
}

/// Adds a range that is behind all the others.
fn add(ranges: &mut Vec<RangeInclusive<u64>>, range: RangeInclusive<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end() + 1 >= *range.start() => *last = *last.start()..=*range.end(),
        _ => ranges.push(range),
    }
}

fn remove(ranges: &mut Vec<RangeInclusive<u64>>, gone: &RangeInclusive<u64>) {
    let kept = |range: &RangeInclusive<u64>| {
        let before = *range.start()..=(*range.end()).min(gone.start().saturating_sub(1));
        let behind = (*range.start()).max(gone.end() + 1)..=*range.end();
        [before, behind].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>()
    };
    *ranges = ranges.iter().flat_map(kept).collect();
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const SEED: u64 = 5;

    fn text(numbers: RangeInclusive<u64>) -> String {
        let line = |number| Line { number, kind: Kind::Echo, of: number }.text(SEED) + "\r\n";
        numbers.map(line).collect()
    }

    fn output(text: &str) -> Event {
        Event::Output(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn snapshot(offset: usize, text: &str, skipped: bool) -> Event {
        let data = Bytes::copy_from_slice(text.as_bytes());
        Event::Snapshot(pb::Snapshot {
            offset: offset as u64,
            part: 0,
            parts: 1,
            data,
            winsize: None,
            skipped,
        })
    }

    fn takes(checker: &mut Checker, events: &[Event]) -> anyhow::Result<()> {
        events.iter().try_for_each(|event| checker.take(event))
    }

    fn refuses(events: &[Event], words: &str) {
        let error = takes(&mut Checker::new(SEED), events).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn every_line_once_is_taken_however_it_is_cut() {
        let all = text(1..=4);
        for cut in 0..all.len() {
            let mut checker = Checker::new(SEED);
            takes(&mut checker, &[output(&all[..cut]), output(&all[cut..])]).expect("whole");
            assert_eq!((checker.lines(), checker.echoed, checker.is_whole()), (4, 4, true));
        }
    }

    #[test]
    fn what_is_lost_doubled_spoilt_or_of_another_session_is_told() {
        refuses(&[output(&(text(1..=2) + &text(4..=4)))], "line 4 came where 3 was due");
        refuses(&[output(&(text(1..=2) + &text(2..=2)))], "line 2 came where 3 was due");
        refuses(&[output(&text(1..=1).replace(" e", " f"))], "spoilt");
        refuses(&[output(&text(1..=2)[1..])], "spoilt");
        let other = Line { number: 1, kind: Kind::Tick, of: 0 }.text(SEED + 1) + "\r\n";
        refuses(&[output(&other)], "spoilt");
        let wrong = Line { number: 1, kind: Kind::Wrong, of: 3 }.text(SEED) + "\r\n";
        refuses(&[output(&wrong)], "line 3 of input did not arrive");
        refuses(&[Event::InputUnknown { bytes: 3 }], "nobody knows");
        refuses(&[Event::Reset], "another shell");
    }

    #[test]
    fn a_gap_is_whole_again_when_the_history_shows_its_lines() {
        let mut checker = Checker::new(SEED);
        let moved = snapshot(BYTES * 90, &text(67..=90), true);
        takes(&mut checker, &[output(&text(1..=10)), moved]).expect("a named gap");
        assert_eq!((checker.lines(), checker.is_whole(), checker.gaps), (90, false, 1));
        assert_eq!((checker.asks(), checker.asks()), (true, false), "asked for once");
        let history = format!("\u{1b}[m{}", text(1..=91));
        takes(&mut checker, &[output(&text(91..=91)), snapshot(BYTES * 91, &history, false)]).expect("whole");
        assert_eq!((checker.is_whole(), checker.from_history, checker.beyond), (true, 80, 0));
        takes(&mut checker, &[output(&text(92..=92))]).expect("it goes on");
    }

    #[test]
    fn a_line_that_a_snapshot_cuts_is_looked_for_in_the_history() {
        let mut checker = Checker::new(SEED);
        let (whole, cut) = (text(1..=20), BYTES * 20 + 30);
        let rest = &text(21..=21)[30..];
        let moved = snapshot(cut, &(whole + &text(21..=21)[..30]), false);
        takes(&mut checker, &[moved, output(rest), output(&text(22..=22))]).expect("named");
        assert!(!checker.is_whole() && checker.asks());
        takes(&mut checker, &[snapshot(BYTES * 22, &text(1..=22), false)]).expect("whole");
        assert!(checker.is_whole());
    }

    #[test]
    fn a_gap_that_the_history_does_not_fill_is_told() {
        let moved = snapshot(BYTES * 90, &text(67..=90), true);
        let holed = snapshot(BYTES * 90, &(text(1..=20) + &text(30..=90)), false);
        refuses(&[output(&text(1..=10)), moved.clone(), holed], "line 30 behind line 20");
        let short = snapshot(BYTES * 90, &text(30..=90), false);
        refuses(&[output(&text(1..=10)), moved, short], "lines 11..=29 were skipped");
    }

    #[test]
    fn what_is_further_back_than_a_history_goes_is_counted() {
        let mut checker = Checker::new(SEED);
        let moved = snapshot(BYTES * 12_000, &text(2_000..=12_000), false);
        takes(&mut checker, &[output(&text(1..=10)), moved]).expect("named");
        assert_eq!((checker.is_whole(), checker.beyond), (true, 1989));
    }
}
