//! Aligned columns of plain text.

use unicode_width::UnicodeWidthStr as _;

use crate::print::shown;

/// Between two columns.
const GAP: &str = "  ";

/// Rows under a head. Cells are made harmless when they come in; nothing that
/// is printed has an escape code, on a terminal or off it.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads.
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    /// Adds a row; missing cells stay empty.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(|cell| shown(cell.as_ref())).collect());
    }

    /// The table with a newline after each row. No blanks at line ends.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width - cell.width()));
                line.push_str(GAP);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// When `then` comes at `now` (both in milliseconds since 1970), in one unit: "in
/// 4 h"; "over" when it has.
pub(crate) fn until(now_ms: u64, then_ms: u64) -> String {
    if then_ms <= now_ms { "over".to_owned() } else { format!("in {}", ago(then_ms, now_ms)) }
}

/// How long ago `then` was at `now` (both in milliseconds since 1970), in one
/// unit: "3 s", "12 min", "4 h", "9 d".
pub(crate) fn ago(now_ms: u64, then_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(then_ms) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Milliseconds since 1970 on this machine's clock.
pub(crate) fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_for_wide_characters_too() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(["build", "running"]);
        table.row(["端末", "exited"]);
        assert_eq!(table.render(), "NAME   STATE\nbuild  running\n端末   exited\n");
    }

    #[test]
    fn no_cell_steers_the_terminal_and_short_rows_are_fine() {
        let mut table = Table::new(&["A", "B"]);
        table.row(["\u{1b}]0;x\u{7}\r\n"]);
        let text = table.render();
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains('\u{1b}') && !text.contains('\r'));
    }

    #[test]
    fn ages_are_told_in_one_unit() {
        let age = |seconds: u64| ago(seconds * 1000, 0);
        assert_eq!([age(59), age(60), age(7200), age(200_000)], ["59 s", "1 min", "2 h", "2 d"]);
        assert_eq!(ago(0, 5000), "0 s", "a clock ahead of ours is no age below zero");
    }
}
