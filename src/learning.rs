//! Learns baselines from a stream: hands the learner each event with what the rules found at it.

use std::sync::Arc;

use crate::baseline::{Learner, Suspicion};
use crate::core::Core;
use crate::detect::Settings;
use crate::event::Event;
use crate::recording::Follower;
use crate::state::snapshot;
use parking_lot::Mutex;

/// Takes an event that the core has applied.
pub fn learn(learner: &mut Learner, event: &Event, core: &Core) {
    let findings = core.detector.findings();
    let latest = core.detector.latest();
    let found: Vec<Suspicion> = latest
        .iter()
        .filter_map(|index| findings.get(index.get()))
        .filter(|finding| finding.silenced.is_none())
        .filter_map(|finding| {
            Some(Suspicion {
                finding: format!("{} {}", finding.rule, finding.id),
                severity: finding.severity,
                container: finding.container.clone()?,
                pid: finding.ancestry.first().map_or(0, |process| process.pid),
            })
        })
        .collect();
    learner.apply(&core.state, event, &found);
}

/// Begins to learn in the middle of a session: the learner is told what is there, as by a session that
/// finds the containers running.
pub fn meet(learner: &mut Learner, core: &Core) {
    for there in snapshot(&core.state, 0) {
        learner.apply(&core.state, &there, &[]);
    }
}

/// A learner of a session with these settings.
#[must_use]
pub fn learner(settings: &Settings) -> Learner {
    Learner::new(settings.startup_grace)
}

/// A learner that follows a recording as it is made.
#[derive(Debug, Clone)]
pub struct LiveLearner(pub Arc<Mutex<Learner>>);

impl Follower for LiveLearner {
    fn event(&mut self, event: &Event, core: &Core) {
        learn(&mut self.0.lock(), event, core);
    }
}
