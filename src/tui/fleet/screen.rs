//! The state of the screen of many hosts.

use super::rows::{FleetPane, FleetRow};

/// The state of the screen, which stays while a host is open.
#[derive(Debug, Clone, Default)]
pub struct FleetScreen {
    pub(super) pane: FleetPane,
    /// The selected row of each pane, by what it is about.
    pub(super) selected: [String; 3],
    /// The first row drawn, of each pane.
    pub(super) top: [usize; 3],
    pub(super) help: bool,
    /// Height of the table in the last frame.
    pub(super) height: usize,
}

impl FleetScreen {
    /// The place of the selected row; the first while that is not there.
    pub(super) fn at(&self, rows: &[FleetRow]) -> usize {
        let selected = &self.selected[self.pane as usize];
        rows.iter()
            .position(|row| row.key == *selected)
            .unwrap_or(0)
    }
}
