//! The lines that have left the screen at its top, in few bytes.
//!
//! A *line* is what a program printed up to a line feed; it took one or more
//! rows of the screen. It is kept as UTF-8 with marks in it, so that it can be
//! cut into rows of any width again. The newest line may go on on the screen.

use std::collections::VecDeque;

use crate::{
    cell::{Cell, Look, back},
    pool::{Extra, Link, Pool},
    resize::recut,
    row::Row,
    terminal::cut,
    width,
};

/// Bytes of all lines for each that may be kept; beyond it the oldest go first.
/// Lines of a log need a hundred.
const BYTES_FOR_EACH: usize = 400;
/// The same of a history of few lines.
const LEAST_BYTES: usize = 1024 * 1024;
/// Bytes of one line; a longer one goes on as another line.
const LINE_BYTES: usize = 64 * 1024;
/// The same in cells: empty ones take no bytes, and a size that changes to and
/// fro makes more and more of them.
const LINE_CELLS: u32 = 64 * 1024;
/// What the books of one line cost, bytes.
const OVERHEAD: usize = 40;

// Marks; no byte of UTF-8 looks like them.
/// The look from here on: foreground, background, extra attributes.
const LOOK: u8 = 0xF8;
/// A number of blank cells.
const BLANKS: u8 = 0xF9;
/// The next character stands alone, though it has no width.
const ALONE: u8 = 0xFA;
/// The next character is one column wide, whatever its own width.
const NARROW: u8 = 0xFB;

/// A line that has left the screen wholly.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) bytes: Box<[u8]>,
    cells: u32,
}

#[derive(Debug)]
pub(crate) struct History {
    lines: VecDeque<Line>,
    bytes: usize,
    most: usize,
    /// The newest line, which more rows may come to.
    last: Option<Open>,
    /// A buffer for the next line.
    spare: Vec<u8>,
}

/// A line in the making.
#[derive(Debug, Default)]
struct Open {
    bytes: Vec<u8>,
    cells: u32,
    /// Columns of each of its rows.
    cols: usize,
    look: Look,
    /// How many blank cells there are at its end.
    blanks: Option<usize>,
}

impl History {
    pub(crate) fn new(most: usize) -> Self {
        Self { lines: VecDeque::new(), bytes: 0, most, last: None, spare: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len() + usize::from(self.last.is_some())
    }

    /// Whether every line is forgotten at once.
    pub(crate) const fn keeps_none(&self) -> bool {
        self.most == 0
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.most);
    }

    /// Takes a row that leaves the screen.
    pub(crate) fn push(&mut self, row: &Row, pool: &Pool) {
        if self.keeps_none() {
            return;
        }
        let has_room = |last: &Open| last.bytes.len() < LINE_BYTES && last.cells < LINE_CELLS;
        let goes_on = row.wrapped && self.last.as_ref().is_some_and(has_room);
        if !goes_on {
            self.close();
        }
        let spare = &mut self.spare;
        let open = self.last.get_or_insert_with(|| Open::with(std::mem::take(spare)));
        open.cols = row.cells.len();
        open.push(row, pool);
    }

    /// Takes a line of printable ASCII without any look, which may go on.
    pub(crate) fn push_plain(&mut self, text: &[u8], cols: usize) {
        if self.keeps_none() {
            return;
        }
        self.close();
        let mut open = Open::with(std::mem::take(&mut self.spare));
        open.bytes.extend_from_slice(text);
        (open.cells, open.cols) = (text.len() as u32, cols);
        let blanks = cols - text.len();
        if blanks > 0 {
            open.blank(blanks);
        }
        self.last = Some(open);
    }

    /// The newest line will not go on.
    fn close(&mut self) {
        let Some(mut open) = self.last.take() else { return };
        open.trim();
        let line = Line { bytes: Box::from(&*open.bytes), cells: open.cells };
        self.spare = open.bytes;
        self.bytes += line.bytes.len() + OVERHEAD;
        self.lines.push_back(line);
        while self.lines.len() + 1 > self.most || self.bytes > (self.most * BYTES_FOR_EACH).max(LEAST_BYTES) {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.bytes.len() + OVERHEAD;
        }
    }

    /// Takes the newest line out, as rows of a width.
    pub(crate) fn pop(&mut self, cols: usize, pool: &mut Pool) -> Option<VecDeque<Row>> {
        if let Some(rows) = self.unfinished(cols, pool) {
            self.last = None;
            return Some(rows);
        }
        let line = self.lines.pop_back()?;
        self.bytes -= line.bytes.len() + OVERHEAD;
        Some(line.rows(cols, pool))
    }

    /// The screen has another width. A line without an empty cell is the same
    /// at every width; the others are cut as those on the screen, where empty
    /// cells may come or go. Only so many rows as a page keeps are looked at.
    pub(crate) fn recut(&mut self, old: usize, new: usize) {
        let mut rows = 0;
        for line in self.lines.iter_mut().rev() {
            if rows >= self.most {
                break;
            }
            let cells = line.cells as usize;
            rows += cells.div_ceil(old).max(1);
            if cells <= old.min(new) || !line.has_marks() {
                continue;
            }
            let mut pool = Pool::new();
            let cut = recut(line.rows(old, &mut pool), old, new);
            let mut open = Open { cols: new, ..Open::default() };
            cut.iter().for_each(|row| open.push(row, &pool));
            open.trim();
            self.bytes -= line.bytes.len();
            *line = Line { bytes: open.bytes.into(), cells: open.cells };
            self.bytes += line.bytes.len();
        }
    }

    /// The newest lines that have left the screen wholly, with the one that
    /// [`Self::unfinished`] gives so many; oldest first.
    pub(crate) fn newest(&self, count: usize) -> impl Iterator<Item = &Line> {
        let skipped = self.len().saturating_sub(count);
        self.lines.iter().skip(skipped)
    }

    /// The newest line, which may go on on the screen, as rows of a width.
    pub(crate) fn unfinished(&self, cols: usize, pool: &mut Pool) -> Option<VecDeque<Row>> {
        let open = self.last.as_ref()?;
        let mut cells = decode(&open.bytes, pool);
        cells.resize(cells.len() + open.blanks.unwrap_or(0), Cell::BLANK);
        Some(cut(cells, cols))
    }
}

impl Open {
    fn with(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self { bytes, ..Self::default() }
    }

    fn push(&mut self, row: &Row, pool: &Pool) {
        let mut cells = &row.cells[..];
        while let Some(&cell) = cells.first() {
            if cell == Cell::BLANK {
                let run = blanks(cells);
                self.blank(run);
                cells = &cells[run..];
                continue;
            }
            self.end_blanks();
            if cell.look != self.look && !cell.is_half() {
                self.put_look(cell.look, pool);
            }
            let look = self.look;
            let run = cells.iter().take_while(|cell| cell.is_ascii() && cell.look == look).count();
            self.bytes.extend(cells[..run].iter().map(|cell| cell.code() as u8));
            self.cells += run as u32;
            if run == 0 {
                self.put(cell, pool);
            }
            cells = &cells[run.max(1)..];
        }
    }

    fn put(&mut self, cell: Cell, pool: &Pool) {
        self.cells += 1;
        if cell.is_half() {
            return;
        }
        if let Some(text) = cell.text() {
            let text = pool.text(text);
            let first = text.chars().next().map_or(0, width);
            if first != cell.width() {
                self.bytes.push(NARROW);
            }
            self.bytes.extend_from_slice(text.as_bytes());
            return;
        }
        let code = cell.code();
        if code == 0 {
            // An empty cell with a look.
            self.bytes.extend_from_slice(&[BLANKS, 0]);
            return;
        }
        let c = char::from_u32(code).unwrap_or_default();
        match (width(c), cell.width()) {
            (own, now) if own == now && own > 0 => {}
            (_, 0) => self.bytes.push(ALONE),
            _ => self.bytes.push(NARROW),
        }
        self.bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn put_look(&mut self, look: Look, pool: &Pool) {
        self.look = look;
        self.bytes.push(LOOK);
        put_number(&mut self.bytes, look.fg);
        put_number(&mut self.bytes, look.bg);
        if look.bg & back::HAS_EXTRA == 0 {
            return;
        }
        let extra = pool.extra(look.extra);
        self.bytes.push(extra.underline);
        put_number(&mut self.bytes, extra.color);
        let link = pool.link(extra.link).cloned().unwrap_or_default();
        for text in [&link.id, &link.uri] {
            put_number(&mut self.bytes, text.len() as u32);
            self.bytes.extend_from_slice(text.as_bytes());
        }
    }

    fn blank(&mut self, run: usize) {
        self.cells += run as u32;
        *self.blanks.get_or_insert(0) += run;
    }

    fn end_blanks(&mut self) {
        if let Some(count) = self.blanks.take() {
            self.bytes.push(BLANKS);
            put_number(&mut self.bytes, count as u32);
        }
    }

    /// Takes the blank cells at the end away, but not the whole last row of
    /// several.
    fn trim(&mut self) {
        let Some(count) = self.blanks.take() else { return };
        let kept = if self.cells as usize > self.cols { (count + 1).saturating_sub(self.cols) } else { 0 };
        self.cells -= (count - kept) as u32;
        if kept > 0 {
            self.blanks = Some(kept);
            self.end_blanks();
        }
    }
}

impl Line {
    /// Its rows at the width of the screen.
    pub(crate) fn rows(&self, cols: usize, pool: &mut Pool) -> VecDeque<Row> {
        cut(decode(&self.bytes, pool), cols)
    }

    /// Whether there is more in it than characters, each as wide as it is, and
    /// looks.
    fn has_marks(&self) -> bool {
        self.bytes.iter().any(|byte| *byte > LOOK)
    }
}

/// The cells of a line.
fn decode(bytes: &[u8], pool: &mut Pool) -> Vec<Cell> {
    let mut cells = Vec::with_capacity(bytes.len());
    let mut look = Look::default();
    for item in Items(bytes) {
        match item {
            Item::Look { fg, bg, extra } => {
                let extra = extra.map(|(underline, color, link)| {
                    let link = if link.uri.is_empty() { 0 } else { pool.link_id(link) };
                    pool.extra_id(Extra { underline, color, link })
                });
                look = Look { fg, bg, extra: extra.unwrap_or_default() };
            }
            Item::Blanks(0) => cells.push(Cell::null(look)),
            Item::Blanks(count) => cells.extend(std::iter::repeat_n(Cell::BLANK, count)),
            Item::Text(text) => {
                for c in String::from_utf8_lossy(text).chars() {
                    decode_char(c, look, &mut cells, pool);
                }
            }
            Item::Alone { c, width } => cells.push(Cell::of(u32::from(c), width, look)),
        }
    }
    cells
}

fn decode_char(c: char, look: Look, cells: &mut Vec<Cell>, pool: &mut Pool) {
    match width(c) {
        0 => {
            let lead = cells.iter_mut().rev().find(|cell: &&mut Cell| !cell.is_half());
            if let Some(lead) = lead {
                pool.join(lead, c);
            }
        }
        width => {
            cells.push(Cell::of(u32::from(c), width, look));
            if width == 2 {
                cells.push(Cell::half(look));
            }
        }
    }
}

/// One mark of a line, or the text up to the next.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    /// The look from here on, with the shape and colour of the underline and
    /// the link.
    Look { fg: u32, bg: u32, extra: Option<(u8, u32, Link)> },
    /// So many cells without look; 0: one with the look.
    Blanks(usize),
    /// Characters, as UTF-8.
    Text(&'a [u8]),
    /// A character that joins none, with a width that may not be its own.
    Alone { c: char, width: u8 },
}

/// The items of a line.
#[derive(Debug)]
pub(crate) struct Items<'a>(pub(crate) &'a [u8]);

impl<'a> Items<'a> {
    fn number(&mut self) -> Option<u32> {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u32::from(byte & 0x7F).checked_shl(shift)?;
            if byte < 0x80 {
                break;
            }
        }
        Some(number)
    }

    fn text(&mut self) -> Option<String> {
        let length = self.number()? as usize;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn look(&mut self) -> Option<Item<'a>> {
        let (fg, bg) = (self.number()?, self.number()?);
        if bg & back::HAS_EXTRA == 0 {
            return Some(Item::Look { fg, bg, extra: None });
        }
        let (&underline, rest) = self.0.split_first()?;
        self.0 = rest;
        let color = self.number()?;
        let link = Link { id: self.text()?, uri: self.text()? };
        Some(Item::Look { fg, bg, extra: Some((underline, color, link)) })
    }

    fn character(&mut self) -> Option<char> {
        let length = match self.0.first()? {
            0x00..=0x7F => 1,
            0x80..=0xDF => 2,
            0xE0..=0xEF => 3,
            _ => 4,
        };
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(bytes).ok()?.chars().next()
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let first = *self.0.first()?;
        if first < LOOK {
            let end = self.0.iter().position(|byte| *byte >= LOOK).unwrap_or(self.0.len());
            let (text, rest) = self.0.split_at(end);
            self.0 = rest;
            return Some(Item::Text(text));
        }
        self.0 = &self.0[1..];
        match first {
            LOOK => self.look(),
            BLANKS => self.number().map(|count| Item::Blanks(count as usize)),
            ALONE => self.character().map(|c| Item::Alone { c, width: 0 }),
            _ => self.character().map(|c| Item::Alone { c, width: 1 }),
        }
    }
}

/// How many blank cells there are first; most rows end with many.
fn blanks(cells: &[Cell]) -> usize {
    const AT_ONCE: usize = 8;
    let many = AT_ONCE * cells.chunks_exact(AT_ONCE).take_while(|some| Cell::are_blank(some)).count();
    many + cells[many..].iter().take_while(|cell| **cell == Cell::BLANK).count()
}

fn put_number(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
