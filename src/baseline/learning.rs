//! The learned facts of one container.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::coverage::counts;
use super::general::generalise;
use super::item::{BaselineItem, Facet, ItemField, LifePhase};
use super::join::Join;
use super::model::{Baseline, Facts, LearningSource, MOST_HELD, MOST_ITEMS};
use super::observed_action::{self, ObservedAction};
use super::pattern::{fixed_path, literal};
use super::subject::repository;
use crate::event::{Bytes, ContainerId, ContainerInfo, Timestamp};
use crate::state::{Container, ProcessEntry, State};

/// Length of a window in seconds.
const WINDOW: u64 = 300;
/// Maximum number of windows: four weeks.
const MOST_WINDOWS: u32 = 8_064;
/// Maximum number of processes remembered of an item.
const MOST_ACTORS: usize = 8;
/// Number of items after which a container's are generalized, at first.
const CROWDED: usize = 16_384;
/// Maximum number of files that findings are about.
const MOST_SUSPECTED: usize = 1_024;
/// Fields that name a file that a finding may be about. A program of the image may be the subject of a
/// finding, too: it is the service's, and others are never learned.
const FILES: [ItemField; 2] = [ItemField::Path, ItemField::Script];
/// Seconds at the end of a container whose new actions belong to the stop phase.
const ENDING: Duration = Duration::from_secs(10);

/// Sets of small numbers.
#[derive(Debug, Clone, Default)]
struct Numbers(Vec<u64>);

impl Numbers {
    fn insert(&mut self, n: u32) {
        let (word, bit) = ((n / 64) as usize, n % 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << bit;
        }
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn union(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, others) in self.0.iter_mut().zip(&other.0) {
            *word |= others;
        }
    }

    fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().enumerate().flat_map(|(place, word)| {
            let base = u32::try_from(place).unwrap_or(u32::MAX).saturating_mul(64);
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| base + bit)
        })
    }
}

/// The facts about an item while it is learned.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    how: BTreeSet<char>,
    uid: BTreeSet<u32>,
    start: Numbers,
    steady: Numbers,
    stop: Numbers,
    /// Processes that did it, by pid and the number of their latest exec.
    actors: BTreeSet<(u32, u64)>,
    /// There were more such processes.
    more: bool,
    /// When it was first seen.
    first: Timestamp,
}

impl Join for Known {
    fn join(&mut self, other: &Self) {
        self.how.extend(&other.how);
        self.uid.extend(&other.uid);
        self.start.union(&other.start);
        self.steady.union(&other.steady);
        self.stop.union(&other.stop);
        self.actors.extend(&other.actors);
        self.more |= other.more || self.actors.len() > MOST_ACTORS;
        while self.actors.len() > MOST_ACTORS {
            self.actors.pop_last();
        }
        self.first = self.first.min(other.first);
    }
}

/// A run of a container, from its first program on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) began: Timestamp,
    pub(super) steady: bool,
}

/// The learned facts of one container.
#[derive(Debug, Clone)]
pub(super) struct Learning {
    pub(super) source: String,
    pub(super) info: Arc<ContainerInfo>,
    pub(super) service: Bytes,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    /// Items became known last at this time.
    pub(super) latest_item: Timestamp,
    pub(super) run: Option<Run>,
    /// It was found running.
    pub(super) existing: bool,
    pub(super) starts: u32,
    pub(super) stops: u32,
    pub(super) observed: Duration,
    pub(super) lost: u64,
    pub(super) peaks: (u64, u32, u32),
    pub(super) compared: bool,
    pub(super) mounts: BTreeSet<Bytes>,
    pub(super) items: BTreeMap<BaselineItem, Known>,
    pub(super) crowded: usize,
    pub(super) too_large: BTreeSet<Facet>,
    pub(super) held: BTreeMap<BaselineItem, String>,
    /// Processes that a finding is about, with the finding.
    pub(super) tainted: BTreeMap<u32, Arc<str>>,
    /// Files that a finding is about, as patterns, with the finding.
    suspected: BTreeMap<Vec<u8>, String>,
    /// Running exec sessions.
    pub(super) sessions: BTreeSet<u32>,
}

impl Learning {
    pub(super) fn new(id: &ContainerId, at: Timestamp) -> Self {
        let mut hash = Sha256::new();
        hash.update(id.as_str());
        hash.update(at.0.to_le_bytes());
        let source = hash
            .finalize()
            .iter()
            .take(6)
            .map(|b| format!("{b:02x}"))
            .collect();
        Self {
            source,
            info: Arc::default(),
            service: Bytes::default(),
            from: at,
            until: at,
            latest_item: at,
            run: None,
            existing: false,
            starts: 0,
            stops: 0,
            observed: Duration::ZERO,
            lost: 0,
            peaks: (0, 0, 0),
            compared: false,
            mounts: BTreeSet::new(),
            items: BTreeMap::new(),
            crowded: CROWDED,
            too_large: BTreeSet::new(),
            held: BTreeMap::new(),
            tainted: BTreeMap::new(),
            suspected: BTreeMap::new(),
            sessions: BTreeSet::new(),
        }
    }

    fn window(&self) -> u32 {
        let window = u32::try_from(self.observed.as_secs() / WINDOW).unwrap_or(u32::MAX);
        window.saturating_add(1).min(MOST_WINDOWS)
    }

    fn is_starting(&self) -> bool {
        self.run.is_some_and(|run| !run.steady)
    }

    pub(super) fn is_steady(&self) -> bool {
        match self.run {
            Some(run) => run.steady,
            None => self.existing,
        }
    }

    /// A start is complete once the grace is over, if the container still runs.
    pub(super) fn settle(&mut self, now: Timestamp, grace: Duration) {
        if let Some(run) = &mut self.run
            && !run.steady
            && now >= run.began.plus(grace)
        {
            run.steady = true;
            self.starts += 1;
        }
    }

    pub(super) fn hold(&mut self, item: BaselineItem, why: &str) {
        let facet = item.facet;
        if self.held.len() < MOST_HELD || self.held.contains_key(&item) {
            self.held.entry(item).or_insert_with(|| why.to_owned());
        } else {
            self.too_large.insert(facet);
        }
    }

    pub(super) fn learn(
        &mut self,
        action: ObservedAction,
        actor: Option<(u32, u64)>,
        at: Timestamp,
    ) {
        let ObservedAction { item, how, uid } = action;
        let item = super::general::fixed(&item);
        if self.held.contains_key(&item) || self.too_large.contains(&item.facet) {
            return;
        }
        let (starting, window) = (self.is_starting(), self.window());
        let start = self.starts + 1;
        let is_new = !self.items.contains_key(&item);
        if is_new {
            self.latest_item = at;
            if self.items.len() >= self.crowded {
                self.make_room();
            }
        }
        let known = self.items.entry(item).or_insert_with(|| Known {
            first: at,
            ..Known::default()
        });
        known.how.extend(how);
        known.uid.extend(uid);
        match actor {
            Some(actor) if known.actors.len() < MOST_ACTORS || known.actors.contains(&actor) => {
                known.actors.insert(actor);
            }
            _ => known.more = true,
        }
        if starting {
            known.start.insert(start);
        } else {
            known.steady.insert(window);
        }
    }

    fn make_room(&mut self) {
        self.items = generalise(&self.items, &self.mounts);
        for facet in Facet::ALL {
            let items = self.items.keys().filter(|item| item.facet == facet);
            if items.count() > MOST_ITEMS {
                self.too_large.insert(facet);
            }
        }
        let too_large = &self.too_large;
        self.items
            .retain(|item, _| !too_large.contains(&item.facet));
        self.crowded = CROWDED.max(self.items.len() * 2);
    }

    /// Items from only these processes are held.
    pub(super) fn taint(&mut self, state: &State, id: &ContainerId, pid: u32, why: &str) {
        let why: Arc<str> = why.into();
        let below = |p: &ProcessEntry| state.ancestry(p.pid).any(|a| a.pid == pid);
        let owned = |p: &ProcessEntry| p.owner.as_ref() == Some(id);
        for process in state.processes.values().filter(|p| owned(p) && below(p)) {
            self.tainted
                .entry(process.pid)
                .or_insert_with(|| Arc::clone(&why));
        }
        let tainted = &self.tainted;
        let bad: Vec<BaselineItem> = self
            .items
            .iter()
            .filter(|(_, known)| {
                !known.more
                    && !known.actors.is_empty()
                    && known
                        .actors
                        .iter()
                        .all(|(pid, _)| tainted.contains_key(pid))
            })
            .map(|(item, _)| item.clone())
            .collect();
        for item in bad {
            self.items.remove(&item);
            self.hold(item, &why);
        }
    }

    /// Items about these files are held, known ones and later ones. Reads of a secret stay: the file
    /// itself is the service's.
    pub(super) fn suspect_files(&mut self, files: &[Bytes], why: &str) {
        for file in files {
            let pattern = fixed_path(&literal(file));
            if self.suspected.contains_key(&pattern) {
                continue;
            }
            if self.suspected.len() >= MOST_SUSPECTED {
                // Which written files are the service's is not known any more.
                self.too_large.insert(Facet::Write);
                return;
            }
            self.suspected.insert(pattern, why.to_owned());
            let about = |item: &&BaselineItem| self.suspected(item).is_some();
            let bad: Vec<BaselineItem> = self.items.keys().filter(about).cloned().collect();
            for item in bad {
                self.items.remove(&item);
                self.hold(item, why);
            }
        }
    }

    /// The finding about a file that this item names.
    pub(super) fn suspected(&self, item: &BaselineItem) -> Option<&str> {
        if self.suspected.is_empty() || item.facet == Facet::Secret {
            return None;
        }
        let item = super::general::fixed(item);
        let mut files = FILES.iter().map(|field| item.get(*field));
        files.find_map(|file| self.suspected.get(file).map(String::as_str))
    }

    /// The container ended: items first seen in its last seconds belong to the stop phase.
    pub(super) fn end(&mut self, at: Timestamp, grace: Duration) {
        self.settle(at, grace);
        if self.is_steady() {
            self.stops += 1;
            for known in self.items.values_mut() {
                if at.since(known.first) <= ENDING && known.start.count() == 0 {
                    known.steady.clear();
                    known.stop.insert(self.stops);
                }
            }
        }
        self.run = None;
        self.existing = false;
        self.tainted.clear();
        self.sessions.clear();
    }

    pub(super) fn adopt(&mut self, container: &Container, info: &ContainerInfo) {
        self.info = Arc::new(info.clone());
        self.service = Bytes::new(observed_action::declared_service(container));
        let mounts = info.mounts.iter().map(|m| m.destination.clone());
        self.mounts.extend(mounts.filter(|m| m.len() > 1));
    }

    pub(super) fn baseline(&self) -> Baseline {
        let items = generalise(&self.items, &self.mounts);
        let mut baseline = Baseline {
            image: Bytes::new(repository(&self.info.image)),
            service: self.service.clone(),
            mounts: self.mounts.clone(),
            too_large: self.too_large.clone(),
            held: self.held.clone(),
            ..Baseline::default()
        };
        if self.service.is_empty() {
            baseline.command = Bytes::from(observed_action::command(&self.info.command));
        }
        if !self.info.image_digest.is_empty() {
            baseline.digests.insert(self.info.image_digest.clone());
        }
        let mut source = self.source();
        for (item, known) in items {
            let mut facts = Facts {
                how: known.how,
                uid: known.uid,
                ..Facts::default()
            };
            source.start_incidences += u64::from(known.start.count());
            if counts(item.facet, LifePhase::Steady) {
                source.steady_incidences += u64::from(known.steady.count());
            }
            for n in known.start.iter().take(3) {
                facts.start.add(&self.source, n);
            }
            for n in known.steady.iter().take(3) {
                facts.steady.add(&self.source, n);
            }
            for n in known.stop.iter().take(3) {
                facts.stop.add(&self.source, n);
            }
            baseline.items.insert(item, facts);
        }
        baseline.sources.insert(self.source.clone(), source);
        baseline.bound();
        baseline
    }

    fn source(&self) -> LearningSource {
        let observed = self.observed.as_secs();
        LearningSource {
            from: self.from,
            until: self.until,
            starts: self.starts,
            stops: self.stops,
            windows: u32::try_from(observed.div_ceil(WINDOW)).unwrap_or(u32::MAX),
            observed,
            lost: self.lost,
            memory: rounded(self.peaks.0.div_ceil(1 << 20)) << 20,
            tasks: self.peaks.1,
            cpu: u32::try_from(rounded(self.peaks.2.into())).unwrap_or(u32::MAX),
            compared: self.compared,
            under: under(&self.info),
            ..LearningSource::default()
        }
    }
}

/// A number rounded up to three binary digits, so that it does not change at each run.
fn rounded(n: u64) -> u64 {
    if n < 8 {
        return n;
    }
    let step = 1_u64 << (n.ilog2() - 2);
    n.div_ceil(step).saturating_mul(step)
}

/// Settings that limit a container's actions, and so the observations.
fn under(info: &ContainerInfo) -> BTreeMap<String, String> {
    let s = &info.security;
    let list = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names.join(" ")
    };
    let or = |value: &str, usual: &str| if value.is_empty() { usual } else { value }.to_owned();
    let user = info.user.escaped().to_string();
    [
        ("apparmor", s.apparmor.clone()),
        ("cap-add", list(&s.cap_add)),
        ("cap-drop", list(&s.cap_drop)),
        ("network", s.network_mode.clone()),
        ("no-new-privileges", s.no_new_privileges.to_string()),
        ("privileged", s.privileged.to_string()),
        ("read-only", s.readonly_root.to_string()),
        ("seccomp", or(&s.seccomp, "default")),
        ("user", or(&user, "0")),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty() && value != "false")
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_rounded_up() {
        for (n, up) in [
            (0, 0),
            (7, 7),
            (8, 8),
            (9, 10),
            (14, 14),
            (100, 112),
            (1025, 1280),
        ] {
            assert_eq!(rounded(n), up);
        }
    }

    #[test]
    fn numbers_are_a_set() {
        let mut a = Numbers::default();
        a.insert(1);
        a.insert(130);
        let mut b = Numbers::default();
        b.insert(64);
        b.insert(1);
        a.union(&b);
        assert_eq!(a.iter().collect::<Vec<_>>(), [1, 64, 130]);
        assert_eq!(a.count(), 3);
    }
}
