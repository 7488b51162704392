//! The ancestry and the descendants of the process whose page is shown, as a tree that folds: its
//! nodes and keys.

use std::collections::{BTreeMap, BTreeSet};

use super::action::Action;
use super::process_tree_look::{ProcessPath, ProcessTreeLook};
use super::rows::{self, RowKey};
use super::ui::Ui;
use crate::core::Core;
use crate::detect::Severity;
use crate::state::{Owner, ProcessEntry};

/// Maximum depth; deeper descendants are only counted.
const DEEPEST: usize = 32;
/// Maximum number of processes in a tree; further ones are counted.
const MOST: usize = 500;

/// A process of the tree.
#[derive(Debug)]
pub(super) struct ProcessNode {
    /// Its host pid.
    pub(super) pid: u32,
    /// The worst open finding about it.
    pub(super) worst: Option<Severity>,
    /// It has ended.
    pub(super) ended: bool,
    /// Its command line and the origin of its program.
    pub(super) text: String,
    /// Its children in the order in which they started; of an ancestor only the one on the path.
    pub(super) below: Vec<ProcessNode>,
    /// Processes below that are not in the tree.
    pub(super) left_out: usize,
}

/// The source data of a tree.
struct TreeSource<'a> {
    children: BTreeMap<u32, Vec<&'a ProcessEntry>>,
    worst: BTreeMap<u32, Severity>,
    /// Processes that are in the tree.
    seen: BTreeSet<u32>,
}

impl<'a> TreeSource<'a> {
    fn new(core: &'a Core, owner: &'a Owner) -> Self {
        let mut children: BTreeMap<u32, Vec<&ProcessEntry>> = BTreeMap::new();
        for process in core.state.processes.values() {
            if process.owner == *owner && process.ppid != process.pid && !process.runtime {
                children.entry(process.ppid).or_default().push(process);
            }
        }
        for siblings in children.values_mut() {
            siblings.sort_by_key(|process| (process.started, process.pid));
        }
        let mut worst: BTreeMap<u32, Severity> = BTreeMap::new();
        for finding in core.detector.findings() {
            if let (Some(process), true) = (finding.ancestry.first(), finding.is_open())
                && finding.container == *owner
            {
                let known = worst.entry(process.pid).or_insert(finding.severity);
                *known = (*known).max(finding.severity);
            }
        }
        Self {
            children,
            worst,
            seen: BTreeSet::new(),
        }
    }

    fn node(&self, process: &ProcessEntry) -> ProcessNode {
        ProcessNode {
            pid: process.pid,
            worst: self.worst.get(&process.pid).copied(),
            ended: process.exited.is_some(),
            text: format!("{} [{}]", rows::command(process), rows::origin(process)),
            below: Vec::new(),
            left_out: 0,
        }
    }

    /// A process with its descendants, down to `left` steps below.
    fn descend(&mut self, process: &ProcessEntry, left: usize) -> ProcessNode {
        let mut node = self.node(process);
        for child in self.children.get(&process.pid).cloned().unwrap_or_default() {
            if left == 0 || self.seen.len() >= MOST {
                node.left_out += 1;
            } else if self.seen.insert(child.pid) {
                let below = self.descend(child, left - 1);
                node.left_out += below.left_out;
                node.below.push(below);
            }
        }
        node
    }
}

impl ProcessNode {
    /// The tree of a process from its farthest ancestor in the container, and its path in it;
    /// `None` when the process is no longer known.
    pub(super) fn of(core: &Core, pid: u32) -> Option<(Self, ProcessPath)> {
        let process = core.state.processes.get(&pid)?;
        let ancestry: Vec<&ProcessEntry> = core.state.ancestry(pid).collect();
        let mut source = TreeSource::new(core, &process.owner);
        source.seen.extend(ancestry.iter().map(|p| p.pid));
        let mut node = source.descend(process, DEEPEST);
        for ancestor in ancestry.iter().skip(1) {
            let mut above = source.node(ancestor);
            above.left_out = node.left_out;
            above.below.push(node);
            node = above;
        }
        let path = ancestry.iter().rev().map(|p| p.pid).collect();
        Some((node, path))
    }

    /// The processes below it.
    pub(super) fn count(&self) -> usize {
        self.below.iter().map(|node| 1 + node.count()).sum()
    }

    /// The visible paths, from the top.
    pub(super) fn shown(&self, look: &ProcessTreeLook) -> Vec<ProcessPath> {
        let mut all = Vec::new();
        self.visible(&[], look, &mut all);
        all
    }

    fn visible(&self, above: &[u32], look: &ProcessTreeLook, all: &mut Vec<ProcessPath>) {
        let path = [above, &[self.pid]].concat();
        all.push(path.clone());
        if look.opened.contains(&path) {
            for node in &self.below {
                node.visible(&path, look, all);
            }
        }
    }
}

impl Ui {
    /// The process whose page is shown.
    pub(super) fn process_of_page(&self) -> Option<u32> {
        match self.at.detail {
            Some(RowKey::Process(pid)) => Some(pid),
            _ => None,
        }
    }

    /// Whether the tree on a process's page handles this action.
    pub(super) fn process_tree_takes(&self, action: Action) -> bool {
        let takes = matches!(
            action,
            Action::Move(_) | Action::Sideways(_) | Action::Enter
        );
        takes && self.process_of_page().is_some()
    }

    /// Does an action in the tree on a process's page.
    pub(super) fn in_process_tree(&mut self, action: Action, core: &Core) {
        let Some(page) = self.process_of_page() else {
            return;
        };
        let Some((root, path)) = ProcessNode::of(core, page) else {
            return;
        };
        let mut look = self.process_tree.on_page(page, &path);
        let visible = root.shown(&look);
        let at = visible.iter().position(|path| *path == look.selected);
        let (at, last) = (at.unwrap_or(0), visible.len().saturating_sub(1));
        let Some(here) = visible.get(at).cloned() else {
            return;
        };
        match action {
            Action::Move(by) => {
                look.selected = visible[at.saturating_add_signed(by).min(last)].clone()
            }
            Action::Sideways(1) => {
                look.opened.insert(here);
            }
            Action::Sideways(-1) if look.opened.remove(&here) => {}
            Action::Sideways(-1) if here.len() > 1 => {
                look.selected = here[..here.len() - 1].to_vec();
            }
            Action::Enter if here.last() == Some(&page) => look.turn(here),
            Action::Enter => {
                if let Some(pid) = here.last() {
                    self.open(RowKey::Process(*pid));
                    return;
                }
            }
            _ => {}
        }
        self.process_tree = look;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tui::tests::{demo, press, screen};

    #[test]
    fn a_processs_page_has_its_ancestry_as_a_tree_that_folds() {
        let core = demo();
        let mut ui = Ui::default();
        let mut processes = core.state.processes.values();
        // A process with a parent and a child of its own.
        let deep = |pid: u32| core.state.ancestry(pid).count();
        let process = processes
            .find(|p| deep(p.pid) > 1 && core.state.processes.values().any(|c| c.ppid == p.pid))
            .unwrap();
        let child = core.state.processes.values();
        let child = child.clone().find(|c| c.ppid == process.pid).unwrap().pid;
        ui.open(RowKey::Process(process.pid));
        let text = |ui: &mut Ui| screen(&core, ui, 120, 40).join("\n");
        let shown = text(&mut ui);
        assert!(shown.contains("Process tree"), "{shown}");
        let line = format!("{child} ");
        assert!(shown.contains(&line), "the child is shown: {shown}");
        press(&mut ui, &core, "Left");
        let shown = text(&mut ui);
        let tree = &shown[shown.find("Process tree").unwrap()..];
        assert!(!tree.contains(&line), "folded: {tree}");
        assert!(tree.contains(" below"), "what is folded is counted: {tree}");
        press(&mut ui, &core, "Right j Enter");
        assert_ne!(ui.process_of_page(), Some(process.pid));
        press(&mut ui, &core, "Esc");
        assert_eq!(ui.process_of_page(), Some(process.pid));
        press(&mut ui, &core, "k k Enter");
        assert_eq!(ui.process_of_page(), Some(process.ppid));
        for (width, height) in [(40, 10), (40, 2), (20, 5), (80, 24)] {
            screen(&core, &mut ui, width, height);
        }
    }
}
