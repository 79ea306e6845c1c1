//! Lines that pass through the screen: of a long plain text, those that its own
//! end pushes out again go straight into the history.

use crate::{
    cell::{Cell, Look},
    parser::{Passed, printable_run},
    terminal::Terminal,
};

const END: &[u8] = b"\r\n";

impl Terminal {
    /// Takes whole lines from the beginning of a text, as many as a screenful of
    /// such lines follows in it; none where they would not simply scroll.
    pub(crate) fn pass_lines(&mut self, text: &[u8]) -> Passed {
        if !self.lets_lines_pass() {
            return Passed::default();
        }
        let (mut ends, mut end) = (Vec::new(), 0);
        while let Some(length) = plain_line(&text[end..], self.cols) {
            end += length;
            ends.push(end);
        }
        let Some(passing) = ends.len().checked_sub(self.rows).filter(|passing| *passing > 0) else {
            return Passed { taken: 0, left: end };
        };
        // The last row is blank: the cursor is in it, and scrolls it up last.
        let above = &self.normal.rows;
        above.iter().take(self.rows - 1).for_each(|row| self.history.push(row, &self.pool));
        let mut from = 0;
        for to in &ends[..passing] {
            self.history.push_plain(&text[from..to - END.len()], self.cols);
            from = *to;
        }
        self.normal.rows.iter_mut().for_each(|row| row.reset(self.cols, Cell::BLANK));
        self.normal.y = 0;
        self.joint = None;
        Passed { taken: from, left: end - from }
    }

    /// Whether the cursor is where a new line begins at the end of a screen that
    /// scrolls as a whole, and text looks like nothing.
    fn lets_lines_pass(&self) -> bool {
        let normal = &self.normal;
        let last = self.rows - 1;
        let is_at_the_end = !self.shows_alternate && (normal.x, normal.y) == (0, last);
        let scrolls_as_a_whole = (normal.top, normal.bottom) == (0, last);
        let is_plain = self.pen == Look::default() && self.charsets.current.is_none() && !self.modes.insert;
        is_at_the_end && scrolls_as_a_whole && is_plain && normal.rows[last].is_blank()
    }
}

/// How long the line at the beginning is, if it is plain and takes no more than
/// a row.
fn plain_line(text: &[u8], cols: usize) -> Option<usize> {
    let run = printable_run(text);
    (run <= cols && text[run..].starts_with(END)).then_some(run + END.len())
}

#[cfg(test)]
mod tests {
    use chatcode_proto::pb::Winsize;

    use crate::Model;

    const SIZE: Winsize = Winsize { rows: 5, cols: 20 };

    /// A model that got the text in one piece, and one that got it byte by byte.
    fn both(before: &str, text: &str) -> (Model, Model) {
        let (mut at_once, mut slowly) = (Model::new(SIZE, 30), Model::new(SIZE, 30));
        for model in [&mut at_once, &mut slowly] {
            model.feed(before.as_bytes());
        }
        at_once.feed(text.as_bytes());
        text.as_bytes().chunks(1).for_each(|byte| slowly.feed(byte));
        (at_once, slowly)
    }

    #[test]
    fn lines_that_pass_leave_the_same_as_lines_that_were_shown() {
        let lines = |from: usize, to: usize| (from..to).map(|n| format!("line {n}\r\n")).collect::<String>();
        let befores = [
            "",
            "x",
            "\x1b[5;1H",
            "\x1b[5;1Hsomething\r",
            "\x1b[2;2H\x1b7\x1b[5;1H",
            "\x1b[5;1H\x1b[31m",
            "\x1b[5;1H\x1b[41m\x1b[K\x1b[m",
            "\x1b[1;3r\x1b[5;1H",
            "\x1b[4h\x1b[5;1H",
            "\x1b[?7l\x1b[5;1H",
            "\x1b[20h\x1b[5;1H",
            "\x1b(0\x1b[5;1H",
            "\x1b[?1049h\x1b[5;1H",
            "a line that goes on in the next row of the screen\r\n\r\n\r\n",
        ];
        let texts = [
            lines(0, 4),
            lines(0, 6),
            lines(0, 100),
            lines(0, 20) + "\r\n\r\n" + &lines(20, 40) + "end",
            lines(0, 20) + "\x1b[1mbold\x1b[m\r\n" + &lines(20, 60),
            lines(0, 9)
                + "exactly twenty chars\r\n"
                + &lines(0, 9)
                + "more than twenty chars\r\n"
                + &lines(0, 30),
            lines(0, 30).replace("\r\n", "\n"),
            lines(0, 12) + "e\u{301}\r\n" + &lines(0, 12) + "\u{301}",
        ];
        for (before, text) in befores.iter().flat_map(|before| texts.iter().map(move |text| (before, text))) {
            let (at_once, slowly) = both(before, text);
            let state = |model: &Model| format!("{:?}", model.terminal);
            assert!(state(&at_once) == state(&slowly), "{before:?} {text:?}");
        }
    }
}
