//! Aligned columns.

use unicode_width::UnicodeWidthStr;

use crate::say::clean;

/// On which side a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Names and words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a heading, in columns as wide as they need to be.
pub(crate) fn table<const N: usize>(columns: [(&str, Align); N], rows: &[[String; N]]) -> String {
    let heading = columns.map(|(name, _)| name.to_owned());
    // A cell is one line, whatever it holds.
    let rows = rows.iter().map(|row| row.clone().map(|cell| clean(&cell).replace('\n', " ")));
    let rows: Vec<[String; N]> = std::iter::once(heading).chain(rows).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths).zip(columns).map(|((cell, width), (_, align))| {
            let gap = " ".repeat(width - cell.width());
            match align {
                Align::Left => format!("{cell}{gap}"),
                Align::Right => format!("{gap}{cell}"),
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `name  value` lines; a value of several lines is indented under its first. Empty values are left out.
pub(crate) fn list(pairs: &[(&str, String)]) -> String {
    let shown = || pairs.iter().filter(|(_, value)| !value.is_empty());
    let width = shown().map(|(name, _)| name.width()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| {
        let gap = " ".repeat(width - name.width());
        let value = value.replace('\n', &format!("\n{}  ", " ".repeat(width)));
        format!("{name}{gap}  {value}")
    };
    shown().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_names() {
        let columns = [("NAME", Align::Left), ("CPUS", Align::Right), ("STATE", Align::Left)];
        let rows = [
            ["web1".to_owned(), "2".to_owned(), "running".to_owned()],
            ["数据库".to_owned(), "16".to_owned(), String::new()],
            ["a\u{1b}\nb".to_owned(), "1".to_owned(), "x".to_owned()],
        ];
        let expected = "NAME    CPUS  STATE\nweb1       2  running\n数据库    16\na\u{fffd} b       1  x";
        assert_eq!(table(columns, &rows), expected);
    }

    #[test]
    fn lists_leave_out_what_is_empty() {
        let pairs = [("a", "1".to_owned()), ("long", String::new()), ("bcd", "2\n3".to_owned())];
        assert_eq!(list(&pairs), "a    1\nbcd  2\n     3");
    }
}
