//! A separate dockerd, with other settings than the engine under test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::common::{Engine, PATIENCE};

/// Its directories, and the dockerd while it runs. It has no bridge and changes no firewall.
pub(crate) struct Dockerd {
    dir: TempDir,
    pub(crate) engine: Engine,
    options: Vec<String>,
    /// A prefix of its command line, e.g. to start it in a namespace.
    front: Vec<String>,
    running: Option<Child>,
}

impl Dockerd {
    /// With these additional options; it does not run yet.
    pub(crate) fn new(options: &[&str]) -> Self {
        // Not in memory: the storage driver needs a disk.
        let dir = TempDir::new_in("/var/tmp").unwrap();
        let engine = Engine(format!("unix://{}", dir.path().join("sock").display()));
        Self {
            dir,
            engine,
            options: options.iter().map(|word| (*word).to_owned()).collect(),
            front: Vec::new(),
            running: None,
        }
    }

    /// Puts these words in front of its command line.
    pub(crate) fn behind(mut self, front: &[&str]) -> Self {
        self.front = front.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Starts it; returns when it answers.
    pub(crate) fn start(&mut self) {
        let at = |name: &str| self.dir.path().join(name);
        let log = File::options().create(true).append(true).open(at("log"));
        let mut words = self.front.clone();
        words.push("dockerd".to_owned());
        let mut command = Command::new(&words[0]);
        let child = command
            .args(&words[1..])
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .args(["-H", &self.engine.0])
            .args(["--bridge=none", "--iptables=false"])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        self.running = Some(child);
        let until = Instant::now() + PATIENCE;
        while !self.engine.answers() {
            let ended = self.running.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "{}", self.logs());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The address of its containerd.
    pub(crate) fn containerd(&self) -> String {
        let socket = self.dir.path().join("exec/containerd/containerd.sock");
        format!("unix://{}", socket.display())
    }

    fn logs(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Like a service manager.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.running.take() else {
            return;
        };
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let _ = kill_process(pid, Signal::TERM);
        let _ = child.wait();
    }

    /// Loads an image of another engine into it.
    pub(crate) fn load(&self, from: &Engine, image: &str) {
        let saved = self.dir.path().join("image.tar");
        from.docker(&["save", "-o", saved.to_str().unwrap(), image]);
        self.engine.docker(&["load", "-i", saved.to_str().unwrap()]);
        let _ = std::fs::remove_file(saved);
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.stop();
        // A dockerd does not always unmount what it mounted.
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
