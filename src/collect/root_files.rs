//! Facts of files in container roots that are not on an overlay (vfs, fuse-overlayfs, native
//! snapshots).
//!
//! The kernel sees an ordinary disk there, as of a volume, or a tmpfs. What is on the device of the root
//! and below no mount is the root's: of the image or written since, as the layers' directories show.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::container_facts::ContainerFacts;
use crate::containers::file_facts::kernel_dev;
use crate::containers::overlay::{self, RootMount};
use crate::event::{Bytes, ContainerId, ContainerInfo, FileFacts, Filesystem, Kind, Timestamp};

/// The containers' roots, read once: a container may change its root later.
#[derive(Debug, Default)]
pub(super) struct RootFiles {
    roots: BTreeMap<ContainerId, RootMount>,
}

impl RootFiles {
    /// The container ended.
    pub(super) fn forget(&mut self, id: &ContainerId) {
        self.roots.remove(id);
    }

    /// Corrects the file facts of an event of this container.
    pub(super) fn correct(
        &mut self,
        id: &ContainerId,
        init: Option<u32>,
        kind: &mut Kind,
        known: &ContainerFacts,
    ) {
        let (path, file) = match kind {
            Kind::Exec(exec) if !exec.runtime => (&exec.exe, &mut exec.file),
            Kind::Process(process) => (&process.exe, &mut process.file),
            Kind::File(file) => {
                let path = file.target.as_ref().unwrap_or(&file.path);
                match &mut file.file {
                    Some(facts) => (path, facts),
                    None => return,
                }
            }
            _ => return,
        };
        let possible = matches!(
            file.fs,
            Filesystem::Disk | Filesystem::Tmpfs | Filesystem::Overlay
        );
        if !possible || file.memfd || file.unlinked {
            return;
        }
        let root = self.roots.get(id).copied().or_else(|| {
            let root = root(init?)?;
            self.roots.insert(id.clone(), root);
            Some(root)
        });
        // A whole overlay is the container's own, and the kernel has reported the layer.
        let mistaken = |root: &RootMount| {
            root.device == file.dev && (file.fs != Filesystem::Overlay || root.is_directory)
        };
        if root.as_ref().is_some_and(mistaken)
            && let Some(info) = known.get(id)
            && !below_a_mount(info, path)
        {
            classify(info, path, file);
        }
    }
}

/// The root of this process. One that changed its root may not have that in its mount table.
fn root(init: u32) -> Option<RootMount> {
    overlay::root_mount(init).or_else(|| {
        let root = fs::metadata(format!("/proc/{init}/root")).ok()?;
        Some(RootMount {
            device: kernel_dev(root.dev()),
            is_directory: false,
        })
    })
}

fn below_a_mount(info: &ContainerInfo, path: &Bytes) -> bool {
    let path = Path::new(OsStr::from_bytes(path));
    let mut mounts = info.mounts.iter();
    mounts.any(|mount| path.starts_with(OsStr::from_bytes(&mount.destination)))
}

/// Facts as an overlay would report them: in the writable directory, in a lower one, or unknown. A
/// driver without layers (vfs) copies the image: files unchanged since the copy are the image's. Where
/// nothing says what the image is (ZFS, devicemapper), a file that last changed before the container
/// was created is the image's; a container cannot set that time.
fn classify(info: &ContainerInfo, path: &Bytes, file: &mut FileFacts) {
    let inside = Path::new(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)));
    let held = |dir: &Bytes| {
        let dir = Path::new(OsStr::from_bytes(dir));
        (!dir.as_os_str().is_empty())
            .then(|| dir.join(inside).symlink_metadata().ok())
            .flatten()
    };
    let storage = &info.storage;
    let (upper, lower) = (held(&storage.upper), storage.lower.iter().find_map(held));
    let copied = upper
        .as_ref()
        .zip(lower.as_ref())
        .is_some_and(|(own, images)| is_copy(own, images, info.started));
    let (upper, lower) = (upper.is_some() && !copied, lower.is_some());
    if !storage.lower.is_empty() && (upper || lower) {
        file.fs = Filesystem::Overlay;
        (file.upper, file.lower) = (upper, lower);
    } else if storage.lower.is_empty()
        && file.ctime != Timestamp(0)
        && info.created.is_some_and(|created| file.ctime < created)
    {
        file.fs = Filesystem::Overlay;
        (file.upper, file.lower) = (false, true);
    } else {
        file.fs = Filesystem::Unknown;
    }
}

/// Whether the file was not touched since it was copied, before the container started. A container
/// can set a file's other times, but not its ctime.
fn is_copy(own: &Metadata, images: &Metadata, started: Option<Timestamp>) -> bool {
    let identity = |file: &Metadata| {
        let kind = (file.mode(), file.uid(), file.gid());
        (kind, file.size(), file.mtime(), file.mtime_nsec())
    };
    let changed = own
        .ctime()
        .saturating_mul(1_000_000_000)
        .saturating_add(own.ctime_nsec());
    identity(own) == identity(images) && started.is_some_and(|started| changed < started.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{Exec, Mount, Origin, Storage};

    const CTIME: Timestamp = Timestamp(7);

    #[test]
    fn a_file_of_the_root_is_never_from_a_volume_but_one_below_a_mount_is() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["upper/bin/a", "upper/bin/b", "lower/bin/a", "lower/bin/c"] {
            let file = dir.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "x").unwrap();
        }
        let at = |p: &str| Bytes::from(dir.path().join(p).to_str().unwrap());
        let info = ContainerInfo {
            storage: Storage {
                driver: "vfs".to_owned(),
                upper: at("upper"),
                lower: vec![at("lower")],
                merged: Bytes::default(),
            },
            mounts: vec![Mount {
                destination: "/data".into(),
                ..Mount::default()
            }],
            ..ContainerInfo::default()
        };
        let id = ContainerId::new("c");
        let init = std::process::id();
        let root = root(init).unwrap().device;
        let mut files = RootFiles::default();
        let origin = |files: &mut RootFiles, info: &ContainerInfo, path: &str, (fs, dev)| {
            let mut known = ContainerFacts::default();
            known.know(&id, info);
            let file = FileFacts {
                fs,
                dev,
                ctime: CTIME,
                ..FileFacts::default()
            };
            let exec = Exec {
                exe: path.into(),
                file,
                ..Exec::default()
            };
            let mut kind = Kind::Exec(Box::new(exec));
            files.correct(&id, Some(init), &mut kind, &known);
            match kind {
                Kind::Exec(exec) => exec.file.origin(),
                _ => unreachable!(),
            }
        };
        let (disk, tmpfs) = ((Filesystem::Disk, root), (Filesystem::Tmpfs, root));
        for (path, place, expected) in [
            ("/bin/a", disk, Origin::CopiedUp),
            ("/bin/b", disk, Origin::Upper),
            ("/bin/c", disk, Origin::Image),
            ("/bin/gone", disk, Origin::Unknown),
            ("/data/bin/a", disk, Origin::Volume),
            ("/bin/a", (Filesystem::Disk, root + 1), Origin::Volume),
            // The engine keeps its data in memory.
            ("/bin/c", tmpfs, Origin::Image),
            ("/data/bin/a", tmpfs, Origin::Tmpfs),
            ("/bin/c", (Filesystem::Tmpfs, root + 1), Origin::Tmpfs),
        ] {
            assert_eq!(origin(&mut files, &info, path, place), expected, "{path}");
        }
        // A directory of an outer container's overlay.
        let overlay = (Filesystem::Overlay, root);
        let of = |files: &mut RootFiles, path| origin(files, &info, path, overlay);
        assert_eq!(of(&mut files, "/bin/gone"), Origin::Image);
        let inner = RootMount {
            device: root,
            is_directory: true,
        };
        files.roots.insert(id.clone(), inner);
        assert_eq!(of(&mut files, "/bin/gone"), Origin::Unknown);
        assert_eq!(of(&mut files, "/bin/b"), Origin::Upper);
        // A driver that copies the image: nothing was done to it since the container started.
        let time = fs::metadata(dir.path().join("lower/bin/a"))
            .unwrap()
            .modified()
            .unwrap();
        let copy = fs::File::options()
            .write(true)
            .open(dir.path().join("upper/bin/a"));
        copy.as_ref().unwrap().set_modified(time).unwrap();
        let started = |started| ContainerInfo {
            started,
            ..info.clone()
        };
        let later = started(Some(crate::system::wall_now().plus(Duration::from_secs(1))));
        let of = |files: &mut RootFiles, info: &ContainerInfo| origin(files, info, "/bin/a", disk);
        assert_eq!(of(&mut files, &later), Origin::Image);
        // Its times were set back, or the start is not known.
        for earlier in [Some(Timestamp(1)), None] {
            assert_eq!(of(&mut files, &started(earlier)), Origin::CopiedUp);
        }
        copy.unwrap().set_len(0).unwrap();
        assert_eq!(of(&mut files, &later), Origin::CopiedUp);
        let unknown = ContainerInfo {
            storage: Storage {
                upper: at("upper"),
                ..Storage::default()
            },
            ..info
        };
        let of = |files: &mut RootFiles, info: &ContainerInfo| origin(files, info, "/bin/a", disk);
        assert_eq!(of(&mut files, &unknown), Origin::Unknown);
        let created = |at| ContainerInfo {
            created: Some(Timestamp(at)),
            ..unknown.clone()
        };
        assert_eq!(of(&mut files, &created(CTIME.0 + 1)), Origin::Image);
        assert_eq!(of(&mut files, &created(CTIME.0)), Origin::Unknown);
    }
}
