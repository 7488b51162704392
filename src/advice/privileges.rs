//! Whether programs can be kept from gaining privileges by set-user-id files.

use super::model::{Advice, Setting, Verdict, WatchedTime};
use crate::baseline::{Baseline, Facet};

pub(super) fn advise(baseline: &Baseline, seen: &WatchedTime) -> Advice {
    let gains: Vec<String> = baseline
        .facet(Facet::Exec)
        .filter(|(_, facts)| facts.how.contains(&'s'))
        .map(|(item, _)| item.to_string())
        .collect();
    let (verdict, why) = if gains.is_empty() {
        (
            seen.verdict(),
            vec!["no set-user-id program was run".to_owned()],
        )
    } else {
        let why = gains.iter().map(|item| format!("set-user-id: {item}"));
        (Verdict::Blocked, why.collect())
    };
    Advice {
        setting: Setting::NoNewPrivileges,
        verdict,
        why,
    }
}
