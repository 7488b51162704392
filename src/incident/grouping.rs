//! Groups findings into incidents: joined by container, lineage, exec session, dropped files and
//! time.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::request::{self, Request};
use super::stage::Stage;
use crate::detect::{Detector, Finding, FindingId};
use crate::event::{Bytes, ContainerId, Origin, Severity, Timestamp};
use crate::state::{Direction, Lineage, ProcessEntry, State};

/// Maximum number of incidents; further ones are counted.
const MAX_INCIDENTS: usize = 1_024;
/// Maximum number of findings, processes and files remembered of one incident, each.
const MAX_MEMBERS: usize = 1_024;
/// Two decisive findings of one container within this time belong together.
const TOGETHER: Duration = Duration::from_secs(15 * 60);
/// Programs of the image that start within this time of the container's first belong to its
/// service.
const START_UP: Duration = Duration::from_secs(30);

/// Number of an incident in its recording, from 1; shown as `I-0001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub u32);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I-{:04}", self.0)
    }
}

/// Findings that belong together, with the keys that join further ones.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) id: IncidentId,
    pub(super) container: ContainerId,
    /// Its findings, in the order in which they joined.
    pub(super) findings: Vec<FindingId>,
    /// Number of findings that did not fit into `findings`.
    pub(super) more_findings: u64,
    /// Processes of the intruder: host pid, and when a finding first named it.
    pub(super) processes: BTreeSet<(u32, Timestamp)>,
    /// Files that its findings are about.
    pub(super) files: BTreeSet<Bytes>,
    /// The connection by which the intruder most likely came in.
    pub(super) request: Option<Request>,
    /// Time of its latest finding.
    last: Timestamp,
    /// One of its findings alone makes an intruder likely.
    decisive: bool,
}

/// The severity of each finding.
type Severities<'a> = &'a dyn Fn(FindingId) -> Option<Severity>;

/// All incidents. Shared with clones until they change.
#[derive(Debug, Clone, Default)]
pub struct Incidents {
    /// `None`: it was joined with an earlier one.
    groups: Vec<Option<Arc<Group>>>,
    /// By finding id: the index of its incident + 1; 0 for findings of no incident.
    members: Vec<u32>,
    /// Findings that would have begun an incident beyond the bound.
    not_kept: u64,
}

/// The keys that join a finding to an incident.
struct Links {
    /// The processes of its ancestry that are the intruder's own, nearest first.
    processes: Vec<u32>,
    files: Vec<Bytes>,
}

impl Incidents {
    /// Joins the findings that the latest event raised or changed. `state` is the state after it.
    pub(crate) fn apply(&mut self, state: &State, detector: &Detector) {
        for index in detector.latest() {
            if let Some(finding) = detector.findings().get(index.get()) {
                match finding.part_of {
                    Some(_) => self.leave(detector, finding),
                    None => self.join(state, detector, finding),
                }
            }
        }
    }

    /// Number of findings that would have begun an incident beyond the bound.
    #[must_use]
    pub fn not_kept(&self) -> u64 {
        self.not_kept
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().flatten().map(Arc::as_ref)
    }

    /// The incident that a finding belongs to.
    #[must_use]
    pub fn of(&self, finding: FindingId) -> Option<IncidentId> {
        let group = self.groups.get(self.position(finding)?)?.as_ref()?;
        Some(group.id)
    }

    fn join(&mut self, state: &State, detector: &Detector, finding: &Finding) {
        let (Some(container), Some(stage)) = (&finding.container, Stage::of(finding)) else {
            return;
        };
        let severities = |id: FindingId| detector.finding(id).map(|finding| finding.severity);
        let decisive = stage.decisive(finding.severity);
        if let Some(at) = self.position(finding.id) {
            // Repeated findings are frequent: only the parts that can have changed are examined.
            if let Some(group) = self.group_mut(at) {
                group.repeat(&severities, finding, decisive);
            }
            return;
        }
        let links = links(state, finding);
        let begins = finding.severity >= Severity::Medium && stage.weight > 0;
        let joined = self.joined_by(state, container, finding, &links, begins && decisive);
        let at = match joined.first() {
            Some(first) => *first,
            None if !begins => return,
            None => match self.begin(container) {
                Some(at) => at,
                None => return,
            },
        };
        for other in joined.into_iter().skip(1) {
            self.merge(&severities, at, other);
        }
        let slot = finding.id.0 as usize;
        if self.members.len() <= slot {
            self.members.resize(slot + 1, 0);
        }
        if let Some(member) = self.members.get_mut(slot) {
            *member = u32::try_from(at + 1).unwrap_or(0);
        }
        let Some(group) = self.group_mut(at) else {
            return;
        };
        group.add(&severities, finding, links, decisive);
        // For a state that existed before, current connections are no evidence. A finding whose
        // severity was raised just now has existed for longer.
        let seen = finding.already_since.is_none();
        let entrance = group.request.is_none() && decisive && seen;
        if let Some(actor) = finding.ancestry.first().filter(|_| entrance) {
            group.request = request::before(state, container, actor.pid, finding.last);
        }
    }

    /// Removes a finding that has become a part of another, whose incident takes over the rest.
    fn leave(&mut self, detector: &Detector, finding: &Finding) {
        let Some(at) = self.position(finding.id) else {
            return;
        };
        if let Some(member) = self.members.get_mut(finding.id.0 as usize) {
            *member = 0;
        }
        if let Some(group) = self.group_mut(at) {
            group.findings.retain(|id| *id != finding.id);
        }
        let whole = detector.finding(finding.id).map(|whole| whole.id);
        let severities = |id: FindingId| detector.finding(id).map(|finding| finding.severity);
        match whole.map(|id| (id, self.position(id))) {
            Some((_, Some(other))) if other != at => {
                self.merge(&severities, at.min(other), at.max(other));
            }
            Some((id, None)) => {
                let slot = id.0 as usize;
                if self.members.len() <= slot {
                    self.members.resize(slot + 1, 0);
                }
                if let Some(member) = self.members.get_mut(slot) {
                    *member = u32::try_from(at + 1).unwrap_or(0);
                }
                if let Some(group) = self.group_mut(at) {
                    group.admit(&severities, id);
                }
            }
            _ => {}
        }
    }

    /// The incident that a finding belongs to, as an index into `groups`.
    fn position(&self, finding: FindingId) -> Option<usize> {
        let at = self.members.get(finding.0 as usize)?.checked_sub(1)?;
        Some(at as usize)
    }

    /// The incidents that a new finding belongs to, the earliest first.
    fn joined_by(
        &self,
        state: &State,
        container: &ContainerId,
        finding: &Finding,
        links: &Links,
        decisive: bool,
    ) -> Vec<usize> {
        let belongs = |group: &Group| {
            let close = finding.last.since(group.last) <= TOGETHER;
            group.container == *container
                && (group.linked(state, links)
                    || (decisive || group.decisive && finding.severity >= Severity::Medium)
                        && close)
        };
        let all = self.groups.iter().enumerate();
        all.filter(|(_, group)| group.as_deref().is_some_and(belongs))
            .map(|(at, _)| at)
            .collect()
    }

    fn begin(&mut self, container: &ContainerId) -> Option<usize> {
        if self.groups.len() >= MAX_INCIDENTS {
            self.not_kept += 1;
            return None;
        }
        let id = u32::try_from(self.groups.len() + 1).ok()?;
        let group = Group::new(IncidentId(id), container.clone());
        self.groups.push(Some(Arc::new(group)));
        Some(self.groups.len() - 1)
    }

    /// Joins `other` with the incident at `at`.
    fn merge(&mut self, severities: Severities<'_>, at: usize, other: usize) {
        let Some(other_group) = self.groups.get_mut(other).and_then(Option::take) else {
            return;
        };
        let (from, to) = (other + 1, u32::try_from(at + 1).unwrap_or(0));
        for member in &mut self.members {
            if *member as usize == from {
                *member = to;
            }
        }
        if let Some(group) = self.group_mut(at) {
            group.absorb(severities, &other_group);
        }
    }

    fn group_mut(&mut self, at: usize) -> Option<&mut Group> {
        self.groups.get_mut(at)?.as_mut().map(Arc::make_mut)
    }
}

impl Group {
    fn new(id: IncidentId, container: ContainerId) -> Self {
        Self {
            id,
            container,
            findings: Vec::new(),
            more_findings: 0,
            processes: BTreeSet::new(),
            files: BTreeSet::new(),
            request: None,
            last: Timestamp::default(),
            decisive: false,
        }
    }

    /// Whether the finding's processes descend from the incident's, or it is about a file of the
    /// incident.
    fn linked(&self, state: &State, links: &Links) -> bool {
        let own = |pid: &u32| {
            let process = state.processes.get(pid);
            self.names(*pid, process.map_or(Timestamp(i64::MIN), |p| p.started))
        };
        links.processes.iter().any(own) || links.files.iter().any(|file| self.files.contains(file))
    }

    /// Whether a finding of it names the process `pid` that started at `started`. A later process
    /// with that pid is another one.
    pub(super) fn names(&self, pid: u32, started: Timestamp) -> bool {
        let from = (pid, Timestamp(i64::MIN));
        let named = self.processes.range(from..).next();
        named.is_some_and(|(known, since)| *known == pid && started <= *since)
    }

    /// Adds the new facts of a repeated finding, which may have become more severe.
    fn repeat(&mut self, severities: Severities<'_>, finding: &Finding, decisive: bool) {
        self.last = self.last.max(finding.last);
        self.decisive |= decisive;
        if self.more_findings > 0 && !self.findings.contains(&finding.id) {
            self.replace_least(severities, finding.id);
        }
        for file in made(finding).last().into_iter().chain(later(finding)) {
            if !self.files.contains(file) && self.files.len() < MAX_MEMBERS {
                self.files.insert(file.clone());
            }
        }
    }

    /// Adds a finding; beyond the bound it replaces the least severe one.
    fn admit(&mut self, severities: Severities<'_>, id: FindingId) {
        if self.findings.len() < MAX_MEMBERS {
            self.findings.push(id);
            return;
        }
        self.more_findings += 1;
        self.replace_least(severities, id);
    }

    /// Puts a finding in the place of the least severe one, of these the latest, if it is more
    /// severe.
    fn replace_least(&mut self, severities: Severities<'_>, id: FindingId) {
        let all = self.findings.iter().enumerate();
        let least = all.min_by_key(|(at, id)| (severities(**id), std::cmp::Reverse(*at)));
        if let Some((at, lesser)) = least
            && severities(*lesser) < severities(id)
        {
            self.findings.remove(at);
            self.findings.push(id);
        }
    }

    fn add(&mut self, severities: Severities<'_>, finding: &Finding, links: Links, decisive: bool) {
        self.admit(severities, finding.id);
        for pid in links.processes {
            let from = (pid, Timestamp(i64::MIN));
            let known = self.processes.range(from..).next();
            if self.processes.len() < MAX_MEMBERS && known.is_none_or(|(p, _)| *p != pid) {
                self.processes.insert((pid, finding.last));
            }
        }
        for file in links.files {
            if self.files.len() < MAX_MEMBERS {
                self.files.insert(file);
            }
        }
        self.last = self.last.max(finding.last);
        self.decisive |= decisive;
    }

    fn absorb(&mut self, severities: Severities<'_>, other: &Self) {
        self.more_findings += other.more_findings;
        for id in &other.findings {
            self.admit(severities, *id);
        }
        for process in &other.processes {
            if self.processes.len() < MAX_MEMBERS {
                self.processes.insert(*process);
            }
        }
        for file in &other.files {
            if self.files.len() < MAX_MEMBERS {
                self.files.insert(file.clone());
            }
        }
        self.request = self.request.take().or_else(|| other.request.clone());
        self.last = self.last.max(other.last);
        self.decisive |= other.decisive;
    }
}

/// The rule on files that are only read.
const READS: &str = "file.credential-read";

/// The files that a finding reports as created or changed; not those that were read, and no
/// programs that merely ran.
pub(super) fn made(finding: &Finding) -> impl DoubleEndedIterator<Item = &Bytes> {
    let reads = finding.rule == READS;
    let makes = finding.rule.starts_with("file.") || finding.rule.starts_with("drift.");
    let things = finding.things().iter().filter(move |_| makes && !reads);
    later(finding).chain(things.filter(|thing| thing.starts_with(b"/")))
}

/// The files that its processes created or changed later.
fn later(finding: &Finding) -> impl DoubleEndedIterator<Item = &Bytes> {
    let links = finding.chain.iter().filter(|link| {
        let families = ["file.", "drift.", "exec.shell-spawned"];
        let makes = families.iter().any(|family| link.rule.starts_with(family));
        makes && link.rule != READS && link.subject.starts_with(b"/")
    });
    links.map(|link| &link.subject)
}

/// The processes and files that join a finding to others. Processes of the service join nothing:
/// everything in the container descends from them.
fn links(state: &State, finding: &Finding) -> Links {
    let servers = servers(state, finding.container.as_ref());
    let container = state.container(&finding.container);
    let service = |pid: u32| {
        let init = container.is_some_and(|c| c.info.init_pid == pid);
        init || servers.contains(&pid) || state.processes.get(&pid).is_some_and(|p| is_service(p))
    };
    let of_start_up = |process: &ProcessEntry| {
        let began = container.and_then(|c| c.first_exec);
        process.lineage == Lineage::Init
            && process.file.origin() == Origin::Image
            && (process.existing
                || began.is_some_and(|began| process.started.since(began) <= START_UP))
    };
    let mut processes = Vec::new();
    for (depth, ancestor) in finding.ancestry.iter().enumerate() {
        let process = state.processes.get(&ancestor.pid);
        // The acting process counts even when it has run since start-up.
        if service(ancestor.pid) || depth > 0 && process.is_some_and(|p| of_start_up(p)) {
            break;
        }
        processes.push(ancestor.pid);
    }
    Links {
        processes,
        files: made(finding).cloned().collect(),
    }
}

/// The container's init, as its own pid namespace numbers it.
fn is_service(process: &ProcessEntry) -> bool {
    process.lineage == Lineage::Init && process.nspid == 1
}

/// Processes of the container that listen, or that accepted a connection.
fn servers(state: &State, container: Option<&ContainerId>) -> BTreeSet<u32> {
    let directions = [Direction::Inbound, Direction::Listening];
    let of = |direction| container.map(|id| state.connections_of(id, direction));
    let rows = directions.into_iter().filter_map(of).flatten();
    rows.map(|(_, row)| row.pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_incident_keeps_the_most_severe_findings() {
        let severe = [FindingId(1500), FindingId(1600)];
        let severities = |id: FindingId| {
            Some(match severe.contains(&id) {
                true => Severity::Critical,
                false => Severity::Low,
            })
        };
        let mut group = Group::new(IncidentId(1), ContainerId::new("c"));
        for n in 1..=2000 {
            group.admit(&severities, FindingId(n));
        }
        assert_eq!(group.findings.len(), MAX_MEMBERS);
        assert_eq!(group.more_findings, 2000 - MAX_MEMBERS as u64);
        assert!(severe.iter().all(|id| group.findings.contains(id)));
        assert!(
            group.findings.contains(&FindingId(1)),
            "the beginning stays"
        );
    }
}
