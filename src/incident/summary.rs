//! An incident as shown to people: what happened, its severity, and whether it continues.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Incidents;
use super::grouping::{Group, IncidentId, made};
use super::request::Request;
use super::stage::{Stage, sentence};
use crate::detect::{Detector, Finding, FindingId};
use crate::event::{
    Bytes, ContainerId, Difference, FileClass, FileOp, NodeKind, Origin, Severity, Timestamp,
};
use crate::state::{ConnectionKey, Direction, FileKey, State};

/// Time without a running process, an open connection or a new finding after which it has ended.
const QUIET: Duration = Duration::from_secs(300);
/// Number of different stages of high severity that make an incident critical.
const CRITICAL_STAGES: usize = 3;
/// Maximum number of listed files that differ from the image.
const MAX_DIFFERING: usize = 64;

/// Findings joined into one incident, without those that are silenced unless all are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Incident {
    /// Its number.
    pub id: IncidentId,
    /// The container.
    pub container: ContainerId,
    /// Severity: that of its worst finding, and critical with three different high stages.
    pub severity: Severity,
    /// Its rank: the higher, the likelier is an intruder. Comparable between incidents only.
    pub rank: u32,
    /// First time of any of its findings.
    pub first: Timestamp,
    /// Latest time of any of its findings.
    pub last: Timestamp,
    /// A process of it runs, a connection of it is open, or its latest finding is not five minutes
    /// old.
    pub active: bool,
    /// The stages in order of their first time, each once.
    pub stages: Vec<Stage>,
    /// Its findings, the earliest first.
    pub findings: Vec<FindingId>,
    /// Number of its findings that are not listed in `findings`.
    pub more_findings: u64,
    /// Number of its silenced findings, 0 when it is accepted as a whole.
    pub silenced: u64,
    /// Why it is accepted: the reason of the silence of its worst finding. `None` while a finding
    /// of medium severity or above is not silenced.
    pub accepted: Option<String>,
    /// The connection by which the intruder most likely came in.
    pub request: Option<Request>,
    /// Its processes that still run (host pids).
    pub running: Vec<u32>,
    /// Outbound connections that its processes hold open.
    pub connected: Vec<ConnectionKey>,
    /// Files that it created or changed, without those seen removed.
    pub files: Vec<Bytes>,
    /// For an incident of high severity: further programs, scripts, libraries, secrets and start-up
    /// files that differ from the image, by any process; bounded.
    pub differing: Vec<Bytes>,
}

impl Incident {
    /// The stages as one line, e.g. `server shell › reverse shell › miner`.
    #[must_use]
    pub fn sentence(&self, arrow: &str) -> String {
        sentence(&self.stages, arrow)
    }
}

/// The parts of an incident that follow from its findings alone, without processes and connections:
/// cheap enough for every frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// As [`Incident::severity`].
    pub severity: Severity,
    /// As [`Incident::rank`].
    pub rank: u32,
    /// As [`Incident::stages`].
    pub stages: Vec<Stage>,
}

/// The highest-ranked incident of each container that has one, with the severity of its worst one.
pub type ByContainer = BTreeMap<ContainerId, Assessment>;

/// Running processes by container.
type Alive<'a> = BTreeMap<&'a ContainerId, Vec<u32>>;

impl Incidents {
    /// All incidents that are not silenced, the likeliest break-in first.
    #[must_use]
    pub fn ranked(&self, state: &State, detector: &Detector) -> Vec<Incident> {
        let alive = alive(state);
        let described = self.groups().filter_map(|group| {
            let findings = open(detector, group)?;
            describe(state, detector, &alive, group, &findings, None)
        });
        let mut all: Vec<Incident> = described.collect();
        sort(&mut all);
        all
    }

    /// The incidents whose findings of medium severity or above are all silenced, in the same
    /// order.
    #[must_use]
    pub fn accepted(&self, state: &State, detector: &Detector) -> Vec<Incident> {
        let alive = alive(state);
        let groups = self.groups();
        let accepted = groups.filter(|group| open(detector, group).is_none());
        let described = accepted.filter_map(|group| accept(state, detector, &alive, group));
        let mut all: Vec<Incident> = described.collect();
        sort(&mut all);
        all
    }

    /// One incident, also an accepted one; `None` when there is none of this number.
    #[must_use]
    pub fn get(&self, state: &State, detector: &Detector, id: IncidentId) -> Option<Incident> {
        let group = self.groups().find(|group| group.id == id)?;
        let alive = alive(state);
        match open(detector, group) {
            Some(findings) => describe(state, detector, &alive, group, &findings, None),
            None => accept(state, detector, &alive, group),
        }
    }

    /// The number of incidents that are not silenced, of one container or of all.
    #[must_use]
    pub fn count(&self, detector: &Detector, container: Option<&ContainerId>) -> usize {
        let wanted = |group: &&Group| container.is_none_or(|id| group.container == *id);
        let groups = self.groups().filter(wanted);
        groups
            .filter(|group| open(detector, group).is_some())
            .count()
    }

    /// The highest-ranked incident of each container, as severe as its worst one.
    #[must_use]
    pub fn by_container(&self, detector: &Detector) -> ByContainer {
        let mut worst = ByContainer::new();
        for group in self.groups() {
            let Some(findings) = open(detector, group) else {
                continue;
            };
            let mut assessment = assess(&findings);
            let Some(known) = worst.get_mut(&group.container) else {
                worst.insert(group.container.clone(), assessment);
                continue;
            };
            assessment.severity = assessment.severity.max(known.severity);
            known.severity = assessment.severity;
            if known.rank < assessment.rank {
                *known = assessment;
            }
        }
        worst
    }
}

fn sort(incidents: &mut [Incident]) {
    incidents.sort_by_key(|incident| {
        let order = (incident.rank, incident.severity, incident.last);
        (std::cmp::Reverse(order), incident.id)
    });
}

/// The findings of an incident, silenced or not, the earliest first.
fn members<'a>(detector: &'a Detector, group: &Group) -> Vec<&'a Finding> {
    let all = group.findings.iter().filter_map(|id| detector.finding(*id));
    let mut findings: Vec<&Finding> = all.collect();
    findings.sort_by_key(|finding| (finding.began(), finding.id));
    findings
}

/// An incident that was accepted as a whole, with all its findings.
fn accept(
    state: &State,
    detector: &Detector,
    alive: &Alive<'_>,
    group: &Group,
) -> Option<Incident> {
    let findings = members(detector, group);
    let silenced = findings.iter().filter(|finding| finding.silenced.is_some());
    let worst = silenced.max_by_key(|finding| finding.severity)?;
    let reason = worst.silenced.clone()?;
    let severe = worst.severity >= Severity::Medium;
    severe.then(|| describe(state, detector, alive, group, &findings, Some(reason)))?
}

/// The findings of an incident that are not silenced, the earliest first; `None` when none of them
/// is of medium severity or above: those do not make an incident.
fn open<'a>(detector: &'a Detector, group: &Group) -> Option<Vec<&'a Finding>> {
    let mut findings = members(detector, group);
    findings.retain(|finding| finding.silenced.is_none());
    let mut severities = findings.iter().map(|finding| finding.severity);
    severities
        .any(|severity| severity >= Severity::Medium)
        .then_some(findings)
}

fn assess(findings: &[&Finding]) -> Assessment {
    let (severity, rank) = grade(findings);
    Assessment {
        severity,
        rank,
        stages: stages(findings),
    }
}

fn alive(state: &State) -> Alive<'_> {
    let mut alive = Alive::new();
    for process in state.processes.values() {
        if let (Some(container), None) = (&process.owner, process.exited) {
            alive.entry(container).or_default().push(process.pid);
        }
    }
    alive
}

fn describe(
    state: &State,
    detector: &Detector,
    alive: &Alive<'_>,
    group: &Group,
    findings: &[&Finding],
    accepted: Option<String>,
) -> Option<Incident> {
    let Assessment {
        severity,
        rank,
        stages,
    } = assess(findings);
    let running = running(state, alive, group);
    let connected = connected(state, group, &running);
    let first = findings.first()?.began();
    let last = findings.iter().map(|finding| finding.last).max()?;
    let files = files(state, group, findings);
    let differing = match severity >= Severity::High {
        true => differing(state, &group.container, &files),
        false => Vec::new(),
    };
    Some(Incident {
        id: group.id,
        container: group.container.clone(),
        severity,
        rank,
        first,
        last,
        active: !running.is_empty()
            || !connected.is_empty()
            || state.now.since(last) < QUIET && exists(state, &group.container),
        stages,
        findings: findings.iter().map(|finding| finding.id).collect(),
        more_findings: group.more_findings,
        silenced: match accepted {
            Some(_) => 0,
            None => {
                let members = group.findings.iter().filter_map(|id| detector.finding(*id));
                members.filter(|finding| finding.silenced.is_some()).count() as u64
            }
        },
        accepted,
        request: group.request.clone(),
        running,
        connected,
        files,
        differing,
    })
}

fn exists(state: &State, container: &ContainerId) -> bool {
    state.containers.get(container).is_some_and(|c| c.running)
}

/// The stages by their first time; context is named only if there is nothing else.
fn stages(findings: &[&Finding]) -> Vec<Stage> {
    let mut all: Vec<StageSeen> = findings.iter().flat_map(|f| seen(f)).collect();
    all.sort_by_key(|seen| seen.at);
    let mut stages: Vec<Stage> = Vec::new();
    for seen in all {
        if (seen.severity >= Severity::Medium || seen.stage.weight == 0)
            && !stages.iter().any(|known| known.name == seen.stage.name)
        {
            stages.push(seen.stage);
        }
    }
    stages
}

/// A stage of the attack as a finding shows it.
struct StageSeen {
    at: Timestamp,
    stage: Stage,
    severity: Severity,
}

/// The stage of a finding, and those of what its processes did later.
fn seen(finding: &Finding) -> impl Iterator<Item = StageSeen> {
    let own = Stage::of(finding).map(|stage| StageSeen {
        at: finding.began(),
        stage,
        severity: finding.severity,
    });
    let later = finding.chain.iter().filter_map(|link| {
        Some(StageSeen {
            at: link.at,
            stage: Stage::of_link(link)?,
            severity: link.severity,
        })
    });
    own.into_iter().chain(later)
}

/// Severity and rank. Each stage counts once, by its worst finding: a hundred similar findings do
/// not outrank a chain of different ones.
fn grade(findings: &[&Finding]) -> (Severity, u32) {
    let mut worst: BTreeMap<&str, (Severity, u32)> = BTreeMap::new();
    for StageSeen {
        stage, severity, ..
    } in findings.iter().flat_map(|f| seen(f))
    {
        let entry = worst.entry(stage.name).or_insert((Severity::Info, 0));
        entry.0 = entry.0.max(severity);
        entry.1 = entry.1.max(stage.score(severity));
    }
    let rank = worst.values().map(|(_, score)| score).sum();
    let severity = worst.values().map(|(severity, _)| *severity).max();
    let decisive = |name: &str, severity: Severity| {
        let mut all = findings.iter().flat_map(|f| seen(f)).map(|seen| seen.stage);
        all.any(|stage| stage.name == name && stage.decisive(severity))
    };
    let strong = worst
        .iter()
        .filter(|(name, (severity, _))| decisive(name, *severity));
    if strong.count() >= CRITICAL_STAGES {
        return (Severity::Critical, rank);
    }
    (severity.unwrap_or(Severity::Info), rank)
}

/// The incident's processes and programs that still run, and their descendants.
fn running(state: &State, alive: &Alive<'_>, group: &Group) -> Vec<u32> {
    let of_container = alive.get(&group.container).into_iter().flatten().copied();
    of_container
        .filter(|pid| {
            let mut ancestry = state.ancestry(*pid);
            // A running program among its files belongs to it, even if it started before watching
            // began.
            ancestry.any(|process| {
                let foreign = process.file.origin() != Origin::Image;
                group.names(process.pid, process.started)
                    || foreign && group.files.contains(&process.exe)
            })
        })
        .collect()
}

fn connected(state: &State, group: &Group, running: &[u32]) -> Vec<ConnectionKey> {
    let rows = state
        .connections_of(&group.container, Direction::Outbound)
        .filter(|(_, row)| row.open > 0 && running.contains(&row.pid));
    rows.map(|(key, _)| key.clone()).collect()
}

/// Sensitive files that differ from the image, besides the incident's known files.
fn differing(state: &State, container: &ContainerId, known: &[Bytes]) -> Vec<Bytes> {
    let container = state.containers.get(container);
    let scan = container.and_then(|container| container.scan());
    let entries = scan.into_iter().flat_map(|(_, scan)| &scan.entries);
    let weighty = entries.filter(|entry| {
        let class = matches!(
            entry.class,
            FileClass::Binary
                | FileClass::Library
                | FileClass::Script
                | FileClass::Credentials
                | FileClass::Autostart
        );
        let there = matches!(entry.difference, Difference::Added | Difference::Changed);
        let content = there && entry.kind == NodeKind::File && entry.size > 0;
        class && content && !entry.metadata_only && entry.package.is_none()
    });
    let others = weighty.filter(|entry| !known.contains(&entry.path));
    others
        .take(MAX_DIFFERING)
        .map(|entry| entry.path.clone())
        .collect()
}

/// The files of its `file.*` and `drift.*` findings; not those that were read.
fn files(state: &State, group: &Group, findings: &[&Finding]) -> Vec<Bytes> {
    let mut files: Vec<Bytes> = Vec::new();
    for finding in findings {
        if finding.severity < Severity::Low {
            continue;
        }
        for path in made(finding) {
            if !files.contains(path) {
                let key = FileKey {
                    owner: Some(group.container.clone()),
                    path: path.clone(),
                };
                let gone = state.files.get(&key).is_some_and(|activity| {
                    activity.last_op == FileOp::Unlink && activity.last_errno == 0
                });
                if !gone {
                    files.push(path.clone());
                }
            }
        }
    }
    files
}
