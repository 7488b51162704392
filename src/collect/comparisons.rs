//! Decides which executed files are compared with the image, each once.

use rustc_hash::{FxHashMap, FxHashSet};

use super::container_facts::ContainerFacts;
use crate::catalog::paths::{self, PathClass};
use crate::containers::compare::{CompareRequest, Comparer};
use crate::event::{
    Bytes, ContainerId, Event, FileFacts, FileOp, Filesystem, Kind, Origin, Timestamp,
};

/// Maximum number of remembered files; beyond it a file may be compared again.
const MAX_REQUESTS: usize = 65_536;

/// Maximum number of processes that opened programs for writing.
const MAX_OPENED: usize = 1024;
/// Maximum number of programs of one process that are compared when it ends.
const MAX_OPENED_EACH: usize = 32;

/// A file's identity and content version.
type FileVersion = (ContainerId, u64, u32, Timestamp, u64);

/// Requested comparisons.
pub(super) struct Comparisons {
    comparer: Comparer,
    requested: FxHashSet<FileVersion>,
    /// Programs that a process has opened for writing: compared when it ends.
    opened: FxHashMap<u32, Vec<(ContainerId, Bytes, FileFacts)>>,
}

impl Comparisons {
    pub(super) fn new(comparer: Comparer) -> Self {
        Self {
            comparer,
            requested: FxHashSet::default(),
            opened: FxHashMap::default(),
        }
    }

    /// A container ended.
    pub(super) fn forget(&mut self, id: &ContainerId) {
        self.requested.retain(|version| version.0 != *id);
        self.opened
            .retain(|_, files| files.iter().all(|file| file.0 != *id));
    }

    /// Requests a comparison when the event executes a file that is not the image's, or may be changed.
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
            Kind::File(file) if file.op == FileOp::Write && file.errno == 0 => {
                if let Some(facts) = &file.file {
                    self.opened(container, event.pid, &file.path, facts);
                }
            }
            Kind::Exit(_) => self.written(facts, event.pid),
            _ => {}
        }
    }

    /// A process may write the file from now on.
    fn opened(&mut self, container: &ContainerId, pid: u32, path: &Bytes, facts: &FileFacts) {
        let program = paths::of(path) == Some(PathClass::Program);
        if !program || facts.fs != Filesystem::Overlay || self.opened.len() >= MAX_OPENED {
            return;
        }
        let files = self.opened.entry(pid).or_default();
        if files.len() < MAX_OPENED_EACH && !files.iter().any(|file| file.1 == *path) {
            files.push((container.clone(), path.clone(), *facts));
        }
    }

    /// A process ended: its written content is complete.
    fn written(&mut self, known: &ContainerFacts, pid: u32) {
        for (container, path, file) in self.opened.remove(&pid).unwrap_or_default() {
            // The writer has ended, and with it its view of the files: the init's view is the same.
            let info = known.get(&container).cloned().unwrap_or_default();
            let request = CompareRequest {
                pid: info.init_pid,
                container,
                info,
                path,
                ino: 0,
                dev: file.dev,
                on_root: true,
            };
            // Refused requests are counted.
            let _ = self.comparer.request(request);
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
        let on_root = match file.origin() {
            Origin::Upper | Origin::CopiedUp => true,
            Origin::Tmpfs | Origin::Volume => false,
            Origin::Image | Origin::Memfd | Origin::Deleted | Origin::Unknown => return,
        };
        let version = (container.clone(), file.ino, file.dev, file.mtime, file.size);
        if self.requested.contains(&version) {
            return;
        }
        if self.requested.len() >= MAX_REQUESTS {
            self.requested.clear();
        }
        let request = CompareRequest {
            container: container.clone(),
            info: facts.get(container).cloned().unwrap_or_default(),
            pid,
            path: path.clone(),
            ino: file.ino,
            dev: file.dev,
            on_root,
        };
        if self.comparer.request(request) {
            self.requested.insert(version);
        }
    }

    /// Requests refused since the last call.
    pub(super) fn take_dropped(&self) -> u64 {
        self.comparer.take_dropped()
    }
}
