//! A baseline: the ordinary behavior of a container, and how it was learned.

use std::collections::{BTreeMap, BTreeSet};

use super::item::{BaselineItem, Facet, LifePhase};
use super::join::Join;
use crate::event::{Bytes, Timestamp};

/// Maximum number of items of a facet; with more of them the facet is not useful.
pub const MOST_ITEMS: usize = 4_096;
/// Maximum number of recordings and watches that a baseline may be learned from.
pub const MOST_SOURCES: usize = 256;
/// Maximum number of held items.
pub(super) const MOST_HELD: usize = 1_024;
/// Number of samples kept of an item and phase.
const MOST_SAMPLES: usize = 3;

/// The first samples (starts, or windows of five minutes) in which an item was seen: the id of the
/// source, and the number of the sample in it, from 1. Never more than three.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples(BTreeSet<(String, u32)>);

impl Samples {
    /// Adds a sample.
    pub fn add(&mut self, source: &str, sample: u32) {
        self.0.insert((source.to_owned(), sample));
        self.bound();
    }

    /// The samples, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().map(|(source, n)| (source.as_str(), *n))
    }

    /// Number of samples, 3 standing for three and more.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it was not seen in this phase.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn bound(&mut self) {
        while self.0.len() > MOST_SAMPLES {
            self.0.pop_last();
        }
    }

    fn join(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
        self.bound();
    }
}

/// The facts about an item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// How, a letter each. For a changed file: `c`reated, `w`ritten, `t`runcated, `m`ade directory,
    /// `d`eleted, `r`enamed, `l`inked, `a`ttributes, `n`ode, e`x`ecutable mapping, `i`mage file. Of
    /// a program: `s`et-user-id, `f`ile capabilities; of a
    /// capability: given by the program's `f`ile, whether used or not.
    pub how: BTreeSet<char>,
    /// Users.
    pub uid: BTreeSet<u32>,
    /// Samples of each phase in which it was seen.
    pub start: Samples,
    /// Samples of each phase in which it was seen.
    pub steady: Samples,
    /// Samples of each phase in which it was seen.
    pub stop: Samples,
}

impl Facts {
    /// The samples of a phase.
    #[must_use]
    pub fn samples(&self, phase: LifePhase) -> &Samples {
        match phase {
            LifePhase::Start => &self.start,
            LifePhase::Steady => &self.steady,
            LifePhase::Stop => &self.stop,
        }
    }

    /// The samples of a phase.
    pub fn samples_mut(&mut self, phase: LifePhase) -> &mut Samples {
        match phase {
            LifePhase::Start => &mut self.start,
            LifePhase::Steady => &mut self.steady,
            LifePhase::Stop => &mut self.stop,
        }
    }

    /// The phases in which it was seen, as text.
    #[must_use]
    pub fn phases(&self) -> String {
        let seen = LifePhase::ALL
            .into_iter()
            .filter(|phase| !self.samples(*phase).is_empty());
        let names: Vec<_> = seen.map(LifePhase::name).collect();
        names.join(", ")
    }
}

impl Join for Facts {
    fn join(&mut self, other: &Self) {
        self.how.extend(&other.how);
        self.uid.extend(&other.uid);
        for phase in LifePhase::ALL {
            self.samples_mut(phase).join(other.samples(phase));
        }
    }
}

/// One watch or recording of one container that a baseline was learned from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LearningSource {
    /// First event.
    pub from: Timestamp,
    /// Last event.
    pub until: Timestamp,
    /// Starts seen from the first program to the steady state.
    pub starts: u32,
    /// Ends seen.
    pub stops: u32,
    /// Windows of five minutes in the steady state.
    pub windows: u32,
    /// Seconds in the steady state.
    pub observed: u64,
    /// Events lost.
    pub lost: u64,
    /// Items over all starts: one that was seen in two of them counts twice.
    pub start_incidences: u64,
    /// Items over all windows.
    pub steady_incidences: u64,
    /// Peak of memory, bytes, rounded up.
    pub memory: u64,
    /// Peak of tasks.
    pub tasks: u32,
    /// Peak of CPU, thousandths of a core, rounded up.
    pub cpu: u32,
    /// Its files were compared with its image, and nothing that could be run differed.
    pub compared: bool,
    /// Settings it ran under: user, capabilities, seccomp and the like.
    pub under: BTreeMap<String, String>,
}

impl LearningSource {
    pub(super) fn join(&mut self, other: &Self) {
        self.from = self.from.min(other.from);
        self.until = self.until.max(other.until);
        self.starts = self.starts.max(other.starts);
        self.stops = self.stops.max(other.stops);
        self.windows = self.windows.max(other.windows);
        self.observed = self.observed.max(other.observed);
        self.lost = self.lost.max(other.lost);
        self.start_incidences = self.start_incidences.max(other.start_incidences);
        self.steady_incidences = self.steady_incidences.max(other.steady_incidences);
        self.memory = self.memory.max(other.memory);
        self.tasks = self.tasks.max(other.tasks);
        self.cpu = self.cpu.max(other.cpu);
        self.compared |= other.compared;
        for (key, value) in &other.under {
            let known = self.under.entry(key.clone()).or_default();
            if *known < *value {
                known.clone_from(value);
            }
        }
    }
}

/// The state of a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BaselineState {
    /// No start was seen, or events were lost.
    Partial,
    /// More observation is needed.
    Learning,
    /// The observation suffices.
    Ready,
    /// A person marked it as complete.
    Frozen,
}

impl BaselineState {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Partial => "partial",
            Self::Learning => "learning",
            Self::Ready => "ready",
            Self::Frozen => "frozen",
        }
    }
}

/// The normal behavior of a container of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baseline {
    /// Its image's name, without tag and digest.
    pub image: Bytes,
    /// Its service (Compose) or container (Kubernetes); empty without one.
    pub service: Bytes,
    /// Its command, masked, where it has no service.
    pub command: Bytes,
    /// Digests of the images it was learned from.
    pub digests: BTreeSet<String>,
    /// A person marked it as complete.
    pub frozen: bool,
    /// The sources, by id.
    pub sources: BTreeMap<String, LearningSource>,
    /// Directories outside the container's root.
    pub mounts: BTreeSet<Bytes>,
    /// Facets with too many items; theirs are not kept.
    pub too_large: BTreeSet<Facet>,
    /// The items.
    pub items: BTreeMap<BaselineItem, Facts>,
    /// Held items: observed, but not accepted, with the reason. Such an item counts as unknown,
    /// also if it is among the items.
    pub held: BTreeMap<BaselineItem, String>,
}

impl Baseline {
    /// The items of a facet.
    pub fn facet(&self, facet: Facet) -> impl Iterator<Item = (&BaselineItem, &Facts)> {
        self.items
            .iter()
            .filter(move |(item, _)| item.facet == facet)
    }

    /// The container it describes, as text.
    #[must_use]
    pub fn title(&self) -> String {
        let image = self.image.escaped();
        if !self.service.is_empty() {
            format!("{image} ({})", self.service.escaped())
        } else if self.command.is_empty() {
            image.to_string()
        } else {
            format!("{image} [{}]", self.command.escaped())
        }
    }

    /// Whether both describe the same image and the same service or command.
    #[must_use]
    pub fn same_subject(&self, other: &Self) -> bool {
        self.image == other.image && self.service == other.service && self.command == other.command
    }

    /// Removes the items of facets with too many of them.
    pub(super) fn bound(&mut self) {
        for facet in Facet::ALL {
            if self.facet(facet).count() > MOST_ITEMS {
                self.too_large.insert(facet);
            }
        }
        let too_large = &self.too_large;
        self.items
            .retain(|item, _| !too_large.contains(&item.facet));
    }
}
