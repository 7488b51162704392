//! What stands above the facts of a container: its findings, its drift, its connections.

use super::{Fact, fact, heading};
use crate::core::Core;
use crate::event::ContainerId;
use crate::state::Direction;
use crate::tui::rows;
use crate::tui::text::coarse;

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
        let text = format!("{}  x{}  {}", f.title, f.count, ago(f.last));
        fact(&format!("{letter} {}", f.rule), text)
    }));
    let mut drift: Vec<_> = state
        .files
        .iter()
        .filter(|(key, _)| mine(&key.owner))
        .filter_map(|(key, activity)| Some((activity.differs()?, key, activity)))
        .collect();
    drift.sort_by_key(|(_, _, activity)| std::cmp::Reverse(activity.last));
    facts.push(heading(format!(
        "Drift, {} files seen to change",
        drift.len()
    )));
    facts.extend(drift.iter().take(MOST).map(|(sign, key, activity)| {
        let text = format!(
            "{}  by {}  {}",
            key.path.escaped(),
            activity.comm.escaped(),
            ago(activity.last)
        );
        fact(&sign.to_string(), text)
    }));
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
            "{}{name}  {} x{}  {}",
            rows::endpoint(&key.endpoint),
            connection.comm.escaped(),
            connection.count,
            ago(connection.last)
        );
        fact(direction, text)
    }));
    facts.push(heading("Facts"));
    facts
}
