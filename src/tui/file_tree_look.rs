//! The view state of the tree of files: open directories, selection.

use std::collections::BTreeSet;

use tui_tree_widget::TreeState;

/// A path in the tree: directories end with `/`.
pub(super) type NodePath = Vec<String>;

/// The view state of the tree.
#[derive(Debug, Clone, Default)]
pub(super) struct TreeLook {
    /// Directories whose content is shown.
    pub(super) opened: BTreeSet<NodePath>,
    /// The selected node; empty: the first.
    pub(super) selected: NodePath,
}

impl TreeLook {
    /// The state of the widget, without its offset.
    pub(super) fn state(&self) -> TreeState<String> {
        let mut state = TreeState::default();
        for path in &self.opened {
            state.open(path.clone());
        }
        state
    }
}
