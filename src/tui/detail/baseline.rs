//! The baseline tab of a container: readiness, unmet conditions, items, held items, and actions
//! outside the baseline.

use super::line::{DetailLine, fact, flagged, heading};
use crate::baseline::{Baseline, Diff, Facet, LearningSource, Readiness, readiness};
use crate::core::Core;
use crate::detect::Finding;
use crate::event::{ContainerId, escape};
use crate::state::Container;
use crate::tui::learned::{BaselineComparison, file_of};
use crate::tui::rows::{self, Query};
use crate::tui::text::{bytes, things, times};

/// Maximum number of items of a facet; the file has the rest.
const MOST: usize = 12;
/// Maximum number of lines of a comparison for each side; `hullwatch diff` has the rest.
const MOST_COMPARED: usize = 24;
/// Cells of the meter.
const METER: usize = 20;

/// Text for a container without a loaded baseline.
pub(super) fn none(core: &Core, id: &ContainerId) -> Vec<DetailLine> {
    let name = rows::name(core, &Some(id.clone()));
    vec![
        heading("No baseline of it is loaded"),
        fact("learn one", format!("hullwatch learn {name} --until-ready")),
        fact(
            "learn here",
            ":learn starts learning while this host is watched",
        ),
        fact("load it", "hullwatch --baseline FILE|DIRECTORY"),
    ]
}

pub(super) fn facts(core: &Core, query: &Query<'_>, id: &ContainerId) -> Option<Vec<DetailLine>> {
    let container = core.state.containers.get(id)?;
    let mut facts: Vec<DetailLine> = Vec::new();
    if let Some(compared) = query.compared.filter(|c| c.container == *id) {
        facts.extend(comparison(compared));
    }
    let known = core.detector.baseline_of(container);
    let learned = query.learner.and_then(|learner| learner.baseline(id));
    if let (Some(learner), Some(learned)) = (query.learner, &learned) {
        let since = query.zone.clock(learner.since);
        facts.push(heading(format!("Learned here since {since}")));
        facts.extend(progress(learned, &readiness(learned)));
        let items = things(learned.items.len() as u64, "item");
        let file = file_of(core, id);
        facts.push(fact("seen", format!("{items}; :learn writes {file}")));
        if known.is_none() {
            facts.extend(items_of(learned));
        }
    }
    let Some(known) = known else {
        if learned.is_none() {
            facts.extend(none(core, id));
        }
        return Some(facts);
    };
    let baseline = &known.baseline;
    facts.push(heading(format!(
        "{}: {}",
        baseline.title(),
        baseline.state().name()
    )));
    facts.extend(progress(baseline, &known.readiness));
    facts.push(fact("file", escape(known.file.as_bytes()).to_string()));
    facts.extend(beside(container, baseline));
    let mut beyond: Vec<&Finding> = core
        .detector
        .findings()
        .iter()
        .map(std::sync::Arc::as_ref)
        .filter(|f| f.part_of.is_none())
        .filter(|f| f.container.as_ref() == Some(id) && f.rule.starts_with("base."))
        .collect();
    beyond.sort_by_key(|f| std::cmp::Reverse((f.severity, f.last)));
    facts.push(heading(format!("Not in the baseline: {}", beyond.len())));
    facts.extend(beyond.into_iter().map(|f| {
        let text = format!("{} {}{}", query.zone.clock(f.last), times(f.count), f.title);
        flagged(f.severity, &f.id.to_string(), text)
    }));
    facts.extend(items_of(baseline));
    Some(facts)
}

/// Progress of learning, and its sources.
fn progress(baseline: &Baseline, ready: &Readiness) -> Vec<DetailLine> {
    let filled = usize::from(ready.percent) * METER / 100;
    let meter = format!("{}{}", "#".repeat(filled), ".".repeat(METER - filled));
    let mut facts = vec![fact(
        "readiness",
        format!(
            "{meter} {} %: {} % of its start, {} % of its steady state",
            ready.percent, ready.starts, ready.steady
        ),
    )];
    facts.extend(ready.unmet.iter().map(|why| fact("to do", why.clone())));
    let sum = |of: fn(&LearningSource) -> u64| baseline.sources.values().map(of).sum::<u64>();
    facts.push(fact(
        "learned",
        format!(
            "{} min, {}, {}, {} lost",
            sum(|s| s.observed) / 60,
            things(sum(|s| s.starts.into()), "start"),
            things(sum(|s| s.stops.into()), "end"),
            things(sum(|s| s.lost), "event")
        ),
    ));
    facts
}

/// The items that a compared baseline lacks, and those that only it has.
fn comparison(compared: &BaselineComparison) -> Vec<DetailLine> {
    let Diff {
        new, gone, notes, ..
    } = &compared.diff;
    let file = escape(compared.with.as_bytes());
    let mut facts = vec![heading(format!(
        "Compared with {file}: {} new, {} gone",
        new.len(),
        gone.len()
    ))];
    for (sign, items) in [('+', new), ('-', gone)] {
        let shown = items.iter().take(MOST_COMPARED);
        facts.extend(
            shown.map(|(item, _)| fact(&format!("{sign} {}", item.facet), item.to_string())),
        );
        if items.len() > MOST_COMPARED {
            let cut = items.len() - MOST_COMPARED;
            facts.push(fact("", format!("{cut} more: hullwatch diff A B")));
        }
    }
    facts.extend(notes.iter().map(|note| fact("note", note.clone())));
    facts
}

/// Held items, and the items of each facet.
fn items_of(baseline: &Baseline) -> Vec<DetailLine> {
    let mut facts = Vec::new();
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
            facts.push(heading(format!("{facet}: too many to compare")));
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
    facts
}

fn more(facts: &mut Vec<DetailLine>, all: usize) {
    if all > MOST {
        let text = format!("{} more: hullwatch baseline show FILE", all - MOST);
        facts.push(fact("", text));
    }
}

/// Current use compared with the learned peaks.
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
