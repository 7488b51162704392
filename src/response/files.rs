//! Copies files of a container into an archive: bytes from its writable layer, from its root, or of
//! a running program. No path leads out of the container, and nothing but regular files is opened.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use bstr::ByteSlice as _;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2, readlinkat};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::identity::check;
use super::subject::ProcessIdentity;
use super::suggest::plain_name;
use super::suggestion::FileSources;
use crate::event::{Bytes, escape};
use crate::text::hex;

/// Maximum bytes of one file, and of all files.
const MAX_FILE: u64 = 64 << 20;
const MAX_ALL: u64 = 256 << 20;

/// A file of the container: its copy, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopiedFile {
    /// Path as the container sees it, or `program of PID`.
    pub path: Bytes,
    /// Its name in the archive; empty if it is not in it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub copy: String,
    /// Where the bytes come from: `layer`, `root` or `process`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub source: &'static str,
    /// Size in bytes.
    pub size: u64,
    /// Mode bits.
    pub mode: u32,
    /// Owner, as the host numbers it.
    pub uid: u32,
    /// Last change of content, seconds since 1970.
    pub mtime: i64,
    /// SHA-256 of the copy, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Why it is not in the archive, or a remark about its copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl CopiedFile {
    /// A file that is not copied, with the reason.
    #[must_use]
    pub fn refused(path: &Bytes, why: &str) -> Self {
        Self {
            path: path.clone(),
            copy: String::new(),
            source: "",
            size: 0,
            mode: 0,
            uid: 0,
            mtime: 0,
            sha256: None,
            note: Some(why.to_owned()),
        }
    }
}

/// Appends the files to an archive, below `folder`, and returns the outcome for each.
///
/// # Errors
/// When the archive cannot be written.
pub fn copy_files<W: Write>(
    sources: &FileSources,
    folder: &str,
    archive: &mut tar::Builder<W>,
) -> io::Result<Vec<CopiedFile>> {
    let mut copier = Copier {
        folder,
        archive,
        room: MAX_ALL,
        copied: Vec::new(),
    };
    for path in &sources.files {
        match open_inside(sources, path) {
            Ok((file, source)) => copier.add(path, path, source, file)?,
            Err(note) => copier.note(path, note),
        }
    }
    for process in &sources.programs {
        let name = Bytes::from(format!("program of {}", process.pid).as_str());
        let copy = Bytes::from(format!("exe-{}", process.pid).as_str());
        match open_program(process) {
            Ok(file) => copier.add(&name, &copy, "process", file)?,
            Err(note) => copier.note(&name, note),
        }
    }
    Ok(copier.copied)
}

/// Lines for `sha256sum --check` of the copied files.
#[must_use]
pub fn checksums(copied: &[CopiedFile]) -> String {
    let mut lines = String::new();
    for file in copied {
        if let Some(sha256) = &file.sha256 {
            lines.push_str(&format!("{sha256}  {}\n", file.copy));
        }
    }
    lines
}

struct Copier<'a, W: Write> {
    folder: &'a str,
    archive: &'a mut tar::Builder<W>,
    /// Remaining bytes of the limit.
    room: u64,
    copied: Vec<CopiedFile>,
}

impl<W: Write> Copier<'_, W> {
    fn note(&mut self, path: &Bytes, note: String) {
        self.copied.push(CopiedFile::refused(path, &note));
    }

    fn add(
        &mut self,
        path: &Bytes,
        named: &[u8],
        source: &'static str,
        file: File,
    ) -> io::Result<()> {
        let facts = match file.metadata() {
            Ok(facts) => facts,
            Err(error) => {
                self.note(path, error.to_string());
                return Ok(());
            }
        };
        let size = facts.len();
        let copy = format!("{:02}-{}", self.copied.len() + 1, plain_name(named));
        let mut entry = CopiedFile {
            path: path.clone(),
            copy: String::new(),
            source,
            size,
            mode: facts.mode(),
            uid: facts.uid(),
            mtime: facts.mtime(),
            sha256: None,
            note: None,
        };
        let most = MAX_FILE.min(self.room);
        if size > most {
            entry.note = Some(format!(
                "not copied: {size} bytes are more than the limit of {most}"
            ));
            self.copied.push(entry);
            return Ok(());
        }
        self.room -= size;
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        // Without execute permission, so that it is not run from the archive by mistake.
        header.set_mode(0o400);
        header.set_mtime(u64::try_from(facts.mtime()).unwrap_or(0));
        let mut hashing = Hashing {
            file: file.take(size),
            hasher: Sha256::new(),
            read: 0,
            failed: None,
        };
        // A file that shrinks meanwhile is padded, so that the archive stays valid.
        let filled = (&mut hashing).chain(io::repeat(0)).take(size);
        let name = format!("{}/{copy}", self.folder);
        self.archive.append_data(&mut header, name, filled)?;
        entry.copy = copy;
        if hashing.read == size {
            entry.sha256 = Some(hex(&hashing.hasher.finalize()));
        } else {
            let why = hashing
                .failed
                .unwrap_or_else(|| "it changed meanwhile".to_owned());
            entry.note = Some(format!("only its first {} bytes: {why}", hashing.read));
        }
        self.copied.push(entry);
        Ok(())
    }
}

/// A file whose bytes are hashed as they are read. A read that fails is its end.
struct Hashing {
    file: io::Take<File>,
    hasher: Sha256,
    read: u64,
    failed: Option<String>,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(count) => {
                self.hasher.update(&buffer[..count]);
                self.read += count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.failed = Some(error.to_string());
                Ok(0)
            }
        }
    }
}

/// Opens a path of the container: in its writable layer, else in its root.
fn open_inside(sources: &FileSources, path: &Bytes) -> Result<(File, &'static str), String> {
    let mut missing = "its writable layer is unknown and it is not running".to_owned();
    if !sources.upper.is_empty() {
        match open_below(&sources.upper, path) {
            Ok(file) => return Ok((file, "layer")),
            Err(Refused::Missing) => missing = "it is not in the writable layer".to_owned(),
            Err(Refused::Because(why)) => return Err(why),
        }
    }
    // tmpfs and volumes are no part of the layer.
    let Some(init) = &sources.init else {
        return Err(missing);
    };
    let _held = check(init)?;
    let root = format!("/proc/{}/root", init.pid);
    match open_below(root.as_bytes(), path) {
        Ok(file) => Ok((file, "root")),
        Err(Refused::Missing) => Err("it no longer exists".to_owned()),
        Err(Refused::Because(why)) => Err(why),
    }
}

enum Refused {
    Missing,
    Because(String),
}

/// Opens a regular file below a directory; links are resolved within it, the last one is not
/// followed.
fn open_below(directory: &[u8], path: &Bytes) -> Result<File, Refused> {
    let because = |error: rustix::io::Errno| match error {
        rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => Refused::Missing,
        error => Refused::Because(error.to_string()),
    };
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = open(directory, folder, Mode::empty()).map_err(because)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let found =
        openat2(&directory, path.as_bytes(), flags, Mode::empty(), resolve).map_err(because)?;
    let facts = fstat(&found).map_err(because)?;
    let kind = FileType::from_raw_mode(facts.st_mode);
    let what = match kind {
        FileType::RegularFile => {
            return reopen(&found).map_err(|e| Refused::Because(e.to_string()));
        }
        FileType::Symlink => {
            let to = readlinkat(&found, "", Vec::new()).map_err(because)?;
            format!("a symbolic link to {}", escape(to.as_bytes()))
        }
        FileType::Directory => "a directory".to_owned(),
        // Overlay's marker of a removed file.
        FileType::CharacterDevice if facts.st_rdev == 0 => "removed".to_owned(),
        kind => format!("not a regular file: {kind:?}"),
    };
    Err(Refused::Because(what))
}

/// Opens a file for reading after it was checked that it is not a device.
fn reopen(found: &OwnedFd) -> io::Result<File> {
    File::open(format!("/proc/self/fd/{}", found.as_fd().as_raw_fd()))
}

/// Opens the program that a process runs, whether or not it still has a path.
fn open_program(process: &ProcessIdentity) -> Result<File, String> {
    let _held = check(process)?;
    let path = format!("/proc/{}/exe", process.pid);
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|e| e.to_string())?;
    let facts = fstat(&found).map_err(|e| e.to_string())?;
    if FileType::from_raw_mode(facts.st_mode) != FileType::RegularFile {
        return Err("not a regular file".to_owned());
    }
    reopen(&found).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn copies_are_the_bytes_of_the_layer_and_nothing_of_the_host() {
        let dir = tempfile::tempdir().unwrap();
        let upper = dir.path().join("upper");
        std::fs::create_dir_all(upper.join("tmp")).unwrap();
        std::fs::create_dir_all(dir.path().join("host")).unwrap();
        std::fs::write(dir.path().join("host/secret"), "the host's").unwrap();
        std::fs::write(upper.join("tmp/.x"), b"\x7fELF dropped").unwrap();
        std::fs::write(upper.join("tmp/a\nb"), b"odd name").unwrap();
        symlink(dir.path().join("host/secret"), upper.join("tmp/link")).unwrap();
        symlink(dir.path().join("host"), upper.join("escape")).unwrap();
        symlink("../../../../../../..", upper.join("up")).unwrap();
        rustix::fs::mkfifoat(CWD, upper.join("tmp/fifo"), Mode::RWXU).unwrap();
        let path = |path: &str| Bytes::from(path);
        let host = format!("/up{}", dir.path().join("host/secret").display());
        let files = [
            "/tmp/.x",
            "/tmp/a\nb",
            "/tmp/link",
            "/escape/secret",
            &host,
            "/tmp/fifo",
            "/tmp",
            "/gone",
        ];
        let sources = FileSources {
            name: "n".to_owned(),
            upper: Bytes::new(upper.as_os_str().as_encoded_bytes()),
            files: files.iter().map(|p| path(p)).collect(),
            ..FileSources::default()
        };
        let mut archive = tar::Builder::new(Vec::new());
        let copied = copy_files(&sources, "files", &mut archive).unwrap();
        let kept: Vec<_> = copied.iter().filter(|c| !c.copy.is_empty()).collect();
        assert_eq!(kept.len(), 2, "{copied:#?}");
        // printf '\x7fELF dropped' | sha256sum
        let known = hex(&Sha256::digest(b"\x7fELF dropped"));
        assert_eq!(kept[0].sha256.as_deref(), Some(known.as_str()));
        assert_eq!(kept[1].copy, "02-a_b");
        for (file, word) in copied.iter().skip(2).zip([
            "symbolic link",
            "layer",
            "layer",
            "regular",
            "directory",
            "layer",
        ]) {
            let note = file.note.as_deref().unwrap();
            assert!(note.contains(word), "{note} / {word}");
        }
        let bytes = archive.into_inner().unwrap();
        assert!(!bytes.windows(10).any(|w| w == b"the host's"));
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut first = archive.entries().unwrap().next().unwrap().unwrap();
        let mut content = Vec::new();
        first.read_to_end(&mut content).unwrap();
        assert_eq!(content, b"\x7fELF dropped");
        assert_eq!(first.path().unwrap().to_str(), Some("files/01-.x"));
    }

    #[test]
    fn a_file_that_is_too_large_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let large = File::create(dir.path().join("large")).unwrap();
        large.set_len(MAX_FILE + 1).unwrap();
        let sources = FileSources {
            upper: Bytes::new(dir.path().as_os_str().as_encoded_bytes()),
            files: vec!["/large".into()],
            ..FileSources::default()
        };
        let mut archive = tar::Builder::new(Vec::new());
        let copied = copy_files(&sources, "files", &mut archive).unwrap();
        assert!(
            copied[0].note.as_deref().unwrap().contains("not copied"),
            "{copied:?}"
        );
        assert_eq!(checksums(&copied), "");
    }

    #[test]
    fn the_program_of_a_process_is_copied_although_its_file_was_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("prog");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut child = std::process::Command::new(&program)
            .arg("60")
            .spawn()
            .unwrap();
        std::fs::remove_file(&program).unwrap();
        let identity = |shift: i64| ProcessIdentity {
            pid: child.id(),
            started: crate::event::Timestamp(crate::system::now().0 + shift),
            command: String::new(),
            cgroup: String::new(),
        };
        let sources = FileSources {
            programs: vec![identity(0), identity(-100_000_000_000)],
            ..FileSources::default()
        };
        let mut archive = tar::Builder::new(Vec::new());
        let copied = copy_files(&sources, "files", &mut archive).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let known = hex(&Sha256::digest(std::fs::read("/bin/sleep").unwrap()));
        assert_eq!(
            copied[0].sha256.as_deref(),
            Some(known.as_str()),
            "{copied:?}"
        );
        let note = copied[1].note.as_deref().unwrap();
        assert!(note.contains("another process"), "{note}");
    }
}
