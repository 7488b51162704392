//! The rows of a pane as a file for other programs.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The titles of the columns, and the rows below them.
#[derive(Debug)]
pub(in crate::tui) struct Grid {
    pub(in crate::tui) titles: Vec<&'static str>,
    pub(in crate::tui) rows: Vec<Vec<String>>,
}

/// What a view can be exported as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tui) enum Format {
    Json,
    Csv,
    Text,
    Svg,
}

impl Format {
    /// By name, which is also what the file's name ends in.
    pub(in crate::tui) const ALL: [(&'static str, Self); 4] = [
        ("json", Self::Json),
        ("csv", Self::Csv),
        ("txt", Self::Text),
        ("svg", Self::Svg),
    ];

    pub(in crate::tui) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
    }

    pub(in crate::tui) fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, f)| *f == self)
            .map_or("", |(n, _)| n)
    }
}

/// One object a line.
pub(in crate::tui) fn json(grid: &Grid) -> String {
    let mut out = String::new();
    for row in &grid.rows {
        let object: Map<String, Value> = grid
            .titles
            .iter()
            .zip(row)
            .map(|(title, cell)| (key(title), Value::String(cell.clone())))
            .collect();
        let _ = writeln!(out, "{}", Value::Object(object));
    }
    out
}

/// A title as JSON names things: `LAST FINDING` is `last_finding`, `!` and `S` are `severity`.
fn key(title: &str) -> String {
    match title {
        "!" | "S" => "severity".to_owned(),
        title => title.to_lowercase().replace([' ', '/'], "_"),
    }
}

/// Comma-separated values with a first line of titles. A cell that a spreadsheet would compute
/// begins with an apostrophe: a container chose its text.
///
/// # Errors
/// Never in memory; the writer's own type.
pub(in crate::tui) fn csv(grid: &Grid) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&grid.titles)?;
    for row in &grid.rows {
        writer.write_record(row.iter().map(|cell| {
            if cell.starts_with(['=', '+', '-', '@']) && cell.parse::<f64>().is_err() {
                format!("'{cell}")
            } else {
                cell.clone()
            }
        }))?;
    }
    writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))
}

/// Columns as wide as what is in them.
pub(in crate::tui) fn text(grid: &Grid) -> String {
    use unicode_width::UnicodeWidthStr as _;
    let mut widths: Vec<usize> = grid.titles.iter().map(|title| title.width()).collect();
    for row in &grid.rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let mut out = String::new();
    let titles: Vec<String> = grid
        .titles
        .iter()
        .map(|title| (*title).to_owned())
        .collect();
    for row in std::iter::once(&titles).chain(&grid.rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let room = width.saturating_sub(cell.width()) + 2;
            let _ = write!(line, "{cell}{}", " ".repeat(room));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        Grid {
            titles: vec!["!", "NAME", "LAST FINDING"],
            rows: vec![
                vec!["H".into(), "web".into(), "says \"hi\", twice".into()],
                vec![".".into(), "日本".into(), "=cmd()".into()],
            ],
        }
    }

    #[test]
    fn every_format_holds_every_row() {
        assert_eq!(
            json(&grid()).lines().next().unwrap(),
            r#"{"last_finding":"says \"hi\", twice","name":"web","severity":"H"}"#
        );
        assert_eq!(
            String::from_utf8(csv(&grid()).unwrap()).unwrap(),
            "!,NAME,LAST FINDING\nH,web,\"says \"\"hi\"\", twice\"\n.,日本,'=cmd()\n"
        );
        assert_eq!(
            text(&grid()),
            "!  NAME  LAST FINDING\nH  web   says \"hi\", twice\n.  日本  =cmd()\n"
        );
    }
}
