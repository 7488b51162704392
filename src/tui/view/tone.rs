//! The style of a cell: the badge of its severity, or the meaning of its number or word.

use ratatui::style::Style;

use crate::detect::Severity;
use crate::tui::rows::Row;
use crate::tui::table::Column;
use crate::tui::theme::Theme;

/// Columns with findings: coloured for critical and high ones.
const FOUND: &[&str] = &["finding", "last"];

/// The style of a cell; `plain` is the style of ordinary text in its row.
pub(super) fn style(row: &Row, column: &Column, plain: Style, theme: &Theme) -> Style {
    let serious = row.severity.filter(|s| *s >= Severity::High);
    match (row.severity, serious, row.tone(column.name)) {
        (Some(severity), ..) if column.name == "sev" && !row.faded => theme.badge(severity),
        (Some(severity), ..) if column.name == "sev" => theme.severity(severity),
        // Inactive rows are dim in any case.
        _ if row.faded || row.context => plain,
        (_, Some(severity), _) if FOUND.contains(&column.name) => theme.severity(severity),
        (_, _, Some(token)) => theme.style(token),
        _ => plain,
    }
}
