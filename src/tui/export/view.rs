//! The rows of a pane as a file for other programs.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::event::escape_json;

/// Cells of text that are wider than this do not widen the others of their column: a command line may
/// have thousands of characters.
const ALIGNED: usize = 80;

/// The names of the columns, and the rows below them.
#[derive(Debug)]
pub(in crate::tui) struct Grid {
    pub(in crate::tui) names: Vec<&'static str>,
    pub(in crate::tui) rows: Vec<Vec<Cell>>,
    /// Values of each row for programs only; empty unless requested.
    pub(in crate::tui) more: Vec<Map<String, Value>>,
}

/// A cell: as the screen shows it, and as programs need it.
#[derive(Debug)]
pub(in crate::tui) struct Cell {
    pub(in crate::tui) text: String,
    pub(in crate::tui) value: Value,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self {
            value: Value::String(text.clone()),
            text,
        }
    }
}

/// Export formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One object a line.
    Json,
    /// Comma-separated values.
    Csv,
    /// Columns for people.
    Text,
    /// The screen as SVG.
    Svg,
}

impl Format {
    /// By name, which is also the file extension.
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
    let mut more = grid.more.iter();
    for row in &grid.rows {
        let mut object = more.next().cloned().unwrap_or_default();
        let cells = grid.names.iter().zip(row);
        object.extend(cells.map(|(name, cell)| ((*name).to_owned(), cell.value.clone())));
        let _ = writeln!(out, "{}", Value::Object(object));
    }
    // A terminal may show it; JSON itself leaves some signs that control one as they are.
    String::from_utf8_lossy(&escape_json(out.as_bytes())).into_owned()
}

/// Comma-separated values with a first line of titles. A cell that a spreadsheet would compute gets
/// an apostrophe in front: its text comes from a container.
///
/// # Errors
/// Never in memory; the writer's own type.
pub(in crate::tui) fn csv(grid: &Grid) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&grid.names)?;
    for row in &grid.rows {
        writer.write_record(row.iter().map(|cell| {
            let cell = &cell.text;
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

/// Columns as wide as what is in them, up to [`ALIGNED`]; wider cells move the rest of their row.
pub(in crate::tui) fn text(grid: &Grid) -> String {
    use unicode_width::UnicodeWidthStr as _;
    let mut widths: Vec<usize> = grid.names.iter().map(|name| name.width()).collect();
    for row in &grid.rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.width().min(ALIGNED));
        }
    }
    let mut out = String::new();
    let names: Vec<String> = grid.names.iter().map(|name| name.to_uppercase()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows = grid.rows.iter();
    let rows = rows.map(|row| row.iter().map(|cell| cell.text.as_str()).collect());
    for row in std::iter::once(names).chain(rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip::<Vec<&str>>(row) {
            let room = width.saturating_sub(cell.width()) + 2;
            let _ = write!(line, "{cell}{}", " ".repeat(room));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        Grid {
            names: vec!["sev", "name", "drift", "last"],
            rows: vec![
                vec![
                    "H".to_owned().into(),
                    "web".to_owned().into(),
                    Cell {
                        text: "Δ4".to_owned(),
                        value: 4.into(),
                    },
                    "says \"hi\", twice".to_owned().into(),
                ],
                vec![
                    ".".to_owned().into(),
                    "日本".to_owned().into(),
                    ".".to_owned().into(),
                    "=cmd()".to_owned().into(),
                ],
            ],
            more: Vec::new(),
        }
    }

    /// JSON leaves more of them as they are than control characters below the space.
    #[test]
    fn no_format_steers_a_terminal() {
        let hostile = "\u{1b}[31m\u{9b}31m\u{7f}\u{202e}\u{200b}";
        let mut grid = grid();
        grid.rows[0][1].value = hostile.into();
        let written = json(&grid);
        let steers = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{200b}');
        assert!(!written.chars().any(steers), "{written:?}");
        let first: Value = serde_json::from_str(written.lines().next().unwrap()).unwrap();
        assert_eq!(first["name"], hostile);
    }

    #[test]
    fn a_long_cell_widens_no_other_row() {
        let mut grid = grid();
        grid.rows[0][1].text = "x".repeat(5_000);
        let text = text(&grid);
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths[1] > 5_000 && text.contains("xx  Δ4"), "{widths:?}");
        assert!(widths[0] < 120 && widths[2] < 120, "{widths:?}");
    }

    #[test]
    fn every_format_holds_every_row() {
        assert_eq!(
            json(&grid()).lines().next().unwrap(),
            r#"{"drift":4,"last":"says \"hi\", twice","name":"web","sev":"H"}"#
        );
        assert_eq!(
            String::from_utf8(csv(&grid()).unwrap()).unwrap(),
            "sev,name,drift,last\nH,web,Δ4,\"says \"\"hi\"\", twice\"\n.,日本,.,'=cmd()\n"
        );
        assert_eq!(
            text(&grid()),
            "SEV  NAME  DRIFT  LAST\nH    web   Δ4     says \"hi\", twice\n.    日本  .      =cmd()\n"
        );
    }
}
