//! What stands above the facts of a container: its findings, its drift, its connections.

use super::{Fact, fact, heading};
use crate::core::Core;
use crate::event::ContainerId;
use crate::state::Direction;
use crate::tui::pane::Pane;
use crate::tui::rows;
use crate::tui::text::{coarse, things, times};

/// Lines of each part; its own tab has the rest.
const MOST: usize = 6;

pub(super) fn facts(core: &Core, id: &ContainerId) -> Vec<Fact> {
    let state = &core.state;
    let ago = |then| coarse(state.now.since(then));
    let mine = |owner: &crate::state::Owner| owner.as_ref() == Some(id);
    let mut facts = Vec::new();
    let mut findings: Vec<_> = core
        .detector
        .findings()
        .iter()
        .filter(|f| mine(&f.container) && f.silenced.is_none())
        .collect();
    findings.sort_by_key(|f| std::cmp::Reverse((f.severity, f.last)));
    facts.push(heading(format!("Findings, {}", findings.len())));
    facts.extend(findings.iter().take(MOST).map(|f| {
        let letter = f.severity.letter();
        // Numbers come first: at the end they would stand alone on a line.
        let text = format!("{:<4} {}{}", ago(f.last), times(f.count), f.title);
        fact(&format!("{letter} {}", f.rule), text)
    }));
    more(&mut facts, findings.len(), Pane::Findings);
    let mut drift: Vec<_> = state
        .files
        .iter()
        .filter(|(key, _)| mine(&key.owner))
        .filter_map(|(key, activity)| Some((activity.differs()?, key, activity)))
        .collect();
    drift.sort_by_key(|(_, _, activity)| std::cmp::Reverse(activity.last));
    facts.push(heading(format!(
        "Drift, {} seen to change",
        things(drift.len() as u64, "file")
    )));
    facts.extend(drift.iter().take(MOST).map(|(sign, key, activity)| {
        let text = format!(
            "{:<4} {}  by {}",
            ago(activity.last),
            key.path.escaped(),
            activity.comm.escaped()
        );
        fact(&sign.to_string(), text)
    }));
    more(&mut facts, drift.len(), Pane::Files);
    let mut connections: Vec<_> = state
        .connections
        .iter()
        .filter(|(key, _)| mine(&key.owner))
        .collect();
    connections.sort_by_key(|(_, connection)| std::cmp::Reverse(connection.last));
    facts.push(heading(format!("Connections, {}", connections.len())));
    facts.extend(connections.iter().take(MOST).map(|(key, connection)| {
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
        fact(direction, text)
    }));
    more(&mut facts, connections.len(), Pane::Network);
    let forgotten = state.containers.get(id).map_or(0, |c| c.forgotten);
    if forgotten > 0 {
        let what = times(forgotten);
        facts.push(heading("No longer kept"));
        facts.push(fact(
            "",
            format!("{what}a file, connection or ended process: a recording has them all"),
        ));
    }
    facts.push(heading("Facts"));
    facts
}

/// How many are not listed here, and which tab has them.
fn more(facts: &mut Vec<Fact>, all: usize, tab: Pane) {
    if all > MOST {
        let text = format!("{} more: tab {}", all - MOST, tab.title());
        facts.push(fact("", text));
    }
}
