//! Results of `:learn` and `:diff`, shown on the tabs of a container.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::baseline::{Baseline, Diff, Learner};
use crate::core::Core;
use crate::event::{ContainerId, Timestamp};
use crate::learning::file_name;

/// Items learned from every container since `:learn`.
#[derive(Debug, Clone)]
pub(super) struct ScreenLearner {
    learner: Arc<Mutex<Learner>>,
    /// When it began.
    pub(super) since: Timestamp,
}

impl ScreenLearner {
    pub(super) fn new(learner: Arc<Mutex<Learner>>, since: Timestamp) -> Self {
        Self { learner, since }
    }

    /// Items learned of a container so far.
    pub(super) fn baseline(&self, id: &ContainerId) -> Option<Baseline> {
        self.learner.lock().baseline(id)
    }
}

/// A baseline compared with a container's behavior.
#[derive(Debug, Clone)]
pub(super) struct BaselineComparison {
    pub(super) container: ContainerId,
    /// The compared file.
    pub(super) with: String,
    pub(super) diff: Diff,
}

/// The applicable baseline: the loaded one, else the one learned here so far.
pub(super) fn baseline_of(
    core: &Core,
    learner: Option<&ScreenLearner>,
    id: &ContainerId,
) -> Option<Baseline> {
    let container = core.state.containers.get(id)?;
    match core.detector.baseline_of(container) {
        Some(known) => Some(known.baseline.clone()),
        None => learner?.baseline(id),
    }
}

/// The file for a container's baseline.
pub(super) fn file_of(core: &Core, id: &ContainerId) -> String {
    let container = core.state.containers.get(id);
    let name = container.map_or_else(|| id.short().to_owned(), |c| c.display_name());
    file_name(&name, 0)
}
