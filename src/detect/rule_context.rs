//! The context of one event for a rule, and the alerts that it makes.

use std::sync::Arc;
use std::time::Duration;

use super::acts;
use super::baselines::LoadedBaselines;
use super::finding::{Ancestor, FindingIndex};
use super::finding_store::{FindingStore, Occurrence};
use super::memory::{ContainerMemory, Memory};
use super::rule_info::RuleInfo;
use super::{Settings, Severity};
use crate::catalog::paths::{self, PathClass};
use crate::event::{ContainerId, Event, Exec, ProgramAdditions, Timestamp};
use crate::state::{Container, FileActivity, FileKey, Lineage, ProcessEntry, State};

/// Seconds of learning in a container that was found running.
const FIRST_LOOK: u64 = 60;
/// Maximum number of processes kept of an ancestry.
const MAX_ANCESTRY: usize = 12;

/// One event with its context.
pub(crate) struct RuleContext<'a> {
    /// The state after the event.
    pub(crate) state: &'a State,
    /// The event.
    pub(crate) event: &'a Event,
    /// The user's settings.
    pub(crate) settings: &'a Settings,
    /// The container the event belongs to.
    pub(crate) owner: &'a ContainerId,
    /// The container as the state knows it.
    pub(crate) container: Option<&'a Container>,
    /// The event's process.
    pub(crate) process: Option<&'a ProcessEntry>,
    /// The baselines in force.
    pub(crate) baselines: &'a LoadedBaselines,
    /// The rules' shared memory.
    pub(crate) memory: &'a mut Memory,
    /// The findings.
    pub(crate) findings: &'a mut FindingStore,
    /// The rule whose handler runs.
    pub(crate) rule: &'static RuleInfo,
}

impl<'a> RuleContext<'a> {
    /// Time of the event.
    #[must_use]
    pub(crate) fn now(&self) -> Timestamp {
        self.event.ts
    }

    /// The rules' shared memory of this container.
    pub(crate) fn own(&mut self) -> &mut ContainerMemory {
        self.memory.container(self.owner)
    }

    /// Program names by role: built-in ones and those of the policy.
    #[must_use]
    pub(crate) fn names(&self) -> &'a ProgramAdditions {
        &self.settings.policy.programs
    }

    /// Class of a path, by the built-in tables and the policy.
    #[must_use]
    pub(crate) fn path_class(&self, path: &[u8]) -> Option<PathClass> {
        paths::of(path).or_else(|| self.settings.policy.added_class(path))
    }

    /// Class of a path that may be a directory, by the built-in tables and the policy.
    #[must_use]
    pub(crate) fn class_of_entry(&self, path: &[u8]) -> Option<PathClass> {
        paths::of_entry(path).or_else(|| self.settings.policy.added_class(path))
    }

    /// The process and its ancestors inside the container, nearest first.
    #[must_use]
    pub(crate) fn ancestors(&self) -> Ancestors<'a> {
        Ancestors {
            state: self.state,
            owner: self.owner,
            next: self.process,
            left: MAX_ANCESTRY,
        }
    }

    /// Host pid of the parent of the process that runs `exec`: the process that forked it, if that
    /// was seen.
    #[must_use]
    pub(crate) fn parent_pid(&self, exec: &Exec) -> u32 {
        self.process.map_or(exec.ppid, |process| process.ppid)
    }

    /// The root process of the exec session the event belongs to, if it does.
    #[must_use]
    pub(crate) fn session(&self) -> Option<u32> {
        match self.process?.lineage {
            Lineage::ExecSession(root) => Some(root),
            Lineage::Init | Lineage::Unknown => None,
        }
    }

    /// The finding about the exec session with this root process.
    #[must_use]
    pub(crate) fn session_finding(&self, root: u32) -> Option<FindingIndex> {
        let own = self.memory.get(self.owner)?;
        own.session_findings.get(&root).copied()
    }

    /// The process belongs to an installation by a package manager of the image that still
    /// runs, or ended a moment ago.
    #[must_use]
    pub(crate) fn installing(&self) -> bool {
        self.memory.is_installing(self.state, self.event)
    }

    /// Whether the container's init tree acts within the start-up grace.
    #[must_use]
    pub(crate) fn starting_up(&self) -> bool {
        self.session().is_none() && self.in_grace(self.now())
    }

    /// Whether the container's behavior is being learned: it starts up, or its past is not known.
    /// Exec sessions are not learned from.
    #[must_use]
    pub(crate) fn learning(&self) -> bool {
        let unknown_past = self.container.is_some_and(|c| c.existing)
            && self.now().since(self.state.began).as_secs() < FIRST_LOOK
            && self.session().is_none();
        self.starting_up() || unknown_past
    }

    /// When the container was started: by its engine's report, else by the start of its init.
    #[must_use]
    pub(crate) fn container_began(&self) -> Option<Timestamp> {
        let container = self.container?;
        let init = || self.state.processes.get(&container.init()?);
        container.started().or_else(|| Some(init()?.started))
    }

    /// Whether `at` is a known time before watching began.
    #[must_use]
    pub(crate) fn before_watching(&self, at: Timestamp) -> bool {
        at != Timestamp(0) && at < self.state.began
    }

    /// Whether an inode that was last changed at `at` was changed while the container was created
    /// or started. A comparison may come before the engine's facts: then the start of its init
    /// counts.
    #[must_use]
    pub(crate) fn made_at_start(&self, at: Timestamp) -> bool {
        const SKEW: Duration = Duration::from_secs(1);
        let created = self.container.and_then(|c| c.info.created);
        let grace = self.settings.startup_grace;
        let starts = [created, self.container_began()].into_iter().flatten();
        at != Timestamp(0) && { starts }.any(|from| at <= from.plus(grace) && from <= at.plus(SKEW))
    }

    /// Whether `at` is within the container's start-up grace.
    #[must_use]
    pub(crate) fn in_grace(&self, at: Timestamp) -> bool {
        let began = self
            .memory
            .get(self.owner)
            .and_then(|own| own.began)
            // A container that was found running has been up for an unknown time.
            .or_else(|| {
                let c = self.container.filter(|c| !c.existing)?;
                Some(c.first_exec.unwrap_or(c.first_seen))
            });
        began.is_some_and(|began| at < began.plus(self.settings.startup_grace))
    }

    /// The known activity on a path.
    #[must_use]
    pub(crate) fn activity(&self, path: &[u8]) -> Option<&'a FileActivity> {
        let key = FileKey {
            owner: Some(self.owner.clone()),
            path: path.into(),
        };
        self.state.files.get(&key).map(Arc::as_ref)
    }

    /// The process that wrote or placed a file's content last, if it is still known.
    #[must_use]
    pub(crate) fn writer(&self, activity: &FileActivity) -> Option<&'a ProcessEntry> {
        let writer = self.state.process_at(activity.writer, activity.written);
        writer
            .filter(|process| process.owner.as_ref() == Some(self.owner))
            .map(Arc::as_ref)
    }

    /// The process of the event, for the first occurrence of a finding.
    #[must_use]
    pub(crate) fn occurrence(&self) -> Occurrence {
        Occurrence {
            ts: self.event.ts,
            seq: self.event.seq,
            ancestry: self.ancestors().map(ancestor).collect(),
        }
    }

    /// The finding that further actions of this process are added to: of those that it belongs to
    /// the most severe, of these one about drifted code. The order in which they came does not
    /// count.
    #[must_use]
    pub(crate) fn mark(&self, pid: u32) -> Option<FindingIndex> {
        let known = |index: &FindingIndex| Some((*index, self.findings.get(*index)?));
        let all = self.memory.marks_of(pid).iter().filter_map(known);
        all.max_by_key(|(_, f)| (f.silenced.is_none(), acts::weight(f)))
            .map(|(index, _)| self.findings.resolve(index))
    }

    /// Whether the process runs the subject of a finding of medium severity or above, or descends from
    /// one that does.
    #[must_use]
    pub(crate) fn is_marked_as_bad(&self, pid: u32) -> bool {
        let mut marks = self.memory.marks_of(pid).iter();
        marks.any(|index| {
            let finding = self.findings.get(self.findings.resolve(*index));
            finding.is_some_and(|f| f.severity >= Severity::Medium)
        })
    }

    /// The finding of this rule that the process belongs to, unless it is silenced.
    #[must_use]
    pub(crate) fn marked_by(&self, pid: u32, rule: &str) -> Option<FindingIndex> {
        let marks = self.memory.marks_of(pid).iter();
        let mut marks = marks.map(|index| self.findings.resolve(*index));
        marks.find(|index| {
            let finding = self.findings.get(*index);
            finding.is_some_and(|f| f.rule == rule && f.silenced.is_none())
        })
    }

    /// The finding about this file's change, unless it is silenced.
    #[must_use]
    pub(crate) fn planted(&self, path: &[u8]) -> Option<FindingIndex> {
        let planted = &self.memory.get(self.owner)?.planted;
        let index = *planted.get(&crate::event::Bytes::new(path))?;
        let finding = self.findings.get(index)?;
        (finding.silenced.is_none() && finding.severity >= Severity::Medium).then_some(index)
    }
}

/// A process as a finding keeps it.
#[must_use]
pub(crate) fn ancestor(process: &ProcessEntry) -> Ancestor {
    Ancestor {
        pid: process.pid,
        nspid: process.nspid,
        exe: if process.exe.is_empty() {
            process.comm.clone()
        } else {
            process.exe.clone()
        },
        argv: process.argv.iter().take(16).cloned().collect(),
        origin: process.file.origin(),
    }
}

/// See [`RuleContext::ancestors`].
pub(crate) struct Ancestors<'a> {
    state: &'a State,
    owner: &'a ContainerId,
    next: Option<&'a ProcessEntry>,
    left: usize,
}

impl<'a> Iterator for Ancestors<'a> {
    type Item = &'a ProcessEntry;
    fn next(&mut self) -> Option<&'a ProcessEntry> {
        let process = self.next?;
        self.left = self.left.checked_sub(1)?;
        // The runtime's shim outside the container is not an ancestor within it.
        let parent = self.state.parent_of(process);
        self.next = parent
            .filter(|p| p.owner.as_ref() == Some(self.owner))
            .map(Arc::as_ref);
        Some(process)
    }
}
