//! Processes: a tree, or a list; those that ended are kept a while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::query::Query;
use super::row::{Row, RowKey};
use super::screen::ScreenDef;
use super::words::{command, name, origin};
use crate::core::Core;
use crate::detect::Severity;
use crate::event::Origin;
use crate::state::{Lineage, Owner, ProcessEntry};
use crate::tui::pane::Pane;
use crate::tui::table::{Column, Unit};
use crate::tui::text::{bytes, coarse};
use crate::tui::theme::Token;

pub(super) const SCREEN: ScreenDef = ScreenDef {
    pane: Pane::Processes,
    name: "processes",
    title: "Processes",
    short: "Proc",
    over: "ended",
    columns: COLUMNS,
    empty: &[
        "No processes here.",
        "Every program that starts is listed, with the origin of its file.",
    ],
    count: running,
    outline,
    write,
};

const COLUMNS: &[Column] = &[
    Column::severity(),
    Column::new("pid", "PID", 7, 1).right().counts(Unit::Count),
    Column::new("inside", "INSIDE", 6, 6)
        .right()
        .counts(Unit::Count),
    Column::new("user", "UID", 5, 4).right().counts(Unit::Count),
    Column::new("age", "AGE", 5, 3).counts(Unit::Seconds),
    Column::new("cpu", "CPU%", 5, 7)
        .right()
        .counts(Unit::PerMille),
    Column::new("mem", "MEM", 5, 8).right().counts(Unit::Bytes),
    Column::new("origin", "ORIGIN", 9, 2),
    Column::new("from", ">", 1, 2),
    Column::new("command", "COMMAND", 24, 0).main(),
    Column::container(5),
];

/// Running processes.
fn running(core: &Core, query: &Query<'_>) -> Option<usize> {
    let all = core.state.processes.values();
    let running = all.filter(|p| p.exited.is_none() && !p.runtime && query.wants(&p.owner));
    Some(running.count())
}

/// Maximum depth that is drawn.
const DEEPEST: usize = 12;

type ProcessMap<'a> = BTreeMap<u32, &'a ProcessEntry>;

fn outline(core: &Core, query: &Query<'_>) -> Vec<Row> {
    let hide = query.hide_ended;
    let shown: ProcessMap<'_> = core
        .state
        .processes
        .iter()
        .filter(|(_, process)| query.wants(&process.owner) && !process.runtime)
        .filter(|(_, process)| !hide || process.exited.is_none())
        .map(|(pid, process)| (*pid, &**process))
        .collect();
    let flagged = flagged(core);
    if !query.tree() {
        let mut rows: Vec<Row> = shown
            .values()
            .map(|process| row(process, &flagged))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.at, row.key.clone())));
        return rows;
    }
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (pid, process) in &shown {
        match shown.get(&process.ppid) {
            Some(parent)
                if parent.owner == process.owner
                    && process.ppid != *pid
                    && parent.lived_at(process.started) =>
            {
                children.entry(process.ppid).or_default().push(*pid);
            }
            _ => roots.push(*pid),
        }
    }
    // Siblings in the order in which they started: pids wrap around.
    for siblings in children.values_mut() {
        siblings.sort_by_key(|pid| (shown.get(pid).map(|process| process.started), *pid));
    }
    roots.sort_by_cached_key(|pid| shown.get(pid).map(|p| (name(core, &p.owner), p.started)));
    let mut rows = Vec::new();
    let mut visited = BTreeSet::new();
    // The text before a row: bars of the ancestors that have further children below.
    let mut stack: Vec<TreeNode> = roots.into_iter().rev().map(TreeNode::root).collect();
    while let Some(node) = stack.pop() {
        let Some(process) = shown.get(&node.pid).filter(|_| visited.insert(node.pid)) else {
            continue;
        };
        let below = children.get(&node.pid).map_or(&[][..], Vec::as_slice);
        let below = collapsed(below, &children, &flagged, &shown, query);
        // Matching rows are not folded.
        let folded =
            query.filter.is_empty() && query.folded.contains(&node.pid) && !below.is_empty();
        let sign = if folded { "+ " } else { "" };
        let alike = if node.alike > 1 {
            format!("{}× ", node.alike)
        } else {
            String::new()
        };
        let indent = format!("{}{sign}{alike}", node.drawn());
        let mut row = row(process, &flagged);
        row.depth = node.depth;
        row.lead = indent;
        if folded {
            let worst = worst_below(node.pid, &children, &flagged, &shown);
            row.severity = worst.max(row.severity);
        } else {
            let last = below.len().saturating_sub(1);
            let nodes = below.iter().enumerate().rev();
            stack.extend(nodes.map(|(at, child)| node.child(*child, at == last)));
        }
        rows.push(row);
    }
    rows
}

/// The children of a process. Of ended ones that are alike only the latest is kept, with their
/// number, so that a loop is one line of the tree. The list has each.
fn collapsed(
    below: &[u32],
    children: &BTreeMap<u32, Vec<u32>>,
    flagged: &BTreeMap<(&Owner, u32), Severity>,
    shown: &ProcessMap<'_>,
    query: &Query<'_>,
) -> Vec<(u32, u64)> {
    // A filter must find each of them.
    if !query.filter.is_empty() {
        return below.iter().map(|pid| (*pid, 1)).collect();
    }
    let mut kept: Vec<Option<(u32, u64)>> = Vec::with_capacity(below.len());
    let mut places = BTreeMap::new();
    for pid in below {
        let mut alike = 1;
        let ended = shown.get(pid).filter(|process| {
            process.exited.is_some()
                && !children.contains_key(pid)
                && !flagged.contains_key(&(&process.owner, *pid))
                && !query.marks.contains(&RowKey::Process(*pid))
        });
        if let Some(process) = ended {
            // The data for the row's text, which is only made for visible rows.
            let command = (&process.argv, &process.exe, &process.comm, process.forked);
            let end = (command, process.exit_code, process.exit_signal);
            if let Some(place) = places.insert(end, kept.len())
                && let Some((_, count)) = kept.get_mut(place).and_then(Option::take)
            {
                alike += count;
            }
        }
        kept.push(Some((*pid, alike)));
    }
    kept.into_iter().flatten().collect()
}

struct TreeNode {
    pid: u32,
    depth: usize,
    bars: String,
    last: bool,
    /// Number of ended processes that are alike; this is the latest of them.
    alike: u64,
}

impl TreeNode {
    fn root(pid: u32) -> Self {
        Self {
            pid,
            depth: 0,
            bars: String::new(),
            last: true,
            alike: 1,
        }
    }

    fn child(&self, (pid, alike): (u32, u64), last: bool) -> Self {
        let mut bars = self.bars.clone();
        if self.depth > 0 && self.depth < DEEPEST {
            bars.push_str(if self.last { "  " } else { "│ " });
        }
        Self {
            pid,
            depth: self.depth + 1,
            bars,
            last,
            alike,
        }
    }

    fn drawn(&self) -> String {
        match (self.depth, self.last) {
            (0, _) => String::new(),
            (_, true) => format!("{}└ ", self.bars),
            (_, false) => format!("{}├ ", self.bars),
        }
    }
}

/// Duration of an ended process, in four columns: `3ms`, `0.1s`, `42s`, `5m`.
pub(super) fn exact(span: Duration) -> String {
    match span.as_secs() {
        0 if span.as_millis() < 100 => format!("{}ms", span.as_millis()),
        0..10 => format!("{:.1}s", span.as_secs_f64()),
        10..60 => format!("{}s", span.as_secs()),
        _ => coarse(span),
    }
}

/// The worst finding of each process, by the process of its first occurrence.
fn flagged(core: &Core) -> BTreeMap<(&Owner, u32), Severity> {
    let mut flagged: BTreeMap<(&Owner, u32), Severity> = BTreeMap::new();
    for finding in core.detector.findings() {
        if let (Some(process), true) = (finding.ancestry.first(), finding.is_open()) {
            let worst = flagged
                .entry((&finding.container, process.pid))
                .or_insert(finding.severity);
            *worst = (*worst).max(finding.severity);
        }
    }
    flagged
}

fn worst_below(
    pid: u32,
    children: &BTreeMap<u32, Vec<u32>>,
    flagged: &BTreeMap<(&Owner, u32), Severity>,
    shown: &ProcessMap<'_>,
) -> Option<Severity> {
    let mut worst = None;
    let mut visited = BTreeSet::new();
    let mut todo = vec![pid];
    while let Some(pid) = todo.pop() {
        if !visited.insert(pid) {
            continue;
        }
        let owner = shown.get(&pid).map(|process| &process.owner);
        worst = worst.max(owner.and_then(|owner| flagged.get(&(owner, pid)).copied()));
        todo.extend(children.get(&pid).into_iter().flatten());
    }
    worst
}

fn row(process: &ProcessEntry, flagged: &BTreeMap<(&Owner, u32), Severity>) -> Row {
    let at = process.exited.unwrap_or(process.started);
    let mut row = Row::new(RowKey::Process(process.pid), at);
    row.faded = process.exited.is_some();
    row.severity = flagged.get(&(&process.owner, process.pid)).copied();
    row
}

fn write(core: &Core, _: &Query<'_>, row: &mut Row) {
    let RowKey::Process(pid) = row.key else {
        return;
    };
    let Some(process) = core.state.processes.get(&pid) else {
        return;
    };
    row.seen = Some((process.started, process.exited.unwrap_or(core.state.now)));
    row.letter(row.severity);
    row.count(u64::from(process.pid));
    row.count(u64::from(process.nspid));
    row.count(u64::from(super::inside_uid(core, process)));
    match process.exited {
        None => row.age(core, process.started),
        Some(exited) => {
            let ran = exited.since(process.started);
            row.number(ran.as_secs(), format!("x{}", exact(ran)));
        }
    }
    match core.state.usage.get(&process.pid) {
        Some(usage) if !row.faded => {
            let cpu = u64::from(usage.cpu_milli);
            row.near("cpu", cpu, 1000);
            row.number(cpu, format!("{}.{}", cpu / 10, cpu % 10));
            row.number(usage.memory, bytes(usage.memory));
        }
        _ => {
            row.text("");
            row.text("");
        }
    }
    match process.file.origin() {
        Origin::Upper => row.toned("origin", Token::Upper),
        Origin::CopiedUp => row.toned("origin", Token::Changed),
        Origin::Memfd | Origin::Deleted => row.toned("origin", Token::High),
        Origin::Image | Origin::Tmpfs | Origin::Volume | Origin::Unknown => {}
    }
    row.text(origin(process));
    let from_outside = process.lineage == Lineage::ExecSession(process.pid);
    row.text(if from_outside { ">" } else { "" });
    let end = match (process.exit_code, process.exit_signal) {
        (Some(code), _) => format!("  exit {code}"),
        (None, Some(signal)) => format!("  signal {signal}"),
        (None, None) if row.faded => "  ended".to_owned(),
        (None, None) => String::new(),
    };
    let lead = std::mem::take(&mut row.lead);
    row.text(format!("{lead}{}{end}", command(process)));
    row.text(name(core, &process.owner));
}
