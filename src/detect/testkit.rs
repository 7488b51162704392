//! A test environment for rules: one container, its processes and time, with the real state.
//! `testkit_events` has the actions of its processes.

use std::sync::Arc;

use super::{Detector, Finding, Settings, Severity};
use crate::event::{
    Bytes, ContainerAction, ContainerEvent, ContainerId, ContainerInfo, Difference, Differing,
    Event, Exec, Exit, FileClass, FileFacts, Filesystem, Fork, Kind, Mount, NodeKind, Process,
    Protocol, Socket, Tick, Timestamp,
};
use crate::incident::Incidents;
use crate::state::State;

const SECOND: i64 = 1_000_000_000;
/// When the container was created.
const CREATED: i64 = 1_700_000_000 * SECOND;

/// One container, and the events it makes.
pub(super) struct World {
    pub(super) state: State,
    pub(super) detector: Detector,
    pub(super) incidents: Incidents,
    id: ContainerId,
    info: ContainerInfo,
    seq: u64,
    now: i64,
    next_pid: u32,
    init: u32,
}

fn facts(ino: u64, fs: Filesystem, upper: bool, lower: bool) -> FileFacts {
    FileFacts {
        ino,
        dev: 40,
        fs,
        upper,
        lower,
        size: 1000,
        mtime: Timestamp(CREATED - 1000 * SECOND),
        ctime: Timestamp(CREATED - 1000 * SECOND),
        mode: 0o100_755,
        ..FileFacts::default()
    }
}

/// A file of the image.
pub(super) fn image(ino: u64) -> FileFacts {
    facts(ino, Filesystem::Overlay, false, true)
}

/// A file of the writable layer.
pub(super) fn upper(ino: u64) -> FileFacts {
    facts(ino, Filesystem::Overlay, true, false)
}

/// A file of the writable layer over one of the image.
pub(super) fn copied_up(ino: u64) -> FileFacts {
    facts(ino, Filesystem::Overlay, true, true)
}

/// A file on a tmpfs.
pub(super) fn tmpfs(ino: u64) -> FileFacts {
    facts(ino, Filesystem::Tmpfs, false, false)
}

/// A file on a volume, older than the container.
pub(super) fn volume(ino: u64) -> FileFacts {
    facts(ino, Filesystem::Disk, false, false)
}

/// A file that a scan found added long after the container's start.
pub(super) fn added(path: &str, class: FileClass) -> Differing {
    Differing {
        path: path.into(),
        difference: Difference::Added,
        class,
        kind: NodeKind::File,
        metadata_only: false,
        size: 1,
        size_before: None,
        mode: 0o100_755,
        mode_before: None,
        uid: 0,
        gid: 0,
        mtime: Timestamp(CREATED + 50_000 * SECOND),
        ctime: Timestamp(CREATED + 50_000 * SECOND),
        target: None,
        sha256: None,
        package: None,
        below: None,
        note: None,
    }
}

impl World {
    /// A container whose init has run for a moment.
    pub(super) fn starting() -> Self {
        Self::begin(Settings::default())
    }

    /// A container that has been up for a minute.
    pub(super) fn steady() -> Self {
        Self::with(Settings::default())
    }

    /// A container that has been up for a minute, with other settings.
    pub(super) fn with(settings: Settings) -> Self {
        let mut world = Self::begin(settings);
        world.ticks(60);
        world
    }

    fn begin(settings: Settings) -> Self {
        let mut world = Self {
            state: State::default(),
            detector: Detector::new(settings),
            incidents: Incidents::default(),
            id: ContainerId::new(&"c".repeat(64)),
            info: ContainerInfo {
                name: "web".into(),
                image: "web:1".into(),
                created: Some(Timestamp(CREATED)),
                started: Some(Timestamp(CREATED)),
                ..ContainerInfo::default()
            },
            seq: 0,
            now: CREATED,
            next_pid: 1000,
            init: 0,
        };
        world.container(ContainerAction::Appeared);
        world.runtime_exec();
        let pid = world.next_pid;
        world.next_pid += 1;
        let exec = Exec {
            ppid: 1,
            comm: "app".into(),
            exe: "/app".into(),
            argv: vec!["/app".into()],
            file: image(1),
            ..Exec::default()
        };
        world.emit(pid, 1, Kind::Exec(Box::new(exec)));
        world.init = pid;
        world.container(ContainerAction::Started);
        world
    }

    /// A container that ran for an hour before watching began.
    pub(super) fn found() -> Self {
        Self::found_with(|_| {})
    }

    /// A container that ran for an hour before watching began, with another init.
    pub(super) fn found_with(change: impl FnOnce(&mut Process)) -> Self {
        let mut world = Self {
            state: State::default(),
            detector: Detector::new(Settings::default()),
            incidents: Incidents::default(),
            id: ContainerId::new(&"c".repeat(64)),
            info: ContainerInfo {
                name: "web".into(),
                image: "web:1".into(),
                created: Some(Timestamp(CREATED)),
                started: Some(Timestamp(CREATED)),
                ..ContainerInfo::default()
            },
            seq: 0,
            now: CREATED + 3600 * SECOND,
            next_pid: 1000,
            init: 0,
        };
        world.container(ContainerAction::Existing);
        world.init = world.found_process(1, "/app", &["/app"], |init| {
            init.started = Timestamp(CREATED);
            change(init);
        });
        world
    }

    /// A process that started ten minutes before watching began; of an exec session when its
    /// parent is 0.
    pub(super) fn found_process(
        &mut self,
        parent: u32,
        exe: &str,
        argv: &[&str],
        change: impl FnOnce(&mut Process),
    ) -> u32 {
        let pid = self.next_pid;
        self.next_pid += 1;
        let leaf = exe.rsplit('/').next().unwrap_or(exe);
        let mut process = Process {
            ppid: parent,
            comm: leaf.into(),
            exe: exe.into(),
            argv: argv.iter().map(|a| Bytes::from(*a)).collect(),
            cwd: "/".into(),
            started: Timestamp(CREATED + 3000 * SECOND),
            file: image(2),
            ..Process::default()
        };
        change(&mut process);
        self.fact(pid, Kind::Process(Box::new(process)));
        pid
    }

    /// A socket that was open when watching began; without a peer one that listens. Sockets come
    /// before the processes: `after` says how many processes come before its own.
    pub(super) fn found_socket(&mut self, after: u32, local: &str, peer: Option<&str>) {
        let socket = Socket {
            protocol: Protocol::Tcp,
            local: local.parse().unwrap(),
            remote: peer.map(|peer| peer.parse().unwrap()),
            inbound: false,
            seen: Timestamp(self.now),
            comm: "x".into(),
        };
        let pid = self.next_pid + after;
        self.fact(pid, Kind::Socket(Box::new(socket)));
    }

    /// Applies an event of this container.
    pub(super) fn emit(&mut self, pid: u32, nspid: u32, kind: Kind) {
        self.seq += 1;
        self.now += 1_000_000;
        let container = (!matches!(kind, Kind::Tick(_))).then(|| self.id.clone());
        let event = Arc::new(Event {
            seq: self.seq,
            ts: Timestamp(self.now),
            container,
            pid,
            nspid,
            kind,
        });
        let resolved = self.detector.see_through(&self.state, &event).map(Arc::new);
        let event = resolved.unwrap_or(event);
        self.state.apply(&event);
        self.detector.apply(&self.state, &event);
        self.incidents.apply(&self.state, &self.detector);
    }

    pub(super) fn fact(&mut self, pid: u32, kind: Kind) {
        self.emit(pid, pid - 999, kind);
    }

    /// Something happens to the container, with its full facts.
    pub(super) fn container(&mut self, action: ContainerAction) {
        let info = Some(Box::new(self.info.clone()));
        self.emit(
            0,
            0,
            Kind::Container(Box::new(ContainerEvent { action, info })),
        );
    }

    /// Changes the container's facts.
    pub(super) fn info(&mut self, change: impl FnOnce(&mut ContainerInfo)) {
        change(&mut self.info);
        self.container(ContainerAction::Info);
    }

    /// A web server that has been serving for a while, and its pid.
    pub(super) fn server() -> (Self, u32) {
        let mut w = Self::starting();
        let init = w.init();
        let web = w.exec(init, "/usr/sbin/nginx", &["nginx"]);
        w.listen(web, "0.0.0.0:80");
        w.ticks(60);
        (w, web)
    }

    /// Adds a volume.
    pub(super) fn mount(&mut self, at: &str) {
        self.info(|i| {
            i.mounts.push(Mount {
                kind: "volume".into(),
                source: "vol".into(),
                destination: at.into(),
                writable: true,
            });
        });
    }

    /// The host pid of the container's init.
    pub(super) fn init(&self) -> u32 {
        self.init
    }

    /// Seconds pass.
    pub(super) fn ticks(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.now += SECOND - 1_000_000;
            self.emit(0, 0, Kind::Tick(Box::<Tick>::default()));
        }
    }

    /// The file changed just now.
    pub(super) fn changed_now(&self, file: FileFacts) -> FileFacts {
        FileFacts {
            mtime: Timestamp(self.now),
            ctime: Timestamp(self.now),
            ..file
        }
    }

    /// A child of `parent`, before it runs anything else.
    pub(super) fn fork(&mut self, parent: u32) -> u32 {
        let pid = self.next_pid;
        self.next_pid += 1;
        let fork = Fork {
            ppid: parent,
            ..Fork::default()
        };
        self.fact(pid, Kind::Fork(fork));
        pid
    }

    /// A child of `parent` runs an image program.
    pub(super) fn exec(&mut self, parent: u32, exe: &str, argv: &[&str]) -> u32 {
        self.exec_file(parent, exe, argv, image(2))
    }

    /// A child of `parent` runs a program of the writable layer, made just now.
    pub(super) fn exec_new(&mut self, parent: u32, exe: &str) -> u32 {
        let ino = 10_000 + u64::from(self.next_pid);
        let file = self.changed_now(upper(ino));
        self.exec_file(parent, exe, &[exe], file)
    }

    /// A child of `parent` runs a program.
    pub(super) fn exec_file(
        &mut self,
        parent: u32,
        exe: &str,
        argv: &[&str],
        file: FileFacts,
    ) -> u32 {
        let pid = self.fork(parent);
        self.exec_as(pid, parent, exe, argv, |e| e.file = file);
        pid
    }

    /// The process itself runs a program.
    pub(super) fn exec_as(
        &mut self,
        pid: u32,
        parent: u32,
        exe: &str,
        argv: &[&str],
        change: impl FnOnce(&mut Exec),
    ) {
        let leaf = exe.rsplit('/').next().unwrap_or(exe);
        let mut exec = Exec {
            ppid: parent,
            comm: leaf.into(),
            exe: exe.into(),
            argv: argv.iter().map(|a| Bytes::from(*a)).collect(),
            cwd: "/".into(),
            file: image(2),
            ..Exec::default()
        };
        change(&mut exec);
        self.fact(pid, Kind::Exec(Box::new(exec)));
    }

    /// A process that was there before watching began, running an image program.
    pub(super) fn existing(&mut self, pid: u32, parent: u32, exe: &str, argv: &[&str]) {
        let leaf = exe.rsplit('/').next().unwrap_or(exe);
        let process = Process {
            ppid: parent,
            uid: 0,
            comm: leaf.into(),
            exe: exe.into(),
            argv: argv.iter().map(|a| Bytes::from(*a)).collect(),
            cwd: "/".into(),
            started: Timestamp(0),
            file: image(2),
            ..Process::default()
        };
        self.fact(pid, Kind::Process(Box::new(process)));
    }

    /// The runtime sets something up inside the container.
    pub(super) fn runtime_exec(&mut self) -> u32 {
        let pid = self.next_pid;
        self.next_pid += 1;
        let exec = Exec {
            ppid: 1,
            comm: "runc:[2:INIT]".into(),
            exe: "/memfd:runc_cloned:/proc/self/exe (deleted)".into(),
            argv: vec!["runc".into(), "init".into()],
            file: FileFacts {
                memfd: true,
                unlinked: true,
                ..FileFacts::default()
            },
            runtime: true,
            ..Exec::default()
        };
        self.fact(pid, Kind::Exec(Box::new(exec)));
        pid
    }

    fn enter(&mut self, argv: &[&str], tty: bool) -> u32 {
        let pid = self.runtime_exec();
        let exe = if argv[0].starts_with('/') {
            argv[0].to_owned()
        } else {
            format!("/bin/{}", argv[0])
        };
        self.exec_as(pid, 1, &exe, argv, |e| e.tty = tty);
        pid
    }

    /// A command enters from outside, as with `docker exec`.
    pub(super) fn session(&mut self, argv: &[&str]) -> u32 {
        self.enter(argv, false)
    }

    /// A command enters from outside with a terminal.
    pub(super) fn session_tty(&mut self, argv: &[&str]) -> u32 {
        self.enter(argv, true)
    }

    /// A process of the host enters the container's namespaces, bypassing its engine.
    pub(super) fn entered(&mut self, argv: &[&str], tty: bool) -> u32 {
        let pid = self.next_pid;
        self.next_pid += 1;
        let exe = format!("/bin/{}", argv[0].trim_start_matches("/bin/"));
        self.exec_as(pid, 1, &exe, argv, |e| {
            e.tty = tty;
            e.entered = true;
        });
        pid
    }

    /// Lets a learner see the latest event.
    pub(super) fn look(&self, learner: &mut crate::baseline::Learner) {
        let event = self.state.recent.events.back().unwrap();
        learner.apply(&self.state, event, &[]);
    }

    /// A process ends.
    pub(super) fn exit(&mut self, pid: u32) {
        let exit = Exit {
            code: Some(0),
            ..Exit::default()
        };
        self.fact(pid, Kind::Exit(exit));
    }

    /// All findings of a rule.
    pub(super) fn all(&self, rule: &str) -> Vec<&Finding> {
        let findings = self.detector.findings().iter();
        findings
            .filter(|f| f.part_of.is_none() && f.rule == rule)
            .map(std::sync::Arc::as_ref)
            .collect()
    }

    /// The number of the latest event.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// The first finding of a rule.
    pub(super) fn finding(&self, rule: &str) -> &Finding {
        self.all(rule)
            .first()
            .unwrap_or_else(|| panic!("no {rule} among {:?}", self.rules()))
    }

    /// The rule has no finding.
    pub(super) fn none(&self, rule: &str) {
        assert!(self.all(rule).is_empty(), "{:?}", self.all(rule));
    }

    fn rules(&self) -> Vec<&str> {
        let findings = self.detector.findings().iter();
        let findings = findings.filter(|f| f.part_of.is_none());
        let mut rules: Vec<&str> = findings.map(|f| f.rule.as_str()).collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }

    /// Exactly these rules have findings.
    pub(super) fn only(&self, rules: &[&str]) {
        assert_eq!(self.rules(), rules, "{:#?}", self.detector.findings());
    }

    /// The highest severity of all findings.
    pub(super) fn highest(&self) -> Severity {
        let findings = self.detector.findings().iter();
        let findings = findings.filter(|f| f.part_of.is_none());
        findings.map(|f| f.severity).max().unwrap_or(Severity::Info)
    }
}
