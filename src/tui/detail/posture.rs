//! The posture tab of a container: each check as declared, in force and used.

use super::line::{DetailLine, fact, flagged, heading};
use crate::core::Core;
use crate::event::ContainerId;
use crate::posture::{CheckResult, PostureOutcome, posture};
use crate::tui::learned::baseline_of;
use crate::tui::rows::Query;

pub(super) fn facts(core: &Core, query: &Query<'_>, id: &ContainerId) -> Option<Vec<DetailLine>> {
    let container = core.state.containers.get(id)?;
    let known = baseline_of(core, query.learner, id);
    let mut checks = posture(&container.info, known.as_ref());
    checks.sort_by_key(|check| std::cmp::Reverse(check.severity));
    let of = |outcome| checks.iter().filter(move |c| c.outcome == outcome);
    let count = |outcome| of(outcome).count();
    let mut facts = vec![heading(format!(
        "{} failed, {} passed, {} unknown",
        count(PostureOutcome::Fail),
        count(PostureOutcome::Pass),
        count(PostureOutcome::Unknown)
    ))];
    for check in of(PostureOutcome::Fail) {
        let mut words = vec![format!("declared {}", check.declared)];
        if !check.effective.is_empty() {
            words.push(format!("in force {}", check.effective));
        }
        facts.push(flagged(check.severity, check.id, words.join(" | ")));
        let mut second = Vec::new();
        if !check.used.is_empty() {
            second.push(check.used.clone());
        }
        if !check.cis.is_empty() {
            second.push(format!("CIS {}", check.cis));
        }
        facts.push(fact("", second.join(" | ")));
    }
    let names = |outcome| of(outcome).map(name).collect::<Vec<_>>().join(", ");
    facts.push(heading("Other checks"));
    facts.push(fact("passed", names(PostureOutcome::Pass)));
    facts.push(fact("unknown", names(PostureOutcome::Unknown)));
    facts.retain(|line| !line.blank());
    Some(facts)
}

fn name(check: &CheckResult) -> &'static str {
    check.id
}
