//! The table of expected, missing and unexpected findings.

use std::fmt::Write as _;
use std::io::Write as _;

use hullwatch::detect::Finding;

use super::batch::Ran;

/// Sums over scenarios.
#[derive(Default)]
pub(crate) struct Table {
    text: String,
    scenarios: usize,
    pub(crate) flagged: usize,
    pub(crate) missed: usize,
    pub(crate) extra: usize,
    hours: f64,
    failed: String,
}

/// A finding as one line.
pub(crate) fn line(finding: &Finding) -> String {
    format!(
        "{} {} ×{} {}",
        finding.severity, finding.rule, finding.count, finding.title
    )
}

impl Table {
    /// A line for a scenario, with its errors below it.
    pub(crate) fn row(&mut self, ran: &Ran, faults: &[String]) {
        self.scenarios += 1;
        self.hours += ran.watched.as_secs_f64() / 3600.0;
        let printed = if faults.is_empty() { "ok" } else { "FAILED" };
        let name = &ran.scenario.name;
        let seen: Vec<_> = ran
            .findings
            .iter()
            .map(|f| {
                let later = if f.first > ran.steady {
                    ""
                } else {
                    "(start-up)"
                };
                format!("{}:{}{later}", f.severity.letter(), f.rule)
            })
            .collect();
        let late = if ran.late { "(late) " } else { "" };
        let mut row = format!("{printed:6} {name:34} {late}{}\n", seen.join(" "));
        for fault in faults {
            let _ = writeln!(row, "         {fault}");
        }
        if !faults.is_empty() {
            for error in &ran.failed {
                let _ = writeln!(row, "         step: {error}");
            }
            self.failed.push_str(&row);
        }
        self.text.push_str(&row);
    }

    /// Prints the table; fails with its rows that have a missing or unexpected finding.
    pub(crate) fn finish(self, what: &str) {
        // Written to stderr directly, so that the table is shown also when the test passes.
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "\n{}\n{what}: scenarios {}, flagged {}, missed {}, extra {} in {:.2} container-hours ({:.1} per container-hour)",
            self.text,
            self.scenarios,
            self.flagged,
            self.missed,
            self.extra,
            self.hours,
            self.extra as f64 / self.hours.max(f64::MIN_POSITIVE)
        )
        .unwrap();
        assert!(
            self.failed.is_empty(),
            "{what}: of {} scenarios failed:\n{}",
            self.scenarios,
            self.failed
        );
    }
}
