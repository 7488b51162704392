//! Files of the person who runs the program: where they lie, whose they must be, written whole.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// More than anybody writes by hand.
const LARGEST: u64 = 4 << 20;

/// Who called sudo.
#[derive(Debug, Clone)]
pub struct Invoking {
    /// Their user id.
    pub uid: u32,
    /// Their group id.
    pub gid: u32,
    /// Their home directory, where the system knows it.
    pub home: Option<PathBuf>,
}

impl Invoking {
    /// Who called sudo to start this program; `None` when nobody did.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
        let uid = number("SUDO_UID")?;
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        Some(Self {
            uid,
            gid: number("SUDO_GID").unwrap_or(uid),
            home: home(&users, uid),
        })
    }
}

/// The home directory of a user in the text of `/etc/passwd`.
fn home(users: &str, uid: u32) -> Option<PathBuf> {
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let own = fields.get(2)?.parse() == Ok(uid);
        own.then(|| fields.get(5).map(PathBuf::from)).flatten()
    })
}

/// Where a file of the configuration lies when none is named.
#[must_use]
pub fn standard(name: &str) -> Option<PathBuf> {
    Some(folder()?.join(name))
}

/// The folder of the configuration: of who runs the program, or called sudo.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let env = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let invoking = Invoking::from_environment();
    let base = base(env("XDG_CONFIG_HOME"), env("HOME"), invoking.as_ref())?;
    Some(base.join("hullwatch"))
}

fn base(
    xdg: Option<PathBuf>,
    home: Option<PathBuf>,
    invoking: Option<&Invoking>,
) -> Option<PathBuf> {
    let home = match invoking {
        Some(invoking) => invoking.home.clone().or(home),
        None => home,
    };
    xdg.filter(|path| path.is_absolute())
        .or_else(|| Some(home?.join(".config")))
}

/// Reads a text file. Under sudo only one that root or who called sudo owns.
///
/// # Errors
/// When it cannot be read, is too large, is no UTF-8, or is somebody else's.
pub fn read(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    if let Some(invoking) = Invoking::from_environment() {
        owned(facts.uid(), invoking.uid)?;
    }
    if facts.len() > LARGEST {
        let message = format!("it is larger than {LARGEST} bytes");
        return Err(io::Error::other(message));
    }
    let mut text = String::new();
    (&mut file).take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// Refuses a file that neither root nor who called sudo owns: somebody else wrote it.
fn owned(owner: u32, caller: u32) -> io::Result<()> {
    if owner == caller || owner == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "it belongs to user {owner}, not to user {caller} who called sudo"
    )))
}

/// Replaces a file as a whole, or not at all: readable for its owner only, and under sudo owned
/// by who called it. Makes its directory where there is none.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    // A link is kept: what it points to is replaced.
    let path = match path.canonicalize() {
        Ok(real) => real,
        Err(_) => path.to_owned(),
    };
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other("it has no directory"));
    };
    let invoking = Invoking::from_environment();
    make_directory(dir, invoking.as_ref())?;
    let mut part = name.to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = dir.join(part);
    let done = write_part(&part, text, invoking.as_ref())
        .and_then(|()| std::fs::rename(&part, &path))
        .and_then(|()| File::open(dir)?.sync_all());
    if done.is_err() {
        // It may not have been made at all.
        let _ = std::fs::remove_file(&part);
    }
    done
}

fn write_part(part: &Path, text: &str, invoking: Option<&Invoking>) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(part)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    if let Some(who) = invoking {
        std::os::unix::fs::fchown(&file, Some(who.uid), Some(who.gid))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn make_directory(dir: &Path, invoking: Option<&Invoking>) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent() {
        make_directory(above, invoking)?;
    }
    match std::fs::create_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    match invoking {
        Some(who) => std::os::unix::fs::chown(dir, Some(who.uid), Some(who.gid)),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn under_sudo_it_is_the_directory_of_who_called() {
        let users = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        let ann = Invoking {
            uid: 1000,
            gid: 1000,
            home: home(users, 1000),
        };
        let root = Some(PathBuf::from("/root"));
        let path = |xdg: Option<&str>, invoking| {
            base(xdg.map(PathBuf::from), root.clone(), invoking).unwrap()
        };
        assert_eq!(path(None, None), Path::new("/root/.config"));
        assert_eq!(path(None, Some(&ann)), Path::new("/home/ann/.config"));
        assert_eq!(path(Some("/etc/xdg"), Some(&ann)), Path::new("/etc/xdg"));
        assert_eq!(path(Some("relative"), None), Path::new("/root/.config"));
    }

    #[test]
    fn somebody_elses_file_is_refused() {
        owned(1000, 1000).unwrap();
        owned(0, 1000).unwrap();
        assert!(owned(4242, 1000).unwrap_err().to_string().contains("4242"));
    }

    #[test]
    fn a_file_is_replaced_whole_and_closed_to_others() {
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
