//! Stream → state → findings: the one way both live and replayed events go.

use std::sync::Arc;

use crate::detect::{Detector, Settings};
use crate::event::Event;
use crate::state::State;

/// State and findings after the events so far.
#[derive(Debug, Clone, Default)]
pub struct Core {
    /// The world.
    pub state: State,
    /// The rules and what they found.
    pub detector: Detector,
}

impl Core {
    /// An empty world.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            state: State::default(),
            detector: Detector::new(settings),
        }
    }

    /// Applies one event.
    pub fn apply(&mut self, event: &Arc<Event>) {
        self.state.apply(event);
        self.detector.apply(&self.state, event);
    }
}
