//! Other names of a file: symbolic and hard links and bind mounts made while the container was
//! watched, and paths through `/proc`.
//!
//! The kernel reports an opened file by its real path. For a rename, a removal or a change of
//! mode it reports only the path that the program passed, which may lead through a link. A real path
//! also goes through a mount: a directory that a process mounted elsewhere has two.

use crate::catalog::path::{absolute, directory, is_below, normal};
use crate::catalog::{paths, secrets};
use std::collections::BTreeMap;
use std::sync::Arc;

use bstr::ByteSlice as _;
use rustc_hash::FxHashMap;

use crate::event::{
    Bytes, Connect, ContainerId, Endpoint, Event, ExecRefused, File, FileOp, Kind, Privilege,
};
use crate::state::State;

/// `MS_BIND` and `MS_REMOUNT` of mount(2).
const BIND: u64 = 0x1000;
const REMOUNT: u64 = 0x20;
/// Links remembered of one container, of each kind.
const MAX_LINKS: usize = 1024;
/// Maximum number of links followed in one path: slightly fewer than the kernel follows.
const MAX_STEPS: usize = 32;

#[derive(Debug, Clone, Default)]
struct Own {
    /// Targets of symbolic links.
    symbolic: BTreeMap<Bytes, Bytes>,
    /// Second names of sensitive files.
    hard: BTreeMap<Bytes, Bytes>,
    /// Sources of bind mounts, by mount point; not by mount namespace, which events do not name.
    bound: BTreeMap<Bytes, Bytes>,
}

/// The links of all containers.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileLinks {
    /// Shared with clones until they change.
    own: FxHashMap<ContainerId, Arc<Own>>,
}

/// The part after `/proc/PID/WHAT`, where PID is any process or only the calling one.
fn through_proc<'a>(path: &'a [u8], what: &[u8], any: bool) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(b"/proc/")?;
    let (who, rest) = rest.split_at(rest.iter().position(|b| *b == b'/')?);
    let itself = who == b"self" || who == b"thread-self";
    let another = any && who.iter().all(u8::is_ascii_digit);
    if !itself && !another {
        return None;
    }
    let rest = rest.strip_prefix(b"/")?.strip_prefix(what)?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

impl Own {
    /// Replaces the first symbolic link in the path by its target.
    fn step(&self, path: &[u8], follow: bool) -> Option<Vec<u8>> {
        if self.symbolic.is_empty() {
            return None;
        }
        let slashes = path.iter().enumerate().skip(1);
        let ends = slashes.filter(|(_, b)| **b == b'/').map(|(i, _)| i);
        for end in ends.chain(follow.then_some(path.len())) {
            let (head, rest) = path.split_at(end);
            if let Some(target) = self.symbolic.get(&Bytes::new(head)) {
                return Some(normal(&[target.as_bytes(), rest].concat()));
            }
        }
        None
    }
}

impl FileLinks {
    /// Resolves a path for a process with this working directory; `None` when it contains no known
    /// link. The last component counts as a link only when it is followed.
    #[must_use]
    pub(crate) fn lead(
        &self,
        owner: &ContainerId,
        cwd: &[u8],
        path: &[u8],
        follow: bool,
    ) -> Option<Vec<u8>> {
        let own = self.own.get(owner);
        let mut current: Option<Vec<u8>> = None;
        for _ in 0..MAX_STEPS {
            let here = current.as_deref().unwrap_or(path);
            let next = if let Some(rest) = through_proc(here, b"root", true) {
                Some(normal(rest))
            } else if let Some(rest) = through_proc(here, b"cwd", false).filter(|_| !cwd.is_empty())
            {
                Some(normal(&[cwd, rest].concat()))
            } else {
                own.and_then(|own| own.step(here, follow))
            };
            match next {
                Some(next) if next != here => current = Some(next),
                _ => break,
            }
        }
        current
    }

    /// The file to which a second name belongs, or the path itself.
    fn known_as<'a>(&'a self, owner: &ContainerId, path: &'a Bytes) -> &'a Bytes {
        let own = self.own.get(owner);
        own.and_then(|own| own.hard.get(path)).unwrap_or(path)
    }

    /// The path in the source of a bind mount; `None` outside of one, and where the path itself is one
    /// of those that matter.
    fn in_source(&self, owner: &ContainerId, path: &[u8]) -> Option<Vec<u8>> {
        let bound = &self.own.get(owner)?.bound;
        if bound.is_empty() || matters(path) {
            return None;
        }
        let within = bound.iter().filter(|(at, _)| is_below(path, at));
        let (at, source) = within.max_by_key(|(at, _)| at.len())?;
        let rest = path.get(at.len()..).unwrap_or_default();
        Some(normal(&[source.as_bytes(), rest].concat()))
    }

    /// Notes a bind mount, or that one is gone. The text of the call separates its paths by spaces: of
    /// a path with spaces nothing is noted.
    fn note_mount(&mut self, owner: &ContainerId, cwd: &[u8], call: &Privilege) {
        if call.errno != 0 {
            return;
        }
        let words: Vec<&[u8]> = call.detail.split(|b| *b == b' ').collect();
        let whole = |links: &Self, path: &[u8]| {
            let path = absolute(cwd, path);
            links.lead(owner, cwd, &path, true).unwrap_or(path)
        };
        match (&call.call[..], &words[..]) {
            ("mount", [source, at, .., _]) if words.len() <= 4 => {
                let flags = call.args.get(3).copied().unwrap_or(0);
                if flags & (BIND | REMOUNT) != BIND {
                    return;
                }
                let (source, at) = (whole(self, source), whole(self, at));
                let source = self.in_source(owner, &source).unwrap_or(source);
                let of_process = |path: &[u8]| is_below(path, b"/proc");
                if source == at || of_process(&source) || of_process(&at) {
                    return;
                }
                let own = Arc::make_mut(self.own.entry(owner.clone()).or_default());
                if own.bound.len() >= MAX_LINKS {
                    own.bound.pop_first();
                }
                own.bound.insert(Bytes::from(at), Bytes::from(source));
            }
            ("umount2", [at, ..]) => {
                let at = Bytes::from(whole(self, at));
                if let Some(own) = self.own.get_mut(owner)
                    && own.bound.contains_key(&at)
                {
                    Arc::make_mut(own).bound.remove(&at);
                }
            }
            _ => {}
        }
    }

    /// The event with resolved paths, if they differ. Also notes links and bind mounts that are made or
    /// removed.
    pub(crate) fn see_through(&mut self, state: &State, event: &Event) -> Option<Event> {
        let owner = event.container.as_ref()?;
        let cwd = |pid| {
            let process = state.processes.get(&pid);
            process.map(|p| p.cwd.as_bytes()).unwrap_or_default()
        };
        match &event.kind {
            Kind::File(file) => {
                let seen = self.file(owner, cwd(event.pid), file);
                self.note(owner, seen.as_ref().unwrap_or(file));
                seen.map(|file| with(event, Kind::File(Box::new(file))))
            }
            Kind::Privilege(call) if !call.runtime => {
                self.note_mount(owner, cwd(event.pid), call);
                None
            }
            Kind::ExecRefused(exec) if exec.unresolved => {
                let path = self.lead(owner, cwd(event.pid), exec.path.as_bytes(), true)?;
                let exec = ExecRefused {
                    path: Bytes::from(path),
                    ..(**exec).clone()
                };
                Some(with(event, Kind::ExecRefused(Box::new(exec))))
            }
            Kind::Connect(connect) => {
                let Endpoint::Unix(path) = &connect.remote else {
                    return None;
                };
                let whole = absolute(cwd(event.pid), path.as_bytes());
                if path.starts_with(b"@") || path.as_bytes().is_empty() {
                    return None;
                }
                let path = self.lead(owner, cwd(event.pid), &whole, true)?;
                let connect = Connect {
                    remote: Endpoint::Unix(Bytes::from(path)),
                    ..(**connect).clone()
                };
                Some(with(event, Kind::Connect(Box::new(connect))))
            }
            _ => None,
        }
    }

    fn file(&self, owner: &ContainerId, cwd: &[u8], file: &File) -> Option<File> {
        let two = matches!(file.op, FileOp::Rename | FileOp::Link);
        // These calls act on the link, not on its target.
        let itself = matches!(
            file.op,
            FileOp::Rename
                | FileOp::Link
                | FileOp::Symlink
                | FileOp::Unlink
                | FileOp::Mkdir
                | FileOp::Rmdir
                | FileOp::Mknod
        );
        let led = |path: &Bytes| {
            let through_links = || self.lead(owner, cwd, path.as_bytes(), !itself);
            let led = file.unresolved.then(through_links).flatten();
            let named = led.as_deref().unwrap_or(path);
            let led = self.in_source(owner, named).or(led);
            led.map(Bytes::from)
        };
        let path = led(&file.path);
        let target = file.target.as_ref().filter(|_| two).and_then(led);
        let named = path.as_ref().unwrap_or(&file.path);
        let known = if itself {
            named
        } else {
            self.known_as(owner, named)
        };
        if target.is_none() && *known == file.path {
            return None;
        }
        Some(File {
            path: known.clone(),
            target: target.or_else(|| file.target.clone()),
            ..file.clone()
        })
    }

    /// Notes links that are made, moved or removed.
    fn note(&mut self, owner: &ContainerId, file: &File) {
        if file.errno != 0 {
            return;
        }
        match (file.op, &file.target) {
            (FileOp::Symlink, Some(target)) => {
                let directory = directory(&file.path);
                let target = Bytes::from(absolute(directory, target));
                let own = Arc::make_mut(self.own.entry(owner.clone()).or_default());
                if own.symbolic.len() >= MAX_LINKS {
                    own.symbolic.pop_first();
                }
                own.symbolic.insert(file.path.clone(), target);
            }
            (FileOp::Link, Some(target)) => {
                if !matters(&file.path) || paths::of(target).is_some() {
                    return;
                }
                let own = Arc::make_mut(self.own.entry(owner.clone()).or_default());
                if own.hard.len() >= MAX_LINKS {
                    own.hard.pop_first();
                }
                own.hard.insert(target.clone(), file.path.clone());
            }
            (FileOp::Rename, Some(target)) => {
                if let Some(own) = self.own.get_mut(owner) {
                    let own = Arc::make_mut(own);
                    for links in [&mut own.symbolic, &mut own.hard] {
                        links.remove(target);
                        if let Some(to) = links.remove(&file.path) {
                            links.insert(target.clone(), to);
                        }
                    }
                }
            }
            (FileOp::Unlink, _) => {
                if let Some(own) = self.own.get_mut(owner) {
                    let own = Arc::make_mut(own);
                    own.symbolic.remove(&file.path);
                    own.hard.remove(&file.path);
                }
            }
            _ => {}
        }
    }

    /// Forgets a container.
    pub(crate) fn forget(&mut self, owner: &ContainerId) {
        self.own.remove(owner);
    }

    /// Forgets all containers but these.
    pub(crate) fn retain(&mut self, kept: impl Fn(&ContainerId) -> bool) {
        self.own.retain(|id, _| kept(id));
    }

    /// Number of known links.
    pub(super) fn len(&self) -> usize {
        let own = self.own.values();
        own.map(|own| own.symbolic.len() + own.hard.len() + own.bound.len())
            .sum()
    }
}

/// A path to which rules pay attention.
fn matters(path: &[u8]) -> bool {
    paths::of(path).is_some() || secrets::is_secret(path)
}

fn with(event: &Event, kind: Kind) -> Event {
    Event {
        kind,
        ..event.clone()
    }
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, upper};
    use crate::event::{Bytes, FileOp};

    /// A rename of which only the words are known.
    fn rename(w: &mut World, pid: u32, from: &str, to: &str) {
        w.file_as(pid, FileOp::Rename, from, |f| {
            f.target = Some(to.into());
            f.unresolved = true;
        });
    }

    #[test]
    fn a_name_leads_through_links_and_proc() {
        for to in [
            "/tmp/e/passwd",
            "/tmp/far/passwd",
            "/proc/1/root/etc/passwd",
            "/proc/self/root/tmp/e/passwd",
        ] {
            let mut w = World::steady();
            let init = w.init();
            w.link(init, FileOp::Symlink, "/tmp/e", "../etc");
            w.link(init, FileOp::Symlink, "/tmp/far", "/tmp/e");
            rename(&mut w, init, "/tmp/p", to);
            let f = w.finding("file.accounts");
            assert_eq!(f.severity, Severity::High, "{to}");
            assert!(f.title.contains("/etc/passwd"), "{}", f.title);
        }
    }

    #[test]
    fn links_move_and_go() {
        let mut w = World::steady();
        let init = w.init();
        w.link(init, FileOp::Symlink, "/tmp/e", "/etc");
        w.rename(init, "/tmp/e", "/srv/e");
        rename(&mut w, init, "/tmp/p", "/tmp/e/passwd");
        w.file(init, FileOp::Unlink, "/srv/e");
        rename(&mut w, init, "/tmp/p", "/srv/e/passwd");
        w.only(&[]);
        // A link in a circle leads nowhere.
        w.link(init, FileOp::Symlink, "/tmp/a", "/tmp/b");
        w.link(init, FileOp::Symlink, "/tmp/b", "/tmp/a");
        rename(&mut w, init, "/tmp/p", "/tmp/a/passwd");
        w.only(&[]);
    }

    /// Mounts one path at another.
    fn bind(w: &mut World, pid: u32, words: &str, flags: u64) {
        w.privilege_as(pid, "mount", |call| {
            call.detail = Bytes::from(format!("{words} MS_BIND").as_str());
            call.args = vec![0, 0, 0, flags];
        });
    }

    #[test]
    fn a_bind_mount_is_another_name_of_its_source() {
        let written = |path: &str, gone: bool| {
            let mut w = World::steady();
            let init = w.init();
            bind(&mut w, init, "/ /mnt none", super::BIND | 0x4000);
            bind(&mut w, init, "/mnt/etc /srv/e", super::BIND);
            bind(&mut w, init, "/tmp/own /etc/passwd", super::BIND);
            bind(&mut w, init, "/srv/e /srv/f", super::BIND | super::REMOUNT);
            if gone {
                w.privilege(init, "umount2", "/mnt MNT_DETACH", 0);
            }
            w.file(init, FileOp::Create, path);
            let found = w.all("file.cron").len() + w.all("file.accounts").len();
            found == 1
        };
        for path in [
            "/mnt/etc/cron.d/job",
            "/srv/e/cron.d/job",
            "/etc/cron.d/job",
            // What is mounted there is now the file.
            "/etc/passwd",
        ] {
            assert!(written(path, false), "{path}");
        }
        assert!(!written("/srv/f/cron.d/job", false));
        assert!(!written("/mnt/etc/cron.d/job", true));
    }

    #[test]
    fn a_second_name_is_the_file() {
        let mut w = World::steady();
        let init = w.init();
        w.link(init, FileOp::Link, "/etc/passwd", "/tmp/l");
        w.only(&[]);
        w.file_as(init, FileOp::Write, "/tmp/l", |f| f.file = Some(upper(5)));
        assert_eq!(w.finding("file.accounts").severity, Severity::High);
        // Second names of other files are not of interest.
        let mut w = World::steady();
        let init = w.init();
        w.link(init, FileOp::Link, "/srv/a", "/srv/b");
        w.file_as(init, FileOp::Write, "/srv/b", |f| f.file = Some(upper(5)));
        w.only(&[]);
    }
}
