//! Related findings of the same exec session or process tree; one of them often names the person
//! who started it.

use super::line::{DetailLine, fact, flagged, heading};
use crate::core::Core;
use crate::detect::{Finding, FindingId};
use crate::tui::action::Action;
use crate::tui::rows::Query;
use crate::tui::text::things;

/// Maximum number of lines.
const MOST: usize = 8;
/// The words by which a finding names the user who started an exec session.
const STARTED: &str = "started by";

/// Whether both findings belong together: they share an event, or descend from a common process
/// other than the container's first.
fn together(one: &Finding, other: &Finding) -> bool {
    one.id != other.id
        && one.container.is_some()
        && one.container == other.container
        && (one.evidence.iter().any(|seq| other.evidence.contains(seq))
            || one.ancestry.iter().any(|process| {
                process.nspid > 1
                    && other
                        .ancestry
                        .iter()
                        .any(|p| p.pid == process.pid && p.nspid == process.nspid)
            }))
}

/// The findings related to this one: first those that name the user who began it, then the worst.
pub(in crate::tui) fn related<'a>(core: &'a Core, finding: &Finding) -> Vec<&'a Finding> {
    let all = core.detector.findings().iter();
    let all = all.map(std::sync::Arc::as_ref);
    let mut found: Vec<&Finding> = all
        .filter(|other| other.part_of.is_none() && together(finding, other))
        .collect();
    found.sort_by_key(|f| {
        let worst = std::cmp::Reverse((f.severity, f.last));
        (!names_starter(f), worst, f.id)
    });
    found
}

fn names_starter(finding: &Finding) -> bool {
    finding.why.iter().any(|why| why.contains(STARTED))
}

/// The next related finding, in the order they were raised; after the last comes the first.
pub(in crate::tui) fn next(core: &Core, finding: &Finding) -> Option<FindingId> {
    let mut ids: Vec<_> = related(core, finding).iter().map(|f| f.id).collect();
    ids.sort_unstable();
    let after = ids.iter().find(|id| **id > finding.id);
    after.or(ids.first()).copied()
}

pub(super) fn facts(core: &Core, query: &Query<'_>, finding: &Finding) -> Vec<DetailLine> {
    let found = related(core, finding);
    if found.is_empty() {
        return Vec::new();
    }
    let key = query.keys.sign(Action::Why);
    let mut facts = vec![heading(format!(
        "{} ({key}: next)",
        things(found.len() as u64, "related finding")
    ))];
    for other in found.iter().take(MOST) {
        let id = other.id.to_string();
        facts.push(flagged(other.severity, &id, other.title.clone()));
        let who = other.why.iter().filter(|why| why.contains(STARTED));
        facts.extend(who.map(|why| fact("", why.clone())));
    }
    if found.len() > MOST {
        facts.push(fact("", format!("{} more", found.len() - MOST)));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::tests::demo;

    #[test]
    fn a_changed_file_leads_to_the_session_that_changed_it() {
        let core = demo();
        let findings = core.detector.findings();
        let of = |rule: &str| findings.iter().find(|f| f.rule == rule).unwrap();
        let accounts = of("file.accounts");
        let rules: Vec<&str> = related(&core, accounts)
            .iter()
            .map(|f| f.rule.as_str())
            .collect();
        assert!(rules.contains(&"exec.session"), "{rules:?}");
        assert!(rules.contains(&"file.cron"), "{rules:?}");
        assert!(!rules.contains(&"priv.mount"), "{rules:?}");
        // Going on comes back here.
        let mut at = accounts.id;
        for _ in 0..findings.len() {
            let finding = findings.iter().find(|f| f.id == at).unwrap();
            at = next(&core, finding).unwrap();
            assert_ne!(at, finding.id);
            if at == accounts.id {
                return;
            }
        }
        panic!("{rules:?}");
    }
}
