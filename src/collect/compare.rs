//! Decides which executed files are compared with the image, each once.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::containers::compare::{Comparer, Request};
use crate::event::{Bytes, ContainerId, ContainerInfo, Event, FileFacts, Kind, Origin, Timestamp};

/// Files remembered as asked for; beyond it they may be asked for again.
const MAX_ASKED: usize = 65_536;

/// A file's identity and content version.
type Version = (ContainerId, u64, u32, Timestamp, u64);

/// What was asked, and the facts a comparison needs.
pub(super) struct Comparisons {
    comparer: Comparer,
    asked: FxHashSet<Version>,
    infos: BTreeMap<ContainerId, Arc<ContainerInfo>>,
}

impl Comparisons {
    pub(super) fn new(comparer: Comparer) -> Self {
        Self {
            comparer,
            asked: FxHashSet::default(),
            infos: BTreeMap::new(),
        }
    }

    /// Facts of a container arrived.
    pub(super) fn know(&mut self, id: &ContainerId, info: &ContainerInfo) {
        self.infos.insert(id.clone(), Arc::new(info.clone()));
    }

    /// A container ended.
    pub(super) fn forget(&mut self, id: &ContainerId) {
        self.infos.remove(id);
        self.asked.retain(|version| version.0 != *id);
    }

    /// Asks for a comparison when the event executes a file of the writable layer.
    pub(super) fn look(&mut self, event: &Event) {
        let Some(container) = &event.container else {
            return;
        };
        match &event.kind {
            Kind::Exec(exec) if !exec.runtime => {
                self.ask(container, event.pid, &exec.exe, &exec.file);
            }
            Kind::Process(process) => self.ask(container, event.pid, &process.exe, &process.file),
            _ => {}
        }
    }

    fn ask(&mut self, container: &ContainerId, pid: u32, path: &Bytes, file: &FileFacts) {
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
        let request = Request {
            container: container.clone(),
            info: self.infos.get(container).cloned().unwrap_or_default(),
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
