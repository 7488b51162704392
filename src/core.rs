//! Stream → state → findings: the same path for live and replayed events.

use std::sync::Arc;

use crate::detect::{self, Detector, Settings};
use crate::event::Event;
use crate::evidence::{self, Evidence};
use crate::incident::{Incident, IncidentId, Incidents};
use crate::state::{self, State};

/// State and findings after the events so far.
#[derive(Debug, Clone, Default)]
pub struct Core {
    /// Containers, processes, connections, files.
    pub state: State,
    /// The rules and their findings.
    pub detector: Detector,
    /// Findings joined into incidents.
    pub incidents: Incidents,
    evidence: Evidence,
}

impl Core {
    /// No events yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            state: State::within(settings.memory),
            evidence: Evidence::within(settings.memory),
            detector: Detector::new(settings),
            incidents: Incidents::default(),
        }
    }

    /// Applies one event.
    pub fn apply(&mut self, event: &Arc<Event>) {
        // State and rules get the path a link leads to, not the link's.
        let seen = self.detector.see_through(&self.state, event).map(Arc::new);
        let event = seen.as_ref().unwrap_or(event);
        self.state.apply(event);
        self.detector.apply(&self.state, event);
        self.incidents.apply(&self.state, &self.detector);
        let findings = self.detector.findings();
        let latest = || { self.detector.latest().iter() }.map(|index| index.get());
        for place in latest() {
            if let Some(whole) = findings.get(place).and_then(|finding| finding.part_of) {
                self.evidence
                    .pass_on(place, whole.0.saturating_sub(1) as usize);
            }
        }
        for place in latest() {
            if let Some(finding) = findings.get(place).filter(|f| f.part_of.is_none()) {
                let recent = &self.state.recent;
                self.evidence.keep(place, &finding.evidence, recent);
            }
        }
    }

    /// All incidents that are not silenced, the likeliest break-in first.
    #[must_use]
    pub fn ranked_incidents(&self) -> Vec<Incident> {
        self.incidents.ranked(&self.state, &self.detector)
    }

    /// The incidents that were accepted, in the same order.
    #[must_use]
    pub fn accepted_incidents(&self) -> Vec<Incident> {
        self.incidents.accepted(&self.state, &self.detector)
    }

    /// The incident of this number, also an accepted one.
    #[must_use]
    pub fn incident(&self, id: IncidentId) -> Option<Incident> {
        self.incidents.get(&self.state, &self.detector, id)
    }

    /// An event of the recent past, or one that is evidence of a finding.
    #[must_use]
    pub fn event(&self, seq: u64) -> Option<&Arc<Event>> {
        let recent = self.state.recent.event(seq);
        recent.or_else(|| self.evidence.event(seq))
    }
}

/// A compressed core: a keyframe to seek to.
#[derive(Debug)]
pub(crate) struct PackedCore {
    state: state::PackedState,
    detector: detect::Frozen,
    incidents: Incidents,
    evidence: evidence::FrozenEvidence,
}

impl Core {
    /// Compresses the core; `None` when that fails.
    pub(crate) fn freeze(&self) -> Option<PackedCore> {
        Some(PackedCore {
            state: self.state.freeze()?,
            detector: self.detector.freeze()?,
            incidents: self.incidents.clone(),
            evidence: self.evidence.freeze()?,
        })
    }
}

impl PackedCore {
    /// Restores the core; `None` when it was not packed here.
    pub(crate) fn thaw(&self) -> Option<Core> {
        Some(Core {
            state: self.state.thaw()?,
            detector: self.detector.thaw()?,
            incidents: self.incidents.clone(),
            evidence: self.evidence.thaw()?,
        })
    }

    /// Approximate size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.state.bytes() + self.detector.bytes() + self.evidence.bytes()
    }
}
