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
    /// Overview of one container: only inside it.
    Overview,
    /// The baseline of a container: only inside it.
    Baseline,
    /// Advice for hardening a container: only inside it.
    Harden,
    /// The posture of a container: only inside it.
    Posture,
}

impl Pane {
    /// Whether its first row is the most important one, which is selected until the user chooses.
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

    /// Those that are a page, not a table.
    pub(super) const PAGES: [Self; 4] =
        [Self::Overview, Self::Baseline, Self::Harden, Self::Posture];

    /// Whether it is a page, not a table.
    pub(super) fn is_page(self) -> bool {
        Self::PAGES.contains(&self)
    }

    /// The tabs inside a container.
    pub const INSIDE: [Self; 10] = [
        Self::Overview,
        Self::Incidents,
        Self::Processes,
        Self::Network,
        Self::Files,
        Self::Findings,
        Self::Events,
        Self::Baseline,
        Self::Harden,
        Self::Posture,
    ];

    /// Panes with a table of their own.
    pub(super) const COUNT: usize = 12;

    /// Its index in lists of all screens.
    pub(super) fn index(self) -> usize {
        self as usize
    }
}
