//! The refused actions of a copy, and the advice that refused them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

use crate::advice::{Advice, Setting};
use crate::baseline::fixed_path;
use crate::catalog::path::is_below;
use crate::event::{Bytes, ContainerAction, ContainerId, Event, FileOp, Kind, Outcome, escape};

/// Maximum number of refusals remembered of one copy.
const MOST: usize = 1024;
const EPERM: u16 = 1;
const ENOENT: u16 = 2;
const EACCES: u16 = 13;
const EROFS: u16 = 30;
const ENOSYS: u16 = 38;
/// No network, no route, no address of its own.
const UNREACHABLE: [u16; 4] = [99, 100, 101, 113];
const SET_UID: u32 = 0o4000;

/// A refused action.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusedAction {
    /// Changing or opening a file.
    File(FileOp, Bytes),
    /// Using a capability.
    Capability(String),
    /// Running a program.
    Exec(Bytes),
    /// A privileged system call.
    Call(String),
    /// A system call that the profile removes.
    Syscall(String),
    /// Connecting to a peer.
    Connect(String),
    /// A set-user-id program gained nothing.
    SetUser(Bytes),
    /// More memory than the limit.
    Memory,
    /// More tasks than the limit.
    Tasks,
}

/// A refusal of a copy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The action.
    pub action: RefusedAction,
    /// The errno; 0 without one.
    pub errno: u16,
    /// Short name of the process.
    pub comm: Bytes,
}

/// For people, escaped: "nginx could not create /run/nginx.pid: Read-only file system".
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = escape(&self.comm);
        match &self.action {
            RefusedAction::File(op, path) => {
                write!(f, "{by} could not {} {}", op.infinitive(), path.escaped())?;
            }
            RefusedAction::Capability(name) => {
                write!(f, "{by} could not use {}", escape(name.as_bytes()))?;
            }
            RefusedAction::Exec(path) => write!(f, "{by} could not run {}", path.escaped())?,
            RefusedAction::Call(call) | RefusedAction::Syscall(call) => {
                write!(f, "refused {} ({by})", escape(call.as_bytes()))?;
            }
            RefusedAction::Connect(to) => write!(f, "{by} could not connect to {to}")?,
            RefusedAction::SetUser(path) => {
                write!(
                    f,
                    "the set-user-id program {} gained no rights",
                    path.escaped()
                )?;
            }
            RefusedAction::Memory => f.write_str("it ran out of memory")?,
            RefusedAction::Tasks => f.write_str("it could not start another task")?,
        }
        if self.errno == 0 {
            return Ok(());
        }
        let text = io::Error::from_raw_os_error(i32::from(self.errno)).to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        write!(f, ": {text}")
    }
}

impl Refusal {
    /// The refusal that an event reports.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let (action, errno, comm) = match &event.kind {
            Kind::File(file) if file.errno != 0 => {
                let path = file.path.clone();
                (RefusedAction::File(file.op, path), file.errno, &file.comm)
            }
            Kind::Capability(used) if !used.granted => {
                (RefusedAction::Capability(used.name.clone()), 0, &used.comm)
            }
            Kind::ExecRefused(exec) => (
                RefusedAction::Exec(exec.path.clone()),
                exec.errno,
                &exec.comm,
            ),
            Kind::Privilege(call) if call.errno != 0 && !call.runtime => (
                RefusedAction::Call(call.call.clone()),
                call.errno,
                &call.comm,
            ),
            Kind::Syscall(call) if call.errno == ENOSYS => (
                RefusedAction::Syscall(call.name.clone()),
                call.errno,
                &call.comm,
            ),
            Kind::Connect(connect) => match connect.outcome {
                Outcome::Failed(errno) if UNREACHABLE.contains(&errno) => (
                    RefusedAction::Connect(connect.remote.text()),
                    errno,
                    &connect.comm,
                ),
                _ => return None,
            },
            Kind::Container(change) if change.action == ContainerAction::Oom => {
                return Some(Self {
                    action: RefusedAction::Memory,
                    errno: 0,
                    comm: Bytes::default(),
                });
            }
            _ => return None,
        };
        Some(Self {
            action,
            errno,
            comm: comm.clone(),
        })
    }

    /// Equal for similar refusals: random names are left out.
    fn likeness(&self) -> Self {
        let mut alike = self.clone();
        match &mut alike.action {
            RefusedAction::File(op, path) => {
                // How it is opened does not matter: the file cannot be changed.
                *op = FileOp::Write;
                *path = Bytes::from(fixed_path(path));
            }
            RefusedAction::Exec(path) | RefusedAction::SetUser(path) => {
                *path = Bytes::from(fixed_path(path));
            }
            _ => {}
        }
        alike
    }

    /// The name of the advice that refused it, if one of these did.
    #[must_use]
    pub fn blame(&self, advice: &[Advice]) -> Option<&'static str> {
        let has = |name: &'static str| {
            let mut names = advice.iter().map(|a| a.setting.name());
            names.any(|n| n == name).then_some(name)
        };
        let in_tmpfs = |path: &[u8]| {
            advice.iter().any(|a| match &a.setting {
                Setting::ReadOnly(list) => list.iter().any(|d| is_below(path, &d.path)),
                _ => false,
            })
        };
        let rights = || has("user").or_else(|| has("capabilities"));
        match &self.action {
            RefusedAction::File(_, path) => match self.errno {
                EROFS => has("read-only"),
                // As root it could.
                EACCES | EPERM if has("user").is_some() => has("user"),
                // Another owner than in the image, or what the image has there is hidden.
                _ if in_tmpfs(path) => has("read-only"),
                ENOENT => None,
                _ => rights(),
            },
            RefusedAction::Exec(path) if self.errno == EACCES && in_tmpfs(path) => has("read-only"),
            RefusedAction::Exec(_) if self.errno == EPERM => {
                has("capabilities").or_else(|| has("no-new-privileges"))
            }
            RefusedAction::Exec(_) | RefusedAction::Capability(_) | RefusedAction::Call(_) => {
                rights()
            }
            RefusedAction::Syscall(name) => advice
                .iter()
                .any(|a| match &a.setting {
                    Setting::Seccomp(profile) => profile.removed.contains(&name.as_str()),
                    _ => false,
                })
                .then_some("seccomp"),
            RefusedAction::Connect(_) => has("egress"),
            RefusedAction::SetUser(_) => has("no-new-privileges"),
            RefusedAction::Memory => has("memory"),
            RefusedAction::Tasks => has("pids"),
        }
    }
}

/// The refusals of the copies, from the live stream.
#[derive(Debug, Clone, Default)]
pub struct RefusalLog {
    copies: BTreeMap<ContainerId, SeenCopy>,
}

#[derive(Debug, Clone, Default)]
struct SeenCopy {
    refusals: BTreeSet<Refusal>,
    /// Capabilities that it used.
    granted: BTreeSet<String>,
    /// Refusals beyond the maximum, and events lost.
    missed: u64,
    ends: u32,
}

impl RefusalLog {
    /// Starts collecting this copy's refusals.
    pub fn follow(&mut self, id: ContainerId) {
        self.copies.entry(id).or_default();
    }

    /// Adds an event.
    pub fn event(&mut self, event: &Event) {
        let of = event.container.as_ref();
        let Some(seen) = of.and_then(|id| self.copies.get_mut(id)) else {
            return;
        };
        match &event.kind {
            Kind::Capability(used) if used.granted && seen.granted.len() < MOST => {
                seen.granted.insert(used.name.clone());
            }
            Kind::Lost(lost) => seen.missed += lost.count.max(1),
            Kind::Container(change) if matches!(change.action, ContainerAction::Died(_)) => {
                seen.ends += 1;
            }
            Kind::Exec(exec) if exec.file.mode & SET_UID != 0 && exec.uid != 0 => {
                let action = RefusedAction::SetUser(exec.exe.clone());
                seen.add(Refusal {
                    action,
                    errno: 0,
                    comm: exec.comm.clone(),
                });
            }
            _ => {
                if let Some(refusal) = Refusal::of(event) {
                    seen.add(refusal);
                }
            }
        }
    }

    /// How often the end of this copy's init was reported.
    #[must_use]
    pub fn ends(&self, id: &ContainerId) -> u32 {
        self.copies.get(id).map_or(0, |seen| seen.ends)
    }

    /// Number of events lost of this copy, and of refusals beyond the maximum.
    #[must_use]
    pub fn missed(&self, id: &ContainerId) -> u64 {
        self.copies.get(id).map_or(0, |seen| seen.missed)
    }

    /// Notes a refusal that no event reports.
    pub fn add(&mut self, id: &ContainerId, refusal: Refusal) {
        if let Some(seen) = self.copies.get_mut(id) {
            seen.add(refusal);
        }
    }

    /// The refusals of a copy that another copy did not have. A capability counts only if the other
    /// one used it: the kernel checks many that no program needs.
    #[must_use]
    pub fn beyond(&self, id: &ContainerId, control: &ContainerId) -> Vec<Refusal> {
        let none = SeenCopy::default();
        let control = self.copies.get(control).unwrap_or(&none);
        let known: BTreeSet<Refusal> = control.refusals.iter().map(Refusal::likeness).collect();
        let could = |refusal: &Refusal| match &refusal.action {
            RefusedAction::Capability(name) => control.granted.contains(name),
            _ => !known.contains(&refusal.likeness()),
        };
        let all = self.copies.get(id).unwrap_or(&none).refusals.iter();
        all.filter(|refusal| could(refusal)).cloned().collect()
    }
}

impl SeenCopy {
    fn add(&mut self, refusal: Refusal) {
        if self.refusals.len() < MOST {
            self.refusals.insert(refusal);
        } else if !self.refusals.contains(&refusal) {
            self.missed += 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::advice::{Verdict, WritableDirectory};
    use crate::event::{Capability, ContainerEvent, File, Timestamp};

    fn event(id: &str, kind: Kind) -> Event {
        Event {
            seq: 1,
            ts: Timestamp(0),
            container: Some(ContainerId::new(id)),
            pid: 7,
            nspid: 7,
            kind,
        }
    }

    fn refused(op: FileOp, path: &str, errno: u16) -> Kind {
        let mut file = File::new(op, path.into());
        file.errno = errno;
        file.comm = "nginx".into();
        Kind::File(Box::new(file))
    }

    fn advice(setting: Setting) -> Advice {
        Advice {
            setting,
            verdict: Verdict::Safe,
            why: Vec::new(),
        }
    }

    fn read_only() -> Advice {
        advice(Setting::ReadOnly(vec![WritableDirectory {
            path: "/run".into(),
            volume: false,
            exec: false,
            uid: None,
            size: 16,
        }]))
    }

    #[test]
    fn a_refusal_is_blamed_on_the_advice_that_caused_it() {
        let caps = advice(Setting::Capabilities(Vec::new()));
        let user = advice(Setting::User(999));
        let all = [read_only(), caps.clone()];
        let blame = |kind, of: &[Advice]| Refusal::of(&event("c", kind)).unwrap().blame(of);
        let create = |path, errno| refused(FileOp::Create, path, errno);
        assert_eq!(blame(create("/var/log/x", EROFS), &all), Some("read-only"));
        // The tmpfs belongs to root, or hides a directory.
        assert_eq!(blame(create("/run/a/b", EACCES), &all), Some("read-only"));
        assert_eq!(blame(create("/run/a/b", ENOENT), &all), Some("read-only"));
        assert_eq!(blame(create("/runner/b", ENOENT), &all), None);
        assert_eq!(blame(create("/data/x", EACCES), &all), Some("capabilities"));
        assert_eq!(
            blame(create("/data/x", EACCES), &[user, caps]),
            Some("user")
        );
        let both = [read_only(), advice(Setting::User(999))];
        assert_eq!(blame(create("/run/a", EACCES), &both), Some("user"));
        // Only an applied setting can be the cause.
        assert_eq!(blame(create("/var/log/x", EROFS), &[]), None);
    }

    #[test]
    fn refusals_of_the_control_blame_no_advice() {
        let (control, hard) = (ContainerId::new("control"), ContainerId::new("hard"));
        let mut log = RefusalLog::default();
        log.follow(control.clone());
        log.follow(hard.clone());
        let requested = |name: &str, granted| {
            Kind::Capability(Capability {
                name: name.to_owned(),
                granted,
                comm: "nginx".into(),
            })
        };
        log.event(&event(
            "control",
            refused(FileOp::Create, "/proc/41/x", EACCES),
        ));
        log.event(&event("control", requested("SETGID", true)));
        log.event(&event(
            "hard",
            refused(FileOp::Create, "/proc/97/x", EACCES),
        ));
        log.event(&event("hard", requested("SETGID", false)));
        // Checked by the kernel, and the control worked without it.
        log.event(&event("hard", requested("SYS_ADMIN", false)));
        log.event(&event("hard", refused(FileOp::Create, "/run/x.pid", EROFS)));
        log.event(&event("other", refused(FileOp::Create, "/x", EROFS)));
        let container = |action| Kind::Container(Box::new(ContainerEvent { action, info: None }));
        log.event(&event("hard", container(ContainerAction::Died(0))));
        log.event(&event("hard", container(ContainerAction::Gone)));
        assert_eq!((log.ends(&hard), log.ends(&control)), (1, 0));
        let beyond = log.beyond(&hard, &control);
        let texts: Vec<_> = beyond.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "nginx could not create /run/x.pid: Read-only file system",
                "nginx could not use SETGID"
            ]
        );
    }

    #[test]
    fn refusals_are_bounded_and_counted_and_shown_escaped() {
        let id = ContainerId::new("c");
        let mut log = RefusalLog::default();
        log.follow(id.clone());
        for n in 0..MOST + 5 {
            let path = format!("/d/x\u{1b}{n}");
            log.event(&event("c", refused(FileOp::Create, &path, EROFS)));
        }
        assert_eq!(log.missed(&id), 5);
        let all = log.beyond(&id, &ContainerId::new("none"));
        assert_eq!(all.len(), MOST);
        assert!(!all[0].to_string().contains('\u{1b}'), "{}", all[0]);
    }
}
