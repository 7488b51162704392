//! The files that differ from the image as a tree of directories that can be folded: its nodes and
//! keys.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::action::Action;
use super::file_tree_look::{NodePath, TreeLook};
use super::rows::{self, FlaggedTargets, Query, RowKey};
use super::ui::Ui;
use crate::core::Core;
use crate::detect::Severity;
use crate::state::FileKey;

/// Maximum depth; deeper directories are part of a file's name: paths come from containers.
const DEEPEST: usize = 48;

/// A directory or a file.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The worst finding about it or something below.
    pub(super) worst: Option<Severity>,
    /// Files below.
    pub(super) files: u64,
    /// The difference, the latest operation and its process.
    pub(super) file: Option<(char, String)>,
    key: Option<FileKey>,
    below: BTreeMap<String, Node>,
}

impl Node {
    /// The tree of all files that differ, of the shown container or of all.
    pub(super) fn of(core: &Core, query: &Query<'_>) -> Self {
        let flagged = FlaggedTargets::new(core);
        let mut root = Self::default();
        for (key, activity) in &core.state.files {
            let Some(sign) = activity.differs().filter(|_| query.wants(&key.owner)) else {
                continue;
            };
            let severity = flagged.file(key);
            let path = key.path.escaped().to_string();
            let mut parts: Vec<&str> = path
                .splitn(DEEPEST, '/')
                .filter(|p| !p.is_empty())
                .collect();
            let container = rows::name(core, &key.owner);
            if query.container.is_none() {
                parts.insert(0, &container);
            }
            let Some((name, directories)) = parts.split_last() else {
                continue;
            };
            let mut at = &mut root;
            for directory in directories {
                at.count(severity);
                at = at.below.entry(format!("{directory}/")).or_default();
            }
            at.count(severity);
            let did = rows::word(&activity.last_op);
            let text = format!("{did} by {}", activity.comm.escaped());
            let file = at.below.entry((*name).to_owned()).or_default();
            file.worst = severity;
            file.file = Some((sign, text));
            file.key = Some(key.clone());
        }
        root
    }

    fn count(&mut self, severity: Option<Severity>) {
        self.files += 1;
        self.worst = self.worst.max(severity);
    }

    /// The nodes below, flagged ones first; a directory with only one subdirectory is joined with
    /// it.
    pub(super) fn children(&self) -> Vec<(String, &Self)> {
        let mut children: Vec<(String, &Self)> = self
            .below
            .iter()
            .map(|(name, node)| {
                let (mut name, mut node) = (name.clone(), node);
                while let [(below, only)] = node.below.iter().collect::<Vec<_>>()[..]
                    && only.file.is_none()
                {
                    name.push_str(below);
                    node = only;
                }
                (name, node)
            })
            .collect();
        children.sort_by(|(a, x), (b, y)| (Reverse(x.worst), a).cmp(&(Reverse(y.worst), b)));
        children
    }

    /// The node of a path.
    fn find(&self, path: &[String]) -> Option<&Self> {
        let mut at = self;
        for part in path.iter().flat_map(|part| part.split_inclusive('/')) {
            at = at.below.get(part)?;
        }
        Some(at)
    }

    /// The visible nodes, from the top.
    fn visible(&self, look: &TreeLook) -> Vec<NodePath> {
        let mut all = Vec::new();
        let mut open: Vec<(NodePath, &Self)> = vec![(Vec::new(), self)];
        while let Some((path, node)) = open.pop() {
            let shown = path.is_empty() || look.opened.contains(&path);
            if !path.is_empty() {
                all.push(path.clone());
            }
            if shown {
                open.extend(node.children().into_iter().rev().map(|(name, child)| {
                    let mut below = path.clone();
                    below.push(name);
                    (below, child)
                }));
            }
        }
        all
    }
}

impl Ui {
    /// The tree of files is shown.
    pub(super) fn on_file_tree(&self) -> bool {
        self.at.detail == Some(RowKey::FileTree)
    }

    /// Whether the tree of files handles this action.
    pub(super) fn tree_takes(&self, action: Action) -> bool {
        let takes = matches!(
            action,
            Action::Move(_)
                | Action::Page(_)
                | Action::HalfPage(_)
                | Action::First
                | Action::Last
                | Action::Sideways(_)
                | Action::Enter
                | Action::Tree
        );
        takes && self.on_file_tree()
    }

    /// Does an action in the tree of files.
    pub(super) fn in_file_tree(&mut self, action: Action, core: &Core) {
        let root = Node::of(core, &self.query());
        let visible = root.visible(&self.file_tree);
        let at = visible.iter().position(|p| *p == self.file_tree.selected);
        let (at, last) = (at.unwrap_or(0), visible.len().saturating_sub(1));
        let Some(here) = visible.get(at).cloned() else {
            return;
        };
        let go = |by: isize| visible[at.saturating_add_signed(by).min(last)].clone();
        let page = isize::try_from(self.drawn.page.max(2)).unwrap_or(isize::MAX);
        let directory = here.last().is_some_and(|name| name.ends_with('/'));
        let look = &mut self.file_tree;
        match action {
            Action::Move(by) => look.selected = go(by),
            Action::Page(by) => look.selected = go(by.saturating_mul(page)),
            Action::HalfPage(by) => look.selected = go(by.saturating_mul(page / 2)),
            Action::First => look.selected = go(isize::MIN / 2),
            Action::Last => look.selected = go(isize::MAX / 2),
            Action::Sideways(1) if directory => {
                look.opened.insert(here.clone());
                look.selected = here;
            }
            Action::Sideways(-1) if look.opened.remove(&here) => look.selected = here,
            Action::Sideways(-1) if here.len() > 1 => {
                look.selected = here[..here.len() - 1].to_vec();
            }
            Action::Enter if directory => {
                if !look.opened.remove(&here) {
                    look.opened.insert(here.clone());
                }
                look.selected = here;
            }
            Action::Enter => {
                let key = root.find(&here).and_then(|node| node.key.clone());
                look.selected = here;
                if let Some(key) = key {
                    self.open(RowKey::File(key));
                }
            }
            Action::Tree => self.back(),
            _ => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tui::tests::{demo, press, screen};

    #[test]
    fn changed_files_fold_by_directory_and_lead_to_their_page() {
        let core = demo();
        let mut ui = Ui::default();
        press(&mut ui, &core, "6 t");
        assert!(ui.on_file_tree());
        let text = screen(&core, &mut ui, 80, 24).join("\n");
        assert!(
            text.contains("shop-web/") && text.contains("files"),
            "{text}"
        );
        assert!(!text.contains("passwd"), "folded: {text}");
        // Everything is unfolded, down to a file.
        for _ in 0..40 {
            press(&mut ui, &core, "Right j");
        }
        let text = screen(&core, &mut ui, 120, 60).join("\n");
        assert!(text.contains("passwd"), "{text}");
        press(&mut ui, &core, "G");
        screen(&core, &mut ui, 80, 24);
        press(&mut ui, &core, "Enter");
        assert!(matches!(ui.at.detail, Some(RowKey::File(_))));
        press(&mut ui, &core, "Esc");
        assert!(ui.on_file_tree());
        press(&mut ui, &core, "t");
        assert!(ui.listing());
    }
}
