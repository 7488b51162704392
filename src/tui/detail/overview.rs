//! The overview of a container: its findings, its drift by class, its connections.

use super::line::{DetailLine, fact, flagged, heading};
use crate::core::Core;
use crate::event::ContainerId;
use crate::state::Direction;
use crate::tui::pane::Pane;
use crate::tui::rows::{self, DriftClass};
use crate::tui::text::{coarse, things, times};

/// Maximum number of lines of a section; its tab has the rest.
const MOST: usize = 6;

pub(super) fn facts(core: &Core, id: &ContainerId) -> Vec<DetailLine> {
    let state = &core.state;
    let ago = |then| coarse(state.now.since(then));
    let mine = |owner: &crate::state::Owner| owner.as_ref() == Some(id);
    let mut facts = Vec::new();
    let mut findings: Vec<_> = core
        .detector
        .findings()
        .iter()
        .filter(|f| mine(&f.container) && f.is_open())
        .collect();
    findings.sort_by_key(|f| std::cmp::Reverse((f.severity, f.last)));
    facts.push(heading(format!("Findings: {}", findings.len())));
    facts.extend(findings.iter().take(MOST).map(|f| {
        // Numbers come first: at the end they could wrap to a line of their own.
        let text = format!("{:<4} {}{}", ago(f.last), times(f.count), f.title);
        flagged(f.severity, &f.rule, text)
    }));
    more(&mut facts, findings.len(), Pane::Findings);
    let mut drift: Vec<_> = state
        .files
        .iter()
        .filter(|(key, _)| mine(&key.owner))
        .filter_map(|(key, activity)| {
            let class = DriftClass::of(key, activity);
            Some((class, activity.differs()?, key, activity))
        })
        .collect();
    drift.sort_by_key(|(class, _, _, activity)| (*class, std::cmp::Reverse(activity.last)));
    let classes: Vec<String> = DriftClass::ALL
        .into_iter()
        .filter_map(|class| {
            let count = drift.iter().filter(|(of, ..)| *of == class).count();
            (count > 0).then(|| format!("{} {count}", class.name()))
        })
        .collect();
    let compared = state.containers.get(id).and_then(|c| c.scan());
    let found = compared.map_or(0, |(_, scan)| {
        let total = scan.total();
        total.added + total.changed + total.deleted
    });
    let differ = format!("{} differ from the image", things(found, "file"));
    facts.push(heading(match (drift.len(), found) {
        (0, 0) => "Drift: no changed file seen".to_owned(),
        (0, _) => format!("Drift: {differ}"),
        (count, _) => {
            let files = things(count as u64, "file");
            format!("Drift: {files} seen changing ({})", classes.join(", "))
        }
    }));
    if let Some((_, scan)) = compared.filter(|_| drift.is_empty()) {
        let mut entries: Vec<_> = scan.entries.iter().collect();
        // Classes are sorted by importance.
        entries.sort_by_key(|entry| (entry.class, &entry.path));
        facts.extend(entries.into_iter().take(MOST).map(|entry| {
            let text = format!("{} {}", rows::word(&entry.difference), entry.path.escaped());
            fact(entry.class.title(), text)
        }));
    }
    facts.extend(drift.iter().take(MOST).map(|(class, sign, key, activity)| {
        let text = format!(
            "{:<4} {}  by {}",
            ago(activity.last),
            key.path.escaped(),
            activity.comm.escaped()
        );
        fact(&format!("{sign} {}", class.name()), text)
    }));
    more(&mut facts, drift.len(), Pane::Files);
    let mut connections: Vec<_> = state
        .connections
        .iter()
        .filter(|(key, _)| mine(&key.owner))
        .collect();
    // Flagged rows first.
    let about = rows::FlaggedTargets::new(core);
    let worst = |(key, connection): &(&_, &std::sync::Arc<_>)| about.connection(key, connection);
    connections.sort_by_key(|of| std::cmp::Reverse((worst(of), of.1.last)));
    facts.push(heading(format!("Connections: {}", connections.len())));
    facts.extend(connections.iter().take(MOST).map(|of @ (key, connection)| {
        let direction = match key.direction {
            Direction::Outbound => "out",
            Direction::Inbound => "in",
            Direction::Listening => "listen",
        };
        let name = connection.name.as_ref();
        let name = name.map_or_else(String::new, |name| format!(" {}", name.escaped()));
        let text = format!(
            "{:<4} {}{}{name}  by {}",
            ago(connection.last),
            times(connection.count),
            rows::endpoint(&key.endpoint),
            connection.comm.escaped()
        );
        match worst(of) {
            Some(severity) => flagged(severity, direction, text),
            None => fact(direction, text),
        }
    }));
    more(&mut facts, connections.len(), Pane::Network);
    let forgotten = state.containers.get(id).map_or(0, |c| c.forgotten);
    if forgotten > 0 {
        let rows = things(forgotten, "row");
        facts.push(heading("Not kept"));
        facts.push(fact(
            "",
            format!(
                "{rows} of files, connections and ended processes were dropped; recordings \
                     keep them"
            ),
        ));
    }
    facts.push(heading("Facts"));
    facts
}

/// The number of rows that are not listed, and the tab that has them.
fn more(facts: &mut Vec<DetailLine>, all: usize, tab: Pane) {
    if all > MOST {
        let text = format!("{} more: tab {}", all - MOST, tab.title());
        facts.push(fact("", text));
    }
}
