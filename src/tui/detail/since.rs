//! The page of changes since a moment: findings, containers, programs, connections, files.

use std::collections::{BTreeMap, BTreeSet};

use super::line::{DetailLine, fact, flagged, heading};
use crate::core::Core;
use crate::event::{Bytes, Timestamp};
use crate::state::{Direction, Owner, ProcessEntry};
use crate::tui::rows::{self, Query};
use crate::tui::text::{span, times};

/// Lines of each part.
const MOST: usize = 100;

/// Everything newer than `then`, as of the moment shown; inside a container, only that container's.
pub(super) fn facts(core: &Core, query: &Query<'_>, then: Timestamp) -> Vec<DetailLine> {
    let mut facts = vec![fact(
        "",
        format!("{} passed", span(core.state.now.since(then))),
    )];
    if then <= core.state.began {
        let line = "since hullwatch started: earlier changes are unknown";
        facts.push(fact("", line));
    }
    part(&mut facts, "New findings", findings(core, query, then));
    part(&mut facts, "Containers", containers(core, query, then));
    part(
        &mut facts,
        "Programs not run before",
        programs(core, query, then),
    );
    part(
        &mut facts,
        "New connections and listeners",
        network(core, query, then),
    );
    part(
        &mut facts,
        "Files changed for the first time",
        files(core, query, then),
    );
    facts
}

/// A heading with the number of lines, and the first lines.
fn part(facts: &mut Vec<DetailLine>, title: &str, mut lines: Vec<DetailLine>) {
    let all = lines.len();
    facts.push(heading(format!("{title}: {all}")));
    lines.truncate(MOST);
    facts.append(&mut lines);
    if all > MOST {
        facts.push(fact("", format!("{} more", all - MOST)));
    }
}

fn findings(core: &Core, query: &Query<'_>, then: Timestamp) -> Vec<DetailLine> {
    let mut new: Vec<_> = core
        .detector
        .findings()
        .iter()
        .filter(|f| f.first > then && f.is_open() && query.wants(&f.container))
        .collect();
    new.sort_by_key(|f| std::cmp::Reverse((f.severity, f.last)));
    let line = |f: &crate::detect::Finding| {
        let name = rows::name(core, &f.container);
        let text = format!("{name}  {}{}", times(f.count), f.title);
        flagged(f.severity, &f.id.to_string(), text)
    };
    new.into_iter().map(|finding| line(finding)).collect()
}

fn containers(core: &Core, query: &Query<'_>, then: Timestamp) -> Vec<DetailLine> {
    let mut lines = Vec::new();
    let all = core.state.containers.values();
    for container in all.filter(|c| query.wants(&Some(c.id.clone()))) {
        let name = container.display_name();
        let image = container.info.image.escaped();
        if container.started().is_some_and(|at| at > then) {
            lines.push(fact("started", format!("{name}  {image}")));
        }
        if let Some(ended) = container.ended.filter(|at| *at > then) {
            let code = container
                .exit_code
                .map_or(String::new(), |c| format!("  exit code {c}"));
            let ago = span(core.state.now.since(ended));
            lines.push(fact("ended", format!("{ago} ago  {name}{code}")));
        }
    }
    lines
}

/// Programs that run, or ran recently, for the first time since then.
fn programs(core: &Core, query: &Query<'_>, then: Timestamp) -> Vec<DetailLine> {
    let wanted = |p: &&std::sync::Arc<ProcessEntry>| !p.runtime && query.wants(&p.owner);
    let seen = || core.state.processes.values().filter(wanted);
    let of = |p: &ProcessEntry| -> (Owner, Bytes) { (p.owner.clone(), program(p)) };
    let before: BTreeSet<_> = seen()
        .filter(|p| p.started <= then)
        .map(|p| of(p))
        .collect();
    let mut new: BTreeMap<(Owner, Bytes), (u64, String)> = BTreeMap::new();
    for process in seen().filter(|p| p.started > then) {
        let key = of(process);
        if !before.contains(&key) {
            let entry = new.entry(key);
            entry.or_insert_with(|| (0, rows::command(process))).0 += 1;
        }
    }
    let lines = new.into_iter();
    lines
        .map(|((owner, _), (count, command))| {
            fact(
                &rows::name(core, &owner),
                format!("{}{command}", times(count)),
            )
        })
        .collect()
}

/// The program of a process: a busybox applet is another program than the busybox shell.
fn program(process: &ProcessEntry) -> Bytes {
    process.argv.first().unwrap_or(&process.exe).clone()
}

fn network(core: &Core, query: &Query<'_>, then: Timestamp) -> Vec<DetailLine> {
    let new = core
        .state
        .connections
        .iter()
        .filter(|(key, c)| c.first > then && query.wants(&key.owner));
    new.map(|(key, connection)| {
        let direction = match key.direction {
            Direction::Outbound => "to",
            Direction::Inbound => "from",
            Direction::Listening => "listens on",
        };
        let name = connection.name.as_ref();
        let name = name.map_or_else(String::new, |name| format!(" {}", name.escaped()));
        let text = format!(
            "{}{direction} {}{name}  by {}",
            times(connection.count),
            rows::endpoint(&key.endpoint),
            connection.comm.escaped(),
        );
        fact(&rows::name(core, &key.owner), text)
    })
    .collect()
}

fn files(core: &Core, query: &Query<'_>, then: Timestamp) -> Vec<DetailLine> {
    let new = core
        .state
        .files
        .iter()
        .filter(|(key, file)| file.first > then && query.wants(&key.owner));
    new.map(|(key, file)| {
        let sign = file.differs().unwrap_or(' ');
        let text = format!(
            "{sign} {}  {} by {}",
            key.path.escaped(),
            rows::word(&file.last_op),
            file.comm.escaped()
        );
        fact(&rows::name(core, &key.owner), text)
    })
    .collect()
}
