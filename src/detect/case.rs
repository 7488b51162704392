//! What a rule sees of one event, and how it tells what it found.

use std::sync::Arc;

use super::memory::{ContainerMemory, Memory};
use super::stories::{Occurrence, Stories, Told};
use super::{Ancestor, RuleInfo, Settings, Severity};
use crate::catalog::paths::{self, PathClass};
use crate::event::{ContainerId, Event, ProgramAdditions, Timestamp};
use crate::state::{Container, FileActivity, FileKey, Lineage, ProcessEntry, State};

/// Processes kept of an ancestry.
const MAX_ANCESTRY: usize = 12;

/// One event with all that is known around it.
pub(crate) struct Case<'a> {
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
    /// What the rules remember.
    pub(crate) memory: &'a mut Memory,
    /// The findings.
    pub(crate) stories: &'a mut Stories,
    /// The rule that looks.
    pub(crate) rule: &'static RuleInfo,
}

impl<'a> Case<'a> {
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

    /// The root process of the exec session the event belongs to, if it does.
    #[must_use]
    pub(crate) fn session(&self) -> Option<u32> {
        match self.process?.lineage {
            Lineage::ExecSession(root) => Some(root),
            Lineage::Init | Lineage::Unknown => None,
        }
    }

    /// The process belongs to an installation by a package manager of the image that still
    /// runs, or ended a moment ago.
    #[must_use]
    pub(crate) fn installing(&self) -> bool {
        let Some(root) = self.memory.installing.get(&self.event.pid) else {
            return false;
        };
        self.state.processes.get(root).is_some_and(|p| {
            p.exited
                .is_none_or(|at| self.event.ts.since(at).as_secs() < 10)
        })
    }

    /// The container's init tree does it within the start-up grace.
    #[must_use]
    pub(crate) fn starting_up(&self) -> bool {
        self.session().is_none() && self.in_grace(self.now())
    }

    /// `at` lies within the container's start-up grace.
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

    /// Who did it, for the first occurrence of a finding.
    #[must_use]
    pub(crate) fn occurrence(&self) -> Occurrence {
        Occurrence {
            ts: self.event.ts,
            seq: self.event.seq,
            ancestry: self.ancestors().map(ancestor).collect(),
        }
    }

    /// Raises or counts a finding of the looking rule. `tell` runs only when it begins.
    /// Returns its place.
    pub(crate) fn raise(
        &mut self,
        severity: Severity,
        subject: &[u8],
        tell: impl FnOnce(&Self, &mut Told),
    ) -> Option<usize> {
        self.raise_as(self.rule, severity, subject, tell)
    }

    /// The same for a rule of the same family.
    pub(crate) fn raise_as(
        &mut self,
        rule: &RuleInfo,
        severity: Severity,
        subject: &[u8],
        tell: impl FnOnce(&Self, &mut Told),
    ) -> Option<usize> {
        if self.settings.policy.turns_off(rule.id) {
            return None;
        }
        if let Some(place) = self.stories.find(rule.id, Some(self.owner), subject) {
            self.stories
                .again(place, severity, self.event.ts, self.event.seq);
            return Some(place);
        }
        let mut told = Told::default();
        tell(self, &mut told);
        if told.title.is_empty() {
            rule.title.clone_into(&mut told.title);
        }
        if let Some(place) = self.chain(severity) {
            let key = u32::try_from(place).unwrap_or(u32::MAX);
            let worst = self.memory.chained.entry(key).or_insert(Severity::Info);
            *worst = severity.max(*worst);
            self.stories.explain(place, format!("then: {}", told.title));
            self.stories.attach(place, self.event.ts, self.event.seq);
            return Some(place);
        }
        let occurrence = self.occurrence();
        let at = (self.event.ts, self.event.seq);
        let (place, _) =
            self.stories
                .raise(rule, severity, Some(self.owner), subject, at, || {
                    (occurrence, told)
                })?;
        Some(place)
    }

    /// The finding that tells of this file's change, unless it is accepted.
    #[must_use]
    pub(crate) fn planted(&self, path: &[u8]) -> Option<usize> {
        let planted = &self.memory.get(self.owner)?.planted;
        let place = *planted.get(&crate::event::Bytes::new(path))? as usize;
        let story = self.stories.findings().get(place)?;
        (story.silenced.is_none() && story.severity >= Severity::Medium).then_some(place)
    }

    /// The story of drifted code the process belongs to, when what it does now adds to it: a
    /// chain of effects is one story. Something worse than the story stands for itself, and so
    /// does everything once the story is accepted.
    fn chain(&self, severity: Severity) -> Option<usize> {
        if severity == Severity::Info {
            return None;
        }
        let place = *self.memory.marks.get(&self.event.pid)? as usize;
        let story = self.stories.findings().get(place)?;
        // The same rule about the same subject was found before.
        let adds = story.rule.starts_with("drift.")
            && story.severity >= severity
            && story.silenced.is_none()
            && story.container.as_ref() == Some(self.owner);
        adds.then_some(place)
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

/// See [`Case::ancestors`].
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
