//! Differences by the engine's own list of changes, without contents, where the layers cannot be
//! read.

use std::time::Instant;

use super::class::class;
use crate::event::{Bytes, Difference, Differing, DriftScan, DriftScanSource, NodeKind, Timestamp};

/// Reports the changes that the engine lists. Directories are only counted. Without contents, a
/// file's class is determined by its path.
pub fn from_engine(
    changes: Vec<(Bytes, Difference)>,
    why: &str,
    out: &mut dyn FnMut(Differing),
) -> DriftScan {
    let began = Instant::now();
    let mut scan = DriftScan {
        source: DriftScanSource::Engine,
        problems: vec![format!("{why}; contents were not compared")],
        ..DriftScan::default()
    };
    let mut changes = changes;
    changes.sort();
    for (number, (path, difference)) in changes.iter().enumerate() {
        scan.examined += 1;
        // A changed or new directory is followed by what changed in it.
        let inside = changes.get(number + 1..).unwrap_or_default().iter();
        let mut inside = inside.take_while(|(next, _)| next.starts_with(path));
        if *difference != Difference::Deleted
            && inside.any(|(next, _)| next.get(path.len()) == Some(&b'/'))
        {
            scan.directories += u64::from(*difference == Difference::Added);
            continue;
        }
        out(Differing {
            path: path.clone(),
            difference: *difference,
            class: class(path, NodeKind::File, 0, b""),
            kind: NodeKind::File,
            metadata_only: false,
            size: 0,
            size_before: None,
            mode: 0,
            mode_before: None,
            uid: 0,
            gid: 0,
            mtime: Timestamp(0),
            ctime: Timestamp(0),
            target: None,
            sha256: None,
            package: None,
            below: None,
            note: None,
        });
    }
    scan.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    scan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_with_changes_inside_are_not_differences() {
        let changes = [
            ("/etc", Difference::Changed),
            ("/etc/app.conf", Difference::Changed),
            ("/etc-old", Difference::Added),
            ("/opt", Difference::Added),
            ("/opt/tool.sh", Difference::Added),
            ("/usr/bin/wget", Difference::Deleted),
        ];
        let changes = changes.map(|(path, d)| (path.into(), d)).to_vec();
        let mut listed = Vec::new();
        let scan = from_engine(changes, "no layers", &mut |d| listed.push(d.path));
        let listed: Vec<_> = listed.iter().map(|p| p.to_string()).collect();
        assert_eq!(
            listed,
            ["/etc-old", "/etc/app.conf", "/opt/tool.sh", "/usr/bin/wget"]
        );
        assert_eq!((scan.examined, scan.directories), (6, 1));
    }
}
