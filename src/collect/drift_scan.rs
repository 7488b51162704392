//! Schedules comparisons of containers' files with their images, and runs the thread that does
//! them.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use super::container_facts::ContainerFacts;
use crate::containers::inventory::{Inventory, locate};
use crate::drift::{DriftScanner, ScanProgress, Tally, be_modest, from_engine};
use crate::event::{ContainerId, ContainerInfo, DriftScan, DriftScanCause, Runtime};

/// Maximum number of waiting scans; more are counted as not made.
const QUEUE: usize = 1024;

/// The container being scanned, and the progress.
pub(super) type Current = Mutex<Option<(ContainerId, Arc<ScanProgress>)>>;

struct ScanRequest {
    id: ContainerId,
    info: Arc<ContainerInfo>,
    cause: DriftScanCause,
}

/// Decides which containers are scanned, and takes the results.
pub(super) struct ScanQueue {
    requests: Sender<ScanRequest>,
    results: Receiver<(ContainerId, DriftScan)>,
    /// There before watching began, and not scanned yet.
    unscanned: BTreeSet<ContainerId>,
    busy: BTreeSet<ContainerId>,
    /// Files were copied in while it was scanned or waited for a scan.
    copied: BTreeSet<ContainerId>,
    /// Results of the last turn: earlier records of the kernel must be handled first.
    held: Vec<(ContainerId, DriftScan)>,
    skipped: u64,
    interval: Option<Duration>,
    last: Instant,
}

impl ScanQueue {
    /// Starts the thread. It ends when this is dropped, after the scan under way.
    pub(super) fn start(
        inventory: Option<Inventory>,
        interval: Option<Duration>,
        current: Arc<Current>,
    ) -> io::Result<Self> {
        let (requests, waiting) = bounded(QUEUE);
        let (out, results) = bounded(QUEUE);
        thread::Builder::new()
            .name("scan".to_owned())
            .spawn(move || work(&waiting, &out, inventory.as_ref(), &current))?;
        Ok(Self {
            requests,
            results,
            unscanned: BTreeSet::new(),
            busy: BTreeSet::new(),
            copied: BTreeSet::new(),
            held: Vec::new(),
            skipped: 0,
            interval,
            last: Instant::now(),
        })
    }

    /// A container was there before watching began.
    pub(super) fn existing(&mut self, id: &ContainerId) {
        self.unscanned.insert(id.clone());
    }

    /// Facts of a container arrived.
    pub(super) fn know(&mut self, id: &ContainerId, facts: &ContainerFacts) {
        if self.unscanned.remove(id) {
            self.ask(id, DriftScanCause::Attach, facts);
        }
    }

    /// Files were copied into the container from outside, which no event of a process reports. A
    /// scan under way may have missed them: then another one follows.
    pub(super) fn copied_in(&mut self, id: &ContainerId, facts: &ContainerFacts) {
        if self.busy.contains(id) {
            self.copied.insert(id.clone());
        } else {
            self.ask(id, DriftScanCause::CopiedIn, facts);
        }
    }

    /// A container ended.
    pub(super) fn forget(&mut self, id: &ContainerId) {
        self.copied.remove(id);
        self.unscanned.remove(id);
    }

    /// Requests a scan, unless one waits already.
    pub(super) fn ask(&mut self, id: &ContainerId, cause: DriftScanCause, facts: &ContainerFacts) {
        if !self.busy.insert(id.clone()) {
            return;
        }
        let request = ScanRequest {
            id: id.clone(),
            info: facts.get(id).cloned().unwrap_or_default(),
            cause,
        };
        if self.requests.try_send(request).is_err() {
            self.busy.remove(id);
            self.skipped += 1;
        }
    }

    /// Requests scans of all running containers when the interval has passed.
    pub(super) fn tick<'a>(
        &mut self,
        running: impl Iterator<Item = &'a ContainerId>,
        facts: &ContainerFacts,
    ) {
        let free = self.copied.iter().filter(|id| !self.busy.contains(*id));
        for id in free.cloned().collect::<Vec<_>>() {
            self.copied.remove(&id);
            self.ask(&id, DriftScanCause::CopiedIn, facts);
        }
        if self
            .interval
            .is_some_and(|every| self.last.elapsed() >= every)
        {
            self.last = Instant::now();
            // For the others the image's layers are not known.
            for id in running.filter(|id| facts.get(id).is_some()) {
                self.ask(id, DriftScanCause::Interval, facts);
            }
        }
    }

    /// The results of the last turn.
    pub(super) fn take(&mut self) -> Vec<(ContainerId, DriftScan)> {
        let done = std::mem::take(&mut self.held);
        self.held = self.results.try_iter().collect();
        for (id, _) in &self.held {
            self.busy.remove(id);
        }
        done
    }

    /// Scans refused since the last call.
    pub(super) fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }
}

fn work(
    requests: &Receiver<ScanRequest>,
    out: &Sender<(ContainerId, DriftScan)>,
    inventory: Option<&Inventory>,
    current: &Current,
) {
    be_modest();
    let mut scanner = DriftScanner::default();
    for ScanRequest { id, info, cause } in requests {
        let progress = Arc::new(ScanProgress::default());
        *current.lock() = Some((id.clone(), Arc::clone(&progress)));
        let mut info = Arc::unwrap_or_clone(info);
        locate(&mut info);
        let mut tally = Tally::default();
        let scanned = scanner.scan(&info, &progress, &mut |d| tally.add(d));
        if let Err(why) = &scanned {
            tracing::info!(id = ?id, why, "layers not compared");
        }
        // The Docker engine does not know containers of other runtimes.
        let requested = inventory.filter(|_| info.runtime == Runtime::Docker);
        let scan = scanned.unwrap_or_else(|why| by_engine(requested, &id, why, &mut tally));
        *current.lock() = None;
        let scan = DriftScan {
            cause,
            ..tally.into_scan(scan)
        };
        if out.send((id, scan)).is_err() {
            return;
        }
    }
}

fn by_engine(
    inventory: Option<&Inventory>,
    id: &ContainerId,
    why: String,
    tally: &mut Tally,
) -> DriftScan {
    let failed = match inventory.map(|inventory| inventory.changes(id)) {
        Some(Ok(changes)) => return from_engine(changes, &why, &mut |d| tally.add(d)),
        Some(Err(error)) => format!("{why}; querying the engine failed: {error}"),
        None => why,
    };
    DriftScan {
        failed: Some(failed),
        ..DriftScan::default()
    }
}
