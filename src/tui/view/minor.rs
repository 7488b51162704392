//! Optional parts of the first line: minor findings, missing probes.

use ratatui::style::Style;

use crate::core::Core;
use crate::detect::Severity;
use crate::tui::theme::Theme;

/// Findings by letter, low and info, each with its rank on the line: with them the letters add up
/// to the number of findings.
pub(super) fn findings(core: &Core, theme: &Theme) -> Vec<(u8, String, Style)> {
    let of = |severity| {
        let findings = core.detector.findings().iter();
        let alike = findings.filter(|f| f.severity == severity && f.is_open());
        alike.count()
    };
    [(5, Severity::Low), (6, Severity::Info)]
        .into_iter()
        .map(|(rank, severity)| (rank, severity, of(severity)))
        .filter(|(.., count)| *count > 0)
        .map(|(rank, severity, count)| {
            let text = format!("{count}{}", severity.letter());
            (rank, text, theme.severity(severity))
        })
        .collect()
}

/// Only missing probes are named; for a recording its day.
pub(super) fn probes(tier: &str) -> String {
    match tier.strip_prefix("core") {
        Some("") => String::new(),
        Some(missing) => format!("probes {}", missing.trim()),
        None => tier.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_probes_are_reported() {
        assert_eq!(probes("core"), "");
        assert_eq!(probes("core -2"), "probes -2");
        assert_eq!(probes("2026-11-25"), "2026-11-25");
    }
}
