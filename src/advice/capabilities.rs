//! Which capabilities to keep: those that the service used with success.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Advice, Setting, Verdict, WatchedTime};
use crate::baseline::{Baseline, Facet, ItemField};
use crate::event::escape;

/// Docker's default set.
pub(super) const DEFAULT: usize = 14;

/// Capabilities that were used, by name, with the programs and phases.
pub(super) fn used(baseline: &Baseline) -> BTreeMap<String, BTreeSet<String>> {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (item, facts) in baseline.facet(Facet::Capability) {
        let name = String::from_utf8_lossy(item.get(ItemField::Name)).into_owned();
        // Only known names, so that none can be an option for a shell.
        if !name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        {
            continue;
        }
        let by = escape(crate::catalog::path::leaf(item.get(ItemField::By))).to_string();
        let phases = facts.phases();
        // Without it the kernel refuses the exec where the file's capabilities are effective.
        let by = match facts.how.contains(&'f') {
            true => format!("{by} (file capability)"),
            false => by,
        };
        let when = if phases.is_empty() {
            by
        } else {
            format!("{by} ({phases})")
        };
        used.entry(name).or_default().insert(when);
    }
    used
}

pub(super) fn advise(baseline: &Baseline, seen: &WatchedTime) -> Advice {
    let used = used(baseline);
    let mut why: Vec<String> = used
        .iter()
        .map(|(name, by)| {
            let by: Vec<_> = by.iter().cloned().collect();
            format!("{name} used by {}", by.join(", "))
        })
        .collect();
    let unused = DEFAULT.saturating_sub(used.len());
    why.push(format!(
        "{unused} of {DEFAULT} never used in {}",
        seen.text()
    ));
    let mut verdict = seen.verdict();
    if baseline.too_large.contains(&Facet::Capability) {
        verdict = Verdict::Unknown;
    }
    Advice {
        setting: Setting::Capabilities(used.into_keys().collect()),
        verdict,
        why,
    }
}
