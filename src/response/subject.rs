//! The subject of responses: a container with its suspicious processes, files and peers.

use std::net::{IpAddr, SocketAddr};

use crate::detect::{Detector, Finding};
use crate::event::{Bytes, ContainerId, Endpoint, Origin, Timestamp};
use crate::incident::Incident;
use crate::state::{Owner, State};

/// Maximum number of processes, files and addresses of one subject.
const MAX_PROCESSES: usize = 8;
const MAX_FILES: usize = 16;
const MAX_PEERS: usize = 4;

/// A process, identified beyond the reuse of its pid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// Host pid.
    pub pid: u32,
    /// When it started, as far as it was seen.
    pub started: Timestamp,
    /// Its command line, escaped.
    pub command: String,
    /// Path of its container's cgroup; empty unknown, or of the host.
    pub cgroup: String,
}

impl ProcessIdentity {
    /// The running process with this pid.
    pub(super) fn of(state: &State, pid: u32) -> Option<Self> {
        let process = state.processes.get(&pid)?;
        let words = process.argv.iter().map(|word| word.escaped().to_string());
        let command = words.collect::<Vec<_>>().join(" ");
        let container = state.container(&process.owner);
        process.exited.is_none().then(|| Self {
            cgroup: container.map_or(String::new(), |c| c.info.cgroup.clone()),
            pid,
            started: process.started,
            command: if command.is_empty() {
                process.comm.escaped().to_string()
            } else {
                command
            },
        })
    }
}

/// The subject of responses. Each list is bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseSubject {
    /// The container; `None` is the host.
    pub container: Owner,
    /// Running processes.
    pub processes: Vec<ProcessIdentity>,
    /// Running processes whose program is not in the image, or was removed.
    pub programs: Vec<ProcessIdentity>,
    /// Paths as the container sees them.
    pub files: Vec<Bytes>,
    /// Addresses that were connected to.
    pub peers: Vec<IpAddr>,
}

impl ResponseSubject {
    /// A container as a whole.
    #[must_use]
    pub fn of_container(id: &ContainerId) -> Self {
        Self {
            container: Some(id.clone()),
            ..Self::default()
        }
    }

    /// An incident: its running processes, its files, and the peers of its findings and of its open
    /// connections.
    #[must_use]
    pub fn of_incident(state: &State, detector: &Detector, incident: &Incident) -> Self {
        let mut subject = Self::of_container(&incident.container);
        for key in &incident.connected {
            if let Endpoint::Inet(address) = &key.endpoint {
                subject.peer(address.ip());
            }
        }
        for id in &incident.findings {
            if let Some(finding) = detector.finding(*id) {
                subject.peers_of(finding);
            }
        }
        for pid in &incident.running {
            subject.process(state, *pid);
        }
        for path in incident.files.iter().chain(&incident.differing) {
            subject.file(path);
        }
        subject
    }

    /// A finding: its process where it still runs, its files or peers.
    #[must_use]
    pub fn of_finding(state: &State, finding: &Finding) -> Self {
        let mut subject = Self {
            container: finding.container.clone(),
            ..Self::default()
        };
        let ancestor = finding.ancestry.first();
        let same = ancestor.filter(|ancestor| {
            let process = state.processes.get(&ancestor.pid);
            process.is_some_and(|p| p.owner == finding.container && p.exe == ancestor.exe)
        });
        if let Some(ancestor) = same {
            subject.process(state, ancestor.pid);
        }
        subject.peers_of(finding);
        let made = ["file.", "drift."]
            .iter()
            .any(|family| finding.rule.starts_with(family));
        if made {
            finding.things().iter().for_each(|path| subject.file(path));
        }
        subject
    }

    /// A process.
    #[must_use]
    pub fn of_process(state: &State, pid: u32) -> Self {
        let owner = state
            .processes
            .get(&pid)
            .and_then(|process| process.owner.clone());
        let mut subject = Self {
            container: owner,
            ..Self::default()
        };
        subject.process(state, pid);
        subject
    }

    /// A peer of a container.
    #[must_use]
    pub fn of_peer(owner: &Owner, endpoint: &Endpoint) -> Self {
        let mut subject = Self {
            container: owner.clone(),
            ..Self::default()
        };
        if let Endpoint::Inet(address) = endpoint {
            subject.peer(address.ip());
        }
        subject
    }

    /// A file of a container.
    #[must_use]
    pub fn of_file(owner: &Owner, path: &Bytes) -> Self {
        let mut subject = Self {
            container: owner.clone(),
            ..Self::default()
        };
        subject.file(path);
        subject
    }

    fn process(&mut self, state: &State, pid: u32) {
        let Some(process) = ProcessIdentity::of(state, pid) else {
            return;
        };
        let entry = state.processes.get(&pid);
        if entry.is_some_and(|p| p.file.origin() != Origin::Image || p.file.unlinked)
            && self.programs.len() < MAX_PROCESSES
        {
            self.programs.push(process.clone());
        }
        if self.processes.len() < MAX_PROCESSES {
            self.processes.push(process);
        }
    }

    fn file(&mut self, path: &Bytes) {
        let real = path.first() == Some(&b'/') && !path.contains(&0);
        if real && self.files.len() < MAX_FILES && !self.files.contains(path) {
            self.files.push(path.clone());
        }
    }

    fn peers_of(&mut self, finding: &Finding) {
        if !finding.rule.starts_with("net.") {
            return;
        }
        for thing in finding.things() {
            let Ok(text) = std::str::from_utf8(thing) else {
                continue;
            };
            let socket = text.parse::<SocketAddr>().map(|address| address.ip());
            if let Ok(address) = socket.or_else(|_| text.parse()) {
                self.peer(address);
            }
        }
    }

    fn peer(&mut self, address: IpAddr) {
        let outside = !address.is_loopback() && !address.is_unspecified();
        if outside && self.peers.len() < MAX_PEERS && !self.peers.contains(&address) {
            self.peers.push(address);
        }
    }
}
