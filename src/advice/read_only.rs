//! Whether the root can be read-only, and which directories must stay writable then.

use std::collections::BTreeMap;

use super::model::{Advice, Setting, Verdict, WatchedTime, WritableDirectory};
use crate::baseline::{Baseline, BaselineItem, Facet, ItemField};
use crate::catalog::path::{directory, is_below, leaf};
use crate::catalog::paths::{self, PathClass};
use crate::event::{Bytes, escape};

/// Directories shared by many programs: hidden by a tmpfs, nothing would run.
const SHARED: &[&[u8]] = &[
    b"/",
    b"/bin",
    b"/sbin",
    b"/lib",
    b"/lib64",
    b"/usr",
    b"/usr/bin",
    b"/usr/sbin",
    b"/usr/lib",
    b"/usr/share",
    b"/usr/local",
    b"/usr/local/bin",
    b"/etc",
    b"/root",
    b"/home",
    b"/boot",
    b"/opt",
    b"/srv",
    b"/var",
    b"/var/lib",
];
/// Where the engine mounts something itself.
const MOUNTED: &[&[u8]] = &[b"/proc", b"/sys", b"/dev"];
/// The engine's own files.
const ENGINES: &[&[u8]] = &[b"/etc/hosts", b"/etc/hostname", b"/etc/resolv.conf"];

/// A path pattern up to its first token, as literal bytes.
fn literal_part(pattern: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => out.extend(bytes.next()),
            b'<' | b'*' => {
                // A name that contains a token is not a directory of its own.
                let end = out.iter().rposition(|b| *b == b'/').unwrap_or(0);
                out.truncate(end + 1);
                out.push(b'x');
                return out;
            }
            byte => out.push(*byte),
        }
    }
    out
}

/// Whether a change of this path is one of the container's root.
pub(crate) fn is_in_root(baseline: &Baseline, path: &[u8]) -> bool {
    let in_any = |list: &[&[u8]]| list.iter().any(|d| is_below(path, d));
    !in_any(MOUNTED)
        && !ENGINES.contains(&path)
        && !baseline.mounts.iter().any(|mount| is_below(path, mount))
}

/// The literal beginning of a changed path in the container's root.
pub(super) fn changed(baseline: &Baseline, item: &BaselineItem) -> Option<Vec<u8>> {
    let path = literal_part(item.get(ItemField::Path));
    is_in_root(baseline, &path).then_some(path)
}

/// The only user that a program runs as, if it is not root.
fn only_user(baseline: &Baseline, program: &[u8]) -> Option<u32> {
    let mut users = baseline
        .facet(Facet::User)
        .filter(|(item, _)| item.get(ItemField::By) == program)
        .filter_map(|(item, _)| {
            std::str::from_utf8(item.get(ItemField::Uid))
                .ok()?
                .parse()
                .ok()
        });
    let first: u32 = users.next()?;
    (first != 0 && users.all(|uid| uid == first)).then_some(first)
}

pub(super) fn advise(baseline: &Baseline, seen: &WatchedTime) -> Advice {
    let mut directories: BTreeMap<Vec<u8>, WritableDirectory> = BTreeMap::new();
    let mut blocked = Vec::new();
    for (item, facts) in baseline.facet(Facet::Write) {
        let Some(path) = changed(baseline, item) else {
            continue;
        };
        let of = directory(&path).to_vec();
        if SHARED.contains(&&of[..]) {
            blocked.push(format!("it changes {item}"));
            continue;
        }
        let log = paths::of(&path) == Some(PathClass::Log) || is_below(&path, b"/var/log");
        let by = only_user(baseline, item.get(ItemField::By));
        let size = if of == b"/tmp" || of == b"/var/tmp" {
            64
        } else {
            16
        };
        let known = directories
            .entry(of.clone())
            .or_insert_with(|| WritableDirectory {
                path: Bytes::from(of),
                volume: false,
                exec: false,
                uid: by,
                size,
            });
        known.volume |= facts.how.contains(&'i') && !log;
        known.exec |= facts.how.contains(&'x');
        if known.uid != by {
            known.uid = None;
        }
    }
    // A directory below another one needs no entry of its own.
    let all: Vec<Vec<u8>> = directories.keys().cloned().collect();
    let mut kept: Vec<WritableDirectory> = Vec::new();
    for (path, found) in directories {
        if all
            .iter()
            .any(|other| *other != path && is_below(&path, other))
        {
            if let Some(above) = kept.iter_mut().find(|k| is_below(&path, &k.path)) {
                above.volume |= found.volume;
                above.exec |= found.exec;
                if above.uid != found.uid {
                    above.uid = None;
                }
            }
        } else {
            kept.push(found);
        }
    }
    if baseline.too_large.contains(&Facet::Write) {
        blocked.push("it changes more files than are listed".to_owned());
    }
    let verdict = match (seen.nothing, blocked.is_empty(), kept.is_empty()) {
        (_, false, _) => Verdict::Blocked,
        (true, ..) => Verdict::Unknown,
        // Only a test shows whether it needs the image's files in a directory.
        (false, true, false) => Verdict::Try,
        (false, true, true) => seen.verdict(),
    };
    let mut why = blocked;
    if why.is_empty() {
        why = kept
            .iter()
            .map(|d| {
                let name = escape(leaf(&d.path)).to_string();
                let path = d.path.escaped();
                if d.volume {
                    format!("{path}: it changes files of the image there: a volume, not a tmpfs")
                } else if name.is_empty() {
                    path.to_string()
                } else {
                    format!("{path}: it writes there")
                }
            })
            .collect();
        if why.is_empty() {
            why.push(format!("it changed no file of its root in {}", seen.text()));
        }
    }
    why.truncate(12);
    Advice {
        setting: Setting::ReadOnly(kept),
        verdict,
        why,
    }
}
