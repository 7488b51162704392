//! The view state of the tree on a process's page: open nodes, selection.

use std::collections::BTreeSet;

use tui_tree_widget::TreeState;

/// Host pids from the farthest ancestor down.
pub(super) type ProcessPath = Vec<u32>;

/// The view state of the tree.
#[derive(Debug, Clone, Default)]
pub(super) struct ProcessTreeLook {
    /// The process whose page it is on.
    page: Option<u32>,
    /// Processes whose children are shown.
    pub(super) opened: BTreeSet<ProcessPath>,
    /// The selected process.
    pub(super) selected: ProcessPath,
}

impl ProcessTreeLook {
    /// The view state for the process at `path`: unchanged on the same page, else all ancestors and
    /// the process itself are open.
    pub(super) fn on_page(&self, page: u32, path: &[u32]) -> Self {
        if self.page == Some(page) {
            return self.clone();
        }
        Self {
            page: Some(page),
            opened: (1..=path.len()).map(|end| path[..end].to_vec()).collect(),
            selected: path.to_vec(),
        }
    }

    /// Toggles a node.
    pub(super) fn turn(&mut self, path: ProcessPath) {
        if !self.opened.remove(&path) {
            self.opened.insert(path);
        }
    }

    /// The state of the widget, without its offset.
    pub(super) fn state(&self) -> TreeState<u32> {
        let mut state = TreeState::default();
        for path in &self.opened {
            state.open(path.clone());
        }
        state
    }
}
