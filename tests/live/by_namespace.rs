//! Containers that their cgroup does not identify: of runc in any cgroup, of crun without one of
//! their own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cgroup::remove_all;
use crate::common::{Watch, kernel_is_ready};

/// A bundle of busybox, and the containers created from it.
struct Bundle {
    dir: TempDir,
    /// Program, its options, and name of each.
    made: Vec<(Vec<String>, String)>,
}

impl Bundle {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("rootfs");
        for name in ["bin", "tmp", "proc", "dev", "sys"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let busybox = ["/usr/bin/busybox", "/bin/busybox"].map(Path::new);
        let busybox = busybox.iter().find(|path| path.exists()).unwrap();
        fs::copy(busybox, root.join("bin/busybox")).unwrap();
        for link in ["sh", "sleep", "cp"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(link)).unwrap();
        }
        let spec = Command::new("runc").arg("spec").current_dir(&dir).status();
        assert!(spec.unwrap().success());
        Self {
            dir,
            made: Vec::new(),
        }
    }

    /// Writes the configuration: this cgroup, or the runtime's choice.
    fn configure(&self, cgroup: Option<&str>) {
        let path = self.dir.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["/bin/sh", "-c", "sleep 1000; exit 3"]);
        // A test's own limits may be below those.
        config["process"].as_object_mut().unwrap().remove("rlimits");
        config["root"]["readonly"] = json!(false);
        match cgroup {
            Some(cgroup) => config["linux"]["cgroupsPath"] = json!(cgroup),
            None => {
                config["linux"]
                    .as_object_mut()
                    .unwrap()
                    .remove("cgroupsPath");
            }
        }
        fs::write(path, config.to_string()).unwrap();
    }

    fn command(&self, program: &[String], words: &[&str]) -> Output {
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]).args(words);
        command.current_dir(&self.dir).stdin(Stdio::null());
        command.output().unwrap()
    }

    fn run(&mut self, program: &[String], name: &str) {
        self.made.push((program.to_vec(), name.to_owned()));
        let mut command = Command::new(&program[0]);
        let log = self.dir.path().join("log");
        let file = || fs::File::create(&log).unwrap();
        // The container inherits the descriptors: a pipe would stay open.
        let status = command
            .args(&program[1..])
            .args(["run", "-d", name])
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(file())
            .stderr(file())
            .status();
        let printed = fs::read_to_string(&log).unwrap_or_default();
        assert!(status.unwrap().success(), "{program:?}: {printed}");
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        for (program, name) in &self.made {
            self.command(program, &["delete", "-f", name]);
        }
    }
}

fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn of<'a>(line: &'a Value, id: &str) -> Option<&'a Value> {
    (line.get("container")?.as_str()? == id).then_some(line)
}

/// Its start, its first program, an exec session with a dropped file, and its end with the exit
/// code.
fn whole_life(bundle: &mut Bundle, watch: &Watch, program: &[String], name: &str, id: &str) {
    watch.forget_lines();
    bundle.run(program, name);
    let first = watch.expect("its birth", |line| of(line, id).is_some());
    assert_eq!(first["type"], "container", "a birth comes first");
    assert_eq!(first["action"], "appeared");
    assert_eq!(first["info"]["name"], name);
    watch.expect("its first program", |line| {
        of(line, id).is_some_and(|line| line["type"] == "exec" && line["nspid"] == 1)
    });
    let script = "cp /bin/busybox /tmp/evil; exec /tmp/evil sh -c true";
    bundle.command(program, &["exec", name, "/bin/sh", "-c", script]);
    watch.expect("a dropped program in an exec session", |line| {
        of(line, id).is_some_and(|line| line["type"] == "exec" && line["exe"] == "/tmp/evil")
    });
    bundle.command(program, &["kill", name, "KILL"]);
    watch.expect("its end, with its code", |line| {
        of(line, id).is_some_and(|line| line["action"] == json!({"died": 137}))
    });
    bundle.command(program, &["delete", "-f", name]);
    watch.expect("its removal", |line| {
        of(line, id).is_some_and(|line| line["action"] == "gone")
    });
}

#[test]
fn containers_of_plain_runc_in_any_cgroup() {
    if !kernel_is_ready() {
        return;
    }
    let mut bundle = Bundle::new();
    let (there, unnamed, deep) = (unique("there"), unique("unnamed"), unique("deep"));
    let runc = words("runc");
    bundle.configure(Some(&format!("/hullwatch-test/{there}/x")));
    bundle.run(&runc, &there);
    let watch = Watch::start(&["--no-engine", "--events", "container,exec"]);
    watch.expect("one that was there", |line| {
        of(line, &format!("runc/{there}")).is_some_and(|line| line["action"] == "existing")
    });
    bundle.configure(None);
    let id = format!("runc/{unnamed}");
    whole_life(&mut bundle, &watch, &runc, &unnamed, &id);
    bundle.configure(Some(&format!("/hullwatch-test/{deep}/a.slice/b")));
    let id = format!("runc/{deep}");
    whole_life(&mut bundle, &watch, &runc, &deep, &id);
    // Again, with the same name and the number of an ended namespace.
    whole_life(&mut bundle, &watch, &runc, &deep, &id);
    watch.stop();
    drop(bundle);
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        remove_all(&hierarchy.path().join("hullwatch-test"));
    }
    remove_all(Path::new("/sys/fs/cgroup/hullwatch-test"));
}

/// A crun that creates no cgroups for its containers.
fn crun_without_cgroup() -> Vec<String> {
    // crun refuses a mixture of both cgroup versions.
    let script = "umount -R -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec crun --cgroup-manager=disabled \"$@\"";
    ["unshare", "--mount", "sh", "-c", script, "crun"]
        .map(str::to_owned)
        .to_vec()
}

/// As with rootless Podman on a host without a delegated cgroup: the container is in the root
/// cgroup, with all other processes.
#[test]
fn containers_without_a_cgroup_of_their_own() {
    if !kernel_is_ready() {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.configure(None);
    let (web, other) = (unique("web"), unique("other"));
    let crun = crun_without_cgroup();
    let watch = Watch::start(&["--no-engine", "--events", "container,exec"]);
    for name in [&web, &other, &web] {
        let id = format!("crun/{name}");
        whole_life(&mut bundle, &watch, &crun, name, &id);
    }
    watch.stop();
}

/// A sandbox of the host, as of a browser or a build, has a pid namespace and mounts of its own.
#[test]
fn a_sandbox_of_the_host_is_not_reported() {
    if !kernel_is_ready() {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.configure(None);
    let watch = Watch::start(&["--no-engine", "--events", "all"]);
    let mark = unique("hullwatch-sandbox");
    for _ in 0..10 {
        let script = format!("for n in 1 2 3; do echo x >/tmp/{mark}; done; rm /tmp/{mark}");
        let sandbox = ["--pid", "--fork", "--mount", "sh", "-c", &script];
        assert!(
            Command::new("unshare")
                .args(sandbox)
                .status()
                .unwrap()
                .success()
        );
    }
    // Its events would arrive before the start of this one.
    let after = unique("after");
    let id = format!("runc/{after}");
    bundle.run(&words("runc"), &after);
    watch.expect("a container after them", |line| of(line, &id).is_some());
    let lines = watch.stop();
    let of_sandbox = |line: &&Value| line.to_string().contains(&mark);
    assert_eq!(lines.iter().find(of_sandbox), None);
}

/// A process of the host in a pid namespace of its own, which stays until it is dropped.
struct Sandbox {
    child: Child,
    namespace: PathBuf,
}

impl Sandbox {
    /// Runs a script that prints its pid namespace first and reads a line last.
    fn start(script: &str) -> Self {
        let mut child = Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let namespace = PathBuf::from(line.trim());
        Self { child, namespace }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The kernel gives the number of a pid namespace that ended to the next one: actions of a sandbox
/// of the host are not attributed to the container that had the number before.
#[test]
fn a_sandbox_with_the_number_of_an_ended_container_is_not_it() {
    if !kernel_is_ready() {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.configure(None);
    let crun = crun_without_cgroup();
    let watch = Watch::start(&["--no-engine", "--events", "all"]);
    let mark = unique("hullwatch-reused");
    let script = format!(
        "readlink /proc/self/ns/pid; for n in 1 2 3; do echo x >/tmp/{mark}; done; rm -f /tmp/{mark}; read end"
    );
    // The kernel gives the lowest free number: those that stay hold the lower ones. It is free when the kernel
    // has cleaned up, and another test's namespace may get it.
    let reuses = |round: usize| {
        let name = unique(&format!("ended{round}"));
        let mut command = Command::new(&crun[0]);
        command
            .args(&crun[1..])
            .args(["run", &name])
            .current_dir(&bundle.dir);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // As its parent it reaps the init.
        let mut container = command.spawn().unwrap();
        let running = || {
            let state = bundle.command(&crun, &["state", &name]);
            let state: Value = serde_json::from_slice(&state.stdout).ok()?;
            (state["status"] == "running").then(|| state["pid"].to_string())
        };
        let init = loop {
            if let Some(init) = running() {
                break init;
            }
            assert_eq!(container.try_wait().unwrap(), None, "it did not start");
        };
        let namespace = fs::read_link(format!("/proc/{init}/ns/pid")).unwrap();
        bundle.command(&crun, &["kill", &name, "KILL"]);
        container.wait().unwrap();
        let mut sandboxes: Vec<Sandbox> = Vec::new();
        (0..50).any(|_| {
            let sandbox = Sandbox::start(&script);
            let reuses = sandbox.namespace == namespace;
            sandboxes.push(sandbox);
            reuses
        })
    };
    let reused = (0..50).filter(|round| reuses(*round)).take(3);
    assert_eq!(reused.count(), 3, "the kernel gave the numbers to others");
    let after = unique("after-reuse");
    let id = format!("crun/{after}");
    bundle.run(&crun, &after);
    watch.expect("a container after them", |line| of(line, &id).is_some());
    let lines = watch.stop();
    let of_sandbox = |line: &&Value| line.to_string().contains(&mark);
    assert_eq!(lines.iter().find(of_sandbox), None);
}
