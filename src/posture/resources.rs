//! Checks of limits, of the image's name and of the health check.

use super::checks::CheckedContainer;
use super::result::CheckResult;
use crate::event::{Severity, escape};

/// Thousandths of a core as text.
fn cores(milli: u32) -> String {
    format!("{}.{:02} cores", milli / 1000, milli % 1000 / 10)
}

pub(super) fn check(s: &CheckedContainer<'_>) -> Vec<CheckResult> {
    let limits = &s.info.limits;
    let peaks = s.used.and_then(|used| used.sources.values().next());
    let peak = |text: fn(&crate::baseline::LearningSource) -> String| {
        peaks.map_or(String::new(), |source| format!("peak {}", text(source)))
    };
    let or_none = |n: u64, text: String| if n == 0 { "none".to_owned() } else { text };
    let image = escape(&s.info.image).to_string();
    let by_digest = s.info.image.contains(&b'@');
    let has_check = !s.info.healthcheck.is_empty() || !s.info.health.is_empty();
    vec![
        s.result(
            ("no-memory-limit", "5.11", Severity::Low),
            limits.memory == 0,
            or_none(limits.memory, format!("{} MiB", limits.memory >> 20)),
            peak(|p| format!("{} MiB", p.memory >> 20)),
        ),
        s.result(
            ("no-pids-limit", "5.29", Severity::Low),
            limits.pids == 0,
            or_none(limits.pids.into(), limits.pids.to_string()),
            peak(|p| format!("{} task{}", p.tasks, if p.tasks == 1 { "" } else { "s" })),
        ),
        s.result(
            ("no-cpu-limit", "5.12", Severity::Info),
            limits.cpu_milli == 0,
            or_none(limits.cpu_milli.into(), cores(limits.cpu_milli)),
            peak(|p| cores(p.cpu)),
        ),
        s.result(("unpinned", "5.28", Severity::Info), !by_digest, image, ""),
        s.result(
            ("no-health-check", "5.27", Severity::Info),
            !has_check,
            if has_check { "set" } else { "none" },
            "",
        ),
    ]
}
