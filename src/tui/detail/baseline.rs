//! The baseline tab of a container: readiness, what would raise it, items, what is held, and what
//! the container does beyond it.

use super::line::{DetailLine, fact, flagged, heading};
use crate::baseline::{Baseline, Facet, LearningSource};
use crate::core::Core;
use crate::detect::Finding;
use crate::event::{ContainerId, escape};
use crate::state::Container;
use crate::tui::rows::{self, Query};
use crate::tui::text::{bytes, things, times};

/// Most items of a facet; the file has the rest.
const MOST: usize = 12;
/// Cells of the meter.
const METER: usize = 20;

/// What to say where no baseline is in force.
pub(super) fn none(core: &Core, id: &ContainerId) -> Vec<DetailLine> {
    let name = rows::name(core, &Some(id.clone()));
    vec![
        heading("No baseline of it is in force"),
        fact("learn one", format!("hullwatch learn {name} --until-ready")),
        fact("load it", "hullwatch --baseline FILE|DIRECTORY"),
    ]
}

pub(super) fn facts(core: &Core, query: &Query<'_>, id: &ContainerId) -> Option<Vec<DetailLine>> {
    let container = core.state.containers.get(id)?;
    let Some(known) = core.detector.baseline_of(container) else {
        return Some(none(core, id));
    };
    let baseline = &known.baseline;
    let ready = &known.readiness;
    let filled = usize::from(ready.percent) * METER / 100;
    let meter = format!("{}{}", "#".repeat(filled), ".".repeat(METER - filled));
    let mut facts = vec![
        heading(format!("{}: {}", baseline.title(), baseline.state().name())),
        fact(
            "readiness",
            format!(
                "{meter} {} %: {} % of its start, {} % of its steady state",
                ready.percent, ready.starts, ready.steady
            ),
        ),
    ];
    facts.extend(ready.unmet.iter().map(|why| fact("to do", why.clone())));
    facts.push(fact("file", escape(known.file.as_bytes()).to_string()));
    let sum = |of: fn(&LearningSource) -> u64| baseline.sources.values().map(of).sum::<u64>();
    facts.push(fact(
        "learned",
        format!(
            "{} min, {} starts, {} ends, {} events lost",
            sum(|s| s.observed) / 60,
            sum(|s| s.starts.into()),
            sum(|s| s.stops.into()),
            sum(|s| s.lost)
        ),
    ));
    facts.extend(beside(container, baseline));
    let mut beyond: Vec<&Finding> = core
        .detector
        .findings()
        .iter()
        .map(std::sync::Arc::as_ref)
        .filter(|f| f.container.as_ref() == Some(id) && f.rule.starts_with("base."))
        .collect();
    beyond.sort_by_key(|f| std::cmp::Reverse((f.severity, f.last)));
    facts.push(heading(format!("Beyond it: {}", beyond.len())));
    facts.extend(beyond.into_iter().map(|f| {
        let text = format!("{} {}{}", query.zone.clock(f.last), times(f.count), f.title);
        flagged(f.severity, &f.id.to_string(), text)
    }));
    if !baseline.held.is_empty() {
        facts.push(heading(format!("Held, not known: {}", baseline.held.len())));
        let held = baseline.held.iter().take(MOST);
        facts.extend(held.map(|(item, why)| {
            let why = escape(why.as_bytes());
            fact(item.facet.name(), format!("{item}  ({why})"))
        }));
        more(&mut facts, baseline.held.len());
    }
    for facet in Facet::ALL {
        let count = baseline.facet(facet).count();
        if baseline.too_large.contains(&facet) {
            facts.push(heading(format!("{facet}: too many to tell apart")));
        } else if count > 0 {
            facts.push(heading(format!("{facet}: {count}")));
            facts.extend(baseline.facet(facet).take(MOST).map(|(item, known)| {
                let phases = known.phases();
                let when = if phases.is_empty() {
                    "accepted"
                } else {
                    &phases
                };
                fact(when, item.to_string())
            }));
            more(&mut facts, count);
        }
    }
    Some(facts)
}

fn more(facts: &mut Vec<DetailLine>, all: usize) {
    if all > MOST {
        let text = format!("{} more: hullwatch baseline show FILE", all - MOST);
        facts.push(fact("", text));
    }
}

/// Its use now beside the peaks while it was learned.
fn beside(container: &Container, baseline: &Baseline) -> Vec<DetailLine> {
    let peak = |of: fn(&LearningSource) -> u64| {
        let peaks = baseline.sources.values().map(of);
        peaks.max().filter(|peak| *peak > 0)
    };
    let line = |name: &str, now: u64, peak: Option<u64>, text: &dyn Fn(u64) -> String| {
        let peak = peak?;
        let word = if now > peak { "above" } else { "within" };
        let text = format!("{} now, {word} the learned peak {}", text(now), text(peak));
        Some(fact(name, text))
    };
    let cpu = |milli: u64| format!("{}.{} %", milli / 10, milli % 10);
    let lines = [
        line(
            "CPU",
            container.cpu_milli.into(),
            peak(|s| s.cpu.into()),
            &cpu,
        ),
        line("memory", container.memory, peak(|s| s.memory), &bytes),
        line(
            "tasks",
            container.pids.into(),
            peak(|s| s.tasks.into()),
            &|n| things(n, "task"),
        ),
    ];
    lines.into_iter().flatten().collect()
}
