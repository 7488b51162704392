//! Limits for memory and tasks, from the peaks.

use super::model::{Advice, Setting, Verdict};
use crate::baseline::Baseline;

const MIB: u64 = 1 << 20;

/// The tmpfs of a read-only root counts as memory: its sizes are added.
pub(super) fn advise(baseline: &Baseline, others: &[Advice]) -> Vec<Advice> {
    let peak = baseline
        .sources
        .values()
        .map(|s| s.memory)
        .max()
        .unwrap_or(0);
    let tasks = baseline
        .sources
        .values()
        .map(|s| s.tasks)
        .max()
        .unwrap_or(0);
    if peak == 0 && tasks == 0 {
        return Vec::new();
    }
    let tmpfs: u64 = others
        .iter()
        .filter(|advice| advice.verdict.is_advised())
        .filter_map(|advice| match &advice.setting {
            Setting::ReadOnly(directories) => Some(directories),
            _ => None,
        })
        .flatten()
        .filter(|d| !d.volume)
        .map(|d| u64::from(d.size))
        .sum();
    let memory = (peak.div_ceil(MIB) * 2 + tmpfs)
        .max(32)
        .next_multiple_of(16);
    let with = if tmpfs > 0 {
        format!(", and {tmpfs} MiB for tmpfs")
    } else {
        String::new()
    };
    vec![
        Advice {
            setting: Setting::Memory(memory * MIB),
            verdict: Verdict::Try,
            why: vec![format!(
                "peak {} MiB{with}; under the observed load",
                peak.div_ceil(MIB)
            )],
        },
        Advice {
            setting: Setting::Pids((tasks * 2).max(64).next_multiple_of(16)),
            verdict: Verdict::Try,
            why: vec![format!("peak {tasks} tasks")],
        },
    ]
}
