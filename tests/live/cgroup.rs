//! A cgroup named like a container's, for the probes without an engine.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Removed at the end.
pub(crate) struct Container {
    pub(crate) path: PathBuf,
}

impl Container {
    /// `seed` is two hexadecimal digits that no other test uses.
    pub(crate) fn new(seed: &str) -> Self {
        Self::at(&seed.repeat(64)[..64])
    }

    /// Creates it at this path below the hierarchy's root; its parents are not removed.
    pub(crate) fn at(below: &str) -> Self {
        let root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .into_iter()
            .map(Path::new)
            .find(|p| p.join("cgroup.procs").exists())
            .expect("a cgroup v2 hierarchy");
        let path = root.join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::create_dir(&path).unwrap();
        Self { path }
    }

    pub(crate) fn id(&self) -> u64 {
        fs::metadata(&self.path).unwrap().ino()
    }

    /// A shell that joins and executes `then`. Its actions before that are set-up.
    pub(crate) fn join(&self, then: &str) -> Command {
        let mut shell = Command::new("sh");
        let script = format!(
            "echo 0 > {}/cgroup.procs && exec {then}",
            self.path.display()
        );
        shell.args(["-c", &script]);
        shell
    }

    /// Runs a shell command inside.
    pub(crate) fn run(&self, script: &str) {
        let done = self.join("sh -c \"$1\"").args(["sh", script]).status();
        assert!(done.unwrap().success(), "{script}");
    }

    /// Runs one of this crate's ignored tests inside, with `argument` for it. Returns its pid.
    pub(crate) fn run_test(&self, name: &str, argument: &str) -> u32 {
        let mut child = self
            .join(&format!("\"$0\" --ignored --exact {name}"))
            .arg(std::env::current_exe().unwrap())
            .env("HULLWATCH_TEST", argument)
            .spawn()
            .unwrap();
        assert!(child.wait().unwrap().success(), "{name} failed");
        child.id()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// Removes the cgroups that a runtime leaves behind: those above its containers'.
pub(crate) fn remove_all(top: &Path) {
    for inner in fs::read_dir(top).into_iter().flatten().flatten() {
        if inner.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_all(&inner.path());
        }
    }
    let _ = fs::remove_dir(top);
}
