//! Walks the writable layer and reports what differs from the image.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Stat, statat};

use super::class::class;
use super::content::ContentMemory;
use super::layer_entry::{absolute, differing, head_of, node_kind, same_rights, size};
use super::layer_tree::{self, ImageNode, LayerDir, LayerTree, OpenLayerDir};
use super::packages::PackageFiles;
use super::progress::ScanProgress;
use crate::containers::compare::MAX_SIZE;
use crate::event::{Bytes, Difference, Differing, FileClass, NodeKind};

/// Maximum number of bytes hashed in one scan; further files differ without a hash.
const MAX_HASHED: u64 = 1 << 30;
/// Maximum number of directories that wait to be walked.
const MAX_WAITING: usize = 262_144;
/// Maximum number of files counted below a removed directory.
const MAX_COUNTED: u64 = 100_000;
/// Maximum number of problems reported as text; the others are counted.
const MAX_PROBLEMS: usize = 8;

/// Results of the walk other than the differences.
#[derive(Debug, Default)]
pub(super) struct WalkSummary {
    pub(super) examined: u64,
    pub(super) unchanged: u64,
    pub(super) directories: u64,
    pub(super) problems: Vec<String>,
    pub(super) unreadable: u64,
}

/// A directory of the writable layer that waits to be walked.
struct PendingDir {
    /// Without a leading slash.
    path: Arc<[u8]>,
    /// The image's directories that it consists of.
    parts: Vec<LayerDir>,
    /// The image's files in it are hidden.
    hidden: bool,
}

pub(super) struct LayerWalk<'a> {
    pub(super) tree: &'a LayerTree,
    pub(super) contents: &'a mut ContentMemory,
    pub(super) owned: &'a PackageFiles,
    /// Mount points of the runtime, sorted: it creates an empty file there.
    pub(super) mounts: &'a [Bytes],
    pub(super) progress: &'a ScanProgress,
    pub(super) out: &'a mut dyn FnMut(Differing),
    pub(super) walked: WalkSummary,
    waiting: Vec<PendingDir>,
    hashed: u64,
}

impl<'a> LayerWalk<'a> {
    pub(super) fn new(
        tree: &'a LayerTree,
        contents: &'a mut ContentMemory,
        owned: &'a PackageFiles,
        mounts: &'a [Bytes],
        progress: &'a ScanProgress,
        out: &'a mut dyn FnMut(Differing),
    ) -> Self {
        Self {
            tree,
            contents,
            owned,
            mounts,
            progress,
            out,
            walked: WalkSummary::default(),
            waiting: Vec::new(),
            hashed: 0,
        }
    }

    /// Walks everything; false when it was cancelled.
    pub(super) fn run(&mut self) -> bool {
        self.waiting.push(PendingDir {
            path: Arc::from([].as_slice()),
            parts: self.tree.root(),
            hidden: false,
        });
        while let Some(next) = self.waiting.pop() {
            if !self.directory(next) {
                return false;
            }
        }
        true
    }

    fn problem(&mut self, path: &[u8], why: &dyn std::fmt::Display) {
        self.walked.unreadable += 1;
        if self.walked.problems.len() < MAX_PROBLEMS {
            let path = crate::event::escape(path);
            self.walked.problems.push(format!("/{path}: {why}"));
        }
    }

    fn directory(&mut self, mut at: PendingDir) -> bool {
        let dir = match self.tree.open_upper(&at.path) {
            Ok(dir) => dir,
            // Removed since it was listed.
            Err(rustix::io::Errno::NOENT) => return true,
            Err(e) => {
                self.problem(&at.path, &e);
                return true;
            }
        };
        if let Err(e) = self.moved(&mut at, &dir) {
            self.problem(&at.path, &e);
            return true;
        }
        let parts = match self.tree.open_parts(&at.parts) {
            Ok(parts) => parts,
            Err(e) => {
                self.problem(&at.path, &e);
                return true;
            }
        };
        let hidden = at.hidden || layer_tree::is_opaque(&dir);
        let entries = match Dir::read_from(&dir) {
            Ok(entries) => entries,
            Err(e) => {
                self.problem(&at.path, &e);
                return true;
            }
        };
        for entry in entries {
            if self.progress.is_cancelled() {
                return false;
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(e) => {
                    self.problem(&at.path, &e);
                    break;
                }
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.walked.examined += 1;
            self.progress.step();
            if let Err(e) = self.entry(&at, hidden, &dir, &parts, name) {
                let path = layer_tree::join(&at.path, name.to_bytes());
                self.problem(&path, &e);
            }
        }
        if hidden {
            self.hidden_names(&at, &dir, &parts);
        }
        true
    }

    /// A directory that was moved as a whole consists of the contents of its old path.
    fn moved(&mut self, at: &mut PendingDir, dir: &OwnedFd) -> Result<(), String> {
        let Some(from) = layer_tree::redirect(dir) else {
            return Ok(());
        };
        let parent = at.path.iter().rposition(|b| *b == b'/');
        let parent = parent.and_then(|end| at.path.get(..end)).unwrap_or(b"");
        at.parts = self.tree.redirected(parent, &from, 0)?;
        let stat = rustix::fs::fstat(dir).map_err(|e| e.to_string())?;
        let mut found_entry = differing(absolute(&at.path), Difference::Added, &stat);
        found_entry.below = Some(self.count(&at.parts));
        found_entry.note = Some(format!("moved from {}", crate::event::escape(&from)));
        found_entry.class = class(&found_entry.path, found_entry.kind, found_entry.mode, b"");
        (self.out)(found_entry);
        Ok(())
    }

    /// The image's names that an opaque directory hides.
    fn hidden_names(&mut self, at: &PendingDir, dir: &OwnedFd, parts: &[OpenLayerDir]) {
        let mut gone = Ok(());
        let listed = layer_tree::image_names(parts, &mut |name| {
            let there = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
            if there.err() == Some(rustix::io::Errno::NOENT) {
                gone = self.deleted(at, parts, name);
            }
            gone.is_ok() && !self.progress.is_cancelled()
        });
        if let Err(e) = gone.and(listed.map_err(|e| e.to_string())) {
            self.problem(&at.path, &e);
        }
    }

    fn entry(
        &mut self,
        at: &PendingDir,
        hidden: bool,
        dir: &OwnedFd,
        parts: &[OpenLayerDir],
        name: &CStr,
    ) -> Result<(), String> {
        let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(e) => return Err(e.to_string()),
        };
        if layer_tree::is_whiteout(&stat) {
            return self.deleted(at, parts, name);
        }
        let path = layer_tree::join(&at.path, name.to_bytes());
        let below = self.tree.look(parts, name)?;
        if layer_tree::kind(&stat) == FileType::Directory {
            return self.sub_directory(path, &stat, below, hidden);
        }
        let shown = absolute(&path);
        if size(&stat) == 0 && self.mounts.binary_search(&shown).is_ok() {
            return Ok(());
        }
        let mut found_entry = differing(shown, Difference::Added, &stat);
        let head = self.fill(&mut found_entry, dir, name)?;
        found_entry.class = class(&found_entry.path, found_entry.kind, found_entry.mode, &head);
        match below {
            ImageNode::Nothing => {}
            ImageNode::Directory(found, _) => {
                found_entry.difference = Difference::Changed;
                found_entry.below = Some(self.count(&found));
                found_entry.note = Some("was a directory".to_owned());
            }
            ImageNode::Node {
                stat: old,
                part,
                whole,
            } => {
                if !self.compare(
                    &mut found_entry,
                    (dir, &stat),
                    (parts, &old, part, whole),
                    name,
                ) {
                    self.walked.unchanged += 1;
                    return Ok(());
                }
            }
        }
        if found_entry.kind == NodeKind::File && !found_entry.metadata_only {
            self.identify(&mut found_entry, dir, name);
        }
        found_entry.package = self.owned.of(&found_entry.path);
        (self.out)(found_entry);
        Ok(())
    }

    fn sub_directory(
        &mut self,
        path: Vec<u8>,
        stat: &Stat,
        below: ImageNode,
        hidden: bool,
    ) -> Result<(), String> {
        let mut found_entry = differing(absolute(&path), Difference::Changed, stat);
        let parts = match below {
            ImageNode::Directory(found, old) => {
                if !same_rights(stat, &old) {
                    found_entry.metadata_only = true;
                    found_entry.mode_before = Some(old.st_mode);
                    found_entry.class =
                        class(&found_entry.path, found_entry.kind, found_entry.mode, b"");
                    (self.out)(found_entry);
                }
                found
            }
            ImageNode::Nothing => {
                self.walked.directories += 1;
                Vec::new()
            }
            ImageNode::Node { .. } => {
                found_entry.note = Some("was not a directory".to_owned());
                found_entry.class =
                    class(&found_entry.path, found_entry.kind, found_entry.mode, b"");
                (self.out)(found_entry);
                Vec::new()
            }
        };
        if self.waiting.len() >= MAX_WAITING {
            return Err("too many directories; this one was not compared".to_owned());
        }
        self.waiting.push(PendingDir {
            path: path.into(),
            parts,
            hidden,
        });
        Ok(())
    }

    /// Adds the facts from the file's content or link; returns its first bytes.
    fn fill(
        &self,
        found_entry: &mut Differing,
        dir: &OwnedFd,
        name: &CStr,
    ) -> Result<Vec<u8>, String> {
        match found_entry.kind {
            NodeKind::Symlink => {
                found_entry.target = layer_tree::link_target(dir, name).ok();
                Ok(Vec::new())
            }
            NodeKind::File if found_entry.size > 0 => match layer_tree::open_file(dir, name) {
                Ok(file) => Ok(head_of(&file)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    Err("it was removed while it was read".to_owned())
                }
                Err(e) => Err(e.to_string()),
            },
            _ => Ok(Vec::new()),
        }
    }

    /// Compares with the image's; false when nothing differs.
    fn compare(
        &mut self,
        found_entry: &mut Differing,
        (dir, new): (&OwnedFd, &Stat),
        (parts, old, part, whole): (&[OpenLayerDir], &Stat, usize, bool),
        name: &CStr,
    ) -> bool {
        found_entry.difference = Difference::Changed;
        if !same_rights(new, old) {
            found_entry.mode_before = Some(old.st_mode);
        }
        let Some(image) = parts.get(part).map(OpenLayerDir::fd) else {
            return true;
        };
        if node_kind(old) != found_entry.kind {
            found_entry.note = Some("was another kind of file".to_owned());
            return true;
        }
        let same = match found_entry.kind {
            NodeKind::File => {
                found_entry.size_before = Some(size(old));
                self.same_content(dir, image, name, whole)
            }
            NodeKind::Symlink => {
                Ok(found_entry.target == layer_tree::link_target(image, name).ok())
            }
            NodeKind::Device => Ok(new.st_rdev == old.st_rdev),
            _ => Ok(true),
        };
        match same {
            Ok(false) => true,
            Ok(true) => {
                found_entry.metadata_only = true;
                // The mode of a symbolic link has no meaning, its owner little.
                found_entry.kind != NodeKind::Symlink && !same_rights(new, old)
            }
            Err(why) => {
                found_entry.difference = Difference::Unread;
                found_entry.note = Some(why);
                true
            }
        }
    }

    fn same_content(
        &mut self,
        dir: &OwnedFd,
        image: &OwnedFd,
        name: &CStr,
        whole: bool,
    ) -> Result<bool, String> {
        let text = |e: io::Error| e.to_string();
        let new = layer_tree::open_file(dir, name).map_err(text)?;
        let owned: OwnedFd = new.into();
        if layer_tree::is_metadata_only(&owned) {
            // A file that was moved together with a metadata change may have another file's
            // content.
            return match layer_tree::redirect(&owned) {
                None => Ok(true),
                Some(_) => Ok(false),
            };
        }
        if !whole {
            return Err("the image's layer holds only its metadata".to_owned());
        }
        let new = File::from(owned);
        let old = layer_tree::open_file(image, name).map_err(text)?;
        self.contents.same(&new, &old, self.progress)
    }

    fn identify(&mut self, found_entry: &mut Differing, dir: &OwnedFd, name: &CStr) {
        let of_interest = matches!(
            found_entry.class,
            FileClass::Binary | FileClass::Library | FileClass::Script | FileClass::Autostart
        );
        if !of_interest
            || found_entry.size > MAX_SIZE
            || self.hashed + found_entry.size > MAX_HASHED
        {
            return;
        }
        self.hashed += found_entry.size;
        let hash = layer_tree::open_file(dir, name)
            .map_err(|e| e.to_string())
            .and_then(|file| self.contents.hashes.hash(&file));
        match hash {
            Ok(hash) => found_entry.sha256 = Some(crate::text::hex(&hash)),
            Err(why) => found_entry.note = Some(why),
        }
    }

    /// The image's file under this name is gone.
    fn deleted(
        &mut self,
        at: &PendingDir,
        parts: &[OpenLayerDir],
        name: &CStr,
    ) -> Result<(), String> {
        let path = absolute(&layer_tree::join(&at.path, name.to_bytes()));
        let found_entry = match self.tree.look(parts, name)? {
            // A removed name that the image does not have: nothing changed.
            ImageNode::Nothing => return Ok(()),
            ImageNode::Directory(found, old) => {
                let mut found_entry = differing(path, Difference::Deleted, &old);
                found_entry.below = Some(self.count(&found));
                found_entry.class =
                    class(&found_entry.path, found_entry.kind, found_entry.mode, b"");
                found_entry
            }
            ImageNode::Node {
                stat: old, part, ..
            } => {
                let mut found_entry = differing(path, Difference::Deleted, &old);
                found_entry.size_before = Some(found_entry.size);
                let head = match parts.get(part) {
                    Some(part) if found_entry.kind == NodeKind::File && found_entry.size > 0 => {
                        layer_tree::open_file(part.fd(), name).map_or(Vec::new(), |f| head_of(&f))
                    }
                    _ => Vec::new(),
                };
                found_entry.class =
                    class(&found_entry.path, found_entry.kind, found_entry.mode, &head);
                found_entry
            }
        };
        (self.out)(found_entry);
        Ok(())
    }

    /// Files of the image below a directory, up to a bound.
    fn count(&self, parts: &[LayerDir]) -> u64 {
        let mut count = 0;
        let mut waiting = vec![parts.to_vec()];
        while let Some(parts) = waiting.pop() {
            let Ok(open) = self.tree.open_parts(&parts) else {
                continue;
            };
            let listed = layer_tree::image_names(&open, &mut |name| {
                match self.tree.look(&open, name) {
                    Ok(ImageNode::Directory(found, _)) => waiting.push(found),
                    Ok(ImageNode::Node { .. }) => count += 1,
                    Ok(ImageNode::Nothing) | Err(_) => {}
                }
                count < MAX_COUNTED && !self.progress.is_cancelled()
            });
            if listed.is_err() || count >= MAX_COUNTED {
                break;
            }
        }
        count
    }
}
