//! Whether programs can be kept from gaining privileges by set-user-id files and file capabilities.

use super::model::{Advice, Setting, Verdict, WatchedTime};
use crate::baseline::{Baseline, Facet};

pub(super) fn advise(baseline: &Baseline, seen: &WatchedTime) -> Advice {
    let kinds = [('s', "set-user-id"), ('f', "file capabilities")];
    let gains: Vec<String> = kinds
        .iter()
        .flat_map(|(letter, kind)| {
            let programs = baseline.facet(Facet::Exec);
            programs
                .filter(|(_, facts)| facts.how.contains(letter))
                .map(move |(item, _)| format!("{kind}: {item}"))
        })
        .collect();
    let (verdict, why) = if gains.is_empty() {
        (
            seen.verdict(),
            vec!["no program with set-user-id or file capabilities was run".to_owned()],
        )
    } else {
        (Verdict::Blocked, gains)
    };
    Advice {
        setting: Setting::NoNewPrivileges,
        verdict,
        why,
    }
}
