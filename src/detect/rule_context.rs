//! What a rule sees of one event, and how it reports a finding.

use std::sync::Arc;
use std::time::Duration;

use super::baselines::LoadedBaselines;
use super::finding::{Ancestor, FindingIndex};
use super::finding_store::{FindingStore, Occurrence};
use super::memory::{ContainerMemory, Memory};
use super::rule_info::RuleInfo;
use super::{Settings, Severity};
use crate::catalog::paths::{self, PathClass};
use crate::event::{ContainerId, Event, Exec, ProgramAdditions, Timestamp};
use crate::state::{Container, FileActivity, FileKey, Lineage, ProcessEntry, State};

/// A container found running is learned from for so long, seconds.
const FIRST_LOOK: u64 = 60;
/// Processes kept of an ancestry.
const MAX_ANCESTRY: usize = 12;

/// One event with all that is known around it.
pub(crate) struct RuleContext<'a> {
    /// The world after the event.
    pub(crate) state: &'a State,
    /// The event.
    pub(crate) event: &'a Event,
    /// What a person set.
    pub(crate) settings: &'a Settings,
    /// The container the event belongs to.
    pub(crate) owner: &'a ContainerId,
    /// The same, as the state knows it.
    pub(crate) container: Option<&'a Container>,
    /// The event's process.
    pub(crate) process: Option<&'a ProcessEntry>,
    /// The baselines in force.
    pub(crate) baselines: &'a LoadedBaselines,
    /// What the rules remember.
    pub(crate) memory: &'a mut Memory,
    /// The findings.
    pub(crate) findings: &'a mut FindingStore,
    /// The rule whose handler runs.
    pub(crate) rule: &'static RuleInfo,
}

impl<'a> RuleContext<'a> {
    /// When it happened.
    #[must_use]
    pub(crate) fn now(&self) -> Timestamp {
        self.event.ts
    }

    /// What the rules remember of this container.
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

    /// Host pid of the parent of the process that runs `exec`: who forked it, where that was seen.
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

    /// The container's init tree does it within the start-up grace.
    #[must_use]
    pub(crate) fn starting_up(&self) -> bool {
        self.session().is_none() && self.in_grace(self.now())
    }

    /// What the container does now is what it is known to do from now on: it starts up, or its
    /// past is not known. Nothing is learned from an exec session.
    #[must_use]
    pub(crate) fn learning(&self) -> bool {
        let unknown_past = self.container.is_some_and(|c| c.existing)
            && self.now().since(self.state.began).as_secs() < FIRST_LOOK
            && self.session().is_none();
        self.starting_up() || unknown_past
    }

    /// When the container was started: as its engine says, else when its init was.
    #[must_use]
    pub(crate) fn container_began(&self) -> Option<Timestamp> {
        let container = self.container?;
        let init = || self.state.processes.get(&container.init()?);
        container.started().or_else(|| Some(init()?.started))
    }

    /// `at` is a known time before watching began.
    #[must_use]
    pub(crate) fn before_watching(&self, at: Timestamp) -> bool {
        at != Timestamp(0) && at < self.state.began
    }

    /// An inode that was last changed at `at` was changed while the container was made or started. A
    /// comparison may come before the engine's facts: then the start of its init counts.
    #[must_use]
    pub(crate) fn made_at_start(&self, at: Timestamp) -> bool {
        const SKEW: Duration = Duration::from_secs(1);
        let created = self.container.and_then(|c| c.info.created);
        let grace = self.settings.startup_grace;
        let starts = [created, self.container_began()].into_iter().flatten();
        at != Timestamp(0) && { starts }.any(|from| at <= from.plus(grace) && from <= at.plus(SKEW))
    }

    /// `at` is within the container's start-up grace.
    #[must_use]
    pub(crate) fn in_grace(&self, at: Timestamp) -> bool {
        let began = self
            .memory
            .get(self.owner)
            .and_then(|own| own.began)
            // A container found running has been up for an unknown time.
            .or_else(|| {
                let c = self.container.filter(|c| !c.existing)?;
                Some(c.first_exec.unwrap_or(c.first_seen))
            });
        began.is_some_and(|began| at < began.plus(self.settings.startup_grace))
    }

    /// What is known of the activity on a path.
    #[must_use]
    pub(crate) fn activity(&self, path: &[u8]) -> Option<&'a FileActivity> {
        let key = FileKey {
            owner: Some(self.owner.clone()),
            path: path.into(),
        };
        self.state.files.get(&key).map(Arc::as_ref)
    }

    /// The process that did it, for the first occurrence of a finding.
    #[must_use]
    pub(crate) fn occurrence(&self) -> Occurrence {
        Occurrence {
            ts: self.event.ts,
            seq: self.event.seq,
            ancestry: self.ancestors().map(ancestor).collect(),
        }
    }

    /// The finding about this file's change, unless it is accepted.
    #[must_use]
    pub(crate) fn planted(&self, path: &[u8]) -> Option<FindingIndex> {
        let planted = &self.memory.get(self.owner)?.planted;
        let index = *planted.get(&crate::event::Bytes::new(path))?;
        let story = self.findings.get(index)?;
        (story.silenced.is_none() && story.severity >= Severity::Medium).then_some(index)
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
        // The runtime's shim outside the container is no ancestor within it.
        self.next = self
            .state
            .processes
            .get(&process.ppid)
            .filter(|p| p.owner.as_ref() == Some(self.owner) && p.pid != process.pid)
            .map(Arc::as_ref);
        Some(process)
    }
}
