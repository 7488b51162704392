//! The writable layer and the image's layers as open directories, never left: no link is
//! followed, nothing but regular files and directories is opened.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, fgetxattr, openat, openat2, readlinkat,
    statat,
};

use crate::event::{Bytes, Storage};

/// One of the image's directories that form the current directory.
#[derive(Debug, Clone)]
pub(super) struct LayerDir {
    /// Its layer, 0 the uppermost.
    layer: u16,
    /// Its path in the layer, without a leading slash.
    path: Arc<[u8]>,
}

/// The opened directory.
pub(super) struct OpenLayerDir {
    part: LayerDir,
    fd: OwnedFd,
}

/// The image's entry for a name.
pub(super) enum ImageNode {
    /// Nothing.
    Nothing,
    /// A directory that consists of these.
    Directory(Vec<LayerDir>, Stat),
    /// Another kind of file, in the open part with this number. `whole` is false when the file
    /// holds metadata only and its content is elsewhere.
    Node {
        stat: Box<Stat>,
        part: usize,
        whole: bool,
    },
}

/// All layers of a container.
pub(super) struct LayerTree {
    upper: OwnedFd,
    lower: Vec<OwnedFd>,
}

pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// A character device 0:0 marks a removed name.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// `directory/name` without a leading slash.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

fn open_root(path: &Bytes) -> Result<OwnedFd, String> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path.as_ref() as &[u8], flags, Mode::empty())
        .map_err(|e| format!("{}: {e}", path.escaped()))
}

/// Opens the directory `path` below `root` for reading.
fn open_below(root: &OwnedFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let path = if path.is_empty() { b"." } else { path };
    openat2(root, path, flags, Mode::empty(), resolve)
}

/// Opens the regular file `name` in a directory for reading: first only a handle, so that a file
/// that was replaced by a fifo or a device is never opened.
pub(super) fn open_file(directory: &OwnedFd, name: &CStr) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = openat(directory, name, flags, Mode::empty())?;
    if kind(&rustix::fs::fstat(&handle)?) != FileType::RegularFile {
        return Err(io::Error::other("it changed while it was read"));
    }
    File::open(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

/// An overlay attribute, under either of its prefixes.
fn attribute(fd: &OwnedFd, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0_u8; 4096];
    ["trusted", "user"].iter().find_map(|prefix| {
        let length = fgetxattr(fd, format!("{prefix}.overlay.{name}"), &mut value[..]).ok()?;
        Some(value.get(..length)?.to_vec())
    })
}

pub(super) fn is_opaque(directory: &OwnedFd) -> bool {
    attribute(directory, "opaque").is_some_and(|v| v.first() == Some(&b'y'))
}

/// The original path of a moved directory or file of this layer.
pub(super) fn redirect(fd: &OwnedFd) -> Option<Vec<u8>> {
    attribute(fd, "redirect").filter(|v| !v.is_empty())
}

/// Whether the file holds changed metadata only.
pub(super) fn is_metadata_only(file: &OwnedFd) -> bool {
    let mut value = [0_u8; 64];
    ["trusted.overlay.metacopy", "user.overlay.metacopy"]
        .iter()
        .any(|name| fgetxattr(file, *name, &mut value[..]).is_ok())
}

/// Where a symbolic link points to.
pub(super) fn link_target(directory: &OwnedFd, name: &CStr) -> io::Result<Bytes> {
    Ok(readlinkat(directory, name, Vec::new())?.to_bytes().into())
}

impl LayerTree {
    /// Opens the layers.
    ///
    /// # Errors
    /// When one of them cannot be opened: then the image is unknown.
    pub(super) fn open(storage: &Storage) -> Result<Self, String> {
        if storage.upper.is_empty() || storage.lower.is_empty() {
            return Err(format!(
                "storage driver {:?} does not report its layers",
                storage.driver
            ));
        }
        Ok(Self {
            upper: open_root(&storage.upper)?,
            lower: storage
                .lower
                .iter()
                .map(open_root)
                .collect::<Result<_, _>>()?,
        })
    }

    /// A directory of the writable layer.
    pub(super) fn open_upper(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        open_below(&self.upper, path)
    }

    /// The parts of the root.
    pub(super) fn root(&self) -> Vec<LayerDir> {
        let empty: Arc<[u8]> = Arc::from([].as_slice());
        (0..self.lower.len())
            .map(|layer| LayerDir {
                layer: u16::try_from(layer).unwrap_or(u16::MAX),
                path: Arc::clone(&empty),
            })
            .collect()
    }

    fn open_part(&self, part: &LayerDir) -> Result<OwnedFd, String> {
        let Some(root) = self.lower.get(usize::from(part.layer)) else {
            return Err("too many layers".to_owned());
        };
        open_below(root, &part.path).map_err(|e| format!("image layer {}: {e}", part.layer))
    }

    /// Opens the parts of a directory.
    pub(super) fn open_parts(&self, parts: &[LayerDir]) -> Result<Vec<OpenLayerDir>, String> {
        parts
            .iter()
            .map(|part| {
                Ok(OpenLayerDir {
                    fd: self.open_part(part)?,
                    part: part.clone(),
                })
            })
            .collect()
    }

    /// The image's entry for `name` in a directory.
    pub(super) fn look(&self, parts: &[OpenLayerDir], name: &CStr) -> Result<ImageNode, String> {
        let mut found: Vec<LayerDir> = Vec::new();
        let mut first = None;
        for (number, OpenLayerDir { part, fd }) in parts.iter().enumerate() {
            let stat = match statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(rustix::io::Errno::NOENT) => continue,
                Err(e) => return Err(format!("image layer {}: {e}", part.layer)),
            };
            if is_whiteout(&stat) {
                break;
            }
            if kind(&stat) != FileType::Directory {
                if first.is_some() {
                    break;
                }
                let whole = kind(&stat) != FileType::RegularFile
                    || !open_file(fd, name).is_ok_and(|f| is_metadata_only(&f.into()));
                return Ok(ImageNode::Node {
                    stat: Box::new(stat),
                    part: number,
                    whole,
                });
            }
            let here = LayerDir {
                layer: part.layer,
                path: join(&part.path, name.to_bytes()).into(),
            };
            let directory = self.open_part(&here)?;
            first.get_or_insert(stat);
            found.push(here);
            if is_opaque(&directory) {
                break;
            }
            if let Some(from) = redirect(&directory) {
                let below = usize::from(part.layer) + 1;
                found.extend(self.redirected(&part.path, &from, below)?);
                break;
            }
        }
        Ok(match first {
            Some(stat) => ImageNode::Directory(found, stat),
            None => ImageNode::Nothing,
        })
    }

    /// The directory a redirection names, in the layers from `layer` on. A relative one names a
    /// sibling in `parent`.
    pub(super) fn redirected(
        &self,
        parent: &[u8],
        from: &[u8],
        layer: usize,
    ) -> Result<Vec<LayerDir>, String> {
        let path = match from.strip_prefix(b"/") {
            Some(absolute) => absolute.to_vec(),
            None => join(parent, from),
        };
        let mut parts: Vec<LayerDir> = self.root().into_iter().skip(layer).collect();
        for name in path.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
            let mut name = name.to_vec();
            name.push(0);
            let Ok(name) = CStr::from_bytes_with_nul(&name) else {
                return Ok(Vec::new());
            };
            if matches!(name.to_bytes(), b"." | b"..") {
                return Ok(Vec::new());
            }
            // A redirection on the way applies from there: lower layers resolve alike.
            match self.look(&self.open_parts(&parts)?, name)? {
                ImageNode::Directory(found, _) => parts = found,
                ImageNode::Nothing | ImageNode::Node { .. } => return Ok(Vec::new()),
            }
        }
        Ok(parts)
    }
}

impl OpenLayerDir {
    /// The directory.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }
}

/// Passes every name that the image has in a directory to `each`, once, until it returns false.
pub(super) fn image_names(
    parts: &[OpenLayerDir],
    each: &mut dyn FnMut(&CStr) -> bool,
) -> io::Result<()> {
    for (number, OpenLayerDir { fd, .. }) in parts.iter().enumerate() {
        let above = parts.get(..number).unwrap_or_default();
        for entry in rustix::fs::Dir::read_from(fd)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            // Names that an upper layer has, or has removed, were reported with that layer.
            let reported = above
                .iter()
                .any(|p| statat(&p.fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok());
            let removed =
                statat(fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| is_whiteout(&stat));
            if !reported && !removed && !each(name) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn open_regular(root: &OwnedFd, path: &[u8]) -> Result<Option<File>, String> {
    let (directory, name) = match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => path.split_at(slash + 1),
        None => (&b""[..], path),
    };
    let directory = match open_below(root, directory.strip_suffix(b"/").unwrap_or(directory)) {
        Ok(directory) => directory,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    let mut name = name.to_vec();
    name.push(0);
    let name = CStr::from_bytes_with_nul(&name).map_err(|e| e.to_string())?;
    match open_file(&directory, name) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}

impl LayerTree {
    /// A regular file of the writable layer, if it exists.
    pub(super) fn upper_file(&self, path: &[u8]) -> Result<Option<File>, String> {
        open_regular(&self.upper, path)
    }

    /// A regular file of the image, if it exists.
    pub(super) fn image_file(&self, path: &[u8]) -> Result<Option<File>, String> {
        let mut parts = self.root();
        let mut names = path.split(|b| *b == b'/').peekable();
        while let Some(name) = names.next() {
            let mut name = name.to_vec();
            name.push(0);
            let name = CStr::from_bytes_with_nul(&name).map_err(|e| e.to_string())?;
            let open = self.open_parts(&parts)?;
            match (self.look(&open, name)?, names.peek()) {
                (ImageNode::Directory(found, _), Some(_)) => parts = found,
                (
                    ImageNode::Node {
                        part, whole: true, ..
                    },
                    None,
                ) => {
                    return match open.get(part) {
                        Some(part) => open_file(&part.fd, name)
                            .map(Some)
                            .map_err(|e| e.to_string()),
                        None => Ok(None),
                    };
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }
}
