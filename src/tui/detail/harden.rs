//! The harden tab of a container: advice from its baseline, with verdicts and evidence.

use super::baseline;
use super::line::{DetailLine, fact, heading};
use crate::advice::advise;
use crate::baseline::readiness;
use crate::core::Core;
use crate::event::ContainerId;
use crate::render::words;
use crate::tui::action::Action;
use crate::tui::learned::baseline_of;
use crate::tui::rows::{self, Query};

pub(super) fn facts(core: &Core, query: &Query<'_>, id: &ContainerId) -> Option<Vec<DetailLine>> {
    let Some(known) = baseline_of(core, query.learner, id) else {
        return Some(baseline::none(core, id));
    };
    let advice = advise(&known);
    let advised = advice.iter().filter(|a| a.verdict.is_advised()).count();
    let name = rows::name(core, &Some(id.clone()));
    let (copy, write) = (
        query.keys.sign(Action::CopyCell),
        query.keys.sign(Action::Bundle),
    );
    let mut facts = vec![
        heading(format!("{advised} settings to remove unneeded rights")),
        fact(
            "readiness",
            format!("{} % of its behavior is known", readiness(&known).percent),
        ),
        fact(
            "copy them",
            format!("{copy} copies options of docker run; {write} writes run, compose, Kubernetes"),
        ),
        fact(
            "test them",
            format!("hullwatch harden FILE --verify={name}: on a copy of the container"),
        ),
    ];
    for advice in advice {
        facts.push(heading(advice.setting.name()));
        facts.push(fact(advice.verdict.name(), words(&advice.setting)));
        facts.extend(advice.why.into_iter().map(|why| fact("", why)));
    }
    Some(facts)
}
