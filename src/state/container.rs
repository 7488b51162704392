//! A container as the state knows it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use super::activity::PerSecond;
use crate::event::{
    Bytes, Compare, ContainerId, ContainerInfo, DriftScan, Event, Kind, Response, Timestamp,
};

/// Maximum number of remembered responses of one container.
const MAX_RESPONSES: usize = 64;
/// Maximum number of remembered comparisons of one container.
const MAX_COMPARED: usize = 64;

/// The owner of a fact: a container, or the host (`None`).
pub type Owner = Option<ContainerId>;

/// A container as the state knows it.
#[derive(Debug, Clone)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// The latest facts.
    pub info: ContainerInfo,
    /// Time of the first event about it.
    pub first_seen: Timestamp,
    /// It existed before watching began.
    pub existing: bool,
    /// It runs now.
    pub running: bool,
    /// It is paused.
    pub paused: bool,
    /// When it ended, if it did.
    pub ended: Option<Timestamp>,
    /// Exit code of its init.
    pub exit_code: Option<i64>,
    /// Times the kernel ran out of memory for it.
    pub oom_kills: u32,
    /// When its own first exec happened (after the runtime's set-up).
    pub first_exec: Option<Timestamp>,
    /// CPU, thousandths of a core, at the latest tick.
    pub cpu_milli: u32,
    /// Memory, bytes, at the latest tick.
    pub memory: u64,
    /// Tasks at the latest tick.
    pub pids: u32,
    /// CPU of the last ten minutes, one value a tick.
    pub cpu_history: VecDeque<u32>,
    /// Writes (create, write, truncate, rename, …) per second over the last minute.
    pub writes: PerSecond,
    /// Rate of programs it ran.
    pub execs: PerSecond,
    /// Rate of connections it made or accepted.
    pub connects: PerSecond,
    /// Its files, connections and ended processes that were dropped because a table was full.
    pub forgotten: u64,
    /// Events lost that belong to it.
    pub lost: u64,
    /// Names its DNS answers gave to addresses; bounded.
    pub names: BTreeMap<IpAddr, Bytes>,
    /// Capabilities it used.
    pub capabilities: BTreeSet<String>,
    /// Host pid of the first process that was seen as its init.
    pub(super) init: Option<u32>,
    /// The latest comparison of its files with its image.
    pub(super) scan: Option<Arc<Event>>,
    /// Responses, the latest last; bounded.
    responses: VecDeque<Arc<Event>>,
    /// Comparisons of its programs with its image, the latest last; bounded.
    compared: VecDeque<Arc<Event>>,
}

impl Container {
    /// A container with only its id known.
    pub(super) fn new(id: ContainerId, first_seen: Timestamp) -> Self {
        Self {
            id,
            info: ContainerInfo::default(),
            first_seen,
            existing: false,
            running: true,
            paused: false,
            ended: None,
            exit_code: None,
            oom_kills: 0,
            first_exec: None,
            cpu_milli: 0,
            memory: 0,
            pids: 0,
            cpu_history: VecDeque::new(),
            writes: PerSecond::default(),
            execs: PerSecond::default(),
            connects: PerSecond::default(),
            forgotten: 0,
            lost: 0,
            names: BTreeMap::new(),
            capabilities: BTreeSet::new(),
            init: None,
            scan: None,
            responses: VecDeque::new(),
            compared: VecDeque::new(),
        }
    }

    pub(super) fn respond(&mut self, event: &Arc<Event>) {
        if self.responses.len() >= MAX_RESPONSES {
            self.responses.pop_front();
        }
        self.responses.push_back(Arc::clone(event));
    }

    /// Responses from hullwatch's screen, with their times; the latest last, bounded.
    pub fn responses(&self) -> impl DoubleEndedIterator<Item = (Timestamp, &Response)> {
        self.responses.iter().filter_map(|event| match &event.kind {
            Kind::Response(response) => Some((event.ts, &**response)),
            _ => None,
        })
    }

    /// Keeps the comparison of a program, instead of an earlier one of the same file.
    pub(super) fn note_comparison(&mut self, event: &Arc<Event>, compare: &Compare) {
        let same = |known: &Arc<Event>| matches!(&known.kind, Kind::Compare(k) if k.path == compare.path && k.ino == compare.ino);
        self.compared.retain(|known| !same(known));
        if self.compared.len() >= MAX_COMPARED {
            self.compared.pop_front();
        }
        self.compared.push_back(Arc::clone(event));
    }

    /// Comparisons of its programs with its image, the latest last; bounded.
    pub(super) fn comparisons(&self) -> impl Iterator<Item = &Compare> {
        self.compared.iter().filter_map(|event| match &event.kind {
            Kind::Compare(compare) => Some(&**compare),
            _ => None,
        })
    }

    /// Whether only this event was seen of it.
    pub(super) fn is_new(&self, at: Timestamp) -> bool {
        self.first_seen == at && !self.existing && self.first_exec.is_none()
    }

    /// It was created and has not run since.
    #[must_use]
    pub fn is_created(&self) -> bool {
        !self.running && self.ended.is_none() && self.exit_code.is_none()
    }

    /// Name, or the short id where the name is not known.
    #[must_use]
    pub fn display_name(&self) -> String {
        if self.info.name.is_empty() {
            self.id.short().to_owned()
        } else {
            self.info.name.escaped().to_string()
        }
    }

    /// The latest comparison of its files with its image, and when it was made.
    #[must_use]
    pub fn scan(&self) -> Option<(Timestamp, &DriftScan)> {
        let event = self.scan.as_ref()?;
        match &event.kind {
            Kind::DriftScan(scan) => Some((event.ts, scan)),
            _ => None,
        }
    }

    /// When it was started, as far as known; `None` before its first start.
    #[must_use]
    pub fn started(&self) -> Option<Timestamp> {
        let seen = !self.existing && !self.is_created();
        self.info.started.or(seen.then_some(self.first_seen))
    }

    /// Host pid of its init, where one was seen.
    #[must_use]
    pub fn init(&self) -> Option<u32> {
        self.init
    }

    /// Write operations over the last minute.
    #[must_use]
    pub fn writes_per_minute(&self) -> u32 {
        self.writes.counts().sum()
    }
}

#[cfg(test)]
mod tests {
    use crate::event::{ContainerAction, ContainerEvent, ContainerId, Event, Kind, Timestamp};
    use crate::state::State;

    #[test]
    fn containers_are_bounded_though_all_of_them_run() {
        let mut state = State::default();
        let began = std::time::Instant::now();
        for n in 0..20_000_u32 {
            let exec = Kind::Exec(Box::default());
            let event = Event {
                seq: u64::from(n),
                ts: Timestamp(n.into()),
                container: Some(ContainerId::new(&n.to_string())),
                pid: n,
                nspid: n,
                kind: exec,
            };
            state.apply(&std::sync::Arc::new(event));
        }
        assert_eq!(state.containers.len(), 1024);
        assert!(state.containers.contains_key("0"));
        assert_eq!(state.totals.evicted, 20_000 - 1024);
        assert!(began.elapsed() < std::time::Duration::from_secs(10));
    }

    #[test]
    fn a_created_container_runs_from_its_start_on() {
        let mut state = State::default();
        let id = ContainerId::new("a");
        let mut apply = |at: i64, action: ContainerAction| {
            let event = Event {
                seq: 1,
                ts: Timestamp(at),
                container: Some(id.clone()),
                pid: 0,
                nspid: 0,
                kind: Kind::Container(Box::new(ContainerEvent { action, info: None })),
            };
            state.apply(&std::sync::Arc::new(event));
            let container = state.containers.get(&id).unwrap();
            assert_eq!(container.started().is_none(), container.is_created());
            (container.is_created(), container.running, container.paused)
        };
        assert_eq!(apply(1, ContainerAction::Created), (true, false, false));
        assert_eq!(apply(2, ContainerAction::Info), (true, false, false));
        assert_eq!(apply(3, ContainerAction::Started), (false, true, false));
        assert_eq!(apply(4, ContainerAction::Paused), (false, true, true));
        assert_eq!(apply(5, ContainerAction::Died(0)), (false, false, true));
        // Created again while watched, as by a restart policy: it ran before.
        assert_eq!(apply(6, ContainerAction::Created), (false, false, true));
    }
}
