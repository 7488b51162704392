//! A custom seccomp profile: the observed system calls and their equivalents, within the engine's
//! default profile.

use std::collections::BTreeSet;

use super::capabilities::used;
use super::model::{Advice, SeccompProfile, Setting, Verdict, WatchedTime};
use crate::baseline::{Baseline, Facet, ItemField};
use crate::catalog::seccomp::{allowed_by_default, with_families};

/// The engine's own profile.
pub(super) fn default_profile() -> Advice {
    Advice {
        setting: Setting::SeccompDefault,
        verdict: Verdict::Keep,
        why: vec!["the engine's default profile; a custom one breaks most easily".to_owned()],
    }
}

/// A profile for this container only.
pub(super) fn own_profile(baseline: &Baseline, seen: &WatchedTime) -> Advice {
    let calls: BTreeSet<&str> = baseline
        .facet(Facet::Syscall)
        .filter_map(|(item, _)| std::str::from_utf8(item.get(ItemField::Name)).ok())
        .collect();
    let capabilities: Vec<String> = used(baseline).into_keys().collect();
    let default = allowed_by_default(&capabilities);
    let mut allowed = with_families(&calls);
    allowed.retain(|name| default.contains(name.as_str()));
    let removed = default.into_iter().filter(|name| !allowed.contains(*name));
    let removed: Vec<&'static str> = removed.collect();
    let mut why = vec![format!(
        "{} calls seen; {} allowed with their equivalents, {} of the default removed",
        calls.len(),
        allowed.len(),
        removed.len()
    )];
    let compat = baseline
        .facet(Facet::Call)
        .any(|(item, _)| item.get(ItemField::Name) == b"compat");
    let verdict = if calls.is_empty() {
        why = vec!["no system calls were learned: hullwatch learn --syscalls".to_owned()];
        Verdict::Unknown
    } else if compat {
        why.push("it makes 32-bit calls, which are not recorded one by one".to_owned());
        Verdict::Blocked
    } else if seen.nothing || baseline.too_large.contains(&Facet::Syscall) {
        why.push("no start of it was seen".to_owned());
        Verdict::Unknown
    } else {
        why.push("made from the default of Docker 20.10: later additions are not in it".to_owned());
        Verdict::Try
    };
    Advice {
        setting: Setting::Seccomp(SeccompProfile {
            allowed: allowed.into_iter().collect(),
            removed,
            unconditional: capabilities.iter().any(|name| name == "SYS_ADMIN"),
        }),
        verdict,
        why,
    }
}
