//! Files of the user who runs the program or called sudo: location, ownership, atomic writes.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// More than anybody writes by hand.
const LARGEST: u64 = 4 << 20;

/// The user who called sudo.
#[derive(Debug, Clone)]
pub struct InvokingUser {
    /// Their user id.
    pub uid: u32,
    /// Their group id.
    pub gid: u32,
    /// Their home directory, where the system knows it.
    pub home: Option<PathBuf>,
}

impl InvokingUser {
    /// The user who called sudo to start this program; `None` without sudo.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
        let uid = number("SUDO_UID")?;
        Some(Self {
            uid,
            gid: number("SUDO_GID").unwrap_or(uid),
            home: crate::system::user(uid).map(|user| user.home),
        })
    }
}

/// Where a file of the configuration lies when none is named.
#[must_use]
pub fn standard(name: &str) -> Option<PathBuf> {
    Some(folder()?.join(name))
}

/// The folder of the configuration: of who runs the program, or called sudo.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    place("XDG_CONFIG_HOME", ".config")
}

/// The folder of what the program itself keeps from one run to the next.
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
    xdg.filter(|path| path.is_absolute())
        .or_else(|| Some(home?.join(below)))
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
    if let Some(invoking) = InvokingUser::from_environment() {
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
/// by who called it, unless it was root's. Makes its directory where there is none.
///
/// # Errors
/// When it cannot be written, or when, under sudo, a link leads to what is not the caller's: it
/// would have us write where they may not.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let invoking = InvokingUser::from_environment();
    write_for(path, text, invoking.as_ref())
}

fn write_for(path: &Path, text: &str, invoking: Option<&InvokingUser>) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    if let Some(who) = invoking {
        no_detour(&path, who)?;
    }
    if let Some(dir) = path.parent() {
        make_directory(dir, invoking)?;
    }
    // A link is kept: what it points to is replaced.
    let real = real(&path)?;
    let (Some(dir), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(io::Error::other("it has no directory"));
    };
    let owner = |path: &Path| path.metadata().map(|facts| facts.uid());
    if let Some(who) = invoking
        && real != path
        && (owner(dir)? != who.uid || owner(&real).is_ok_and(|owner| owner != who.uid))
    {
        return Err(io::Error::other(format!(
            "it is a link to {}, which is not of user {} who called sudo",
            real.display(),
            who.uid
        )));
    }
    let roots = owner(&real).is_ok_and(|owner| owner == 0);
    let invoking = invoking.filter(|_| !roots);
    let mut part = name.to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = dir.join(part);
    let done = write_part(&part, text, invoking)
        .and_then(|()| std::fs::rename(&part, &real))
        .and_then(|()| File::open(dir)?.sync_all());
    if done.is_err() {
        // It may not have been made at all.
        let _ = std::fs::remove_file(&part);
    }
    done
}

/// Refuses a way that leads over a link into a directory which is not the caller's: they would have
/// us make directories there, as root.
fn no_detour(path: &Path, who: &InvokingUser) -> io::Result<()> {
    let there = path
        .ancestors()
        .skip(1)
        .find(|dir| dir.symlink_metadata().is_ok());
    let Some(there) = there else {
        return Ok(());
    };
    let real = there.canonicalize()?;
    if real == there || real.metadata()?.uid() == who.uid {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "it is behind a link to {}, which is not of user {} who called sudo",
        real.display(),
        who.uid
    )))
}

/// Where the file really lies, or would.
fn real(path: &Path) -> io::Result<PathBuf> {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), ..) => Ok(real),
        (Err(_), Some(dir), Some(name)) => Ok(dir.canonicalize()?.join(name)),
        (Err(error), ..) => Err(error),
    }
}

fn write_part(part: &Path, text: &str, invoking: Option<&InvokingUser>) -> io::Result<()> {
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

fn make_directory(dir: &Path, invoking: Option<&InvokingUser>) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent() {
        make_directory(above, invoking)?;
    }
    // What is there and no directory stays as it is: an error.
    std::fs::create_dir(dir)?;
    match invoking {
        // Whatever stands there meanwhile: a link is not followed.
        Some(who) => std::os::unix::fs::lchown(dir, Some(who.uid), Some(who.gid)),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn under_sudo_it_is_the_directory_of_who_called() {
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
    }

    #[test]
    fn somebody_elses_file_is_refused() {
        owned(1000, 1000).unwrap();
        owned(0, 1000).unwrap();
        assert!(owned(4242, 1000).unwrap_err().to_string().contains("4242"));
    }

    #[test]
    fn under_sudo_no_link_leads_to_what_is_not_the_callers() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let own = std::fs::metadata(&top).unwrap().uid();
        let who = |uid| InvokingUser {
            uid,
            gid: uid,
            home: None,
        };
        let theirs = top.join("theirs");
        std::fs::create_dir(&theirs).unwrap();
        std::fs::write(theirs.join("file"), "whole").unwrap();
        let (file, folder) = (top.join("file"), top.join("folder"));
        std::os::unix::fs::symlink(theirs.join("file"), &file).unwrap();
        std::os::unix::fs::symlink(&theirs, &folder).unwrap();
        for path in [file.clone(), folder.join("new")] {
            let error = write_for(&path, "cut", Some(&who(own + 1))).unwrap_err();
            assert!(error.to_string().contains("link"), "{error}");
        }
        // Nor is anything made there, or given away.
        let below = folder.join("made/policy.toml");
        assert!(write_for(&below, "cut", Some(&who(own + 1))).is_err());
        assert!(write_for(&file.join("policy.toml"), "cut", Some(&who(own + 1))).is_err());
        assert_eq!(std::fs::metadata(theirs.join("file")).unwrap().uid(), own);
        assert_eq!(std::fs::read_dir(&theirs).unwrap().count(), 1);
        assert_eq!(read(&file).unwrap(), "whole");
        // One's own link is followed.
        write_for(&folder.join("new"), "mine", Some(&who(own))).unwrap();
        assert_eq!(read(&theirs.join("new")).unwrap(), "mine");
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
