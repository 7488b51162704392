//! Opens files with the rights of the user who started the program, not with root's.
//!
//! A user who may run hullwatch through sudo names files on its command line, in the environment
//! and on the screen. One thread has the rights of that user for as long as the program runs: their
//! user id, groups, and no capability. Every file that the user names is opened, created, renamed
//! and removed there, so the kernel itself enforces the user's permissions; no check can be raced.

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use rustix::thread::{
    CapabilitySet, Gid, Uid, capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::system;

/// Supplementary groups of one user that are taken over; the kernel allows 65,536.
const MAX_GROUPS: usize = 1024;

/// The user who called sudo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvokingUser {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Home directory, if the user database knows it.
    pub home: Option<PathBuf>,
}

impl InvokingUser {
    /// The user who called sudo or pkexec to start this program; `None` when the program was
    /// started directly, or by root.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        // The largest number is no id: it means none.
        let id = |text: String| text.parse::<u32>().ok().filter(|id| *id != u32::MAX);
        let number = |name: &str| id(std::env::var(name).ok()?);
        let uid = number("SUDO_UID").or_else(|| number("PKEXEC_UID"))?;
        if uid == 0 {
            return None;
        }
        let user = system::user(uid);
        let gid =
            number("SUDO_GID").or_else(|| Some(user.as_ref()?.gid).filter(|gid| *gid != u32::MAX));
        Some(Self {
            uid,
            gid: gid.unwrap_or(uid),
            home: user.map(|user| user.home),
        })
    }
}

/// How the thread's rights differ from the program's.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rights {
    /// The rights of the user who called sudo.
    User(InvokingUser),
    /// The rights of this user, without the capabilities that the program holds.
    WithoutCapabilities,
    /// Those of root, who started the program directly, as far as files go.
    Root,
}

/// The capabilities that files of root need.
const FILES: CapabilitySet = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH);

type Job = Box<dyn FnOnce() + Send>;

/// The thread; `None` when the program has no more rights than its user.
static THREAD: OnceLock<Result<Option<Sender<Job>>, String>> = OnceLock::new();

/// The same if root started the program: started before the other threads lose the right to write.
static ROOTS: OnceLock<Sender<Job>> = OnceLock::new();

/// Starts the thread where one is needed. Must be called while the program still may change its
/// user id: before it drops privileges. Otherwise the first file starts it.
///
/// # Errors
/// When the thread cannot be started, or cannot take on the rights of the user.
pub fn start() -> io::Result<()> {
    thread().map(drop)
}

/// From now on the thread opens all files: call it before the calling thread and
/// those that it starts are refused to write files.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn keep_writing() -> io::Result<()> {
    if thread()?.is_none() {
        let started = spawn(Rights::Root)?;
        // Another watch of this program may have started one meanwhile.
        let _ = ROOTS.set(started);
    }
    Ok(())
}

/// Runs `work` with the rights of the user who started the program.
///
/// # Errors
/// That of `work`; when permission is denied under sudo, with the user's id. When the rights cannot
/// be taken on, `work` does not run.
pub fn with_rights<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let Some(thread) = thread()? else {
        return work();
    };
    let (answer, result) = channel();
    let job = Box::new(move || {
        // Fails only when the caller no longer waits.
        let _ = answer.send(work());
    });
    let gone = || io::Error::other("the thread that opens files has ended");
    thread.send(job).map_err(|_| gone())?;
    result.recv().map_err(|_| gone())?.map_err(explain)
}

/// Names the user whose rights did not suffice.
fn explain(error: io::Error) -> io::Error {
    match InvokingUser::from_environment() {
        Some(user) if error.kind() == io::ErrorKind::PermissionDenied => io::Error::new(
            error.kind(),
            format!("{error}, as user {} who called sudo", user.uid),
        ),
        _ => error,
    }
}

fn thread() -> io::Result<Option<&'static Sender<Job>>> {
    let started = THREAD.get_or_init(|| match needed() {
        Some(rights) => spawn(rights).map(Some).map_err(|e| e.to_string()),
        None => Ok(None),
    });
    match started {
        Ok(thread) => Ok(thread.as_ref().or_else(|| ROOTS.get())),
        Err(why) => Err(io::Error::other(format!(
            "cannot take on the rights of the user who called sudo: {why}"
        ))),
    }
}

fn needed() -> Option<Rights> {
    if let Some(user) = InvokingUser::from_environment() {
        return Some(Rights::User(user));
    }
    let root = rustix::process::geteuid().is_root();
    let held = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    (!root && !held.is_empty()).then_some(Rights::WithoutCapabilities)
}

fn spawn(rights: Rights) -> io::Result<Sender<Job>> {
    let (jobs, queue) = channel::<Job>();
    let (ready, result) = channel();
    std::thread::Builder::new()
        .name("user files".to_owned())
        .spawn(move || {
            let taken = take_on(&rights);
            let may = taken.is_ok();
            // The kernel may have no filters: `doctor` shows it.
            let _ = system::confine_calls_but_files();
            let _ = ready.send(taken);
            if may {
                queue.iter().for_each(|job| job());
            }
        })?;
    let gone = |_| io::Error::other("its thread has ended");
    result.recv().map_err(gone)??;
    Ok(jobs)
}

/// Takes on the rights, for the calling thread only.
fn take_on(rights: &Rights) -> io::Result<()> {
    let kept = match rights {
        Rights::Root => FILES,
        Rights::User(_) | Rights::WithoutCapabilities => CapabilitySet::empty(),
    };
    if let Rights::User(user) = rights {
        let gid = Gid::from_raw(user.gid);
        let mut groups = system::groups(user.uid);
        groups.retain(|group| *group != u32::MAX);
        groups.truncate(MAX_GROUPS);
        let groups: Vec<Gid> = groups.into_iter().map(Gid::from_raw).collect();
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        // The real and the saved id stay root's: the user may neither signal nor trace the thread.
        set_thread_res_uid(None, Uid::from_raw(user.uid), None)?;
    }
    // Changing the effective user id removed the effective capabilities; now they cannot return.
    Ok(system::keep_capabilities(kept)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    /// Needs root: skipped with a message elsewhere.
    #[test]
    fn a_thread_with_the_rights_of_a_user_has_no_others() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not run: needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let (secret, made) = (dir.path().join("secret"), dir.path().join("made"));
        std::fs::write(&secret, "root's").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let user = InvokingUser {
            uid: 4242,
            gid: 4243,
            home: None,
        };
        let jobs = spawn(Rights::User(user)).unwrap();
        let (answer, result) = channel();
        let (from, to) = (secret.clone(), made.clone());
        jobs.send(Box::new(move || {
            let read = std::fs::read(&from).map_err(|e| e.kind());
            let wrote = std::fs::write(&to, "user's").is_ok();
            let held = capabilities(None).unwrap();
            let left = held.effective | held.permitted | held.inheritable;
            answer.send((read, wrote, left.is_empty())).unwrap();
        }))
        .unwrap();
        let (read, wrote, bare) = result.recv().unwrap();
        assert_eq!(read, Err(io::ErrorKind::PermissionDenied));
        assert!(wrote && bare);
        let facts = made.metadata().unwrap();
        assert_eq!((facts.uid(), facts.gid()), (4242, 4243));
        // The other threads keep theirs.
        assert_eq!(std::fs::read(&secret).unwrap(), b"root's");
    }
}
