//! The screens: their identities and their orders.

use serde::{Deserialize, Serialize};

/// A screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pane {
    /// Incidents: findings that belong together.
    Incidents,
    /// Containers.
    #[default]
    Containers,
    /// Findings.
    Findings,
    /// Process tree.
    Processes,
    /// Connections and listening sockets.
    Network,
    /// Files.
    Files,
    /// Images.
    Images,
    /// The raw stream.
    Events,
    /// All about one container: only inside it.
    Overview,
}

impl Pane {
    /// Whether its first row is what matters most, so that it is selected until the user chooses.
    pub(super) fn is_ranked(self) -> bool {
        matches!(self, Self::Incidents | Self::Containers | Self::Findings)
    }

    /// The views, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Incidents,
        Self::Containers,
        Self::Findings,
        Self::Processes,
        Self::Network,
        Self::Files,
        Self::Images,
        Self::Events,
    ];

    /// The tabs inside a container.
    pub const INSIDE: [Self; 7] = [
        Self::Overview,
        Self::Incidents,
        Self::Processes,
        Self::Network,
        Self::Files,
        Self::Findings,
        Self::Events,
    ];

    /// Panes with a table of their own.
    pub(super) const COUNT: usize = 9;

    /// Its index in lists of all screens.
    pub(super) fn index(self) -> usize {
        self as usize
    }
}
