//! Scans one container: opens its layers, compares packages and files.

use std::time::Instant;

use super::content::ContentMemory;
use super::progress::ScanProgress;
use super::{layer_tree, layer_walk, packages};
use crate::containers::overlay;
use crate::event::{Bytes, ContainerInfo, Differing, DriftScan, DriftScanSource};

/// Scans containers, with a cache between scans.
#[derive(Debug, Default)]
pub struct DriftScanner {
    pub(super) contents: ContentMemory,
}

impl DriftScanner {
    /// Compares a container's writable layer with its image. Every difference goes to `out` as it
    /// is found; the returned outcome holds everything else.
    ///
    /// # Errors
    /// When the layers are not known or cannot be opened.
    pub fn scan(
        &mut self,
        info: &ContainerInfo,
        progress: &ScanProgress,
        out: &mut dyn FnMut(Differing),
    ) -> Result<DriftScan, String> {
        let began = Instant::now();
        let span = tracing::info_span!("drift_scan", container = %info.name.escaped());
        let _entered = span.enter();
        let driver = &info.storage.driver;
        if matches!(&driver[..], "vfs" | "btrfs") {
            // Every file of the image is in the container's directory: changed files cannot be
            // recognised.
            return Err(format!("storage driver {driver:?} copies the whole image"));
        }
        let tree = layer_tree::LayerTree::open(&info.storage)?;
        let found = packages::compare(&tree);
        let mounts = mount_points(info);
        let mut walk = layer_walk::LayerWalk::new(
            &tree,
            &mut self.contents,
            &found.owned,
            &mounts,
            progress,
            out,
        );
        let done = walk.run();
        let walked = walk.walked;
        tracing::info!(
            done,
            examined = walked.examined,
            unreadable = walked.unreadable,
            took = ?began.elapsed(),
            "compared"
        );
        let mut problems = walked.problems;
        problems.extend(found.problems);
        Ok(DriftScan {
            source: DriftScanSource::Layers,
            failed: (!done).then(|| "cancelled before it was done".to_owned()),
            examined: walked.examined,
            unchanged: walked.unchanged,
            directories: walked.directories,
            packages: found.changes,
            packages_unlisted: found.unlisted,
            problems,
            unreadable: walked.unreadable,
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..DriftScan::default()
        })
    }
}

/// Files over which engines mount something without listing it as a mount.
const ENGINE_MOUNTS: &[&str] = &["/sbin/docker-init", "/usr/sbin/docker-init", "/dev/init"];

/// Mount points, sorted: as the engine lists them, and from the container's mount table while the
/// container runs.
fn mount_points(info: &ContainerInfo) -> Vec<Bytes> {
    let mut mounts: Vec<Bytes> = info.mounts.iter().map(|m| m.destination.clone()).collect();
    mounts.extend(ENGINE_MOUNTS.iter().map(|path| Bytes::from(*path)));
    if info.init_pid != 0 {
        mounts.extend(overlay::mount_points(info.init_pid));
    }
    mounts.sort();
    mounts.dedup();
    mounts
}
