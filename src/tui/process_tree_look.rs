//! How the tree on a process's page is looked at: what is open, what is selected.

use std::collections::BTreeSet;

use tui_tree_widget::TreeState;

/// Host pids from the farthest ancestor down.
pub(super) type ProcessPath = Vec<u32>;

/// How the tree of a process is looked at.
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
    /// The look on the page of a process that is at `path`: as it was left, or with all ancestors
    /// and the process itself open when the page is another.
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

    /// Opens what is closed, and closes what is open.
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
