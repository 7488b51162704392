//! Decides which executed files are compared with the image, each once.

use rustc_hash::FxHashSet;

use super::container_facts::ContainerFacts;
use crate::containers::compare::{CompareRequest, Comparer};
use crate::event::{Bytes, ContainerId, Event, FileFacts, Kind, Origin, Timestamp};

/// Files remembered as asked for; beyond it they may be asked for again.
const MAX_ASKED: usize = 65_536;

/// A file's identity and content version.
type FileVersion = (ContainerId, u64, u32, Timestamp, u64);

/// What was asked.
pub(super) struct Comparisons {
    comparer: Comparer,
    asked: FxHashSet<FileVersion>,
}

impl Comparisons {
    pub(super) fn new(comparer: Comparer) -> Self {
        Self {
            comparer,
            asked: FxHashSet::default(),
        }
    }

    /// A container ended.
    pub(super) fn forget(&mut self, id: &ContainerId) {
        self.asked.retain(|version| version.0 != *id);
    }

    /// Asks for a comparison when the event executes a file of the writable layer.
    pub(super) fn look(&mut self, event: &Event, facts: &ContainerFacts) {
        let Some(container) = &event.container else {
            return;
        };
        match &event.kind {
            Kind::Exec(exec) if !exec.runtime => {
                self.ask(facts, container, event.pid, &exec.exe, &exec.file);
            }
            Kind::Process(process) => {
                self.ask(facts, container, event.pid, &process.exe, &process.file);
            }
            _ => {}
        }
    }

    fn ask(
        &mut self,
        facts: &ContainerFacts,
        container: &ContainerId,
        pid: u32,
        path: &Bytes,
        file: &FileFacts,
    ) {
        if !matches!(file.origin(), Origin::Upper | Origin::CopiedUp) {
            return;
        }
        let version = (container.clone(), file.ino, file.dev, file.mtime, file.size);
        if self.asked.contains(&version) {
            return;
        }
        if self.asked.len() >= MAX_ASKED {
            self.asked.clear();
        }
        let request = CompareRequest {
            container: container.clone(),
            info: facts.get(container).cloned().unwrap_or_default(),
            pid,
            path: path.clone(),
            ino: file.ino,
            dev: file.dev,
        };
        if self.comparer.request(request) {
            self.asked.insert(version);
        }
    }

    /// Requests that found no room since the last call.
    pub(super) fn take_dropped(&self) -> u64 {
        self.comparer.take_dropped()
    }
}
