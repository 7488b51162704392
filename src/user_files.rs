//! Files of the user who runs the program or called sudo: location, ownership, atomic writes.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::caller;
pub(crate) use crate::caller::keep_writing;
pub use crate::caller::{InvokingUser, start, with_rights};

/// Larger than any hand-written file.
const LARGEST: u64 = 4 << 20;

/// Default path of a configuration file.
#[must_use]
pub fn standard(name: &str) -> Option<PathBuf> {
    Some(folder()?.join(name))
}

/// Configuration folder of the user who runs the program or called sudo.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    place("XDG_CONFIG_HOME", ".config")
}

/// The folder for the program's own state between runs.
#[must_use]
pub fn state_folder() -> Option<PathBuf> {
    place("XDG_STATE_HOME", ".local/state")
}

fn place(variable: &str, below: &str) -> Option<PathBuf> {
    let env = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let invoking = InvokingUser::from_environment();
    let base = base(env(variable), env("HOME"), below, invoking.as_ref())?;
    Some(base.join("hullwatch"))
}

fn base(
    xdg: Option<PathBuf>,
    home: Option<PathBuf>,
    below: &str,
    invoking: Option<&InvokingUser>,
) -> Option<PathBuf> {
    let home = match invoking {
        Some(invoking) => invoking.home.clone().or(home),
        None => home,
    };
    // A relative one would be whatever is in the current directory.
    let absolute = |path: &PathBuf| path.is_absolute();
    xdg.filter(absolute)
        .or_else(|| Some(home.filter(absolute)?.join(below)))
}

/// Reads a text file of the user. The user, or root, must own it, and nobody else may be able to
/// change it. A leading byte order mark is left out.
///
/// # Errors
/// When it cannot be read, is too large, is no UTF-8, or others own it or may write it.
pub fn read(path: &Path) -> io::Result<String> {
    let owner = owner();
    let path = path.to_owned();
    caller::with_rights(move || {
        let mut file = open_regular(&path)?;
        let facts = file.metadata()?;
        trusted(&facts, owner)?;
        replaceable(&path)?;
        if facts.len() > LARGEST {
            let message = format!("it is larger than {LARGEST} bytes");
            return Err(io::Error::other(message));
        }
        let mut bytes = Vec::new();
        (&mut file).take(LARGEST).read_to_end(&mut bytes)?;
        decode(bytes)
    })
}

/// The user whose files are trusted, besides root.
fn owner() -> u32 {
    InvokingUser::from_environment()
        .map_or_else(|| rustix::process::geteuid().as_raw(), |user| user.uid)
}

/// Refuses a file that others own or may write: they could change what hullwatch reports.
fn trusted(facts: &Metadata, user: u32) -> io::Result<()> {
    let (owner, group, mode) = (facts.uid(), facts.gid(), facts.mode());
    if owner != user && owner != 0 {
        return Err(io::Error::other(format!(
            "it belongs to user {owner}, not to user {user} or root"
        )));
    }
    // A group that bears its user's id is that user's alone, as most distributions make them.
    let shared = mode & 0o020 != 0 && group != 0 && group != owner;
    if mode & 0o002 != 0 || shared {
        return Err(io::Error::other(format!(
            "other users may write to it (mode {:04o}): chmod go-w",
            mode & 0o7777
        )));
    }
    Ok(())
}

/// Refuses a file in a directory in which everybody may replace it.
fn replaceable(path: &Path) -> io::Result<()> {
    let real = path.canonicalize()?;
    let Some(dir) = real.parent() else {
        return Ok(());
    };
    let mode = dir.metadata()?.mode();
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        return Err(io::Error::other(format!(
            "other users may replace it: {} is world-writable",
            dir.display()
        )));
    }
    Ok(())
}

/// Text from the bytes of a file.
fn decode(bytes: Vec<u8>) -> io::Result<String> {
    const UTF16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
    if UTF16.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(io::Error::other("it is UTF-16: save it as UTF-8"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to());
        let line = 1 + before.map_or(0, |b| b.iter().filter(|b| **b == b'\n').count());
        io::Error::other(format!("line {line}: it is not UTF-8"))
    })?;
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    let bare = text.split('\n').position(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.contains('\r')
    });
    if let Some(line) = bare {
        return Err(io::Error::other(format!(
            "line {}: a carriage return without a newline: save it with Unix line ends",
            line + 1
        )));
    }
    Ok(text)
}

/// Opens a file that the user named, for reading.
///
/// # Errors
/// When the user may not read it, or it is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let path = path.to_owned();
    caller::with_rights(move || open_regular(&path))
}

fn open_regular(path: &Path) -> io::Result<File> {
    // A pipe does not block: it is refused below.
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    let file = File::options()
        .read(true)
        .custom_flags(i32::try_from(flags).unwrap_or(0))
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// How a file is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// For writing from the beginning.
    Write,
    /// For appending, whatever its length; readable too.
    Append,
}

/// Creates a file that the user named, readable for its owner only. Never opens one that exists,
/// and follows no link in its last component.
///
/// # Errors
/// When it exists, or the user may not create it.
pub fn create(path: &Path, how: Creation) -> io::Result<File> {
    let path = path.to_owned();
    caller::with_rights(move || {
        File::options()
            .read(how == Creation::Append)
            .append(how == Creation::Append)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
    })
}

/// Removes a file that the user named.
///
/// # Errors
/// When the user may not remove it.
pub fn remove(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    caller::with_rights(move || std::fs::remove_file(&path))
}

/// Facts of a file that the user named; links are followed. It need not be readable.
///
/// # Errors
/// When it does not exist, or the user may not reach it.
pub fn facts(path: &Path) -> io::Result<Metadata> {
    let path = path.to_owned();
    caller::with_rights(move || path.metadata())
}

/// Names of the files in a folder of the user.
///
/// # Errors
/// When the user may not read it.
pub fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = folder.to_owned();
    caller::with_rights(move || {
        let entries = std::fs::read_dir(&folder)?;
        entries.map(|entry| entry.map(|e| e.path())).collect()
    })
}

/// Replaces a file atomically: readable for its owner only. Creates its directory if needed. The
/// file belongs to the user who started the program, also under sudo.
///
/// # Errors
/// When the user may not write it.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let text = text.to_owned();
    caller::with_rights(move || replace(&path, &text))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    // A link is kept: the file it points to is replaced.
    let real = real(path)?;
    let (Some(dir), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(io::Error::other("it has no directory"));
    };
    let mut part = name.to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = dir.join(part);
    let done = write_part(&part, text)
        .and_then(|()| std::fs::rename(&part, &real))
        .and_then(|()| File::open(dir)?.sync_all());
    if done.is_err() {
        // It may not exist at all.
        let _ = std::fs::remove_file(&part);
    }
    done
}

/// The path behind links; that of a file which does not exist yet by its directory.
fn real(path: &Path) -> io::Result<PathBuf> {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), ..) => Ok(real),
        (Err(_), Some(dir), Some(name)) => Ok(dir.canonicalize()?.join(name)),
        (Err(error), ..) => Err(error),
    }
}

fn write_part(part: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(part)?;
    // Whatever the umask is.
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_sudo_it_is_the_directory_of_the_caller() {
        let ann = InvokingUser {
            uid: 1000,
            gid: 1000,
            home: Some(PathBuf::from("/home/ann")),
        };
        let root = Some(PathBuf::from("/root"));
        let path = |xdg: Option<&str>, invoking| {
            base(xdg.map(PathBuf::from), root.clone(), ".config", invoking).unwrap()
        };
        assert_eq!(path(None, None), Path::new("/root/.config"));
        assert_eq!(path(None, Some(&ann)), Path::new("/home/ann/.config"));
        assert_eq!(path(Some("/etc/xdg"), Some(&ann)), Path::new("/etc/xdg"));
        assert_eq!(path(Some("relative"), None), Path::new("/root/.config"));
        for home in ["", "relative"] {
            assert_eq!(base(None, Some(home.into()), ".config", None), None);
        }
    }

    #[test]
    fn a_file_that_others_own_or_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        std::fs::write(&path, "").unwrap();
        let own = path.metadata().unwrap().uid();
        let refused = |mode: u32, user: u32| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            trusted(&path.metadata().unwrap(), user)
                .err()
                .map(|e| e.to_string())
        };
        assert_eq!(refused(0o644, own), None);
        assert!(refused(0o646, own).unwrap().contains("0646"));
        assert!(refused(0o666, own + 1).is_some());
        if own != 0 {
            assert!(refused(0o600, own + 1).unwrap().contains("belongs to"));
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(read(&path).is_err());
        // A directory in which everybody may replace it.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        read(&path).unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("replace"));
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
        read(&path).unwrap();
    }

    #[test]
    fn marks_and_line_ends_of_other_systems_are_read_or_named() {
        let text = |bytes: &[u8]| decode(bytes.to_owned()).map_err(|e| e.to_string());
        assert_eq!(text(b"\xef\xbb\xbfa = 1\r\n").unwrap(), "a = 1\r\n");
        assert!(text(b"\xff\xfea\0").unwrap_err().contains("UTF-16"));
        assert!(text(b"a\nb\xff").unwrap_err().contains("line 2"));
        assert!(text(b"a\r\nb\rc").unwrap_err().contains("line 2"));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for path in [pipe.as_path(), dir.path(), Path::new("/dev/null")] {
            assert!(open(path).unwrap_err().to_string().contains("regular"));
        }
        let file = dir.path().join("file");
        std::os::unix::fs::symlink("/nowhere/else", &file).unwrap();
        assert!(create(&file, Creation::Write).is_err());
    }

    #[test]
    fn a_file_is_replaced_atomically_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/policy.toml");
        write(&path, "one").unwrap();
        write(&path, "two").unwrap();
        assert_eq!(read(&path).unwrap(), "two");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
        let link = dir.path().join("link.toml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "three").unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(read(&path).unwrap(), "three");
        assert!(read(dir.path()).is_err());
    }
}
