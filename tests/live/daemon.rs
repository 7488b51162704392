//! An engine that comes later, goes and comes back, while watching goes on: a dockerd of the
//! test's own, which really is started and ended.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hullwatch::event::{ContainerAction, ContainerId, Event, Kind, LostReason};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::common::{self, BUSYBOX, Engine, PATIENCE, Recording};

/// Directories of a dockerd, and the dockerd while it runs. It has no bridge and changes no
/// firewall, and containers outlive it.
struct Daemon {
    dir: TempDir,
    engine: Engine,
    running: Option<Child>,
}

impl Daemon {
    fn new() -> Self {
        // Not in memory: the storage driver wants a disk below it.
        let dir = TempDir::new_in("/var/tmp").unwrap();
        let engine = Engine(format!("unix://{}", dir.path().join("sock").display()));
        Self {
            dir,
            engine,
            running: None,
        }
    }

    fn start(&mut self) {
        let at = |name: &str| self.dir.path().join(name);
        let log = File::options().create(true).append(true).open(at("log"));
        let child = Command::new("dockerd")
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .args(["-H", &self.engine.0, "--live-restore"])
            .args(["--bridge=none", "--iptables=false"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        self.running = Some(child);
        let until = Instant::now() + PATIENCE;
        while !self.engine.answers() {
            assert!(Instant::now() < until, "{}", self.said());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// As a service manager does it.
    fn stop(&mut self) {
        let Some(mut child) = self.running.take() else {
            return;
        };
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        child.wait().unwrap();
    }

    /// Gives it an image of another engine.
    fn load(&self, from: &Engine, image: &str) {
        let saved = self.dir.path().join("image.tar");
        from.docker(&["save", "-o", saved.to_str().unwrap(), image]);
        self.engine.docker(&["load", "-i", saved.to_str().unwrap()]);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
        // What a dockerd mounts, it does not always unmount.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let mut own: Vec<PathBuf> = own
            .map(PathBuf::from)
            .filter(|path| path.starts_with(self.dir.path()))
            .collect();
        own.sort();
        for path in own.iter().rev() {
            unmount(path);
        }
    }
}

fn unmount(path: &Path) {
    let _ = Command::new("umount").arg("-l").arg(path).status();
}

/// The engine told of a container by name, image and network; Docker's files have no networks.
fn told(id: &ContainerId) -> impl Fn(&Event) -> bool {
    move |event| {
        event.container.as_ref() == Some(id)
            && matches!(&event.kind, Kind::Container(c)
            if c.info.as_ref().is_some_and(|info| {
                info.image == BUSYBOX && !info.networks.is_empty()
            }))
    }
}

fn wrote(id: &ContainerId, name: &str) -> impl Fn(&Event) -> bool {
    let path = format!("/tmp/{name}");
    move |event| {
        event.container.as_ref() == Some(id)
            && matches!(&event.kind, Kind::File(file) if file.path == path.as_str())
    }
}

#[test]
fn an_engine_may_come_later_and_be_restarted() {
    if !common::engine_is_ready() {
        return;
    }
    let mut daemon = Daemon::new();
    // Nothing listens there yet.
    let mut recording = Recording::start(&daemon.engine);
    daemon.start();
    daemon.load(&Engine::tests(), BUSYBOX);
    let script = "while sleep 0.2; do for f in /go/*; do [ -e $f ] && mv $f /tmp; done; done";
    let orders = tempfile::tempdir().unwrap();
    let mount = format!("{}:/go", orders.path().display());
    let order = |name: &str| std::fs::write(orders.path().join(name), "x").unwrap();
    let stays = daemon
        .engine
        .run(&["-v", &mount], BUSYBOX, &["sh", "-c", script]);
    let ends = daemon.engine.run(&[], BUSYBOX, &["sleep", "1000"]);
    recording.wait_for("facts of an engine that came later", told(&stays.id));
    recording.wait_for("facts of an engine that came later", told(&ends.id));
    let (init, ending) = (stays.init(), ends.init());

    daemon.stop();
    recording.wait_for(
        "the loss of the engine",
        |event| matches!(&event.kind, Kind::Lost(lost) if lost.reason == LostReason::Engine),
    );
    // Both containers run on, and what they do is told meanwhile.
    order("meanwhile");
    recording.wait_for("a file of the time between", wrote(&stays.id, "meanwhile"));
    kill_process(
        Pid::from_raw(i32::try_from(ending).unwrap()).unwrap(),
        Signal::KILL,
    )
    .unwrap();
    recording.wait_for("the end of the other", |event| {
        event.pid == ending && matches!(&event.kind, Kind::Exit(exit) if exit.signal == Some(9))
    });

    daemon.start();
    // It tells what it missed, and what is new.
    recording.wait_for("the end, as the engine tells it", |event| {
        event.container.as_ref() == Some(&ends.id)
            && matches!(&event.kind, Kind::Container(c) if matches!(c.action, ContainerAction::Died(_)))
    });
    let new = daemon.engine.run(&[], BUSYBOX, &["sleep", "1000"]);
    recording.wait_for("facts of a new container", told(&new.id));
    assert_eq!(
        stays.init(),
        init,
        "the container was to outlive its engine"
    );
    let session = recording.stop();
    let core = session.state_at(u64::MAX);
    let runs = |id| core.state.containers[id].running;
    assert!(runs(&stays.id) && runs(&new.id) && !runs(&ends.id));
    let lost = session.losses();
    let engines = lost.iter().filter(
        |event| matches!(&event.kind, Kind::Lost(lost) if lost.reason == LostReason::Engine),
    );
    assert_eq!((engines.count(), lost.len()), (1, 1), "{lost:?}");
}
